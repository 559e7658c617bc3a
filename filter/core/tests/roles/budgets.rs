//! Budgets that the filter keeps itself.

use weir_core::config::SchemaName::{Anthropic, OpenAI};
use weir_core::config::{Budget, Selector};
use weir_core::usage::ledger;

use crate::answer::{Answer, COMPLETION, MESSAGE};
use crate::gateway::Gateway;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

fn gateway(limit: u64) -> Gateway {
    let mut gateway = Gateway::new().backend("gpt", OpenAI).backend("claude", Anthropic);
    gateway.config.budgets = vec![Budget {
        name: "default/policy/rule/0".to_owned(),
        shared: false,
        selectors: vec![Selector { header: "x-user-id".to_owned(), exact: None }],
        limit,
        window: 3600,
        request_hits: 0,
        response_cost: Some("llm_total_token".to_owned()),
    }];
    gateway.route.budgets = vec![0];
    gateway
}

#[test]
fn a_budget_is_looked_at_charged_and_refused_with_headers() {
    let gateway = gateway(25);
    let ask = |user: &str| {
        gateway.post(CHAT, BODY).header("x-user-id", user).answered_by(Answer::json(200, COMPLETION)).send()
    };
    let mut remaining = Vec::new();
    for _ in 0..2 {
        let outcome = ask("ann");
        assert_eq!(outcome.status, 200);
        remaining.push(outcome.headers.get("x-ratelimit-remaining").unwrap().to_owned());
    }
    assert_eq!(remaining, ["25", "12"]);
    let refused = ask("ann");
    assert_eq!((refused.status, refused.sent.len()), (429, 0));
    assert!(refused.error().contains("rate limit"));
    assert_eq!(refused.headers.get("x-ratelimit-limit"), Some("25, 25;w=3600"));
    assert_eq!(refused.headers.get("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.headers.get("retry-after"), refused.headers.get("x-ratelimit-reset"));
    assert!(refused.costs.is_empty());
    assert_eq!(ask("bob").status, 200);

    let listing = ledger::list(&gateway.store);
    assert_eq!((listing.total.requests, listing.total.total_tokens), (3, 39));
    gateway.now_ms.set(gateway.now_ms.get() + 3_600_000);
    assert_eq!(ask("ann").status, 200, "a new window");
}

#[test]
fn who_is_nobody_is_refused_where_the_policy_says_so() {
    let mut gateway = gateway(25);
    gateway.route.user_headers = vec!["x-user-id".to_owned()];
    let ask = |gateway: &Gateway, user: &str| {
        gateway.post(CHAT, BODY).header("x-user-id", user).answered_by(Answer::json(200, COMPLETION)).send()
    };
    assert_eq!(ask(&gateway, "").status, 200);
    gateway.route.requires_identity = true;
    for nobody in ["", "  "] {
        let refused = ask(&gateway, nobody);
        assert_eq!((refused.status, refused.sent.len()), (400, 0));
        assert_eq!(
            refused.error(),
            "the header x-user-id is missing: the budgets of this model tell users apart by it"
        );
        assert!(refused.costs.is_empty());
    }
    assert_eq!(ask(&gateway, "ann").status, 200);
}

#[test]
fn a_refusal_comes_in_the_shape_of_the_api_that_was_called() {
    let gateway = gateway(0);
    let spend = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(spend.status, 200);
    let refused = gateway.post("/anthropic/v1/messages", BODY).answered_by(Answer::json(200, MESSAGE)).send();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
}

#[test]
fn failover_looks_once_and_charges_once() {
    let mut gateway = gateway(100);
    gateway.config.budgets[0].request_hits = 1;
    let outcome = gateway
        .post(CHAT, r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#)
        .answered_by(Answer::json(503, "{}"))
        .answered_by(Answer::json(200, MESSAGE))
        .send();
    assert_eq!((outcome.status, outcome.sent.len()), (200, 2));
    assert_eq!(outcome.cost("llm_total_token"), Some(26));
    let next = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(next.headers.get("x-ratelimit-remaining"), Some("72"), "100 less 26, less two requests");
}

#[test]
fn errors_cost_nothing() {
    let gateway = gateway(10);
    for answer in [
        Answer::json(500, r#"{"error":{"message":"x"}}"#),
        Answer::new(200, "text/html", "<p>"),
        Answer::headers_only(200),
    ] {
        let outcome = gateway.post(CHAT, BODY).answered_by(answer).send();
        assert!(outcome.status >= 500 && outcome.costs.is_empty(), "{outcome:?}");
        assert_eq!(outcome.headers.get("x-ratelimit-remaining"), Some("10"));
    }
    assert_eq!(ledger::list(&gateway.store).total.requests, 0);
}

#[test]
fn a_limit_outside_of_the_filter_charges_by_the_clients_own_headers() {
    let mut exchange = weir_core::exchange::Exchange::new(
        weir_core::headers::Headers::from([(":path", CHAT), ("x-user-id", "ann"), ("x-team", "red")]),
        0,
    );
    exchange.client.model = "llama".to_owned();
    exchange.attempts.touched = vec!["x-user-id".into(), "x-ai-eg-model".into()];
    let limit_headers = ["x-user-id", "x-ai-eg-model", "x-team"].map(str::to_owned).to_vec();
    exchange.routed.route =
        Some(std::sync::Arc::new(weir_core::config::Route { limit_headers, ..Default::default() }));
    let edge = weir_core::edge::Edge::new(
        std::sync::Arc::default(),
        std::rc::Rc::new(std::cell::RefCell::new(exchange)),
    );
    let restored = edge.restored_request_headers();
    assert_eq!(
        restored.iter().collect::<Vec<_>>(),
        [("x-user-id", Some("ann")), ("x-ai-eg-model", Some("llama"))],
        "what no attempt has touched need not be put back"
    );
}
