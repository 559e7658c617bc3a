//! What the stand-ins say, and how it is counted: one word is one token, so every test can count along.

use serde_json::{Map, Value, json};

/// A text that stops at a limit or at a stop sequence.
#[derive(Debug)]
pub(crate) struct Said {
    /// One piece per token; put together they are the text.
    pub(crate) pieces: Vec<String>,
    /// Why it ends.
    pub(crate) end: End,
}

/// Why a text ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All was said.
    Done,
    /// The limit on output tokens was reached.
    Limit,
    /// This stop sequence came.
    Stop(String),
}

impl Said {
    /// Tokens of the text.
    pub(crate) fn tokens(&self) -> usize {
        self.pieces.len()
    }

    /// The text in one piece.
    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// The sentence a provider says. It names the provider, so that a reader sees who answered.
pub(crate) fn sentence(provider: &str, words: Option<usize>) -> String {
    let sentence = format!(
        "Hello from {provider}: a weir is a low dam that steers a river, measures it and holds it back when it must."
    );
    match words {
        None => sentence,
        Some(words) => sentence.split_whitespace().cycle().take(words).collect::<Vec<_>>().join(" "),
    }
}

/// Says a text within a limit of tokens, stopping before the first stop sequence.
pub(crate) fn say(text: &str, limit: Option<u64>, stops: &[String]) -> Said {
    let stop = stops
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.split_once(stop.as_str()).map(|(before, _)| (before, stop)))
        .min_by_key(|(before, _)| before.len());
    let (text, mut end) = stop.map_or((text, End::Done), |(before, stop)| (before, End::Stop(stop.clone())));
    let mut pieces: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok())
        && limit < pieces.len()
    {
        pieces.truncate(limit);
        end = End::Limit;
    }
    Said { pieces, end }
}

/// Tokens of a text.
pub(crate) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// Tokens of message content in any of the APIs' forms: a string, a list of parts, or a part with `text` or `content`.
pub(crate) fn content_words(content: &Value) -> u64 {
    match content {
        Value::String(text) => words(text),
        Value::Array(parts) => parts.iter().map(content_words).sum(),
        Value::Object(part) => {
            ["text", "content", "output"].iter().filter_map(|key| part.get(*key)).map(content_words).sum()
        }
        _ => 0,
    }
}

/// A value that satisfies a JSON Schema in the plain cases that tool parameters and answer formats use.
pub(crate) fn sample(schema: &Value) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = schema.get("enum").and_then(|values| values.get(0)) {
        return value.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => schema.get("properties").map(|_| "object"),
    };
    match kind {
        Some("string") => json!("Paris"),
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => json!([schema.get("items").map_or_else(|| json!("Paris"), sample)]),
        _ => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let sampled: Map<String, Value> = properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), sample(schema)))
                .collect();
            Value::Object(sampled)
        }
    }
}

/// Cuts a text into at most `parts` pieces of about the same number of characters.
pub(crate) fn split(text: &str, parts: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = characters.len().div_ceil(parts.max(1)).max(1);
    characters.chunks(size).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_tokens_and_make_up_the_text() {
        let said = say("a b c", None, &[]);
        assert_eq!((said.tokens(), said.text().as_str(), said.end), (3, "a b c", End::Done));
        let said = say("a b c", Some(2), &[]);
        assert_eq!((said.tokens(), said.text().as_str(), said.end), (2, "a b ", End::Limit));
        let said = say("a b c", Some(9), &["c".to_owned(), "b".to_owned()]);
        assert_eq!((said.text().as_str(), said.end), ("a ", End::Stop("b".to_owned())));
    }

    #[test]
    fn a_sample_satisfies_its_schema() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["c", "f"]}}});
        assert_eq!(sample(&schema), json!({"city": "Paris", "days": 1, "unit": "c"}));
    }

    #[test]
    fn content_is_counted_in_all_its_forms() {
        assert_eq!(content_words(&json!("one two")), 2);
        assert_eq!(content_words(&json!([{"type": "text", "text": "one two"}, {"type": "image_url"}])), 2);
        assert_eq!(content_words(&json!([{"type": "tool_result", "content": [{"text": "a b c"}]}])), 3);
    }
}
