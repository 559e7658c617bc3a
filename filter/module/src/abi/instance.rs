//! What Envoy keeps of ours, and what is done with a filter's verdict.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_core::edge::{OWN_DETAILS, Reply};
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error, Kind};

use super::ffi::{self, BodyType, Buffer, Header};
use super::scheduler::Scheduler;
use super::stream::{Keep, Side, Stream, breaks_headers, part_size};
use super::{Counter, FilterConfig, HttpFilter, Next};

/// Panics that were caught, in filters and configurations.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How many panics have been caught in this process.
#[must_use]
pub fn caught_panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Runs `work`; `None` if it panicked. What it had its hands on must not be used any more.
pub(super) fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    if done.is_none() {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }
    done
}

/// A configuration of ours, as Envoy keeps it: `filter_config_module_ptr`.
pub(super) struct Config {
    pub(super) config: Box<dyn FilterConfig>,
    pub(super) scheduler: OnceLock<Scheduler>,
    pub(super) panics: Option<Counter>,
}

/// A filter of ours, as Envoy keeps it: `filter_module_ptr`.
pub(super) struct Instance {
    filter: RefCell<State>,
    keep: Keep,
    panics: Option<Counter>,
    /// A piece of the filter's own is on its way through the chain: it is not asked about it.
    sends: Cell<bool>,
}

enum State {
    Live(Box<dyn HttpFilter>),
    /// Its making panicked; nobody has been told yet.
    Unmade,
    /// It panicked, and the request has been answered; or it has been destroyed.
    Ended,
}

/// The hook that runs, where it matters for what Envoy is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Scheduled,
    StreamComplete,
}

impl Hook {
    /// The status that stops here, after an answer or for a filter that is no more. What came with it is not
    /// kept: `StopIteration`, and `StopIterationNoBuffer` for bodies.
    fn stop(self) -> u32 {
        match self {
            Hook::RequestBody | Hook::ResponseBody => 3,
            _ => 1,
        }
    }
}

/// `Continue` of every hook.
const CONTINUE: u32 = 0;
/// `StopIteration` of headers and trailers, and `StopIterationAndBuffer` of bodies.
const HOLD: u32 = 1;

struct Verdict {
    next: Next,
    request_body: Option<Vec<u8>>,
    response_body: Option<Vec<u8>>,
}

impl Verdict {
    fn failed() -> Verdict {
        let error = Error::new(Kind::Internal, "the gateway failed; its log says where");
        let next = Next::Reply(Reply::of_error(&error, ClientApi::default()));
        Verdict { next, request_body: None, response_body: None }
    }
}

impl Instance {
    pub(super) fn new(filter: Option<Box<dyn HttpFilter>>, panics: Option<Counter>) -> Instance {
        let state = filter.map_or(State::Unmade, State::Live);
        Instance { filter: RefCell::new(state), keep: Keep::default(), panics, sends: Cell::new(false) }
    }

