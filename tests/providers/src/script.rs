//! Answers that a test queues with `POST /_script`, used before the provider's own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, Step};
use crate::bedrock::frame;

/// An answer to come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// Only for requests whose path begins so.
    #[serde(default)]
    path: Option<String>,
    /// Status; without it that of the default answer the steps ask for, or 200.
    #[serde(default)]
    status: Option<u16>,
    /// Headers; they win over those of a default answer.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is sent. Delays, resets and hangs before the first data come before the response head.
    #[serde(default)]
    steps: Vec<ScriptStep>,
    /// How many requests it serves.
    #[serde(default = "once")]
    times: u32,
    /// Whether the body is compressed, as one stream flushed at every step.
    #[serde(default)]
    gzip: bool,
    /// Sends the body in pieces of so many bytes, wherever that cuts it.
    #[serde(default)]
    cut: Option<usize>,
}

fn once() -> u32 {
    1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ScriptStep {
    /// Bytes given as text. An empty text first sends the head before what follows.
    Text(String),
    /// Bytes given as Base64.
    Base64(String),
    /// A JSON document.
    Json(Value),
    /// A frame of an AWS event stream.
    Frame(frame::Frame),
    /// An Anthropic event in a Bedrock `chunk` frame.
    Chunk(Value),
    /// Silence, in milliseconds.
    DelayMs(u64),
    /// The connection is reset.
    Reset(bool),
    /// Silence until the client leaves.
    Hang(bool),
    /// What the provider would have answered; once in a script.
    Default(Shape),
}

/// How the provider's own answer is to look.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// Time between two tokens of a stream, in milliseconds; the provider's own pace without it.
    pub(crate) delay_ms: Option<u64>,
    /// Length of the text, in words.
    pub(crate) words: Option<usize>,
}

impl Script {
    /// How the provider's own answer is to look, where a step asks for it.
    pub(crate) fn shape(&self) -> Option<Shape> {
        self.steps
            .iter()
            .find_map(|step| if let ScriptStep::Default(shape) = step { Some(*shape) } else { None })
    }

    /// Turns the script into an answer; `own` is the provider's own, made after [`Script::shape`].
    ///
    /// # Errors
    /// A step that cannot be encoded, as text for the one who wrote the script.
    pub(crate) fn answer(self, mut own: Option<Answer>) -> Result<Answer, String> {
        let mut answer = Answer { status: 200, headers: Vec::new(), steps: Vec::new() };
        for step in self.steps {
            match step {
                ScriptStep::Text(text) => answer.steps.push(Step::Data(text.into())),
                ScriptStep::Base64(text) => {
                    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
                    answer.steps.push(Step::Data(bytes.into()));
                }
                ScriptStep::Json(value) => answer.steps.push(Step::Data(value.to_string().into())),
                ScriptStep::Frame(frame) => answer.steps.push(Step::Data(frame.encode()?.into())),
                ScriptStep::Chunk(event) => answer.steps.push(Step::Data(frame::chunk(&event)?.into())),
                ScriptStep::DelayMs(time) => answer.steps.push(Step::Delay(Duration::from_millis(time))),
                ScriptStep::Reset(on) => answer.steps.extend(on.then_some(Step::Reset)),
                ScriptStep::Hang(on) => answer.steps.extend(on.then_some(Step::Hang)),
                ScriptStep::Default(_) => {
                    if let Some(own) = own.take() {
                        answer.status = own.status;
                        answer.headers = own.headers;
                        answer.steps.extend(own.steps);
                    }
                }
            }
        }
        answer.status = self.status.unwrap_or(answer.status);
        answer.headers.retain(|(name, _)| !self.headers.keys().any(|key| key.eq_ignore_ascii_case(name)));
        answer.headers.extend(self.headers);
        if self.gzip {
            answer = answer.gzip().map_err(|error| error.to_string())?;
        }
        if let Some(size) = self.cut {
            answer.cut(size);
        }
        Ok(answer)
    }
}

/// The scripts of one port, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Scripts(Mutex<VecDeque<Script>>);

impl Scripts {
    /// Queues a script.
    pub(crate) fn add(&self, script: Script) {
        self.lock().push_back(script);
    }

    /// Forgets all scripts.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// How many answers are still queued.
    pub(crate) fn left(&self) -> u32 {
        self.lock().iter().map(|script| script.times).sum()
    }

    /// The first script that fits the path; it is used up by one.
    pub(crate) fn take(&self, path: &str) -> Option<Script> {
        let mut list = self.lock();
        let fits = |script: &Script| script.path.as_deref().is_none_or(|start| path.starts_with(start));
        let index = list.iter().position(fits)?;
        let script = list.get_mut(index)?;
        script.times = script.times.saturating_sub(1);
        if script.times > 0 { Some(script.clone()) } else { list.remove(index) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Script>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scripts_are_used_in_order_by_path_and_as_often_as_they_say() {
        let scripts = Scripts::default();
        for script in [json!({"path": "/v1/chat", "status": 500, "times": 2}), json!({"status": 429})] {
            scripts.add(serde_json::from_value(script).unwrap());
        }
        let next = |path| scripts.take(path).and_then(|script| script.status);
        assert_eq!(next("/v1/models"), Some(429));
        assert_eq!(next("/v1/models"), None);
        assert_eq!(next("/v1/chat/completions"), Some(500));
        assert_eq!(next("/v1/chat/completions"), Some(500));
        assert_eq!(next("/v1/chat/completions"), None);
    }

    #[test]
    fn a_misspelt_step_is_refused() {
        assert!(serde_json::from_value::<Script>(json!({"steps": [{"txt": "a"}]})).is_err());
    }
}
