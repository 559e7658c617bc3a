//! Streamed answers, event by event.

use serde::Deserialize;

use super::Observed;
use super::body::{cohere, model, openai, read};
use super::facts::{Choices, Facts, Kind};
use super::repeated::Repeated;
use super::watch::{Counters as CounterKind, End, Shape, Watch};
use crate::endpoint::Endpoint;
use crate::wire::anthropic::usage::{Counters, Totals};
use crate::wire::cohere::error_of_event;
use crate::wire::error::event_error;
use crate::wire::gemini;

/// Watches the events of one stream as they pass.
#[derive(Debug)]
pub struct StreamObserver {
    watch: &'static Watch,
    /// Of Anthropic's messages.
    totals: Option<Box<Totals>>,
    observed: Observed,
    /// How many choices were asked for.
    asked_choices: u32,
    choices: Choices,
    /// The content of all pieces, in bytes, and the longest that was said to be all of it.
    pieces: u64,
    whole: u64,
    is_complete: bool,
    is_over: bool,
    last: Glance,
    pub(super) repeated: Repeated,
    /// The number of the next event, in a stream that counts them.
    next_number: Option<u32>,
}

/// What an event is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    /// It carries content, so that waiting for the first token ends with it: roles, pings and usage do not.
    pub has_content: bool,
    /// It is a chunk of nothing but usage, see [`is_usage_only_chunk`](super::is_usage_only_chunk).
    pub is_usage_only: bool,
    /// Usage, or the model, may be others than before it.
    pub is_parsed: bool,
}

impl StreamObserver {
    /// An observer for one answer of `endpoint`, of which `choices` were asked for.
    #[must_use]
    pub fn new(endpoint: Endpoint, choices: u32) -> Self {
        Self {
            watch: endpoint.watch(),
            totals: None,
            observed: Observed::default(),
            asked_choices: choices,
            choices: Choices::default(),
            pieces: 0,
            whole: 0,
            is_complete: false,
            is_over: false,
            last: Glance::default(),
            repeated: Repeated::default(),
            next_number: (endpoint.watch().shape == Shape::Responses).then_some(0),
        }
    }

    /// Looks at the data of one event.
    pub fn event(&mut self, data: &[u8]) {
        self.last = Glance::default();
        let is_first = self.next_number == Some(0);
        self.next_number = self.next_number.map(|number| number.saturating_add(1));
        if let Some(text) = self.repeated.text_of(data) {
            self.pieces = self.pieces.saturating_add(text as u64);
            self.last.has_content = true;
            return;
        }
        let shape = self.watch.shape;
        let has_choices = matches!(shape.end(), End::Done | End::Reasons);
        if data.trim_ascii() == b"[DONE]" {
            self.is_complete = true;
            self.is_over |= shape.end() == End::Done;
            return;
        }
        if is_first {
            // A stream that is taken up again does not begin at 0.
            self.next_number = number(data).map(|number| number.saturating_add(1));
        }
        let facts = Facts::of(shape, data);
        self.pieces = self.pieces.saturating_add(facts.content.piece);
        self.whole = self.whole.max(facts.content.whole);
        // Sound and pictures are all content.
        self.last.has_content = facts.content.is_some || !shape.is_measured();
        self.last.is_usage_only = facts.is_usage_only();
        if facts.may_be_error && self.observed.error.is_none() {
            self.observed.error = event_error(data);
            if shape == Shape::Cohere && self.observed.error.is_none() {
                self.observed.error = error_of_event(data);
            }
        }
        if has_choices {
            self.choices.seen |= facts.choices.seen;
            self.choices.finished |= facts.choices.finished;
            self.is_complete |= self.choices_are_finished();
        }
        self.is_complete |= facts.kind.ends();
        self.is_over |= facts.kind.ends();
        self.parse(&facts);
        self.repeated.learn(data, &facts);
    }

