//! What all workers share of one source: the credential, and how its renewal goes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CLAIM, pause};
use crate::auth::{AwsCredentials, Credential, Secret};

/// The shared state of one source. The default is that of a source nobody has asked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    held: Option<Held>,
    /// Why the last fetch failed. `None` when it did not.
    failure: Option<String>,
    /// Failures in a row.
    failures: u32,
    renew_at: u64,
    /// While some worker fetches: until when the others leave it to that.
    claimed_until: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    credential: Credential,
    expires_at: Option<u64>,
}

/// Why there is no credential to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// It has not been fetched yet.
    Pending,
    /// It could not be fetched, for this reason, and will be tried again.
    Failed(String),
    /// The one there was expired at this time, in seconds of Unix time; why it was not renewed, if that failed.
    Expired(u64, Option<String>),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Pending => f.write_str("the credential has not been fetched yet"),
            Unavailable::Failed(why) => f.write_str(why),
            Unavailable::Expired(_, None) => f.write_str("the credential has expired"),
            Unavailable::Expired(_, Some(why)) => {
                write!(f, "the credential has expired, and its renewal failed: {why}")
            }
        }
    }
}

impl std::error::Error for Unavailable {}

impl Entry {
    /// The credential, if there is one that has not expired at `now`, in seconds of Unix time.
    ///
    /// # Errors
    /// Why there is none.
    pub fn credential(&self, now: u64) -> Result<&Credential, Unavailable> {
        match (&self.held, &self.failure) {
            (Some(Held { expires_at: Some(expiry), .. }), failure) if *expiry <= now => {
                Err(Unavailable::Expired(*expiry, failure.clone()))
            }
            (Some(held), _) => Ok(&held.credential),
            (None, Some(failure)) => Err(Unavailable::Failed(failure.clone())),
            (None, None) => Err(Unavailable::Pending),
        }
    }

    /// Why the last fetch failed, for the log. It may be there beside a credential that is still good.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How often in a row it could not be had.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the credential that there is expires, in seconds since 1970, be it past.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.held.as_ref().and_then(|held| held.expires_at)
    }

    pub(super) fn ready(credential: Credential, expires_at: Option<u64>, renew_at: u64) -> Self {
        Self { held: Some(Held { credential, expires_at }), renew_at, ..Self::default() }
    }

    pub(super) fn failed(&self, why: String, now: u64) -> Self {
        let failures = self.failures.saturating_add(1);
        Self {
            held: self.held.clone(),
            failure: Some(why),
            failures,
            renew_at: now.saturating_add(pause(failures)),
            claimed_until: None,
        }
    }

    /// The same, with a claim on the next fetch.
    pub(super) fn claimed(&self, now: u64) -> Self {
        let mut claimed = self.clone();
        if self.claimed_until.is_some() {
            // Whoever had claimed it before us never said what came of it.
            claimed = self.failed(super::FetchError::NoAnswer.to_string(), now);
        }
        claimed.claimed_until = Some(now.saturating_add(CLAIM));
        claimed
    }

    /// The same for one more step of the fetch whose claim holds until `claim`, or until when another worker's does.
    pub(super) fn claimed_on(&self, claim: u64, now: u64) -> Result<Self, u64> {
        match self.claimed_until {
            Some(until) if until == claim => {
                Ok(Self { claimed_until: Some(now.saturating_add(CLAIM)), ..self.clone() })
            }
            Some(until) => Err(until),
            None => Err(self.renew_at),
        }
    }

    /// The same without a claim: the fetch was not begun, or not gone on with, for no fault of the source.
    #[must_use]
    pub fn released(&self) -> Self {
        Self { claimed_until: None, ..self.clone() }
    }

    pub(super) fn claimed_until(&self) -> Option<u64> {
        self.claimed_until
    }

    /// Until when there is nothing to do, or `None` when it is time for a fetch.
    pub(super) fn waits_until(&self, now: u64) -> Option<u64> {
        let until = self.claimed_until.unwrap_or(self.renew_at);
        (now < until).then_some(until)
    }

    /// The entry as bytes, secrets and all: for the memory that the workers share, and for nothing else.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers alone: writing them to memory does not fail.
        serde_json::to_vec(&Stored::from(self)).unwrap_or_default()
    }

    /// Reads what [`Entry::encode`] wrote.
    ///
    /// # Errors
    /// When it was something else that wrote the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        serde_json::from_slice::<Stored>(bytes).map(Self::from).map_err(|_| EntryError)
    }
}

/// The bytes are no entry. It says no more, since they may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryError;

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored credential entry cannot be read")
    }
}

impl std::error::Error for EntryError {}

/// How an entry is stored. These types are private and apart, so that secrets are serialisable here only.
#[derive(Serialize, Deserialize)]
struct Stored {
    held: Option<StoredHeld>,
    failure: Option<String>,
    failures: u32,
    renew_at: u64,
    claimed_until: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredHeld {
    credential: StoredCredential,
    expires_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredCredential {
    ApiKey(String),
    Aws { id: String, secret: String, token: Option<String> },
}

impl From<&Entry> for Stored {
    fn from(entry: &Entry) -> Self {
        let expose = |secret: &Secret| secret.expose().to_owned();
        let held = entry.held.as_ref().map(|held| StoredHeld {
            credential: match &held.credential {
                Credential::ApiKey(key) => StoredCredential::ApiKey(expose(key)),
                Credential::Aws(keys) => StoredCredential::Aws {
                    id: keys.access_key_id.clone(),
                    secret: expose(&keys.secret_access_key),
                    token: keys.session_token.as_ref().map(expose),
                },
            },
            expires_at: held.expires_at,
        });
        Self {
            held,
            failure: entry.failure.clone(),
            failures: entry.failures,
            renew_at: entry.renew_at,
            claimed_until: entry.claimed_until,
        }
    }
}

impl From<Stored> for Entry {
    fn from(stored: Stored) -> Self {
        let held = stored.held.map(|held| Held {
            credential: match held.credential {
                StoredCredential::ApiKey(key) => Credential::ApiKey(Secret::new(key)),
                StoredCredential::Aws { id, secret, token } => Credential::Aws(AwsCredentials {
                    access_key_id: id,
                    secret_access_key: Secret::new(secret),
                    session_token: token.map(Secret::new),
                }),
            },
            expires_at: held.expires_at,
        });
        Self {
            held,
            failure: stored.failure,
            failures: stored.failures,
            renew_at: stored.renew_at,
            claimed_until: stored.claimed_until,
        }
    }
}
