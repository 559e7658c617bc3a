//! What the renderers for platforms in Kubernetes share: resources in, resources out.
//!
//! Nothing of Weir runs there but the filter. So resources that the platform understands are passed on as they are, and
//! what only Weir understands is compiled away. A Secret is never written: it is named.

mod direct;
mod filter;
mod input;
mod manifest;
mod names;
mod secrets;
mod wasm;

pub use input::Input;

pub(in crate::render) use direct::models as direct_models;
pub(in crate::render) use filter::{Route, configuration};
pub(in crate::render) use manifest::{Manifests, kind_of, name_of, namespace_of, resource, targets};
pub(in crate::render) use names::{Names, duration, slug};
pub(in crate::render) use secrets::{SecretKey, ambiguous_secrets, secret_keys};
pub(in crate::render) use wasm::without_files;
