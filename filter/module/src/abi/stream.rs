//! Envoy's side of one filter.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::OnceCell;
use std::ops::Range;

use super::Counter;
use super::ffi::{self, BodyType, Buffer, Header};
use super::scheduler::Scheduler;

/// The maps of headers of a stream: `envoy_dynamic_module_type_http_header_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Headers {
    /// The request's headers.
    Request = 0,
    /// The request's trailers.
    RequestTrailers = 1,
    /// The answer's headers.
    Response = 2,
    /// The answer's trailers.
    ResponseTrailers = 3,
}

/// Whose metadata: `envoy_dynamic_module_type_metadata_source`, the same in 1.38, 1.39 and 1.40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Metadata {
    /// The request's own, which its filters set.
    Dynamic = 0,
    /// That of the endpoint that the request goes to, in an upstream filter.
    Host = 3,
}

/// `envoy_dynamic_module_type_attribute_id`, the same in 1.38, 1.39 and 1.40.
mod attribute {
    pub(super) const RESPONSE_CODE: u32 = 15;
    pub(super) const UPSTREAM_ADDRESS: u32 = 41;
    pub(super) const UPSTREAM_REQUEST_ATTEMPT_COUNT: u32 = 53;
    pub(super) const XDS_ROUTE_NAME: u32 = 61;
}

/// What a stream leaves with its filter from one hook to the next.
#[derive(Default)]
pub(super) struct Keep {
    pub(super) scheduler: OnceCell<Scheduler>,
    /// The details of the answer that is Envoy's own.
    pub(super) local_reply: OnceCell<Box<[u8]>>,
}

/// Envoy's side of one filter, for the time of one hook.
///
/// What the reading methods return lies in Envoy's memory and borrows from the stream, so that nothing can be
/// changed while it is looked at. None of the methods makes Envoy call a hook of this module; what would (a
/// new body may be over a limit, and then Envoy answers) is kept until the filter has returned.
pub struct Stream<'a> {
    filter: ffi::Envoy,
    keep: &'a Keep,
    request_body: Option<Vec<u8>>,
    response_body: Option<Vec<u8>>,
}

impl<'a> Stream<'a> {
    /// # Safety
    ///
    /// `filter` must be the filter of the hook that is running, and the stream must not outlive that hook.
    pub(super) unsafe fn new(filter: ffi::Envoy, keep: &'a Keep) -> Stream<'a> {
        Stream { filter, keep, request_body: None, response_body: None }
    }

    /// The new bodies of the request and of the answer.
    pub(super) fn into_bodies(self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (self.request_body, self.response_body)
    }

    /// All headers of a map, in its order. Names are in lower case; values need not be UTF-8.
    pub fn headers(&self, map: Headers) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        // SAFETY: `filter` is the one of the running hook (`new`), here and below.
        let count =
            unsafe { ffi::envoy_dynamic_module_callback_http_get_headers_size(self.filter, map as u32) };
        let mut headers = vec![Header { name: Buffer::NULL, value: Buffer::NULL }; count];
        // SAFETY: there is room for as many as Envoy has just said; nothing ran in between that could add
        // one.
        let found = unsafe {
            ffi::envoy_dynamic_module_callback_http_get_headers(self.filter, map as u32, headers.as_mut_ptr())
        };
        if !found {
            headers.clear();
        }
        headers.into_iter().map(|header| {
            // SAFETY: Envoy keeps them until the hook ends or a header is set. Setting takes `&mut self`, and
            // what is returned here borrows from `self`.
            unsafe { (header.name.bytes(), header.value.bytes()) }
        })
    }

    /// The first value of a header.
    pub fn header(&self, map: Headers, name: &str) -> Option<&[u8]> {
        let name = Buffer::of(name.as_bytes());
        // SAFETY: the name lives for the call, and no count of values is asked for, which null says. The
        // value is good until a header is set, as in `headers`.
        unsafe {
            self.read(|filter, value| {
                let count = std::ptr::null_mut();
                ffi::envoy_dynamic_module_callback_http_get_header(filter, map as u32, name, value, 0, count)
            })
        }
    }

