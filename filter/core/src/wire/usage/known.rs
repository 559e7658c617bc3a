//! Usage in answers of which nothing is known, by the shapes that providers give it.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use super::Observed;
use super::body::{cohere, ends_of_objects, openai, read};
use crate::codec::json::{self, Member};
use crate::usage::Usage;
use crate::wire::anthropic::usage::{Counters, Totals};
use crate::wire::{converse, gemini};

/// The members of an answer, or of an event of one, that matter.
const MEMBERS: [&str; 11] = [
    "type",
    "object",
    "model",
    "modelVersion",
    "usage",
    "tool_usage",
    "usageMetadata",
    "meta",
    // Of Anthropic's first event, of the events of Responses, and of Cohere's last one: the answer, or a part of it.
    "message",
    "response",
    "delta",
];

/// One of these stands in whatever tells usage.
const KEYS: [&[u8]; 2] = [b"\"usage", b"\"meta\""];

/// Recognises usage in what passes of one answer.
#[derive(Debug, Default)]
pub struct Recognizer {
    observed: Observed,
    claude: Totals,
}

/// Whether counters are Anthropic's, which leave the cache out of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// Of the answer so far.
    Anthropic,
    /// Of its beginning.
    AnthropicStart,
    Others,
}

impl Recognizer {
    /// What was seen so far.
    #[must_use]
    pub fn observed(&self) -> Observed {
        let mut observed = self.observed.clone();
        observed.usage = observed.usage.with_total();
        observed
    }

    /// Looks at a document of JSON: a whole answer, or the data of one event.
    pub fn document(&mut self, document: &[u8]) {
        let tells = || KEYS.iter().any(|key| memmem::find(document, key).is_some());
        if self.observed.model.is_some() && !tells() {
            return;
        }
        // Gemini's streams are one array where nothing else is asked for.
        if document.trim_ascii_start().starts_with(b"[") {
            for element in read::<Vec<&RawValue>>(document).into_iter().flatten() {
                self.object(element.get().as_bytes(), None);
            }
            return;
        }
        self.object(document, None);
    }

    /// Looks at the end of a document that is too large to be kept.
    pub fn end_of_document(&mut self, tail: &[u8]) {
        // The one with the most in it is the one that begins first.
        if let Some(rest) = ends_of_objects(tail, &KEYS).max_by_key(Vec::len) {
            self.object(&rest, None);
        }
    }

    /// `outer` are the words of the object that this is in.
    fn object(&mut self, object: &[u8], outer: Option<Words>) {
        let Ok(scan) = json::scan_answer(object, MEMBERS) else { return };
        let [kind, what, model, version, usage, tools, metadata, meta, message, response, delta] =
            scan.members;
        let text =
            |member: Option<Member>| member.and_then(|member| member.as_str(object).map(Cow::into_owned));
        // What a batch has used so far is told by each answer about it.
        if text(what).is_some_and(|what| what == "batch") {
            return;
        }
        let words = outer.unwrap_or_else(|| match text(kind).as_deref() {
            Some("message_start") => Words::AnthropicStart,
            Some("message_delta" | "message") => Words::Anthropic,
            _ => Words::Others,
        });
        if self.observed.model.is_none() {
            self.observed.model = text(model).or_else(|| text(version)).filter(|model| !model.is_empty());
        }
        if let Some(usage) = usage {
            self.usage(usage.raw(object), tools.map(|tools| tools.raw(object)), words);
        }
        if let Some(metadata) = metadata {
            self.observed.usage.merge(gemini::usage::read(metadata.raw(object)));
        }
        if let Some(meta) = meta {
            self.observed.usage.merge(cohere(meta.raw(object)));
        }
        if outer.is_none() {
            for inner in [message, response, delta].into_iter().flatten() {
                self.object(inner.raw(object), Some(words));
            }
        }
    }

    fn usage(&mut self, usage: &[u8], tools: Option<&[u8]>, words: Words) {
        let told = match words {
            Words::Anthropic | Words::AnthropicStart => {
                let counters = read::<Counters>(usage).unwrap_or_default();
                if words == Words::Anthropic {
                    self.claude.delta(&counters);
                } else {
                    self.claude.start(&counters);
                }
                self.claude.usage()
            }
            Words::Others => of_others(usage, tools),
        };
        self.observed.usage.merge(told);
    }
}

