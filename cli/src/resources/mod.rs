//! The resources that people have for Envoy AI Gateway, Envoy Gateway and Gateway API, read from files into types.
//!
//! A file is cut into documents ([`yaml`]), each document is sorted by its kind ([`kinds`]), relieved of the
//! fields that Weir cannot do ([`unsupported`]) and decoded ([`decode`]). Every mistake becomes a
//! [`Diagnostic`]; what is readable nonetheless is kept, so that one mistake does not hide the next. What the
//! resources mean together is the business of [`crate::check`].

pub mod ai;
pub mod annotations;
pub mod backend_security;
pub mod client_traffic;
pub mod decode;
pub mod diagnostic;
pub mod envoy;
pub mod exported;
pub mod gateway;
pub mod health;
pub mod kinds;
pub mod limits;
pub mod metrics_headers;
pub mod pass_through;
pub mod platform;
pub mod secret;
pub mod security;
pub mod set;
pub mod source;
pub mod traffic;
pub mod unsupported;
pub mod values;
pub mod yaml;

pub use diagnostic::{Diagnostic, Report};
pub use platform::Platform;
pub use set::{Resource, ResourceId, Set};
pub use source::Source;
