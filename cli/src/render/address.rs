//! Where backends are, as one word: what ties an endpoint to the filter's configuration for it.

use std::collections::{BTreeMap, BTreeSet};

use super::short_digest;
use crate::plan::Plan;

/// The address of each backend: a digest of its endpoints and of who must be there by TLS.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<String, String>);

impl Addresses {
    pub(super) fn of(plan: &Plan) -> Addresses {
        let mut places: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let clusters = plan.clusters.iter().filter(|cluster| cluster.ai);
        for member in clusters.flat_map(|cluster| &cluster.members) {
            let endpoints = member.endpoints.iter().map(|endpoint| (&endpoint.host, endpoint.port));
            let tls = member.tls.as_ref().map(|tls| (&tls.hostname, &tls.ca_pem));
            let place = format!("{:?} {tls:?}", endpoints.collect::<Vec<_>>());
            places.entry(&member.backend).or_default().insert(place);
        }
        let digest = |places: &BTreeSet<String>| short_digest(format!("{places:?}").as_bytes());
        Addresses(places.iter().map(|(backend, places)| ((*backend).to_owned(), digest(places))).collect())
    }

    pub(super) fn of_backend(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A backend's name with its address, as endpoints are marked.
    pub(super) fn marked(&self, backend: &str) -> String {
        match self.of_backend(backend) {
            Some(address) => format!("{backend}@{address}"),
            None => backend.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::plan::Tls;

    #[test]
    fn whatever_says_where_a_backend_is_makes_it_another_address() {
        type Change = fn(&mut Plan);
        let changes: [(&str, Change); 4] = [
            ("a port", |plan| plan.clusters[0].members[0].endpoints[0].port += 1),
            ("a host", |plan| plan.clusters[0].members[0].endpoints[0].host = "10.9.9.9".into()),
            ("one more endpoint", |plan| {
                let members = &mut plan.clusters[0].members;
                let more = members[0].endpoints[0].clone();
                members[0].endpoints.push(more);
            }),
            ("the name in the certificate", |plan| {
                plan.clusters[0].members[0].tls = Some(Tls { hostname: "other".into(), ca_pem: None });
            }),
        ];
        let plan = sample::plan();
        let name = plan.clusters[0].members[0].backend.clone();
        let address = |plan: &Plan| Addresses::of(plan).of_backend(&name).unwrap().to_owned();
        for (what, change) in changes {
            let mut other = plan.clone();
            change(&mut other);
            assert_ne!(address(&plan), address(&other), "{what}");
        }
        let mut same = plan.clone();
        same.clusters[0].members[0].weight += 1;
        assert_eq!(address(&plan), address(&same), "how much it gets is not where it is");
    }
}
