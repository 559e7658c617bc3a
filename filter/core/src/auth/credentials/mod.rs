//! When a credential is got and renewed. Nothing here calls anybody: [`Renewal`] says what to fetch and what to
//! store, the shell does it.
//!
//! All workers of a proxy share one [`Entry`] per source, in memory where a value is replaced only if nobody else
//! has replaced it since (compare and swap). The entry is also the lease: a worker may fetch only after it has
//! stored its claim, so a credential is fetched once for all.

mod entry;
mod fetch;
#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryError, Unavailable};
pub use fetch::{Answer, FetchError, HttpAnswer, HttpCall, Need};

use super::sources::{container_call, from_environment, parse_container};
use super::{AwsCredentials, Credential, Source, SourceError};

/// How often a Secret is read again, in seconds: what a rotation takes at most.
const READ_SECRET_AGAIN: u64 = 2;

/// How long before they expire credentials are renewed, in seconds. With a lifetime under twice that, it is half
/// of the lifetime.
const RENEW_BEFORE: u64 = 300;

/// The least time between two successful fetches, in seconds. An endpoint may give what it has kept until
/// shortly before that expires.
const LEAST_PAUSE: u64 = 5;

/// The most time between two attempts after failures, in seconds; the first pause is one second, each further
/// one is twice as long.
const LONGEST_PAUSE: u64 = 60;

/// How long a claim holds, in seconds. The call it is for must be over by then.
const CLAIM: u64 = 15;

/// What the shell is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before `until`, in seconds of Unix time; `u64::MAX` is never.
    Wait {
        /// When to poll again.
        until: u64,
    },
    /// Store `claim`. If that succeeds, fetch `need` and hand the answer to [`Renewal::answered`]; if another
    /// worker was faster, do nothing: it fetches.
    Fetch {
        /// The entry that tells the other workers to leave this to us.
        claim: Entry,
        /// What is needed.
        need: Need,
    },
    /// Store the entry: there is something new in it.
    Store(Entry),
}

/// Gets the credential of one source, and keeps it fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    source: Source,
}

impl Renewal {
    /// The most time a call for a [`Need`] may take, in seconds.
    pub const CALL_TIMEOUT: u64 = CLAIM - 5;

    /// A renewal of what comes from `source`.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source }
    }

    /// The key of the entry in the memory that all workers share.
    #[must_use]
    pub fn shared_key(&self) -> String {
        format!("weir.credential: {}", self.source)
    }

    /// What to do now, given the shared entry ([`Entry::default`] when there is none), the time in seconds of
    /// Unix time, and a way to look up environment variables.
    pub fn poll(&self, shared: &Entry, now: u64, environment: &dyn Fn(&str) -> Option<String>) -> Step {
        if let Some(until) = shared.waits_until(now) {
            return Step::Wait { until };
        }
        match self.need(environment) {
            Ok(Found::Need(need)) => Step::Fetch { claim: shared.claimed(now), need },
            Ok(Found::Credentials(credentials)) => {
                // The environment of a process does not change.
                Step::Store(Entry::ready(Credential::Aws(credentials), None, u64::MAX))
            }
            Err(error) => Step::Store(shared.failed(error.to_string(), now)),
        }
    }

    /// What to do with the answer to a [`Need`], or with the failure to get one. `shared` is the entry as it is
    /// now; a credential in it stays in use until it expires, however often its renewal fails.
    pub fn answered(&self, shared: &Entry, answer: Result<Answer, FetchError>, now: u64) -> Step {
        Step::Store(match answer.and_then(|answer| self.read(answer, now)) {
            Ok(entry) => entry,
            Err(error) => shared.failed(error.to_string(), now),
        })
    }

    fn need(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Found, SourceError> {
        let secret = |name: &String, key: &String| {
            Ok(Found::Need(Need::Secret { name: name.clone(), key: key.clone() }))
        };
        match &self.source {
            Source::Secret { name, key } => secret(name, key),
            Source::AwsFile(profile) => secret(&profile.name, &profile.key),
            Source::AwsDefault { container } => match (from_environment(environment)?, container) {
                (Some(credentials), _) => Ok(Found::Credentials(credentials)),
                (None, Some(container)) => {
                    Ok(Found::Need(Need::Http(container_call(container, environment)?)))
                }
                (None, None) => Err(SourceError::NothingByDefault),
            },
        }
    }

    fn read(&self, answer: Answer, now: u64) -> Result<Entry, FetchError> {
        match (&self.source, answer) {
            (Source::Secret { .. } | Source::AwsFile(_), Answer::Secret(value)) => {
                let credential = self.source.read_secret(&value)?;
                Ok(Entry::ready(credential, None, now.saturating_add(READ_SECRET_AGAIN)))
            }
            (Source::AwsDefault { .. }, Answer::Http(answer)) => {
                let (credentials, expires_at) = parse_container(&answer)?;
                if expires_at <= now {
                    return Err(SourceError::AlreadyExpired.into());
                }
                Ok(Entry::ready(Credential::Aws(credentials), Some(expires_at), renew_at(now, expires_at)))
            }
            (_, Answer::Secret(_) | Answer::Http(_)) => Err(FetchError::OtherKind),
        }
    }
}

/// What the look for a credential comes to, before anything is fetched.
enum Found {
    Credentials(AwsCredentials),
    Need(Need),
}

/// When to renew credentials that came at `now` and expire later.
fn renew_at(now: u64, expires_at: u64) -> u64 {
    let lifetime = expires_at.saturating_sub(now);
    let before = RENEW_BEFORE.min(lifetime / 2);
    expires_at.saturating_sub(before).max(now.saturating_add(LEAST_PAUSE))
}

/// How long to wait after so many failures in a row, in seconds.
fn pause(failures: u32) -> u64 {
    1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}
