//! A container credentials endpoint, as the EKS Pod Identity agent serves it at
//! `AWS_CONTAINER_CREDENTIALS_FULL_URI`.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::bedrock::Key;
use crate::server::Ask;

/// How long credentials are valid unless a test says otherwise, in seconds.
const VALID_FOR: i64 = 6 * 3600;

/// A stand-in for the agent.
#[derive(Debug)]
pub(crate) struct Provider(Mutex<State>);

#[derive(Debug)]
struct State {
    token: Option<Token>,
    key: Option<Key>,
    valid_for: i64,
}

/// The token a pod must show.
#[derive(Debug)]
pub(crate) enum Token {
    /// This one.
    Text(String),
    /// What the file holds now, so that it can rotate.
    File(PathBuf),
}

/// What a test may set; what it leaves out stays as it was.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    token: Option<String>,
    key: Option<Key>,
    valid_for_s: Option<i64>,
}

impl Provider {
    /// An endpoint that hands out this key.
    pub(crate) fn new(token: Option<Token>, key: Option<Key>) -> Self {
        Self(Mutex::new(State { token, key, valid_for: VALID_FOR }))
    }

    /// Changes the answer: `{token?, key?: {access_key_id, secret_access_key, session_token?}, valid_for_s?}`.
    ///
    /// # Errors
    /// A value of another form.
    pub(crate) fn set(&self, value: Value) -> Result<(), String> {
        let change: Change = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = change.token {
            state.token = Some(Token::Text(token));
        }
        if let Some(key) = change.key {
            state.key = Some(key);
        }
        if let Some(valid_for) = change.valid_for_s {
            state.valid_for = valid_for;
        }
        Ok(())
    }

    /// Answers a request.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Answer {
        if ask.method != "GET" {
            return Answer::bytes(405, "text/plain", "Method Not Allowed");
        }
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = match &state.token {
            None => None,
            Some(Token::Text(token)) => Some(token.clone()),
            Some(Token::File(path)) => match std::fs::read_to_string(path) {
                Ok(token) => Some(token.trim().to_owned()),
                Err(error) => {
                    return Answer::bytes(500, "text/plain", format!("{}: {error}", path.display()));
                }
            },
        };
        match (expected, ask.header("authorization")) {
            (Some(_), None) => {
                return Answer::bytes(400, "text/plain", "Service account token cannot be empty");
            }
            (Some(expected), Some(given)) if expected != given => {
                return Answer::bytes(401, "text/plain", "Service account token was not accepted");
            }
            _ => {}
        }
        let Some(key) = &state.key else {
            return Answer::bytes(404, "text/plain", "no pod identity association found");
        };
        let expiration = Utc::now() + TimeDelta::seconds(state.valid_for);
        Answer::json(
            200,
            &json!({
                "AccessKeyId": key.access_key_id,
                "SecretAccessKey": key.secret_access_key,
                "Token": key.session_token.as_deref().unwrap_or_default(),
                "AccountId": "123456789012",
                "Expiration": expiration.to_rfc3339_opts(SecondsFormat::Secs, true),
            }),
        )
    }
}