    /// Shows as much of the request's body as is there: what was held of it and what has just come.
    pub fn look_at_request_body<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        self.look_at(Side::Request, look)
    }

    /// Shows as much of the answer's body as is there: what was held of it and what has just come.
    pub fn look_at_response_body<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        self.look_at(Side::Response, look)
    }

    /// A part of the request's body. Borrowed if it lies in one piece.
    pub fn request_part(&self, part: Range<usize>) -> Cow<'_, [u8]> {
        self.part(Side::Request, part)
    }

    /// A part of the answer's body. Borrowed if it lies in one piece.
    pub fn response_part(&self, part: Range<usize>) -> Cow<'_, [u8]> {
        self.part(Side::Response, part)
    }

    /// How much of the request's body is there, in bytes.
    pub fn request_body_size(&self) -> usize {
        self.body_size(Side::Request)
    }

    /// How much of the answer's body is there, in bytes.
    pub fn response_body_size(&self) -> usize {
        self.body_size(Side::Response)
    }

    fn look_at<T>(&self, side: Side, look: impl FnOnce(&[u8]) -> T) -> T {
        let Pieces(pieces) = &self.pieces(side);
        // SAFETY: Envoy keeps the pieces until the hook ends or the body is changed. That is not before the
        // filter has returned, and `self` is borrowed for as long as this looks.
        look_at_joined(pieces.iter().map(|piece| unsafe { piece.bytes() }), look)
    }

    fn part(&self, side: Side, part: Range<usize>) -> Cow<'_, [u8]> {
        let Pieces(pieces) = &self.pieces(side);
        // SAFETY: as in `look_at`, with what is returned borrowed from `self`.
        cut(pieces.iter().map(|piece| unsafe { piece.bytes() }), part)
    }

    /// Where the body lies.
    fn pieces(&self, side: Side) -> Pieces {
        let mut kept = Pieces::new();
        let Pieces(pieces) = &mut kept;
        for part in side.parts(self.filter) {
            // SAFETY: `filter` is the one of the running hook.
            let count =
                unsafe { ffi::envoy_dynamic_module_callback_http_get_body_chunks_size(self.filter, part) };
            if count == 0 {
                continue;
            }
            let start = pieces.len();
            pieces.resize(start + count, Buffer::NULL);
            if let Some(room) = pieces.get_mut(start..) {
                // SAFETY: `room` has as many places as Envoy has just said that there are pieces.
                unsafe {
                    ffi::envoy_dynamic_module_callback_http_get_body_chunks(
                        self.filter,
                        part,
                        room.as_mut_ptr(),
                    );
                }
            }
        }
        kept
    }

    fn body_size(&self, side: Side) -> usize {
        side.parts(self.filter).map(|part| part_size(self.filter, part)).sum()
    }

    /// The name of the route, once one is picked.
    pub fn route_name(&self) -> Option<&[u8]> {
        self.text(attribute::XDS_ROUTE_NAME)
    }

    fn text(&self, attribute: u32) -> Option<&[u8]> {
        // SAFETY: the attributes asked for here are strings of the stream's own info, or of the endpoint that
        // it keeps. They stay as they are until a route or an endpoint is picked, which no method does that
        // leaves `self` borrowed.
        unsafe {
            self.read(|filter, value| {
                ffi::envoy_dynamic_module_callback_http_filter_get_attribute_string(filter, attribute, value)
            })
        }
    }

    /// The status of the answer that went to the client. In upstream filters there is none.
    pub fn response_code(&self) -> Option<u64> {
        self.number(attribute::RESPONSE_CODE)
    }

    /// How often the router has sent the request.
    pub fn attempts(&self) -> Option<u64> {
        self.number(attribute::UPSTREAM_REQUEST_ATTEMPT_COUNT)
    }

    fn number(&self, attribute: u32) -> Option<u64> {
        let mut number = 0;
        // SAFETY: `filter` is the one of the running hook, `number` is written in the call only.
        let found = unsafe {
            ffi::envoy_dynamic_module_callback_http_filter_get_attribute_int(
                self.filter,
                attribute,
                &raw mut number,
            )
        };
        found.then_some(number)
    }

    /// If the answer is not a backend's but Envoy's own, or another filter's: its details, such as
    /// `route_not_found`. That is `response.code_details`, which 1.38 does not give to modules.
    pub fn local_reply(&self) -> Option<&[u8]> {
        self.keep.local_reply.get().map(AsRef::as_ref)
    }

    /// Text in metadata. A copy: an endpoint is shared with the main thread, which may replace its metadata at any
    /// time.
    pub fn metadata(&self, source: Metadata, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let (namespace, key) = (Buffer::of(namespace.as_bytes()), Buffer::of(key.as_bytes()));
        // SAFETY: both names live for the call; the value is copied at once.
        let value = unsafe {
            self.read(|filter, value| {
                ffi::envoy_dynamic_module_callback_http_get_metadata_string(
                    filter,
                    source as u32,
                    namespace,
                    key,
                    value,
                )
            })
        };
        value.map(<[u8]>::to_vec)
    }

    /// What [`Stream::set_filter_state`] has set, in this filter or another of the request.
    pub fn filter_state(&self, key: &str) -> Option<&[u8]> {
        let key = Buffer::of(key.as_bytes());
        // SAFETY: the key lives for the call. The value is good until it is set anew, which takes `&mut
        // self`.
        unsafe {
            self.read(|filter, value| {
                ffi::envoy_dynamic_module_callback_http_get_filter_state_bytes(filter, key, value)
            })
        }
    }

    /// Asks Envoy for bytes of its own.
    ///
    /// # Safety
    ///
    /// What `ask` fills in when it returns true must be valid until something is changed that takes `&mut
    /// self`.
    unsafe fn read(&self, ask: impl FnOnce(ffi::Envoy, *mut Buffer) -> bool) -> Option<&[u8]> {
        let mut value = Buffer::NULL;
        // SAFETY: as the caller says.
        ask(self.filter, &raw mut value).then(|| unsafe { value.bytes() })
    }

    /// Sets a header, in place of all its values. False, and logged, if that cannot be: the map is not there
    /// yet, or the header would break the message.
    pub fn set_header(&mut self, map: Headers, name: &str, value: &[u8]) -> bool {
        if name.is_empty() || breaks_headers(name.as_bytes()) || breaks_headers(value) {
            log::error!("the header {name:?} holds what no header may hold");
            return false;
        }
        self.write_header(map, name, Buffer::of(value))
    }

    /// Removes a header.
    pub fn remove_header(&mut self, map: Headers, name: &str) -> bool {
        self.write_header(map, name, Buffer::NULL)
    }

    fn write_header(&mut self, map: Headers, name: &str, value: Buffer) -> bool {
        let name_buffer = Buffer::of(name.as_bytes());
        // SAFETY: Envoy copies both, and null for the value removes. Nobody looks at headers, since `self` is
        // `&mut`.
        let done = unsafe {
            ffi::envoy_dynamic_module_callback_http_set_header(self.filter, map as u32, name_buffer, value)
        };
        if !done {
            log::error!("the header {name} cannot be changed, there are no {map:?} headers");
        }
        done
    }

    /// Replaces all of [`Stream::request_body`], once the filter has returned; not if it answers.
    /// `content-length` is for the caller to set.
    pub fn replace_request_body(&mut self, body: Vec<u8>) {
        self.request_body = Some(body);
    }

    /// Replaces all of [`Stream::response_body`], once the filter has returned. `content-length` is for the
    /// caller to set. Also gives a body to an answer that has none.
    pub fn replace_response_body(&mut self, body: Vec<u8>) {
        self.response_body = Some(body);
    }

    /// Sets filter state, which the other filters of the request see, upstream ones too, and the access log
    /// as `%FILTER_STATE(key:PLAIN)%`. Once for each key: 1.38 keeps the first value, complains, and returns
    /// true.
    pub fn set_filter_state(&mut self, key: &str, value: &[u8]) -> bool {
        let (key, value) = (Buffer::of(key.as_bytes()), Buffer::of(value));
        // SAFETY: Envoy copies both.
        unsafe { ffi::envoy_dynamic_module_callback_http_set_filter_state_bytes(self.filter, key, value) }
    }

    /// Sets a number of the request's dynamic metadata.
    pub fn set_metadata_number(&mut self, namespace: &str, key: &str, value: f64) {
        let (namespace, key) = (Buffer::of(namespace.as_bytes()), Buffer::of(key.as_bytes()));
        // SAFETY: Envoy copies the names.
        unsafe {
            ffi::envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
                self.filter,
                namespace,
                key,
                value,
            );
        }
    }

    /// Has the route picked anew, by the headers as they are now. Does nothing when the request has gone on
    /// to an endpoint: it would be too late, and in upstream filters Envoy 1.38 would follow a null pointer.
    pub fn clear_route_cache(&mut self) {
        if self.text(attribute::UPSTREAM_ADDRESS).is_some() {
            return;
        }
        // SAFETY: `filter` is the one of the running hook.
        unsafe { ffi::envoy_dynamic_module_callback_http_clear_route_cache(self.filter) }
    }

    /// Adds `by` to a counter. `labels` are the values of the labels it was defined with, in that order.
    pub fn increment(&mut self, counter: Counter, labels: &[&str], by: u64) {
        let mut labels: Vec<Buffer> = labels.iter().map(|label| Buffer::of(label.as_bytes())).collect();
        // SAFETY: the labels live for the call; Envoy copies them, and checks the counter's id and their
        // number.
        let result = unsafe {
            ffi::envoy_dynamic_module_callback_http_filter_increment_counter(
                self.filter,
                counter.0,
                labels.as_mut_ptr(),
                labels.len(),
                by,
            )
        };
        if result != ffi::SUCCESS {
            log::error!("a counter could not be incremented: {result}");
        }
    }

    /// Wakes this filter from another thread.
    pub fn scheduler(&self) -> Scheduler {
        // SAFETY: `filter` is the one of the running hook.
        self.keep.scheduler.get_or_init(|| unsafe { Scheduler::of_filter(self.filter) }).clone()
    }
}

