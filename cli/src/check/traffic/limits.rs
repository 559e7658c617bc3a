//! `rateLimit`: budgets that all proxies share, and limits of each proxy.

use weir_core::config::{Budget, Selector};
use weir_core::headers::is_name;

use crate::plan::LocalLimit;
use crate::resources::decode::MISSING;
use crate::resources::limits::{
    CostFrom, LocalRateLimit, RateLimit, RateLimitKind, RateLimitRule, SelectorHeader, SelectorKind,
};
use crate::resources::{Platform, Report, ResourceId};

/// The metadata namespace of the costs.
const NAMESPACE: &str = "io.envoy.ai_gateway";
/// The ratelimit service counts in 32 bits, and so does Envoy.
const LARGEST_LIMIT: u64 = u32::MAX as u64;

/// Reports limits that are announced and not there.
pub(super) fn check_kind(id: &ResourceId, limit: &RateLimit, report: &mut Report) {
    let has = |rules: Option<&Vec<RateLimitRule>>| rules.is_some_and(|rules| !rules.is_empty());
    let global = has(limit.global.as_ref().map(|global| &global.rules));
    let local = has(limit.local.as_ref().map(|local| &local.rules));
    if report.has_error(id, "spec.rateLimit") {
        return;
    }
    let missing = match limit.kind {
        Some(RateLimitKind::Global) if !global => "global.rules",
        Some(RateLimitKind::Local) if !local => "local.rules",
        None if !global && !local => "global.rules` or `local.rules",
        _ => return,
    };
    report.error(id, "spec.rateLimit", format!("has no `{missing}`; add some, or remove it"));
}

/// The limits of each proxy.
pub(super) fn local(
    id: &ResourceId,
    limit: &LocalRateLimit,
    platform: Platform,
    report: &mut Report,
) -> Vec<LocalLimit> {
    let mut rest = None;
    let mut limits = Vec::new();
    for (i, rule) in limit.rules.iter().enumerate() {
        let field = format!("spec.rateLimit.local.rules[{i}]");
        if rule.client_selectors.is_empty()
            && let Some(first) = rest.replace(i)
        {
            let message = format!(
                "selects nothing, and neither does rules[{first}]; only one rule may be for the requests that no other selects"
            );
            report.error(id, &field, message);
        }
        if rule.limit.requests == 0 && !report.has_error(id, &format!("{field}.limit")) {
            let message = "is 0, which Envoy's token bucket cannot be; write 1 or more";
            report.error(id, format!("{field}.limit.requests"), message);
        }
        limits.push(LocalLimit {
            name: format!("{}/local/{i}", id.full_name()),
            selectors: selectors(id, &field, rule, platform, report),
            limit: requests(id, &field, rule, report),
            window: rule.limit.unit.seconds(),
        });
    }
    limits
}

/// The budget of a rule of `global`.
pub(super) fn budget(
    id: &ResourceId,
    name: String,
    field: &str,
    rule: &RateLimitRule,
    platform: Platform,
    report: &mut Report,
) -> Budget {
    let selectors = selectors(id, field, rule, platform, report);
    let limit = requests(id, field, rule, report);
    if limit == 0 && !report.has_error(id, &format!("{field}.limit")) {
        report.warning(
            id,
            format!("{field}.limit.requests"),
            "is 0: every request that is selected gets a 429",
        );
    }
    let (request_hits, response_cost) = cost(id, &format!("{field}.cost"), rule, report);
    let window = rule.limit.unit.seconds();
    Budget { name, shared: rule.shared, selectors, limit: limit.into(), window, request_hits, response_cost }
}

fn requests(id: &ResourceId, field: &str, rule: &RateLimitRule, report: &mut Report) -> u32 {
    u32::try_from(rule.limit.requests).unwrap_or_else(|_| {
        let message =
            format!("is more than {LARGEST_LIMIT}, which the ratelimit service and Envoy cannot count");
        report.error(id, format!("{field}.limit.requests"), message);
        u32::MAX
    })
}

