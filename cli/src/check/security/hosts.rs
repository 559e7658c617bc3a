//! What policies of routes cannot do at one listener, since the model of a request is known late.

use super::SecurityPolicies;
use crate::check::listeners::{Entry, Listener};
use crate::plan::{Authentication, Cors};
use crate::resources::Report;

impl SecurityPolicies {
    /// Reports it.
    pub fn check(&self, listeners: &[Listener<'_>], report: &mut Report) {
        for listener in listeners {
            self.check_cors(listener, report);
            self.check_conditions(listener, report);
        }
    }

    /// What a browser asks beforehand names no model.
    fn check_cors(&self, listener: &Listener<'_>, report: &mut Report) {
        let mut models: Vec<(&str, Option<usize>, Option<&Cors>)> = Vec::new();
        for entry in listener.entries.iter().filter(|entry| entry.rule.rule.ai) {
            let policy = entry.rule.rule.security;
            let cors = policy.and_then(|policy| self.all.get(policy)?.cors.as_ref());
            for domain in entry.domains.iter() {
                let same_host = models.iter().find(|(other, ..)| other == domain);
                let Some((_, first, _)) = same_host.filter(|(.., other)| *other != cors) else {
                    models.push((domain, policy, cors));
                    continue;
                };
                let with = if cors.is_some() { policy } else { *first };
                let Some(id) = with.and_then(|with| self.applied.id(with)) else { continue };
                let message = format!(
                    "is not that of all AIGatewayRoutes at {}: what a browser asks beforehand names no model, so those \
                     of one host name must have the same; write it into the policies of all, or into that of the Gateway",
                    listener.plan.name
                );
                report.error(id, "spec.cors", message);
            }
        }
    }

    /// Where policies differ, the route says who a request is from, and not the other way round.
    fn check_conditions(&self, listener: &Listener<'_>, report: &mut Report) {
        let authentication = |entry: &Entry| -> Option<&Authentication> {
            let policy = self.all.get(entry.rule.rule.security?)?;
            Some(&policy.authentication).filter(|it| **it != Authentication::default())
        };
        let mut all = listener.entries.iter().map(authentication);
        let first = all.next().flatten();
        if all.all(|other| other == first) {
            return;
        }
        for entry in &listener.entries {
            let names = entry.rule.matches.headers.iter().map(|header| header.name.as_str());
            for name in names.filter(|name| self.identity_headers().any(|header| header == *name)) {
                let message = format!(
                    "asks for `{name}`, which a SecurityPolicy sets: that is known in time only where all routes of {} \
                     have the same authentication; write it into a policy of the Gateway",
                    listener.plan.name
                );
                report.error(&entry.route, &entry.field, message);
            }
        }
    }
}
