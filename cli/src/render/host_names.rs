//! Which host names are a listener's own where several listeners share a port.
//!
//! A client may send a request for one of them over a connection that it made to another, whose certificate is good for
//! both. It is told so (421, RFC 9110, section 15.5.20), and makes a connection of its own. Source: `hostname` of
//! Gateway API's listener.

use serde_json::{Value, json};
use weir_core::error::{Error as ClientError, Kind as ErrorKind};

use super::{filter, proto};
use crate::check::names::{covers, specificity};
use crate::plan::{Listener, Plan};

/// What tells the answer from those of backends.
pub(super) const CONDITION: &str = "response.code == 421 && response.code_details == 'direct_response'";

/// The host names of a listener and of those that share its port.
pub(super) struct HostNames<'a> {
    listener: &'a Listener,
    others: Vec<&'a Listener>,
}

impl<'a> HostNames<'a> {
    pub(super) fn of(plan: &'a Plan, listener: &'a Listener) -> HostNames<'a> {
        let shares = |other: &&Listener| other.port == listener.port && other.name != listener.name;
        HostNames { listener, others: plan.listeners.iter().filter(shares).collect() }
    }

    /// Those of `domains` that no other listener takes more specifically.
    pub(super) fn own<'d>(&self, domains: &'d [String]) -> Vec<&'d String> {
        let rank = |listener: &Listener| specificity(name(listener));
        let is_own = |domain: &&String| {
            let takes = |other: &&&Listener| name(other) == "*" || covers(name(other), domain);
            let mut others = self.others.iter().filter(takes);
            others.all(|other| rank(self.listener) < rank(other))
        };
        domains.iter().filter(is_own).collect()
    }

    /// The virtual host of those that belong to other listeners.
    pub(super) fn misdirected(&self) -> Option<Value> {
        let domains: Vec<&str> = self.others.iter().map(|other| name(other)).collect();
        (!domains.is_empty()).then(|| {
            let disabled = proto::any("envoy.config.route.v3.FilterConfig", json!({"disabled": true}));
            json!({
                "name": format!("{}/misdirected", self.listener.name),
                "domains": domains,
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": error().status()}}],
                // It answers some requests itself.
                "typed_per_filter_config": {filter::name("edge"): disabled},
            })
        })
    }
}

/// What the client is told.
pub(super) fn error() -> ClientError {
    ClientError::new(
        ErrorKind::Misdirected,
        "this connection was made to another host name; make one to the host of the request",
    )
}

fn name(listener: &Listener) -> &str {
    listener.hostname.as_deref().unwrap_or("*")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_name_belongs_to_the_listener_that_says_most_of_it() {
        let mut plan = sample::plan();
        let first = plan.listeners.remove(0);
        let listeners = [None, Some("*.example.com"), Some("a.example.com")].map(|hostname| Listener {
            name: format!("default/gateway/{}", hostname.unwrap_or("any")),
            hostname: hostname.map(str::to_owned),
            ..first.clone()
        });
        plan.listeners = listeners.into();
        let cases = [
            (
                0,
                &["*", "b.com", "*.com", "*.example.com", "b.example.com", "a.example.com"][..],
                &["*", "b.com", "*.com"][..],
                json!(["*.example.com", "a.example.com"]),
            ),
            (
                1,
                &["*.example.com", "b.example.com", "a.example.com"],
                &["*.example.com", "b.example.com"],
                json!(["*", "a.example.com"]),
            ),
            (2, &["a.example.com"], &["a.example.com"], json!(["*", "*.example.com"])),
        ];
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (index, domains, own, others) in cases {
            let names = HostNames::of(&plan, &plan.listeners[index]);
            let domains = texts(domains);
            assert_eq!(names.own(&domains).into_iter().cloned().collect::<Vec<_>>(), own);
            assert_eq!(names.misdirected().unwrap()["domains"], others);
        }
        plan.listeners.truncate(1);
        let alone = HostNames::of(&plan, &plan.listeners[0]);
        assert_eq!(alone.own(&texts(&["*", "a.example.com"])).len(), 2);
        assert_eq!(alone.misdirected(), None);
    }
}