    /// Servers that are not OpenAI's may leave out `[DONE]`; when each choice has said why it ended, that says as much.
    fn choices_are_finished(&self) -> bool {
        let Choices { seen, finished } = self.choices;
        finished == seen && finished.count_ones() >= self.asked_choices.max(1)
    }

    /// What the last event is.
    #[must_use]
    pub fn last(&self) -> Glance {
        self.last
    }

    /// The number of the next event, in a stream that counts them.
    #[must_use]
    pub fn next_number(&self) -> Option<u64> {
        self.next_number.map(u64::from)
    }

    /// The content so far, in bytes of UTF-8: texts, thoughts and arguments of calls.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.pieces.max(self.whole)
    }

    /// True once the provider has said its last word: nothing that matters may follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn parse(&mut self, facts: &Facts<'_>) {
        if self.observed.model.is_none()
            && let Some(model) = facts.model.and_then(model)
        {
            self.observed.model = Some(model);
            self.last.is_parsed = true;
        }
        if let Some(usage) = facts.usage {
            self.usage(facts.kind, usage, facts.tool_usage);
            self.last.is_parsed = true;
        }
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

    fn usage(&mut self, kind: Kind, usage: &[u8], tools: Option<&[u8]>) {
        match self.watch.counters {
            CounterKind::Anthropic => {}
            CounterKind::Nothing => return,
            CounterKind::Gemini => return self.observed.usage.merge(gemini::usage::read(usage)),
            CounterKind::Cohere => return self.observed.usage.merge(cohere(usage)),
            CounterKind::OpenAi
            | CounterKind::InputTokens
            | CounterKind::Count
            | CounterKind::TotalTokens => return self.observed.usage.merge(openai(usage, tools)),
        }
        let Some(counters) = read::<Counters>(usage) else { return };
        let totals = self.totals.get_or_insert_default();
        match kind {
            Kind::MessageStart => totals.start(&counters),
            Kind::MessageDelta => totals.delta(&counters),
            _ => return,
        }
        self.observed.usage = totals.usage();
    }
}

