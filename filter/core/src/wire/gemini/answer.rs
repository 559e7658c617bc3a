//! The shapes of a `GenerateContentResponse`, which is a whole answer or one piece of a streamed one.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::Counters;
use crate::chat::{Content, Extra, Family, FinishReason, Foreign, MediaKind, Seal, Source, TokenLogprob};
use crate::wire::raw::{Members, compact, with_rest};

/// The most candidates and parts at once that are read. Gemini has eight candidates at most.
pub(super) const MAX_CANDIDATES: u32 = 64;

with_rest! {
    /// An answer, or a piece of one. `createTime` is when it was asked for.
    struct Answer<'a> {
        "candidates" => candidates: Vec<Candidate<'a>>,
        "promptFeedback" => prompt_feedback: &'a RawValue,
        "usageMetadata" => usage_metadata: Counters,
        "modelVersion" => model_version: String,
        "responseId" => response_id: String,
    }
    &["createTime"]
}

impl Answer<'_> {
    /// Nothing in it is Gemini's.
    pub(super) fn is_nothing(&self) -> bool {
        self.candidates.is_none()
            && self.prompt_feedback.is_none()
            && self.usage_metadata.is_none()
            && self.response_id.is_none()
    }

    /// What the neutral form has no word for.
    pub(super) fn extra(&self) -> Option<Extra> {
        extra(self.rest.iter().map(|(name, raw)| (name.as_str(), *raw)))
    }

    /// Why the prompt is not answered.
    pub(super) fn block(&self) -> Option<Block> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Feedback {
            block_reason: Option<String>,
        }
        let raw = self.prompt_feedback?;
        let feedback: Feedback = serde_json::from_str(raw.get()).ok()?;
        feedback.block_reason?;
        let extra =
            Extra { family: Family::Google, members: vec![("promptFeedback".to_owned(), compact(raw))] };
        Some(Block { extra })
    }
}

/// The prompt was blocked.
pub(super) struct Block {
    pub(super) extra: Extra,
}

with_rest! {
    /// One of the answers. `avgLogprobs` is a mean over its tokens, which are told where they are asked for;
    /// `tokenCount` is counted in the usage.
    struct Candidate<'a> {
        "content" => content: Turn<'a>,
        "finishReason" => finish_reason: Cow<'a, str>,
        "finishMessage" => finish_message: &'a RawValue,
        "index" => index: u32,
        "citationMetadata" => citation_metadata: &'a RawValue,
        "groundingMetadata" => grounding_metadata: &'a RawValue,
        "urlContextMetadata" => url_context_metadata: &'a RawValue,
        "safetyRatings" => safety_ratings: &'a RawValue,
        "logprobsResult" => logprobs_result: LogprobsResult,
    }
    &["avgLogprobs", "tokenCount"]
}

impl Candidate<'_> {
    /// What the neutral form has no word for.
    pub(super) fn extra(&self) -> Option<Extra> {
        let known = [
            ("safetyRatings", self.safety_ratings),
            ("groundingMetadata", self.grounding_metadata),
            ("urlContextMetadata", self.url_context_metadata),
            ("finishMessage", self.finish_message),
        ];
        let known = known.into_iter().filter_map(|(name, raw)| Some((name, raw?)));
        extra(known.chain(self.rest.iter().map(|(name, raw)| (name.as_str(), *raw))))
    }
}

/// What is said in these members.
fn extra<'a>(members: impl Iterator<Item = (&'a str, &'a RawValue)>) -> Option<Extra> {
    let is_said = |raw: &RawValue| !matches!(raw.get(), "null" | "[]" | "{}" | "\"\"");
    let said = members.filter(|(_, raw)| is_said(raw));
    let members: Vec<_> = said.map(|(name, raw)| (name.to_owned(), compact(raw))).collect();
    (!members.is_empty()).then_some(Extra { family: Family::Google, members })
}

#[derive(Default, Deserialize)]
pub(super) struct Turn<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<Vec<&'a RawValue>>,
}

/// The members of a part that are known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thought: Option<bool>,
    pub(super) thought_signature: Option<String>,
    #[serde(borrow)]
    pub(super) function_call: Option<FunctionCall<'a>>,
    inline_data: Option<Blob>,
    file_data: Option<FileData>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall<'a> {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
}

