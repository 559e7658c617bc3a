//! The neutral conversation: what a client asks and a model answers, in no provider's words.
//!
//! A client API decodes into [`Request`] and encodes from [`Reply`] or [`Event`]s; a backend's schema does the
//! reverse. So `N` client APIs and `M` schemas need `N + M` codecs, and every client reaches every backend. The
//! form is the union of what the APIs can say; what a target cannot express is recorded as a [`Loss`] by the codec
//! that drops it.

mod event;
mod family;
mod loss;
mod reply;
mod request;

pub use event::{BlockStart, Delta, Event};
pub use family::{Annotation, Extra, Family, Foreign, Origin, Seal, Verbatim};
pub use loss::{Loss, Losses, MAX_LOSSES};
pub use reply::{Choice, FinishReason, Reply, TokenLogprob};
pub use request::{
    Cache, CacheControl, Content, Function, MediaKind, Message, Part, Request, ResponseFormat, Role, Source,
    Thinking, ThinkingMode, Tool, ToolChoice,
};
