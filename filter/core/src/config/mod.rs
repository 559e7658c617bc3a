//! The filter's configuration: the JSON that `weir render` writes and every shell reads.
//!
//! It holds no secret of anybody else's: credentials are named here and arrive by a way of their own (see
//! [`crate::auth`]).

mod backend;
mod route;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::auth::Source;
use crate::cel::Expression;
use crate::endpoint::behind;
use crate::headers::{Headers, MODEL_HEADER, USER_HEADER};
use crate::kept::{self, Tag};
use crate::metrics::HeaderLabels;
use crate::token::Token;

pub use crate::wire::SchemaName;
pub use backend::{Auth, AuthKind, Backend, Betas, CredentialOverride, CredentialPlace, Schema, ValuePlace};
pub use route::{BodyMutation, Direct, HeaderMutation, PassThrough, Route, Target};

/// Everything the filter must know, the same for both of its roles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What Envoy's routes mean, by their name in Envoy, or by the part of it before `/match/`: Envoy Gateway makes
    /// several routes of a rule. A plain route is not listed, and goes to a cluster without the backend role; one that
    /// has it refuses what it does not know.
    #[serde(default)]
    pub routes: BTreeMap<String, Arc<Route>>,
    /// The backends that routes send to, by `namespace/name` of their AIServiceBackend.
    #[serde(default)]
    pub backends: BTreeMap<String, Arc<Backend>>,
    /// Models that have one place to go to, whatever else a request says. The edge's filter plays the backend role for
    /// them too where the client's API is OpenAI's, and names the cluster; there is no filter in that one's upstream
    /// chain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub direct: BTreeMap<String, Direct>,
    /// Whether streams go direct ways where there is another. Not with the native module: what it adds to an answer to
    /// keep it alive takes the rest of the answer out of its own sight, which only the edge role can do without.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub direct_streams: bool,
    /// What `GET /v1/models` lists, in the order of the routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Model>,
    /// Where credentials come from, by the name that [`Auth::credential`] uses. What follows an `@` in it is the
    /// version of the secret: another value is another credential, so that it is known together with the address that
    /// it is for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, Source>,
    /// Where a shell that can read files finds the secrets of [`Config::credentials`]: absolute paths by the name of
    /// the credential. The whole content of a file is the secret's value, in UTF-8; a new one is moved into its place.
    /// Empty for wasm, which cannot read files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_files: BTreeMap<String, String>,
    /// Secrets of [`Config::credentials`] that are in the environment of the proxy: the variable's name by the name of
    /// the credential. A new value takes a new process. Wasm sees the variables that its host lets it see.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, String>,
    /// Budgets that the filter keeps itself, in shared data. Empty when Envoy's global rate limit does the counting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The largest request body the edge takes, in bytes.
    #[serde(default = "default_body_limit")]
    pub body_limit: usize,
    /// The largest answer that Envoy holds until it is whole, in bytes: what replaces one must not be larger.
    #[serde(default = "default_body_limit")]
    pub answer_limit: usize,
    /// What all requests, answers and events that are not whole yet may hold in one worker, in bytes; see
    /// [`Config::most_held`].
    #[serde(default = "default_held_limit", skip_serializing_if = "is_default_held_limit")]
    pub held_limit: usize,
    /// `max_tokens` for backends that demand it, when the client sent none.
    #[serde(default = "default_max_tokens")]
    pub default_max_tokens: u64,
    /// Whether to write an access log line for each request. It costs some microseconds, which are saved where nobody
    /// reads it.
    #[serde(default = "yes")]
    pub access_log: bool,
    /// Whether to count in metrics what requests come to.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub metrics: bool,
    /// Request headers whose values are labels of the metrics, by the name of the label.
    #[serde(default, skip_serializing_if = "HeaderLabels::is_empty")]
    pub metrics_headers: HeaderLabels,
    /// How long a client hears nothing of a stream that has begun before the gateway writes a comment, or a ping, in
    /// milliseconds. 0: it never does.
    #[serde(default = "default_keepalive_ms", skip_serializing_if = "is_default_keepalive_ms")]
    pub keepalive_ms: u64,
    /// How long a stream that has begun may be without a byte of its backend, in milliseconds, where its route does not
    /// say. 0: for ever.
    #[serde(default = "default_silence_ms", skip_serializing_if = "is_default_silence_ms")]
    pub silence_ms: u64,
    /// Whether a load balancer hashes [`crate::headers::PREFIX_KEY_HEADER`], so that requests must have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefix_key: bool,
    /// Whether paths that are no endpoint may belong to plain HTTPRoutes; they are a 404 otherwise.
    #[serde(default)]
    pub plain_routes: bool,
    /// What names of stored responses are sealed with. `None`: clients get the backends' own names, and where a rule
    /// has several backends, or in a path, nothing can be referred to by them. With one, a rule of several backends
    /// must have a route to each alone, for requests whose header [`crate::headers::BACKEND_HEADER`] names it. One for
    /// those whose [`crate::headers::FIRST_BACKEND_HEADER`] does spares clients losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_key: Option<kept::Key>,
    /// What requests of the admin listener must bring, but for `/ready`. `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Token>,
    /// Request headers that filters behind the edge role set, to say who a request is from: they are not among those
    /// that the edge saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_identity: Vec<String>,
    /// Filters behind the edge role ask who a request is from, and take out of it what proved that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late_proofs: bool,
    /// The proxy is about to stop: streams that still run are to end, each with an error of its client's API. It is
    /// said to all configurations by the latest, since those streams began with an earlier one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
    /// See [`Config::told_apart_by`].
    #[serde(skip)]
    pub told_apart: Derived<BTreeSet<String>>,
    /// See [`Config::brings_credentials`].
    #[serde(skip)]
    pub brought: Derived<Vec<String>>,
    /// See [`Config::backend_of_tag`].
    #[serde(skip)]
    pub tags: Derived<BTreeMap<Tag, String>>,
    /// See [`Config::passing`].
    #[serde(skip)]
    pub prefixes: Derived<BTreeMap<String, BTreeSet<String>>>,
}

