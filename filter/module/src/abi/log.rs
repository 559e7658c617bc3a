//! The `log` crate's records, written to Envoy's log.

use std::panic;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::ffi::{self, Buffer};

struct EnvoyLog;

/// `envoy_dynamic_module_type_log_level`
fn number(level: Level) -> u32 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}

impl Log for EnvoyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // SAFETY: takes a number, reads the level of Envoy's logger, and may be called on any thread.
        unsafe { ffi::envoy_dynamic_module_callback_log_enabled(number(metadata.level())) }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = format!("weir: {}", record.args());
        // SAFETY: Envoy copies the message before it returns, and its logger takes a lock of its own.
        unsafe {
            ffi::envoy_dynamic_module_callback_log(number(record.level()), Buffer::of(message.as_bytes()))
        }
    }

    fn flush(&self) {}
}

/// From now on records go to Envoy's log, and so does the place of every panic. Its message does not: it may
/// quote what a peer sent.
pub(super) fn start() {
    // It fails where it is done already: Envoy calls `program_init` again for a module that it had unloaded.
    if log::set_logger(&EnvoyLog).is_ok() {
        log::set_max_level(LevelFilter::Trace);
        panic::set_hook(Box::new(|panic| match panic.location() {
            Some(place) => log::error!("panic at {}:{}", place.file(), place.line()),
            None => log::error!("panic"),
        }));
    }
}
