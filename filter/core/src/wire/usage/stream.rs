//! Streamed answers, event by event.

use std::borrow::Cow;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Observed;
use super::body::{model, openai, read};
use crate::endpoint::Endpoint;
use crate::wire::anthropic::usage::{Counters, Totals};
use crate::wire::error::event_error;

/// Watches the events of one stream as they pass.
#[derive(Debug)]
pub struct StreamObserver {
    endpoint: Endpoint,
    /// An event without any of these is not parsed.
    words: Vec<Word>,
    error: Word,
    model: Word,
    finish_reason: Word,
    totals: Totals,
    observed: Observed,
    is_complete: bool,
}

/// A word to search events for, prepared once per stream.
#[derive(Debug)]
struct Word {
    finder: Finder<'static>,
    /// The word is a member's name, and its value begins with this.
    value: Option<u8>,
}

impl Word {
    fn new(word: &'static str) -> Self {
        Self { finder: Finder::new(word), value: None }
    }

    /// `name` in quotes, with a value that begins with `value`. Many servers write `"usage":null` in every chunk.
    fn member(name: &'static str, value: u8) -> Self {
        Self { finder: Finder::new(name), value: Some(value) }
    }

    fn is_in(&self, data: &[u8]) -> bool {
        let Some(value) = self.value else { return self.finder.find(data).is_some() };
        self.finder.find_iter(data).any(|found| {
            let after = data.get(found.saturating_add(self.finder.needle().len())..).unwrap_or_default();
            let after = after.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
            after.trim_ascii_start().first() == Some(&value)
        })
    }
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
        let words = match endpoint {
            Endpoint::Messages => vec![Word::member("\"usage\"", b'{'), Word::new("message_stop")],
            // Not `usage`: only events about the whole answer have this member, and they end the stream too.
            Endpoint::Responses => vec![Word::member("\"response\"", b'{')],
            Endpoint::ImageGenerations => vec![Word::new("image_generation.completed")],
            Endpoint::Transcriptions | Endpoint::Translations => vec![Word::new("transcript.text.done")],
            Endpoint::Speech => vec![Word::new("speech.audio.done")],
            _ => vec![Word::member("\"usage\"", b'{')],
        };
        Self {
            endpoint,
            words,
            error: Word::new("\"error\""),
            model: Word::new("\"model\""),
            finish_reason: Word::member("\"finish_reason\"", b'"'),
            totals: Totals::default(),
            observed: Observed::default(),
            is_complete: false,
        }
    }

    /// Looks at the data of one event.
    pub fn event(&mut self, data: &[u8]) {
        if data.trim_ascii() == b"[DONE]" {
            self.is_complete = true;
            return;
        }
        if self.observed.error.is_none() && self.error.is_in(data) {
            self.observed.error = event_error(data);
        }
        self.is_complete |= self.is_finish_chunk(data);
        let has_model = self.observed.model.is_none() && self.model.is_in(data);
        if !has_model && !self.words.iter().any(|word| word.is_in(data)) {
            return;
        }
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

    /// Servers that are not OpenAI's may leave out `[DONE]`; the finish reason says as much.
    fn is_finish_chunk(&self, data: &[u8]) -> bool {
        matches!(self.endpoint, Endpoint::ChatCompletions | Endpoint::Completions)
            && !self.is_complete
            && self.finish_reason.is_in(data)
    }
}