/// Whether these bytes could end a header early. Envoy checks that in debug builds only.
pub(super) fn breaks_headers(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Which body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Side {
    pub(super) fn received(self) -> BodyType {
        match self {
            Side::Request => BodyType::ReceivedRequest,
            Side::Response => BodyType::ReceivedResponse,
        }
    }

    pub(super) fn buffered(self) -> BodyType {
        match self {
            Side::Request => BodyType::BufferedRequest,
            Side::Response => BodyType::BufferedResponse,
        }
    }

    /// Where the body lies, in order: what was held, and what has just come. These may be one and the same,
    /// when another filter held the body before.
    pub(super) fn parts(self, filter: ffi::Envoy) -> impl Iterator<Item = BodyType> {
        // SAFETY: `filter` is the one of the running hook.
        let same = unsafe {
            match self {
                Side::Request => {
                    ffi::envoy_dynamic_module_callback_http_received_buffered_request_body(filter)
                }
                Side::Response => {
                    ffi::envoy_dynamic_module_callback_http_received_buffered_response_body(filter)
                }
            }
        };
        (!same).then_some(self.buffered()).into_iter().chain([self.received()])
    }
}

/// The bytes of one part of a body.
pub(super) fn part_size(filter: ffi::Envoy, part: BodyType) -> usize {
    // SAFETY: `filter` is the one of the running hook.
    unsafe { ffi::envoy_dynamic_module_callback_http_get_body_size(filter, part) }
}

/// One piece as it is, several copied into one.
pub(super) fn join<'a>(pieces: impl Iterator<Item = &'a [u8]> + Clone) -> Cow<'a, [u8]> {
    let mut pieces = pieces.filter(|piece| !piece.is_empty());
    let size = pieces.clone().map(<[u8]>::len).sum();
    let first = pieces.next().unwrap_or_default();
    if first.len() == size {
        return Cow::Borrowed(first);
    }
    let mut whole = Vec::with_capacity(size);
    whole.extend_from_slice(first);
    pieces.for_each(|piece| whole.extend_from_slice(piece));
    Cow::Owned(whole)
}

