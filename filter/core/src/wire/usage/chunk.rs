//! Questions about a single event of a stream that passes through.

use super::facts::Facts;
use super::watch::Shape;

/// True for the chunk that `stream_options.include_usage` adds to a stream: `choices` is empty and there is `usage`.
/// When the gateway asked for it and not the client, the client must not see it.
#[must_use]
pub fn is_usage_only_chunk(data: &[u8]) -> bool {
    Facts::of(Shape::Chat, data).is_usage_only()
}
