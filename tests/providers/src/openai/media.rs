//! Images and audio.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::{Refusal, model};
use crate::answer::{self, Answer};
use crate::server::Ask;
use crate::text;

/// A PNG of one transparent pixel, in Base64.
const PIXEL: &str = concat!(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
);
/// Tokens of one picture.
const IMAGE_TOKENS: u64 = 272;
/// Chunks a spoken text is sent in.
const SPEECH_CHUNKS: usize = 4;

/// `/v1/images/generations`.
pub(crate) fn images(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let prompt = body.get("prompt").and_then(Value::as_str).ok_or_else(|| Refusal::missing("prompt"))?;
    let count = body.get("n").and_then(Value::as_u64).unwrap_or(1).clamp(1, 10);
    Ok(pictures(ask, text::words(prompt), count))
}

/// `/v1/images/edits`, and, without a prompt, `/v1/images/variations`.
pub(crate) async fn edit(ask: &Ask<'_>, has_prompt: bool) -> Result<Answer, Refusal> {
    let form = Form::read(ask).await?;
    if form.model.is_none_or(|model| model.is_empty()) {
        return Err(Refusal::missing("model"));
    }
    if form.images == 0 {
        return Err(Refusal::missing("image"));
    }
    match form.prompt {
        Some(prompt) if has_prompt => Ok(pictures(ask, text::words(&prompt) + form.images * IMAGE_TOKENS, 1)),
        None if has_prompt => Err(Refusal::missing("prompt")),
        // The only model of variations, `dall-e-2`, says nothing of tokens.
        _ => Ok(Answer::json(200, &json!({"created": ask.now(), "data": [{"b64_json": PIXEL}]}))),
    }
}

fn pictures(ask: &Ask<'_>, input: u64, count: u64) -> Answer {
    let data: Vec<_> = (0..count).map(|_| json!({"b64_json": PIXEL})).collect();
    let output = IMAGE_TOKENS * count;
    Answer::json(
        200,
        &json!({
            "created": ask.now(),
            "background": "opaque",
            "data": data,
            "output_format": "png",
            "quality": "low",
            "size": "1024x1024",
            "usage": {
                "input_tokens": input,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": input},
                "output_tokens": output,
                "output_tokens_details": {"image_tokens": output, "text_tokens": 0},
                "total_tokens": input + output,
            },
        }),
    )
}

/// `/v1/audio/speech`: bytes, or events with `stream_format: sse`.
pub(crate) fn speech(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let input = body.get("input").and_then(Value::as_str).ok_or_else(|| Refusal::missing("input"))?;
    if body.get("voice").is_none() {
        return Err(Refusal::missing("voice"));
    }
    // Not a sound anyone would play, but every byte of it can be checked.
    let sound = format!("{}:{}", model(body), input).into_bytes();
    let size = sound.len().div_ceil(SPEECH_CHUNKS).max(1);
    let chunks: Vec<Bytes> = sound.chunks(size).map(Bytes::copy_from_slice).collect();
    if body.get("stream_format").and_then(Value::as_str) != Some("sse") {
        let kind = match body.get("response_format").and_then(Value::as_str) {
            Some("opus") => "audio/ogg",
            Some("wav") => "audio/wav",
            Some("aac") => "audio/aac",
            Some("flac") => "audio/flac",
            Some("pcm") => "audio/pcm",
            _ => "audio/mpeg",
        };
        return Ok(Answer::stream(kind, chunks, Duration::ZERO));
    }
    let (input, output) = (text::words(input), chunks.len() as u64);
    let mut events: Vec<_> = chunks
        .iter()
        .map(|chunk| {
            answer::event(None, &json!({"type": "speech.audio.delta", "audio": STANDARD.encode(chunk)}))
        })
        .collect();
    let usage = json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output});
    events.push(answer::event(None, &json!({"type": "speech.audio.done", "usage": usage})));
    Ok(Answer::events(events, ask.pace))
}

/// `/v1/audio/transcriptions` and, with `same_language` off, `/v1/audio/translations`.
pub(crate) async fn transcription(ask: &Ask<'_>, same_language: bool) -> Result<Answer, Refusal> {
    let form = Form::read(ask).await?;
    if form.model.is_none_or(|model| model.is_empty()) {
        return Err(Refusal::missing("model"));
    }
    let size = form.file.ok_or_else(|| Refusal::missing("file"))?;
    let said = text::say(&text::sentence(ask.name, ask.words), None, &[]);
    // A second of sound per 16,000 bytes, a token per tenth of a second.
    let input = (size as u64).div_ceil(1600);
    let output = said.tokens() as u64;
    let usage = json!({
        "type": "tokens",
        "input_tokens": input,
        "input_token_details": {"text_tokens": 0, "audio_tokens": input},
        "output_tokens": output,
        "total_tokens": input + output,
    });
    if same_language && form.stream {
        let mut events: Vec<_> = said
            .pieces
            .iter()
            .map(|piece| json!({"type": "transcript.text.delta", "delta": piece}))
            .map(|event| answer::event(None, &event))
            .collect();
        let done = json!({"type": "transcript.text.done", "text": said.text(), "usage": usage});
        events.push(answer::event(None, &done));
        return Ok(Answer::events(events, ask.pace));
    }
    Ok(match form.response_format.as_deref() {
        Some("text" | "srt" | "vtt") => Answer::bytes(200, "text/plain; charset=utf-8", said.text() + "\n"),
        _ if same_language => Answer::json(200, &json!({"text": said.text(), "usage": usage})),
        _ => Answer::json(200, &json!({"text": said.text()})),
    })
}

/// The fields of a form that matter here.
#[derive(Default)]
struct Form {
    model: Option<String>,
    /// Size of the file, in bytes.
    file: Option<usize>,
    /// How many pictures there are.
    images: u64,
    prompt: Option<String>,
    response_format: Option<String>,
    stream: bool,
}

impl Form {
    async fn read(ask: &Ask<'_>) -> Result<Self, Refusal> {
        let broken =
            |error: multer::Error| Refusal::invalid(format!("Could not parse multipart form: {error}"));
        let boundary =
            multer::parse_boundary(ask.header("content-type").unwrap_or_default()).map_err(broken)?;
        let body = stream::iter([Ok::<_, std::io::Error>(ask.body.clone())]);
        let mut parts = multer::Multipart::new(body, boundary);
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            match part.name().map(str::to_owned).as_deref() {
                Some("model") => form.model = Some(part.text().await.map_err(broken)?),
                Some("file") => form.file = Some(part.bytes().await.map_err(broken)?.len()),
                Some("image" | "image[]") => {
                    form.images += u64::from(!part.bytes().await.map_err(broken)?.is_empty());
                }
                Some("prompt") => form.prompt = Some(part.text().await.map_err(broken)?),
                Some("response_format") => form.response_format = Some(part.text().await.map_err(broken)?),
                Some("stream") => {
                    form.stream = part.text().await.map_err(broken)?.eq_ignore_ascii_case("true")
                }
                _ => {}
            }
        }
        Ok(form)
    }
}
