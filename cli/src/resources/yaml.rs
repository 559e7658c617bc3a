//! YAML text to documents, each as a JSON value.
//!
//! The text is cut at its `---` lines before it is parsed, so that a mistake in one document does not hide those
//! in the others.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error, SnippetMode};

/// A document, or why it is none.
pub type Document = Result<Value, Mistake>;

/// A mistake in the YAML itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// In the file, from 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
}

/// The documents of a text; empty ones are left out, and a `List` is replaced by its items.
#[must_use]
pub fn documents(text: &str) -> Vec<Document> {
    let mut found = Vec::new();
    for (first_line, document) in cut(text) {
        match parse(document) {
            Ok(Value::Null) => {}
            Ok(value) => expand(value, &mut found),
            Err(error) => found.push(Err(mistake(&error, first_line))),
        }
    }
    found
}

/// The texts between `---` lines, each with the number of lines before it. A document begins with its own `---`,
/// which may carry content. Inside a block scalar such a line cannot stand: it ends the document there, too.
fn cut(text: &str) -> Vec<(u64, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    for (number, line) in (0_u64..).zip(text.split_inclusive('\n')) {
        let opens = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if opens && offset > start {
            pieces.extend(text.get(start..offset).map(|piece| (start_line, piece)));
            (start, start_line) = (offset, number);
        }
        offset += line.len();
    }
    pieces.extend(text.get(start..).map(|piece| (start_line, piece)));
    pieces
}

fn parse(document: &str) -> Result<Value, Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        // A name such as 0123 or 1_000 is a string in the resources, never a number.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        // One resource of a Kubernetes cluster is at most 1.5 MB; this is some tenfold of it.
        budget: serde_saphyr::budget! { max_events: 4_000_000, max_anchors: 1_000, max_aliases: 10_000 },
    };
    serde_saphyr::from_str_with_options(document, options)
}

/// The message without the text around it, which may hold a secret.
fn mistake(error: &Error, first_line: u64) -> Mistake {
    let rendered = error
        .without_snippet()
        .render_with_options(serde_saphyr::render_options! { snippets: SnippetMode::Off });
    let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
    let message = rendered
        .rsplit_once(" at line ")
        .map_or(rendered.as_str(), |(message, _)| message)
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or_default()
        .to_owned();
    Mistake { line: line + first_line, column, message }
}

/// `kubectl get -o yaml` wraps what it prints into a `List`.
fn expand(mut value: Value, found: &mut Vec<Document>) {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => {
            for item in items {
                expand(item, found);
            }
        }
        Some(items) => {
            if let Some(place) = value.get_mut("items") {
                *place = items;
            }
            found.push(Ok(value));
        }
        None => found.push(Ok(value)),
    }
}

/// Removes the members that are null: in Kubernetes they are the same as absent.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        documents(text).into_iter().map(Result::unwrap).collect()
    }

    fn mistakes(text: &str) -> Vec<String> {
        let lines = |mistake: Mistake| format!("{}:{} {}", mistake.line, mistake.column, mistake.message);
        documents(text).into_iter().filter_map(Result::err).map(lines).collect()
    }

    #[test]
    fn documents_are_cut_at_their_marker() {
        assert_eq!(
            values("a: 1\n---\n# nothing\n---\nb: 2\n--- {c: 3}\n"),
            [json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]
        );
        assert_eq!(values("---\na: |\n  ---\n  x\n"), [json!({"a": "---\nx\n"})]);
        assert!(values("").is_empty());
    }

    #[test]
    fn lists_are_taken_apart() {
        let text = "kind: List\nitems:\n- {kind: A}\n- {kind: BList, items: [{kind: B}]}\n";
        assert_eq!(values(text), [json!({"kind": "A"}), json!({"kind": "B"})]);
        assert_eq!(values("kind: A\nitems: [1]"), [json!({"kind": "A", "items": [1]})]);
    }

    #[test]
    fn every_broken_document_is_reported_at_its_line_in_the_file() {
        assert_eq!(
            mistakes("a: 1\na: 2\n---\nok: 1\n---\nx: [1\n"),
            ["2:1 duplicate mapping key: a", "6:4 unclosed bracket '['"]
        );
    }

    #[test]
    fn a_message_never_shows_a_value() {
        let found = mistakes("stringData:\n  apiKey: \"sk-secret\n  b: c\n");
        assert_eq!(found.len(), 1);
        assert!(!found.iter().any(|message| message.contains("sk-secret")), "{found:?}");
    }

    #[test]
    fn a_few_anchors_cannot_become_billions_of_nodes() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{},", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", alias.trim_end_matches(',')));
        }
        assert_eq!(mistakes(&text).len(), 1);
    }
}
