//! Retries, timeouts and limits: the policies of the input, with Weir's own defaults where they say nothing.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::routes::HttpRoute;
use super::rules::RuleOf;
use super::{ENVOY_GATEWAY_V1, Renderer, TRAFFIC, full_name_of, halves};
use crate::plan::Retry;
use crate::render::kubernetes::{duration, name_of, namespace_of, resource, targets};
use crate::render::listener::DEFAULT_STREAM_IDLE_TIMEOUT;
use crate::resources::kinds::GATEWAY_API;

/// A policy for HTTPRoutes of AIGatewayRoutes.
struct Policy {
    namespace: String,
    /// What it is called if that name is free.
    name: String,
    /// `namespace/name` of the one of the input that it comes from; `None` for one that is added to what applies
    /// anyway.
    of: Option<String>,
    spec: Map<String, Value>,
    routes: Vec<String>,
}

impl Renderer<'_> {
    /// The policies of all routes.
    pub(super) fn traffic(&mut self, rules: &[RuleOf<'_>], routes: &[HttpRoute]) {
        let mut policies: Vec<Policy> = Vec::new();
        for route in routes {
            let Some(rule) = rules.get(route.rule) else { continue };
            self.check_idle_timeout(rule);
            let policy = self.policy(rule, route);
            let same = |other: &&mut Policy| {
                other.namespace == policy.namespace && other.of == policy.of && other.spec == policy.spec
            };
            match policies.iter_mut().find(same) {
                Some(known) => known.routes.extend(policy.routes),
                None => policies.push(policy),
            }
        }
        self.check_shared(&policies);
        // What is not for AIGatewayRoutes stays as it is.
        for document in self.documents("BackendTrafficPolicy") {
            if let Some(rest) = self.for_others(document) {
                self.manifests.add(TRAFFIC, rest);
            } else {
                self.names.free("BackendTrafficPolicy", namespace_of(document), name_of(document));
            }
        }
        for Policy { namespace, name, spec: fields, routes, .. } in policies {
            let target = |name: &String| json!({"group": GATEWAY_API, "kind": "HTTPRoute", "name": name});
            let mut spec = Map::new();
            spec.insert("targetRefs".to_owned(), routes.iter().map(target).collect());
            spec.extend(fields);
            let name = self.names.unique("BackendTrafficPolicy", &namespace, &name);
            let policy = resource(ENVOY_GATEWAY_V1, "BackendTrafficPolicy", &namespace, &name, spec.into());
            self.manifests.add(TRAFFIC, policy);
        }
    }

    fn policy(&self, rule: &RuleOf<'_>, route: &HttpRoute) -> Policy {
        let given = rule.rule.policy.as_deref();
        let given = given.and_then(|name| self.document("BackendTrafficPolicy", name));
        let empty = Map::new();
        let fields = given.and_then(|policy| policy.get("spec")?.as_object()).unwrap_or(&empty);
        let own = self.settings(rule, fields);
        let of = given.filter(|policy| targets(policy).any(|target| self.is_for(policy, target, rule)));
        let routes = vec![route.name.clone()];
        let namespace = route.namespace.clone();
        match (of, given) {
            (Some(policy), _) => {
                let mut spec = fields.clone();
                spec.shift_remove("targetRef");
                spec.shift_remove("targetRefs");
                merge(&mut spec, own);
                let of = Some(full_name_of(policy));
                Policy { namespace, name: name_of(policy).to_owned(), of, spec, routes }
            }
            (None, under) => {
                let mut spec = Map::new();
                if under.is_some() {
                    // Otherwise it would replace that of the Gateway.
                    spec.insert("mergeType".to_owned(), "StrategicMerge".into());
                }
                spec.extend(own);
                Policy { namespace, name: format!("{}-defaults", rule.id().name), of: None, spec, routes }
            }
        }
    }

    /// What Weir does where `given`, the policy's own fields, say nothing.
    fn settings(&self, rule: &RuleOf<'_>, given: &Map<String, Value>) -> Map<String, Value> {
        let mut settings = Map::new();
        settings.insert("retry".to_owned(), retry(rule, given.get("retry")));
        if self.options.release.has_idle_timeout()
            && given.get("timeout").and_then(|timeout| timeout.pointer("/http/streamIdleTimeout")).is_none()
            && let Some(silence) = self.allowed_silence(rule)
        {
            let timeout = json!({"http": {"streamIdleTimeout": duration(silence)}});
            settings.insert("timeout".to_owned(), timeout);
        }
        if !given.contains_key("circuitBreaker") {
            // Envoy's defaults of 1024 are for short requests; here thousands of streams at once are ordinary.
            const MANY: u32 = 1_000_000;
            let limits = json!({
                "maxConnections": MANY,
                "maxPendingRequests": MANY,
                "maxParallelRequests": MANY,
                "maxParallelRetries": MANY,
            });
            settings.insert("circuitBreaker".to_owned(), limits);
        }
        if !given.contains_key("tcpKeepalive") {
            // A long answer may be silent for minutes; address translators on the way forget such connections.
            let keepalive = json!({"idleTime": "60s", "interval": "15s", "probes": 4});
            settings.insert("tcpKeepalive".to_owned(), keepalive);
        }
        settings
    }

    /// How long a request or an answer may be silent, unless it is the listener's to say. Envoy Gateway would set no
    /// limit for a request without a timeout.
    fn allowed_silence(&self, rule: &RuleOf<'_>) -> Option<Duration> {
        if let Some(silence) = rule.rule.attempt_idle_timeout {
            return Some(silence);
        }
        let listeners = self.input.plan.listeners.iter().filter(|listener| {
            let mut rules = listener.virtual_hosts.iter().flat_map(|host| &host.rules);
            rules.any(|matched| matched.rule.origin == rule.rule.origin)
        });
        let timeouts: Vec<Option<Duration>> =
            listeners.map(|listener| listener.stream_idle_timeout).collect();
        let listener = timeouts.iter().flatten().min().copied();
        if listener.is_some_and(|timeout| timeout.is_zero()) {
            return None;
        }
        let longest = longest(rule);
        match listener {
            // It is the listener's to say, which it does not for all of them.
            Some(timeout) if timeouts.iter().all(Option::is_some) && longest <= timeout => None,
            Some(timeout) => Some(timeout.max(longest)),
            None => Some(DEFAULT_STREAM_IDLE_TIMEOUT.max(longest)),
        }
    }

    /// The same at one listener, for releases that cannot leave it to the listener.
    pub(super) fn allowed_silence_at(&self, rule: &RuleOf<'_>, listener: &str) -> Option<Duration> {
        if rule.rule.attempt_idle_timeout.is_some() {
            return rule.rule.attempt_idle_timeout;
        }
        let listener = self.input.plan.listeners.iter().find(|known| known.name == listener)?;
        let timeout = listener.stream_idle_timeout.unwrap_or(DEFAULT_STREAM_IDLE_TIMEOUT);
        (!timeout.is_zero()).then(|| timeout.max(longest(rule)))
    }

    /// A field that older releases do not know would keep the policy from being taken.
    fn check_idle_timeout(&mut self, rule: &RuleOf<'_>) {
        let Some(name) = rule.rule.policy.as_deref().filter(|_| !self.options.release.has_idle_timeout())
        else {
            return;
        };
        let policy = self.document("BackendTrafficPolicy", name);
        if policy.is_some_and(|policy| policy.pointer("/spec/timeout/http/streamIdleTimeout").is_some()) {
            let message = "came with Envoy Gateway 1.8; write `timeouts.streamIdleTimeout` into the rules of the AIGatewayRoute";
            self.refuse("BackendTrafficPolicy", name, "spec.timeout.http.streamIdleTimeout", message);
        }
    }

    /// Whether a target of a policy is the AIGatewayRoute of a rule, or the HTTPRoute that Envoy AI Gateway makes of
    /// it.
    fn is_for(&self, policy: &Value, target: &Value, rule: &RuleOf<'_>) -> bool {
        let text = |field: &str| target.get(field).and_then(Value::as_str).unwrap_or_default();
        ["AIGatewayRoute", "HTTPRoute"].contains(&text("kind"))
            && text("name") == rule.id().name
            && namespace_of(policy) == rule.id().namespace
    }

    /// The policy with those of its targets that are no AIGatewayRoute. `None` when there are none.
    fn for_others(&self, policy: &Value) -> Option<Value> {
        let namespace = namespace_of(policy);
        let is_ai = |target: &&Value| {
            let text = |field: &str| target.get(field).and_then(Value::as_str).unwrap_or_default();
            let mut routes = self.input.set.ai_gateway_routes.iter();
            ["AIGatewayRoute", "HTTPRoute"].contains(&text("kind"))
                && routes.any(|route| route.id.namespace == namespace && route.id.name == text("name"))
        };
        let (ai, others): (Vec<&Value>, Vec<&Value>) = targets(policy).partition(is_ai);
        if ai.is_empty() {
            return Some(policy.clone());
        }
        if others.is_empty() {
            return None;
        }
        let others = json!(others);
        let mut policy = policy.clone();
        let spec = policy.get_mut("spec")?.as_object_mut()?;
        spec.shift_remove("targetRef");
        spec.insert("targetRefs".to_owned(), others);
        Some(policy)
    }

    /// Envoy Gateway counts a shared limit for each policy, so that two of one would be two counts.
    fn check_shared(&mut self, policies: &[Policy]) {
        for document in self.documents("BackendTrafficPolicy") {
            let name = full_name_of(document);
            let shared = document.pointer("/spec/rateLimit/global/rules").and_then(Value::as_array);
            let shared =
                shared.into_iter().flatten().position(|rule| rule.get("shared") == Some(&true.into()));
            let made = policies.iter().filter(|policy| policy.of.as_ref() == Some(&name)).count();
            let made = made + usize::from(made > 0 && self.for_others(document).is_some());
            let Some(rule) = shared.filter(|_| made > 1) else { continue };
            let (namespace, name) = halves(&name);
            let found = self.input.set.backend_traffic_policies.iter();
            let found = found.map(|policy| &policy.id);
            if let Some(id) = found.into_iter().find(|id| id.namespace == namespace && id.name == name) {
                let message = "is shared, but Envoy Gateway shares it in one policy only, and this one becomes several: its \
                               routes differ in what Weir adds. Give it `retry` with `perRetry.timeout`, and one kind of target";
                self.report.error(id, format!("spec.rateLimit.global.rules[{rule}].shared"), message);
            }
        }
    }
}

