//! Configurations of filters, one per role.

use std::sync::Arc;

use weir_core::config::Config;
use weir_shell::{BackendFilter, EdgeFilter, with_credentials};

use crate::abi::{Answer, ConfigSetup, FilterConfig, HttpFilter, MainThread};
use crate::credentials::{self, Calls};
use crate::filters::{Admin, Backend, Edge};
use crate::host::now_ms;
use crate::store::STORE;
use crate::ticker;

/// Makes the configuration of a filter from its `filter_name` and the bytes of its `filter_config`. An error keeps
/// Envoy from taking the configuration, and is logged.
pub(crate) fn filter_config(
    name: &str,
    config: &[u8],
    setup: &mut ConfigSetup<'_>,
) -> Result<Box<dyn FilterConfig>, String> {
    let parsed =
        || weir_shell::config(config).map_err(|error| format!("the configuration cannot be read: {error}"));
    Ok(match name {
        "edge" => {
            let config = parsed()?;
            if !config.credentials.is_empty() {
                ticker::add(setup.scheduler());
            }
            Box::new(EdgeConfig(config))
        }
        "backend" => Box::new(BackendConfig(parsed()?)),
        "admin" => Box::new(AdminConfig),
        _ => return Err(format!("filter_name must be edge, backend or admin, not {name:?}")),
    })
}

/// It also looks after the credentials, for the filters of all roles.
struct EdgeConfig(Arc<Config>);

impl FilterConfig for EdgeConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Edge(EdgeFilter::new(Arc::clone(&self.0))))
    }

    fn scheduled(&self, main: &mut MainThread<'_>, _event: u64) {
        let now = now_ms() / 1000;
        let mut calls = Calls { main, files: &self.0.secret_files };
        with_credentials(|credentials| credentials.renew(&self.0, &mut calls, &STORE, now));
    }

    fn callout_done(&self, _main: &mut MainThread<'_>, id: u64, answer: Option<Answer<'_>>) {
        let now = now_ms() / 1000;
        let answer = credentials::answer(answer);
        with_credentials(|credentials| credentials.answered(id, answer, &STORE, now));
    }
}

struct BackendConfig(Arc<Config>);

impl FilterConfig for BackendConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Backend(BackendFilter::new(Arc::clone(&self.0))))
    }
}

struct AdminConfig;

impl FilterConfig for AdminConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Admin)
    }
}
