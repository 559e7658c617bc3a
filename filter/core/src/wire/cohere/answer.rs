//! The shapes of answers, whole or in events.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Annotation, Family, FinishReason, Foreign, Losses, TokenLogprob};
use crate::error::Error;
use crate::wire::raw::compact;

/// A whole answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer<'a> {
    pub(super) id: Option<String>,
    pub(super) finish_reason: Option<String>,
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    pub(super) logprobs: Option<Vec<Logprob>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Vec<&'a RawValue>>,
    pub(super) tool_plan: Option<String>,
    pub(super) tool_calls: Option<Vec<Call>>,
    #[serde(borrow)]
    pub(super) citations: Option<Vec<&'a RawValue>>,
}

/// A block of content, or a piece of one: which members it has depends on `kind`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) function: Option<Function>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Function {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

/// How probable a piece of the text was: the logarithms are of its tokens.
#[derive(Deserialize)]
pub(super) struct Logprob {
    text: Option<String>,
    logprobs: Option<Vec<f64>>,
}

impl Logprob {
    /// The piece as one token: how probable it is, is the product over its own.
    pub(super) fn token(self) -> Option<TokenLogprob> {
        let logprob = self.logprobs.filter(|logprobs| !logprobs.is_empty())?.iter().sum();
        Some(TokenLogprob { token: self.text.unwrap_or_default(), logprob, top: Vec::new() })
    }
}

/// A citation, and the block of content that it is in.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Citation {
    start: Option<usize>,
    end: Option<usize>,
    sources: Option<Vec<Source>>,
    content_index: Option<usize>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    document: Option<Value>,
    tool_output: Option<Value>,
}

/// What a citation is of.
pub(super) enum Cited {
    /// Of a text: its block, where that is said.
    Text(Option<usize>, Box<Annotation>),
    /// Of the plan or a thought.
    Other,
}

/// What a citation says. Its place counts characters: the `end` after `24°C` is 4 after its `start` in
/// <https://docs.cohere.com/docs/tool-use-streaming>.
pub(super) fn citation(raw: &RawValue) -> Cited {
    let Citation { start, end, sources, content_index, kind } =
        serde_json::from_str(raw.get()).unwrap_or_default();
    if kind.as_deref().is_some_and(|kind| kind != "TEXT_CONTENT") {
        return Cited::Other;
    }
    // Documents and results are what the client gave them to be; these are the usual names.
    let sources = sources.unwrap_or_default();
    let given: Vec<&Value> = sources
        .iter()
        .filter_map(|source| source.document.as_ref().or(source.tool_output.as_ref()))
        .collect();
    let first = |names: &[&str]| {
        let mut texts =
            given.iter().flat_map(|given| names.iter().filter_map(|name| given.get(name)?.as_str()));
        texts.next().map(str::to_owned)
    };
    let annotation = Annotation {
        span: start.zip(end),
        url: first(&["url"]),
        title: first(&["title"]),
        cited_text: first(&["text", "snippet"]),
        raw: Some(Foreign { family: Family::Cohere, kind: "citation".to_owned(), json: compact(raw) }),
    };
    Cited::Text(content_index, Box::new(annotation))
}

/// Why the model stopped, where `reason` says so: <https://docs.cohere.com/reference/chat>.
///
/// # Errors
///
/// The provider's own, if it gave up.
pub(super) fn finish_reason(
    reason: Option<String>,
    error: Option<String>,
    has_calls: bool,
) -> Result<FinishReason, Error> {
    let said = reason.as_deref().unwrap_or_default();
    let error = error.filter(|error| !error.is_empty());
    if said == "ERROR" || error.is_some() {
        let message = error.unwrap_or_else(|| "the backend gave up on its answer".to_owned());
        return Err(Error::provider(500, None, message));
    }
    Ok(match said {
        "" | "COMPLETE" | "TOOL_CALL" if has_calls => FinishReason::ToolCalls,
        "" | "COMPLETE" | "TOOL_CALL" => FinishReason::Stop,
        "STOP_SEQUENCE" => FinishReason::StopSequence(None),
        // Cut is cut: to a client, an answer that ran out of time is not complete either.
        "MAX_TOKENS" | "TIMEOUT" => FinishReason::Length,
        _ => FinishReason::Other(said.to_owned()),
    })
}

