//! `/v1/messages/batches`: <https://platform.claude.com/docs/en/api/messages/batches>.

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::Message;
use crate::answer::Answer;
use crate::server::Ask;

const PATH: &str = "/v1/messages/batches";

/// What is asked of batches.
pub(super) enum Asked<'a> {
    Create,
    One(&'a str),
    Results,
}

impl<'a> Asked<'a> {
    pub(super) fn of(ask: &Ask<'a>) -> Option<Asked<'a>> {
        let rest = ask.path.strip_prefix(PATH)?;
        match (ask.method.as_str(), rest.split('/').collect::<Vec<_>>().as_slice()) {
            ("POST", [""]) => Some(Asked::Create),
            ("GET", ["", id]) => Some(Asked::One(id)),
            ("GET", ["", _, "results"]) => Some(Asked::Results),
            _ => None,
        }
    }

    pub(super) fn answer(&self, ask: &Ask<'_>) -> Result<Answer, String> {
        match self {
            Asked::Create => {
                let body: Value = serde_json::from_slice(ask.body).map_err(|error| error.to_string())?;
                let requests = body.get("requests").and_then(Value::as_array).filter(|list| !list.is_empty());
                let count = requests.ok_or("requests: Field required")?.len();
                Ok(Answer::json(200, &batch(&format!("msgbatch_{}{}", ask.name, ask.id), count, false)))
            }
            Asked::One(id) => Ok(Answer::json(200, &batch(id, 1, true))),
            Asked::Results => {
                let asked =
                    json!({"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 99});
                let message = Message::new(ask, "claude-sonnet-4-5", &asked).whole();
                let line = json!({"custom_id": "one", "result": {"type": "succeeded", "message": message}});
                Ok(Answer::bytes(200, "application/x-jsonl", format!("{line}\n")))
            }
        }
    }
}

fn batch(id: &str, count: usize, has_ended: bool) -> Value {
    let time =
        |hours: i64| (Utc::now() + TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Micros, true);
    let (processing, succeeded) = if has_ended { (0, count) } else { (count, 0) };
    json!({
        "id": id,
        "type": "message_batch",
        "processing_status": if has_ended { "ended" } else { "in_progress" },
        "request_counts": {
            "processing": processing, "succeeded": succeeded, "errored": 0, "canceled": 0, "expired": 0,
        },
        "ended_at": has_ended.then(|| time(0)),
        "created_at": time(0),
        "expires_at": time(24),
        "archived_at": null,
        "cancel_initiated_at": null,
        "results_url": has_ended.then(|| format!("https://api.anthropic.com{PATH}/{id}/results")),
    })
}
