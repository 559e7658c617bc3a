//! Direct ways: models that have one place to go to, whatever else a request says.
//!
//! The filter in the listener's chain then plays both roles, and the cluster has no filter of its own, which would cost
//! a second look at body and headers and a good part of what a request costs at all. Beside it stays the way of two
//! roles, for requests whose filter has not made them yet: those of other APIs than OpenAI's, and those of a
//! configuration before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_core::backend::may_change;
use weir_core::config::{self, Selector};
use weir_core::headers::{CLUSTER_HEADER, MODEL_HEADER, PREFIX_KEY_HEADER};

use super::Options;
use super::address::Addresses;
use super::routes::by_model;
use super::security;
use crate::check::retries::repeats_connections_only;
use crate::plan::{Cluster, Plan, Rule};

/// The gateway's own headers of what goes a direct way: they are nothing to a backend, and the route takes them off.
/// Envoy has hashed what it hashes of them by then.
pub(super) fn own_headers(plan: &Plan) -> Vec<&'static str> {
    let key = plan.hashes(PREFIX_KEY_HEADER).then_some(PREFIX_KEY_HEADER);
    [MODEL_HEADER, CLUSTER_HEADER].into_iter().chain(key).collect()
}

/// The models that go a direct way.
#[derive(Debug, Default)]
pub(super) struct Direct<'a> {
    rules: BTreeMap<&'a str, &'a Rule>,
}

impl<'a> Direct<'a> {
    pub(super) fn new(plan: &'a Plan, options: &Options) -> Direct<'a> {
        let hosts = || plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        let mut direct = Direct::default();
        let late = security::authenticated_late(plan);
        // The backend's `:authority` is set before the route is chosen.
        if hosts().all(|host| host.domains == ["*"]) {
            let mut maps = hosts().map(|host| by_model(&host.rules));
            let first = maps.next().unwrap_or_default();
            let rest: Vec<_> = maps.collect();
            for (model, rules) in first {
                let of_model: Vec<_> = rules.iter().filter(|matched| !matched.passes_through()).collect();
                let [only] = of_model.as_slice() else { continue };
                let same = |other: &BTreeMap<&str, Vec<_>>| other.get(model) == Some(&rules);
                if only.takes_all()
                    && !late.contains(only.rule.name.as_str())
                    && has_one_place(plan, &only.rule, options)
                    && rest.iter().all(same)
                {
                    direct.rules.insert(model, &only.rule);
                }
            }
        }
        direct
    }

    /// Whether requests for this model go a direct way.
    pub(super) fn has(&self, model: &str) -> bool {
        self.rules.contains_key(model)
    }

    /// The clusters at the end of direct ways, and the names that their statistics have.
    pub(super) fn clusters(&self, plan: &Plan) -> Vec<(Cluster, String)> {
        let addresses = Addresses::of(plan);
        let indices: BTreeSet<usize> = self.rules.values().filter_map(|rule| rule.cluster).collect();
        let clusters = indices.into_iter().filter_map(|index| plan.clusters.get(index));
        let of = |cluster: &Cluster| {
            let direct = Cluster { name: name(cluster, &addresses), ai: false, ..cluster.clone() };
            (direct, format!("{}/direct", cluster.name))
        };
        clusters.map(of).collect()
    }

    /// [`answer_timeout`] in milliseconds, by the name of the rule.
    pub(super) fn answer_timeouts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.values().filter_map(|rule| {
            let timeout = answer_timeout(rule)?;
            Some((rule.name.as_str(), u64::try_from(timeout.as_millis()).ok()?))
        })
    }

    /// What the filter must know of it.
    pub(super) fn configuration(&self, plan: &Plan) -> BTreeMap<String, config::Direct> {
        let addresses = Addresses::of(plan);
        let entry = |(model, rule): (&&str, &&Rule)| {
            let cluster = plan.clusters.get(rule.cluster?)?;
            let target = format!("0/0/{}", addresses.marked(&cluster.members.first()?.backend));
            let cluster = name(cluster, &addresses);
            let direct = config::Direct { route: rule.name.clone(), target, cluster, only: false };
            Some(((*model).to_owned(), direct))
        };
        self.rules.iter().filter_map(entry).collect()
    }
}

