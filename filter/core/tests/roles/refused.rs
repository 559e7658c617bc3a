//! What is refused costs nothing, wherever it is refused.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::auth::sigv4::SigningKeys;
use weir_core::backend::{Attempt, Begin, Identity, Place};
use weir_core::config::Budget;
use weir_core::config::SchemaName::{AWSAnthropic, OpenAI};
use weir_core::edge::Edge;
use weir_core::exchange::Exchange;
use weir_core::headers::Headers;
use weir_core::usage::record::UsageStatus;

use crate::answer::Answer;
use crate::gateway::{Gateway, credential};
use crate::host::{Call, ROUTE};

const NOW: u64 = 7_200_000;

/// A gateway with a budget of one request in an hour.
fn limited() -> Gateway {
    let mut gateway = Gateway::new().backend("bedrock", AWSAnthropic).backend("gpt", OpenAI);
    gateway.config.budgets = vec![Budget {
        name: "b".to_owned(),
        shared: false,
        selectors: vec![],
        limit: 1,
        window: 3600,
        request_hits: 1,
        response_cost: None,
    }];
    gateway.route.budgets = vec![0];
    gateway
}

/// What is done with a request before Envoy says something of its own, or nothing of it.
#[derive(Clone, Copy)]
enum Attempts {
    /// None is made.
    Waits,
    /// Its body cannot be translated.
    Refused,
    /// So many, in an upstream chain.
    Made(usize),
    /// One, by the edge's filter.
    Direct,
    /// One, and a second one whose backend cannot be asked this.
    MadeAndRefused,
}

