//! Answers that were not touched for a while.
//!
//! proxy-wasm has no timer for a stream, so the tick looks after them; and it takes bytes of the filter's own only into
//! a body that is held. So the pieces of a stream that is to be kept alive are held, and resumed at once: the first by
//! way of a queue, whose message comes when the callback is over, the others by the callback itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{Action, BufferType};
use weir_shell::{BackendFilter, Beat, EdgeFilter};

use crate::host::{self, Stream};

/// How long what was written last may take to the client before the stream is reset, in milliseconds.
const LAST_WORDS_MS: u64 = 100;

/// A filter whose answer is to be looked at now and then.
pub(crate) trait Beats {
    fn due(&mut self) -> Option<u64>;
    fn beat(&mut self, stream: &mut Stream) -> Beat;
}

impl Beats for EdgeFilter {
    fn due(&mut self) -> Option<u64> {
        EdgeFilter::due(self)
    }

    fn beat(&mut self, stream: &mut Stream) -> Beat {
        EdgeFilter::beat(self, stream)
    }
}

impl Beats for BackendFilter {
    fn due(&mut self) -> Option<u64> {
        BackendFilter::due(self)
    }

    fn beat(&mut self, stream: &mut Stream) -> Beat {
        BackendFilter::beat(self, stream)
    }
}

/// The body of an answer, as the host has it.
#[derive(Default)]
pub(crate) struct Body {
    /// The latest piece was held: the host has a buffer, which it puts the next one into, and which it takes more into.
    has_buffer: Cell<bool>,
    /// The answer was resumed since, outside of its callbacks: the next piece stays in the buffer until it is resumed
    /// again.
    is_resumed: Cell<bool>,
    /// Pieces that are to go on when the callback is over.
    late: RefCell<Vec<u8>>,
}

impl Body {
    /// What the host is told of a piece that the filter lets go on. `more`: something may have to be written behind it.
    pub(crate) fn goes_on(self: &Rc<Self>, id: u32, more: bool, end: bool) -> Action {
        let is_late = !self.late.borrow().is_empty();
        if !is_late && !end && self.has_buffer.get() && (more || self.is_resumed.get()) {
            // Carried out when the callback is over and before its result is looked at.
            resume();
            return self.is_held();
        }
        let is_stuck = self.has_buffer.get() && self.is_resumed.get();
        if is_late || is_stuck || more && !end {
            if resume_later(id, self) {
                self.late.borrow_mut().extend(host::body(BufferType::HttpResponseBody));
                write(&[]);
                return self.is_held();
            }
            // Rather late than not at all: the host goes on with it when the next piece comes, or the end.
            if is_stuck {
                resume();
            }
        }
        self.has_buffer.set(false);
        Action::Continue
    }

    /// The filter holds the piece that has just come.
    pub(crate) fn is_held(&self) -> Action {
        self.has_buffer.set(true);
        self.is_resumed.set(false);
        Action::Pause
    }

    /// What the host is told of trailers: they do not overtake pieces that are to come before them.
    pub(crate) fn before_trailers(&self) -> Action {
        if self.late.borrow().is_empty() { Action::Continue } else { Action::Pause }
    }

    fn takes_more(&self) -> bool {
        self.has_buffer.get() && self.late.borrow().is_empty()
    }

    /// Outside of the callbacks of the answer.
    fn resume(&self, bytes: &[u8]) {
        if self.has_buffer.get() {
            write(bytes);
        }
        self.is_resumed.set(true);
        resume();
    }
}

fn write(bytes: &[u8]) {
    if let Err(status) = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, usize::MAX >> 1, bytes) {
        log::error!("a piece of an answer could not be written: {status:?}");
    }
}

fn resume() {
    if let Err(status) = hostcalls::resume_http_response() {
        log::error!("an answer could not be resumed: {status:?}");
    }
}

struct Watched {
    filter: Rc<RefCell<dyn Beats>>,
    body: Rc<Body>,
    is_over: bool,
}

