//! The filters of a stream, one per role.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};
use weir_core::auth::SECRET_HEADER_PREFIX;
use weir_core::config::Config;
use weir_core::edge::Reply;
use weir_shell::{AdminFilter, BackendFilter, EdgeFilter, Flow, refusal};

use crate::beats::{self, Beats, Body};
use crate::host::{self, Stream};
use crate::waiting::{self, Waits};

/// Does what a filter said.
fn act(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Hold => Action::Pause,
        Flow::Reply(reply) => {
            host::reply(&reply);
            Action::Pause
        }
    }
}

/// Does what a filter said of a piece of an answer.
fn answer(body: &Rc<Body>, id: u32, flow: Flow, more: bool, end: bool) -> Action {
    match flow {
        Flow::Continue => body.goes_on(id, more, end),
        Flow::Hold => body.is_held(),
        Flow::Reply(_) => act(flow),
    }
}

/// Does what a filter said of an answer's trailers.
fn trailers(body: &Body, flow: Flow) -> Action {
    match flow {
        Flow::Continue => body.before_trailers(),
        Flow::Hold | Flow::Reply(_) => act(flow),
    }
}

/// A filter whose request may have to wait for its credential. Shared, because the tick carries such a request on.
struct Shared<F> {
    id: u32,
    filter: Rc<RefCell<F>>,
}

impl<F: Waits + Beats + 'static> Shared<F> {
    fn new(id: u32, filter: F) -> Shared<F> {
        Shared { id, filter: Rc::new(RefCell::new(filter)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut F) -> T) -> T {
        work(&mut self.filter.borrow_mut())
    }

    /// Does what the filter said of the request.
    fn request(&self, work: impl FnOnce(&mut F) -> Flow) -> Action {
        let flow = self.with(work);
        if self.with(|filter| filter.waits()) {
            let filter: Rc<RefCell<dyn Waits>> = Rc::<RefCell<F>>::clone(&self.filter);
            waiting::add(self.id, filter);
        }
        act(flow)
    }
}

/// In the listener's chain.
pub(crate) struct Edge {
    shared: Shared<EdgeFilter>,
    body: Rc<Body>,
}

impl Edge {
    pub(crate) fn new(id: u32, config: Arc<Config>) -> Edge {
        Edge { shared: Shared::new(id, EdgeFilter::new(config)), body: Rc::default() }
    }

    fn watch(&self) {
        beats::watch(self.shared.id, &self.shared.filter, &self.body);
    }
}

impl Context for Edge {
    fn on_done(&mut self) -> bool {
        waiting::remove(self.shared.id);
        beats::remove(self.shared.id);
        self.shared.with(|filter| filter.close(&mut Stream));
        true
    }
}

impl HttpContext for Edge {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let action = self.shared.request(|filter| filter.request_headers(&mut Stream, end));
        self.watch();
        action
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let action = self.shared.request(|filter| filter.request_body(&mut Stream, size, end));
        self.watch();
        action
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let action = self.shared.request(|filter| filter.request_trailers(&mut Stream));
        self.watch();
        action
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let flow = self.shared.with(|filter| filter.response_headers(&mut Stream, end));
        self.watch();
        act(flow)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let flow = self.shared.with(|filter| filter.response_body(&mut Stream, size, end));
        self.watch();
        let more = self.shared.with(|filter| filter.has_pulse());
        answer(&self.body, self.shared.id, flow, more, end)
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        let flow = self.shared.with(|filter| filter.response_trailers(&mut Stream));
        trailers(&self.body, flow)
    }

    /// It is called for every request, and `on_done` before the rate limit charges: whichever comes first closes the
    /// books.
    fn on_log(&mut self) {
        self.shared.with(|filter| filter.close(&mut Stream));
    }
}

/// In a cluster's upstream chain.
pub(crate) struct Backend(Shared<BackendFilter>, Rc<Body>);

impl Backend {
    pub(crate) fn new(id: u32, config: Arc<Config>) -> Backend {
        Backend(Shared::new(id, BackendFilter::new(config)), Rc::default())
    }
}

impl Context for Backend {
    fn on_done(&mut self) -> bool {
        waiting::remove(self.0.id);
        beats::remove(self.0.id);
        true
    }
}

impl HttpContext for Backend {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        self.0.request(|filter| filter.request_headers(&mut Stream, end))
    }

    fn on_http_request_body(&mut self, _size: usize, end: bool) -> Action {
        self.0.request(|filter| filter.request_body(&mut Stream, end))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.0.request(|filter| filter.request_trailers(&mut Stream))
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let flow = self.0.with(|filter| filter.response_headers(&mut Stream, end));
        beats::watch(self.0.id, &self.0.filter, &self.1);
        act(flow)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let flow = self.0.with(|filter| filter.response_body(&mut Stream, size, end));
        answer(&self.1, self.0.id, flow, false, end)
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        let flow = self.0.with(|filter| filter.response_trailers(&mut Stream));
        trailers(&self.1, flow)
    }
}

/// In the place of the two, where there is no configuration.
pub(crate) struct Refusing;

impl Context for Refusing {}

impl HttpContext for Refusing {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        act(refusal(&host::headers(MapType::HttpRequestHeaders)).into())
    }
}

/// On the admin listener.
pub(crate) struct Admin(pub(crate) AdminFilter);

impl Context for Admin {}

impl HttpContext for Admin {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        act(self.0.request_headers(&Stream))
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        act(self.0.response_headers(&mut Stream))
    }

    fn on_http_response_body(&mut self, _size: usize, end: bool) -> Action {
        act(self.0.response_body(&mut Stream, end))
    }
}

/// On the private listener that hands secrets in.
///
/// A wasm filter cannot read files. Envoy can: on the way to this listener, which is a Unix socket in a directory that
/// only the proxy may enter, it adds a header per secret from the files it watches. The answer gives them back, and
/// that is how the caller, a filter of this VM, gets them.
pub(crate) struct Secrets;

impl Context for Secrets {}

impl HttpContext for Secrets {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let request = host::headers(MapType::HttpRequestHeaders);
        // The one that is asked for: an answer may have a hundred headers.
        let asked = request.path_and_query().0.trim_start_matches('/');
        let asked = Some(asked).filter(|name| name.starts_with(SECRET_HEADER_PREFIX));
        let headers = asked.and_then(|name| Some((name.to_owned(), request.get(name)?.to_owned())));
        let headers = headers.into_iter().collect();
        act(Reply { status: 200, headers, body: Vec::new() }.into())
    }
}
