//! Ways to one backend of several: what it keeps is nowhere else, so requests that refer to it go there alone. Those
//! with a thought that it alone can read go there first.
//!
//! The filter says which backend that is in a header. A route before the rule's own takes the requests that have it to
//! a cluster of that backend, or one in which it comes first; where the rule does not have the backend any more there
//! is none, and the backend role refuses the former, and leaves the thought out of the latter.

use std::cmp::Reverse;

use serde_json::{Value, json};
use weir_core::endpoint::Endpoint;
use weir_core::headers::{BACKEND_HEADER, FIRST_BACKEND_HEADER};
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

/// A way to one backend.
pub(super) struct Way {
    /// Where it ends.
    pub(super) cluster: Cluster,
    /// What the headers of a request must be to be taken there.
    pub(super) condition: Value,
    /// Others come after the backend, each once.
    pub(super) goes_on: bool,
}

impl Way {
    /// To the backend alone. Nobody is checked there: there is no other to go to.
    fn only(cluster: &Cluster, member: &Member) -> Way {
        let cluster = Cluster {
            name: format!("{}/only/{}", cluster.name, member.backend),
            members: vec![Member { weight: 1, priority: 0, ..member.clone() }],
            traffic: Traffic { active_check: None, passive_check: None, ..cluster.traffic.clone() },
            ..cluster.clone()
        };
        Way { cluster, condition: names(BACKEND_HEADER, member), goes_on: false }
    }

    /// To the backend, and from there to the others of the cluster. Each has a priority of its own, the heaviest first,
    /// so that none is asked twice while there are others. Nobody is asked after their health here once more: one that
    /// is down is passed over by the next attempt.
    fn first(cluster: &Cluster, member: &Member) -> Way {
        let mut order: Vec<&Member> = cluster.members.iter().collect();
        order.sort_by_key(|other| (other.backend != member.backend, other.priority, Reverse(other.weight)));
        let place = |member: &Member| order.iter().position(|other| *other == member).unwrap_or_default();
        let with_place = |member: &Member| Member {
            priority: u32::try_from(place(member)).unwrap_or(u32::MAX),
            ..member.clone()
        };
        let cluster = Cluster {
            name: format!("{}/first/{}", cluster.name, member.backend),
            members: cluster.members.iter().map(with_place).collect(),
            traffic: Traffic { active_check: None, ..cluster.traffic.clone() },
            ..cluster.clone()
        };
        Way { cluster, condition: names(FIRST_BACKEND_HEADER, member), goes_on: true }
    }
}

fn names(header: &str, member: &Member) -> Value {
    json!({"name": header, "string_match": {"exact": member.backend}})
}

/// The ways that requests to `cluster` may be taken instead. A backend that takes no traffic is asked for what it kept
/// while it did, but no conversation goes on there that can go on elsewhere.
pub(super) fn ways(plan: &Plan, options: &Options, cluster: &Cluster) -> Vec<Way> {
    if !cluster.ai || cluster.members.len() < 2 || key(plan, options).is_none() {
        return Vec::new();
    }
    let has_choice = cluster.members.iter().filter(|member| member.weight > 0).count() > 1;
    let members = cluster.members.iter().enumerate().filter(|(index, member)| {
        let before = cluster.members.iter().take(*index);
        keeps(plan, &member.backend) && before.clone().all(|other| other.backend != member.backend)
    });
    let ways = members.flat_map(|(_, member)| {
        let first = (has_choice && member.weight > 0).then(|| Way::first(cluster, member));
        [Some(Way::only(cluster, member)), first]
    });
    ways.flatten().collect()
}

/// The clusters at the end of all ways.
pub(super) fn clusters(plan: &Plan, options: &Options) -> Vec<Cluster> {
    let ways = plan.clusters.iter().flat_map(|cluster| ways(plan, options, cluster));
    ways.map(|way| way.cluster).collect()
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
        let expected =
            ["claude/only/default/idle", "claude/only/default/local", "claude/first/default/local"];
        assert_eq!(names(&plan), expected);
        let routes = rendered(&plan, &rds_path("default/ai-gateway/http"));
        let map = &routes["resources"][0]["virtual_hosts"][0]["matcher"]["matcher_tree"]["exact_match_map"];
        let routes = map["map"]["claude"]["action"]["typed_config"]["routes"].as_array().unwrap();
        let of = |route: &Value| {
            let is_header =
                |header: &&Value| header["name"] == BACKEND_HEADER || header["name"] == FIRST_BACKEND_HEADER;
            let headers = route["match"]["headers"].as_array().into_iter().flatten();
            let condition = headers
                .clone()
                .find(is_header)
                .map(|header| (header["name"].clone(), header["string_match"]["exact"].clone()));
            (route["name"].clone(), route["route"]["cluster"].clone(), condition)
        };
        let ways: Vec<_> = routes.iter().map(of).collect();
        let rule = json!("default/route/rule/2");
        let last = ways.iter().position(|way| *way == (rule.clone(), json!("claude"), None)).unwrap();
        let way = |kind: &str, header: &str, backend: &str| {
            let cluster = json!(format!("claude/{kind}/{backend}"));
            (rule.clone(), cluster, Some((json!(header), json!(backend))))
        };
        let expected = [
            way("only", BACKEND_HEADER, "default/idle"),
            way("only", BACKEND_HEADER, "default/local"),
            way("first", FIRST_BACKEND_HEADER, "default/local"),
        ];
        assert_eq!(ways[last - 3..last], expected);
        let retries =
            |route: &Value| route["route"]["retry_policy"]["retry_priority"]["typed_config"].clone();
        assert_eq!(retries(&routes[last - 2]), Value::Null);
        assert_eq!(retries(&routes[last - 1])["update_frequency"], 1);

        let clusters = rendered(&plan, CDS);
        let clusters = clusters["resources"].as_array().unwrap();
        let idle = clusters.iter().find(|cluster| cluster["name"] == "claude/only/default/idle").unwrap();
        let text = idle.to_string();
        assert!(text.contains("weir.backend") && text.contains("0/0/default/idle@"), "{idle:#}");
    }

    #[test]
    fn the_others_come_after_the_first_one_by_one() {
        let mut plan = plan();
        let cluster = &mut plan.clusters[1];
        let member = |name: &str, priority, weight| Member {
            backend: format!("default/{name}"),
            priority,
            weight,
            ..sample::plan().clusters[1].members[0].clone()
        };
        cluster.members =
            vec![member("bedrock", 1, 9), member("local", 0, 1), member("idle", 0, 2), member("local", 1, 5)];
        let ways = ways(&plan, &options(), &plan.clusters[1]);
        let first = ways.iter().find(|way| way.cluster.name == "claude/first/default/local").unwrap();
        let priorities: Vec<u32> = first.cluster.members.iter().map(|member| member.priority).collect();
        assert_eq!(priorities, [3, 0, 2, 1]);
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
