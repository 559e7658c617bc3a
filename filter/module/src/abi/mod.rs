//! Envoy's ABI for dynamic modules, made safe. All unsafe code of the project is here.
//!
//! Envoy calls the functions in `hooks`; those ask a [`HttpFilter`], one for each stream, or a
//! [`FilterConfig`], and tell Envoy what they said. A filter reads and changes its request through a
//! [`Stream`], which lives for one hook only.
//!
//! What has to be true for that to be safe, and why it is:
//!
//! * **What is read lies in Envoy's memory**, and is good until the hook ends or Envoy changes it. So it
//!   borrows from the stream, and every change takes the stream by `&mut`.
//! * **Hooks can nest, and a filter can be destroyed inside of one of its own**: an answer runs through the
//!   filter chain before `send_response` returns, resuming a request can end it, and a body over a limit makes
//!   Envoy answer. None of these can be called by a filter. It returns a [`Next`], new bodies wait in its
//!   stream, and the hook carries both out when the filter is no longer borrowed, and does not refer to it
//!   afterwards. Besides, a filter is in a `RefCell`, and a hook that runs holds a count of its own on it.
//! * **Threads**: a filter stays on its worker. A configuration is shared by all of them, hence `Send + Sync`.
//!   A [`Scheduler`] may go anywhere; it is closed when what it wakes is destroyed.
//! * **No panic gets out.** One that is caught is logged with its place, counted (`weir_module_panics_total`),
//!   ends its filter, and answers the request with 500; where the answer had begun, Envoy resets the stream.
//!
//! The module must be loaded with `do_not_close: true`: it has thread-local state on Envoy's workers, and may
//! have threads of its own, which must not lose their code when the last configuration that uses the module
//! goes.

#![allow(unsafe_code, reason = "a C ABI; nothing else of the project needs any")]

mod config;
#[cfg(test)]
mod fake;
mod ffi;
mod hooks;
mod instance;
mod log;
mod scheduler;
mod stream;
#[cfg(test)]
mod tests;

use weir_core::edge::Reply;

pub use config::{Answer, CalloutError, ConfigSetup, Counter, MainThread};
pub use instance::caught_panics;
pub use scheduler::Scheduler;
pub use stream::{Headers, Metadata, Stream};

/// What is to happen with what has just come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on, and with it all that was held. From [`HttpFilter::scheduled`]: the request goes on.
    Continue,
    /// It is held: headers until their body or trailers go on, a body until more of it goes on. What ends a
    /// request or an answer must not be held, other than for [`HttpFilter::scheduled`] to let a request go
    /// on.
    Hold,
    /// From [`HttpFilter::scheduled`]: the answer that is held goes on.
    ContinueAnswer,
    /// From [`HttpFilter::scheduled`]: this is added to the answer, whose headers are gone. The other filters of the
    /// chain see it as a piece of body.
    Send {
        /// What is added.
        body: Vec<u8>,
        /// The answer ends with it.
        end: bool,
    },
    /// The request is answered with this. The own response methods of the filter are not called for it. Where
    /// an answer has begun already, the stream is reset instead.
    Reply(Reply),
}

/// One configuration of a filter. Its filters are made on all workers, at the same time.
pub trait FilterConfig: Send + Sync {
    /// A filter for one stream, on the worker that it stays on.
    fn new_filter(&self) -> Box<dyn HttpFilter>;

    /// On the main thread, after [`Scheduler::wake`] with `event`.
    fn scheduled(&self, _main: &mut MainThread<'_>, _event: u64) {}

    /// On the main thread: the callout `id` is answered, or has failed.
    fn callout_done(&self, _main: &mut MainThread<'_>, _id: u64, _answer: Option<Answer<'_>>) {}
}

/// A filter of one stream; in an upstream chain, of one attempt.
///
/// `end` says that nothing follows. It may also come with an empty piece of body, or not at all when trailers
/// follow.
pub trait HttpFilter {
    /// The request's headers.
    fn request_headers(&mut self, _stream: &mut Stream<'_>, _end: bool) -> Next {
        Next::Continue
    }

    /// A piece of the request's body.
    fn request_body(&mut self, _stream: &mut Stream<'_>, _end: bool) -> Next {
        Next::Continue
    }

    /// The request's trailers, which end it.
    fn request_trailers(&mut self, _stream: &mut Stream<'_>) -> Next {
        Next::Continue
    }

    /// The answer's headers.
    fn response_headers(&mut self, _stream: &mut Stream<'_>, _end: bool) -> Next {
        Next::Continue
    }

    /// A piece of the answer's body.
    fn response_body(&mut self, _stream: &mut Stream<'_>, _end: bool) -> Next {
        Next::Continue
    }

    /// The answer's trailers, which end it.
    fn response_trailers(&mut self, _stream: &mut Stream<'_>) -> Next {
        Next::Continue
    }

    /// The stream is over, however it ended; before the access log is written. Never called for upstream
    /// filters.
    fn stream_complete(&mut self, _stream: &mut Stream<'_>) {}

    /// After [`Scheduler::wake`] with `event`, on the filter's worker.
    fn scheduled(&mut self, _stream: &mut Stream<'_>, _event: u64) -> Next {
        Next::Hold
    }
}
