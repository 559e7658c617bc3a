//! What a plan can say and Envoy or the ratelimit service cannot do.

use std::fmt;

use crate::resources::Diagnostic;

/// Why a plan cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Two listeners ask for one port.
    SamePort {
        /// The first of them.
        first: String,
        /// The other.
        second: String,
        /// The port.
        port: u16,
    },
    /// The ratelimit service counts per second, minute, hour, day, week, month (30 days) or year (365 days) only.
    Window {
        /// The budget.
        budget: String,
        /// Its window in seconds.
        seconds: u64,
    },
    /// The ratelimit service counts up to 2^32 - 1.
    LimitTooLarge {
        /// The budget.
        budget: String,
        /// Its limit.
        limit: u64,
    },
    /// A native module is not shown what the backend's policy reads.
    Structs {
        /// The backend.
        backend: String,
    },
    /// The filter's configuration is no JSON.
    Filter(String),
    /// A resource cannot be written as YAML.
    Yaml(String),
    /// What the resources ask for and the platform cannot do.
    Platform(Vec<Diagnostic>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::SamePort { first, second, port } => {
                write!(f, "listeners {first} and {second} both ask for port {port}: give one of them another")
            }
            Error::Window { budget, seconds } => write!(
                f,
                "{budget}: the ratelimit service has no window of {seconds} s, only second, minute, hour, day, week, month \
                 and year"
            ),
            Error::LimitTooLarge { budget, limit } => {
                write!(f, "{budget}: the ratelimit service counts up to {}, the limit is {limit}", u32::MAX)
            }
            Error::Structs { backend } => write!(
                f,
                "{backend}: its policy has AWS credentials from metadata; they are a struct, which Envoy shows to no native \
                 module: take --filter wasm, or `fromRequestHeaders`"
            ),
            Error::Yaml(why) => write!(f, "a resource cannot be written as YAML: {why}"),
            Error::Platform(refused) => {
                let lines: Vec<String> = refused.iter().map(|one| format!("error: {one}")).collect();
                f.write_str(&lines.join("\n"))
            }
            Error::Filter(why) => write!(f, "the filter's configuration cannot be written: {why}"),
        }
    }
}

impl std::error::Error for Error {}
