//! Questions about a single event of a stream that passes through.

use super::facts::Facts;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::wire::error::event_error;

/// True for the chunk that `stream_options.include_usage` adds to a stream: `choices` is empty and there is `usage`.
/// When the gateway asked for it and not the client, the client must not see it.
#[must_use]
pub fn is_usage_only_chunk(data: &[u8]) -> bool {
    Facts::of(Endpoint::ChatCompletions, data).is_usage_only()
}

/// The error that a 200's stream opens with: nothing has reached the client yet, so another backend may be asked.
#[must_use]
pub fn first_event_error(data: &[u8]) -> Option<Error> {
    event_error(data)
}
