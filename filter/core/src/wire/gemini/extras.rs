//! What a client says in Gemini's own words, where its API has none: `safetySettings` and its kin beside the API's
//! members, as Envoy AI Gateway takes them, or below `google`, as Google's own translation of OpenAI's API does
//! (<https://docs.cloud.google.com/vertex-ai/generative-ai/docs/start/openai>). Google takes each name in both its
//! spellings.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::types::Object;
use crate::chat::{Losses, Request};
use crate::wire::names::camel;
use crate::wire::raw::Members;

/// The members of a request's `extra` that are looked at here.
pub(super) const TAKEN: &[&str] = &[
    "safetySettings",
    "safety_settings",
    "generationConfig",
    "generation_config",
    "cachedContent",
    "cached_content",
    "labels",
    "modelArmorConfig",
    "model_armor_config",
    "google",
    "extra_body",
    "guided_choice",
    "guided_regex",
    "guided_json",
    "structured_outputs",
];

/// `google.genai.types.GenerationConfig` and what else the SDK puts there for Vertex AI.
const GENERATION: &[&str] = &[
    "audioTimestamp",
    "audioTranscriptionConfig",
    "candidateCount",
    "enableAffectiveDialog",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "modelConfig",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "routingConfig",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];

/// Taken apart.
#[derive(Default)]
pub(super) struct Own<'a> {
    /// Members of the request.
    pub(super) request: Object<'a>,
    /// Members of `generationConfig`, with where the client has them.
    pub(super) generation: Vec<(String, String, &'a RawValue)>,
    pub(super) cached_content: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// How vLLM has clients ask for a format: the members and their JSON.
    pub(super) guided: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> Own<'a> {
    pub(super) fn of(request: &'a Request, losses: &mut Losses) -> Self {
        let mut own = Self::default();
        let Some(extra) = request.extra.as_deref() else { return own };
        for name in TAKEN {
            if let Some(value) = extra.get(name) {
                own.take("", name, value, losses);
            }
        }
        own
    }

    fn take(&mut self, within: &str, name: &str, value: &'a RawValue, losses: &mut Losses) {
        let camel = camel(name);
        let is_new = |own: &Self| !own.request.has(&camel);
        match camel.as_str() {
            "safetySettings" | "modelArmorConfig" if is_new(self) => {
                self.request.put_raw(camel, Cow::Borrowed(value))
            }
            "generationConfig" => self.generation(&format!("{within}{name}."), value, losses),
            // As Google's own translation has them.
            "thinkingConfig" | "mediaResolution" if !within.is_empty() => {
                self.generation.push((camel, format!("{within}{name}"), value));
            }
            "cachedContent" if self.cached_content.is_none() => {
                self.cached_content = text(value);
            }
            "labels" => {
                let labels = Members::of(value.get()).0.into_iter();
                self.labels.extend(labels.filter_map(|(key, value)| Some((key.into_owned(), text(value)?))));
            }
            // The SDK's own `extra_body` is not in a body; Google's documentation has it inside of that once more.
            "google" | "extraBody" => {
                let path = format!("{within}{name}.");
                for (inner, value) in Members::of(value.get()).0 {
                    if path.matches('.').count() < 3 {
                        self.take(&path, &inner, value, losses);
                    }
                }
            }
            _ => match GUIDED.iter().find(|guided| **guided == name) {
                Some(guided) if within.is_empty() => self.guided.push((guided, value)),
                _ => losses.add(format_args!("{within}{name}"), "not known to this gateway"),
            },
        }
    }

    /// Whether thoughts are shown, where that is all that is said of them in Gemini's words.
    pub(super) fn include_thoughts(&self) -> Option<bool> {
        let (.., config) = self.generation.iter().find(|(name, ..)| name == "thinkingConfig")?;
        let members = Members::of(config.get()).0;
        let [(name, value)] = members.as_slice() else { return None };
        (camel(name) == "includeThoughts").then(|| serde_json::from_str(value.get()).ok())?
    }

    fn generation(&mut self, path: &str, value: &'a RawValue, losses: &mut Losses) {
        for (name, value) in Members::of(value.get()).0 {
            let camel = camel(&name);
            let is_new = !self.generation.iter().any(|(known, ..)| *known == camel);
            if GENERATION.contains(&camel.as_str()) && is_new {
                self.generation.push((camel, format!("{path}{name}"), value));
            } else {
                losses.add(format_args!("{path}{name}"), "not known to this gateway");
            }
        }
    }
}

pub(super) const GUIDED: &[&str] = &["guided_choice", "guided_regex", "guided_json", "structured_outputs"];

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}
