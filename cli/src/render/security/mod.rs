//! SecurityPolicies, by Envoy's own filters on both sides of the edge role.
//!
//! In front of the edge stand the filters of what holds for all that comes to the listener: nobody has a body held
//! before it is known who that is. Behind it stand the same ones once more, for routes whose policies differ: which
//! route it is is known only once the edge has read the model. See `docs/adr/0030-who-a-request-is-from.md`.
//!
//! The places in the chain are fixed, what stands there comes by ECDS: a matcher that has a filter run or not.

mod authentication;
mod authorization;
mod cors;
mod matcher;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use weir_core::edge::list_paths;
use weir_core::headers::MODEL_HEADER;

use self::authentication::Kind;
use super::{Files, Options, clusters, discovery, ecds_path, file_name, proto, short_digest};
use crate::plan::{Authentication, Authorization, Cluster, Listener, Plan, Rule, Service, Traffic};

pub(super) use cors::of_host;

/// The policy that is asked for, until the router takes it off.
pub(super) const POLICY_HEADER: &str = "x-weir-policy";
/// Its value where the route asks for none; no policy is called so.
const NO_POLICY: &str = "-";

/// The filter of all that a client must not say itself.
const STRIP: &str = "strip";
/// The filter in front of the edge of who may do what.
const EARLY_RBAC: &str = "rbac";
/// The filter that sets [`POLICY_HEADER`].
const MARKER: &str = "weir.security.policy";
const RBAC: &str = "envoy.filters.http.rbac";
const CORS: &str = "envoy.filters.http.cors";

const HEADER_MUTATION: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const HEADER_MUTATION_PER_ROUTE: &str =
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";

/// The filters of a policy, in Envoy Gateway's order.
const KINDS: [Kind; 4] = [Kind::ExtAuth, Kind::ApiKey, Kind::Basic, Kind::Jwt];

/// What the policies of a listener ask for, and where.
#[derive(Debug)]
pub(super) struct Security<'a> {
    plan: &'a Plan,
    listener: &'a Listener,
    /// For the lists of models, which belong to no route.
    lists: Early<'a>,
    /// For all else.
    others: Early<'a>,
    /// Rules are not all under the same authentication: each is asked for behind the edge.
    by_route: bool,
}

/// What is asked for in front of the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Early<'a> {
    authentication: Option<&'a Authentication>,
    authorization: Option<&'a Authorization>,
}

