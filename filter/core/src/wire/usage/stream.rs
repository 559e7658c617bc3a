//! Streamed answers, event by event.

mod words;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Observed;
use super::body::{model, openai, read};
use crate::endpoint::Endpoint;
use crate::wire::anthropic::usage::{Counters, Totals};
use crate::wire::error::event_error;
use words::Words;

/// Watches the events of one stream as they pass.
#[derive(Debug)]
pub struct StreamObserver {
    endpoint: Endpoint,
    totals: Totals,
    observed: Observed,
    is_complete: bool,
    last: Glance,
}

/// What an event is, told from its words alone: a hint where it is not parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    /// It carries content, so that waiting for the first token ends with it: roles, pings and usage do not.
    pub has_content: bool,
    /// It may be a chunk of nothing but usage; [`is_usage_only_chunk`](super::is_usage_only_chunk) knows.
    pub may_be_usage: bool,
    /// Usage, or the model, may be others than before it.
    pub is_parsed: bool,
}

/// An event of any API. Chunks have the members that matter outside, the Responses API in `response`, Anthropic's
/// `message_start` in `message`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

impl StreamObserver {
    /// An observer for one answer of `endpoint`.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            totals: Totals::default(),
            observed: Observed::default(),
            is_complete: false,
            last: Glance::default(),
        }
    }

    /// Looks at the data of one event.
    pub fn event(&mut self, data: &[u8]) {
        self.last = Glance::default();
        if data.trim_ascii() == b"[DONE]" {
            self.last.has_content = self.has_content(Words::default(), b"");
            self.is_complete = true;
            return;
        }
        let words = Words::of(data);
        self.last.has_content = self.has_content(words, data);
        self.last.may_be_usage = words.has(Words::USAGE | Words::ODD_USAGE);
        if self.observed.error.is_none() && may_be_error(words, data) {
            self.observed.error = event_error(data);
        }
        // Servers that are not OpenAI's may leave out `[DONE]`; the finish reason says as much.
        let finishes = matches!(self.endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
        self.is_complete |= finishes && words.has(Words::FINISH_REASON);
        self.last.is_parsed =
            self.observed.model.is_none() && words.has(Words::MODEL) || self.matters(words, data);
        if self.last.is_parsed {
            self.parse(data);
        }
    }

    /// What the last event is.
    #[must_use]
    pub fn last(&self) -> Glance {
        self.last
    }

    /// An event for which this is false is not parsed.
    fn matters(&self, words: Words, data: &[u8]) -> bool {
        match self.endpoint {
            Endpoint::Messages => words.has(Words::USAGE | Words::MESSAGE_STOP),
            // Not `usage`: only events about the whole answer have this member, and they end the stream too.
            Endpoint::Responses => words.has(Words::RESPONSE),
            Endpoint::ImageGenerations => IMAGE_DONE.find(data).is_some(),
            Endpoint::Transcriptions | Endpoint::Translations => words.has(Words::TRANSCRIPT_DONE),
            Endpoint::Speech => SPEECH_DONE.find(data).is_some(),
            _ => words.has(Words::USAGE),
        }
    }

    fn has_content(&self, words: Words, data: &[u8]) -> bool {
        match self.endpoint {
            Endpoint::Messages => words.has(Words::CONTENT_BLOCK_DELTA),
            Endpoint::ChatCompletions => words.has(Words::CHAT_CONTENT),
            Endpoint::Completions => words.has(Words::TEXT),
            Endpoint::Responses => DELTA.find(data).is_some(),
            _ => true,
        }
    }

    fn parse(&mut self, data: &[u8]) {
        let Ok(event) = serde_json::from_slice::<WireEvent<'_>>(data) else { return };
        let inner: WireEvent<'_> = event.response.or(event.message).and_then(read).unwrap_or_default();
        if let Some(model) = event.model.or(inner.model).and_then(model) {
            self.observed.model = Some(model);
        }
        let kind = event.kind.as_deref().unwrap_or_default();
        if let Some(usage) = event.usage.or(inner.usage) {
            self.usage(kind, usage);
        }
        self.is_complete |= matches!(
            kind,
            "message_stop"
                | "response.completed"
                | "response.incomplete"
                | "response.failed"
                | "image_generation.completed"
                | "transcript.text.done"
                | "speech.audio.done"
        );
    }

    /// What was seen so far.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// True once the provider said that its answer is complete. A stream that ends before was cut.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn usage(&mut self, kind: &str, usage: &RawValue) {
        if self.endpoint != Endpoint::Messages {
            self.observed.usage.merge(openai(usage));
            return;
        }
        let Some(counters) = read::<Counters>(usage) else { return };
        match kind {
            "message_start" => self.totals.start(&counters),
            "message_delta" => self.totals.delta(&counters),
            _ => return,
        }
        self.observed.usage = self.totals.usage();
    }
}

/// A search that is prepared once: most events are short, and preparing takes longer than searching.
type Search = LazyLock<Finder<'static>>;

static DELTA: Search = LazyLock::new(|| Finder::new(".delta\""));
static IMAGE_DONE: Search = LazyLock::new(|| Finder::new("\"image_generation.completed\""));
static SPEECH_DONE: Search = LazyLock::new(|| Finder::new("\"speech.audio.done\""));
static FAILED: Search = LazyLock::new(|| Finder::new("\"response.failed\""));

/// An error has the word in it, and says more than `null`, unless it is another member that says that the answer failed.
fn may_be_error(words: Words, data: &[u8]) -> bool {
    words.has(Words::ERROR) || words.has(Words::NULL_ERROR) && FAILED.find(data).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_pings_are_no_content() {
        for (endpoint, data, expected) in [
            (
                Endpoint::ChatCompletions,
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                false,
            ),
            (
                Endpoint::ChatCompletions,
                r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
                false,
            ),
            (Endpoint::ChatCompletions, r#"{"choices":[{"delta":{"content": "H"}}]}"#, true),
            (Endpoint::ChatCompletions, r#"{"choices":[{"delta":{"reasoning_content":"H"}}]}"#, true),
            (Endpoint::ChatCompletions, r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, true),
            (Endpoint::ChatCompletions, "[DONE]", false),
            (Endpoint::Completions, r#"{"choices":[{"text":"H"}]}"#, true),
            (Endpoint::Messages, r#"{"type":"ping"}"#, false),
            (Endpoint::Messages, r#"{ "type" : "content_block_delta" }"#, true),
            (Endpoint::Responses, r#"{"type":"response.created"}"#, false),
            (Endpoint::Responses, r#"{"type":"response.output_text.delta"}"#, true),
        ] {
            let mut observer = StreamObserver::new(endpoint);
            observer.event(data.as_bytes());
            assert_eq!(observer.last().has_content, expected, "{data}");
        }
    }

    #[test]
    fn an_error_of_null_is_none_unless_the_answer_failed() {
        for (data, expected) in [
            (r#"{"type":"response.created","response":{"error":null}}"#, false),
            (r#"{"type":"response.failed","response":{"error":null}}"#, true),
            (r#"{"choices":[],"error": null}"#, false),
            (r#"{"choices":[],"error": {"message":"x"}}"#, true),
        ] {
            let mut observer = StreamObserver::new(Endpoint::Responses);
            observer.event(data.as_bytes());
            assert_eq!(observer.observed().error.is_some(), expected, "{data}");
        }
    }
}
