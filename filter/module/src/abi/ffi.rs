//! Envoy's C ABI, as far as it is used here: the callbacks that Envoy's own binary exports, and the types
//! they take.
//!
//! Declared by hand after `source/extensions/dynamic_modules/abi/abi.h`. All of it is in 1.38, 1.39 and 1.40
//! alike; a callback that Envoy does not have would keep the module from being loaded at all.

use std::ffi::c_void;

/// Bytes of Envoy's or of ours: `envoy_dynamic_module_type_envoy_buffer` and `.._module_buffer`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    pointer: *const u8,
    length: usize,
}

impl Buffer {
    pub(super) const NULL: Buffer = Buffer { pointer: std::ptr::null(), length: 0 };

    /// Bytes of ours, for the time of one call. Never null, not even when empty: null has a meaning of its
    /// own.
    pub(super) fn of(bytes: &[u8]) -> Buffer {
        Buffer { pointer: bytes.as_ptr(), length: bytes.len() }
    }

    #[cfg(test)]
    pub(super) fn is_null(self) -> bool {
        self.pointer.is_null()
    }

    /// The bytes.
    ///
    /// # Safety
    ///
    /// Unless it is null, the buffer must be valid and unchanged for the whole of `'a`.
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.pointer.is_null() {
            return &[];
        }
        // SAFETY: not null, and valid for 'a, as the caller says. Envoy's strings are of one allocation.
        unsafe { std::slice::from_raw_parts(self.pointer, self.length) }
    }
}

/// A header of Envoy's or of ours: `envoy_dynamic_module_type_envoy_http_header` and `.._module_http_header`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) name: Buffer,
    pub(super) value: Buffer,
}

/// `envoy_dynamic_module_type_http_body_type`
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyType {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// `envoy_dynamic_module_type_metrics_result_Success` and `.._http_callout_init_result_Success`
pub(super) const SUCCESS: u32 = 0;

/// A filter's or a configuration's object in Envoy, or a scheduler.
pub(super) type Envoy = *mut c_void;

/// A filter or a configuration of ours, as Envoy keeps it.
pub(super) type Ours = *const c_void;

unsafe extern "C" {
    pub(super) fn envoy_dynamic_module_callback_log(level: u32, message: Buffer);
    pub(super) fn envoy_dynamic_module_callback_log_enabled(level: u32) -> bool;

    pub(super) fn envoy_dynamic_module_callback_http_get_header(
        filter: Envoy,
        map: u32,
        name: Buffer,
        value: *mut Buffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers_size(filter: Envoy, map: u32) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers(
        filter: Envoy,
        map: u32,
        headers: *mut Header,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_header(
        filter: Envoy,
        map: u32,
        name: Buffer,
        value: Buffer,
    ) -> bool;

    pub(super) fn envoy_dynamic_module_callback_http_get_body_size(filter: Envoy, body: BodyType) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: Envoy,
        body: BodyType,
    ) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: Envoy,
        body: BodyType,
        chunks: *mut Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_append_body(
        filter: Envoy,
        body: BodyType,
        data: Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_drain_body(
        filter: Envoy,
        body: BodyType,
        bytes: usize,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_received_buffered_request_body(filter: Envoy) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_received_buffered_response_body(filter: Envoy) -> bool;

    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: Envoy,
        attribute: u32,
        value: *mut Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        filter: Envoy,
        attribute: u32,
        value: *mut u64,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_get_metadata_string(
        filter: Envoy,
        source: u32,
        namespace: Buffer,
        key: Buffer,
        value: *mut Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
        filter: Envoy,
        namespace: Buffer,
        key: Buffer,
        value: f64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        filter: Envoy,
        key: Buffer,
        value: *mut Buffer,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: Envoy,
        key: Buffer,
        value: Buffer,
    ) -> bool;

    pub(super) fn envoy_dynamic_module_callback_http_clear_route_cache(filter: Envoy);
    pub(super) fn envoy_dynamic_module_callback_http_filter_continue_decoding(filter: Envoy);
    pub(super) fn envoy_dynamic_module_callback_http_filter_continue_encoding(filter: Envoy);
    pub(super) fn envoy_dynamic_module_callback_http_send_response_data(
        filter: Envoy,
        data: Buffer,
        end: bool,
    );
    pub(super) fn envoy_dynamic_module_callback_http_send_response(
        filter: Envoy,
        status: u32,
        headers: *mut Header,
        headers_length: usize,
        body: Buffer,
        details: Buffer,
    );

    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: Envoy,
        name: Buffer,
        labels: *mut Buffer,
        labels_length: usize,
        id: *mut usize,
    ) -> u32;
    pub(super) fn envoy_dynamic_module_callback_http_filter_increment_counter(
        filter: Envoy,
        id: usize,
        labels: *mut Buffer,
        labels_length: usize,
        by: u64,
    ) -> u32;

    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_new(filter: Envoy) -> Envoy;
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler: Envoy, event: u64);
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: Envoy);
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(config: Envoy) -> Envoy;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
        scheduler: Envoy,
        event: u64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: Envoy);

    pub(super) fn envoy_dynamic_module_callback_http_filter_config_http_callout(
        config: Envoy,
        id: *mut u64,
        cluster: Buffer,
        headers: *mut Header,
        headers_length: usize,
        body: Buffer,
        timeout_ms: u64,
    ) -> u32;
}
