//! What the resources mean together: compiled into a [`Plan`], with everything that is wrong with them.
//!
//! The order is that of the references: backends with their addresses, TLS and credentials; policies; listeners;
//! then the routes, which join them all. A step that finds a mistake reports it and goes on with what it has, so
//! that one run shows every mistake. There is a plan only if there is none.

use std::time::Duration;

use weir_core::config::Config;

use crate::plan::{Listener as PlanListener, Plan, SecretValue, VirtualHost};
use crate::render::listener::DEFAULT_STREAM_IDLE_TIMEOUT;
use crate::resources::annotations::REPEAT_UNTIL_CONTENT;
use crate::resources::kinds::Kind;
use crate::resources::set::Skipped;
use crate::resources::{Report, Set};

pub mod aws_chain;
pub mod backends;
mod client_identity;
mod client_traffic;
pub mod clusters;
pub mod command;
pub mod credentials;
pub mod environment;
mod grants;
pub mod kept;
pub mod listeners;
pub mod metrics;
pub mod mutations;
pub mod names;
mod pem;
pub mod plain;
pub mod retries;
pub mod routes;
pub mod security;
pub mod targets;
mod tls;
pub mod traffic;

pub use crate::resources::{Diagnostic, Source};
pub use environment::Environment;

use backends::Backends;
use clusters::Clusters;
use listeners::{Entry, Listener};
use routes::Compiler;
use security::SecurityPolicies;
use traffic::Policies;

/// What became of the resources.
#[derive(Debug)]
pub struct Compiled {
    /// Present when there is no error.
    pub plan: Option<Plan>,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
    /// What is suspicious.
    pub warnings: Vec<Diagnostic>,
    /// What was left aside.
    pub skipped: Vec<Skipped>,
    /// How many resources there are of each kind that was read.
    pub counts: Vec<(Kind, usize)>,
}

