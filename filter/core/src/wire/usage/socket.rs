//! What the messages of a WebSocket say: one after the other, or at once, several answers come through it.

use super::Observed;
use super::body::{model, openai};
use super::facts::{Facts, Kind};
use super::watch::Shape;

/// Watches the messages that a server sends.
#[derive(Debug, Default)]
pub struct SocketObserver {
    observed: Observed,
    /// How many answers have begun and not ended.
    open: u32,
}

impl SocketObserver {
    /// Looks at one message: an event of Responses or of the Realtime API. Whether it brings content of an answer.
    pub fn message(&mut self, data: &[u8]) -> bool {
        let facts = Facts::of(Shape::Responses, data);
        match facts.kind {
            Kind::Created => self.open = self.open.saturating_add(1),
            Kind::End | Kind::Failed => {
                self.open = self.open.saturating_sub(1);
                if let Some(usage) = facts.usage {
                    self.observed.usage.add(&openai(usage, facts.tool_usage).with_total());
                }
                if let Some(model) = facts.model.and_then(model) {
                    self.observed.model = Some(model);
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
        self.open > 0 && matches!(facts.kind, Kind::Delta | Kind::SoundDelta)
    }

    /// What all answers together used, and the model of the latest.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Whether no answer is under way.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.open == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Counter, Usage};

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
            assert_eq!(observer.message(message.as_bytes()), is_content, "{message}");
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
        assert_eq!(observer.observed(), &Observed { usage, model: Some("gpt-5".to_owned()), error: None });
    }
}
