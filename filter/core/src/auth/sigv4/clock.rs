//! The clock that AWS checks signatures by, where ours goes otherwise: a signature is taken for five minutes. A refusal
//! for that reason says in `date` what time it is there, and the next signature is right.

use chrono::DateTime;

use crate::headers::Headers;
use crate::store::Store;

/// What AWS lets pass, in seconds, less what a request may take to get there.
const TOLERATED: u64 = 240;

/// The most that is corrected, in seconds. A clock that is further off is no clock.
const MOST: u64 = 24 * 3600;

/// What `x-amzn-errortype` begins with where it is the time that is wrong, or may be.
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>
const ERRORS: [&str; 4] =
    ["InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];

/// The time at `host`, when ours is `now`; both in seconds of Unix time. What one host says is believed of it alone.
#[must_use]
pub(crate) fn time_at(host: &str, now: u64, store: &dyn Store) -> u64 {
    now.saturating_add_signed(ahead(host, store))
}

/// Takes over what an answer of `host` says of the time there: by how many seconds it is ahead of ours, where that is
/// new.
pub(crate) fn learn(host: &str, status: u16, headers: &Headers, now: u64, store: &dyn Store) -> Option<i64> {
    let kind = if status == 403 { headers.get("x-amzn-errortype")? } else { return None };
    if !kind.split([':', '#']).any(|part| ERRORS.contains(&part)) {
        return None;
    }
    let date = headers.get("date")?;
    let there = u64::try_from(DateTime::parse_from_rfc2822(date).ok()?.timestamp()).ok()?;
    // Where the time was right already it is something else that is wrong with the signature.
    if there.abs_diff(time_at(host, now, store)) <= TOLERATED || there.abs_diff(now) > MOST {
        return None;
    }
    let new = there.checked_signed_diff(now)?;
    store.change(&key(host), &mut |_| Some(new.to_string().into_bytes()));
    Some(new)
}

fn ahead(host: &str, store: &dyn Store) -> i64 {
    let known = store.get(&key(host)).and_then(|known| String::from_utf8(known.value).ok());
    known.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn key(host: &str) -> String {
    format!("weir.clock: {host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    const NOW: u64 = 1_440_938_160; // 2015-08-30T12:36:00Z
    const HOST: &str = "bedrock-runtime.us-east-1.amazonaws.com";

    fn refusal(kind: &str, date: &str) -> Headers {
        [("x-amzn-errortype", kind), ("date", date)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_refusal_sets_the_clock_once() {
        let store = Memory::default();
        let late =
            refusal("InvalidSignatureException:http://internal.amazon.com/", "Sun, 30 Aug 2015 13:36:00 GMT");
        assert_eq!(learn(HOST, 403, &late, NOW, &store), Some(3600));
        assert_eq!(time_at(HOST, NOW, &store), NOW + 3600);
        assert_eq!(time_at("another.host", NOW, &store), NOW);
        // The time is right now: something else is wrong.
        assert_eq!(learn(HOST, 403, &late, NOW + 100, &store), None);
        // Our clock was set in the meantime.
        assert_eq!(learn(HOST, 403, &late, NOW + 3600, &store), Some(0));
        assert_eq!(time_at(HOST, NOW + 3600, &store), NOW + 3600);
        let early = refusal("RequestTimeTooSkewed", "Sun, 30 Aug 2015 12:26:00 GMT");
        assert_eq!(learn(HOST, 403, &early, NOW, &store), Some(-600));
    }

    #[test]
    fn nothing_else_does() {
        let store = Memory::default();
        let (kind, date) = ("InvalidSignatureException", "Sun, 30 Aug 2015 13:36:00 GMT");
        for (status, kind, date) in [
            (400, kind, date),
            (403, "AccessDeniedException", date),
            (403, kind, "Sun, 30 Aug 2015 12:39:00 GMT"),
            (403, kind, "Wed, 02 Sep 2015 12:36:00 GMT"),
            (403, kind, "yesterday"),
            (403, kind, "Sun, 30 Aug 1915 12:36:00 GMT"),
        ] {
            assert_eq!(
                learn(HOST, status, &refusal(kind, date), NOW, &store),
                None,
                "{status} {kind} {date}"
            );
        }
        assert_eq!(learn(HOST, 403, &Headers::default(), NOW, &store), None);
        assert_eq!(time_at(HOST, NOW, &store), NOW);
    }
}
