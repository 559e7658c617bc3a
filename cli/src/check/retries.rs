//! Timeouts and retries of a rule: what it says, what its policy says, and what is sensible when neither does.

use std::collections::BTreeSet;
use std::time::Duration;

use super::traffic::Traffic;
use crate::plan::{Backoff, Member, Retry};
use crate::resources::gateway::Timeouts;
use crate::resources::{Report, ResourceId};

/// From an attempt's start to its response headers: a model that was not asked to stream sends them when it is done.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// Envoy Gateway's default for `numRetries`.
const POLICY_RETRIES: u32 = 2;
/// With a single backend there is nobody else to ask: it is given some seconds to come back.
const SINGLE_BACKEND_RETRIES: u32 = 3;
const SINGLE_BACKEND_BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(500), max: Some(Duration::from_secs(4)) };
/// With several, connections that were kept may be stale at each of them.
const SPARE_RETRIES: u32 = 3;
/// Failures before a backend can have begun its work.
const UNSENT: &[&str] = &["connect-failure", "refused-stream", "reset-before-request"];
/// Envoy Gateway's default for a retry policy without `retryOn`, with the status 503.
const POLICY_TRIGGERS: &[&str] =
    &["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];

/// How long a rule's requests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole request.
    pub request: Option<Duration>,
    /// One attempt, up to its response headers.
    pub attempt: Option<Duration>,
}

/// The timeouts of a rule. Its own win over those of the policy; 0 means none.
#[must_use]
pub fn timeouts(own: &Timeouts, policy: Option<&Traffic<'_>>, members: &[Member], ai: bool) -> Limits {
    let backends = members.iter().filter(|member| member.weight > 0).count();
    let nonzero = |timeout: Duration| (!timeout.is_zero()).then_some(timeout);
    let request = own.request.map(|timeout| timeout.0).or_else(|| policy?.request_timeout).and_then(nonzero);
    let explicit =
        own.backend_request.or_else(|| policy?.retry?.per_retry.timeout).map(|timeout| nonzero(timeout.0));
    let attempt = match explicit {
        Some(explicit) => explicit,
        None if !ai => None,
        // Giving up early is of use only where somebody else can be asked.
        None if backends < 2 => Some(request.unwrap_or(ATTEMPT_TIMEOUT).max(ATTEMPT_TIMEOUT)),
        None => Some(ATTEMPT_TIMEOUT),
    };
    Limits { request, attempt }
}

/// Reports timeouts that contradict each other.
pub fn check_timeouts(id: &ResourceId, field: &str, own: &Timeouts, report: &mut Report) {
    let (Some(request), Some(attempt)) = (own.request, own.backend_request) else { return };
    if !request.0.is_zero() && attempt.0 > request.0 {
        let message = format!("is longer than `request`, {:?}; it must not be", request.0);
        report.error(id, format!("{field}.backendRequest"), message);
    }
}

/// How failed attempts are repeated.
#[must_use]
pub fn retry(policy: Option<&Traffic<'_>>, members: &[Member], ai: bool) -> Option<Retry> {
    let usable = || members.iter().filter(|member| member.weight > 0);
    let backends = u32::try_from(usable().count()).unwrap_or(u32::MAX);
    let largest_priority = usable()
        .map(|member| usable().filter(|other| other.priority == member.priority).count())
        .max()
        .unwrap_or(1);
    let largest_priority = u32::try_from(largest_priority).unwrap_or(u32::MAX);
    let Some(spec) = policy.and_then(|policy| policy.retry) else {
        return ai.then(|| default_retry(backends, largest_priority));
    };
    let count = spec.num_retries.unwrap_or(POLICY_RETRIES);
    if count == 0 {
        return None;
    }
    let (on, status_codes) = match &spec.retry_on {
        Some(on) if !on.triggers.is_empty() => (
            on.triggers.iter().map(|trigger| trigger.name().to_owned()).collect(),
            on.http_status_codes.clone(),
        ),
        _ => (words(POLICY_TRIGGERS), vec![503]),
    };
    let backoff = spec.per_retry.back_off.as_ref().and_then(|backoff| {
        let base = backoff.base_interval?.unless_zero()?;
        Some(Backoff { base, max: backoff.max_interval.and_then(|max| max.unless_zero()) })
    });
    let attempts_per_priority =
        spec.num_attempts_per_priority.filter(|count| *count > 0).unwrap_or(largest_priority);
    let retry = Retry { count, spare: 0, attempts_per_priority, on, status_codes, backoff };
    Some(if ai && backends < 2 { without_timeouts(retry) } else { retry })
}

/// The same without the timeouts of attempts, which Envoy counts among resets: the only backend is still at work on a
/// request that took it too long, and would be paid for each that follows. A request that has not been sent is
/// repeated; statuses are those of answers.
fn without_timeouts(retry: Retry) -> Retry {
    let mut narrowed = Retry { on: Vec::new(), ..retry };
    for word in retry.on {
        let (words, statuses): (&[&str], _) = match word.as_str() {
            "reset" => (UNSENT, 0..0),
            "gateway-error" => (UNSENT, 502..505),
            "5xx" => (UNSENT, 500..600),
            _ => {
                narrowed.on.push(word);
                continue;
            }
        };
        narrowed.on.extend(words.iter().map(|word| (*word).to_owned()));
        narrowed.status_codes.extend(statuses);
    }
    let mut known = BTreeSet::new();
    narrowed.on.retain(|word| known.insert(word.clone()));
    narrowed.status_codes.sort_unstable();
    narrowed.status_codes.dedup();
    narrowed
}

