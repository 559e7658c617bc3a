//! What the rendered resources say, on a plan that has a little of everything and on simpler ones.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use weir_core::auth::{AwsCalls, AwsProfile, Source};

use super::*;
use crate::plan::{Backoff, Listener, Match, PathMatch, Retry, SecretValue, Tls, VirtualHost};
use crate::render::sample::{self, plan, rule};
use crate::resources::yaml::documents;

fn options() -> Options {
    Options {
        namespace: "istio-ingress".to_owned(),
        selector: [("istio".to_owned(), "ingress".to_owned())].into(),
        code: Code::Remote {
            url: "oci://registry.example/weir:0.1.0".to_owned(),
            sha256: Some("0".repeat(64)),
        },
        rate_limit_service: None,
        rate_limit_fail_closed: false,
    }
}

fn with_service() -> Options {
    let service = ServiceAddress::Tcp { host: "ratelimit.default".to_owned(), port: 8081 };
    Options { rate_limit_service: Some(service), ..options() }
}

/// One model with one place to go to, and its key in a Secret.
fn simple() -> Plan {
    let mut plan = plan();
    plan.aws_container = None;
    let host = &mut plan.listeners[0].virtual_hosts[0];
    host.rules
        .retain(|matched| matched.rule.name == "default/route/rule/0" && !matched.matches.headers.is_empty());
    let Some(only) = host.rules.first_mut() else { panic!() };
    let mut simple = rule("route/rule/0", 0);
    simple.retry = Some(Retry {
        count: 3,
        spare: 0,
        attempts_per_priority: 1,
        on: vec!["connect-failure".to_owned(), "reset".to_owned()],
        status_codes: vec![],
        backoff: Some(Backoff { base: Duration::from_millis(500), max: Some(Duration::from_secs(4)) }),
    });
    only.rule = Rc::new(simple);
    let source = Source::Secret { name: "default/openai".to_owned(), key: "apiKey".to_owned() };
    plan.filter.credentials = [("default/open.ai".to_owned(), source)].into();
    plan
}

fn only_rule(plan: &mut Plan) -> &mut Rule {
    let rule = &mut plan.listeners[0].virtual_hosts[0].rules[0].rule;
    Rc::get_mut(rule).unwrap()
}

fn rendered(plan: &Plan, options: &Options) -> Vec<Value> {
    let (files, _) = istio(plan, options).unwrap();
    documents(&files.get(RESOURCES).unwrap().content).into_iter().map(Result::unwrap).collect()
}

fn of_kind<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources.iter().filter(|resource| resource["kind"] == kind).collect()
}

fn patches_to<'a>(resources: &'a [Value], apply_to: &str) -> Vec<&'a Value> {
    let patches = of_kind(resources, "EnvoyFilter").into_iter();
    let patches = patches.flat_map(|filter| filter["spec"]["configPatches"].as_array().unwrap());
    patches.filter(|patch| patch["applyTo"] == apply_to).collect()
}