impl<'a> Security<'a> {
    /// `None` where no policy applies.
    pub(super) fn of(plan: &'a Plan, listener: &'a Listener) -> Option<Security<'a>> {
        let own = Early::of(plan, listener.security);
        let mut of_rules: Vec<Early<'_>> = Vec::new();
        for rule in rules(listener) {
            let early = Early::of(plan, rule.security);
            if !of_rules.contains(&early) {
                of_rules.push(early);
            }
        }
        if of_rules.is_empty() {
            of_rules.push(own);
        }
        let has_any = listener.security.is_some() || rules(listener).any(|rule| rule.security.is_some());
        if !has_any {
            return None;
        }
        let authentication = common(of_rules.iter().map(|early| early.authentication));
        let authorization = common(of_rules.iter().map(|early| early.authorization)).flatten();
        let others = Early { authentication: authentication.flatten(), authorization };
        let lists = if listener.security.is_some() { own } else { others };
        let by_route = authentication.is_none();
        Some(Security { plan, listener, lists: lists.known_early(), others: others.known_early(), by_route })
    }

    /// The filters in front of the edge.
    pub(super) fn before(&self, options: &Options) -> Vec<Value> {
        let stripping = self.discovered(options, STRIP, HEADER_MUTATION);
        let cors = proto::extension(CORS, "envoy.extensions.filters.http.cors.v3.Cors", json!({}));
        let rbac = self.discovered(options, EARLY_RBAC, matcher::MESSAGE);
        [stripping, cors].into_iter().chain(self.asking(options)).chain([rbac]).collect()
    }

    /// The filters behind it.
    pub(super) fn behind(&self, options: &Options) -> Vec<Value> {
        let none = json!({"mutations": {"request_mutations": [setting(NO_POLICY)]}});
        let marker = proto::extension(MARKER, HEADER_MUTATION, none);
        let rbac = proto::extension(RBAC, "envoy.extensions.filters.http.rbac.v3.RBAC", json!({}));
        [marker].into_iter().chain(self.asking(options)).chain([rbac]).collect()
    }

    /// The filters that ask who a request is from. The same stand in both places, since Envoy watches each file by an
    /// instance of inotify, of which a user has few: they tell the places apart by what the marker sets.
    fn asking(&self, options: &Options) -> [Value; 4] {
        KINDS.map(|kind| self.discovered(options, kind.place(), matcher::MESSAGE))
    }

    /// The files of what stands in the chain. Keys are among it.
    pub(super) fn insert(&self, files: &mut Files) {
        let mut insert = |place: &str, config: Value| {
            let name = self.name(place);
            let resource = proto::any(
                "envoy.config.core.v3.TypedExtensionConfig",
                json!({"name": name, "typed_config": config}),
            );
            files.insert_secret(self.path(place), &discovery(vec![resource]));
        };
        insert(STRIP, self.stripping());
        for kind in KINDS {
            insert(kind.place(), matcher::extension(self.whom_to_ask(kind)));
        }
        insert(EARLY_RBAC, matcher::extension(self.early_rbac()));
    }

    /// Takes off what says who a request is from, before it is found out. On all routes: where there is no policy,
    /// nobody is anybody.
    fn stripping(&self) -> Value {
        let removed = self.identity_headers().into_iter().map(|name| json!({"remove": name}));
        let mutations: Vec<Value> = removed.chain([setting(&self.front())]).collect();
        proto::any(HEADER_MUTATION, json!({"mutations": {"request_mutations": mutations}}))
    }

    /// The headers that a client must not send.
    fn identity_headers(&self) -> BTreeSet<&'a str> {
        let policies = self.used().map(|security| &security.authentication);
        let headers = policies.flat_map(Authentication::identity_headers);
        // The service that is asked reads this one itself.
        headers.filter(|name| *name != "authorization").collect()
    }

    /// What the first filter sets for those in front of the edge: which of them are to run, and what is taken off.
    /// Envoy takes over one file after the other, and a filter that was told something else lets nobody in.
    fn front(&self) -> String {
        let of = |early: Early<'_>| {
            (early.authentication.map(kinds_of).unwrap_or_default(), early.authorization.is_some())
        };
        let asked = (of(self.lists), of(self.others), self.identity_headers());
        format!("-{}", short_digest(format!("{asked:?}").as_bytes()))
    }

    /// The policies that apply to something here.
    fn used(&self) -> impl Iterator<Item = &'a crate::plan::Security> {
        let indices: BTreeSet<usize> =
            rules(self.listener).filter_map(|rule| rule.security).chain(self.listener.security).collect();
        let plan = self.plan;
        indices.into_iter().filter_map(move |index| plan.security.get(index))
    }

    /// Runs what `filter` makes of what is asked for, for the lists and for all else.
    fn early(&self, filter: impl Fn(&Early<'_>) -> Option<Value>) -> Value {
        // Where nothing within it matches, Envoy would go on to what is done about a policy that is not known.
        let done = |early| filter(early).map_or_else(matcher::skip, matcher::run);
        let (lists, others) = (done(&self.lists), done(&self.others));
        if lists == others {
            return others;
        }
        let paths: Vec<String> = list_paths().map(regex::escape).collect();
        let path = format!(r"({})(/[^?]*)?(\?.*)?", paths.join("|"));
        let is_list = matcher::all_of(vec![
            matcher::header(":method", &json!({"safe_regex": matcher::regex("GET|HEAD")})),
            matcher::header(":path", &json!({"safe_regex": matcher::regex(&path)})),
        ]);
        let first = json!({"predicate": is_list, "on_match": lists});
        json!({"matcher": matcher::first_of(vec![first], Some(others))})
    }

    fn early_rbac(&self) -> Value {
        let rules = self.early(|early| early.authorization.map(authorization::filter));
        by_policy(Map::from_iter([(self.front(), rules)]))
    }

    /// Runs the filter that a request must pass: in front of the edge by what is asked for there, behind it by the
    /// policy that its route names.
    fn whom_to_ask(&self, kind: Kind) -> Value {
        let hides = rules(self.listener).any(|rule| rule.ai);
        let early = self.early(|early| early.authentication.and_then(|it| kind.filter(it, hides)));
        let mut policies = Map::from_iter([(self.front(), early), (NO_POLICY.to_owned(), matcher::skip())]);
        for security in self.used() {
            let filter = self.late(kind, security).filter(|_| self.by_route);
            policies.insert(policy_name(security), filter.map_or_else(matcher::skip, matcher::run));
        }
        by_policy(policies)
    }

    /// The filter of a policy for the routes that name it.
    fn late(&self, kind: Kind, security: &crate::plan::Security) -> Option<Value> {
        let is_this =
            |rule: &&Rule| rule.security.and_then(|index| self.plan.security.get(index)) == Some(security);
        let hides = rules(self.listener).filter(is_this).any(|rule| rule.ai);
        kind.filter(&security.authentication, hides)
    }

    /// What the route of a rule says for these filters, by their names.
    pub(super) fn of_route(&self, rule: &Rule) -> Map<String, Value> {
        let mut fields = Map::new();
        let security = rule.security.and_then(|index| self.plan.security.get(index));
        if let Some(security) = security.filter(|it| it.authentication != Authentication::default()) {
            let mutations = json!({"mutations": {"request_mutations": [setting(&policy_name(security))]}});
            let config = proto::any(HEADER_MUTATION_PER_ROUTE, mutations);
            fields.insert(MARKER.to_owned(), config);
        }
        // A token may have the route chosen anew: the new one takes nobody whom another policy has let in.
        let policy = security.filter(|it| self.by_route && it.authentication != Authentication::default());
        let rules = security.and_then(|security| security.authorization.as_ref());
        if let Some(config) = authorization::per_route(rules, policy.map(policy_name).as_deref()) {
            fields.insert(RBAC.to_owned(), config);
        }
        if !rule.ai
            && let Some(config) = cors::of_route(self.plan, self.listener, security)
        {
            fields.insert(CORS.to_owned(), config);
        }
        fields
    }

    fn name(&self, place: &str) -> String {
        format!("weir.security.{}.{place}", file_name(&self.listener.name))
    }

    fn path(&self, place: &str) -> String {
        ecds_path(&format!("{PREFIX}{}-{place}", file_name(&self.listener.name)))
    }

    fn discovered(&self, options: &Options, place: &str, message: &str) -> Value {
        json!({
            "name": self.name(place),
            "config_discovery": {
                "config_source": proto::config_source(options, &self.path(place)),
                "type_urls": [format!("type.googleapis.com/{message}")],
            },
        })
    }
}