/// That of an event of responses.
fn number(data: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Event {
        sequence_number: u32,
    }
    serde_json::from_slice(data).ok().map(|Event { sequence_number }| sequence_number)
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
            (Endpoint::Messages, r#"{ "delta" : {"text": "H"}, "type" : "content_block_delta" }"#, true),
            (Endpoint::Messages, r#"{"type":"content_block_delta","delta":{"signature":"s"}}"#, true),
            (Endpoint::Responses, r#"{"type":"response.created"}"#, false),
            (Endpoint::Responses, r#"{"type":"response.output_text.delta","delta":""}"#, false),
            (Endpoint::Responses, r#"{"delta": "H", "type": "response.output_text.delta"}"#, true),
            (Endpoint::Responses, r#"{"type":"response.audio.delta","delta":"UklG"}"#, true),
            (Endpoint::StreamGenerateContent, r#"{"usageMetadata":{"promptTokenCount":1}}"#, false),
            (
                Endpoint::StreamGenerateContent,
                r#"{"candidates":[{"content":{"parts":[{"text":""}]}}]}"#,
                false,
            ),
            (
                Endpoint::StreamGenerateContent,
                r#"{"candidates":[{"content":{"parts":[{"text":"H"}]}}]}"#,
                true,
            ),
            (
                Endpoint::StreamGenerateContent,
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}"#,
                true,
            ),
            (
                Endpoint::CohereChat,
                r#"{"type":"message-start","delta":{"message":{"content":[],"tool_plan":"","tool_calls":[]}}}"#,
                false,
            ),
            (
                Endpoint::CohereChat,
                r#"{"type":"content-start","delta":{"message":{"content":{"type":"text","text":""}}}}"#,
                false,
            ),
            (
                Endpoint::CohereChat,
                r#"{"delta":{"message":{"content":{"thinking":"H"}}},"type":"content-delta"}"#,
                true,
            ),
            (
                Endpoint::CohereChat,
                r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"H"}}}"#,
                true,
            ),
            (
                Endpoint::CohereChat,
                r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":{"id":"c","function":{"name":"f"}}}}}"#,
                true,
            ),
            (Endpoint::CohereChat, r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#, false),
        ] {
            let mut observer = StreamObserver::new(endpoint, 1);
            observer.event(data.as_bytes());
            assert_eq!(observer.last().has_content, expected, "{data}");
        }
    }

    #[test]
    fn what_coheres_chat_says_is_measured_and_its_end_is_known() {
        let mut observer = StreamObserver::new(Endpoint::CohereChat, 1);
        for (data, content) in [
            (r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"abc"}}}}"#, 3),
            (r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"de"}}}"#, 5),
            (
                r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\":1}"}}}}}"#,
                12,
            ),
        ] {
            observer.event(data.as_bytes());
            assert_eq!((observer.content(), observer.is_complete()), (content, false), "{data}");
        }
        let end = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":7,"output_tokens":3}}}}"#;
        observer.event(end.as_bytes());
        assert!(observer.is_complete() && observer.is_over());
        let usage = observer.observed().usage;
        assert_eq!((usage.input(), usage.output(), usage.total()), (Some(7), Some(3), Some(10)));
        assert!(observer.observed().error.is_none());
        let whole = r#"{"message":{"content":[{"type":"thinking","thinking":"ab"},{"type":"text","text":"c"}],"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}"#;
        assert_eq!(super::super::content_of_body(Endpoint::CohereChat, whole.as_bytes()), 5);
    }

    #[test]
    fn coheres_errors_are_known_by_how_it_tells_them() {
        for (data, message) in [
            (r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"no memory"}}"#, "no memory"),
            (
                r#"{"type":"message-end","delta":{"finish_reason":"ERROR"}}"#,
                "the backend gave up on its answer",
            ),
            (r#"{"id":"x","message":"internal server error"}"#, "internal server error"),
        ] {
            let mut observer = StreamObserver::new(Endpoint::CohereChat, 1);
            observer.event(data.as_bytes());
            let error = observer.observed().error.as_ref().map(|error| error.message());
            assert_eq!(error, Some(message), "{data}");
        }
    }

    #[test]
    fn the_next_number_follows_from_the_first() {
        let next = |endpoint, events: &[&str]| {
            let mut observer = StreamObserver::new(endpoint, 1);
            events.iter().for_each(|event| observer.event(event.as_bytes()));
            observer.next_number()
        };
        let created = r#"{"type":"response.created","sequence_number":0,"response":{}}"#;
        let delta = r#"{"type":"response.output_text.delta","sequence_number":41,"delta":"x"}"#;
        assert_eq!(next(Endpoint::Responses, &[]), Some(0));
        assert_eq!(next(Endpoint::Responses, &[created, delta, delta]), Some(3));
        assert_eq!(next(Endpoint::StoredResponse, &[delta, delta]), Some(43), "taken up again");
        assert_eq!(next(Endpoint::Responses, &[r#"{"type":"response.created"}"#]), None);
        assert_eq!(next(Endpoint::ChatCompletions, &[r#"{"sequence_number":1,"choices":[]}"#]), None);
    }

    #[test]
    fn an_error_of_null_is_none_unless_the_answer_failed() {
        for (data, expected) in [
            (r#"{"type":"response.created","response":{"error":null}}"#, false),
            (r#"{"type":"response.failed","response":{"error":null}}"#, true),
            (r#"{"choices":[],"error": null}"#, false),
            (r#"{"choices":[],"error": {"message":"x"}}"#, true),
        ] {
            let mut observer = StreamObserver::new(Endpoint::Responses, 1);
            observer.event(data.as_bytes());
            assert_eq!(observer.observed().error.is_some(), expected, "{data}");
        }
    }
}
