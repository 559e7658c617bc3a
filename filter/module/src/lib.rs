//! The native shell: Weir as an Envoy dynamic module, `libweir.so`.
//!
//! Which role a filter plays is the `filter_name` of its `DynamicModuleFilter`: `edge` in the listener's
//! chain, `backend` in each cluster's upstream chain, `admin` on the admin listener. Its `filter_config` is a
//! `StringValue` that holds the configuration as JSON.
//!
//! Everything that touches Envoy's memory is in [`abi`]; nothing else here is unsafe.

pub mod abi;
mod configs;
mod credentials;
mod filters;
mod host;
mod store;
mod ticker;

/// The commit that this was built from, where the build knew it.
pub const GIT_HASH: Option<&str> = option_env!("WEIR_GIT_HASH");

pub(crate) use configs::filter_config;
