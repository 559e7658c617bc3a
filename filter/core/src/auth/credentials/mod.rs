//! When a credential is got and renewed. Nothing here calls anybody: [`Renewal`] says what to fetch and what to
//! store, the shell does it.
//!
//! All workers of a proxy share one [`Entry`] per source, in memory where a value is replaced only if nobody else
//! has replaced it since (compare and swap). The entry is also the lease: a worker may fetch only after it has
//! stored its claim, so a credential is fetched once for all.

mod entry;
mod fetch;
mod fetching;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};

pub use entry::{Entry, EntryError, Unavailable};
pub use fetch::{Answer, FetchError, Header, HttpAnswer, HttpCall, Need};
use fetching::Progress;
pub use fetching::{Environment, Fetching};
pub(super) use fetching::{Fresh, Io, Lasts};

use super::{Credential, Source, SourceError};

/// How often a Secret is read again, in seconds: what a rotation takes at most.
const READ_SECRET_AGAIN: u64 = 2;

/// How long before they expire credentials are renewed, in seconds. With a lifetime under twice that, it is half
/// of the lifetime.
const RENEW_BEFORE: u64 = 300;

/// Which part of that time may pass before the renewal: proxies that began at the same second do not all ask at one.
const JITTER: u64 = 5;

/// The least time between two successful fetches, in seconds. An endpoint may give what it has kept until
/// shortly before that expires.
const LEAST_PAUSE: u64 = 5;

/// The most time between two attempts after failures, in seconds; the first pause is one second, each further
/// one is twice as long.
const LONGEST_PAUSE: u64 = 60;

/// How long a claim holds, in seconds. The call it is for must be over by then.
const CLAIM: u64 = 15;

/// What the shell is to do next.
#[derive(Debug)]
pub enum Step {
    /// Nothing before `until`, in seconds of Unix time; `u64::MAX` is never.
    Wait {
        /// When to poll again.
        until: u64,
    },
    /// Store `claim`. If that succeeds, fetch `need` and hand the answer to [`Renewal::answered`], with `fetching`; if
    /// another worker was faster, do nothing: it fetches.
    Fetch {
        /// The entry that tells the other workers to leave this to us.
        claim: Entry,
        /// What is needed.
        need: Need,
        /// The fetch that needs it.
        fetching: Fetching,
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
        // Names and numbers alone: writing them to memory does not fail.
        format!("weir.credential: {}", serde_json::to_string(&self.source).unwrap_or_default())
    }

    /// What to do now, given the shared entry ([`Entry::default`] when there is none), the time in seconds of
    /// Unix time, and a way to look up environment variables.
    pub fn poll(&self, shared: &Entry, now: u64, environment: Environment) -> Step {
        if let Some(until) = shared.waits_until(now) {
            return Step::Wait { until };
        }
        match Fetching::begin(self.source.clone(), now, environment) {
            Progress::Needs(need, fetching) => fetch(shared.claimed(now), need, fetching),
            Progress::Done(result) => store(shared, result, now),
        }
    }

    /// What to do with the answer to the need of `fetching`, or with the failure to get one. `shared` is the entry as
    /// it is now; a credential in it stays in use until it expires, however often its renewal fails.
    pub fn answered(
        &self,
        shared: &Entry,
        fetching: Fetching,
        answer: Result<Answer, FetchError>,
        now: u64,
    ) -> Step {
        let claim = fetching.claimed_until;
        match fetching.answered(answer, now) {
            Progress::Needs(need, fetching) => match shared.claimed_on(claim, now) {
                Ok(claim) => fetch(claim, need, fetching),
                // It took too long, and another worker has begun anew.
                Err(until) => Step::Wait { until },
            },
            // Another worker has begun anew, and will know better.
            Progress::Done(Err(_)) if shared.claimed_until().is_some_and(|until| until != claim) => {
                Step::Wait { until: shared.claimed_until().unwrap_or_default() }
            }
            Progress::Done(result) => store(shared, result, now),
        }
    }
}

fn fetch(claim: Entry, need: Need, mut fetching: Fetching) -> Step {
    fetching.claimed_until = claim.claimed_until().unwrap_or_default();
    Step::Fetch { claim, need, fetching }
}

/// The end of a fetch.
fn store(shared: &Entry, result: Result<Fresh, FetchError>, now: u64) -> Step {
    let fresh = result.and_then(|fresh| match fresh.lasts {
        Lasts::Until(expires_at) if expires_at <= now => Err(SourceError::AlreadyExpired.into()),
        Lasts::Until(_) | Lasts::UntilReplaced | Lasts::Forever => Ok(fresh),
    });
    Step::Store(match fresh {
        Ok(Fresh { credential, lasts }) => {
            let (expires_at, renew_at) = match lasts {
                Lasts::Forever => (None, u64::MAX),
                Lasts::UntilReplaced => (None, now.saturating_add(READ_SECRET_AGAIN)),
                Lasts::Until(expires_at) => (Some(expires_at), renew_at(now, expires_at, &credential)),
            };
            Entry::ready(credential, expires_at, renew_at)
        }
        Err(error) => shared.failed(error.to_string(), now),
    })
}

/// When to renew a credential that came at `now` and expires later. No two proxies get the same one, or only those that
/// a server near them spares the way to the source; so its hash sets them apart.
fn renew_at(now: u64, expires_at: u64, credential: &Credential) -> u64 {
    let lifetime = expires_at.saturating_sub(now);
    let before = RENEW_BEFORE.min(lifetime / 2);
    let mut hasher = DefaultHasher::new();
    (credential, now).hash(&mut hasher);
    let later = hasher.finish() % (before / JITTER).saturating_add(1);
    expires_at.saturating_sub(before).saturating_add(later).max(now.saturating_add(LEAST_PAUSE))
}

/// How long to wait after so many failures in a row, in seconds.
fn pause(failures: u32) -> u64 {
    1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}