/// What follows from the rest of a value, made when it is first asked for.
#[derive(Debug, Default)]
pub struct Derived<T>(OnceLock<T>);

/// A copy may be changed before it is used.
impl<T: Default> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Config {
    /// Whether requests may have a backend's credential in the header `name`, in lower case. No backend gets to see it,
    /// be it that one or another.
    #[must_use]
    pub fn brings_credentials(&self, name: &str) -> bool {
        let names = self.brought.0.get_or_init(|| {
            let places = self.overrides().flat_map(|(_, wanted, auth)| wanted.places(auth));
            let header = |place| match place {
                ValuePlace::Header(name) => Some(name),
                ValuePlace::Metadata { .. } => None,
            };
            places.filter_map(header).collect()
        });
        names.iter().any(|known| known == name)
    }

    /// A backend whose credential is a struct in the metadata of requests, which not every proxy shows.
    #[must_use]
    pub fn needs_structs(&self) -> Option<&str> {
        let is_struct = |place: &ValuePlace| match place {
            ValuePlace::Header(_) => false,
            ValuePlace::Metadata { path, .. } => path.len() > 1,
        };
        let mut needing =
            self.overrides().filter(|(_, wanted, auth)| wanted.places(auth).iter().any(is_struct));
        needing.next().map(|(name, ..)| name)
    }

    /// The backends whose credential may come with the request.
    fn overrides(&self) -> impl Iterator<Item = (&str, &CredentialOverride, &Auth)> {
        self.backends.iter().filter_map(|(name, backend)| {
            Some((name.as_str(), backend.credential_override.as_ref()?, backend.auth.as_ref()?))
        })
    }

