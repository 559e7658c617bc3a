//! One cluster for all rules that send to the same backends in the same way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::plan::{Cluster, Member, Traffic};

/// The clusters so far.
#[derive(Debug, Default)]
pub struct Clusters {
    list: Vec<Cluster>,
    by_shape: HashMap<String, usize>,
    names: HashSet<String>,
}

impl Clusters {
    /// The index of the cluster with these members and settings for a rule, which is made if it is not there.
    pub fn index(
        &mut self,
        mut members: Vec<Member>,
        ai: bool,
        connect_timeout: Duration,
        traffic: Traffic,
        rule: &str,
    ) -> usize {
        normalise(&mut members);
        // All fields show in `Debug`, and none of them is a secret.
        let mut shape = format!("{ai} {connect_timeout:?} {members:?}");
        let is_plain = traffic == Traffic::default();
        if !is_plain {
            shape.push_str(&format!(" {traffic:?}"));
        }
        // A circuit breaker is each rule's own.
        if traffic.circuit_breaker.is_some() {
            shape.push_str(&format!(" {rule}"));
        }
        if let Some(index) = self.by_shape.get(&shape) {
            return *index;
        }
        let name = self.name(&members, is_plain, &shape);
        self.names.insert(name.clone());
        self.by_shape.insert(shape, self.list.len());
        self.list.push(Cluster { name, members, ai, connect_timeout, traffic });
        self.list.len() - 1
    }

    /// `namespace/backend` for one backend, `namespace/backend+2-1a2b3c4d` for that and two more. The digits say
    /// which of the possible weights, priorities and settings it is, so that the name outlives changes elsewhere. One
    /// backend with a policy about balance, health or load has them, too.
    fn name(&self, members: &[Member], is_plain: bool, shape: &str) -> String {
        let first = members.first().map(|member| member.backend.clone()).unwrap_or_default();
        let digest = hex::encode(Sha256::digest(shape));
        let digits: String = digest.chars().take(8).collect();
        match members {
            [_] if is_plain && !self.names.contains(&first) => first,
            [_] => format!("{first}-{digits}"),
            more => format!("{first}+{}-{digits}", more.len() - 1),
        }
    }

    /// All of them.
    #[must_use]
    pub fn into_list(self) -> Vec<Cluster> {
        self.list
    }
}

/// Priorities become 0, 1, 2, ... since Envoy takes a gap for a priority without hosts; a single backend has no
/// use for weight and priority.
fn normalise(members: &mut [Member]) {
    let mut priorities: Vec<u32> = members.iter().map(|member| member.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    for member in members.iter_mut() {
        let rank = priorities.iter().position(|priority| *priority == member.priority).unwrap_or(0);
        member.priority = u32::try_from(rank).unwrap_or(u32::MAX);
    }
    if let [only] = members {
        only.weight = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Endpoint;

    fn member(backend: &str, priority: u32, weight: u32) -> Member {
        let endpoints = vec![Endpoint { host: format!("{backend}.local"), port: 80 }];
        Member { backend: format!("default/{backend}"), priority, weight, endpoints, tls: None }
    }

    #[test]
    fn the_same_backends_share_a_cluster() {
        let mut clusters = Clusters::default();
        let timeout = Duration::from_secs(10);
        let one = clusters.index(vec![member("a", 0, 1)], true, timeout, Traffic::default(), "r");
        assert_eq!(clusters.index(vec![member("a", 7, 3)], true, timeout, Traffic::default(), "r"), one);
        let both = clusters.index(
            vec![member("a", 0, 1), member("b", 5, 1)],
            true,
            timeout,
            Traffic::default(),
            "r",
        );
        assert_eq!(
            clusters.index(
                vec![member("a", 0, 1), member("b", 1, 1)],
                true,
                timeout,
                Traffic::default(),
                "r"
            ),
            both
        );
        let others = [
            clusters.index(
                vec![member("a", 0, 1), member("b", 0, 1)],
                true,
                timeout,
                Traffic::default(),
                "r",
            ),
            clusters.index(vec![member("a", 0, 1)], false, timeout, Traffic::default(), "r"),
            clusters.index(vec![member("a", 0, 1)], true, Duration::from_secs(1), Traffic::default(), "r"),
        ];
        assert_eq!(others, [2, 3, 4]);
        let list = clusters.into_list();
        assert_eq!(list[one].name, "default/a");
        assert!(list[both].name.starts_with("default/a+1-"), "{}", list[both].name);
        assert_eq!(list[both].members[1].priority, 1);
        let names: HashSet<_> = list.iter().map(|cluster| &cluster.name).collect();
        assert_eq!(names.len(), list.len());
    }
}