thread_local! {
    /// By when they are due, and their context.
    static WATCHED: RefCell<BTreeMap<(u64, u32), Watched>> = const { RefCell::new(BTreeMap::new()) };
    /// The queue of this worker, and the answers that wait for its message.
    static QUEUE: Cell<Option<u32>> = const { Cell::new(None) };
    static LATE: RefCell<BTreeMap<u32, Rc<Body>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes the worker's queue.
pub(crate) fn start() {
    if QUEUE.get().is_none() {
        // A queue has one reader, and all workers share their names.
        let name = format!("weir.resume.{:x}", RandomState::new().build_hasher().finish());
        match hostcalls::register_shared_queue(&name) {
            Ok(queue) => QUEUE.set(Some(queue)),
            Err(status) => log::error!("streams are not kept alive, there is no queue: {status:?}"),
        }
    }
}

fn resume_later(id: u32, body: &Rc<Body>) -> bool {
    let Some(queue) = QUEUE.get() else { return false };
    if LATE.with_borrow(|late| late.contains_key(&id)) {
        return true;
    }
    if hostcalls::enqueue_shared_queue(queue, None).is_err() {
        return false;
    }
    LATE.with_borrow_mut(|late| late.insert(id, Rc::clone(body)));
    true
}

/// The message of the queue has come.
pub(crate) fn resume_late(queue: u32) {
    while let Ok(Some(_)) = hostcalls::dequeue_shared_queue(queue) {}
    for (id, body) in LATE.take() {
        if hostcalls::set_effective_context(id).is_ok() {
            let late = body.late.take();
            body.resume(&late);
        }
    }
}

/// Has the filter of the context `id` looked at when it wants to be.
pub(crate) fn watch<F: Beats + 'static>(id: u32, filter: &Rc<RefCell<F>>, body: &Rc<Body>) {
    let Some(due) = filter.borrow_mut().due() else { return };
    let filter: Rc<RefCell<dyn Beats>> = Rc::<RefCell<F>>::clone(filter);
    add(id, due, Watched { filter, body: Rc::clone(body), is_over: false });
}

fn add(id: u32, in_ms: u64, watched: Watched) {
    let at = host::now_ms().saturating_add(in_ms);
    WATCHED.with_borrow_mut(|all| all.insert((at, id), watched));
}

/// Takes a filter off the lists: context ids are used again.
pub(crate) fn remove(id: u32) {
    LATE.with_borrow_mut(|late| late.remove(&id));
    WATCHED.with_borrow_mut(|all| all.retain(|(_, of), _| *of != id));
}

/// Looks at what is due: at everything once, where the proxy is about to stop.
pub(crate) fn run() {
    let now_ms = host::now_ms();
    if weir_shell::is_stopping() {
        let soon = |((at, id), watched): ((u64, u32), Watched)| {
            // Of one that has got its last word the time runs already.
            let at = if watched.is_over { at } else { at.min(now_ms) };
            ((at, id), watched)
        };
        WATCHED.set(WATCHED.take().into_iter().map(soon).collect());
    }
    loop {
        let next = WATCHED.with_borrow_mut(|all| {
            let first = all.first_entry()?;
            (first.key().0 <= now_ms).then(|| first.remove_entry())
        });
        let Some(((_, id), watched)) = next else { return };
        if hostcalls::set_effective_context(id).is_ok() {
            look(id, watched);
        }
    }
}

fn look(id: u32, mut watched: Watched) {
    if watched.is_over {
        if let Err(status) = hostcalls::reset_http_response() {
            log::error!("a silent stream could not be ended: {status:?}");
        }
        return;
    }
    let beat = watched.filter.borrow_mut().beat(&mut Stream);
    let due = watched.filter.borrow_mut().due();
    let say = |bytes: &[u8]| {
        if watched.body.takes_more() {
            watched.body.resume(bytes);
        }
    };
    match beat {
        Beat::Rest => {}
        Beat::LetGo => watched.body.resume(&[]),
        Beat::Write(bytes) => say(&bytes),
        // An answer that has said all: a reset would make a broken one of it, and nothing else ends it.
        Beat::End(bytes) if bytes.is_empty() => {}
        Beat::Reply(reply) => {
            host::reply(&reply);
            return;
        }
        Beat::End(bytes) => {
            say(&bytes);
            watched.is_over = true;
            add(id, LAST_WORDS_MS, watched);
            return;
        }
    }
    if let Some(due) = due {
        add(id, due, watched);
    }
}
