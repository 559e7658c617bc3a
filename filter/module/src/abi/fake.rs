//! An Envoy for unit tests: the callbacks, on a stream that a test can set up and look into.

use std::cell::RefCell;
use std::ffi::c_void;

use super::ffi::{BodyType, Buffer, Header};

/// What a test sees Envoy asked for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    SetHeader(String, Option<String>),
    Drain(BodyType, usize),
    Append(BodyType, String),
    Send(u32, String),
    ContinueDecoding,
    ContinueEncoding,
    SendData(String, bool),
    ClearRouteCache,
    Increment(usize, u64),
    Commit(u64),
    DeleteScheduler,
}

type Pairs = Vec<(&'static str, &'static str)>;
type Inside = RefCell<Option<Box<dyn FnOnce(*mut c_void)>>>;

/// One stream, or one configuration, or a scheduler of either.
#[derive(Default)]
pub(super) struct FakeEnvoy {
    pub(super) request_headers: Pairs,
    /// By [`BodyType`].
    pub(super) bodies: [Vec<&'static str>; 4],
    pub(super) received_is_buffered: bool,
    pub(super) upstream_address: Option<&'static str>,
    /// Source, namespace, key and value of each text in metadata.
    pub(super) metadata: Vec<(u32, &'static str, &'static str, &'static str)>,
    /// What happens before `send_response` returns.
    pub(super) inside_send: Inside,
    /// What happens before `continue_decoding` returns.
    pub(super) inside_continue: Inside,
    pub(super) asked: RefCell<Vec<Asked>>,
}

impl FakeEnvoy {
    pub(super) fn pointer(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    fn note(&self, asked: Asked) {
        self.asked.borrow_mut().push(asked);
    }
}

fn fake<'a>(pointer: *mut c_void) -> &'a FakeEnvoy {
    // SAFETY: tests pass `FakeEnvoy::pointer`, of one that outlives the hook.
    unsafe { &*pointer.cast::<FakeEnvoy>() }
}

fn text(buffer: Buffer) -> String {
    // SAFETY: callers pass what is valid for the call.
    String::from_utf8_lossy(unsafe { buffer.bytes() }).into_owned()
}

fn give(value: Option<&str>, out: *mut Buffer) -> bool {
    let found = value.map(|value| Buffer::of(value.as_bytes()));
    // SAFETY: callers pass a place for one.
    unsafe { *out = found.unwrap_or(Buffer::NULL) };
    found.is_some()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_log(_level: u32, _message: Buffer) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_log_enabled(_level: u32) -> bool {
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_header(
    filter: *mut c_void,
    map: u32,
    name: Buffer,
    value: *mut Buffer,
    index: usize,
    _count: *mut usize,
) -> bool {
    let name = text(name);
    let mut values = fake(filter).request_headers.iter().filter(|(known, _)| map == 0 && *known == name);
    give(values.nth(index).map(|(_, value)| *value), value)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_headers_size(filter: *mut c_void, map: u32) -> usize {
    if map == 0 { fake(filter).request_headers.len() } else { 0 }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_headers(
    filter: *mut c_void,
    map: u32,
    headers: *mut Header,
) -> bool {
    if map != 0 {
        return false;
    }
    for (index, (name, value)) in fake(filter).request_headers.iter().enumerate() {
        let header = Header { name: Buffer::of(name.as_bytes()), value: Buffer::of(value.as_bytes()) };
        // SAFETY: there is room for as many as `get_headers_size` says.
        unsafe { *headers.add(index) = header };
    }
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_set_header(
    filter: *mut c_void,
    _map: u32,
    name: Buffer,
    value: Buffer,
) -> bool {
    let value = (!value.is_null()).then(|| text(value));
    fake(filter).note(Asked::SetHeader(text(name), value));
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_body_size(filter: *mut c_void, body: BodyType) -> usize {
    fake(filter).bodies[body as usize].iter().map(|chunk| chunk.len()).sum()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_body_chunks_size(
    filter: *mut c_void,
    body: BodyType,
) -> usize {
    fake(filter).bodies[body as usize].len()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_body_chunks(
    filter: *mut c_void,
    body: BodyType,
    chunks: *mut Buffer,
) -> bool {
    for (index, chunk) in fake(filter).bodies[body as usize].iter().enumerate() {
        // SAFETY: there is room for as many as `get_body_chunks_size` says.
        unsafe { *chunks.add(index) = Buffer::of(chunk.as_bytes()) };
    }
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_append_body(
    filter: *mut c_void,
    body: BodyType,
    data: Buffer,
) -> bool {
    fake(filter).note(Asked::Append(body, text(data)));
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_drain_body(
    filter: *mut c_void,
    body: BodyType,
    bytes: usize,
) -> bool {
    fake(filter).note(Asked::Drain(body, bytes));
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_received_buffered_request_body(filter: *mut c_void) -> bool {
    fake(filter).received_is_buffered
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_received_buffered_response_body(
    filter: *mut c_void,
) -> bool {
    fake(filter).received_is_buffered
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
    filter: *mut c_void,
    attribute: u32,
    value: *mut Buffer,
) -> bool {
    give(fake(filter).upstream_address.filter(|_| attribute == 41), value)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
    _filter: *mut c_void,
    _attribute: u32,
    _value: *mut u64,
) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_metadata_string(
    filter: *mut c_void,
    source: u32,
    namespace: Buffer,
    key: Buffer,
    value: *mut Buffer,
) -> bool {
    let wanted = (source, text(namespace), text(key));
    let found = fake(filter).metadata.iter().find(|(source, namespace, key, _)| {
        (*source, *namespace, *key) == (wanted.0, wanted.1.as_str(), wanted.2.as_str())
    });
    give(found.map(|(.., value)| *value), value)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
    _filter: *mut c_void,
    _namespace: Buffer,
    _key: Buffer,
    _value: f64,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
    _filter: *mut c_void,
    _key: Buffer,
    _value: *mut Buffer,
) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
    _filter: *mut c_void,
    _key: Buffer,
    _value: Buffer,
) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_clear_route_cache(filter: *mut c_void) {
    fake(filter).note(Asked::ClearRouteCache);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_continue_decoding(filter: *mut c_void) {
    fake(filter).note(Asked::ContinueDecoding);
    if let Some(inside) = fake(filter).inside_continue.take() {
        inside(filter);
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_send_response(
    filter: *mut c_void,
    status: u32,
    _headers: *mut Header,
    _headers_length: usize,
    body: Buffer,
    _details: Buffer,
) {
    fake(filter).note(Asked::Send(status, text(body)));
    if let Some(inside) = fake(filter).inside_send.take() {
        inside(filter);
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_define_counter(
    _config: *mut c_void,
    _name: Buffer,
    _labels: *mut Buffer,
    _labels_length: usize,
    id: *mut usize,
) -> u32 {
    // SAFETY: callers pass a place for one.
    unsafe { *id = 9 };
    0
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_increment_counter(
    filter: *mut c_void,
    id: usize,
    _labels: *mut Buffer,
    _labels_length: usize,
    by: u64,
) -> u32 {
    fake(filter).note(Asked::Increment(id, by));
    0
}

// A scheduler's pointer is that of the stream itself, so that a test sees what is asked of it.

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_new(filter: *mut c_void) -> *mut c_void {
    filter
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler: *mut c_void, event: u64) {
    fake(scheduler).note(Asked::Commit(event));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: *mut c_void) {
    fake(scheduler).note(Asked::DeleteScheduler);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
    config: *mut c_void,
) -> *mut c_void {
    config
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
    scheduler: *mut c_void,
    event: u64,
) {
    fake(scheduler).note(Asked::Commit(event));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: *mut c_void) {
    fake(scheduler).note(Asked::DeleteScheduler);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_http_callout(
    _config: *mut c_void,
    _id: *mut u64,
    _cluster: Buffer,
    _headers: *mut Header,
    _headers_length: usize,
    _body: Buffer,
    _timeout_ms: u64,
) -> u32 {
    2
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_continue_encoding(filter: *mut c_void) {
    fake(filter).note(Asked::ContinueEncoding);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_send_response_data(
    filter: *mut c_void,
    data: Buffer,
    end: bool,
) {
    fake(filter).note(Asked::SendData(text(data), end));
}
