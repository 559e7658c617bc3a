//! Envoy's side of a filter's configuration.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::Duration;

use super::ffi::{self, Buffer, Header};
use super::scheduler::Scheduler;
use super::stream::{breaks_headers, join};

/// A counter that a configuration has defined, for [`super::Stream::increment`] in its filters.
#[derive(Clone, Copy, Debug)]
pub struct Counter(pub(super) usize);

/// A configuration that is being made.
pub struct ConfigSetup<'a> {
    config: ffi::Envoy,
    scheduler: &'a OnceLock<Scheduler>,
}

impl<'a> ConfigSetup<'a> {
    /// # Safety
    ///
    /// `config` must be the configuration of the `config_new` that is running.
    pub(super) unsafe fn new(config: ffi::Envoy, scheduler: &'a OnceLock<Scheduler>) -> ConfigSetup<'a> {
        ConfigSetup { config, scheduler }
    }

    /// Defines a counter with the names of its labels. Envoy puts `dynamicmodulescustom.` in front of its
    /// name, or the `metrics_namespace` of its own configuration.
    ///
    /// # Errors
    ///
    /// Envoy's reason, for the log.
    pub fn define_counter(&mut self, name: &str, labels: &[&str]) -> Result<Counter, String> {
        let mut label_buffers: Vec<Buffer> =
            labels.iter().map(|label| Buffer::of(label.as_bytes())).collect();
        let mut id = 0;
        // SAFETY: `config` is the one of the running hook (`new`); the names live for the call, and Envoy
        // copies them.
        let result = unsafe {
            ffi::envoy_dynamic_module_callback_http_filter_config_define_counter(
                self.config,
                Buffer::of(name.as_bytes()),
                label_buffers.as_mut_ptr(),
                label_buffers.len(),
                &raw mut id,
            )
        };
        match result {
            ffi::SUCCESS => Ok(Counter(id)),
            reason => Err(format!("the counter {name} could not be defined: {reason}")),
        }
    }

    /// Has [`super::FilterConfig::scheduled`] called on the main thread.
    pub fn scheduler(&self) -> Scheduler {
        // SAFETY: `config` is the one of the running hook.
        self.scheduler.get_or_init(|| unsafe { Scheduler::of_config(self.config) }).clone()
    }
}

/// Why a callout could not be sent: `envoy_dynamic_module_type_http_callout_init_result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalloutError {
    /// `:method`, `:path` or `host` is missing, or a header holds what no header may hold.
    Headers,
    /// There is no such cluster.
    UnknownCluster,
    /// The cluster cannot take it, for one because it has no healthy endpoint.
    CannotSend,
    /// Another reason of Envoy's.
    Other(u32),
}

impl fmt::Display for CalloutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CalloutError::Headers => f.write_str("its headers are not those of a request"),
            CalloutError::UnknownCluster => f.write_str("there is no such cluster"),
            CalloutError::CannotSend => f.write_str("the cluster has no endpoint to send it to"),
            CalloutError::Other(reason) => write!(f, "Envoy's reason {reason}"),
        }
    }
}

impl std::error::Error for CalloutError {}

/// A configuration on Envoy's main thread, for the time of one hook.
pub struct MainThread<'a> {
    config: ffi::Envoy,
    hook: PhantomData<&'a ()>,
}

impl MainThread<'_> {
    /// # Safety
    ///
    /// `config` must be the configuration of the hook that is running, on the main thread, and this must not
    /// outlive that hook.
    pub(super) unsafe fn new<'a>(config: ffi::Envoy) -> MainThread<'a> {
        MainThread { config, hook: PhantomData }
    }

    /// Sends a request of the module's own. `headers` need `:method`, `:path` and `host`. The answer comes to
    /// [`super::FilterConfig::callout_done`] with the number that is returned here.
    ///
    /// # Errors
    ///
    /// It could not be sent, and there will be no answer.
    pub fn callout(
        &mut self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout: Duration,
    ) -> Result<u64, CalloutError> {
        if headers
            .iter()
            .any(|(name, value)| breaks_headers(name.as_bytes()) || breaks_headers(value.as_bytes()))
        {
            return Err(CalloutError::Headers);
        }
        let header = |(name, value): &(&str, &str)| Header {
            name: Buffer::of(name.as_bytes()),
            value: Buffer::of(value.as_bytes()),
        };
        let mut headers: Vec<Header> = headers.iter().map(header).collect();
        let mut id = 0;
        // SAFETY: this is the main thread and `config` the one of the running hook (`new`). Envoy copies what
        // it is given. A request that fails at once calls no hook: Envoy knows a callout only after it was
        // sent.
        let result = unsafe {
            ffi::envoy_dynamic_module_callback_http_filter_config_http_callout(
                self.config,
                &raw mut id,
                Buffer::of(cluster.as_bytes()),
                headers.as_mut_ptr(),
                headers.len(),
                Buffer::of(body),
                u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            )
        };
        match result {
            ffi::SUCCESS => Ok(id),
            1 => Err(CalloutError::Headers),
            2 => Err(CalloutError::UnknownCluster),
            4 => Err(CalloutError::CannotSend),
            reason => Err(CalloutError::Other(reason)),
        }
    }
}

/// The answer to a callout.
pub struct Answer<'a> {
    /// The headers, `:status` among them.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Answer<'a> {
    /// # Safety
    ///
    /// The headers and chunks must be those of the `callout_done` that is running, and `'a` must not outlive
    /// it.
    pub(super) unsafe fn new(
        headers: *const Header,
        headers_length: usize,
        chunks: *const Buffer,
        chunks_length: usize,
    ) -> Answer<'a> {
        // SAFETY: as the caller says; each points to so many, or is null.
        let (headers, chunks) = unsafe { (slice(headers, headers_length), slice(chunks, chunks_length)) };
        Answer {
            // SAFETY: Envoy keeps the answer until the hook ends.
            headers: headers
                .iter()
                .map(|header| unsafe { (header.name.bytes(), header.value.bytes()) })
                .collect(),
            // SAFETY: likewise.
            body: join(chunks.iter().map(|chunk| unsafe { chunk.bytes() })),
        }
    }

    /// The HTTP status; 0 if there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        let status = self.headers.iter().find(|(name, _)| *name == b":status");
        status.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
    }
}

/// # Safety
///
/// `first` must point to `length` valid items that nobody changes during `'a`, or be null.
unsafe fn slice<'a, T>(first: *const T, length: usize) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(first, length) }
}