fn configuration(resources: &[Value]) -> Value {
    let [patch, ..] = patches_to(resources, "EXTENSION_CONFIG")[..] else { panic!() };
    let text = &patch["patch"]["value"]["typed_config"]["config"]["configuration"]["value"];
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[test]
fn a_small_plan() {
    for (path, file) in istio(&plan(), &with_service()).unwrap().0.iter() {
        insta::assert_snapshot!(format!("small_{path}"), file.content);
    }
}

#[test]
fn a_simple_plan() {
    for (path, file) in istio(&simple(), &options()).unwrap().0.iter() {
        insta::assert_snapshot!(format!("simple_{path}"), file.content);
    }
}

#[test]
fn a_model_with_one_place_needs_no_patch_of_clusters_or_routes() {
    let resources = rendered(&simple(), &options());
    assert_eq!(of_kind(&resources, "EnvoyFilter").len(), 1);
    assert_eq!(patches_to(&resources, "EXTENSION_CONFIG").len(), 1);
    let way = &configuration(&resources)["direct"]["qwen3"];
    let route = &of_kind(&resources, "VirtualService")[0]["spec"]["http"][0];
    assert_eq!(route["match"][0]["headers"]["x-weir-cluster"]["exact"], way["cluster"]);
    assert_eq!(route["name"], way["route"]);
}

#[test]
fn what_a_virtual_service_cannot_say_is_patched() {
    type Change = fn(&mut Rule);
    let changes: [(&str, Change); 4] = [
        ("silence within an attempt", |rule| rule.attempt_idle_timeout = Some(Duration::from_secs(5))),
        ("a timeout of the only attempt", |rule| rule.retry = None),
        ("more time than the listener allows", |rule| rule.attempt_timeout = Some(Duration::from_secs(400))),
        ("a shorter longest pause", |rule| {
            let backoff = Backoff { base: Duration::from_secs(1), max: Some(Duration::from_secs(2)) };
            rule.retry.as_mut().unwrap().backoff = Some(backoff);
        }),
    ];
    for (what, change) in changes {
        let mut plan = simple();
        change(only_rule(&mut plan));
        let resources = rendered(&plan, &options());
        let [patch] = patches_to(&resources, "HTTP_ROUTE")[..] else { panic!("{what}") };
        let name = &patch["match"]["routeConfiguration"]["vhost"]["route"]["name"];
        assert_eq!(name, "default/route/rule/0", "{what}");
    }
}

#[test]
fn a_service_of_the_cluster_is_left_to_istio() {
    let mut plan = simple();
    plan.clusters[0].members[0].endpoints[0].host = "qwen3.models.svc.cluster.local".to_owned();
    let resources = rendered(&plan, &options());
    assert!(
        of_kind(&resources, "ServiceEntry").is_empty() && of_kind(&resources, "DestinationRule").is_empty()
    );
    let route = &of_kind(&resources, "VirtualService")[0]["spec"]["http"][0];
    let destination = json!({"host": "qwen3.models.svc.cluster.local", "port": {"number": 8000}});
    assert_eq!(route["route"][0]["destination"], destination);
}

#[test]
fn a_service_of_the_cluster_with_a_connect_timeout_is_declared() {
    let mut plan = simple();
    plan.clusters[0].members[0].endpoints[0].host = "qwen3.models.svc.cluster.local".to_owned();
    plan.clusters[0].connect_timeout = Duration::from_secs(2);
    let resources = rendered(&plan, &options());
    let address = &of_kind(&resources, "ServiceEntry")[0]["spec"]["endpoints"][0]["address"];
    assert_eq!(address, "qwen3.models.svc.cluster.local");
    let pool = &of_kind(&resources, "DestinationRule")[0]["spec"]["trafficPolicy"]["connectionPool"]["tcp"];
    assert_eq!(pool["connectTimeout"], "2s");
}

#[test]
fn no_two_resources_have_one_name() {
    let mut plan = simple();
    plan.clusters.truncate(2);
    for (cluster, name) in plan.clusters.iter_mut().zip(["a/openai-team", "team-a/openai"]) {
        cluster.name = name.to_owned();
        cluster.members.truncate(1);
    }
    // Plain rules: all of their places are ServiceEntries.
    let host = |domain: &str, cluster: usize| {
        let rule = Rule { ai: false, retry: None, ..rule("plain/rule/0", cluster) };
        let rules = vec![MatchedRule { matches: Match::default(), rule: Rc::new(rule) }];
        VirtualHost { domains: vec![domain.to_owned()], rules }
    };
    let listener = Listener { virtual_hosts: vec![host("*", 0)], ..plan.listeners.remove(0) };
    let long = format!("team/{}/http", "x".repeat(253));
    let names = ["team-a/b/http", "team/a-b/http", "team/a-b/http-1", &long];
    plan.listeners = names.map(|name| Listener { name: name.to_owned(), ..listener.clone() }).into();
    plan.listeners[0].virtual_hosts.push(host("models.test", 1));

    let resources = rendered(&plan, &options());
    let counts = ["Gateway", "VirtualService", "ServiceEntry"].map(|kind| of_kind(&resources, kind).len());
    assert_eq!(counts, [4, 5, 2]);
    let mut seen = BTreeSet::new();
    for resource in &resources {
        let (kind, name) = (&resource["kind"], resource["metadata"]["name"].as_str().unwrap());
        assert!(name.len() <= 63, "{name}");
        assert!(seen.insert((kind.as_str(), name)), "{kind} {name} is there twice");
    }
    let of = |service: &Value| service["spec"]["gateways"][0].as_str().unwrap().to_owned();
    let gateways: Vec<String> = of_kind(&resources, "VirtualService").into_iter().map(of).collect();
    assert_eq!(gateways[..4], ["team-a-b-http", "team-a-b-http", "team-a-b-http-2", "team-a-b-http-1"]);
}

#[test]
fn a_certificate_authority_of_ones_own_takes_a_patch() {
    let tls = |ca: &str| Tls { hostname: "models.test".to_owned(), ca_pem: Some(ca.to_owned()) };
    let mut plan = simple();
    plan.clusters[0].members[0].tls = Some(tls("-----BEGIN CERTIFICATE-----"));
    let resources = rendered(&plan, &options());
    assert!(of_kind(&resources, "ServiceEntry").is_empty());
    let [patch] = patches_to(&resources, "CLUSTER")[..] else { panic!() };
    assert!(!patch.to_string().contains("weir.backend"), "no filter in its chain");
    let destination = &of_kind(&resources, "VirtualService")[0]["spec"]["http"][0]["route"][0]["destination"];
    let name = format!("outbound|80||{}", destination["host"].as_str().unwrap());
    assert_eq!(patch["patch"]["value"]["name"], name);

    plan.clusters[0].members[0].tls = Some(tls(""));
    let refused = istio(&plan, &options()).unwrap_err().to_string();
    assert!(refused.contains("backend default/qwen3: caCertificateRefs"), "{refused}");
}

#[test]
fn what_a_policy_says_of_balance_health_and_load_takes_a_patch() {
    let mut plan = simple();
    plan.clusters[0].traffic = sample::traffic();
    let resources = rendered(&plan, &options());
    assert!(of_kind(&resources, "ServiceEntry").is_empty());
    let cluster = &patches_to(&resources, "CLUSTER")[0]["patch"]["value"];
    assert!(cluster["health_checks"].is_array() && cluster["circuit_breakers"].is_object(), "{cluster:#}");
}

#[test]
fn limits_of_each_proxy_are_envoys_own() {
    let is_limit = |patch: &&Value| patch["patch"]["value"]["name"] == "weir.local_limits";
    let mut plan = simple();
    let count = |plan: &Plan| {
        patches_to(&rendered(plan, &options()), "HTTP_FILTER").into_iter().filter(is_limit).count()
    };
    assert_eq!(count(&plan), 0);
    only_rule(&mut plan).local_limits = sample::local_limits();
    assert_eq!(count(&plan), 1);
}

#[test]
fn paths_are_matched_by_whole_segments() {
    let mut plan = plan();
    let plain = &mut plan.listeners[0].virtual_hosts[0].rules[0];
    plain.matches = Match { path: Some(PathMatch::Prefix("/".to_owned())), ..Match::default() };
    let uris = |resources: &[Value]| -> Vec<Value> {
        let route = &of_kind(resources, "VirtualService")[0]["spec"]["http"][0];
        route["match"].as_array().unwrap().iter().map(|condition| condition["uri"].clone()).collect()
    };
    assert_eq!(uris(&rendered(&plan, &options())), [json!({"prefix": "/"})]);
    assert_eq!(
        uris(&rendered(&self::plan(), &options())),
        [json!({"exact": "/docs"}), json!({"prefix": "/docs/"})]
    );
}

#[test]
fn secrets_are_named_for_the_pods_environment() {
    let mut plan = simple();
    let profile = |name: &str| AwsProfile {
        name: name.to_owned(),
        key: "credentials".to_owned(),
        profile: "default".to_owned(),
        calls: AwsCalls::default(),
    };
    plan.filter.credentials.insert("default/open-ai".to_owned(), Source::AwsFile(profile("default/aws")));
    let variables =
        json!({"default/open-ai": "WEIR_DEFAULT_OPEN_AI", "default/open.ai": "WEIR_DEFAULT_OPEN_AI_2"});
    let resources = rendered(&plan, &options());
    assert_eq!(configuration(&resources)["secret_env"], variables);
    let (values, notes) = istio(&plan, &options()).unwrap();
    assert_eq!(notes.first().unwrap(), "Secret istio-ingress/aws must be there, with the key `credentials`");
    let values: Value = documents(&values.get(VALUES).unwrap().content).remove(0).unwrap();
    let named = |name: &str, secret: &str, key: &str| {
        let reference = json!({"name": secret, "key": key, "optional": true});
        json!({"name": name, "valueFrom": {"secretKeyRef": reference}})
    };
    let expected = [
        named("WEIR_DEFAULT_OPEN_AI", "aws", "credentials"),
        named("WEIR_DEFAULT_OPEN_AI_2", "openai", "apiKey"),
    ];
    assert_eq!(values["envVarFrom"], json!(expected));
    let seen = &patches_to(&resources, "EXTENSION_CONFIG")[0]["patch"]["value"]["typed_config"]["config"]["vm_config"]
        ["environment_variables"]["host_env_keys"];
    assert!(expected.iter().all(|variable| seen.as_array().unwrap().contains(&variable["name"])), "{seen}");
}

#[test]
fn two_secrets_that_the_pods_cannot_tell_apart_are_refused() {
    let mut plan = simple();
    let source = |name: &str| Source::Secret { name: name.to_owned(), key: "apiKey".to_owned() };
    plan.filter.credentials.insert("default/other".to_owned(), source("default/openai"));
    assert!(istio(&plan, &options()).is_ok(), "one Secret may serve two backends");
    plan.filter.credentials.insert("team-b/openai".to_owned(), source("team-b/openai"));
    let refused = istio(&plan, &options()).unwrap_err().to_string();
    assert!(
        refused
            .contains("BackendSecurityPolicy team-b/openai: spec: names Secret team-b/openai, and another"),
        "{refused}"
    );
}

#[test]
fn a_pods_identity_is_asked_for_with_the_token_that_envoy_reads() {
    let mut plan = simple();
    assert!(patches_to(&rendered(&plan, &options()), "CLUSTER").is_empty());
    plan.filter.credentials = [("default/pod".to_owned(), Source::AwsDefault(AwsCalls::default()))].into();
    let resources = rendered(&plan, &options());
    let cluster = &patches_to(&resources, "CLUSTER")[0]["patch"]["value"];
    let container = &configuration(&resources)["credentials"]["default/pod"]["container"];
    assert_eq!((&container["cluster"], &container["path"]), (&cluster["name"], &json!("/v1/credentials")));
    for (path, file) in istio(&plan, &options()).unwrap().0.iter() {
        insta::assert_snapshot!(format!("pod_identity_{path}"), file.content);
    }
}

#[test]
fn the_servers_that_give_tokens_have_clusters() {
    let mut plan = simple();
    let set = |plan: &mut Plan, source: Value| {
        let source = serde_json::from_value(source).unwrap();
        plan.filter.credentials = [("default/cloud".to_owned(), source)].into();
    };
    let server = "https://oauth2.googleapis.com";
    let hosts = json!({server: "weir_call_https_oauth2.googleapis.com"});
    set(&mut plan, json!({"type": "google_file", "name": "default/google", "key": "k", "hosts": hosts}));
    let resources = rendered(&plan, &options());
    let cluster = &patches_to(&resources, "CLUSTER")[0]["patch"]["value"];
    let called = &configuration(&resources)["credentials"]["default/cloud"]["hosts"][server];
    assert_eq!(called, &cluster["name"]);
    assert_eq!(cluster["transport_socket"]["typed_config"]["sni"], "oauth2.googleapis.com");

    // A wasm filter reads no files in a pod.
    let external = r#"{"type": "external_account", "audience": "a", "subject_token_type": "t",
        "credential_source": {"file": "/var/run/token"}}"#;
    plan.secrets.insert("default/cloud".to_owned(), SecretValue(external.to_owned()));
    let refused = istio(&plan, &options()).unwrap_err().to_string();
    assert!(
        refused
            .contains("BackendSecurityPolicy default/cloud: spec: its credentials file names /var/run/token")
    );
    let pod = |client_id: Option<&str>| {
        json!({
            "type": "azure_default", "entra": "https://login.microsoftonline.com", "imds": "http://169.254.169.254",
            "client_id": client_id, "resource": "r", "hosts": {},
        })
    };
    set(&mut plan, pod(None));
    assert!(istio(&plan, &options()).unwrap_err().to_string().contains("workload identity"));
    set(&mut plan, pod(Some("of-the-node")));
    assert!(istio(&plan, &options()).is_ok());
}