/// The cluster's name on direct ways. No other has it: there is one slash in the name of a backend. It says the
/// address, for the filter names it beside the credential, before Envoy has chosen an endpoint: at another address it
/// is another cluster.
fn name(cluster: &Cluster, addresses: &Addresses) -> String {
    let backend = cluster.members.first().map_or("", |member| &member.backend);
    format!("{}/direct/{}", cluster.name, addresses.of_backend(backend).unwrap_or_default())
}

/// How long an answer that comes whole may take on a direct way, over all attempts: where attempts have a timeout and a
/// failed request may be repeated. It takes the place of the timeout of an attempt, which to Envoy is a reset, so that
/// the answer would be bought again. As the time of the request it is final, and every other reset, such as that of a
/// connection that the backend has closed, may be repeated.
pub(super) fn answer_timeout(rule: &Rule) -> Option<Duration> {
    let repeats =
        rule.retry.as_ref().is_some_and(|retry| retry.on.iter().any(|word| word == "reset-before-request"));
    let attempt = rule.attempt_timeout.filter(|_| repeats && rule.attempt_idle_timeout.is_none())?;
    Some(rule.request_timeout.map_or(attempt, |request| request.min(attempt)))
}

/// Whether all that a rule does with a request can be known before Envoy has chosen an endpoint.
fn has_one_place(plan: &Plan, rule: &Rule, options: &Options) -> bool {
    let cluster = rule.cluster.and_then(|index| plan.clusters.get(index));
    let one_endpoint = cluster.is_some_and(|cluster| {
        let [member] = cluster.members.as_slice() else { return false };
        // Two clusters would check a backend twice, and each count on its own.
        member.weight > 0 && member.endpoints.len() == 1 && !cluster.traffic.has_state()
    });
    let limits_see_the_client = (options.rate_limit_service.is_none() || limits_see_the_client(plan, rule))
        && local_limits_see_the_client(plan, rule);
    rule.ai
        && one_endpoint
        && limits_see_the_client
        && security::sees_the_client(plan, rule, |header| changes(plan, rule, header))
        && rule.retry.as_ref().is_none_or(repeats_connections_only)
}

/// Whether the headers that the rule's global rate limits look at are still the client's once the request is the
/// backend's.
pub(super) fn limits_see_the_client(plan: &Plan, rule: &Rule) -> bool {
    let budgets = rule.limits.iter().filter_map(|limit| plan.filter.budgets.get(limit.budget));
    are_the_clients(plan, rule, budgets.flat_map(|budget| &budget.selectors))
}

/// The same for those of each proxy.
pub(super) fn local_limits_see_the_client(plan: &Plan, rule: &Rule) -> bool {
    are_the_clients(plan, rule, rule.local_limits.iter().flat_map(|limit| &limit.selectors))
}

fn are_the_clients<'s>(plan: &Plan, rule: &Rule, mut selectors: impl Iterator<Item = &'s Selector>) -> bool {
    !selectors.any(|selector| changes(plan, rule, &selector.header))
}