/// How the files of these filters begin, behind what all of ECDS have.
const PREFIX: &str = "security-";

/// The file of the first filter of the listener whose routes are in the file `routes`: whether it is there says whether
/// the listener has places for them. `None` for other files.
#[must_use]
pub fn mark(routes: &str) -> Option<String> {
    let listener = routes.strip_prefix("xds/rds-")?.strip_suffix(".json")?;
    Some(ecds_path(&format!("{PREFIX}{listener}-{STRIP}")))
}

/// Whether a file is that of a filter in such a place.
#[must_use]
pub fn is_filter(path: &str) -> bool {
    path.strip_prefix("xds/ecds-").is_some_and(|role| role.starts_with(PREFIX))
}

impl<'a> Early<'a> {
    fn of(plan: &'a Plan, security: Option<usize>) -> Early<'a> {
        let security = security.and_then(|index| plan.security.get(index));
        Early {
            authentication: security
                .map(|security| &security.authentication)
                .filter(|authentication| **authentication != Authentication::default()),
            authorization: security.and_then(|security| security.authorization.as_ref()),
        }
    }

    /// Without rules about what is known only behind the edge.
    fn known_early(self) -> Early<'a> {
        let sees_model = |it: &&Authorization| it.headers().any(|header| header == MODEL_HEADER);
        Early { authorization: self.authorization.filter(|it| !sees_model(it)), ..self }
    }
}