/// The bytes of `pieces` that are in `part`, counted over all of them.
pub(super) fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]> + Clone, part: Range<usize>) -> Cow<'a, [u8]> {
    let mut start = 0_usize;
    join(pieces.map(move |piece| {
        let from = part.start.saturating_sub(start).min(piece.len());
        let to = part.end.saturating_sub(start).min(piece.len());
        start = start.saturating_add(piece.len());
        piece.get(from..to).unwrap_or_default()
    }))
}

/// The most memory that a worker keeps to put bodies together in, in bytes.
const KEPT: usize = 4 << 20;

thread_local! {
    /// Where bodies are put together. Fresh memory for each would cost more than the copying.
    static TABLE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// The room of [`Pieces`], which each event of a stream needs.
    static ROOM: Cell<Vec<Buffer>> = const { Cell::new(Vec::new()) };
}

/// The most pieces whose room a worker keeps.
const KEPT_PIECES: usize = 1 << 10;

/// Where the pieces of a body lie, in room that the worker keeps.
struct Pieces(Vec<Buffer>);

impl Pieces {
    fn new() -> Pieces {
        let mut room = ROOM.take();
        room.clear();
        Pieces(room)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT_PIECES {
            ROOM.set(std::mem::take(&mut self.0));
        }
    }
}

/// Shows `pieces` as one.
pub(super) fn look_at_joined<'a, T>(
    pieces: impl Iterator<Item = &'a [u8]> + Clone,
    look: impl FnOnce(&[u8]) -> T,
) -> T {
    let mut rest = pieces.clone().filter(|piece| !piece.is_empty());
    let first = rest.next().unwrap_or_default();
    if rest.next().is_none() {
        return look(first);
    }
    let mut table = TABLE.take();
    table.clear();
    pieces.for_each(|piece| table.extend_from_slice(piece));
    let seen = look(&table);
    if table.capacity() <= KEPT {
        TABLE.set(table);
    }
    seen
}