fn selectors(
    id: &ResourceId,
    field: &str,
    rule: &RateLimitRule,
    platform: Platform,
    report: &mut Report,
) -> Vec<Selector> {
    let mut selectors: Vec<Selector> = Vec::new();
    for (i, selector) in rule.client_selectors.iter().enumerate() {
        let is_empty = selector.headers.is_empty() && !platform.does_limits();
        if is_empty && !report.has_error(id, &format!("{field}.clientSelectors[{i}]")) {
            report.error(id, format!("{field}.clientSelectors[{i}]"), "selects nothing; add `headers`");
        }
        for (j, header) in selector.headers.iter().enumerate() {
            let place = format!("{field}.clientSelectors[{i}].headers[{j}]");
            let header = selector_header(id, &place, header, report);
            if selectors.iter().any(|known| known.header == header.header && known.exact == header.exact) {
                let message = format!("`{}` is selected twice; remove one of the two", header.header);
                report.error(id, format!("{place}.name"), message);
            }
            selectors.push(header);
        }
    }
    selectors
}

/// What a request takes before it is sent, and the key of what its answer takes.
fn cost(id: &ResourceId, field: &str, rule: &RateLimitRule, report: &mut Report) -> (u64, Option<String>) {
    let request = match &rule.cost.request {
        Some(cost) if cost.from == CostFrom::Number => {
            if cost.metadata.is_some() {
                report.error(
                    id,
                    format!("{field}.request.metadata"),
                    "does not belong to `from: Number`; remove it",
                );
            }
            cost.number.unwrap_or(1)
        }
        _ => 1,
    };
    if request > LARGEST_LIMIT {
        report.error(id, format!("{field}.request.number"), format!("is more than {LARGEST_LIMIT}"));
    }
    let Some(response) = rule.cost.response.as_ref().filter(|cost| cost.from == CostFrom::Metadata) else {
        return (request, None);
    };
    let Some(metadata) = &response.metadata else {
        let message = format!("is missing; name the cost with `namespace: {NAMESPACE}` and `key`");
        report.error(id, format!("{field}.response.metadata"), message);
        return (request, None);
    };
    if ![NAMESPACE, MISSING].contains(&metadata.namespace.as_str()) {
        let message = format!("`{}` holds no costs; it must be `{NAMESPACE}`", metadata.namespace);
        report.error(id, format!("{field}.response.metadata.namespace"), message);
        return (request, None);
    }
    if rule.cost.request.is_none() {
        let message =
            "is missing, so that each request takes 1 besides its tokens; write `from: Number`, `number: 0`";
        report.warning(id, format!("{field}.request"), message);
    }
    (request, (metadata.key != MISSING).then(|| metadata.key.clone()))
}

fn selector_header(id: &ResourceId, field: &str, header: &SelectorHeader, report: &mut Report) -> Selector {
    let name = header.name.to_ascii_lowercase();
    if !is_name(&name) && name != MISSING {
        report.error(id, format!("{field}.name"), format!("`{name}` is not a header name"));
    }
    let exact = match (header.kind, &header.value) {
        (SelectorKind::Exact, Some(value)) => Some(value.clone()),
        (SelectorKind::Exact, None) => {
            if !report.has_error(id, field) {
                let message = "is missing; type Exact needs it, and for a count per value use type Distinct";
                report.error(id, format!("{field}.value"), message);
            }
            Some(String::new())
        }
        (SelectorKind::Distinct, Some(_)) => {
            let message = "does not belong to type Distinct, which counts each value apart; remove it";
            report.error(id, format!("{field}.value"), message);
            None
        }
        (SelectorKind::Distinct, None) => None,
        // Reported already.
        (SelectorKind::RegularExpression, value) => Some(value.clone().unwrap_or_default()),
    };
    Selector { header: name, exact }
}
