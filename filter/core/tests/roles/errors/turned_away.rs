//! Requests that no backend answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use weir_core::backend::{Attempt, Begin, Place};
use weir_core::config::SchemaName::OpenAI;
use weir_core::config::{Backend, Config, Route, Schema, Target};
use weir_core::edge::{Edge, Request, Response};
use weir_core::endpoint::ClientApi;
use weir_core::exchange::Exchange;
use weir_core::headers::Headers;

use super::{BODY, CHAT, MESSAGES, openai};
use crate::answer::{Answer, COMPLETION};
use crate::gateway::Memory;
use crate::host::envoys_own;
use crate::outcome::message_of;

#[test]
fn an_unknown_path_is_a_404_in_the_shape_of_its_api() {
    let gateway = openai();
    for (path, api) in [
        ("/v1/nope?key=1", ClientApi::OpenAi),
        ("/", ClientApi::OpenAi),
        ("/v1/chat/completions/", ClientApi::OpenAi),
        ("/anthropic/v1/nope", ClientApi::Anthropic),
        ("/cohere/v1/rerank", ClientApi::Cohere),
        ("/v1beta/files", ClientApi::Gemini),
    ] {
        let outcome = gateway.post(path, BODY).send();
        assert_eq!((outcome.status, outcome.api), (404, api));
        assert!(outcome.error().contains(path.split('?').next().unwrap()));
        assert!(!outcome.text().contains("key=1"));
    }
}

#[test]
fn a_wrong_method_names_the_right_one() {
    let outcome = openai().get(CHAT).send();
    assert_eq!((outcome.status, outcome.headers.get("allow")), (405, Some("POST")));
    assert_eq!(outcome.error(), "/v1/chat/completions takes POST, not GET");
}