    /// The headers that requests are told apart by, in lower case: by budgets, limits or the ledger.
    pub fn told_apart_by(&self) -> impl Iterator<Item = &str> {
        let names = self.told_apart.0.get_or_init(|| {
            let routes =
                self.routes.values().flat_map(|route| route.user_headers.iter().chain(&route.limit_headers));
            let budgets =
                self.budgets.iter().flat_map(|budget| &budget.selectors).map(|selector| &selector.header);
            // What a client says of the model is dropped.
            let names = routes
                .chain(budgets)
                .filter(|name| *name != MODEL_HEADER)
                .map(|name| name.to_ascii_lowercase());
            names.chain([USER_HEADER.to_owned()]).collect()
        });
        names.iter().map(String::as_str)
    }

    /// The backend that a name of something it keeps stands for, without its address.
    #[must_use]
    pub fn backend_of_tag(&self, tag: Tag) -> Option<&str> {
        let tags = self.tags.0.get_or_init(|| {
            let names =
                self.backends.keys().map(|key| key.split_once('@').map_or(key.as_str(), |(name, _)| name));
            names.map(|name| (kept::tag(name), name.to_owned())).collect()
        });
        tags.get(&tag).map(String::as_str)
    }

    /// The [`PassThrough`]s that a path, which is without a query, is below: what follows their prefix in it, and the
    /// models that some of them are for.
    #[must_use]
    pub fn passing<'p>(&self, path: &'p str) -> Option<(&'p str, &BTreeSet<String>)> {
        let prefixes = self.prefixes.0.get_or_init(|| {
            let mut prefixes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for passing in self.routes.values().filter_map(|route| route.pass_through.as_ref()) {
                prefixes.entry(passing.prefix.clone()).or_default().extend(passing.models.iter().cloned());
            }
            prefixes
        });
        // Of two that begin a path, the longer one comes later.
        prefixes.iter().rev().find_map(|(prefix, models)| Some((behind(prefix, path)?, models)))
    }

    /// The route that Envoy's route `name` is one of, with the name it has here.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<(&str, &Arc<Route>)> {
        let find = |name: &str| self.routes.get_key_value(name).map(|(name, route)| (name.as_str(), route));
        find(name).or_else(|| find(name.split_once("/match/")?.0))
    }
}

impl Config {
    /// [`Config::held_limit`], and never less than the one request or answer that may be held by itself.
    #[must_use]
    pub fn most_held(&self) -> usize {
        self.held_limit.max(self.body_limit).max(self.answer_limit)
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            routes: BTreeMap::new(),
            backends: BTreeMap::new(),
            direct: BTreeMap::new(),
            direct_streams: true,
            models: Vec::new(),
            credentials: BTreeMap::new(),
            secret_files: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            budgets: Vec::new(),
            body_limit: default_body_limit(),
            answer_limit: default_body_limit(),
            held_limit: default_held_limit(),
            default_max_tokens: default_max_tokens(),
            access_log: true,
            metrics: true,
            metrics_headers: HeaderLabels::default(),
            keepalive_ms: default_keepalive_ms(),
            silence_ms: default_silence_ms(),
            prefix_key: false,
            plain_routes: false,
            kept_key: None,
            admin_token: None,
            late_identity: Vec::new(),
            late_proofs: false,
            stopping: false,
            told_apart: Derived::default(),
            brought: Derived::default(),
            tags: Derived::default(),
            prefixes: Derived::default(),
        }
    }
}

fn default_body_limit() -> usize {
    32 << 20
}

