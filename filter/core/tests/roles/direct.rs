//! Requests that go a direct way. That they are the same as others is checked of every exchange that can go one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::config::{Config, Direct, Route, SchemaName};
use weir_core::edge::{Edge, Request};
use weir_core::exchange::Exchange;
use weir_core::headers::{CLUSTER_HEADER, HeaderEdits, Headers};

use crate::gateway::Gateway;

#[test]
fn the_way_is_for_clients_of_openais_api() {
    let way =
        |only| Direct { route: "r".into(), target: "0/0/one".into(), cluster: "one/direct".into(), only };
    let direct = [("m".to_owned(), way(false)), ("only".to_owned(), way(true))].into();
    let config = Arc::new(Config { direct, ..Config::default() });
    for (path, model, expected) in [
        ("/v1/chat/completions", "m", Some("one/direct")),
        ("/v1/embeddings", "m", Some("one/direct")),
        ("/v1/chat/completions", "other", None),
        ("/anthropic/v1/messages", "m", None),
        ("/cohere/v2/rerank", "m", None),
        ("/v1/chat/completions", "only", Some("one/direct")),
        ("/anthropic/v1/messages", "only", Some("one/direct")),
        ("/cohere/v2/rerank", "only", Some("one/direct")),
    ] {
        let headers = Headers::from([(":path", path), (":method", "POST"), (":authority", "weir")]);
        let mut edge = Edge::new(Arc::clone(&config), Rc::new(RefCell::new(Exchange::new(headers, 0))));
        assert!(matches!(edge.request_headers(false), Request::Hold(_)), "{path}");
        let Request::Pass(edits) = edge.request_body(format!(r#"{{"model":"{model}"}}"#).as_bytes()) else {
            panic!("{path}")
        };
        assert_eq!(edits.get(CLUSTER_HEADER).flatten(), expected, "{path} {model}");
        assert_eq!(edge.direct().map(|place| place.target), expected.map(|_| "0/0/one"), "{path} {model}");
    }
}

/// The edge of a request for `m`, whose route lets an answer that comes whole take two seconds, and what it changes in
/// the headers.
fn sent(path: &str, body: &str) -> (Edge, HeaderEdits) {
    let way =
        Direct { route: "r".into(), target: "0/0/one".into(), cluster: "one/direct".into(), only: true };
    let route = Route { request_ms: Some(9_000), answer_timeout_ms: Some(2_000), ..Route::default() };
    let config = Arc::new(Config {
        direct: [("m".to_owned(), way)].into(),
        routes: [("r".to_owned(), Arc::new(route))].into(),
        ..Config::default()
    });
    let headers = Headers::from([(":path", path), (":method", "POST"), (":authority", "weir")]);
    let mut edge = Edge::new(config, Rc::new(RefCell::new(Exchange::new(headers, 0))));
    assert!(matches!(edge.request_headers(false), Request::Hold(_)), "{path}");
    let Request::Pass(edits) = edge.request_body(body.as_bytes()) else { panic!("{path}") };
    (edge, edits)
}

#[test]
fn the_time_of_an_answer_is_not_that_of_a_stream() {
    for (path, body, is_stream) in [
        ("/v1/chat/completions", r#"{"model":"m"}"#, false),
        ("/anthropic/v1/messages", r#"{"model":"m"}"#, false),
        ("/v1/chat/completions", r#"{"model":"m","stream":true}"#, true),
        ("/v1/audio/speech", r#"{"model":"m"}"#, true),
    ] {
        let (edge, edits) = sent(path, body);
        let timeout = edits.get("x-envoy-upstream-rq-timeout-ms").flatten();
        assert_eq!(timeout, is_stream.then_some("9000"), "{path} {body}: that of the whole request");
        let own = edge.exchange().borrow().routed.answer_timeout_ms;
        assert_eq!(own, is_stream.then_some(2_000), "{path} {body}");
    }
}

#[test]
fn attempts_are_counted_by_the_proxy() {
    let (mut edge, _) = sent("/v1/chat/completions", r#"{"model":"m"}"#);
    edge.count_attempts(|| Some(4));
    assert_eq!(edge.exchange().borrow().attempts.sent, 0, "none was made");
    edge.exchange().borrow_mut().attempts.sent = 1;
    edge.count_attempts(|| None);
    assert_eq!(edge.exchange().borrow().attempts.sent, 1);
    edge.count_attempts(|| Some(4));
    assert_eq!(edge.exchange().borrow().attempts.sent, 4);
}

/// What is refused costs nothing: on the way of two roles the rate limit stands before the attempt.
#[test]
fn what_cannot_be_sent_is_refused_before_it_is_counted() {
    let sent = |counted: bool, path: &str, schema: SchemaName, body: &str| {
        let mut gateway = Gateway::new().backend("one", schema);
        gateway.route.counted_ahead = counted;
        let way =
            Direct { route: "r".into(), target: "0/0/default/one".into(), cluster: "c".into(), only: false };
        let config = Config {
            routes: [("r".to_owned(), Arc::new(gateway.route))].into(),
            direct: [("m".to_owned(), way)].into(),
            direct_streams: false,
            ..gateway.config
        };
        let headers = Headers::from([(":method", "POST"), (":path", path)]);
        let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
        let mut edge = Edge::new(Arc::new(config), Rc::clone(&exchange));
        edge.request_headers(false);
        let request = edge.request_body(body.as_bytes());
        assert_eq!((exchange.borrow().attempts.begun, exchange.borrow().attempts.sent), (0, 0));
        assert!(exchange.borrow().attempts.backend.is_empty() && exchange.borrow().attempt.losses.is_empty());
        match request {
            Request::Reply(reply) => reply.status,
            _ => 200,
        }
    };
    let good = r#"{"model":"m","stream":true,"seed":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    let bad = r#"{"model":"m","stream":true,"messages":[{"role":"nobody","content":"Hi"}]}"#;
    let (chat, messages) = ("/v1/chat/completions", "/anthropic/v1/messages");
    for (path, schema, body, status) in [
        (chat, SchemaName::Anthropic, good, 200),
        (chat, SchemaName::Anthropic, bad, 422),
        ("/v1/embeddings", SchemaName::Cohere, good, 422),
        (messages, SchemaName::Anthropic, bad, 200),
    ] {
        assert_eq!(sent(true, path, schema, body), status, "{path} {schema:?} {body}");
        assert_eq!(sent(false, path, schema, body), 200, "the attempt says it");
    }
}
