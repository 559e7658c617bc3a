//! The shapes of answers, whole or in chunks, as servers of all kinds write them.
//!
//! Compatible servers agree on where things are, and hardly on their types: `null` for a list, parts for a text, an
//! object for the JSON of arguments. What is odd counts as not said and never costs the rest.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Annotation, Extra, Family, FinishReason, Foreign, Seal, TokenLogprob};
use crate::wire::raw::compact;
use crate::wire::usage::Count;

/// A `chat.completion`, or a `chat.completion.chunk`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) id: Word<'a>,
    #[serde(borrow)]
    pub(super) model: Word<'a>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Word<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice<'a> {
    pub(super) index: Count,
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow)]
    pub(super) delta: Option<Message<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Word<'a>,
    /// vLLM's: the stop text that the model came to.
    #[serde(borrow)]
    pub(super) stop_reason: Word<'a>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    /// Azure's.
    #[serde(borrow)]
    pub(super) content_filter_results: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    pub(super) content: Said,
    #[serde(borrow)]
    pub(super) refusal: Word<'a>,
    /// The same thoughts under several names: servers do not agree on one, and some send two.
    pub(super) reasoning_content: Said,
    pub(super) reasoning: Said,
    pub(super) reasoning_text: Said,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) audio: Option<Audio<'a>>,
    #[serde(borrow)]
    pub(super) images: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Audio<'a> {
    #[serde(borrow)]
    pub(super) transcript: Word<'a>,
    #[serde(borrow)]
    pub(super) data: Word<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Call<'a> {
    pub(super) index: Count,
    #[serde(borrow)]
    pub(super) id: Word<'a>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<Custom<'a>>,
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Word<'a>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

/// A tool that is given a text. No request from here has one, but a server may have tools of its own.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Custom<'a> {
    #[serde(borrow)]
    pub(super) name: Word<'a>,
    #[serde(borrow)]
    pub(super) input: Word<'a>,
}

impl Message<'_> {
    /// What the model thought, by the first name that has something.
    pub(super) fn thoughts(&mut self) -> String {
        let thoughts = [&mut self.reasoning_content, &mut self.reasoning, &mut self.reasoning_text];
        let said =
            thoughts.into_iter().map(|said| std::mem::take(&mut said.text)).find(|text| !text.is_empty());
        said.unwrap_or_else(|| std::mem::take(&mut self.content.thoughts))
    }
}

impl Function<'_> {
    /// The piece of JSON text that it brings.
    pub(super) fn arguments(&self) -> String {
        let Some(arguments) = self.arguments else { return String::new() };
        match arguments.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(arguments.get()).unwrap_or_default(),
            // Older servers write the object itself.
            Some(b'{') => compact(arguments),
            _ => String::new(),
        }
    }
}

impl Call<'_> {
    /// What Google's servers want to see again with the call.
    pub(super) fn seal(&self) -> Option<Seal> {
        #[derive(Deserialize)]
        struct ExtraContent {
            google: Google,
        }
        #[derive(Deserialize)]
        struct Google {
            thought_signature: String,
        }
        let extra: ExtraContent = serde_json::from_str(self.extra_content?.get()).ok()?;
        let data = extra.google.thought_signature;
        (!data.is_empty()).then_some(Seal { by: Family::Google, data })
    }
}

/// A text. Anything that is none counts as not said.
#[derive(Debug, Default)]
pub(super) struct Word<'a>(Option<Cow<'a, str>>);

impl Word<'_> {
    /// The text, if there is something in it.
    pub(super) fn said(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty()).map(Cow::into_owned)
    }

    pub(super) fn is_said(&self) -> bool {
        !self.as_str().is_empty()
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A text, or parts with texts in them, of which some may be thoughts.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) thoughts: String,
}

impl Said {
    /// Adds a part: `{type: text, text}`, `{type: thinking, thinking}` (Mistral's has parts in it), `{type:
    /// refusal, refusal}`.
    fn add(&mut self, part: &Value) {
        let is_thought = part.get("type").is_some_and(|kind| kind == "thinking");
        let to = if is_thought { &mut self.thoughts } else { &mut self.text };
        let said = ["text", "thinking", "refusal"].into_iter().find_map(|key| part.get(key));
        match said.or(Some(part)) {
            Some(Value::String(text)) => to.push_str(text),
            Some(Value::Array(inner)) => {
                for text in inner.iter().filter_map(|part| part.get("text")?.as_str()) {
                    to.push_str(text);
                }
            }
            _ => {}
        }
    }
}

/// Builds a value from a text or a list, and its default from anything else.
struct Lenient<'de, T>(fn(Cow<'de, str>) -> T, fn(Vec<Value>) -> T);

impl<'de, T: Default> Visitor<'de> for Lenient<'de, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(self.0(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(self.0(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(self.1(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(|text| Word(Some(text)), |_| Word(None)))
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let of_parts = |parts: Vec<Value>| {
            let mut said = Said::default();
            parts.iter().for_each(|part| said.add(part));
            said
        };
        deserializer.deserialize_any(Lenient(
            |text| Said { text: text.into_owned(), thoughts: String::new() },
            of_parts,
        ))
    }
}

