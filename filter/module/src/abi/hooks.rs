//! The functions that Envoy looks up in the module.
//!
//! For all of them: `envoy` is the filter or the configuration that the hook is about, `ours` is what `new`
//! or `config_new` returned for it and `destroy` or `config_destroy` has not taken back. Envoy promises both,
//! and that the other arguments are valid until the hook returns.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::rc::Rc;
use std::sync::OnceLock;

use super::config::{Answer, ConfigSetup, MainThread};
use super::ffi::{self, Buffer, Envoy, Header, Ours};
use super::instance::{Config, Hook, Instance, guard, hold, run};
use super::{Next, log};

/// The ABI's version in Envoy 1.40. 1.38 and 1.39 have v0.1.0, warn about any other, and take it all the
/// same.
const ABI_VERSION: &CStr = c"v0.2.0";

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    guard(|| {
        log::start();
        ::log::info!(
            "weir {} ({}), native module",
            env!("CARGO_PKG_VERSION"),
            crate::GIT_HASH.filter(|hash| !hash.is_empty()).unwrap_or("unknown commit")
        );
    });
    ABI_VERSION.as_ptr()
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: Envoy,
    name: Buffer,
    config: Buffer,
) -> Ours {
    // SAFETY: valid for the hook (module docs), and used no longer.
    let (name, config) = unsafe { (name.bytes(), config.bytes()) };
    let name = String::from_utf8_lossy(name);
    let scheduler = OnceLock::new();
    let made = guard(|| {
        // SAFETY: `envoy` is this hook's.
        let mut setup = unsafe { ConfigSetup::new(envoy, &scheduler) };
        let panics = setup.define_counter("weir_module_panics_total", &[]);
        let panics = panics.inspect_err(|error| ::log::error!("{error}")).ok();
        crate::filter_config(&name, config, &mut setup).map(|config| (config, panics))
    });
    match made.unwrap_or_else(|| Err("it panicked".to_owned())) {
        Ok((config, panics)) => Box::into_raw(Box::new(Config { config, scheduler, panics })).cast(),
        Err(reason) => {
            // Envoy forgets this configuration without another word.
            if let Some(scheduler) = scheduler.get() {
                scheduler.close();
            }
            ::log::error!("the configuration of {name:?} is refused: {reason}");
            ptr::null()
        }
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(ours: Ours) {
    if ours.is_null() {
        return;
    }
    // SAFETY: from `config_new`, and Envoy will not use it again: no filter of it is left, and no hook of it
    // runs.
    let config = unsafe { Box::from_raw(ours.cast::<Config>().cast_mut()) };
    if let Some(scheduler) = config.scheduler.get() {
        scheduler.close();
    }
    guard(|| drop(config));
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    envoy: Envoy,
    ours: Ours,
    event: u64,
) {
    // SAFETY: `ours` is the configuration's (module docs).
    let Some(config) = (unsafe { ours.cast::<Config>().as_ref() }) else { return };
    // SAFETY: `envoy` is this hook's, which runs on the main thread.
    guard(|| config.config.scheduled(&mut unsafe { MainThread::new(envoy) }, event));
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    envoy: Envoy,
    ours: Ours,
    id: u64,
    result: u32,
    headers: *const Header,
    headers_length: usize,
    chunks: *const Buffer,
    chunks_length: usize,
) {
    // SAFETY: `ours` is the configuration's (module docs).
    let Some(config) = (unsafe { ours.cast::<Config>().as_ref() }) else { return };
    guard(|| {
        // SAFETY: they are this hook's, and the answer is gone when it returns.
        let answer = (result == ffi::SUCCESS)
            .then(|| unsafe { Answer::new(headers, headers_length, chunks, chunks_length) });
        // SAFETY: `envoy` is this hook's, which runs on the main thread: that is where the callout was sent
        // from.
        config.config.callout_done(&mut unsafe { MainThread::new(envoy) }, id, answer);
    });
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(config: Ours, _envoy: Envoy) -> Ours {
    // SAFETY: `config` is from `config_new`, and outlives its filters.
    let Some(config) = (unsafe { config.cast::<Config>().as_ref() }) else { return ptr::null() };
    let filter = guard(|| config.config.new_filter());
    Rc::into_raw(Rc::new(Instance::new(filter, config.panics))).cast()
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(ours: Ours) {
    if ours.is_null() {
        return;
    }
    // SAFETY: from `new`, and this takes back the count that Envoy had. A hook of the filter that runs right
    // now has its own.
    let instance = unsafe { Rc::from_raw(ours.cast::<Instance>()) };
    instance.end();
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: Envoy,
    ours: Ours,
    end: bool,
) -> u32 {
    // SAFETY: both are this hook's (module docs), here and below.
    unsafe { run(envoy, ours, Hook::RequestHeaders, |filter, stream| filter.request_headers(stream, end)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    envoy: Envoy,
    ours: Ours,
    end: bool,
) -> u32 {
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::RequestBody, |filter, stream| filter.request_body(stream, end)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    envoy: Envoy,
    ours: Ours,
) -> u32 {
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::RequestTrailers, |filter, stream| filter.request_trailers(stream)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: Envoy,
    ours: Ours,
    end: bool,
) -> u32 {
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::ResponseHeaders, |filter, stream| filter.response_headers(stream, end)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    envoy: Envoy,
    ours: Ours,
    end: bool,
) -> u32 {
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::ResponseBody, |filter, stream| filter.response_body(stream, end)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    envoy: Envoy,
    ours: Ours,
) -> u32 {
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::ResponseTrailers, |filter, stream| filter.response_trailers(stream)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    envoy: Envoy,
    ours: Ours,
) {
    let complete = |filter: &mut dyn super::HttpFilter, stream: &mut super::Stream<'_>| {
        filter.stream_complete(stream);
        Next::Continue
    };
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::StreamComplete, complete) };
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    envoy: Envoy,
    ours: Ours,
    event: u64,
) {
    // SAFETY: as above.
    unsafe { run(envoy, ours, Hook::Scheduled, |filter, stream| filter.scheduled(stream, event)) };
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    _envoy: Envoy,
    ours: Ours,
    _status: u32,
    details: Buffer,
    _reset: bool,
) -> u32 {
    // SAFETY: as above. The filter is not asked, so it does not matter that this runs inside of other hooks.
    if let Some(instance) = unsafe { hold(ours) } {
        // SAFETY: valid for the hook, and copied.
        instance.note_local_reply(unsafe { details.bytes() });
    }
    0
}

// Envoy refuses a module that lacks one of these. Filters send no callouts, and none of them is terminal.

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    _envoy: Envoy,
    _ours: Ours,
    _id: u64,
    _result: u32,
    _headers: *const Header,
    _headers_length: usize,
    _chunks: *const Buffer,
    _chunks_length: usize,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_headers(
    _envoy: Envoy,
    _ours: Ours,
    _id: u64,
    _headers: *const Header,
    _headers_length: usize,
    _end: bool,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_data(
    _envoy: Envoy,
    _ours: Ours,
    _id: u64,
    _chunks: *const Buffer,
    _chunks_length: usize,
    _end: bool,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_trailers(
    _envoy: Envoy,
    _ours: Ours,
    _id: u64,
    _trailers: *const Header,
    _trailers_length: usize,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_complete(_envoy: Envoy, _ours: Ours, _id: u64) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_reset(
    _envoy: Envoy,
    _ours: Ours,
    _id: u64,
    _reason: u32,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
    _envoy: Envoy,
    _ours: Ours,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
    _envoy: Envoy,
    _ours: Ours,
) {
}
