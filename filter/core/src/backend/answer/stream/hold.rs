//! How long the headers of a stream wait, and what waits with them.

use super::Stream;
use super::out::Passed;
use crate::backend::answer::{Chunk, HeldHeaders};
use crate::exchange::{Answer, Progress};

/// How much of a stream is held back until its first content, in bytes: the events that open one of Responses repeat
/// the instructions and the tools of the request.
pub(super) const MOST_KEPT_BACK: usize = 256 << 10;

/// How long the headers wait for the first event, which may be an error: it is told by the status then, or another
/// backend is tried.
#[derive(Debug)]
pub(in crate::backend::answer) struct Hold {
    /// No other backend will be tried. A sign of life is reason enough to let the headers go: the client should have
    /// it, too.
    pub(in crate::backend::answer) is_last: bool,
    /// When they go: where another could be tried, only those of a backend that lives.
    pub(in crate::backend::answer) until_ms: u64,
    /// There was a comment.
    pub(in crate::backend::answer) is_alive: bool,
    /// They wait for the first content as well. Boxed, since few streams do.
    pub(in crate::backend::answer) content: Option<Box<ForContent>>,
}

/// How long the headers wait for content once there is an event: what failed before is said anew by another backend.
#[derive(Debug)]
pub(in crate::backend::answer) struct ForContent {
    /// When the client is to hear something, in milliseconds since 1970.
    pub(in crate::backend::answer) until_ms: u64,
    /// A backend that said nothing for so long is left to Envoy, which gives it up soon, in milliseconds.
    pub(in crate::backend::answer) quiet_ms: u64,
    /// When its last byte came, in milliseconds since 1970.
    pub(in crate::backend::answer) heard_ms: u64,
    /// An event came.
    pub(super) has_event: bool,
    /// Something of it is for the client.
    pub(super) has_told: bool,
}

/// What is due of headers.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::backend::answer) enum Due {
    /// Nothing for so many milliseconds.
    In(u64),
    /// Nothing, unless something comes.
    Never,
    /// They go.
    Now,
}

impl ForContent {
    pub(in crate::backend::answer) fn new(from_ms: u64, keepalive_ms: u64, longest_ms: u64) -> ForContent {
        let until_ms = if keepalive_ms == 0 { u64::MAX } else { from_ms.saturating_add(keepalive_ms) };
        ForContent {
            until_ms,
            quiet_ms: longest_ms / 2,
            heard_ms: from_ms,
            has_event: false,
            has_told: false,
        }
    }
}

impl Hold {
    pub(super) fn hears(&mut self, bytes: &[u8], now_ms: u64) {
        if let Some(content) = self.content.as_mut().filter(|_| !bytes.is_empty()) {
            content.heard_ms = now_ms;
        }
    }

    /// Whether what comes at `now_ms` is held back: content is still to come, and there is time.
    pub(super) fn lasts(&self, now_ms: u64) -> bool {
        let until = |content: &ForContent| content.until_ms.min(self.until_ms);
        self.content.as_deref().is_some_and(|content| content.has_event && now_ms < until(content))
    }

    /// Something for the client is held back.
    pub(super) fn has_told(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.has_told)
    }

    pub(in crate::backend::answer) fn due(&self, now_ms: u64) -> Due {
        let wait = self.until_ms.saturating_sub(now_ms);
        let Some(content) = &self.content else {
            return self.due_of_event(wait);
        };
        let for_content = content.until_ms.saturating_sub(now_ms);
        match (content.has_event, wait, for_content) {
            (true, _, 0) => Due::Now,
            (true, 0, _) if now_ms.saturating_sub(content.heard_ms) < content.quiet_ms => Due::Now,
            (true, 0, _) if content.until_ms == u64::MAX => Due::Never,
            (true, 0, for_content) => Due::In(for_content),
            (false, 0, _) | (false, _, 0) => self.due_of_event(wait),
            (_, wait, for_content) => Due::In(wait.min(for_content)),
        }
    }

    /// The same where the first event is all that is waited for.
    fn due_of_event(&self, wait: u64) -> Due {
        match wait {
            // The next comment lets them go.
            0 if !self.is_last && !self.is_alive => Due::Never,
            0 => Due::Now,
            wait => Due::In(wait),
        }
    }
}

impl Stream {
    /// The headers wait for no content any more: what was held back is the client's.
    pub(super) fn let_go(&mut self, progress: &mut Progress) {
        self.hold.content = None;
        self.begun |= std::mem::take(&mut progress.is_held_back);
        if self.begun && progress.answer == Answer::None {
            progress.answer = Answer::Begun;
        }
    }

    /// Lets what is held back go, with the headers, though there is no content yet.
    pub(super) fn without_holding_back(&mut self, progress: &mut Progress, now_ms: u64) -> Chunk {
        self.let_go(progress);
        self.released = true;
        let passed = Passed::Made(std::mem::take(&mut self.kept_back));
        let mut body = Vec::new();
        self.framed(passed, b"", false, &mut progress.array).add_to(b"", &mut body);
        let chunk = Chunk::Release(self.headers(), body);
        self.note(&chunk, false, progress, now_ms);
        chunk
    }

    /// What is due of the headers at `now_ms`. What is held back follows with the next byte of the backend's.
    pub(super) fn held(&mut self, progress: &mut Progress, now_ms: u64) -> HeldHeaders {
        if self.released {
            return HeldHeaders::Over;
        }
        match self.hold.due(now_ms) {
            Due::In(wait) => HeldHeaders::Wait(wait),
            Due::Never => HeldHeaders::Over,
            Due::Now => {
                self.let_go(progress);
                self.released = true;
                HeldHeaders::Release(self.headers())
            }
        }
    }
}
