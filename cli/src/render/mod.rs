//! From a [`Plan`] to the files Envoy reads.
//!
//! Pure: nothing is read, written or looked up here. `weir render` writes the files and leaves them; `weir run` writes
//! them, starts Envoy on them and replaces those below `xds/`, `sds/`, `secrets/` and `ratelimit/` while it runs.
//!
//! The listeners stand in the bootstrap and never change, because Envoy drains a listener whose configuration
//! changes and that cuts streams. Routes (RDS), clusters (CDS), the filter's configuration (ECDS) and secrets (SDS)
//! come from files that Envoy watches. A filter that can read files reads its secrets itself.

mod address;
mod between;
mod bootstrap;
mod clusters;
mod direct;
pub mod envoy_gateway;
mod error;
mod files;
mod filter;
mod form;
mod host_names;
mod hosts;
pub mod istio;
pub(crate) mod kept;
pub mod kubernetes;
pub(crate) mod listener;
mod local_limits;
mod overload;
mod proto;
mod ratelimit;
mod routes;
#[cfg(test)]
mod sample;
mod secrets;
pub mod security;
mod sockets;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;
mod version;

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use weir_core::token::Token;

pub use between::{between, both_secrets, stopping};
pub use bootstrap::bound;
pub use error::Error;
pub use files::{File, Files};
pub use form::{Filter, Form};
pub use overload::Room;
pub use secrets::SECRETS_CLUSTER;
use security::Security;
pub use version::Salt;

#[cfg(test)]
use crate::plan;
use crate::plan::Plan;

/// Where Envoy's bootstrap is, relative to the folder.
pub const BOOTSTRAP: &str = "envoy.json";
/// What Envoy's environment must hold, a line `NAME=VALUE` for each, relative to the folder; not there when it need
/// hold nothing.
pub const ENVIRONMENT: &str = "envoy.env";
/// Envoy's own admin, a Unix socket, relative to the folder.
pub const ADMIN_SOCKET: &str = "admin.sock";
/// The Unix socket on which secrets are handed to the filter, relative to the folder.
pub const SECRETS_SOCKET: &str = "secrets.sock";
/// Clusters.
pub const CDS: &str = "xds/cds.json";
/// The folder of the secrets that the filter reads itself, relative to the folder.
pub const SECRETS: &str = "secrets";
/// The folder of the secrets that Envoy reads, relative to the folder.
pub const SDS: &str = "sds";
/// `RUNTIME_ROOT` of the ratelimit service, relative to the folder.
pub const RATELIMIT_ROOT: &str = "ratelimit";

/// The file of the filter's configuration in one role, or of Envoy's own filter for local limits.
#[must_use]
pub fn ecds_path(role: &str) -> String {
    format!("xds/ecds-{role}.json")
}

/// The file of the routes of one listener. Kubernetes names hold no `_`, so no two listeners share one.
#[must_use]
pub fn rds_path(listener: &str) -> String {
    format!("xds/rds-{}.json", file_name(listener))
}

/// What the files of a listener have in their names.
fn file_name(listener: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    listener.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// What rendering needs besides the plan: this machine's paths and the command line's wishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The folder the files will be in, absolute: they refer to each other by path.
    pub dir: PathBuf,
    /// The filter that Envoy loads.
    pub filter: Filter,
    /// The address the listeners bind.
    pub bind: IpAddr,
    /// Instead of the first listener's port; 0: a free one.
    pub port: Option<u16>,
    /// Port of the admin listener; 0: a free one.
    pub admin_port: u16,
    /// The address that it binds.
    pub admin_bind: IpAddr,
    /// What its requests must bring.
    pub admin_token: Option<Token>,
    /// The ratelimit service. `None`: the filter keeps the budgets itself.
    pub rate_limit_service: Option<ServiceAddress>,
    /// Refuse requests while the ratelimit service is down, whatever the policies say.
    pub rate_limit_fail_closed: bool,
    /// Where one JSON line per request goes.
    pub access_log: Option<PathBuf>,
    /// PEM file of the CAs that backends without CAs of their own are verified with.
    pub system_ca: PathBuf,
    /// What tells the values that a secret has had apart, where files are replaced while Envoy runs. `None`: they are
    /// not told apart.
    pub salt: Option<Salt>,
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// Everything Envoy (and the ratelimit service) need, by path relative to [`Options::dir`].
///
/// # Errors
///
/// What a plan can say and Envoy or the ratelimit service cannot do; see [`Error`].
pub fn envoy(plan: &Plan, options: &Options) -> Result<Files, Error> {
    let mut files = Files::default();
    files.insert(BOOTSTRAP, &bootstrap::bootstrap(plan, options)?);

    let direct = direct::Direct::new(plan, options);
    for role in options.filter.form.roles() {
        files.insert(ecds_path(role), &discovery(vec![filter::resource(plan, &direct, options, role)?]));
    }
    files.insert(ecds_path(local_limits::FILE), &discovery(vec![local_limits::resource(plan)]));
    for listener in &plan.listeners {
        let routes = routes::route_configuration(plan, &direct, listener, options);
        files.insert(rds_path(&listener.name), &discovery(vec![routes]));
        if let Some(security) = Security::of(plan, listener) {
            security.insert(&mut files);
        }
    }
    files.insert(CDS, &discovery(clusters::clusters(plan, &direct, options)));

    secrets::insert(plan, options, &mut files);
    tls::insert(plan, &mut files);
    if let Some((name, value)) = options.filter.environment() {
        files.insert_text(ENVIRONMENT, format!("{name}={}\n", value.display()));
    }
    if options.rate_limit_service.is_some() {
        ratelimit::service_configuration(plan, &mut files)?;
    }
    Ok(files)
}

/// A DiscoveryResponse whose version is a digest of what it holds: the same resources give the same file.
fn discovery(resources: Vec<Value>) -> Value {
    let version = short_digest(Value::Array(resources.clone()).to_string().as_bytes());
    json!({"version_info": version, "resources": resources})
}

/// The first 16 hexadecimal digits of the SHA-256.
fn short_digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    let mut digest = hex::encode(sha2::Sha256::digest(bytes));
    digest.truncate(16);
    digest
}
