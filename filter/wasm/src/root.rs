//! Root contexts: configuration, the contexts of requests, and the tick.

use std::sync::Arc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, MapType};
use weir_core::config::Config;
use weir_shell::{AdminFilter, publish_metrics, with_credentials};

use crate::credentials::{self, Calls};
use crate::filters::{Admin, Backend, Edge, Refusing, Secrets};
use crate::store::SharedData;
use crate::{beats, host, waiting};

/// How often credentials are looked after and waiting attempts tried again.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Edge,
    Backend,
    Admin,
    Secrets,
}

pub(crate) struct Root {
    id: u32,
    role: Role,
    /// `None`: there is none that can be read.
    config: Option<Arc<Config>>,
    admin: Arc<weir_shell::Admin>,
}

impl Root {
    pub(crate) fn new(id: u32) -> Root {
        Root { id, role: Role::Edge, config: None, admin: Arc::new(weir_shell::Admin::new(b"", None)) }
    }

    /// Looks after the credentials.
    fn renew(&self, calls: &mut Calls) {
        let now = host::now_ms() / 1000;
        if let Some(config) = &self.config {
            with_credentials(|credentials| credentials.renew(config, calls, &SharedData, now));
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, _body_size: usize, _trailers: usize) {
        let headers = host::headers(MapType::HttpCallResponseHeaders);
        let body = host::body(BufferType::HttpCallResponseBody);
        with_credentials(|credentials| credentials::answered(credentials, token, &headers, body));
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        let commit = option_env!("WEIR_GIT_HASH").filter(|hash| !hash.is_empty()).unwrap_or("unknown commit");
        log::info!("weir {} ({commit}), wasm", env!("CARGO_PKG_VERSION"));
        true
    }

    fn on_configure(&mut self, _size: usize) -> bool {
        self.role = match host::property(&["plugin_root_id"]).unwrap_or_default().as_str() {
            "edge" => Role::Edge,
            "backend" => Role::Backend,
            "admin" => Role::Admin,
            "secrets" => Role::Secrets,
            other => {
                log::error!("root_id must be edge, backend, admin or secrets, not {other:?}");
                return false;
            }
        };
        let config = host::body(BufferType::PluginConfiguration);
        self.config = weir_shell::config(&config, &SharedData);
        if self.role == Role::Admin {
            self.admin = Arc::new(weir_shell::Admin::new(&config, self.config.clone()));
        }
        // What the environment has is there for the first request, which need not wait then.
        self.renew(&mut Calls { started: false });
        if self.role == Role::Edge
            && let Err(status) = hostcalls::set_tick_period(TICK)
        {
            log::error!(
                "credentials cannot be renewed and silence is not noticed, there is no tick: {status:?}"
            );
        }
        if self.role == Role::Edge {
            beats::start();
        }
        true
    }

    fn on_tick(&mut self) {
        self.renew(&mut Calls { started: true });
        waiting::retry();
        beats::run();
        publish_metrics(&SharedData);
        // Resuming requests and answers made their contexts the effective one.
        let _ = hostcalls::set_effective_context(self.id);
    }

    fn on_queue_ready(&mut self, queue: u32) {
        beats::resume_late(queue);
        let _ = hostcalls::set_effective_context(self.id);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(match (self.role, self.config.clone()) {
            (Role::Admin, _) => Box::new(Admin(AdminFilter::new(Arc::clone(&self.admin)))),
            (Role::Secrets, _) => Box::new(Secrets),
            (Role::Edge, Some(config)) => Box::new(Edge::new(id, config)),
            (Role::Backend, Some(config)) => Box::new(Backend::new(id, config)),
            (Role::Edge | Role::Backend, None) => Box::new(Refusing),
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
