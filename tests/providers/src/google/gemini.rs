//! An answer of Gemini's: made up from the request, shown whole or in pieces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::check::{declarations, is_newest};
use crate::object::with;
use crate::server::Ask;
use crate::text::{self, End};

/// What the stand-in thinks when its thoughts are to be shown.
const THOUGHT: &str = "The user greets me, so I greet back.";

/// An answer and what it cost.
#[derive(Debug)]
pub(super) struct Reply {
    id: String,
    model: String,
    thoughts: Vec<String>,
    text: Vec<String>,
    /// Parts with calls.
    calls: Vec<Value>,
    /// The signature of the text.
    signature: Option<String>,
    reason: &'static str,
    input: u64,
    output: u64,
    thinking: u64,
}

impl Reply {
    /// The answer to a request that passed the check.
    pub(super) fn new(ask: &Ask<'_>, model: &str, body: &Value) -> Self {
        let is_newest = is_newest(model);
        let thinks = body.pointer("/generationConfig/thinkingConfig/includeThoughts") == Some(&json!(true));
        let thoughts: Vec<String> = match thinks {
            true => THOUGHT.split_inclusive(' ').map(str::to_owned).collect(),
            false => Vec::new(),
        };
        let thinking = thoughts.len() as u64;
        let mut calls = Vec::new();
        for (index, function) in called(body, thinks).iter().enumerate() {
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            let schema = function.get("parametersJsonSchema").or_else(|| function.get("parameters"));
            let args = text::sample(&lower(schema.unwrap_or(&Value::Null)));
            let mut part = json!({"functionCall": {"name": name, "args": args}});
            if is_newest {
                part = json!({"functionCall": {"id": format!("fc_{}_{index}", ask.id), "name": name, "args": args}});
                if index == 0 {
                    part = with(part, json!({"thoughtSignature": signature(name)}));
                }
            }
            calls.push(part);
        }
        let (mut said, mut reason) = (Vec::new(), "STOP");
        if calls.is_empty() {
            let config = |name: &str| body.pointer(&format!("/generationConfig/{name}"));
            let stops = config("stopSequences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let stops: Vec<_> = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let schema =
                config("responseJsonSchema").cloned().or_else(|| config("responseSchema").map(lower));
            let wanted = match (config("responseMimeType").and_then(Value::as_str), schema) {
                (Some("text/x.enum"), Some(schema)) => {
                    text::sample(&schema).as_str().unwrap_or_default().to_owned()
                }
                (Some("application/json"), schema) => text::sample(&schema.unwrap_or_default()).to_string(),
                _ => text::sentence(ask.name, ask.words),
            };
            let text = text::say(&wanted, config("maxOutputTokens").and_then(Value::as_u64), &stops);
            if text.end == End::Limit {
                reason = "MAX_TOKENS";
            }
            said = text.pieces;
        }
        let arguments = calls.iter().filter_map(|part| part.pointer("/functionCall/args"));
        let output = said.len() as u64 + arguments.map(|args| text::words(&args.to_string())).sum::<u64>();
        Self {
            id: format!("gemini-{}-{}", ask.name, ask.id),
            model: model.to_owned(),
            signature: (is_newest && calls.is_empty()).then(|| signature("")),
            thoughts,
            text: said,
            calls,
            reason,
            input: input_tokens(body),
            output,
            thinking,
        }
    }

    /// The answer of a request that did not ask for a stream.
    pub(super) fn whole(&self) -> Value {
        let mut parts = Vec::new();
        if !self.thoughts.is_empty() {
            parts.push(json!({"text": self.thoughts.concat(), "thought": true}));
        }
        if !self.text.is_empty() {
            let part = json!({"text": self.text.concat()});
            parts.push(match &self.signature {
                Some(signature) => with(part, json!({"thoughtSignature": signature})),
                None => part,
            });
        }
        parts.extend(self.calls.iter().cloned());
        let candidate = json!({
            "content": {"role": "model", "parts": parts},
            "finishReason": self.reason,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
            "avgLogprobs": -0.1,
        });
        self.response(vec![candidate], self.usage())
    }

    /// The same in pieces. Texts come word by word, a call whole, and the counts with the last.
    pub(super) fn chunks(&self) -> Vec<Value> {
        let mut parts: Vec<Value> =
            self.thoughts.iter().map(|text| json!({"text": text, "thought": true})).collect();
        parts.extend(self.text.iter().map(|text| json!({ "text": text })));
        parts.extend(self.calls.iter().cloned());
        let before = json!({"trafficType": "ON_DEMAND"});
        let mut chunks: Vec<Value> = parts
            .into_iter()
            .map(|part| {
                self.response(vec![json!({"content": {"role": "model", "parts": [part]}})], before.clone())
            })
            .collect();
        // The signature of a text stands in a part without any.
        let last = match &self.signature {
            Some(signature) => json!({"text": "", "thoughtSignature": signature}),
            None => json!({"text": ""}),
        };
        let candidate = json!({"content": {"role": "model", "parts": [last]}, "finishReason": self.reason});
        chunks.push(self.response(vec![candidate], self.usage()));
        chunks
    }

    fn usage(&self) -> Value {
        let mut usage = json!({
            "promptTokenCount": self.input,
            "candidatesTokenCount": self.output,
            "totalTokenCount": self.input + self.output + self.thinking,
            "trafficType": "ON_DEMAND",
        });
        if self.thinking > 0 {
            usage = with(usage, json!({"thoughtsTokenCount": self.thinking}));
        }
        usage
    }

    fn response(&self, candidates: Vec<Value>, usage: Value) -> Value {
        json!({
            "candidates": candidates,
            "usageMetadata": usage,
            "modelVersion": self.model,
            "createTime": "2026-11-22T10:00:00.000000Z",
            "responseId": self.id,
        })
    }
}

/// The functions it calls: those it must, or the first one if it thinks and the user has spoken.
fn called(body: &Value, thinks: bool) -> Vec<Value> {
    let functions = declarations(body);
    let mode = body.pointer("/toolConfig/functionCallingConfig/mode").and_then(Value::as_str);
    let allowed = body.pointer("/toolConfig/functionCallingConfig/allowedFunctionNames");
    let allowed = allowed.and_then(Value::as_array);
    let is_allowed = |function: &Value| {
        allowed.is_none_or(|allowed| function.get("name").is_some_and(|name| allowed.contains(name)))
    };
    let last = body.get("contents").and_then(Value::as_array).and_then(|contents| contents.last());
    let parts = last.and_then(|last| last.get("parts")).and_then(Value::as_array);
    let is_answered =
        parts.is_some_and(|parts| parts.iter().any(|part| part.get("functionResponse").is_some()));
    match mode {
        Some("ANY") => functions.into_iter().filter(is_allowed).collect(),
        None | Some("AUTO") if thinks && !is_answered => functions.into_iter().take(1).collect(),
        _ => Vec::new(),
    }
}

/// The types of a schema as JSON Schema writes them.
fn lower(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(kind) if name == "type" => (name.clone(), json!(kind.to_lowercase())),
                value => (name.clone(), lower(value)),
            })
            .collect(),
        other => other.clone(),
    }
}

/// The proof that a call, or a text, is the stand-in's own.
pub(super) fn signature(name: &str) -> String {
    STANDARD.encode(format!("\u{fb}\u{ff}stand-in {name}"))
}

/// An answer of `countTokens`.
pub(super) fn counted(body: &Value) -> Value {
    let tokens = input_tokens(body);
    json!({
        "totalTokens": tokens,
        "totalBillableCharacters": tokens * 4,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
    })
}

/// Tokens of the prompt: words of the instructions and of all contents.
fn input_tokens(body: &Value) -> u64 {
    let contents = body.get("contents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let parts =
        contents.iter().chain(body.get("systemInstruction")).filter_map(|content| content.get("parts"));
    parts
        .flat_map(|parts| parts.as_array().map_or(&[][..], Vec::as_slice))
        .map(|part| {
            let result = part.pointer("/functionResponse/response").and_then(Value::as_object);
            let result: u64 =
                result.into_iter().flat_map(|result| result.values()).map(text::content_words).sum();
            part.get("text").map_or(0, text::content_words) + result
        })
        .sum()
}