/// The same in Cohere's words.
pub(super) fn reason_of(reason: &FinishReason, losses: &mut Losses) -> &'static str {
    let (told, lost) = match reason {
        FinishReason::Stop => return "COMPLETE",
        FinishReason::StopSequence(_) => return "STOP_SEQUENCE",
        FinishReason::Length | FinishReason::ContextWindow => return "MAX_TOKENS",
        FinishReason::ToolCalls => return "TOOL_CALL",
        // What there is of it is not the answer.
        FinishReason::ContentFilter => ("ERROR", "content_filter"),
        FinishReason::Malformed => ("ERROR", "malformed"),
        FinishReason::Pause => ("COMPLETE", "pause_turn"),
        FinishReason::Other(reason) => ("COMPLETE", reason.as_str()),
    };
    losses.add(format_args!("answer.stop_reason.{lost}"), format!("the client is told {told}"));
    told
}

/// The error that an event of a passing stream is, where Cohere says so in its own way: at the end of an answer, or in
/// an event without a type.
pub(in crate::wire) fn error_of_event(data: &[u8]) -> Option<Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Event {
        #[serde(rename = "type")]
        kind: Option<String>,
        message: Option<Value>,
        delta: Option<End>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct End {
        finish_reason: Option<String>,
        error: Option<String>,
    }

    let Event { kind, message, delta } = serde_json::from_slice(data).ok()?;
    match (kind, message) {
        (None, Some(Value::String(message))) => Some(Error::provider(500, None, message)),
        (Some(kind), _) if kind == "message-end" => {
            let End { finish_reason, error } = delta?;
            self::finish_reason(finish_reason, error, false).err()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_it_comes_to() {
        let reason = |said: &str, has_calls| finish_reason(Some(said.to_owned()), None, has_calls).unwrap();
        assert_eq!(reason("COMPLETE", false), FinishReason::Stop);
        assert_eq!(reason("COMPLETE", true), FinishReason::ToolCalls);
        assert_eq!(reason("TOOL_CALL", false), FinishReason::Stop, "there is nothing to wait for");
        assert_eq!(reason("STOP_SEQUENCE", true), FinishReason::StopSequence(None));
        assert_eq!(reason("MAX_TOKENS", true), FinishReason::Length);
        assert_eq!(reason("TIMEOUT", false), FinishReason::Length);
        assert_eq!(reason("NEW", true), FinishReason::Other("NEW".to_owned()));
        assert_eq!(finish_reason(None, None, true).unwrap(), FinishReason::ToolCalls);
        assert_eq!(finish_reason(Some("ERROR".to_owned()), None, false).unwrap_err().status(), 500);
        let error = finish_reason(None, Some("out of memory".to_owned()), false).unwrap_err();
        assert_eq!(error.message(), "out of memory");
    }

    #[test]
    fn a_citation_tells_what_its_first_sources_are() {
        let raw = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
        let json = r#"{"start":2,"end":5,"text":"abc","content_index":1,"type":"TEXT_CONTENT","sources":[{"type":"tool","id":"t:0","tool_output":{"n":1}},{"type":"document","id":"d:1","document":{"id":"d:1","title":"T","snippet":"S","url":"https://a"}}]}"#;
        let Cited::Text(Some(1), annotation) = citation(&raw(json)) else { panic!() };
        let Annotation { span, url, title, cited_text, raw: own } = *annotation;
        assert_eq!((span, url.as_deref(), title.as_deref()), (Some((2, 5)), Some("https://a"), Some("T")));
        assert_eq!((cited_text.as_deref(), own.unwrap().json.as_str()), (Some("S"), json));
        assert!(matches!(citation(&raw(r#"{"type":"PLAN","start":1}"#)), Cited::Other));
        assert!(matches!(citation(&raw("{}")), Cited::Text(None, _)));
        assert!(matches!(citation(&raw(r#"{"sources":7}"#)), Cited::Text(None, _)));
    }
}
