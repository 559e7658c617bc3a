//! Questions about a single event of a stream that passes through.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::wire::error::event_error;

/// Prepared once: most data is short, and preparing takes longer than searching.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));

/// True for the chunk that `stream_options.include_usage` adds to a stream: `choices` is empty and there is `usage`.
/// When the gateway asked for it and not the client, the client must not see it.
#[must_use]
pub fn is_usage_only_chunk(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        choices: Vec<IgnoredAny>,
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    USAGE.find(data).is_some()
        && serde_json::from_slice::<Chunk<'_>>(data)
            .is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage.is_some())
}

/// The error that a 200's stream opens with: nothing has reached the client yet, so another backend may be asked.
#[must_use]
pub fn first_event_error(data: &[u8]) -> Option<Error> {
    event_error(data)
}
