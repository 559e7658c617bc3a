//! What a renewal asks the shell to fetch, and what it may get.

use std::borrow::Cow;
use std::fmt;

use crate::auth::{Secret, SourceError};

/// What is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The value of a key of a Secret.
    Secret {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The key in it.
        key: String,
    },
    /// What the file at this path holds.
    File(String),
    /// The answer to an HTTP call.
    Http(HttpCall),
}

/// A header of a call: its name in lower case, and its value. A credentials file may name headers of its own.
pub type Header = (Cow<'static, str>, String);

/// An HTTP call to make.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// The proxy's cluster to call.
    pub cluster: String,
    /// The method.
    pub method: &'static str,
    /// The value of `:authority`.
    pub authority: String,
    /// The value of `:path`.
    pub path: String,
    /// Further headers.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Vec<u8>,
}

/// Headers and body may hold secrets, and are left out.
impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCall({} {}{} by cluster {})", self.method, self.authority, self.path, self.cluster)
    }
}

/// What came back, of the kind that was needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The value of the Secret's key, see [`decode_secret_header`](crate::auth::decode_secret_header).
    Secret(Secret),
    /// The file's text.
    File(Secret),
    /// The answer to the call, whatever its status.
    Http(HttpAnswer),
}

/// The answer to an HTTP call.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// The body is mostly a secret, and left out.
impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpAnswer(status {}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no credential in what came back, or why nothing came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// No connection, or no answer in time.
    NoAnswer,
    /// The proxy has no cluster of that name.
    NoCluster,
    /// The proxy brought no value for the key of the Secret.
    NoSecret,
    /// The variable is not in the environment of the proxy, or not among those that the filter may see.
    NotInEnvironment(String),
    /// There is no such file.
    NoFile(String),
    /// The file cannot be read.
    Unreadable {
        /// Where it should be.
        path: String,
        /// What is wrong with it; nothing of what it holds.
        reason: String,
    },
    /// An answer of another kind than was asked for.
    OtherKind,
    /// There is an answer, but something is wrong with it.
    Source(SourceError),
}

impl From<SourceError> for FetchError {
    fn from(error: SourceError) -> Self {
        FetchError::Source(error)
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::NoAnswer => f.write_str("no answer"),
            FetchError::NoCluster => f.write_str("the proxy has no cluster for the call"),
            FetchError::NoSecret => f.write_str("there is no such Secret, or no such key in it"),
            FetchError::NotInEnvironment(variable) => {
                write!(f, "{variable} is not in the environment, or not shown to the filter")
            }
            FetchError::NoFile(path) => write!(f, "{path} does not exist"),
            FetchError::Unreadable { path, reason } => write!(f, "{path} cannot be read: {reason}"),
            FetchError::OtherKind => f.write_str("the answer is of another kind than was asked for"),
            FetchError::Source(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FetchError {}
