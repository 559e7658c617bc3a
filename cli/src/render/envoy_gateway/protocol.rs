//! Whether Envoy Gateway writes protocol options for a cluster, which the patch of that cluster must know.

use serde_json::Value;

use super::rules::RuleOf;
use super::{Renderer, full_name_of, halves};
use crate::render::kubernetes::{namespace_of, targets};

impl<'a> Renderer<'a> {
    /// Whether Envoy Gateway writes protocol options for the rule's cluster at some listeners of a Gateway. Where it
    /// does, a patch that adds them whole would take away what is there; where it does not, they are to be added whole.
    pub(super) fn has_protocol_options(
        &mut self,
        rule: &RuleOf<'_>,
        gateway: &str,
        listeners: &[String],
    ) -> bool {
        let policy = rule.rule.policy.as_deref();
        let policy = policy.and_then(|name| self.document("BackendTrafficPolicy", name));
        if policy.is_some_and(backend_asks) || rule.members().all(|(_, member)| member.tls.is_some()) {
            return true;
        }
        let of = |listener: &String| {
            let section = listener.rsplit_once('/').map_or("", |(_, section)| section);
            self.client_policy(gateway, section).filter(|policy| client_asks(policy))
        };
        let asking: Vec<Option<&Value>> = listeners.iter().map(of).collect();
        let Some(policy) = asking.iter().flatten().next() else { return false };
        if asking.iter().any(Option::is_none) {
            let message = format!(
                "is for some listeners of Gateway {gateway} only, which share a cluster of {}, and that takes the filter by a patch: \
                 give all of them the same",
                rule.id()
            );
            self.refuse("ClientTrafficPolicy", &full_name_of(policy), "spec.http1", message);
        }
        true
    }

    /// The ClientTrafficPolicy of a listener: its own, or that of its Gateway.
    fn client_policy(&self, gateway: &str, listener: &str) -> Option<&'a Value> {
        let (namespace, name) = halves(gateway);
        let of = |section: Option<&str>| {
            self.documents("ClientTrafficPolicy").find(|policy| {
                let is_it = |target: &Value| {
                    let text = |field: &str| target.get(field).and_then(Value::as_str);
                    text("kind") == Some("Gateway")
                        && text("name") == Some(name)
                        && text("sectionName") == section
                };
                namespace_of(policy) == namespace && targets(policy).any(is_it)
            })
        };
        of(Some(listener)).or_else(|| of(None))
    }
}

/// Whether a BackendTrafficPolicy asks for something that is said in protocol options.
fn backend_asks(policy: &Value) -> bool {
    const ASKING: [&str; 3] = [
        "/spec/timeout/http/connectionIdleTimeout",
        "/spec/timeout/http/maxConnectionDuration",
        "/spec/circuitBreaker/maxRequestsPerConnection",
    ];
    is_true(policy, "/spec/useClientProtocol") || ASKING.iter().any(|path| policy.pointer(path).is_some())
}

/// Whether a ClientTrafficPolicy does: clusters speak HTTP/1 as their listener does.
fn client_asks(policy: &Value) -> bool {
    is_true(policy, "/spec/http1/enableTrailers")
        || is_true(policy, "/spec/http1/preserveHeaderCase")
        || policy.pointer("/spec/http1/http10").is_some()
}

fn is_true(policy: &Value, path: &str) -> bool {
    policy.pointer(path) == Some(&Value::Bool(true))
}
