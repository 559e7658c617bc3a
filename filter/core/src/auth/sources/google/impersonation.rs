//! Tokens of a service account for who may act as it.
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>

use chrono::DateTime;
use serde_json::json;

use super::SCOPE;
use crate::auth::credentials::Io;
use crate::auth::sources::hosts::Hosts;
use crate::auth::sources::oauth::{self, Token};
use crate::auth::{FetchError, SourceError};

/// What who acts as another needs a token for.
pub(super) const SOURCE_SCOPE: &str = "https://www.googleapis.com/auth/iam";

/// How long tokens are to live, in seconds, where nothing else is said.
const LIFETIME: u64 = 3600;

/// As whom to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impersonation {
    /// The URL of the service account's `generateAccessToken`.
    pub(super) url: String,
    /// Who passes it on, from one to the next.
    pub(super) delegates: Vec<String>,
    /// In seconds.
    pub(super) lifetime: Option<u64>,
}

impl Impersonation {
    /// Gets the token, with one of who acts.
    pub(super) async fn token(&self, own: &Token, hosts: &Hosts, io: &Io) -> Result<Token, FetchError> {
        let mut call = hosts.call("POST", &self.url)?;
        call.headers.push(("authorization".into(), format!("Bearer {}", own.value.expose())));
        call.headers.push(("content-type".into(), "application/json".to_owned()));
        let lifetime = self.lifetime.unwrap_or(LIFETIME);
        let body = json!({"delegates": self.delegates, "scope": [SCOPE], "lifetime": format!("{lifetime}s")});
        call.body = body.to_string().into_bytes();
        let answer = oauth::ask(call, &self.url, io).await?;
        let read = || {
            let json = oauth::json(&answer, &[&own.value])?;
            let expires_at = DateTime::parse_from_rfc3339(oauth::text(&json, "expireTime")?)
                .ok()
                .and_then(|time| u64::try_from(time.timestamp()).ok())
                .ok_or(SourceError::BadAnswer("has an expireTime that is no time"))?;
            oauth::usable(oauth::text(&json, "accessToken")?, expires_at, io.now())
        };
        Ok(read().map_err(|error: SourceError| error.of(&self.url))?)
    }
}