/// What sets the policy that is asked for.
fn setting(policy: &str) -> Value {
    let header = json!({"key": POLICY_HEADER, "value": policy});
    json!({"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}})
}

/// Does what is said for the policy that is asked for. One that is not known lets nobody in: routes and filters are
/// taken over one after the other.
fn by_policy(policies: Map<String, Value>) -> Value {
    json!({
        "matcher_tree": {
            "input": matcher::header_input(POLICY_HEADER),
            "exact_match_map": {"map": policies},
        },
        "on_no_match": matcher::run(authorization::nobody()),
    })
}

/// What the routes of a policy ask for. When it comes to ask by another filter it is another one, to each of them.
fn policy_name(security: &crate::plan::Security) -> String {
    let kinds: Vec<&str> = kinds_of(&security.authentication);
    format!("{} {}", security.name, kinds.join("+"))
}

/// The filters that find out who a request is from.
fn kinds_of(asked: &Authentication) -> Vec<&'static str> {
    let is_asked = |kind: &Kind| kind.filter(asked, false).is_some();
    KINDS.into_iter().filter(is_asked).map(Kind::place).collect()
}

/// What all are; `None` where they differ.
fn common<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

fn rules(listener: &Listener) -> impl Iterator<Item = &Rule> {
    listener.virtual_hosts.iter().flat_map(|host| &host.rules).map(|matched| matched.rule.as_ref())
}

/// The rules whose requests are asked who they are from behind the edge.
pub(super) fn authenticated_late(plan: &Plan) -> BTreeSet<&str> {
    let securities = plan.listeners.iter().filter_map(|listener| Security::of(plan, listener));
    let late = securities.filter(|security| security.by_route);
    let rules = late.flat_map(|security| rules(security.listener).collect::<Vec<_>>());
    let is_asked = |rule: &&Rule| Early::of(plan, rule.security).authentication.is_some();
    rules.filter(is_asked).map(|rule| rule.name.as_str()).collect()
}

/// Whether all that an authorization looks at of a request for the rule is still the client's where the edge has made
/// it the request of a backend; `may_change` says which headers are not.
pub(super) fn sees_the_client(plan: &Plan, rule: &Rule, may_change: impl Fn(&str) -> bool) -> bool {
    let Some(rules) = Early::of(plan, rule.security).authorization else { return true };
    !rules.sees_path() && !rules.headers().any(|header| header != MODEL_HEADER && may_change(header))
}

/// Of each listener with policies, by its name, whether routes differ, so that filters behind the edge ask.
#[must_use]
pub fn by_route(plan: &Plan) -> BTreeMap<String, bool> {
    let securities = plan.listeners.iter().filter_map(|listener| Security::of(plan, listener));
    securities.map(|security| (security.listener.name.clone(), security.by_route)).collect()
}

/// The headers that filters behind the edge set.
pub(super) fn late_identity_headers(plan: &Plan) -> Vec<String> {
    let securities = plan.listeners.iter().filter_map(|listener| Security::of(plan, listener));
    let late = securities.filter(|security| security.by_route);
    let headers: BTreeSet<&str> = late
        .flat_map(|security| security.used().collect::<Vec<_>>())
        .flat_map(|security| security.authentication.identity_headers())
        .collect();
    headers.into_iter().map(str::to_owned).collect()
}

/// The clusters of the services that policies ask.
pub(super) fn services(plan: &Plan, options: &Options) -> Vec<Value> {
    let mut services: Vec<&Service> = Vec::new();
    for service in plan.security.iter().flat_map(|security| security.authentication.services()) {
        if !services.iter().any(|known| known.cluster == service.cluster) {
            services.push(service);
        }
    }
    services.into_iter().map(|service| cluster(service, options)).collect()
}

fn cluster(service: &Service, options: &Options) -> Value {
    let cluster = Cluster {
        name: service.cluster.clone(),
        members: service.members.clone(),
        ai: false,
        connect_timeout: std::time::Duration::from_secs(10),
        traffic: Traffic::default(),
    };
    clusters::called(&cluster, service.is_grpc, options)
}