    /// Asks the filter; `None` if there is none to ask.
    ///
    /// # Safety
    ///
    /// `envoy` must be the filter of the hook that is running.
    unsafe fn ask(
        &self,
        envoy: ffi::Envoy,
        call: impl FnOnce(&mut dyn HttpFilter, &mut Stream<'_>) -> Next,
    ) -> Option<Verdict> {
        // It is borrowed already if a hook runs inside of a filter's method. That is not meant to be, and
        // would be a change in Envoy; then it is passed by.
        let mut state = self.filter.try_borrow_mut().ok()?;
        // SAFETY: as the caller says. The stream goes no further than this function.
        let mut stream = unsafe { Stream::new(envoy, &self.keep) };
        let next = match &mut *state {
            State::Live(filter) => guard(|| call(filter.as_mut(), &mut stream)),
            State::Unmade => None,
            State::Ended => return None,
        };
        let Some(next) = next else {
            let broken = std::mem::replace(&mut *state, State::Ended);
            guard(|| drop(broken));
            if let Some(counter) = self.panics {
                stream.increment(counter, &[], 1);
            }
            return Some(Verdict::failed());
        };
        let (request_body, response_body) = stream.into_bodies();
        Some(Verdict { next, request_body, response_body })
    }

    /// The answer will be Envoy's own.
    pub(super) fn note_local_reply(&self, details: &[u8]) {
        // The first is the one that is sent.
        self.keep.local_reply.get_or_init(|| details.into());
    }

    /// The filter's last hour.
    pub(super) fn end(&self) {
        if let Some(scheduler) = self.keep.scheduler.get() {
            scheduler.close();
        }
        if let Ok(mut state) = self.filter.try_borrow_mut() {
            let ended = std::mem::replace(&mut *state, State::Ended);
            guard(|| drop(ended));
        }
    }
}

/// One hook: asks the filter, then carries out what it said. Returns what Envoy is told.
///
/// # Safety
///
/// `envoy` must be the filter of the hook that is running, and `ours` what `new` returned for it, or null.
pub(super) unsafe fn run(
    envoy: ffi::Envoy,
    ours: ffi::Ours,
    hook: Hook,
    call: impl FnOnce(&mut dyn HttpFilter, &mut Stream<'_>) -> Next,
) -> u32 {
    // SAFETY: as the caller says.
    let instance = unsafe { hold(ours) };
    let verdict = match &instance {
        None => Some(Verdict::failed()),
        Some(instance) if hook == Hook::ResponseBody && instance.sends.get() => return CONTINUE,
        // SAFETY: as the caller says.
        Some(instance) => unsafe { instance.ask(envoy, call) },
    };
    // What follows may make Envoy destroy the filter before it returns: of ours only what is held here is referred to.
    let is_sent = matches!(&verdict, Some(Verdict { next: Next::Send { .. }, .. }));
    if let Some(instance) = instance.filter(|_| is_sent) {
        instance.sends.set(true);
        // SAFETY: as the caller says.
        let told = verdict.map_or(CONTINUE, |verdict| unsafe { carry_out(envoy, hook, verdict) });
        instance.sends.set(false);
        return told;
    }
    match verdict {
        // SAFETY: as the caller says.
        Some(verdict) => unsafe { carry_out(envoy, hook, verdict) },
        None => match hook {
            Hook::RequestHeaders | Hook::RequestBody | Hook::RequestTrailers => hook.stop(),
            _ => CONTINUE,
        },
    }
}

/// A count of our own, so that the instance lives until its hook is through, whatever happens to Envoy's
/// count.
///
/// # Safety
///
/// `ours` must be what `new` returned, not destroyed yet, or null.
pub(super) unsafe fn hold(ours: ffi::Ours) -> Option<Rc<Instance>> {
    let instance = ours.cast::<Instance>();
    if instance.is_null() {
        return None;
    }
    // SAFETY: it came from `Rc::into_raw`, and Envoy has its count still. A filter stays on the thread of its
    // worker, so the count needs not be atomic.
    unsafe {
        Rc::increment_strong_count(instance);
        Some(Rc::from_raw(instance))
    }
}

/// # Safety
///
/// `envoy` must be the filter of the hook that is running.
unsafe fn carry_out(envoy: ffi::Envoy, hook: Hook, verdict: Verdict) -> u32 {
    if hook == Hook::StreamComplete {
        return CONTINUE;
    }
    if let Next::Reply(reply) = verdict.next {
        // SAFETY: as the caller says.
        unsafe { send(envoy, &reply) };
        return hook.stop();
    }
    for (side, body) in [(Side::Request, verdict.request_body), (Side::Response, verdict.response_body)] {
        if let Some(body) = body {
            // SAFETY: as the caller says.
            unsafe { replace(envoy, hook, side, &body) };
        }
    }
    match (hook, verdict.next) {
        (Hook::Scheduled, Next::Continue) => {
            // SAFETY: as the caller says. If the filter was destroyed just now, Envoy's side of it is still
            // there for the hook's sake, and knows.
            unsafe { ffi::envoy_dynamic_module_callback_http_filter_continue_decoding(envoy) };
            CONTINUE
        }
        (Hook::Scheduled, Next::ContinueAnswer) => {
            // SAFETY: as the caller says, and as above.
            unsafe { ffi::envoy_dynamic_module_callback_http_filter_continue_encoding(envoy) };
            CONTINUE
        }
        (Hook::Scheduled, Next::Send { body, end }) => {
            // SAFETY: as the caller says; Envoy copies the body. It may come to the filter's own hook before this
            // returns, and when it ends the answer the filter may be destroyed by then.
            unsafe {
                ffi::envoy_dynamic_module_callback_http_send_response_data(envoy, Buffer::of(&body), end);
            }
            CONTINUE
        }
        (_, Next::Continue | Next::ContinueAnswer | Next::Send { .. }) => CONTINUE,
        (_, Next::Hold | Next::Reply(_)) => HOLD,
    }
}

/// Replaces a body. What is to take the place of a chunk that has just come must stand where that stood;
/// outside of the hooks for bodies there is only what was held.
///
/// # Safety
///
/// `envoy` must be the filter of the hook that is running.
unsafe fn replace(envoy: ffi::Envoy, hook: Hook, side: Side, body: &[u8]) {
    for part in side.parts(envoy) {
        let size = part_size(envoy, part);
        if size > 0 {
            // SAFETY: as the caller says.
            unsafe { ffi::envoy_dynamic_module_callback_http_drain_body(envoy, part, size) };
        }
    }
    let into: BodyType = match (hook, side) {
        (Hook::RequestBody, Side::Request) | (Hook::ResponseBody, Side::Response) => side.received(),
        _ => side.buffered(),
    };
    if !body.is_empty() {
        // SAFETY: Envoy copies the body.
        unsafe { ffi::envoy_dynamic_module_callback_http_append_body(envoy, into, Buffer::of(body)) };
    }
}

/// Answers the request; where an answer has begun already, Envoy resets the stream instead.
///
/// # Safety
///
/// `envoy` must be the filter of the hook that is running.
unsafe fn send(envoy: ffi::Envoy, reply: &Reply) {
    let sound = |(name, value): &&(String, String)| {
        !name.is_empty() && !breaks_headers(name.as_bytes()) && !breaks_headers(value.as_bytes())
    };
    let header = |(name, value): &(String, String)| Header {
        name: Buffer::of(name.as_bytes()),
        value: Buffer::of(value.as_bytes()),
    };
    let mut headers: Vec<Header> = reply.headers.iter().filter(sound).map(header).collect();
    // SAFETY: as the caller says; `reply` outlives the call, and Envoy copies what it keeps.
    unsafe {
        ffi::envoy_dynamic_module_callback_http_send_response(
            envoy,
            u32::from(reply.status),
            headers.as_mut_ptr(),
            headers.len(),
            Buffer::of(&reply.body),
            Buffer::of(OWN_DETAILS.as_bytes()),
        );
    }
}
