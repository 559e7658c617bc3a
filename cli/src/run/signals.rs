//! Signals: which end `weir`, which it passes on, and which change nothing. None may end it on the spot, since the run
//! directory, with secrets in it, would stay behind.

use std::io;

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator;

/// They end it in good order.
const ENDING: &[i32] = &[SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGXCPU];
/// They would end a process that says nothing about them, and mean nothing here.
const MEANINGLESS: &[i32] = &[SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ];

/// What signals ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The end.
    End,
    /// SIGUSR1: the access log is to be opened anew, since its file was moved away.
    Reopen,
}

/// The signals that have come.
pub(super) struct Signals(iterator::Signals);

impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        let all = ENDING.iter().chain(MEANINGLESS).chain(&[SIGUSR1]);
        iterator::Signals::new(all).map(Signals)
    }

    /// What those ask for that came since the last call; an end before all else.
    pub(super) fn wish(&mut self) -> Option<Wish> {
        let wish = |signal: i32| match signal {
            SIGUSR1 => Some(Wish::Reopen),
            signal if ENDING.contains(&signal) => Some(Wish::End),
            _ => None,
        };
        self.0.pending().filter_map(wish).min_by_key(|wish| *wish != Wish::End)
    }

    /// Whether one of those asks for the end.
    pub(super) fn ask_for_end(&mut self) -> bool {
        self.wish() == Some(Wish::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_ends_the_process_on_the_spot() {
        let mut signals = Signals::new().unwrap();
        assert_eq!(signals.wish(), None);
        for signal in MEANINGLESS {
            signal_hook::low_level::raise(*signal).unwrap();
            assert_eq!(signals.wish(), None, "{signal}");
        }
        signal_hook::low_level::raise(SIGUSR1).unwrap();
        assert_eq!(signals.wish(), Some(Wish::Reopen));
        for signal in ENDING {
            signal_hook::low_level::raise(SIGUSR1).unwrap();
            signal_hook::low_level::raise(*signal).unwrap();
            assert!(signals.ask_for_end(), "{signal}");
        }
        assert!(!signals.ask_for_end());
    }
}
