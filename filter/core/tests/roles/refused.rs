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

use crate::gateway::{Gateway, credential};
use crate::host::ROUTE;

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
    Made(usize),
}

/// Whether the budget has room for one more request afterwards.
fn is_free_after(attempts: Attempts, local: Option<(u16, &str)>) -> bool {
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
    let (count, body) = match attempts {
        Attempts::Waits => (1, None),
        Attempts::Refused => (1, Some(r#"{"model":"m","messages":7}"#)),
        Attempts::Made(count) => {
            (count, Some(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#))
        }
    };
    let key = credential("bedrock", AWSAnthropic);
    for _ in 0..count {
        let Begin::Attempt(mut attempt) = Attempt::begin(&config, &exchange, place, &gateway.store, NOW)
        else {
            panic!("there is room for one");
        };
        if let Some(body) = body {
            let identity = Identity { credential: Some(&key), keys: &mut SigningKeys::default(), now: 1 };
            let made = attempt.request(body.as_bytes(), identity);
            assert_eq!(made.is_ok(), !matches!(attempts, Attempts::Refused));
        }
    }
    if let Some((status, details)) = local {
        let _ = edge.response_headers(status, &Headers::default(), Some(details), false);
    }
    let closing = edge.close(local.map_or(0, |(status, _)| status), NOW, &gateway.store);
    assert!(!closing.books_failed);
    matches!(Attempt::begin(&config, &begin(), place, &gateway.store, NOW), Begin::Attempt(_))
}

#[test]
fn what_is_refused_costs_nothing() {
    use Attempts::{Made, Refused, Waits};
    let reset = "upstream_reset_before_response_started";
    let (overflow, connection) =
        (format!("{reset}{{overflow}}"), format!("{reset}{{remote_connection_failure}}"));
    for (what, attempts, local, free) in [
        ("the client leaves while the credential is waited for", Waits, None, true),
        ("it cannot be translated", Refused, None, true),
        ("a limit of this proxy", Made(1), Some((429, "local_rate_limited")), true),
        ("a limit in Redis", Made(1), Some((429, "request_rate_limited")), true),
        ("the ratelimit service is down", Made(1), Some((500, "rate_limiter_error")), true),
        ("a circuit breaker", Made(1), Some((503, overflow.as_str())), true),
        ("no healthy backend", Made(1), Some((503, "no_healthy_upstream")), true),
        ("no cluster", Made(1), Some((503, "cluster_not_found")), true),
        ("no room for the second attempt", Made(2), Some((503, overflow.as_str())), false),
        ("a connection that fails", Made(1), Some((503, connection.as_str())), false),
        ("an answer that does not come", Made(1), Some((504, "response_timeout")), false),
        ("the client leaves", Made(1), None, false),
    ] {
        assert_eq!(is_free_after(attempts, local), free, "{what}");
    }
}