#[test]
fn a_model_that_cannot_be_routed_by_is_a_400_that_says_why() {
    let gateway = openai();
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(513));
    for (body, why) in [
        ("{}", "model is missing"),
        (r#"{"Model":"m"}"#, "model is missing"),
        (r#"{"model":""}"#, "model is empty"),
        (r#"{"model":7}"#, "must be a string"),
        (r#"{"model":null}"#, "must be a string"),
        (r#"{"model":"\ud800"}"#, "must be a string"),
        (r#"{"model":" m"}"#, "spaces around"),
        (r#"{"model":"m\r\nx-evil: 1"}"#, "control characters"),
        (r#"{"model":"m\u0000"}"#, "control characters"),
        (r#"{"model":"m\u0085n"}"#, "control characters"),
        (r#"{"model":".."}"#, "cannot be"),
        (r#"{"model":"\u002e"}"#, "cannot be"),
        (long.as_str(), "longer than 512"),
        (r#"{"model":"a","model":"b"}"#, "appears again"),
        (r#"{"model":"a","MODEL":"b"}"#, "appears again"),
        (r#"{"model":"a","mod\u0065l":"b"}"#, "appears again"),
        (r#"{"MODEL":"a","x":{"model":"c"},"model":"b"}"#, "appears again"),
        (r#"{"model":"m","stream_options":7}"#, "stream_options"),
        ("", "body"),
        (" ", "ends too early"),
        (r#"{"model":"m""#, "JSON"),
        (r#"{"model":"m"} {}"#, "JSON"),
        (r#"["model"]"#, "object"),
        ("{\"model\":\"\u{fffd}\"\u{0}}", "JSON"),
    ] {
        let outcome = gateway.post(CHAT, body).send();
        assert_eq!((outcome.status, outcome.sent.len()), (400, 0), "{body}");
        assert!(outcome.error().contains(why), "{body}: {}", outcome.error());
        assert!(outcome.error().contains(CHAT), "{}", outcome.error());
        let outcome = gateway.post(MESSAGES, body).send();
        assert_eq!(outcome.json()["error"]["type"], "invalid_request_error");
    }
    let outcome = gateway.post(CHAT, b"{\"model\":\"\xff\"}").send();
    assert!(outcome.error().contains("UTF-8"));
}

#[test]
fn a_form_without_what_it_needs_is_a_400() {
    let gateway = openai();
    let path = "/v1/audio/translations";
    let part = |name: &str, value: &str| {
        format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    for (body, why) in [
        (part("file", "x"), "no part named model"),
        (part("model", "m"), "no part named file"),
        (part("model", "m") + &part("model", "n") + &part("file", "x"), "model"),
        ("x".to_owned(), "malformed"),
    ] {
        let outcome = gateway
            .post(path, body + "--X--\r\n")
            .header("content-type", "multipart/form-data; boundary=X")
            .send();
        assert_eq!(outcome.status, 400);
        assert!(outcome.error().contains(why), "{}", outcome.error());
    }
}

#[test]
fn a_model_that_servers_may_find_elsewhere_is_a_400() {
    let gateway = openai();
    let path = "/v1/audio/transcriptions";
    let form = |model: &str| {
        format!(
            "--X\r\ncontent-disposition: form-data; name={model}\r\n--X\r\n\
             content-disposition: form-data; name=file; filename=a\r\n\r\nx\r\n--X--\r\n"
        )
    };
    let plain = form("model\r\n\r\nm");
    let content_type = "multipart/form-data; boundary=X";
    let post = |path: &str, body: &str, content_type: &str| {
        gateway.post(path, body).header("content-type", content_type)
    };
    let taken = || post(path, &plain, content_type).answered_by(Answer::json(200, r#"{"text":"a"}"#)).send();
    assert_eq!(taken().status, 200);
    for (call, why) in [
        (post(path, &plain, "multipart/form-data; boundary=X; boundary*=UTF-8''Y"), "a * in its name"),
        (post(path, &plain, content_type).another("content-type", content_type), "two content-type"),
        (post(&format!("{path}?a=b&mod%65l=other"), &plain, content_type), "the query has"),
        (post(&format!("{path}?Model[]=other"), &plain, content_type), "the query has"),
        (post(path, &form("model; name*0=file\r\n\r\nm"), content_type), "a * in its name"),
        (post(path, &form("model; filename=a\r\n\r\nm"), content_type), "is a file"),
        (post(path, &form("model\r\n\r\nm "), content_type), "spaces around"),
    ] {
        let outcome = call.send();
        assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
        assert!(outcome.error().contains(why), "{}", outcome.error());
    }
}

#[test]
fn a_body_over_the_limit_is_refused_as_soon_as_that_is_known() {
    let mut gateway = openai();
    gateway.config.body_limit = BODY.len();
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.status, 200);
    gateway.config.body_limit = BODY.len() - 1;
    let announced = |length: &str| gateway.post(CHAT, BODY).header("content-length", length);
    for call in [
        gateway.post(CHAT, BODY),
        gateway.post(CHAT, BODY).without("content-length"),
        announced("4294967296"),
        announced("4294967297"),
        announced("18446744073709551616"),
    ] {
        let outcome = call.send();
        assert_eq!((outcome.status, outcome.sent.len()), (413, 0));
        assert!(outcome.error().contains("limit"));
    }
    gateway.config.body_limit = BODY.len();
    for length in ["4294967296", "18446744073709551616"] {
        // As soon as the headers are there.
        let call = gateway.post(CHAT, BODY).header("content-length", length);
        assert_eq!(call.send().status, 413, "{length}");
    }
}

#[test]
fn a_refusal_that_envoy_was_quicker_with_is_the_gateways_all_the_same() {
    for (path, api) in [(CHAT, ClientApi::OpenAi), (MESSAGES, ClientApi::Anthropic)] {
        let exchange = Exchange::new(Headers::from([(":method", "POST"), (":path", path)]), 0);
        let config = Config { body_limit: 100, ..Config::default() };
        let mut edge = Edge::new(Arc::new(config), Rc::new(RefCell::new(exchange)));
        assert!(matches!(edge.request_headers(false), Request::Hold(_)));
        let headers = Headers::from([("content-type", "application/json"), ("content-length", "88")]);
        // The listener's own limit may be the smaller one.
        let Response::Replace(_, body) = edge.response_headers(413, &headers, None, false) else {
            panic!("Envoy's own words")
        };
        message_of(&serde_json::from_slice(&body).unwrap(), api);
        let refused = edge.request_body_progress(101).unwrap();
        let Response::Replace(edits, body) = edge.response_headers(413, &headers, None, false) else {
            panic!("Envoy's own words")
        };
        assert_eq!((&body, edits.get("content-length")), (&refused.body, Some(None)));
        assert!(message_of(&serde_json::from_slice(&body).unwrap(), api).contains("100 bytes"));
    }
}

#[test]
fn an_encoded_request_is_a_415() {
    let gateway = openai();
    let outcome = gateway.post(CHAT, BODY).header("content-encoding", "gzip").send();
    assert_eq!(outcome.status, 415);
    assert!(outcome.error().contains("gzip"));
    let call = gateway.post(CHAT, BODY).header("content-encoding", "Identity");
    assert_eq!(call.answered_by(Answer::json(200, COMPLETION)).send().status, 200);
}

#[test]
fn envoys_own_replies_are_told_in_the_clients_words() {
    for body in ["", "no healthy upstream"] {
        let (status, _, json) = envoys_own(CHAT, "gpt-9", (404, "route_not_found"), body);
        assert_eq!((status, &json["error"]["code"]), (404, &json!("model_not_found")));
        assert!(json["error"]["message"].as_str().unwrap().contains("gpt-9"));
        let (status, headers, json) = envoys_own(MESSAGES, "m", (429, "request_rate_limited"), body);
        assert_eq!((status, headers.get("retry-after")), (429, Some("40")));
        assert_eq!(json["error"]["type"], "rate_limit_error");
        let (status, _, json) = envoys_own(MESSAGES, "m", (503, "no_healthy_upstream"), body);
        assert_eq!((status, &json["error"]["type"]), (503, &json!("service_unavailable_error")));
        for (details, status) in [("upstream_per_try_timeout", 504), ("request_overall_timeout", 408)] {
            assert_eq!(envoys_own("/cohere/v2/rerank", "m", (status, details), body).0, status);
        }
        let (status, _, json) = envoys_own("/anthropic/nope", "", (404, "route_not_found"), body);
        assert_eq!((status, &json["error"]["type"]), (404, &json!("not_found_error")));
    }
}

#[test]
fn a_mistake_in_the_configuration_is_a_500_that_names_it() {
    let mut gateway = openai();
    gateway.config.backends.clear();
    gateway.config.backends.insert(
        "default/gpt".to_owned(),
        Backend {
            schema: Schema { name: OpenAI, prefix: None, version: None },
            hosts: Vec::new(),
            address: None,
            betas: None,
            credential_override: None,
            cache_marks: false,
            auth: None,
        }
        .into(),
    );
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.status, 500);
    assert!(outcome.error().ends_with("has no host 0 of the backend default/gpt"), "{}", outcome.error());
    gateway.route.targets = vec![Target { backend: "default/gone".to_owned(), ..Target::default() }.into()];
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION));
    assert_eq!(outcome.send().status, 500);
}

#[test]
fn plain_routes_are_left_alone() {
    let mut gateway = openai();
    gateway.route = Route::default();
    gateway.config.plain_routes = true;
    for (call, answer) in [
        (gateway.get("/index.html"), Answer::new(200, "text/html", "<p>")),
        (gateway.get("/index.html").header(":method", "HEAD"), Answer::headers_only(404)),
        (gateway.post("/form", "a=b"), Answer::new(500, "text/plain", "no")),
        (gateway.post(CHAT, BODY), Answer::headers_only(403)),
        (gateway.post(CHAT, BODY), Answer::headers_only(304)),
    ] {
        let outcome = call.answered_by(answer.clone()).send();
        assert_eq!((outcome.status, outcome.body), (answer.status, answer.body()));
        assert_eq!(outcome.headers, answer.headers.into_iter().collect());
        assert!(outcome.costs.is_empty());
        let sent = &outcome.sent[0].headers;
        for name in ["x-aigw-api-key", "x-weir-secret-0"] {
            assert_eq!(sent.get(name), None, "what is the gateway's own is no client's to say");
        }
        assert_ne!(sent.get("x-ai-eg-model"), Some("forged"));
        assert!(sent.get("authorization").is_some(), "everything else is");
    }
}

#[test]
fn a_path_that_is_no_endpoint_passes_no_route_for_models() {
    let mut gateway = openai();
    gateway.config.plain_routes = true;
    for call in [gateway.get("/v1/files"), gateway.post("/anthropic/v1/files", "{}")] {
        let outcome = call.answered_by(Answer::json(200, "{}")).send();
        assert_eq!((outcome.status, outcome.sent.len()), (404, 0));
        assert!(outcome.error().starts_with("unknown path"));
    }
}

#[test]
fn a_route_that_the_configuration_does_not_know_is_refused() {
    let headers = Headers::from([(":path", CHAT), ("authorization", "Bearer of-an-earlier-backend")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
    let place = Place { route: "default/gone/rule/0", target: "0/0/default/gpt" };
    let begun = Attempt::begin(&Arc::default(), &exchange, place, &Memory::default(), 0);
    let Begin::Reply(reply) = begun else { panic!("{begun:?}") };
    assert_eq!(reply.status, 503);
}
