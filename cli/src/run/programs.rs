//! The programs that `weir run` starts: their arguments, their environment, and the lines that they write in vain.

use std::path::PathBuf;

use super::supervise::Program;
use super::{Parts, Wishes};
use crate::render::{self, Options};

/// Envoy on the rendered files.
pub(super) fn envoy(parts: &Parts, wishes: &Wishes, options: &Options) -> Program {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let concurrency = wishes.concurrency.map_or_else(|| cores().to_string(), |threads| threads.to_string());
    let mut program = Program::new("envoy", parts.envoy.clone(), &wishes.launcher);
    program.args = [
        "--config-path",
        &options.dir.join(render::BOOTSTRAP).to_string_lossy(),
        "--concurrency",
        &concurrency,
        "--log-level",
        &wishes.log_level,
        "--log-format",
        "%l: %n: %v",
        "--drain-time-s",
        &wishes.drain_time.as_secs().max(1).to_string(),
        // Every line of the access log within a second.
        "--file-flush-interval-msec",
        "500",
        "--disable-hot-restart",
    ]
    .map(str::to_owned)
    .to_vec();
    if matches!(wishes.log_level.as_str(), "debug" | "trace") {
        program.args.extend(["--component-log-level".to_owned(), QUIET.to_owned()]);
    }
    if let Some((name, value)) = options.filter.environment() {
        program.environment = vec![(name.to_owned(), value.to_string_lossy().into_owned())];
    }
    program.essential = true;
    program.reopens_logs = true;
    program.chatter = |line| is_missing_charge(line) || is_about_abi(line) || is_about_keys(line);
    program
}

/// The parts of Envoy that write whole requests into the log below `info`, with the keys in them.
const QUIET: &str =
    "http:info,http2:info,router:info,client:info,filter:info,rbac:info,jwt:info,ext_authz:info";

/// Envoy warns, in two lines, about each request that has nothing to charge because it used nothing.
fn is_missing_charge(line: &str) -> bool {
    line.contains("Invalid hits_addend") || line == "null_value: NULL_VALUE"
}

/// Envoy before 1.40 calls the module's version of the ABI deprecated, though that contains its own.
fn is_about_abi(line: &str) -> bool {
    line.contains("Dynamic module ABI version")
}

/// Envoy calls the filter of API keys unfinished, once for each key.
fn is_about_keys(line: &str) -> bool {
    line.contains("api_key_auth.proto' marked as work-in-progress")
}

/// The ratelimit service, at a socket in the folder of this run.
pub(super) fn rate_limit_service(parts: &Parts, wishes: &Wishes, redis: &str, options: &Options) -> Program {
    let path = parts.rate_limit_service.clone().unwrap_or_default();
    let mut program = Program::new("ratelimit", path, &wishes.launcher);
    let socket = options.dir.join("ratelimit.sock").to_string_lossy().into_owned();
    let root = options.dir.join(render::RATELIMIT_ROOT).to_string_lossy().into_owned();
    program.environment = [
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", redis),
        ("RUNTIME_ROOT", &root),
        ("RUNTIME_SUBDIRECTORY", "config"),
        ("RUNTIME_WATCH_ROOT", "false"),
        // A file that is being written begins with a dot.
        ("RUNTIME_IGNOREDOTFILES", "true"),
        ("DISABLE_STATS", "true"),
        ("USE_STATSD", "false"),
        ("LOG_LEVEL", "warn"),
        ("GRPC_UDS", &socket),
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("DEBUG_HOST", "127.0.0.1"),
        ("DEBUG_PORT", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    program.chatter = is_chatter;
    // It leaves its socket behind when it is killed, and does not start where one is.
    program.remove_first = vec![PathBuf::from(socket)];
    program
}

/// What the ratelimit service says besides errors: how it starts, each as a warning, and with LOG_LEVEL=error nothing
/// about a failed start.
fn is_chatter(line: &str) -> bool {
    line.starts_with('{') || line.contains(" level=info ") || line.contains(" level=warning ")
}