/// The longest time that a request of a rule may take by itself.
fn longest(rule: &RuleOf<'_>) -> Duration {
    rule.rule.attempt_timeout.max(rule.rule.request_timeout).unwrap_or_default()
}

/// The retries of a rule: as the policy has them, with the time that an attempt may take.
fn retry(rule: &RuleOf<'_>, given: Option<&Value>) -> Value {
    let own = rule.rule.retry.as_ref().map(|retry| retries(retry, rule.members().count()));
    let mut retry = match given.and_then(Value::as_object).or(own.as_ref()) {
        Some(retry) => retry.clone(),
        None => [("numRetries".to_owned(), 0.into())].into_iter().collect(),
    };
    if let (Some(timeout), Value::Object(each)) =
        (rule.rule.attempt_timeout, retry.entry("perRetry").or_insert_with(|| json!({})))
    {
        each.entry("timeout").or_insert_with(|| duration(timeout).into());
    }
    retry.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    Value::Object(retry)
}

fn retries(retry: &Retry, backends: usize) -> Map<String, Value> {
    // Older releases do not know this one, and refuse the policy.
    let known: Vec<&String> = retry.on.iter().filter(|word| *word != "reset-before-request").collect();
    let mut on = json!({"triggers": known});
    if let (Value::Object(on), false) = (&mut on, retry.status_codes.is_empty()) {
        on.insert("httpStatusCodes".to_owned(), json!(retry.status_codes));
    }
    let mut fields = Map::new();
    fields.insert("numRetries".to_owned(), retry.count.saturating_add(retry.spare).into());
    if backends > 1 {
        fields.insert("numAttemptsPerPriority".to_owned(), retry.attempts_per_priority.into());
    }
    fields.insert("retryOn".to_owned(), on);
    if let Some(backoff) = retry.backoff {
        let mut pauses = json!({"baseInterval": duration(backoff.base)});
        if let (Value::Object(pauses), Some(max)) = (&mut pauses, backoff.max) {
            pauses.insert("maxInterval".to_owned(), duration(max).into());
        }
        fields.insert("perRetry".to_owned(), json!({"backOff": pauses}));
    }
    fields
}

/// Adds the fields of `more`, which win, at all depths.
fn merge(fields: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match (fields.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(value)) => merge(known, value),
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
}