/// Whether a header may be another one once the request is one for the rule's backends.
fn changes(plan: &Plan, rule: &Rule, header: &str) -> bool {
    let targets = plan.filter.routes.get(&rule.name).map_or(&[][..], |route| &route.targets);
    targets.iter().any(|target| may_change(&plan.filter, target, header))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::rc::Rc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::sample::{self, member, plan, rule};
    use super::super::{CDS, Filter, Form, ServiceAddress, envoy, rds_path};
    use super::*;
    use crate::plan::{
        Endpoint, HeaderMatch, Limit, Match, MatchedRule, PathMatch, Retry, ValueMatch, VirtualHost,
    };

    fn options() -> Options {
        Options {
            dir: "/run/weir".into(),
            filter: Filter { form: Form::Module, file: "/opt/libweir.so".into() },
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: None,
            admin_port: 9901,
            admin_bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            admin_token: None,
            rate_limit_service: None,
            rate_limit_fail_closed: false,
            access_log: None,
            system_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
            salt: None,
        }
    }

    fn model_is(name: &str) -> HeaderMatch {
        HeaderMatch { name: "x-ai-eg-model".into(), value: ValueMatch::Exact(name.into()) }
    }

    fn matched(headers: Vec<HeaderMatch>, rule: Rule) -> MatchedRule {
        MatchedRule { matches: Match { headers, ..Match::default() }, rule: Rc::new(rule) }
    }

    /// A rule for the model `m` and nothing else, with one backend.
    fn simple() -> Plan {
        let mut only = rule("route/rule/m", 0);
        only.retry = None;
        let mut plan = plan();
        plan.listeners[0].virtual_hosts[0].rules = vec![matched(vec![model_is("m")], only)];
        plan
    }

    fn rule_of(plan: &mut Plan) -> &mut Rule {
        Rc::make_mut(&mut plan.listeners[0].virtual_hosts[0].rules[0].rule)
    }

    fn host_of(plan: &mut Plan) -> &mut VirtualHost {
        &mut plan.listeners[0].virtual_hosts[0]
    }

    fn names(plan: &Plan) -> Vec<String> {
        let direct = Direct::new(plan, &options());
        direct.clusters(plan).into_iter().map(|(_, shown)| shown).collect()
    }

    #[test]
    fn one_place_is_a_direct_way() {
        let plan = simple();
        let direct = Direct::new(&plan, &options());
        let way = &direct.configuration(&plan)["m"];
        let address = Addresses::of(&plan).of_backend("default/qwen3").unwrap().to_owned();
        assert_eq!(way.route, "default/route/rule/m");
        assert_eq!(way.target, format!("0/0/default/qwen3@{address}"));
        assert_eq!(
            way.cluster,
            format!("qwen3/direct/{address}"),
            "at another address it is another cluster"
        );
        assert_eq!(names(&plan), ["qwen3/direct"]);
    }

    #[test]
    fn beside_it_stays_the_way_of_two_roles() {
        let files = envoy(&simple(), &options()).unwrap();
        let routes = files.get(&rds_path("default/ai-gateway/http")).unwrap();
        let routes: Value = serde_json::from_str(&routes.content).unwrap();
        let map = &routes["resources"][0]["virtual_hosts"][0]["matcher"]["matcher_tree"]["exact_match_map"];
        let [direct, other] =
            map["map"]["m"]["action"]["typed_config"]["routes"].as_array().unwrap().as_slice()
        else {
            panic!("{map:#}")
        };
        assert_eq!(direct["route"]["cluster_header"], "x-weir-cluster");
        assert_eq!(direct["request_headers_to_remove"], json!(["x-ai-eg-model", "x-weir-cluster"]));
        let made = json!({"name": "x-weir-cluster", "present_match": true});
        assert_eq!(direct["match"]["headers"][1], made);
        assert_eq!(other["route"]["cluster"], "qwen3");
        let filters = |cluster: &Value| cluster.to_string().contains("weir.backend");
        let clusters: Value = serde_json::from_str(&files.get(CDS).unwrap().content).unwrap();
        let of = |name: &str| {
            let all = clusters["resources"].as_array().unwrap();
            let is_it = |cluster: &&Value| cluster["name"] == name || cluster["alt_stat_name"] == name;
            all.iter().find(is_it).unwrap().clone()
        };
        assert!(filters(&of("qwen3")) && !filters(&of("qwen3/direct")));
    }

    #[test]
    fn what_passes_to_a_backend_leaves_models_their_direct_ways() {
        let mut plan = simple();
        let path = || Some(PathMatch::Prefix("/aws".to_owned()));
        let passing = Match { path: path(), ..Match::default() };
        let rule =
            Rule { name: "default/route/rule/pass-through/aws".to_owned(), ..rule("route/rule/aws", 1) };
        host_of(&mut plan).rules.insert(0, MatchedRule { matches: passing, rule: Rc::new(rule) });
        assert!(Direct::new(&plan, &options()).has("m"));
        let files = envoy(&plan, &options()).unwrap();
        let routes: Value =
            serde_json::from_str(&files.get(&rds_path("default/ai-gateway/http")).unwrap().content).unwrap();
        let matcher = &routes["resources"][0]["virtual_hosts"][0]["matcher"];
        let of_model = &matcher["matcher_tree"]["exact_match_map"]["map"]["m"];
        assert!(!of_model.to_string().contains("/aws"), "{of_model:#}");
        let route = &matcher["on_no_match"]["action"]["typed_config"];
        assert_eq!(route["name"], "default/route/rule/pass-through/aws");
        assert_eq!(route["match"], json!({"path_separated_prefix": "/aws"}));

        // Where it is for this model, it is a route beside the direct way and never one itself.
        host_of(&mut plan).rules[0].matches =
            Match { path: path(), headers: vec![model_is("m")], ..Match::default() };
        assert!(Direct::new(&plan, &options()).has("m"));
        let files = envoy(&plan, &options()).unwrap();
        let routes: Value =
            serde_json::from_str(&files.get(&rds_path("default/ai-gateway/http")).unwrap().content).unwrap();
        let map = &routes["resources"][0]["virtual_hosts"][0]["matcher"]["matcher_tree"]["exact_match_map"];
        let of_model = map["map"]["m"]["action"]["typed_config"]["routes"].as_array().unwrap();
        let clusters: Vec<_> = of_model.iter().map(|route| &route["route"]).collect();
        assert_eq!(of_model[0]["match"]["path_separated_prefix"], "/aws");
        assert!(
            clusters[0]["cluster"].is_string() && clusters[1]["cluster_header"].is_string(),
            "{clusters:#?}"
        );
        assert_eq!(of_model.len(), 3);
    }

    #[test]
    fn whatever_could_send_a_request_elsewhere_makes_it_none() {
        let retry = |on: &str, statuses: &[u16]| Retry {
            on: vec![on.to_owned()],
            status_codes: statuses.to_vec(),
            ..rule("r", 0).retry.unwrap()
        };
        type Change = Box<dyn Fn(&mut Plan)>;
        let changes: Vec<(&str, Change)> = vec![
            (
                "a second backend",
                Box::new(|plan| plan.clusters[0].members.push(member("b", 0, 1, "10.0.0.1", 1, false))),
            ),
            (
                "a second address",
                Box::new(|plan| {
                    plan.clusters[0].members[0]
                        .endpoints
                        .push(Endpoint { host: "10.0.0.1".to_owned(), port: 1 });
                }),
            ),
            (
                "a check",
                Box::new(|plan| plan.clusters[0].traffic.active_check = sample::traffic().active_check),
            ),
            (
                "a circuit breaker",
                Box::new(|plan| plan.clusters[0].traffic.circuit_breaker = sample::traffic().circuit_breaker),
            ),
            ("no traffic", Box::new(|plan| plan.clusters[0].members[0].weight = 0)),
            ("no backend", Box::new(|plan| rule_of(plan).cluster = None)),
            ("a plain rule", Box::new(|plan| rule_of(plan).ai = false)),
            (
                "retries of what the backend says",
                Box::new(move |plan| rule_of(plan).retry = Some(retry("5xx", &[]))),
            ),
            ("retries of a status", Box::new(move |plan| rule_of(plan).retry = Some(retry("reset", &[503])))),
            ("a host name", Box::new(|plan| host_of(plan).domains = vec!["models.test".to_owned()])),
            (
                "another condition",
                Box::new(|plan| {
                    let beta = HeaderMatch { name: "x-beta".into(), value: ValueMatch::Exact("yes".into()) };
                    host_of(plan).rules.insert(0, matched(vec![model_is("m"), beta], rule("beta", 1)));
                }),
            ),
            (
                "a rule before it that takes all",
                Box::new(|plan| host_of(plan).rules.insert(0, matched(vec![], rule("any", 1)))),
            ),
            (
                "a listener that does not have it",
                Box::new(|plan| {
                    let mut other = plan.listeners[0].clone();
                    other.virtual_hosts[0].rules = vec![matched(vec![model_is("n")], rule("other", 1))];
                    plan.listeners.push(other);
                }),
            ),
        ];
        for (what, change) in changes {
            let mut plan = simple();
            change(&mut plan);
            assert!(!Direct::new(&plan, &options()).has("m"), "{what}");
            assert!(names(&plan).is_empty(), "{what}");
        }
    }

    #[test]
    fn a_connection_may_be_tried_again() {
        let mut plan = simple();
        rule_of(&mut plan).retry = Some(Retry {
            on: vec!["connect-failure".into(), "reset".into()],
            status_codes: vec![],
            ..rule("r", 0).retry.unwrap()
        });
        assert!(Direct::new(&plan, &options()).has("m"));
    }

    #[test]
    fn an_answer_has_the_time_of_an_attempt_where_requests_are_repeated() {
        let of = |change: &dyn Fn(&mut Rule)| {
            let mut plan = simple();
            let rule = rule_of(&mut plan);
            rule.attempt_timeout = Some(Duration::from_secs(2));
            rule.retry = Some(Retry {
                on: vec!["connect-failure".into(), "reset-before-request".into()],
                status_codes: vec![],
                ..rule_of_sample().retry.unwrap()
            });
            change(rule);
            let direct = Direct::new(&plan, &options());
            direct.answer_timeouts().map(|(_, timeout)| timeout).next()
        };
        assert_eq!(of(&|_| {}), Some(2_000));
        assert_eq!(of(&|rule| rule.request_timeout = Some(Duration::from_secs(1))), Some(1_000));
        assert_eq!(of(&|rule| rule.attempt_timeout = None), None);
        assert_eq!(of(&|rule| rule.attempt_idle_timeout = Some(Duration::from_secs(1))), None);
        assert_eq!(of(&|rule| rule.retry = None), None);
    }

    fn rule_of_sample() -> Rule {
        rule("r", 0)
    }

    #[test]
    fn a_global_rate_limit_sees_the_clients_headers() {
        let target = |headers| {
            let target = config::Target { headers, ..config::Target::default() };
            config::Route { targets: vec![target.into()], ..config::Route::default() }.into()
        };
        let route = "default/route/rule/m".to_owned();
        let mut plan = simple();
        rule_of(&mut plan).limits = vec![Limit { budget: 0 }];
        plan.filter.routes.insert(route.clone(), target(config::HeaderMutation::default()));
        let service = || Some(ServiceAddress::Unix("/run/ratelimit.sock".into()));
        let with_service = || Options { rate_limit_service: service(), ..options() };
        assert!(Direct::new(&plan, &with_service()).has("m"), "no attempt touches x-user-id");

        let by = |plan: &mut Plan, header: &str| plan.filter.budgets[0].selectors[0].header = header.into();
        by(&mut plan, "authorization");
        assert!(Direct::new(&plan, &options()).has("m"), "the filter counts");
        assert!(!Direct::new(&plan, &with_service()).has("m"), "it is the backend's by then");

        by(&mut plan, "x-user-id");
        let removes = config::HeaderMutation { remove: vec!["X-User-Id".into()], ..Default::default() };
        plan.filter.routes.insert(route, target(removes));
        assert!(!Direct::new(&plan, &with_service()).has("m"), "the backend must not see it");
    }

    #[test]
    fn a_limit_of_each_proxy_sees_the_clients_headers() {
        let mut plan = simple();
        rule_of(&mut plan).local_limits = sample::local_limits();
        let of = |headers| {
            let target = config::Target { headers, ..config::Target::default() };
            config::Route { targets: vec![target.into()], ..config::Route::default() }.into()
        };
        let route = "default/route/rule/m".to_owned();
        plan.filter.routes.insert(route.clone(), of(config::HeaderMutation::default()));
        assert!(Direct::new(&plan, &options()).has("m"), "no attempt touches what they select by");
        let removes = config::HeaderMutation { remove: vec!["x-tier".into()], ..Default::default() };
        plan.filter.routes.insert(route, of(removes));
        assert!(!Direct::new(&plan, &options()).has("m"), "the backend must not see it");
    }
}
