//! Tells when the ratelimit service does not answer: requests then pass without a look at their budgets (or are
//! refused, where that was asked for), and nothing else would say so.

use std::time::{Duration, Instant};

use super::admin::Admin;
use super::say;

/// How often Envoy's statistics are looked at.
const PAUSE: Duration = Duration::from_secs(2);

/// Watches the calls of the ratelimit service.
pub(super) struct Outage {
    admin: Admin,
    next: Instant,
    counts: Counts,
    is_down: bool,
}

/// Calls of the ratelimit service so far, over all routes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    answered: u64,
    failed: u64,
}

impl Outage {
    pub(super) fn new(admin: Admin) -> Outage {
        Outage { admin, next: Instant::now(), counts: Counts::default(), is_down: false }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + PAUSE;
        let sum = |name: &str| -> Option<u64> {
            let stats = self.admin.stats(&format!("ratelimit.{name}$")).ok()?;
            Some(stats.values().filter_map(|value| value.parse::<u64>().ok()).sum())
        };
        let (Some(failed), Some(ok), Some(over)) = (sum("error"), sum("ok"), sum("over_limit")) else {
            return;
        };
        if let Some(message) = self.judge(Counts { answered: ok + over, failed }) {
            say(message);
        }
    }

    fn judge(&mut self, now: Counts) -> Option<String> {
        let before = std::mem::replace(&mut self.counts, now);
        let failed = now.failed.saturating_sub(before.failed);
        if failed > 0 && !self.is_down {
            self.is_down = true;
            return Some(format!(
                "the ratelimit service or Redis does not answer: budgets do not hold ({failed} calls failed; \
                 /stats/prometheus counts them as ratelimit_error)"
            ));
        }
        if failed == 0 && now.answered > before.answered && self.is_down {
            self.is_down = false;
            return Some("the ratelimit service answers again".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let mut outage = Outage::new(Admin::new(Path::new("/nowhere")));
        let mut judge = |answered, failed| outage.judge(Counts { answered, failed });
        assert_eq!(judge(5, 0), None);
        assert!(judge(5, 2).is_some_and(|message| message.contains("2 calls failed")));
        assert_eq!(judge(5, 9), None, "it is known");
        assert_eq!(judge(5, 9), None, "no call, no news");
        assert!(judge(7, 9).is_some_and(|message| message.contains("again")));
        assert_eq!(judge(8, 9), None);
    }
}
