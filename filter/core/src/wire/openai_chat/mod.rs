//! OpenAI's chat completions as a client API: requests are decoded, answers encoded.
//!
//! <https://platform.openai.com/docs/api-reference/chat>, plus the extensions in common use with gateways:
//! `cache_control`, `thinking`, `reasoning_content` and `thinking_blocks`.

mod content;
mod decode;
mod encode;
mod message;
mod stream;
mod thoughts;
mod types;

pub use decode::decode_request;
pub use encode::encode_reply;
pub use stream::StreamEncoder;
