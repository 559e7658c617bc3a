//! The native shell: Weir as an Envoy dynamic module, `libweir.so`.
//!
//! Which role a filter plays is the `filter_name` of its `DynamicModuleFilter`: `edge` in the listener's chain, `backend`
//! in each cluster's upstream chain, `admin` on the admin listener. Its `filter_config` is a `StringValue` that holds
//! the configuration as JSON.
//!
//! Everything that touches Envoy's memory is in [`abi`]; nothing else here is unsafe.

pub mod abi;

use abi::{ConfigSetup, FilterConfig};

/// The commit that this was built from, where the build knew it.
pub const GIT_HASH: Option<&str> = option_env!("WEIR_GIT_HASH");

/// Makes the configuration of a filter from its `filter_name` and the bytes of its `filter_config`. An error keeps
/// Envoy from taking the configuration, and is logged.
pub(crate) fn filter_config(
    name: &str,
    _config: &[u8],
    _setup: &mut ConfigSetup<'_>,
) -> Result<Box<dyn FilterConfig>, String> {
    Err(format!("filter_name must be edge, backend or admin, not {name:?}"))
}
