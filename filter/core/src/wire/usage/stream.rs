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
    /// An event without any of these words is not parsed. Prepared once per stream.
    words: Vec<Finder<'static>>,
    error_word: Finder<'static>,
    model_word: Finder<'static>,
    finish_word: Finder<'static>,
    totals: Totals,
    observed: Observed,
    is_complete: bool,
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
        let words: &[&str] = match endpoint {
            Endpoint::Messages => &["\"usage\"", "message_stop"],
            // Not `"usage"`: only events about the whole answer have this member, and they end the stream too.
            Endpoint::Responses => &["\"response\""],
            Endpoint::ImageGenerations => &["image_generation.completed"],
            Endpoint::Transcriptions | Endpoint::Translations => &["transcript.text.done"],
            Endpoint::Speech => &["speech.audio.done"],
            _ => &["\"usage\""],
        };
        Self {
            endpoint,
            words: words.iter().map(Finder::new).collect(),
            error_word: Finder::new("\"error\""),
            model_word: Finder::new("\"model\""),
            finish_word: Finder::new("\"finish_reason\""),
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
        if self.observed.error.is_none() && self.error_word.find(data).is_some() {
            self.observed.error = event_error(data);
        }
        self.is_complete |= self.is_finish_chunk(data);
        let has_model = self.observed.model.is_none() && self.model_word.find(data).is_some();
        if !has_model && !self.words.iter().any(|word| word.find(data).is_some()) {
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
        if !matches!(self.endpoint, Endpoint::ChatCompletions | Endpoint::Completions) || self.is_complete {
            return false;
        }
        let Some(found) = self.finish_word.find(data) else { return false };
        let after = data.get(found.saturating_add(self.finish_word.needle().len())..).unwrap_or_default();
        let value = after.trim_ascii_start().strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        value.starts_with(b"\"")
    }
}