impl FunctionCall<'_> {
    pub(super) fn arguments(&self) -> String {
        self.args.filter(|args| args.get() != "null").map_or_else(|| "{}".to_owned(), compact)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    mime_type: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileData {
    mime_type: Option<String>,
    file_uri: Option<String>,
}

/// What a part is.
pub(super) enum Piece<'a> {
    Text(String),
    Thought(String),
    Call(FunctionCall<'a>),
    Other(Content),
    Nothing,
}

/// What the part `raw` is, with its signature. Of an unknown kind is what Gemini may say any day: it goes back to it as
/// it is.
pub(super) fn piece<'a>(raw: &'a RawValue) -> (Piece<'a>, Option<Seal>) {
    let Ok(part) = serde_json::from_str::<Part<'a>>(raw.get()) else { return (foreign(raw), None) };
    let seal = part.thought_signature.filter(|data| !data.is_empty());
    let seal = seal.map(|data| Seal { by: Family::Google, data });
    let piece = match part {
        Part { function_call: Some(call), .. } => Piece::Call(call),
        Part { text: Some(text), thought: Some(true), .. } => Piece::Thought(text),
        Part { text: Some(text), .. } => Piece::Text(text),
        Part { inline_data: Some(Blob { mime_type, data }), .. } => {
            let media_type = mime_type.unwrap_or_default();
            let kind = kind_of(&media_type);
            media(kind, Source::Base64 { media_type, data: data.unwrap_or_default() })
        }
        Part { file_data: Some(FileData { mime_type, file_uri }), .. } => {
            let kind = kind_of(mime_type.as_deref().unwrap_or_default());
            media(kind, Source::Url { url: file_uri.unwrap_or_default(), media_type: mime_type })
        }
        // A signature may come alone.
        _ if seal.is_some() => Piece::Text(String::new()),
        _ => foreign(raw),
    };
    (piece, seal)
}

fn media(kind: MediaKind, source: Source) -> Piece<'static> {
    Piece::Other(Content::Media { kind, source, detail: None, name: None })
}

/// What a medium of this type is.
pub(super) fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        Some("image") => MediaKind::Image,
        _ => MediaKind::Document,
    }
}

fn foreign(raw: &RawValue) -> Piece<'_> {
    let members = Members::of(raw.get());
    let Some((kind, _)) = members.0.into_iter().next() else { return Piece::Nothing };
    Piece::Other(Content::Foreign(Foreign {
        family: Family::Google,
        kind: kind.into_owned(),
        json: compact(raw),
    }))
}

/// `google.genai.types.FinishReason`
pub(super) fn finish_reason(reason: Option<&str>, has_calls: bool) -> FinishReason {
    match reason {
        None | Some("STOP") if has_calls => FinishReason::ToolCalls,
        None | Some("STOP") => FinishReason::Stop,
        Some("MAX_TOKENS") => FinishReason::Length,
        Some(
            "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION",
        ) => FinishReason::ContentFilter,
        Some(
            "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE",
        ) => FinishReason::Malformed,
        Some(other) => FinishReason::Other(other.to_owned()),
    }
}

/// The way back: a reason in Gemini's words, and what there is to say where they have none.
pub(super) fn reason_of(reason: &FinishReason, is_refused: bool) -> (&str, Option<&str>) {
    match reason {
        FinishReason::Stop if is_refused => ("SAFETY", None),
        FinishReason::Stop | FinishReason::StopSequence(_) | FinishReason::ToolCalls => ("STOP", None),
        FinishReason::Length | FinishReason::ContextWindow => ("MAX_TOKENS", None),
        FinishReason::ContentFilter => ("SAFETY", None),
        FinishReason::Malformed => ("MALFORMED_FUNCTION_CALL", None),
        FinishReason::Pause => ("OTHER", Some("pause_turn")),
        FinishReason::Other(own) if is_geminis(own) => (own, None),
        FinishReason::Other(other) => ("OTHER", Some(other)),
    }
}

fn is_geminis(reason: &str) -> bool {
    !reason.is_empty() && reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogprobsResult {
    chosen_candidates: Option<Vec<Token>>,
    top_candidates: Option<Vec<TopCandidates>>,
}

#[derive(Deserialize)]
struct TopCandidates {
    candidates: Option<Vec<Token>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    token: Option<String>,
    log_probability: Option<f64>,
}

impl LogprobsResult {
    pub(super) fn tokens(self) -> Vec<TokenLogprob> {
        let mut top = self.top_candidates.unwrap_or_default().into_iter();
        let told =
            |token: Token| (token.token.unwrap_or_default(), token.log_probability.unwrap_or_default());
        let chosen = self.chosen_candidates.unwrap_or_default().into_iter();
        let tokens = chosen.map(|chosen| {
            let others = top.next().and_then(|top| top.candidates).unwrap_or_default();
            let (token, logprob) = told(chosen);
            TokenLogprob { token, logprob, top: others.into_iter().map(told).collect() }
        });
        tokens.collect()
    }
}