/// Whether the budget has room for one more request afterwards, and how many attempts the record counts.
fn after(attempts: Attempts, local: Option<(u16, &str)>) -> (bool, u32) {
    let gateway = limited();
    let mut config = gateway.config.clone();
    config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let config = Arc::new(config);
    let begin = || {
        let headers = Headers::from([(":path", "/v1/chat/completions")]);
        Rc::new(RefCell::new(Exchange::new(headers, NOW)))
    };
    let place = Place { route: ROUTE, target: "0/0/default/bedrock" };
    let exchange = begin();
    let mut edge = Edge::new(Arc::clone(&config), Rc::clone(&exchange));
    exchange.borrow_mut().routed.direct = matches!(attempts, Attempts::Direct);
    let good = Some(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    let bad = Some(r#"{"model":"m","messages":7}"#);
    let bodies = match attempts {
        Attempts::Waits => vec![None],
        Attempts::Refused => vec![bad],
        Attempts::Made(count) => vec![good; count],
        Attempts::Direct => vec![good],
        Attempts::MadeAndRefused => vec![good, bad],
    };
    let key = credential("bedrock", AWSAnthropic);
    for body in bodies {
        let Begin::Attempt(mut attempt) = Attempt::begin(&config, &exchange, place, &gateway.store, NOW)
        else {
            panic!("there is room for one");
        };
        if let Some(body) = body {
            let identity = Identity { credential: Some(&key), keys: &mut SigningKeys::default(), now: 1 };
            let made = attempt.request(body.as_bytes(), identity);
            assert_eq!(made.is_ok(), Some(body) == good);
        }
    }
    if let Some((status, details)) = local {
        let _ = edge.response_headers(status, &Headers::default(), Some(details), false);
    }
    let closing = edge.close(local.map_or(0, |(status, _)| status), NOW, &gateway.store);
    assert!(!closing.books_failed);
    let next = Attempt::begin(&config, &begin(), place, &gateway.store, NOW);
    (matches!(next, Begin::Attempt(_)), closing.record.attempts)
}

#[test]
fn what_is_refused_costs_nothing_and_counts_nothing() {
    use Attempts::{Direct, Made, MadeAndRefused, Refused, Waits};
    let reset = "upstream_reset_before_response_started";
    let (overflow, connection) =
        (format!("{reset}{{overflow}}"), format!("{reset}{{remote_connection_failure}}"));
    for (what, attempts, local, free, counted) in [
        ("the client leaves while the credential is waited for", Waits, None, true, 0),
        ("it cannot be translated", Refused, None, true, 0),
        ("a limit of this proxy", Direct, Some((429, "local_rate_limited")), true, 0),
        ("a limit in Redis", Direct, Some((429, "request_rate_limited")), true, 0),
        ("the ratelimit service is down", Direct, Some((500, "rate_limiter_error")), true, 0),
        ("no healthy backend", Direct, Some((503, "no_healthy_upstream")), true, 0),
        ("no cluster", Direct, Some((503, "cluster_not_found")), true, 0),
        ("a circuit breaker", Direct, Some((503, overflow.as_str())), true, 0),
        ("the same in two roles", Made(1), Some((503, overflow.as_str())), true, 0),
        ("no room for the second attempt", Made(2), Some((503, overflow.as_str())), false, 1),
        ("nobody is left for a second attempt", Made(1), Some((503, "no_healthy_upstream")), false, 1),
        ("the second cannot be translated", MadeAndRefused, None, false, 1),
        ("a connection that fails", Made(1), Some((503, connection.as_str())), false, 1),
        ("an answer that does not come", Made(1), Some((504, "response_timeout")), false, 1),
        ("the client leaves", Made(1), None, false, 1),
    ] {
        assert_eq!(after(attempts, local), (free, counted), "{what}");
    }
}

/// Each with a backend that could be asked next: a refusal is final.
#[test]
fn an_attempt_that_is_refused_is_none() {
    let mut gateway = limited();
    let chat = "/v1/chat/completions";
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    let of = |call: Call<'_>| {
        let outcome = call.answered_by(Answer::json(200, "{}")).send();
        (outcome.status, outcome.record.attempts, outcome.record.backend)
    };
    let named = "default/bedrock".to_owned();
    assert_eq!(
        of(gateway.post(chat, body.replace("user", "nobody"))),
        (422, 0, named.clone()),
        "no translation"
    );
    assert_eq!(of(gateway.post("/v1/embeddings", body)), (422, 0, named), "no such endpoint");
    gateway.route.user_headers = vec!["x-nobody".to_owned()];
    gateway.route.requires_identity = true;
    assert_eq!(of(gateway.post(chat, body)), (400, 0, String::new()), "nobody");
    gateway.route.requires_identity = false;
    assert_eq!(of(gateway.post(chat, body)).1, 1, "the budget has room for it");
    assert_eq!(of(gateway.post(chat, body)), (429, 0, String::new()), "a budget");
}

/// Envoy's timeout of the attempt went by before there was a credential, so there is nothing to be paid for.
#[test]
fn who_waits_for_a_credential_in_vain_has_asked_nobody() {
    let gateway = limited();
    let mut config = gateway.config.clone();
    config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let config = Arc::new(config);
    let headers = Headers::from([(":path", "/v1/chat/completions")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, NOW)));
    exchange.borrow_mut().client.body_size = 400;
    let mut edge = Edge::new(Arc::clone(&config), Rc::clone(&exchange));
    let begin = |target| match Attempt::begin(
        &config,
        &exchange,
        Place { route: ROUTE, target },
        &gateway.store,
        NOW,
    ) {
        Begin::Attempt(attempt) => attempt,
        Begin::Reply(reply) => panic!("{reply:?}"),
    };
    let mut asked = begin("1/0/default/gpt");
    let key = credential("gpt", OpenAI);
    let identity = Identity { credential: Some(&key), keys: &mut SigningKeys::default(), now: 1 };
    asked.request(b"{}", identity).unwrap();
    let _ = asked.answer_headers(503, &Headers::default(), false, NOW);
    let _waiting = begin("0/0/default/bedrock");
    let _ = edge.response_headers(504, &Headers::default(), Some("upstream_per_try_timeout"), false);
    let record = edge.close(504, NOW, &gateway.store).record;
    assert_eq!((record.attempts, record.usage_status), (1, UsageStatus::None));
}
