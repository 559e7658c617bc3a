//! Attempts that the proxy repeats.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::auth::sigv4::SigningKeys;
use weir_core::backend::{Attempt, Begin, Identity, Place};
use weir_core::config::SchemaName::OpenAI;
use weir_core::edge::{Closing, Edge, Response};
use weir_core::exchange::Exchange;
use weir_core::headers::Headers;
use weir_core::usage::ledger::{self, Totals};
use weir_core::usage::record::UsageStatus;

use crate::answer::COMPLETION;
use crate::gateway::{Gateway, credential};
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

/// What the attempts of a request come to, one at each backend.
#[derive(Clone, Copy)]
enum Comes {
    Answer,
    Error,
    /// Nothing within the time of an attempt.
    Nothing,
    /// The connection fails.
    Reset,
    /// The credential does not come, within the same time.
    NoCredential,
}

/// The books of a request whose attempts come to this, and the ledger: backend, requests, uncertain ones, tokens.
fn books(attempts: &[Comes], path: &str, status: u16) -> (Closing, Vec<(String, u64, u64, u64)>) {
    let mut gateway = Gateway::new().backend("one", OpenAI).model("llama").backend("two", OpenAI);
    gateway.route.attempt_ms = Some(2_000);
    gateway.config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let config = Arc::new(gateway.config.clone());
    let headers = Headers::from([(":method", "POST"), (":path", path)]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
    let mut edge = Edge::new(Arc::clone(&config), Rc::clone(&exchange));
    let body = format!(r#"{{"model":"m","input":"{}"}}"#, "a".repeat(375));
    let _ = edge.request_headers(false);
    let _ = edge.request_body(body.as_bytes());
    let mut now_ms = 0;
    for (index, comes) in attempts.iter().enumerate() {
        let (name, target) = [("one", "0/0/default/one"), ("two", "1/0/default/two")][index % 2];
        let place = Place { route: ROUTE, target };
        let mut attempt = match Attempt::begin(&config, &exchange, place, &gateway.store, now_ms) {
            Begin::Attempt(attempt) => attempt,
            Begin::Reply(reply) => panic!("{reply:?}"),
        };
        if !matches!(comes, Comes::NoCredential) {
            let key = credential(name, OpenAI);
            let identity = Identity { credential: Some(&key), keys: &mut SigningKeys::default(), now: 1 };
            attempt.request(body.as_bytes(), identity).unwrap();
        }
        let json = Headers::from([("content-type", "application/json")]);
        match comes {
            Comes::Answer => {
                let _ = attempt.answer_headers(200, &json, false, now_ms);
                let _ = attempt.whole_answer(COMPLETION.as_bytes(), now_ms);
            }
            Comes::Error => drop(attempt.answer_headers(503, &json, false, now_ms + 1_999)),
            Comes::Nothing | Comes::Reset | Comes::NoCredential => {}
        }
        now_ms += if matches!(comes, Comes::Reset | Comes::Answer) { 1 } else { 2_025 };
    }
    let closing = edge.close(status, now_ms, &gateway.store);
    let lines = ledger::list(&gateway.store).records.into_iter();
    let lines = lines.map(|line| {
        let Totals { requests, uncertain_requests, total_tokens, .. } = line.totals;
        (line.key.backend.into_owned(), requests, uncertain_requests, total_tokens)
    });
    (closing, lines.collect())
}

#[test]
fn who_took_too_long_is_on_the_books_beside_who_answered() {
    use Comes::{Answer, Error, NoCredential, Nothing, Reset};
    let chat = "/v1/chat/completions";
    let line = |backend: &str, uncertain, tokens| (format!("default/{backend}"), 1, uncertain, tokens);
    let (closing, lines) = books(&[Nothing, Answer], chat, 200);
    let abandoned = |backend: &str, model: &str| (format!("default/{backend}"), model.to_owned(), Some(100));
    let named = |closing: &Closing| -> Vec<_> {
        let abandoned = closing.record.abandoned.iter().cloned();
        abandoned.map(|it| (it.backend, it.request_model, it.input_tokens)).collect()
    };
    let record = &closing.record;
    assert_eq!(named(&closing), [abandoned("one", "llama")]);
    assert_eq!((record.attempts, record.usage_status), (2, UsageStatus::Complete), "the answer's own");
    assert_eq!((record.usage.input(), record.usage.total()), (Some(11), Some(13)));
    assert_eq!(lines, [line("one", 1, 100), line("two", 0, 13)]);
    let cost =
        |closing: &Closing, key: &str| closing.costs.iter().find(|cost| cost.0 == key).map(|cost| cost.1);
    assert_eq!(cost(&closing, "llm_input_token"), Some(111), "the user's budget pays for both");
    assert_eq!(cost(&closing, "llm_output_token"), Some(2));
    assert!(record.to_line().contains(
        r#""abandoned":[{"backend":"default/one","request_model":"llama","input_tokens":100}],"losses""#
    ));

    let (closing, lines) = books(&[Nothing, Nothing], chat, 504);
    assert_eq!(named(&closing), [abandoned("one", "llama")], "the last one is the record's own");
    assert_eq!(
        (closing.record.usage_status, closing.record.usage.total()),
        (UsageStatus::Partial, Some(100))
    );
    assert_eq!((cost(&closing, "llm_total_token"), lines.len()), (Some(200), 2));

    let (closing, lines) = books(&[Nothing, Error], chat, 503);
    assert_eq!(
        (closing.record.usage_status, cost(&closing, "llm_total_token")),
        (UsageStatus::None, Some(100))
    );
    assert_eq!(lines, [line("one", 1, 100)]);

    for paid_by_nobody in [Error, Reset, NoCredential] {
        let (closing, lines) = books(&[paid_by_nobody, Answer], chat, 200);
        assert!(closing.record.abandoned.is_empty());
        assert_eq!(lines, [line("two", 0, 13)]);
    }

    let (closing, lines) = books(&[Nothing, Answer], "/v1/images/generations", 200);
    assert_eq!(closing.record.abandoned[0].input_tokens, None, "told, and not estimated");
    assert!(lines.iter().all(|line| line.0 != "default/one"));
}

/// What becomes of attempts where Envoy may repeat failed connections more often than answers: whether the last of them
/// lets Envoy repeat its error, or the status that it is refused with.
fn spared(attempts: &[Comes]) -> Result<bool, u16> {
    let mut gateway = Gateway::new().backend("one", OpenAI).backend("two", OpenAI);
    gateway.route.attempt_ms = Some(2_000);
    (gateway.route.attempts, gateway.route.spare_attempts) = (Some(2), 3);
    gateway.config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let config = Arc::new(gateway.config);
    let headers = Headers::from([(":path", "/v1/chat/completions")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
    let mut edge = Edge::new(Arc::clone(&config), Rc::clone(&exchange));
    let mut now_ms = 0;
    let mut is_repeated = true;
    for (index, comes) in attempts.iter().enumerate() {
        let target = ["0/0/default/one", "1/0/default/two"][index % 2];
        let place = Place { route: ROUTE, target };
        let mut attempt = match Attempt::begin(&config, &exchange, place, &gateway.store, now_ms) {
            Begin::Attempt(attempt) => attempt,
            Begin::Reply(reply) => return Err(reply.status),
        };
        let header = "x-envoy-ratelimited";
        // What a backend says of it counts nothing.
        let json = Headers::from([("content-type", "application/json"), (header, "true")]);
        match comes {
            Comes::Error => {
                let edits = attempt.unwanted_headers(503, &json);
                let _ = attempt.answer_headers(503, &json, false, now_ms);
                is_repeated = edits.get(header) == Some(None);
                let Response::Pass(edits) = edge.response_headers(503, &json, None, false) else { panic!() };
                assert_eq!(edits.get(header), Some(None), "it is not for the client");
            }
            // A 200 that is an error.
            Comes::Answer => {
                let edits = attempt.unwanted_headers(200, &json);
                assert_eq!(edits.get(header), Some(None));
                let _ = attempt.answer_headers(200, &json, false, now_ms);
                is_repeated = attempt.whole_answer(b"no JSON", now_ms).headers.get(header).is_none();
            }
            Comes::Nothing | Comes::Reset | Comes::NoCredential => {}
        }
        now_ms += if matches!(comes, Comes::Nothing) { 2_025 } else { 1 };
    }
    Ok(is_repeated)
}

#[test]
fn stale_connections_take_no_backends_turn() {
    use Comes::{Answer, Error, Nothing, Reset};
    assert_eq!(spared(&[Error]), Ok(true), "the other is asked");
    assert_eq!(spared(&[Error, Error]), Ok(false), "each was asked once");
    assert_eq!(spared(&[Answer]), Ok(true));
    assert_eq!(spared(&[Error, Answer]), Ok(false));
    assert_eq!(spared(&[Reset, Reset, Error]), Ok(true), "nobody had got it before");
    assert_eq!(spared(&[Reset, Reset, Error, Error]), Ok(false));
    assert_eq!(spared(&[Reset, Reset, Reset, Reset, Error]), Ok(false), "Envoy makes no more");
    assert_eq!(spared(&[Nothing, Error]), Ok(false));
    assert_eq!(spared(&[Nothing, Nothing, Error]), Err(504), "both are at work");
    assert_eq!(spared(&[Error, Nothing, Error]), Err(504));
    assert_eq!(spared(&[Reset, Nothing, Error]), Ok(false));
}
