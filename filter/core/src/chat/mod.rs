//! The neutral conversation: what a client asks and a model answers, in no provider's words.
//!
//! A client API decodes into [`Request`] and encodes from [`Reply`] or [`Event`]s; a backend's schema does the
//! reverse. So `N` client APIs and `M` schemas need `N + M` codecs, and every client reaches every backend. The
//! form is the union of what the APIs can say; what a target cannot express is recorded as a [`Loss`] by the codec
//! that drops it.

mod event;
mod loss;
mod reply;
mod request;

pub use event::{BlockStart, Delta, Event};
pub use loss::{Loss, Losses, MAX_LOSSES};
pub use reply::{Choice, FinishReason, Reply};
pub use request::{
    CacheControl, Content, Message, Part, Request, ResponseFormat, Role, Source, Thinking, ThinkingMode,
    Tool, ToolChoice,
};