#[test]
fn without_secrets_there_are_no_values() {
    let mut plan = simple();
    plan.filter.credentials.clear();
    let (files, notes) = istio(&plan, &options()).unwrap();
    assert!(files.get(VALUES).is_none() && notes.is_empty());
}

#[test]
fn the_filter_counts_unless_the_service_does() {
    assert!(configuration(&rendered(&plan(), &options()))["budgets"].is_array());
    assert!(configuration(&rendered(&plan(), &with_service())).get("budgets").is_none());
    let resources = rendered(&plan(), &options());
    assert!(!Value::from(resources).to_string().contains("http.ratelimit"));
}

#[test]
fn listeners_that_a_patch_cannot_tell_apart_are_refused() {
    let mut plan = plan();
    let mut other = plan.listeners[0].clone();
    other.name = "default/ai-gateway/second".to_owned();
    other.port = 8443;
    plan.listeners.push(other);
    assert!(istio(&plan, &options()).is_ok());
    let refused = istio(&plan, &with_service()).unwrap_err().to_string();
    assert!(
        refused.contains("listener default/ai-gateway/second: would count in the domain of"),
        "{refused}"
    );
    plan.listeners[1].buffer_limit = 1;
    let refused = istio(&plan, &options()).unwrap_err().to_string();
    assert!(refused.contains("listener default/ai-gateway/second: has other limits than"), "{refused}");
}

#[test]
fn no_secret_is_written() {
    for (path, file) in istio(&plan(), &with_service()).unwrap().0.iter() {
        assert!(!file.content.contains("s3cret") && !file.secret, "{path}");
    }
}

#[test]
fn the_same_plan_gives_the_same_files() {
    assert_eq!(istio(&plan(), &options()).unwrap(), istio(&plan(), &options()).unwrap());
}
