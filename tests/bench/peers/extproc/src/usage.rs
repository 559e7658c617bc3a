//! The usage of an answer of OpenAI's Chat Completions and Embeddings APIs, whole or streamed.

use memchr::memmem;
use serde::Deserialize;

/// An unfinished line longer than this, in bytes, is forgotten: what a provider can make grow has a bound.
const MAX_LINE: usize = 1 << 20;

/// Tokens, as the provider counted them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
    pub(crate) total_tokens: u32,
}

#[derive(Deserialize)]
struct Answer {
    usage: Option<Usage>,
}

/// The usage of a whole answer, or of the data of one event.
pub(crate) fn of_answer(json: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Answer>(json).ok()?.usage
}

/// The usage in a stream of events, of which each piece may end anywhere.
#[derive(Default)]
pub(crate) struct EventUsage {
    /// The beginning of a line whose end has not come yet.
    unfinished: Vec<u8>,
    last: Option<Usage>,
}

impl EventUsage {
    pub(crate) fn read(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let ends = line.ends_with(b"\n");
            if ends && self.unfinished.is_empty() {
                self.line(line);
                continue;
            }
            if self.unfinished.len().saturating_add(line.len()) <= MAX_LINE {
                self.unfinished.extend_from_slice(line);
            }
            if ends {
                let whole = std::mem::take(&mut self.unfinished);
                self.line(&whole);
            }
        }
    }

    /// What the last event that had usage said; an event may repeat it with higher figures.
    pub(crate) fn last(&self) -> Option<Usage> {
        self.last
    }

    fn line(&mut self, line: &[u8]) {
        // Only the few lines that can hold it are parsed.
        if memmem::find(line, b"\"usage\"").is_some()
            && let Some(data) = line.strip_prefix(b"data:")
            && let Some(usage) = of_answer(data)
        {
            self.last = Some(usage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}],\"usage\":null}\r\n\r\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7,\"details\":{}}}\r\n\r\n\
        data: [DONE]\r\n\r\n";
    const USAGE: Usage = Usage { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };

    #[test]
    fn any_split_of_the_stream_gives_the_same_usage() {
        for at in 0..=STREAM.len() {
            let (first, second) = STREAM.as_bytes().split_at(at);
            let mut events = EventUsage::default();
            events.read(first);
            events.read(second);
            assert_eq!(events.last(), Some(USAGE), "split at {at}");
        }
    }

    #[test]
    fn an_answer_without_usage_has_none() {
        assert_eq!(of_answer(br#"{"choices":[]}"#), None);
        assert_eq!(of_answer(br#"{"usage":null}"#), None);
        assert_eq!(of_answer(b"<html>"), None);
    }

    #[test]
    fn embeddings_have_no_completion_tokens() {
        let usage = of_answer(br#"{"data":[],"usage":{"prompt_tokens":9,"total_tokens":9}}"#);
        assert_eq!(usage, Some(Usage { prompt_tokens: 9, completion_tokens: 0, total_tokens: 9 }));
    }

    #[test]
    fn an_endless_line_is_forgotten() {
        let mut events = EventUsage::default();
        for _ in 0..40 {
            events.read(&[b'x'; 64 << 10]);
            assert!(events.unfinished.len() <= MAX_LINE);
        }
    }
}