/// Why the model stopped, where `reason` says so. `has_calls`: it called tools, which servers say otherwise where a
/// call was forced.
pub(super) fn finish_reason(reason: Word<'_>, stop: Word<'_>, has_calls: bool) -> Option<FinishReason> {
    // An empty one is no reason: some servers have it in every chunk.
    let reason = reason.said()?;
    Some(match reason.as_str() {
        "stop" | "tool_calls" | "function_call" if has_calls => FinishReason::ToolCalls,
        "stop" | "tool_calls" | "function_call" => match stop.said() {
            Some(text) => FinishReason::StopSequence(Some(text)),
            None => FinishReason::Stop,
        },
        // The second is Mistral's.
        "length" | "model_length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other(reason),
    })
}

/// The tokens of `logprobs`.
pub(super) fn logprobs(json: Option<&RawValue>) -> Vec<TokenLogprob> {
    #[derive(Deserialize)]
    struct Logprobs {
        content: Option<Vec<Told>>,
    }
    #[derive(Deserialize)]
    struct Told {
        token: String,
        logprob: f64,
        #[serde(default)]
        top_logprobs: Option<Vec<Top>>,
    }
    #[derive(Deserialize)]
    struct Top {
        token: String,
        logprob: f64,
    }
    let told: Option<Logprobs> = json.and_then(|json| serde_json::from_str(json.get()).ok());
    let tokens = told.and_then(|told| told.content).unwrap_or_default().into_iter();
    let tokens = tokens.map(|told| TokenLogprob {
        token: told.token,
        logprob: told.logprob,
        top: told.top_logprobs.unwrap_or_default().into_iter().map(|top| (top.token, top.logprob)).collect(),
    });
    tokens.collect()
}

/// What is said of the text. OpenAI counts in characters: <https://platform.openai.com/docs/guides/tools-web-search>.
pub(super) fn annotations(json: Option<&RawValue>) -> Vec<Annotation> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(borrow)]
        url_citation: Option<Citation<'a>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Citation<'a> {
        start_index: Option<usize>,
        end_index: Option<usize>,
        #[serde(borrow)]
        title: Word<'a>,
        #[serde(borrow)]
        url: Word<'a>,
    }
    let list: Option<Vec<&RawValue>> = json.and_then(|json| serde_json::from_str(json.get()).ok());
    let annotations = list.unwrap_or_default().into_iter().filter_map(|raw| {
        let Wire { kind, url_citation } = serde_json::from_str(raw.get()).ok()?;
        let citation = url_citation.unwrap_or_default();
        Some(Annotation {
            span: citation.start_index.zip(citation.end_index),
            url: citation.url.said(),
            title: citation.title.said(),
            cited_text: None,
            raw: Some(Foreign { family: Family::OpenAi, kind, json: raw.get().to_owned() }),
        })
    });
    annotations.collect()
}

/// The addresses of pictures that the model made: OpenRouter's `images`.
pub(super) fn images(json: Option<&RawValue>) -> Vec<String> {
    let list: Option<Vec<Value>> = json.and_then(|json| serde_json::from_str(json.get()).ok());
    let urls = list.unwrap_or_default();
    urls.iter().filter_map(|image| image.pointer("/image_url/url")?.as_str().map(str::to_owned)).collect()
}

/// What Azure's filters say of a choice, where they found something; else it is with every chunk and says nothing.
pub(super) fn filtered(json: Option<&RawValue>) -> Option<Extra> {
    let json = json?.get();
    let is_filtered = |result: &Value| result.get("filtered").is_some_and(|filtered| filtered == true);
    let results: Value = serde_json::from_str(json).ok()?;
    let found = results.as_object()?.values().any(is_filtered);
    let member = ("content_filter_results".to_owned(), json.to_owned());
    found.then(|| Extra { family: Family::OpenAi, members: vec![member] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_types_cost_nothing_else() {
        let odd = [
            r#"{"content":"t","refusal":7,"reasoning":{"a":[1]},"tool_calls":null,"annotations":"x","audio":null}"#,
            r#"{"content":[{"type":"text","text":"t"}],"reasoning_content":null,"function_call":null}"#,
            r#"{"content":["t"],"images":{},"new":[{}]}"#,
        ];
        for message in odd {
            let message: Message<'_> = serde_json::from_str(message).unwrap();
            assert_eq!(message.content.text, "t");
            assert_eq!(message.refusal.said(), None);
            assert!(annotations(message.annotations).is_empty() && images(message.images).is_empty());
        }
    }

    #[test]
    fn thoughts_are_read_once_whatever_they_are_called() {
        for message in [
            r#"{"reasoning_content":"a","reasoning":"a"}"#,
            r#"{"reasoning_content":"","reasoning":"a"}"#,
            r#"{"reasoning_text":"a","content":"b"}"#,
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]}"#,
        ] {
            let mut message: Message<'_> = serde_json::from_str(message).unwrap();
            assert_eq!(message.thoughts(), "a");
        }
    }

    #[test]
    fn a_reason_is_what_it_comes_to() {
        let word = |text| Word(Some(Cow::Borrowed(text)));
        let reason = |reason, has_calls| finish_reason(word(reason), Word(None), has_calls);
        assert_eq!(reason("", true), None);
        assert_eq!(reason("stop", false), Some(FinishReason::Stop));
        assert_eq!(reason("stop", true), Some(FinishReason::ToolCalls));
        assert_eq!(reason("tool_calls", false), Some(FinishReason::Stop), "there is nothing to wait for");
        assert_eq!(reason("abort", true), Some(FinishReason::Other("abort".to_owned())));
        let stopped = finish_reason(word("stop"), word("END"), false);
        assert_eq!(stopped, Some(FinishReason::StopSequence(Some("END".to_owned()))));
    }
}
