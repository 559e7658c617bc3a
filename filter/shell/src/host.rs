//! What the filters need of the proxy.

use std::borrow::Cow;
use std::ops::Range;

use weir_core::edge::Reply;
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::metrics::Metrics;
use weir_core::store::Store;

/// A header map of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// The request's headers.
    Request,
    /// The answer's headers.
    Response,
}

/// What becomes of the part of a stream that a callback was about.
#[derive(Debug)]
pub enum Flow {
    /// It goes on, and what was held before it.
    Continue,
    /// It is held, with what comes behind it.
    Hold,
    /// The stream is answered with this; nothing of it goes on.
    Reply(Box<Reply>),
}

/// What becomes of an answer that was not touched for a while.
#[derive(Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Rest,
    /// Its headers were held, and go on.
    LetGo,
    /// This is added to its body, behind what has gone already.
    Write(Vec<u8>),
    /// The same, and it ends there. Nothing is added to an answer that has said all.
    End(Vec<u8>),
    /// There was none yet, and this is one.
    Reply(Box<Reply>),
}

impl From<Reply> for Flow {
    fn from(reply: Reply) -> Flow {
        Flow::Reply(Box::new(reply))
    }
}

/// One stream as its proxy shows it. Nothing here fails: what a host cannot do it logs, since the filter could do
/// nothing about it either.
pub trait Host {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// A snapshot of a header map. Bytes that are not UTF-8 are replaced.
    fn headers(&self, map: Map) -> Headers;

    /// `:status` of the answer's headers; 0 when there are none.
    fn status(&self) -> u16;

    /// Carries out changes to a header map.
    fn edit(&mut self, map: Map, edits: &HeaderEdits);

    /// Whether the request's headers can still be changed.
    fn has_request_headers(&self) -> bool {
        true
    }

    /// Shows `look` what is there of a body, whether it was held or has just come: the request's in callbacks about the
    /// request, the answer's in those about the answer. A host may have it in pieces, and puts them together for the
    /// time.
    fn look_at_body<T>(&self, map: Map, look: impl FnOnce(&[u8]) -> T) -> T;

    /// A part of what [`Host::look_at_body`] shows, so that a large one need not be copied to look at a little of it.
    fn body_part(&self, map: Map, part: Range<usize>) -> Cow<'_, [u8]>;

    /// Puts `body` in the place of what [`Host::look_at_body`] shows.
    fn replace_body(&mut self, map: Map, body: Vec<u8>);

    /// Whether the proxy can still try the next backend when it has held an answer, and lets it go with a status of
    /// failure.
    fn retries_held_answers(&self) -> bool {
        true
    }

    /// Whether the filter is still shown an answer that it has added something to between two pieces.
    fn sees_answers_it_added_to(&self) -> bool;

    /// Lets the proxy choose the route anew, by the headers as they are now.
    fn choose_route_anew(&mut self);

    /// Leaves a number where the other filters of the stream find it.
    fn set_exchange(&mut self, id: u64);

    /// The number that [`Host::set_exchange`] left.
    fn exchange(&self) -> Option<u64>;

    /// Why the proxy answered itself: `response.code_details`. `None` for the answer of a backend.
    fn local_reply_details(&self) -> Option<String>;

    /// The status that the client got, as the proxy knows it when the stream is over; 0 for none.
    fn final_status(&self) -> u16;

    /// How often the proxy has sent the request; `None` when it has not yet.
    fn attempts(&self) -> Option<u32>;

    /// The name of the route that was chosen: `xds.route_name`.
    fn route_name(&self) -> String;

    /// The metadata `weir.target` of the endpoint that an attempt goes to.
    fn target(&self) -> String;

    /// What the request's dynamic metadata has in a namespace under a key, or further inside of what is there; a text's
    /// own bytes. A copy, since it may be a secret that is to be forgotten.
    fn metadata(&self, namespace: &str, path: &[String]) -> Option<Vec<u8>>;

    /// Publishes a cost of the request under its key, for a rate limit that charges when the stream is over.
    fn set_cost(&mut self, key: &str, value: u64);

    /// Hands the access log its line.
    fn set_record(&mut self, line: &str);

    /// The metrics of all workers.
    fn metrics(&self) -> Metrics;

    /// The data that all workers share.
    fn store(&self) -> &dyn Store;
}
