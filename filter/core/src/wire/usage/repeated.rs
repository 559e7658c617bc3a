//! Events that repeat the one before, but for a text.

use memchr::memchr2;

use super::content::Told;
use super::facts::Facts;

/// An event that said nothing but a piece of text. Those after it are the same in most streams but for the text, an id
/// and a number, and need not be read again.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    /// The event without what is another in the next one. Empty: there is none.
    frame: Vec<u8>,
    gaps: Vec<Gap>,
}

/// A place in the frame where something was.
#[derive(Debug, Clone, Copy)]
struct Gap {
    at: usize,
    kind: GapKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GapKind {
    /// The text.
    Text,
    /// What stands between the quotes of another string.
    String,
    /// The digits of a number.
    Number,
}

/// An event that is longer, in bytes, is not remembered.
const MAX_REPEATED: usize = 1 << 10;

impl Repeated {
    /// How many bytes of text `data` has, if that is all that it says.
    pub(super) fn text_of(&self, data: &[u8]) -> Option<usize> {
        let (mut rest, mut at) = (data, 0);
        let mut text = None;
        for gap in &self.gaps {
            rest = rest.strip_prefix(self.frame.get(at..gap.at)?)?;
            at = gap.at;
            let length = match gap.kind {
                GapKind::Number => rest.iter().position(|byte| !byte.is_ascii_digit())?,
                // An escape is no quote, which is what stands in the frame next.
                GapKind::Text | GapKind::String => memchr2(b'"', b'\\', rest)?,
            };
            if gap.kind != GapKind::String && length == 0 {
                return None;
            }
            if gap.kind == GapKind::Text {
                text = Some(length);
            }
            rest = rest.get(length..)?;
        }
        text.filter(|_| Some(rest) == self.frame.get(at..))
    }

    pub(super) fn learn(&mut self, data: &[u8], facts: &Facts<'_>) {
        let Told::Once { start, end } = facts.content.told else { return };
        let says_more = facts.usage.is_some()
            || facts.may_be_error
            || facts.content.whole > 0
            || facts.choices.finished > 0
            || facts.kind.ends()
            // Some of the text does not count, or counts in another way.
            || facts.content.piece != end.saturating_sub(start) as u64;
        if says_more || data.len() > MAX_REPEATED {
            return;
        }
        self.frame.clear();
        self.gaps.clear();
        let passed_over = facts.passed_over.places();
        let before = passed_over.iter().take_while(|place| place.start < start);
        let behind = passed_over.iter().skip_while(|place| place.start < start);
        let mut from = 0;
        for place in before.chain([&(start..end)]).chain(behind) {
            let Some(literal) = data.get(from..place.start) else { continue };
            let kind = match literal.last() {
                Some(b'"') if place.start == start => GapKind::Text,
                Some(b'"') => GapKind::String,
                _ => GapKind::Number,
            };
            self.frame.extend_from_slice(literal);
            self.gaps.push(Gap { at: self.frame.len(), kind });
            from = place.end;
        }
        self.frame.extend_from_slice(data.get(from..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::StreamObserver;
    use super::*;
    use crate::endpoint::Endpoint;

    const CHAT: &[&str] = &[
        r#"{"id":"a","choices":[{"index":0,"delta":{"content":TEXT},"finish_reason":null}]}"#,
        r#"{"id":"a","choices":[{"index":1,"delta":{"content":TEXT},"finish_reason":null}]}"#,
        r#"{"id":"a","choices":[{"index":0,"delta":{"reasoning_content":TEXT}}]}"#,
        r#"{"id":"a","choices":[{"index":0,"delta":{"reasoning_content":TEXT,"reasoning":"abc"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":TEXT,"refusal":TEXT}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":TEXT}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":TEXT}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":TEXT},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":TEXT}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":TEXT},"message":{"content":"all"}}]}"#,
        r#"{"model":TEXT,"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
        r#"{"choices":[{"delta":{"content":TEXT}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"{"choices":[{"delta":{"content":TEXT}}],"error":{"message":TEXT}}"#,
        r#"{"id":TEXT,"created":NUMBER,"choices":[{"index":0,"delta":{"content":TEXT}}],"obfuscation":TEXT}"#,
        r#"{"choices":[{"index":NUMBER,"delta":{"content":"abc"}}],"n":NUMBER,"n":NUMBER,"x":1.5,"y":-1}"#,
        r#"{"object":TEXT,"choices":[{"delta":{"content":TEXT}}]}"#,
        r#"{"choices":[{"delta":{"content":TEXT"#,
        r#"{"a":NUMBER,"b":1,"c":2,"d":3,"e":4,"f":5,"g":6,"choices":[{"delta":{"content":TEXT}}],"h":TEXT}"#,
        "[DONE]",
    ];

    const MESSAGES: &[&str] = &[
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":TEXT}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":TEXT}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"signature":TEXT}}"#,
        r#"{"type":TEXT,"delta":{"text":"abc"}}"#,
        r#"{"type":"message_stop"}"#,
    ];

