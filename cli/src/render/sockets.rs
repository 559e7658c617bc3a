//! Ways for WebSockets: over HTTP/1.1, and to those backends of a rule that have any.
//!
//! HTTP/2 has upgrades of its own (RFC 8441), which few servers take. Where a cluster may speak it, or some of its
//! backends have no WebSockets, a second cluster stands beside it, and a route before the rule's own leads there.

use serde_json::{Value, json};
use weir_core::endpoint::Endpoint;
use weir_core::wire;

use super::clusters::all_tls;
use crate::plan::{Cluster, Member, Plan};

/// What a listener lets requests become. The filter refuses it where it is not for an endpoint.
pub(super) fn upgrades() -> Value {
    json!([{"upgrade_type": PROTOCOL}])
}

const PROTOCOL: &str = "websocket";

/// All protocols but that one, which has nine letters and begins with a w: RE2 has no other way to say it. Letters of
/// ASCII, since Envoy before 1.39 takes a regex of a program size of 100 at most, and any others make it larger.
pub(super) const OTHER_PROTOCOLS: &str = "[^wW][ -~]*|[ -~]{0,8}|[ -~]{10,}";

/// Whether requests to a backend can become WebSockets.
pub(super) fn opens(plan: &Plan, backend: &str) -> bool {
    let Some(backend) = plan.filter.backends.get(backend) else { return false };
    let mut endpoints = Endpoint::ALL.iter().filter(|endpoint| endpoint.opens_socket());
    endpoints.any(|endpoint| wire::reach(*endpoint, backend.schema.name).is_ok())
}

/// The cluster that WebSockets go to in the place of `cluster`. `None`: they go to it as well, or cannot go anywhere,
/// which the filter says.
fn beside(plan: &Plan, cluster: &Cluster) -> Option<Cluster> {
    let takes = |member: &Member| opens(plan, &member.backend);
    let mut taking = cluster.members.iter().filter(|member| member.weight > 0);
    let has_some = cluster.ai && taking.clone().any(takes);
    if !has_some || !all_tls(cluster) && taking.all(takes) {
        return None;
    }
    let member =
        |member: &Member| Member { weight: if takes(member) { member.weight } else { 0 }, ..member.clone() };
    let members = cluster.members.iter().map(member).collect();
    Some(Cluster { name: format!("{}/sockets", cluster.name), members, ..cluster.clone() })
}

/// These clusters.
pub(super) fn clusters(plan: &Plan) -> impl Iterator<Item = Cluster> {
    plan.clusters.iter().filter_map(|cluster| beside(plan, cluster))
}

/// The name of the cluster that WebSockets go to instead of `cluster`, with the condition on their headers.
pub(super) fn way(plan: &Plan, cluster: &Cluster) -> Option<(String, Value)> {
    let condition = json!({"name": "upgrade", "string_match": {"exact": PROTOCOL, "ignore_case": true}});
    Some((beside(plan, cluster)?.name, condition))
}

#[cfg(test)]
mod tests {
    use weir_core::config::SchemaName;

    use super::super::tests::options;
    use super::super::{CDS, envoy, rds_path, sample};
    use super::*;

    /// Its second cluster has the backends `bedrock`, over TLS, and `local`, and `idle`, which takes no traffic.
    fn plan(bedrock: SchemaName, local: SchemaName) -> Plan {
        let mut plan = sample::plan();
        for (name, schema) in [("bedrock", bedrock), ("idle", SchemaName::OpenAI), ("local", local)] {
            let backend = sample::backend(name, schema);
            plan.filter.backends.insert(format!("default/{name}"), backend.into());
        }
        plan
    }

    fn rendered(plan: &Plan, path: &str) -> Value {
        let files = envoy(plan, &options()).unwrap();
        serde_json::from_str(&files.get(path).unwrap().content).unwrap()
    }

    #[test]
    fn only_backends_that_have_sockets_get_any() {
        let plan = plan(SchemaName::AWSBedrock, SchemaName::OpenAI);
        let clusters = rendered(&plan, CDS);
        let mut clusters = clusters["resources"].as_array().unwrap().iter();
        let cluster = clusters.find(|cluster| cluster["name"] == "claude/sockets").unwrap();
        let places = cluster["load_assignment"]["endpoints"].as_array().unwrap();
        let regions: Vec<_> = places.iter().map(|place| &place["locality"]["region"]).collect();
        assert_eq!(regions, ["2"], "the place in the filter's configuration is the same");
        assert!(cluster.to_string().contains("weir.backend"));

        let routes = rendered(&plan, &rds_path("default/ai-gateway/http"));
        let map = &routes["resources"][0]["virtual_hosts"][0]["matcher"]["matcher_tree"]["exact_match_map"];
        let routes = map["map"]["claude"]["action"]["typed_config"]["routes"].as_array().unwrap();
        let ways: Vec<_> = routes.iter().filter(|route| route["name"] == "default/route/rule/2").collect();
        let [sockets, .., rest] = ways.as_slice() else { panic!("{routes:#?}") };
        assert_eq!(
            (&sockets["route"]["cluster"], &rest["route"]["cluster"]),
            (&json!("claude/sockets"), &json!("claude"))
        );
        let condition = &sockets["match"]["headers"][1];
        assert_eq!(
            (&condition["name"], &condition["string_match"]["exact"]),
            (&json!("upgrade"), &json!("websocket"))
        );
    }

    #[test]
    fn a_cluster_that_may_speak_http_2_has_one_beside_it_that_does_not() {
        let mut plan = plan(SchemaName::AzureOpenAI, SchemaName::OpenAI);
        assert_eq!(clusters(&plan).count(), 0, "all have sockets, and not all TLS");
        plan.clusters[1].members.truncate(1);
        let names: Vec<String> = clusters(&plan).map(|cluster| cluster.name).collect();
        assert_eq!(names, ["claude/sockets"]);
        let rendered = rendered(&plan, CDS);
        let clusters = rendered["resources"].as_array().unwrap();
        let speaks_2 = |name: &str| {
            let cluster = clusters.iter().find(|cluster| cluster["name"] == name).unwrap();
            cluster["typed_extension_protocol_options"].to_string().contains("http2_protocol_options")
        };
        assert!(speaks_2("claude") && !speaks_2("claude/sockets"));
    }

    #[test]
    fn without_a_backend_that_has_sockets_nothing_changes() {
        let plan = plan(SchemaName::AWSBedrock, SchemaName::Cohere);
        assert_eq!(clusters(&plan).count(), 0);
    }
}