/// Proxies and load balancers on the way cut what is silent for 30 to 60 s.
fn default_keepalive_ms() -> u64 {
    15_000
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_default_keepalive_ms(keepalive_ms: &u64) -> bool {
    *keepalive_ms == default_keepalive_ms()
}

/// Envoy's `stream_idle_timeout` where none is set.
fn default_silence_ms() -> u64 {
    300_000
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_default_silence_ms(silence_ms: &u64) -> bool {
    *silence_ms == default_silence_ms()
}

/// Room for some of the largest, or thousands as they usually are; far below the 4 GiB that a wasm VM can have.
fn default_held_limit() -> usize {
    256 << 20
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_held_limit(bytes: &usize) -> bool {
    *bytes == default_held_limit()
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(it: &bool) -> bool {
    *it
}

fn default_max_tokens() -> u64 {
    crate::wire::anthropic::DEFAULT_MAX_TOKENS
}

/// One entry of a models list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name clients use.
    pub id: String,
    /// `modelsOwnedBy` of the rule.
    pub owned_by: String,
    /// `modelsCreatedAt` of the rule, in seconds since 1970.
    pub created: i64,
    /// The host names under which it is listed; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// What a client must have for the model to be listed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Selector>,
}

/// A cost of a request: a number under a metadata key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Key in the dynamic metadata `io.envoy.ai_gateway` (native), or filter state `wasm.<key>` (wasm).
    pub key: String,
    /// Which number it is.
    #[serde(rename = "type")]
    pub kind: CostType,
}

/// The counter that a cost takes, or what it computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::enum_variant_names, reason = "the resource's own words")]
pub enum CostType {
    /// [`crate::usage::Counter::Input`]
    InputToken,
    /// [`crate::usage::Counter::CachedInput`]
    CachedInputToken,
    /// [`crate::usage::Counter::CacheCreationInput`]
    CacheCreationInputToken,
    /// [`crate::usage::Counter::Output`]
    OutputToken,
    /// [`crate::usage::Counter::Reasoning`]
    ReasoningToken,
    /// [`crate::usage::Usage::total_or_sum`]
    TotalToken,
    /// An expression.
    #[serde(rename = "CEL")]
    Cel(Expression),
}

/// A limit that the filter keeps itself, with the meaning of a rule of `rateLimit.global`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// `namespace/policy/rule/<index>`: names it in logs, and counts per route unless `shared`.
    pub name: String,
    /// One count for all routes it applies to, instead of one for each.
    #[serde(default)]
    pub shared: bool,
    /// All must match for the budget to apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<Selector>,
    /// What may be used in one window: requests or tokens.
    pub limit: u64,
    /// The window, in seconds; windows are fixed, aligned to the epoch, as the ratelimit service's are.
    pub window: u64,
    /// What a request counts before it is sent; 0 only looks whether the budget is used up.
    pub request_hits: u64,
    /// The cost key whose value is charged when the answer is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_cost: Option<String>,
}

/// A condition on a request header.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Name, lower case.
    pub header: String,
    /// `Some`: the header must have this value. `None`: it must be present, and each value has its own count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
}

impl Selector {
    /// Whether a request with these headers has what it asks for.
    #[must_use]
    pub fn selects(&self, headers: &Headers) -> bool {
        let value = headers.get(&self.header);
        self.exact.as_ref().map_or(value.is_some(), |exact| value == Some(exact.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_may_be_several_routes_of_envoys() {
        let rule = "httproute/default/llm/rule/0";
        let routes = [(rule.to_owned(), Arc::default()), ("x/match/0".to_owned(), Arc::default())];
        let config = Config { routes: routes.into(), ..Config::default() };
        for name in
            [rule, "httproute/default/llm/rule/0/match/1/*", "httproute/default/llm/rule/0/match/0/a_test"]
        {
            assert_eq!(config.route(name).map(|(name, _)| name), Some(rule));
        }
        assert_eq!(
            config.route("x/match/0").map(|(name, _)| name),
            Some("x/match/0"),
            "the whole name first"
        );
        for name in ["", "httproute/default/llm/rule/1/match/0/*", "httproute/default/llm/rule/01"] {
            assert!(config.route(name).is_none(), "{name}");
        }
    }
}
