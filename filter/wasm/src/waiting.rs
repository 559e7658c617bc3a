//! Requests that wait for a credential. The host does not call their body callbacks again, so the tick carries them on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use weir_shell::{BackendFilter, EdgeFilter, Flow};

use crate::host::{self, Stream};

/// A filter whose request may have to wait for its credential.
pub(crate) trait Waits {
    fn waits(&self) -> bool;
    fn retry(&mut self, stream: &mut Stream) -> Flow;
}

impl Waits for EdgeFilter {
    fn waits(&self) -> bool {
        EdgeFilter::waits(self)
    }

    fn retry(&mut self, stream: &mut Stream) -> Flow {
        EdgeFilter::retry(self, stream)
    }
}

impl Waits for BackendFilter {
    fn waits(&self) -> bool {
        BackendFilter::waits(self)
    }

    fn retry(&mut self, stream: &mut Stream) -> Flow {
        BackendFilter::retry(self, stream)
    }
}

type Waiting = Rc<RefCell<dyn Waits>>;

thread_local! {
    static WAITING: RefCell<HashMap<u32, Waiting>> = RefCell::new(HashMap::new());
}

/// Puts the filter of the context `id` on the list.
pub(crate) fn add(id: u32, filter: Waiting) {
    WAITING.with_borrow_mut(|all| all.insert(id, filter));
}

/// Takes a filter off the list: context ids are used again.
pub(crate) fn remove(id: u32) -> Option<Waiting> {
    WAITING.with_borrow_mut(|all| all.remove(&id))
}

/// Tries each request again.
pub(crate) fn retry() {
    let ids: Vec<u32> = WAITING.with_borrow(|all| all.keys().copied().collect());
    for id in ids {
        let Some(filter) = remove(id) else { continue };
        if hostcalls::set_effective_context(id).is_err() {
            continue;
        }
        let flow = filter.borrow_mut().retry(&mut Stream);
        match flow {
            Flow::Continue => {
                if let Err(status) = hostcalls::resume_http_request() {
                    log::error!("a request that waited for its credential could not be resumed: {status:?}");
                }
            }
            Flow::Hold => add(id, filter),
            Flow::Reply(reply) => host::reply(&reply),
        }
    }
}
