//! Tells when lines of the access log cannot be written: Envoy goes on serving and counts them, and nothing else would
//! say so.

use std::time::{Duration, Instant};

use super::admin::Admin;
use super::say;

/// How often Envoy's statistics are looked at.
const PAUSE: Duration = Duration::from_secs(2);

/// Watches what Envoy writes into files.
pub(super) struct Writes {
    admin: Admin,
    next: Instant,
    counts: Counts,
    /// Failures when the first of them was told of.
    before: Option<u64>,
}

/// Writes so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    done: u64,
    failed: u64,
    /// Files that could not be opened anew.
    closed: u64,
}

impl Writes {
    pub(super) fn new(admin: Admin) -> Writes {
        Writes { admin, next: Instant::now(), counts: Counts::default(), before: None }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + PAUSE;
        let Ok(stats) = self.admin.stats("^filesystem.(write_completed|write_failed|reopen_failed)$") else {
            return;
        };
        let of = |name: &str| stats.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let counts = Counts {
            done: of("filesystem.write_completed"),
            failed: of("filesystem.write_failed"),
            closed: of("filesystem.reopen_failed"),
        };
        if let Some(message) = self.judge(counts) {
            say(message);
        }
    }

    fn judge(&mut self, now: Counts) -> Option<String> {
        let before = std::mem::replace(&mut self.counts, now);
        let fails = now.failed > before.failed || now.closed > before.closed;
        match self.before {
            None if fails => {
                self.before = Some(before.failed);
                Some(
                    "the access log cannot be written: lines are lost (is its disk full, or its folder gone? \
                     `filesystem.write_failed` and `filesystem.reopen_failed` of /stats count)"
                        .to_owned(),
                )
            }
            Some(first) if !fails && now.done > before.done => {
                self.before = None;
                let lost = now.failed.saturating_sub(first);
                Some(format!(
                    "the access log is written again; {lost} writes failed, and their lines are lost"
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn lost_lines_are_told_once_and_so_is_their_end() {
        let mut writes = Writes::new(Admin::new(Path::new("/nowhere")));
        let mut judge = |done, failed, closed| writes.judge(Counts { done, failed, closed });
        assert_eq!(judge(5, 0, 0), None);
        assert!(judge(5, 2, 0).is_some_and(|message| message.contains("cannot be written")));
        assert_eq!(judge(5, 9, 0), None, "it is known");
        assert_eq!(judge(5, 9, 0), None, "nothing was written");
        assert!(judge(7, 9, 0).is_some_and(|message| message.contains("9 writes failed")));
        assert!(judge(7, 9, 1).is_some(), "a file that cannot be opened anew");
        // Envoy was started again.
        assert!(judge(0, 0, 0).is_none());
    }
}
