//! What an answer that passes through untranslated used, which model gave it, and whether it was an error.
//!
//! The bytes are not changed and not copied. Each event is gone over once, and only counters are parsed.

mod body;
mod chunk;
mod content;
mod count;
mod facts;
mod known;
mod lenient;
mod preamble;
mod repeated;
mod shapes;
mod socket;
mod stream;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
mod watch;

pub use body::{END, MAX_READ, content_of_body, observe_body, observe_ends};
pub(in crate::wire) use body::{cohere as cohere_usage, openai_usage};
pub use chunk::is_usage_only_chunk;
pub(crate) use count::{Count, sum};
pub use known::Recognizer;
pub(crate) use lenient::{Lenient, Tally, anything, each, object};
pub use preamble::is_preamble;
pub use socket::{Said, SocketObserver};
pub use stream::{Glance, StreamObserver};
pub use watch::{Counters, End, Shape, Tokens, Watch};

use crate::error::Error;
use crate::usage::Usage;

/// What was seen of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The counters the provider reported.
    pub usage: Usage,
    /// The model that answered, in the provider's words.
    pub model: Option<String>,
    /// The error inside an answer whose status said 200.
    pub error: Option<Error>,
}