    const RESPONSES: &[&str] = &[
        r#"{"type":"response.output_text.delta","delta":TEXT,"sequence_number":NUMBER}"#,
        r#"{"type":"response.output_audio.delta","delta":TEXT}"#,
        r#"{"type":"response.output_item.done","delta":TEXT}"#,
        r#"{"delta":TEXT,"type":"response.completed"}"#,
    ];

    fn events() -> impl Strategy<Value = (Endpoint, Vec<String>)> {
        let text = prop_oneof![
            4 => r#"[ -~]{0,6}|[aé\n"\\]{0,4}"#.prop_map(|text| serde_json::to_string(&text).unwrap()),
            1 => Just("null".to_owned()),
            1 => Just(r#""\u00e9\ud83d\ude00""#.to_owned()),
            // A server may forget to escape it.
            1 => Just("\"a\u{1}\u{80}\"".to_owned()),
        ];
        let api = prop_oneof![
            Just((Endpoint::ChatCompletions, CHAT)),
            Just((Endpoint::Messages, MESSAGES)),
            Just((Endpoint::Responses, RESPONSES)),
        ];
        let pieces = collection::vec((text, 0..200_u32), 1..4);
        let picks = collection::vec((any::<Index>(), pieces), 1..8);
        (api, picks).prop_map(|((endpoint, forms), picks)| {
            let of = |(form, pieces): (Index, Vec<(String, u32)>)| {
                let event = move |(text, number): (String, u32)| {
                    form.get(forms).replace("TEXT", &text).replace("NUMBER", &number.to_string())
                };
                pieces.into_iter().map(event).collect::<Vec<_>>()
            };
            (endpoint, picks.into_iter().flat_map(of).collect())
        })
    }

    proptest! {
        /// What is remembered of an event changes nothing but the time that the next one takes.
        #[test]
        fn a_repeated_event_says_what_it_says_when_it_is_read((endpoint, events) in events()) {
            let mut observer = StreamObserver::new(endpoint, 1);
            let mut reader = StreamObserver::new(endpoint, 1);
            for event in events {
                observer.event(event.as_bytes());
                reader.repeated = Repeated::default();
                reader.event(event.as_bytes());
                prop_assert_eq!(observer.last(), reader.last(), "{}", &event);
                prop_assert_eq!(observer.content(), reader.content(), "{}", &event);
                prop_assert_eq!(
                    (observer.is_complete(), observer.is_over(), format!("{:?}", observer.observed())),
                    (reader.is_complete(), reader.is_over(), format!("{:?}", reader.observed())),
                    "{}", &event
                );
            }
        }
    }

    #[test]
    fn an_event_with_another_text_is_not_read() {
        let event = |id: &str, number: u32, text: &str| {
            format!(
                r#"{{"id":"{id}","n":{number},"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],"o":""}}"#
            )
        };
        let mut observer = StreamObserver::new(Endpoint::ChatCompletions, 1);
        observer.event(event("a", 7, "Hello").as_bytes());
        for (other, length) in [(event("", 7, "H"), 1), (event("bcd", 1_234, ", wörld"), 8)] {
            assert_eq!(observer.repeated.text_of(other.as_bytes()), Some(length), "{other}");
        }
        let of_another = event("a", 7, "a").replace(r#""index":0"#, r#""index":1"#);
        let of_a_word = event("a", 7, "a").replace(":7,", ":null,");
        let others =
            [event("a", 7, ""), event("a", 7, r"\n"), event(r"\n", 7, "a"), event("a", 7, r#"a","x":"b"#)];
        for other in others.into_iter().chain([of_another, of_a_word]) {
            assert_eq!(observer.repeated.text_of(other.as_bytes()), None, "{other}");
        }
    }
}
