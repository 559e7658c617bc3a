//! What AIGatewayRoutes pass to backends as it is: a rule for each prefix.

use std::rc::Rc;

use weir_core::config::{self, BodyMutation, Cost};

use super::matches::MODEL_HEADER;
use super::{AiDraft, Compiler, Draft};
use crate::plan::{HeaderMatch, Match, PathMatch, ValueMatch};
use crate::resources::ai::{AiGatewayRouteSpec, AiMatch, AiRule};
use crate::resources::annotations::PASS_THROUGH;
use crate::resources::gateway::{NameMatchType, Timeouts};
use crate::resources::pass_through::PassThrough;
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
            let is_first = list.iter().take(position).all(|other| other.prefix != passing.prefix);
            let models = if is_first { Vec::new() } else { models_of(&spec.rules, &passing.backend) };
            if !is_first && models.is_empty() {
                let message = format!(
                    "no request for `{}` goes to `{}`: only the first backend of a prefix takes requests without a model, and no \
                     rule here names a model of that one",
                    passing.prefix, passing.backend
                );
                self.report.error(id, &field, message);
                continue;
            }
            let pass_through = config::PassThrough {
                prefix: passing.prefix.clone(),
                path: passing.path.clone(),
                models: models.clone(),
            };
            let draft = Draft {
                route: id,
                index: spec.rules.len().saturating_add(position),
                name: None,
                matches: matches(&field, passing, &models),
                members,
                timeouts: &timeouts,
                idle_timeout: None,
                ai: Some(AiDraft { targets, costs, pass_through: Some(pass_through) }),
            };
            self.place(&draft, attached);
        }
    }
}

/// All requests below the prefix, or those for `models` alone.
fn matches(field: &str, passing: &PassThrough, models: &[String]) -> Vec<(String, Match)> {
    let of_model = |model: Option<&String>| {
        let header = model.map(|model| HeaderMatch {
            name: MODEL_HEADER.to_owned(),
            value: ValueMatch::Exact(model.clone()),
        });
        let path = Some(PathMatch::Prefix(passing.prefix.clone()));
        (field.to_owned(), Match { path, headers: header.into_iter().collect(), ..Match::default() })
    };
    if models.is_empty() {
        return vec![of_model(None)];
    }
    models.iter().map(|model| of_model(Some(model))).collect()
}

/// The models that rules name and send to `backend` first.
fn models_of(rules: &[AiRule], backend: &str) -> Vec<String> {
    let goes_there = |rule: &&AiRule| {
        let taking = rule.backend_refs.iter().filter(|reference| reference.weight > 0);
        taking.min_by_key(|reference| reference.priority).is_some_and(|first| first.name == backend)
    };
    let model = |spec: &AiMatch| match spec.headers.as_slice() {
        [only] if only.name.eq_ignore_ascii_case(MODEL_HEADER) && only.kind == NameMatchType::Exact => {
            Some(only.value.clone())
        }
        _ => None,
    };
    rules.iter().filter(goes_there).flat_map(|rule| &rule.matches).filter_map(model).collect()
}
