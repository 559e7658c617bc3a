//! `/v1/files`, and the batches made of them: <https://developers.openai.com/api/reference/resources/files>,
//! <https://developers.openai.com/api/reference/resources/batches>.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::{Refusal, json_of, unknown};
use crate::answer::Answer;
use crate::server::Ask;

/// What was uploaded, by its id.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<BTreeMap<String, File>>);

#[derive(Debug)]
struct File {
    name: String,
    purpose: String,
    created: i64,
    content: Bytes,
}

impl File {
    fn object(&self, id: &str) -> Value {
        json!({
            "id": id,
            "object": "file",
            "bytes": self.content.len(),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        })
    }
}

impl Files {
    /// Whether a path is one of these.
    pub(super) fn have(path: &str) -> bool {
        let mut segments = path.split('/').skip(1);
        segments.next() == Some("v1") && matches!(segments.next(), Some("files" | "batches"))
    }

    pub(super) async fn answer(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let segments: Vec<&str> = ask.path.split('/').skip(2).collect();
        match (ask.method.as_str(), segments.as_slice()) {
            ("POST", ["files"]) => self.create(ask).await,
            ("GET", ["files"]) => {
                let files = self.all();
                Ok(list(files.iter().map(|(id, file)| file.object(id)).collect()))
            }
            ("GET", ["files", id]) => self.with(id, |file| Answer::json(200, &file.object(id))),
            ("GET", ["files", id, "content"]) => {
                self.with(id, |file| Answer::bytes(200, "application/octet-stream", file.content.clone()))
            }
            ("DELETE", ["files", id]) => {
                self.all().remove(*id).ok_or_else(|| no_such("File", id))?;
                Ok(Answer::json(200, &json!({"id": id, "object": "file", "deleted": true})))
            }
            ("POST", ["batches"]) => self.batch(ask),
            ("GET", ["batches"]) => Ok(list(Vec::new())),
            ("GET", ["batches", id]) => self.batch_in_state(ask, id, "completed"),
            ("POST", ["batches", id, "cancel"]) => self.batch_in_state(ask, id, "cancelling"),
            _ => Err(unknown(ask)),
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, id: &str, answer: impl FnOnce(&File) -> Answer) -> Result<Answer, Refusal> {
        self.all().get(id).map(answer).ok_or_else(|| no_such("File", id))
    }

    async fn create(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let broken =
            |error: multer::Error| Refusal::invalid(format!("Could not parse multipart form: {error}"));
        let boundary =
            multer::parse_boundary(ask.header("content-type").unwrap_or_default()).map_err(broken)?;
        let body = stream::iter([Ok::<_, std::io::Error>(ask.body.clone())]);
        let mut parts = multer::Multipart::new(body, boundary);
        let (mut purpose, mut file) = (None, None);
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            match part.name() {
                Some("purpose") => purpose = Some(part.text().await.map_err(broken)?),
                Some("file") => {
                    let name = part.file_name().unwrap_or_default().to_owned();
                    file = Some((name, part.bytes().await.map_err(broken)?));
                }
                _ => {}
            }
        }
        let purpose = purpose.ok_or_else(|| Refusal::missing("purpose"))?;
        let (name, content) = file.ok_or_else(|| Refusal::missing("file"))?;
        let id = format!("file-{}{}", ask.name, ask.id);
        let file = File { name, purpose, created: ask.now(), content };
        let object = file.object(&id);
        self.all().insert(id, file);
        Ok(Answer::json(200, &object))
    }

    fn batch(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let body = json_of(ask)?;
        let text =
            |name: &'static str| body.get(name).and_then(Value::as_str).ok_or_else(|| Refusal::missing(name));
        let (input, endpoint, window) =
            (text("input_file_id")?, text("endpoint")?, text("completion_window")?);
        if window != "24h" || !endpoint.starts_with("/v1/") {
            return Err(Refusal::invalid(format!("Invalid batch of {endpoint} in {window}.")));
        }
        self.with(input, |_| Answer::json(200, &batch(ask, input, "validating")))
    }

    fn batch_in_state(&self, ask: &Ask<'_>, id: &str, state: &str) -> Result<Answer, Refusal> {
        let input = id.strip_prefix("batch_").ok_or_else(|| no_such("Batch", id))?;
        self.with(input, |_| Answer::json(200, &batch(ask, input, state)))
    }
}

/// The batch of a file. What it has used so far is in every answer about it.
fn batch(ask: &Ask<'_>, input: &str, state: &str) -> Value {
    let is_completed = state == "completed";
    let (requests, tokens) = if is_completed { (1, 3) } else { (0, 0) };
    json!({
        "id": format!("batch_{input}"),
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": "gpt-5.1",
        "errors": null,
        "input_file_id": input,
        "completion_window": "24h",
        "status": state,
        "output_file_id": is_completed.then_some(input),
        "error_file_id": null,
        "created_at": ask.now(),
        "request_counts": {"total": requests, "completed": requests, "failed": 0},
        "usage": {
            "input_tokens": tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2 * tokens,
        },
        "metadata": null,
    })
}

fn list(data: Vec<Value>) -> Answer {
    let id = |object: Option<&Value>| object.and_then(|object| object.get("id")).cloned();
    let (first, last) = (id(data.first()), id(data.last()));
    let list = json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": false});
    Answer::json(200, &list)
}

fn no_such(what: &str, id: &str) -> Refusal {
    Refusal {
        status: 404,
        message: format!("No such {what} object: {id}"),
        param: Some("id".to_owned()),
        code: None,
    }
}
