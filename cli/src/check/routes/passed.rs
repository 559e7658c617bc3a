//! What AIGatewayRoutes pass to backends as it is: a rule for each prefix.

use std::rc::Rc;

use weir_core::config::{BodyMutation, Cost};

use super::{AiDraft, Compiler, Draft};
use crate::plan::{Match, PathMatch};
use crate::resources::ai::AiGatewayRouteSpec;
use crate::resources::annotations::PASS_THROUGH;
use crate::resources::gateway::Timeouts;
use crate::resources::set::Resource;

impl Compiler<'_, '_> {
    /// Compiles the annotation of an AIGatewayRoute, behind its rules.
    pub(super) fn passed(
        &mut self,
        route: &Resource<AiGatewayRouteSpec>,
        costs: &[Cost],
        attached: &[(usize, Rc<[String]>)],
    ) {
        let Resource { id, spec, .. } = route;
        let set = self.set;
        let Some(list) = set.settings.pass_through.get(&id.full_name()) else { return };
        let field = format!("metadata.annotations[{PASS_THROUGH}]");
        if set.platform.is_cluster() {
            let message = "is not supported on Kubernetes so far: use `weir run` or `weir render --to envoy`";
            self.report.error(id, &field, message);
            return;
        }
        let timeouts = Timeouts::default();
        for (position, passing) in list.iter().enumerate() {
            let found = self.ai_service_backend(id, &field, &id.namespace, &passing.backend);
            let (members, targets) = match found {
                Some((member, mut target)) => {
                    if !target.body.is_empty() {
                        let message = format!(
                            "`bodyMutation` of AIServiceBackend {} does not change what passes to it as it is",
                            target.backend
                        );
                        self.report.warning(id, &field, message);
                        target.body = BodyMutation::default();
                    }
                    (Some(vec![member]), vec![target])
                }
                None => (None, Vec::new()),
            };
            let path = Some(PathMatch::Prefix(passing.prefix.clone()));
            let draft = Draft {
                route: id,
                index: spec.rules.len().saturating_add(position),
                name: None,
                matches: vec![(field.clone(), Match { path, ..Match::default() })],
                members,
                timeouts: &timeouts,
                idle_timeout: None,
                ai: Some(AiDraft { targets, costs, pass_through: Some(passing) }),
            };
            self.place(&draft, attached);
        }
    }
}
