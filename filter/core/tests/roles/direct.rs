//! Requests that go a direct way. That they are the same as others is checked of every exchange that can go one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::config::{Config, Direct};
use weir_core::edge::{Edge, Request};
use weir_core::exchange::Exchange;
use weir_core::headers::{CLUSTER_HEADER, Headers};

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
