//! The shapes of Gemini's answers: a `GenerateContentResponse` is a whole answer or a piece of one.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::types::{Content, Part};
use super::super::usage::UsageMetadata;
use crate::chat::{Annotation, Extra, Family, Losses, TokenLogprob};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    pub(super) candidates: Vec<Candidate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_feedback: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<UsageMetadata>,
    pub(super) model_version: &'a str,
    pub(super) response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_message: Option<&'a str>,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    citation_metadata: Option<CitationMetadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs_result: Option<LogprobsResult<'a>>,
    #[serde(flatten)]
    own: Own<'a>,
}

/// What a candidate has besides its content.
#[derive(Default)]
pub(super) struct Beside<'a> {
    /// The reason of its end, and what else there is to say of that.
    pub(super) finish: Option<(&'a str, Option<&'a str>)>,
    pub(super) citations: Vec<Citation<'a>>,
    pub(super) logprobs: &'a [TokenLogprob],
    pub(super) own: Own<'a>,
}

impl<'a> Candidate<'a> {
    /// A candidate that has no parts says so with a text: SDKs drop a turn of which a piece has none.
    pub(super) fn new(index: usize, mut parts: Vec<Part<'a>>, beside: Beside<'a>) -> Self {
        if parts.is_empty() {
            parts.push(Part::text(""));
        }
        let citations = beside.citations;
        Self {
            content: Content { role: "model", parts },
            finish_reason: beside.finish.map(|(reason, _)| reason),
            finish_message: beside.finish.and_then(|(_, message)| message),
            index,
            citation_metadata: (!citations.is_empty())
                .then_some(CitationMetadata { citation_sources: citations }),
            logprobs_result: LogprobsResult::of(beside.logprobs),
            own: beside.own,
        }
    }
}

/// Here it has another member than on Vertex AI: <https://ai.google.dev/api/generate-content#citationmetadata>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CitationMetadata<'a> {
    citation_sources: Vec<Citation<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Citation<'a> {
    #[serde(rename_all = "camelCase")]
    Known {
        /// In bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        start_index: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        end_index: Option<usize>,
        uri: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    /// As Gemini itself wrote it.
    Own(&'a RawValue),
}

/// What is told of a source.
pub(super) enum Told<'a> {
    As(Citation<'a>),
    /// In `groundingMetadata`, which is among what only Gemini has.
    Elsewhere,
    Lost,
}

impl<'a> Told<'a> {
    /// `span` is where in the text it is, in bytes.
    pub(super) fn of(annotation: &'a Annotation, span: Option<(usize, usize)>) -> Self {
        match &annotation.raw {
            Some(raw) if raw.family == Family::Google && raw.kind != "citation" => return Told::Elsewhere,
            Some(raw) if raw.family == Family::Google => {
                let own = serde_json::from_str(&raw.json).ok();
                return own.map_or(Told::Lost, |own| Told::As(Citation::Own(own)));
            }
            _ => {}
        }
        let Some(uri) = annotation.url.as_deref() else { return Told::Lost };
        let (start_index, end_index) = span.unzip();
        Told::As(Citation::Known { start_index, end_index, uri, title: annotation.title.as_deref() })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogprobsResult<'a> {
    top_candidates: Vec<TopCandidates<'a>>,
    chosen_candidates: Vec<Token<'a>>,
}

#[derive(Serialize)]
struct TopCandidates<'a> {
    candidates: Vec<Token<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    token: &'a str,
    log_probability: f64,
}

impl<'a> LogprobsResult<'a> {
    /// `None` where there are none.
    fn of(tokens: &'a [TokenLogprob]) -> Option<Self> {
        if tokens.is_empty() {
            return None;
        }
        let token = |token: &'a str, log_probability| Token { token, log_probability };
        let top = tokens.iter().map(|told| TopCandidates {
            candidates: told.top.iter().map(|(text, logprob)| token(text, *logprob)).collect(),
        });
        Some(Self {
            top_candidates: top.collect(),
            chosen_candidates: tokens.iter().map(|told| token(&told.token, told.logprob)).collect(),
        })
    }
}

/// What the prompt got in place of an answer; it is beside the candidates.
const PROMPT_FEEDBACK: &str = "promptFeedback";

/// Members that only Gemini has, and its clients know.
#[derive(Default)]
pub(super) struct Own<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'a> Own<'a> {
    /// Those of `extra`. What others have is lost.
    pub(super) fn of(extra: Option<&'a Extra>, losses: &mut Losses) -> Self {
        let mut own = Vec::new();
        for (name, json) in extra.into_iter().flat_map(|extra| &extra.members) {
            let is_own = extra.is_some_and(|extra| extra.family == Family::Google);
            match serde_json::from_str(json) {
                Ok(raw) if is_own => own.push((name.as_str(), raw)),
                _ => losses.add(format_args!("answer.{name}"), "not known to this gateway"),
            }
        }
        Self(own)
    }

    /// The same without [`PROMPT_FEEDBACK`], and that.
    pub(super) fn split(self) -> (Self, Option<&'a RawValue>) {
        let feedback = self.0.iter().find(|(name, _)| *name == PROMPT_FEEDBACK).map(|(_, raw)| *raw);
        let others = self.0.into_iter().filter(|(name, _)| *name != PROMPT_FEEDBACK);
        (Self(others.collect()), feedback)
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

impl Serialize for Own<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}
