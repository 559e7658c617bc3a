//! `generationConfig`, and in it what the answer is to look like and how much to think.

use super::names::{count, fields, whole, word};
use super::request::keep;
use super::schema::to_json_schema;
use crate::chat::{Losses, Request, ResponseFormat, Thinking, ThinkingMode};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;

/// Reads `config` into `request`. What others have no word for goes to `own`.
pub(super) fn decode_config(
    path: &Path<'_>,
    config: Json<'_>,
    request: &mut Request,
    own: &mut Vec<(String, String)>,
    losses: &mut Losses,
) -> Result<()> {
    let mut config = fields(path, config)?;
    request.temperature = config.f64("temperature")?;
    request.top_p = config.f64("topP")?;
    request.top_k = count(&mut config, "topK")?;
    request.n = count(&mut config, "candidateCount")?;
    request.max_tokens = count(&mut config, "maxOutputTokens")?;
    request.presence_penalty = config.f64("presencePenalty")?;
    request.frequency_penalty = config.f64("frequencyPenalty")?;
    request.seed = whole(&mut config, "seed")?;
    request.logprobs = config.bool("responseLogprobs")?.unwrap_or(false);
    request.top_logprobs = count(&mut config, "logprobs")?;
    for (index, stop) in config.list("stopSequences")?.into_iter().enumerate() {
        request.stop.push(Path::Index(&config.path("stopSequences"), index).string(stop)?);
    }
    request.response_format = format(&mut config, losses)?;
    if let Some(thinking) = config.take("thinkingConfig") {
        request.thinking = thinking_config(&config.path("thinkingConfig"), thinking, own)?;
    }
    // Text is what all of them answer with.
    config.take_if("responseModalities", |modalities| {
        let is_text =
            |modality: &Json<'_>| modality.as_str().is_some_and(|it| it.eq_ignore_ascii_case("text"));
        matches!(modalities, Json::Array(list) if list.iter().all(is_text))
    });
    keep("generationConfig", config, own);
    Ok(())
}

/// What the answer is to look like. Lists of choices and other media types have no word elsewhere: they stay where they
/// are.
fn format(config: &mut Fields<'_>, losses: &mut Losses) -> Result<Option<ResponseFormat>> {
    let mut is_json = false;
    config.take_if("responseMimeType", |told| {
        is_json = told.as_str() == Some("application/json");
        is_json || matches!(told.as_str(), Some("text/plain" | ""))
    });
    if !is_json {
        return Ok(None);
    }
    let older = config.take("responseSchema");
    let text = match (config.object_text("responseJsonSchema")?, older) {
        (Some(text), None) => text,
        (Some(text), Some(_)) => {
            let path = config.path("responseSchema");
            losses.add(path, "responseJsonSchema says it as well, which counts");
            text
        }
        (None, Some(schema)) => to_json_schema(&config.path("responseSchema"), schema)?,
        (None, None) => return Ok(Some(ResponseFormat::JsonObject)),
    };
    Ok(Some(ResponseFormat::JsonSchema { name: None, schema: text, strict: None }))
}

/// `google.genai.types.ThinkingConfig`: a budget of 0 is none at all, one of -1 the model's own.
fn thinking_config(path: &Path<'_>, config: Json<'_>, own: &mut Vec<(String, String)>) -> Result<Thinking> {
    let mut config = fields(path, config)?;
    let mut thinking = Thinking::default();
    match config.bool("includeThoughts")? {
        // In the words that show them where they are hidden by default, of a model that does not think by itself.
        Some(true) => {
            thinking.display = Some("summarized".to_owned());
            thinking.mode = Some(ThinkingMode::Adaptive);
        }
        shown => thinking.include_thoughts = shown,
    }
    match whole(&mut config, "thinkingBudget")? {
        None => {}
        Some(0) => thinking.mode = Some(ThinkingMode::Disabled),
        Some(budget) => match u64::try_from(budget) {
            Ok(tokens) => {
                thinking.mode = Some(ThinkingMode::Enabled);
                thinking.budget_tokens = Some(tokens);
            }
            Err(_) => thinking.mode = Some(ThinkingMode::Adaptive),
        },
    }
    let level = word(&mut config, "thinkingLevel")?.filter(|level| level != "THINKING_LEVEL_UNSPECIFIED");
    thinking.effort = level.map(|level| level.to_ascii_lowercase());
    keep("generationConfig.thinkingConfig", config, own);
    Ok(thinking)
}
