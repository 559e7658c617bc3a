//! Attempts that the proxy repeats.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::backend::{Attempt, Begin, Place};
use weir_core::config::SchemaName::OpenAI;
use weir_core::exchange::Exchange;
use weir_core::headers::Headers;

use crate::gateway::Gateway;
use crate::host::ROUTE;

/// What becomes of a second attempt, so many milliseconds after the first, and how many the books have then.
fn second(mut gateway: Gateway, after_ms: u64) -> (Begin, u32) {
    gateway.route.attempt_ms = Some(2_000);
    let mut config = gateway.config.clone();
    config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let config = Arc::new(config);
    let headers = Headers::from([(":path", "/v1/chat/completions")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
    let target = format!("0/0/{}", gateway.route.targets[0].backend);
    let place = Place { route: ROUTE, target: &target };
    let begin = |now_ms| Attempt::begin(&config, &exchange, place, &gateway.store, now_ms);
    assert!(matches!(begin(1_000), Begin::Attempt(_)));
    let second = begin(1_000 + after_ms);
    (second, exchange.borrow().attempts.begun)
}

#[test]
fn the_only_backend_is_not_asked_again_while_it_is_at_work() {
    let one = || Gateway::new().backend("one", OpenAI);
    let (second_try, attempts) = second(one(), 2_000);
    let Begin::Reply(reply) = second_try else { panic!("it is bought twice") };
    assert_eq!((reply.status, attempts), (504, 1));
    // A connection that failed: nobody works on the request.
    assert!(matches!(second(one(), 1_999), (Begin::Attempt(_), 2)));
    let two = one().backend("two", OpenAI);
    assert!(matches!(second(two, 9_000), (Begin::Attempt(_), 2)), "another may be faster");
}