/// Compiles all resources of all files.
#[must_use]
pub fn compile(sources: &[Source], environment: &Environment) -> Compiled {
    let mut report = Report::default();
    let mut set = Set::read(sources, environment.platform, &mut report);
    let skipped = std::mem::take(&mut set.skipped);
    let backends = Backends::compile(&set, environment, &mut report);
    let policies = Policies::new(&set, &mut report);
    let security = SecurityPolicies::new(&set, &backends, &mut report);
    let listeners = listeners::listeners(&set, &security, environment.now, &mut report);
    let mut compiler = Compiler {
        set: &set,
        backends: &backends,
        policies: &policies,
        security: &security,
        listeners,
        clusters: Clusters::default(),
        filter: filter_defaults(),
        secrets: std::collections::BTreeMap::new(),
        files: std::collections::BTreeSet::new(),
        aws_container: None,
        report: &mut report,
    };
    compiler.routes();
    let Compiler { listeners, clusters, filter, secrets, files, aws_container, .. } = compiler;
    policies.check_costs(&mut report);
    grants::check(&set, &mut report);
    security.check(&listeners, &mut report);
    warn_of_vain_repetition(&set, &listeners, &mut report);
    if set.ai_gateway_routes.is_empty() && set.http_routes.is_empty() && !set.incomplete {
        report.file_error(
            "",
            "there is no route; add an AIGatewayRoute that names the Gateway in `parentRefs`",
        );
    }
    let listeners: Vec<_> =
        listeners.into_iter().map(|listener| with_virtual_hosts(listener, &mut report)).collect();
    // One filter serves all listeners: it takes what the largest takes, and Envoy refuses the rest. An answer it makes
    // must fit the smallest.
    let limits =
        || listeners.iter().map(|listener| usize::try_from(listener.buffer_limit).unwrap_or(usize::MAX));
    let (body_limit, answer_limit) = (limits().max().unwrap_or_default(), limits().min().unwrap_or_default());
    let kept_key = kept::key(&set, &mut report);
    let metrics_headers = metrics::headers(&set, &filter, &mut report);
    let plan = Plan {
        filter: Config {
            kept_key,
            metrics_headers,
            models: routes::ai::without_repetition(filter.models),
            budgets: policies.budgets.clone(),
            body_limit,
            answer_limit,
            silence_ms: silence(&listeners),
            held_limit: set
                .settings
                .held_limit
                .map_or(filter.held_limit, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            keepalive_ms: set.settings.keepalive.map_or(filter.keepalive_ms, milliseconds),
            ..filter
        },
        listeners,
        clusters: clusters.into_list(),
        secrets,
        files: files.into_iter().map(|path| (path, SecretValue(String::new()))).collect(),
        aws_container,
        traffic_policies: set.traffic_policies_as_written.clone(),
        security: security.all,
    };
    let counts = counts(&set);
    let plan = report.errors.is_empty().then_some(plan);
    Compiled { plan, errors: report.errors, warnings: report.warnings, skipped, counts }
}

/// What breaks is said anew only where Envoy tries again for it.
fn warn_of_vain_repetition(set: &Set, listeners: &[Listener<'_>], report: &mut Report) {
    for route in &set.settings.repeat_until_content {
        let entries = || listeners.iter().flat_map(|listener| &listener.entries);
        let mut rules = entries().filter(|entry| entry.route.full_name() == *route).peekable();
        let Some(first) = rules.peek() else { continue };
        let id = &first.route;
        if !rules.any(|entry| retries::repeats_broken_streams(entry.rule.rule.retry.as_ref())) {
            let message = "has no effect: no rule of the route has a second attempt for a stream that breaks; give one \
                           several backends, or a policy whose `retry` repeats the status 502";
            report.warning(id, format!("metadata.annotations[{REPEAT_UNTIL_CONTENT}]"), message);
        }
    }
}

/// One filter serves all listeners: it has the patience of the most patient. 0 is for ever.
fn silence(listeners: &[PlanListener]) -> u64 {
    let of = |listener: &PlanListener| listener.stream_idle_timeout.unwrap_or(DEFAULT_STREAM_IDLE_TIMEOUT);
    if listeners.iter().any(|listener| of(listener).is_zero()) {
        return 0;
    }
    listeners.iter().map(of).max().map_or(Config::default().silence_ms, milliseconds)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the filter's configuration is when it says nothing, which `Default` is not: that has zeros.
fn filter_defaults() -> Config {
    serde_json::from_value(serde_json::json!({})).unwrap_or_default()
}

fn counts(set: &Set) -> Vec<(Kind, usize)> {
    vec![
        (Kind::Gateway, set.gateways.len()),
        (Kind::AIGatewayRoute, set.ai_gateway_routes.len()),
        (Kind::HTTPRoute, set.http_routes.len()),
        (Kind::AIServiceBackend, set.ai_service_backends.len()),
        (Kind::BackendSecurityPolicy, set.backend_security_policies.len()),
        (Kind::BackendTLSPolicy, set.backend_tls_policies.len()),
        (Kind::BackendTrafficPolicy, set.backend_traffic_policies.len()),
        (Kind::ClientTrafficPolicy, set.client_traffic_policies.len()),
        (Kind::SecurityPolicy, set.security_policies.len()),
    ]
}

/// Sorts what was attached to a listener by host name and precedence.
fn with_virtual_hosts(listener: Listener<'_>, report: &mut Report) -> crate::plan::Listener {
    let mut domains: Vec<&String> = listener.entries.iter().flat_map(|entry| entry.domains.iter()).collect();
    domains.sort_by_key(|domain| (names::specificity(domain), *domain));
    domains.dedup();
    // Host names with the same rules share a virtual host, by the positions of their entries.
    let mut hosts: Vec<(Vec<usize>, Vec<String>)> = Vec::new();
    let mut positions: std::collections::HashMap<&String, Vec<usize>> = std::collections::HashMap::new();
    for (position, entry) in listener.entries.iter().enumerate() {
        for domain in entry.domains.iter() {
            let known = positions.entry(domain).or_default();
            if known.last() != Some(&position) {
                known.push(position);
            }
        }
    }
    for domain in domains {
        let entries = positions.remove(domain).unwrap_or_default();
        match hosts.iter_mut().find(|(known, _)| *known == entries) {
            Some((_, domains)) => domains.push(domain.clone()),
            None => hosts.push((entries, vec![domain.clone()])),
        }
    }
    let virtual_hosts = hosts
        .into_iter()
        .map(|(positions, domains)| {
            let mut entries: Vec<&Entry> =
                positions.into_iter().filter_map(|position| listener.entries.get(position)).collect();
            entries.sort_by_cached_key(|entry| routes::matches::precedence(&entry.rule.matches));
            warn_of_dead_rules(&entries, report);
            VirtualHost { domains, rules: entries.into_iter().map(|entry| entry.rule.clone()).collect() }
        })
        .collect();
    crate::plan::Listener { virtual_hosts, ..listener.plan }
}

/// A match that equals an earlier one is never reached.
fn warn_of_dead_rules(entries: &[&Entry], report: &mut Report) {
    let mut seen = std::collections::HashMap::new();
    for entry in entries {
        let condition = format!("{:?}", entry.rule.matches);
        if let Some(first) = seen.get(&condition) {
            let first: &&&Entry = first;
            let message = format!(
                "never matches: {} {} has the same conditions and comes first",
                first.route, first.field
            );
            report.warning(&entry.route, &entry.field, message);
        } else {
            seen.insert(condition, entry);
        }
    }
}
