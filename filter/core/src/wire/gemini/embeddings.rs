//! Embeddings on Vertex AI, for which there are two methods.
//!
//! `:predict` for models that are older than Gemini's second one:
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>. `:embedContent` for the
//! others:
//! <https://docs.cloud.google.com/ruby/docs/reference/google-cloud-ai_platform-v1/latest/Google-Cloud-AIPlatform-V1-EmbedContentRequest>.

use serde::{Deserialize, Serialize};

use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::embeddings::{Aim, Cut, Embeddings, Input, Kept, Request, Vector};
use crate::usage::{Counter, Usage};
use crate::wire::job::{BackendJob, Rule, Seen, lose, parse};
use crate::wire::schema::To;
use crate::wire::to_json;
use crate::wire::usage::Count;

pub(super) static BACKEND: Backend = Backend;

#[derive(Debug)]
pub(super) struct Backend;

impl BackendJob<Embeddings> for Backend {
    fn path(&self, to: &To<'_>) -> String {
        let method = if takes_content(to.model) { "embedContent" } else { "predict" };
        to.path_at_google("google", to.model, method)
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        lose(losses, "user", request.user.as_ref(), Rule::Word);
        let is_start = request.truncate.filter(|truncate| truncate.cut == Cut::Start);
        if let Some(truncate) = is_start {
            losses.add(truncate.member, Rule::GoogleStart);
        }
        if takes_content(to.model) { content(request, losses) } else { instances(request, losses) }
    }

    fn answer<'a>(
        &self,
        seen: &Seen<'_>,
        kept: &Kept,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Answer<Vec<Vector<'a>>>> {
        if takes_content(seen.model) { of_content(kept, body, losses) } else { predicted(kept, body, losses) }
    }
}

/// By the rule of Google's own SDKs:
/// <https://github.com/googleapis/go-genai/blob/main/transformer.go>, `tIsVertexEmbedContentModel`.
fn takes_content(model: &str) -> bool {
    let is_newer = model.contains("gemini") && model != "gemini-embedding-001";
    is_newer || model.contains("maas")
}

fn task_type(aim: Aim) -> &'static str {
    match aim {
        Aim::Query => "RETRIEVAL_QUERY",
        Aim::Document => "RETRIEVAL_DOCUMENT",
        Aim::CodeQuery => "CODE_RETRIEVAL_QUERY",
        Aim::Question => "QUESTION_ANSWERING",
        Aim::Fact => "FACT_VERIFICATION",
        Aim::Similarity => "SEMANTIC_SIMILARITY",
        Aim::Classification => "CLASSIFICATION",
        Aim::Clustering => "CLUSTERING",
    }
}

fn auto_truncate(request: &Request) -> Option<bool> {
    request.truncate.map(|truncate| match truncate.cut {
        Cut::Nothing => false,
        Cut::Start | Cut::End => true,
    })
}

/// What an input is for, and its title, which Google takes of documents only.
fn purpose_and_title<'a>(
    request: &'a Request,
    index: usize,
    input: &'a Input,
    losses: &mut Losses,
) -> (Option<&'static str>, Option<&'a str>) {
    let aim = request.purpose_of(input).map(|purpose| purpose.aim);
    let title = request.title.as_deref().or(input.title.as_deref());
    if title.is_some() && aim != Some(Aim::Document) {
        let place = request.place(index);
        match request.title {
            Some(_) => losses.add("title", Rule::GoogleTitle),
            None => losses.add(format_args!("{place}.title"), Rule::GoogleTitle),
        }
        return (aim.map(task_type), None);
    }
    (aim.map(task_type), title)
}

#[derive(Serialize)]
struct Predict<'a> {
    instances: Vec<Instance<'a>>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    parameters: Parameters,
}

#[derive(Serialize)]
struct Instance<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

impl Parameters {
    fn is_empty(&self) -> bool {
        self.auto_truncate.is_none() && self.output_dimensionality.is_none()
    }
}

fn instances(request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let texts = request.texts()?;
    let inputs = request.inputs.iter().zip(texts).enumerate();
    let instances = inputs.map(|(index, (input, content))| {
        let (task_type, title) = purpose_and_title(request, index, input, losses);
        Instance { content, task_type, title }
    });
    let instances = instances.collect();
    let (auto_truncate, output_dimensionality) = (auto_truncate(request), request.dimensions);
    Ok(to_json(&Predict { instances, parameters: Parameters { auto_truncate, output_dimensionality } }))
}

#[derive(Deserialize)]
struct Predicted<'a> {
    #[serde(borrow)]
    predictions: Vec<Prediction<'a>>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Predictions<'a>,
}

#[derive(Deserialize)]
struct Predictions<'a> {
    #[serde(borrow)]
    values: Vector<'a>,
    #[serde(default)]
    statistics: Statistics,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Statistics {
    token_count: Count,
    truncated: bool,
}

fn predicted<'a>(kept: &Kept, body: &'a [u8], losses: &mut Losses) -> Result<Answer<Vec<Vector<'a>>>> {
    let Predicted { predictions } = parse(body)?;
    let statistics = || predictions.iter().map(|prediction| &prediction.embeddings.statistics);
    for (index, _) in statistics().enumerate().filter(|(_, statistics)| statistics.truncated) {
        losses.add(kept.place(index), Rule::WasCut);
    }
    let input = statistics().map(|statistics| statistics.token_count.get());
    let input = input.reduce(|sum, count| Some(sum?.saturating_add(count?))).flatten();
    let content = predictions.into_iter().map(|prediction| prediction.embeddings.values).collect();
    Ok(Answer { usage: Usage::of([(Counter::Input, input)]), ..Answer::of(content) })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedContent<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "EmbedContentConfig::is_empty")]
    embed_content_config: EmbedContentConfig<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedContentConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(flatten)]
    parameters: Parameters,
}

impl EmbedContentConfig<'_> {
    fn is_empty(&self) -> bool {
        self.task_type.is_none() && self.title.is_none() && self.parameters.is_empty()
    }
}

fn content(request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let text = request.text()?;
    let (task_type, title) = match request.inputs.first() {
        Some(input) => purpose_and_title(request, 0, input, losses),
        None => (None, None),
    };
    let (auto_truncate, output_dimensionality) = (auto_truncate(request), request.dimensions);
    let parameters = Parameters { auto_truncate, output_dimensionality };
    Ok(to_json(&EmbedContent {
        content: Content { parts: [Part { text }] },
        embed_content_config: EmbedContentConfig { task_type, title, parameters },
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embedded<'a> {
    #[serde(borrow)]
    embedding: Values<'a>,
    #[serde(default)]
    usage_metadata: UsageMetadata,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: Vector<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Count,
}

fn of_content<'a>(kept: &Kept, body: &'a [u8], losses: &mut Losses) -> Result<Answer<Vec<Vector<'a>>>> {
    let Embedded { embedding, usage_metadata, truncated } = parse(body)?;
    if truncated {
        losses.add(kept.place(0), Rule::WasCut);
    }
    let usage = Usage::of([(Counter::Input, usage_metadata.prompt_token_count.get())]);
    Ok(Answer { usage, ..Answer::of(vec![embedding.values]) })
}
