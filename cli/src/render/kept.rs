//! Ways to one backend of several: what it keeps is nowhere else, so requests that refer to it go there alone.
//!
//! The filter says which backend that is in a header. A route before the rule's own takes the requests that have it to
//! a cluster of that backend; where the rule does not have the backend any more there is none, and the backend role
//! refuses them.

use serde_json::{Value, json};
use weir_core::endpoint::Endpoint;
use weir_core::headers::BACKEND_HEADER;
use weir_core::kept::Key;
use weir_core::wire;

use super::Options;
use crate::plan::{Cluster, Member, Plan, Traffic};

/// The key that names of what backends keep are sealed with: the one that the resources say, or that of this run.
pub(super) fn key(plan: &Plan, options: &Options) -> Option<Key> {
    plan.filter.kept_key.clone().or_else(|| Some(options.salt?.kept_key()))
}

/// Whether a backend keeps responses itself.
pub(crate) fn keeps(plan: &Plan, backend: &str) -> bool {
    let backend = plan.filter.backends.get(backend);
    backend.is_some_and(|backend| wire::reach(Endpoint::StoredResponse, backend.schema.name).is_ok())
}

/// The backends of a cluster that have ways of their own. One that takes no traffic has one as well: what it kept while
/// it did is there still.
fn members<'a>(plan: &'a Plan, options: &Options, cluster: &'a Cluster) -> impl Iterator<Item = &'a Member> {
    let has_ways = cluster.ai && cluster.members.len() > 1 && key(plan, options).is_some();
    let members = cluster.members.iter().filter(move |_| has_ways).enumerate();
    members.filter_map(|(index, member)| {
        let is_first = !cluster.members.iter().take(index).any(|other| other.backend == member.backend);
        (is_first && keeps(plan, &member.backend)).then_some(member)
    })
}

fn name(cluster: &Cluster, member: &Member) -> String {
    format!("{}/only/{}", cluster.name, member.backend)
}

/// The clusters at the end of these ways. Nobody is checked there: there is no other to go to.
pub(super) fn clusters(plan: &Plan, options: &Options) -> Vec<Cluster> {
    let of = |cluster: &Cluster| {
        let only = |member: &Member| Cluster {
            name: name(cluster, member),
            members: vec![Member { weight: 1, priority: 0, ..member.clone() }],
            traffic: Traffic { active_check: None, passive_check: None, ..cluster.traffic.clone() },
            ..cluster.clone()
        };
        members(plan, options, cluster).map(only).collect::<Vec<_>>()
    };
    plan.clusters.iter().flat_map(of).collect()
}

/// The names of the clusters that requests to `cluster` may be taken to instead, each with the condition on their
/// headers.
pub(super) fn ways(plan: &Plan, options: &Options, cluster: &Cluster) -> Vec<(String, Value)> {
    let way = |member: &Member| {
        let condition = json!({"name": BACKEND_HEADER, "string_match": {"exact": member.backend}});
        (name(cluster, member), condition)
    };
    members(plan, options, cluster).map(way).collect()
}

#[cfg(test)]
mod tests {
    use weir_core::config::SchemaName;

    use super::super::tests::options;
    use super::super::{CDS, envoy, rds_path, sample};
    use super::*;

    /// Its second cluster has the backends `bedrock` and `local`, and `idle`, which takes no traffic.
    fn plan() -> Plan {
        let mut plan = sample::plan();
        let schemas = [
            ("bedrock", SchemaName::AWSBedrock),
            ("idle", SchemaName::OpenAI),
            ("local", SchemaName::OpenAI),
        ];
        for (name, schema) in schemas {
            let backend = sample::backend(name, schema);
            plan.filter.backends.insert(format!("default/{name}"), backend.into());
        }
        plan.filter.kept_key = Some(Key::derived(b"secret"));
        plan
    }

    fn rendered(plan: &Plan, path: &str) -> Value {
        let files = envoy(plan, &options()).unwrap();
        serde_json::from_str(&files.get(path).unwrap().content).unwrap()
    }

    fn names(plan: &Plan) -> Vec<String> {
        clusters(plan, &options()).into_iter().map(|cluster| cluster.name).collect()
    }

    #[test]
    fn each_backend_that_keeps_responses_has_a_way_of_its_own() {
        let plan = plan();
        assert_eq!(names(&plan), ["claude/only/default/idle", "claude/only/default/local"]);
        let routes = rendered(&plan, &rds_path("default/ai-gateway/http"));
        let map = &routes["resources"][0]["virtual_hosts"][0]["matcher"]["matcher_tree"]["exact_match_map"];
        let routes = map["map"]["claude"]["action"]["typed_config"]["routes"].as_array().unwrap();
        let of = |route: &Value| {
            let is_header = |header: &&Value| header["name"] == BACKEND_HEADER;
            let headers = route["match"]["headers"].as_array().into_iter().flatten();
            let condition =
                headers.clone().find(is_header).map(|header| header["string_match"]["exact"].clone());
            (route["name"].clone(), route["route"]["cluster"].clone(), condition)
        };
        let ways: Vec<_> = routes.iter().map(of).collect();
        let rule = json!("default/route/rule/2");
        let last = ways.iter().position(|way| *way == (rule.clone(), json!("claude"), None)).unwrap();
        let way =
            |backend: &str| (rule.clone(), json!(format!("claude/only/{backend}")), Some(json!(backend)));
        assert_eq!(ways[last - 2..last], [way("default/idle"), way("default/local")]);

        let clusters = rendered(&plan, CDS);
        let clusters = clusters["resources"].as_array().unwrap();
        let idle = clusters.iter().find(|cluster| cluster["name"] == "claude/only/default/idle").unwrap();
        let text = idle.to_string();
        assert!(text.contains("weir.backend") && text.contains("0/0/default/idle@"), "{idle:#}");
    }

    #[test]
    fn without_a_key_or_a_choice_there_is_none() {
        let mut without_key = plan();
        without_key.filter.kept_key = None;
        assert!(names(&without_key).is_empty());
        let mut alone = plan();
        alone.clusters[1].members.truncate(1);
        assert!(names(&alone).is_empty());
    }
}
