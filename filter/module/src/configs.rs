//! Configurations of filters, one per role.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use weir_core::config::Config;
use weir_shell::{AdminFilter, BackendFilter, Credentials, EdgeFilter, with_credentials};

use crate::abi::{Answer, ConfigSetup, FilterConfig, HttpFilter, MainThread};
use crate::credentials::{self, Calls, FilesAlone};
use crate::filters::{Admin, Backend, Edge, Refusing};
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
    let parsed = || weir_shell::config(config, &STORE).map(readable).transpose();
    Ok(match name {
        "edge" => match parsed()? {
            Some(config) => {
                if !config.credentials.is_empty() {
                    let mut files = FilesAlone(&config.secret_files);
                    let now = now_ms() / 1000;
                    with_credentials(|credentials| credentials.renew(&config, &mut files, &STORE, now));
                    ticker::add(setup.scheduler());
                }
                Box::new(EdgeConfig { config, serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed) })
            }
            None => Box::new(RefusingConfig),
        },
        "backend" => match parsed()? {
            Some(config) => Box::new(BackendConfig(config)),
            None => Box::new(RefusingConfig),
        },
        "admin" => Box::new(AdminConfig(Arc::new(weir_shell::Admin::new(config, parsed()?)))),
        _ => return Err(format!("filter_name must be edge, backend or admin, not {name:?}")),
    })
}

/// Envoy shows modules the texts in metadata, and nothing inside of a struct.
fn readable(config: Arc<Config>) -> Result<Arc<Config>, String> {
    match config.needs_structs() {
        Some(backend) => Err(format!(
            "{backend}: AWS credentials in metadata are a struct, which no native module is shown"
        )),
        None => Ok(config),
    }
}

struct RefusingConfig;

impl FilterConfig for RefusingConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Refusing)
    }
}

/// It also looks after the credentials, for the filters of all roles.
struct EdgeConfig {
    config: Arc<Config>,
    /// Envoy counts calls for each configuration; this tells those of several apart.
    serial: u32,
}

static NEXT_SERIAL: AtomicU32 = AtomicU32::new(0);

impl EdgeConfig {
    fn call(&self, id: u64) -> u64 {
        u64::from(self.serial) << 32 | id & u64::from(u32::MAX)
    }

    fn with_calls(&self, main: &mut MainThread<'_>, work: impl FnOnce(&mut Credentials, &mut Calls<'_, '_>)) {
        let number = |id| self.call(id);
        let mut calls = Calls { main, files: &self.config.secret_files, number: &number };
        with_credentials(|credentials| work(credentials, &mut calls));
    }
}

impl FilterConfig for EdgeConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Edge::new(EdgeFilter::new(Arc::clone(&self.config))))
    }

    fn scheduled(&self, main: &mut MainThread<'_>, _event: u64) {
        self.with_calls(main, |credentials, calls| {
            credentials.renew(&self.config, calls, &STORE, now_ms() / 1000);
        });
    }

    fn callout_done(&self, main: &mut MainThread<'_>, id: u64, answer: Option<Answer<'_>>) {
        let answer = credentials::answer(answer);
        self.with_calls(main, |credentials, calls| {
            credentials.answered(self.call(id), answer, calls, &STORE, now_ms() / 1000);
        });
    }
}

struct BackendConfig(Arc<Config>);

impl FilterConfig for BackendConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Backend(BackendFilter::new(Arc::clone(&self.0))))
    }
}

struct AdminConfig(Arc<weir_shell::Admin>);

impl FilterConfig for AdminConfig {
    fn new_filter(&self) -> Box<dyn HttpFilter> {
        Box::new(Admin(AdminFilter::new(Arc::clone(&self.0))))
    }
}
