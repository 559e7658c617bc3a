//! What the messages of a WebSocket say: one after the other, or at once, several answers come through it.

use super::body::{model, openai};
use super::facts::{Facts, Kind};
use super::watch::Shape;
use crate::usage::{Counter, Usage, estimated};

/// Watches the messages that a server sends.
#[derive(Debug, Default)]
pub struct SocketObserver {
    usage: Usage,
    model: Option<String>,
    /// How many answers have begun and not ended.
    open: u32,
    /// The content since there was none of these, in bytes.
    content: u64,
    /// Something was not read.
    is_unknown: bool,
}

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// It brings content of an answer.
    pub has_content: bool,
    /// It may tell of an error.
    pub may_be_error: bool,
}

impl SocketObserver {
    /// Looks at one message: an event of Responses or of the Realtime API.
    pub fn message(&mut self, data: &[u8]) -> Said {
        let facts = Facts::of(Shape::Responses, data);
        match facts.kind {
            Kind::Created => self.open = self.open.saturating_add(1),
            Kind::End | Kind::Failed => {
                self.open = self.open.saturating_sub(1);
                if self.open == 0 {
                    self.content = 0;
                }
                if let Some(usage) = facts.usage {
                    self.usage.add(&openai(usage, facts.tool_usage).with_total());
                }
                if let Some(model) = facts.model.and_then(model) {
                    self.model = Some(model);
                }
            }
            // An error ends no answer: those have an event of their own for it.
            Kind::None
            | Kind::Other
            | Kind::MessageStart
            | Kind::MessageDelta
            | Kind::Delta
            | Kind::SoundDelta
            | Kind::Error => {}
        }
        let has_content = self.open > 0 && matches!(facts.kind, Kind::Delta | Kind::SoundDelta);
        if has_content {
            self.content = self.content.saturating_add(facts.content.piece);
        }
        Said { has_content, may_be_error: facts.may_be_error }
    }

    /// A message came that was not read.
    pub fn miss(&mut self) {
        self.is_unknown = true;
    }

    /// What all answers together used. Of those under way that is the text that they have said: what they read, and
    /// their sound, is not known before their end.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = self.usage;
        if !self.is_complete() {
            usage.add(&Usage::of([(Counter::Output, Some(estimated(self.content)))]).with_total());
        }
        usage
    }

    /// The model of the latest answer.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether no answer is under way, and all was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.open == 0 && !self.is_unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in <https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>.
    const DONE: &str = r#"{"type":"response.done","event_id":"e","response":{"object":"realtime.response","id":"r",
        "status":"completed","output":[],"usage":{"total_tokens":275,"input_tokens":127,"output_tokens":148,
        "input_token_details":{"text_tokens":119,"audio_tokens":8,"cached_tokens":64},
        "output_token_details":{"text_tokens":36,"audio_tokens":112}}}}"#;

    const COMPLETED: &str = r#"{"type":"response.completed","sequence_number":9,"response":{"id":"r","model":"gpt-5",
        "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,
        "output_tokens_details":{"reasoning_tokens":2},"total_tokens":13}}}"#;

    const HEARD: &str = r#"{"type":"conversation.item.input_audio_transcription.delta","delta":"a"}"#;

    #[test]
    fn the_usage_of_all_answers_is_added_up() {
        let mut observer = SocketObserver::default();
        for (message, is_content, is_complete) in [
            (r#"{"type":"session.created","session":{"model":"gpt-realtime"}}"#, false, true),
            (HEARD, false, true),
            (r#"{"type":"response.created","response":{"id":"r","usage":null}}"#, false, false),
            (HEARD, false, false),
            (r#"{"type":"response.output_audio.delta","delta":"UklG"}"#, true, false),
            (r#"{"type":"error","error":{"type":"invalid_request_error"}}"#, false, false),
            (DONE, false, true),
            (r#"{"type":"response.created","response":{"id":"r"}}"#, false, false),
            (r#"{"type":"response.output_text.delta","delta":"a"}"#, true, false),
            (COMPLETED, false, true),
            ("no JSON", false, true),
        ] {
            let said = observer.message(message.as_bytes());
            let may_be_error = message.contains("error");
            assert_eq!(said, Said { has_content: is_content, may_be_error }, "{message}");
            assert_eq!(observer.is_complete(), is_complete, "{message}");
        }
        let usage = Usage::of([
            (Counter::Input, Some(137)),
            (Counter::CachedInput, Some(68)),
            (Counter::AudioInput, Some(8)),
            (Counter::Output, Some(151)),
            (Counter::AudioOutput, Some(112)),
            (Counter::Reasoning, Some(2)),
            (Counter::Total, Some(288)),
        ]);
        assert_eq!((observer.usage(), observer.model()), (usage, Some("gpt-5")));
    }

    #[test]
    fn what_an_answer_under_way_has_said_is_estimated() {
        let created = r#"{"type":"response.created"}"#;
        let delta = r#"{"type":"response.output_audio_transcript.delta","delta":"Hello you"}"#;
        let mut observer = SocketObserver::default();
        for (message, output, total) in [
            (HEARD, None, None),
            (created, Some(0), Some(0)),
            (HEARD, Some(0), Some(0)),
            (r#"{"type":"response.output_audio.delta","delta":"UklGRg=="}"#, Some(0), Some(0)),
            (delta, Some(3), Some(3)),
            (DONE, Some(148), Some(275)),
            (created, Some(148), Some(275)),
            (delta, Some(151), Some(278)),
            (delta, Some(153), Some(280)),
            (COMPLETED, Some(151), Some(288)),
        ] {
            observer.message(message.as_bytes());
            let usage = observer.usage();
            assert_eq!((usage.output(), usage.total()), (output, total), "{message}");
        }
    }
}