/// `usage` of Converse, of Cohere, or in either of OpenAI's ways.
fn of_others(usage: &[u8], tools: Option<&[u8]>) -> Usage {
    const NAMES: [&str; 4] = ["inputTokens", "outputTokens", "tokens", "billed_units"];
    let Ok(scan) = json::scan_answer(usage, NAMES) else { return Usage::default() };
    match scan.members {
        [Some(_), ..] | [_, Some(_), ..] => converse::usage::read(usage),
        [None, None, Some(_), _] | [None, None, _, Some(_)] => cohere(usage),
        [None, None, None, None] => openai(usage, tools),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Counter;

    fn seen(documents: &[&str]) -> (Option<u64>, Option<u64>, Option<u64>, Option<String>) {
        let mut known = Recognizer::default();
        documents.iter().for_each(|document| known.document(document.as_bytes()));
        let Observed { usage, model, .. } = known.observed();
        (usage.input(), usage.output(), usage.total(), model)
    }

    fn counts(
        input: u64,
        output: u64,
        model: &str,
    ) -> (Option<u64>, Option<u64>, Option<u64>, Option<String>) {
        (
            Some(input),
            Some(output),
            Some(input + output),
            Some(model.to_owned()).filter(|model| !model.is_empty()),
        )
    }

    #[test]
    fn every_known_shape_is_recognised() {
        let cases = [
            (
                r#"{"object":"chat.completion","model":"m","usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
                "m",
            ),
            (
                r#"{"object":"response","model":"m","usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":3},"output_tokens":2}}"#,
                "m",
            ),
            (
                r#"{"type":"response.completed","response":{"object":"response","model":"m","usage":{"input_tokens":7,"output_tokens":2}}}"#,
                "m",
            ),
            (
                r#"{"type":"message","model":"m","usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":2}}"#,
                "m",
            ),
            (
                r#"{"modelVersion":"m","usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9}}"#,
                "m",
            ),
            (
                r#"[{"modelVersion":"m"},{"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2}}]"#,
                "m",
            ),
            (
                r#"{"output":{},"stopReason":"end_turn","usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9}}"#,
                "",
            ),
            (
                r#"{"id":"c","message":{"role":"assistant"},"usage":{"billed_units":{"input_tokens":1},"tokens":{"input_tokens":7,"output_tokens":2}}}"#,
                "",
            ),
            (
                r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":7,"output_tokens":2}}}}"#,
                "",
            ),
            (r#"{"embeddings":[],"meta":{"billed_units":{"input_tokens":7,"output_tokens":2}}}"#, ""),
        ];
        for (document, model) in cases {
            assert_eq!(seen(&[document]), counts(7, 2, model), "{document}");
        }
    }

    #[test]
    fn what_the_tools_of_a_response_did_stands_beside_its_usage() {
        let mut known = Recognizer::default();
        known.document(
            br#"{"type":"response.completed","response":{"tool_usage":{"web_search":{"num_requests":2}},"usage":{"input_tokens":7}}}"#,
        );
        let usage = known.observed().usage;
        assert_eq!((usage.input(), usage.get(Counter::WebSearches)), (Some(7), Some(2)));
    }

    #[test]
    fn claudes_stream_tells_it_in_two_parts() {
        let seen = seen(&[
            r#"{"type":"message_start","message":{"type":"message","model":"m","usage":{"input_tokens":3,"cache_creation_input_tokens":4,"output_tokens":1}}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"\"usage\""}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3,"output_tokens":2}}"#,
            r#"{"type":"message_stop"}"#,
        ]);
        assert_eq!(seen, counts(7, 2, "m"));
    }

    #[test]
    fn what_is_no_use_of_this_request_counts_nothing() {
        for document in [
            r#"{"object":"batch","model":"m","usage":{"input_tokens":7,"output_tokens":2}}"#,
            r#"{"usage":null}"#,
            r#"{"usage":"much"}"#,
            r#"{"usage":{"prompt_tokens":"7"}}"#,
            r#"{"data":[{"usage":{"prompt_tokens":7}}]}"#,
            r#"{"message":{"delta":{"usage":{"prompt_tokens":7}}}}"#,
            r#"{"usage":{"prompt_tokens":7}"#,
            "[DONE]",
            "",
        ] {
            let (input, output, total, _) = seen(&[document]);
            assert_eq!((input, output, total), (None, None, None), "{document}");
        }
    }

    #[test]
    fn of_a_large_document_the_end_will_do() {
        let mut known = Recognizer::default();
        known.end_of_document(br#"0.25,0.5]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#);
        assert_eq!(known.observed().usage.input(), Some(7));
    }
}