/// Failures that an attempt has no part in: it makes them neither of an answer, nor anything of the next request.
const CONNECTION_FAILURES: &[&str] = &["connect-failure", "reset", "reset-before-request", "refused-stream"];

/// Whether only what brought no answer is repeated.
#[must_use]
pub fn repeats_connections_only(retry: &Retry) -> bool {
    retry.status_codes.is_empty() && retry.on.iter().all(|word| CONNECTION_FAILURES.contains(&word.as_str()))
}

/// How many attempts may be made where each brings an answer that is an error.
#[must_use]
pub fn answers(retry: Option<&Retry>) -> u32 {
    let repeated = retry.filter(|retry| !repeats_connections_only(retry));
    repeated.map_or(1, |retry| retry.count.saturating_add(1))
}

/// Whether another attempt is made after a stream that broke, which the filter makes a 502 of while it can.
#[must_use]
pub fn repeats_broken_streams(retry: Option<&Retry>) -> bool {
    retry.is_some_and(|retry| {
        retry.count > 0
            && (retry.status_codes.contains(&502)
                || retry.on.iter().any(|word| matches!(word.as_str(), "5xx" | "gateway-error")))
    })
}

/// Each backend is asked once, on every failure that another one may not have; where connections fail, some more
/// attempts are made. A single one is asked again only when the request did not get to it: its 5xx and 429 are the
/// client's to know, and what it takes too long for it may still finish.
fn default_retry(backends: u32, largest_priority: u32) -> Retry {
    if backends < 2 {
        return Retry {
            count: SINGLE_BACKEND_RETRIES,
            spare: 0,
            attempts_per_priority: 1,
            on: words(UNSENT),
            status_codes: Vec::new(),
            backoff: Some(SINGLE_BACKEND_BACKOFF),
        };
    }
    Retry {
        count: backends - 1,
        spare: SPARE_RETRIES,
        attempts_per_priority: largest_priority,
        on: words(&["5xx", "connect-failure", "reset", "retriable-status-codes"]),
        status_codes: vec![429],
        backoff: None,
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::values::GatewayDuration;

    fn members(priorities_and_weights: &[(u32, u32)]) -> Vec<Member> {
        let member = |(priority, weight): &(u32, u32)| Member {
            backend: "b".to_owned(),
            priority: *priority,
            weight: *weight,
            endpoints: Vec::new(),
            tls: None,
        };
        priorities_and_weights.iter().map(member).collect()
    }

    #[test]
    fn without_a_policy_each_backend_is_asked_once() {
        let cases = [
            (vec![(0, 1), (0, 1), (1, 1)], 2, 2),
            (vec![(0, 1), (1, 1)], 1, 1),
            (vec![(0, 1), (0, 0), (1, 1)], 1, 1),
        ];
        for (backends, count, attempts_per_priority) in cases {
            let retry = retry(None, &members(&backends), true).unwrap();
            assert_eq!((retry.count, retry.attempts_per_priority), (count, attempts_per_priority));
            assert_eq!((retry.status_codes.as_slice(), answers(Some(&retry))), (&[429][..], count + 1));
            assert_eq!(retry.spare, 3, "for connections alone");
        }
        let single = retry(None, &members(&[(0, 1), (0, 0)]), true).unwrap();
        assert_eq!(single.on, ["connect-failure", "refused-stream", "reset-before-request"]);
        assert_eq!(retry(None, &members(&[(0, 1), (0, 1)]), false), None);
    }

    #[test]
    fn a_timeout_of_the_only_backend_is_final() {
        let narrowed = |on: &[&str], status_codes: &[u16]| {
            let retry = Retry {
                count: 2,
                spare: 0,
                attempts_per_priority: 1,
                on: words(on),
                status_codes: status_codes.to_vec(),
                backoff: None,
            };
            let narrowed = without_timeouts(retry);
            (narrowed.on, narrowed.status_codes)
        };
        assert_eq!(narrowed(&["connect-failure", "reset"], &[]), (words(UNSENT), vec![]));
        assert_eq!(narrowed(&["gateway-error"], &[429]), (words(UNSENT), vec![429, 502, 503, 504]));
        assert_eq!(narrowed(&["5xx", "reset"], &[]), (words(UNSENT), (500..600).collect()));
        let other = ["retriable-status-codes", "unavailable"];
        assert_eq!(narrowed(&other, &[503]), (words(&other), vec![503]));
    }

    #[test]
    fn an_explicit_timeout_is_honoured_and_a_stream_is_not_cut_without_one() {
        let seconds = |seconds| Some(GatewayDuration(Duration::from_secs(seconds)));
        let of = |request, backend_request, backends| {
            let limits = timeouts(
                &Timeouts { request, backend_request },
                None,
                &members(&vec![(0, 1); backends]),
                true,
            );
            (limits.request.map(|d| d.as_secs()), limits.attempt.map(|d| d.as_secs()))
        };
        assert_eq!(of(None, None, 2), (None, Some(120)));
        assert_eq!(of(seconds(600), None, 2), (Some(600), Some(120)));
        assert_eq!(of(seconds(600), None, 1), (Some(600), Some(600)));
        assert_eq!(of(seconds(60), seconds(10), 2), (Some(60), Some(10)));
        assert_eq!(of(seconds(0), seconds(0), 2), (None, None));
    }
}
