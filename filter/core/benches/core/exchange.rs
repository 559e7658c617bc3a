//! A whole request through both roles, and the books it is entered in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc as Shared;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use weir_core::auth::{Credential, Secret, sigv4};
use weir_core::backend::{AnswerHeaders, Attempt, Begin, Identity, Place};
use weir_core::config::{Auth, Backend, Config, Cost, CostType, Route, Schema, SchemaName, Target};
use weir_core::edge::{Closing, Edge, Request, Response};
use weir_core::exchange::{Answer, Exchange, SharedExchange};
use weir_core::headers::Headers;
use weir_core::store::{Conflict, Store, Versioned};
use weir_core::usage::record::Record;
use weir_core::usage::{Counter, ledger};

use crate::sample::{SIZES, Text, chat, chat_events, completion, pieces, sse};

/// As Envoy has them from the OpenAI SDK.
pub(crate) const REQUEST_HEADERS: &[(&str, &str)] = &[
    (":authority", "gateway.example"),
    (":path", "/v1/chat/completions"),
    (":method", "POST"),
    (":scheme", "http"),
    ("accept", "application/json"),
    ("content-type", "application/json"),
    ("content-length", "1300"),
    ("user-agent", "OpenAI/Python 1.99.0"),
    ("x-stainless-lang", "python"),
    ("x-stainless-package-version", "1.99.0"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-runtime", "CPython"),
    ("x-stainless-runtime-version", "3.12.3"),
    ("authorization", "Bearer sk-0123456789abcdef0123456789abcdef"),
    ("x-stainless-async", "false"),
    ("x-stainless-retry-count", "0"),
    ("accept-encoding", "gzip, deflate"),
    ("x-forwarded-proto", "http"),
    ("x-request-id", "9d9c3a84-6f43-4f8a-8d3e-21cf2b07a9a1"),
    ("x-user-id", "ann"),
];

const ANSWER_HEADERS: &[(&str, &str)] = &[
    (":status", "200"),
    ("content-type", "application/json"),
    ("date", "Mon, 21 Sep 2026 14:13:20 GMT"),
    ("server", "envoy"),
    ("x-request-id", "req_1"),
    ("openai-processing-ms", "812"),
    ("x-envoy-upstream-service-time", "820"),
];

const NOW_MS: u64 = 1_790_000_000_000;
const ROUTE: &str = "default/models/rule/0";

/// Shared data without workers to share it with.
#[derive(Default)]
struct Memory(RefCell<HashMap<String, Versioned>>);

impl Store for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.0.borrow().get(key).cloned()
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        let mut data = self.0.borrow_mut();
        if data.get(key).map(|now| now.version) != version {
            return Err(Conflict);
        }
        let version = version.map_or(1, |version| version + 1);
        data.insert(key.to_owned(), Versioned { value: value.to_vec(), version });
        Ok(())
    }
}

fn headers(of: &[(&str, &str)]) -> Headers {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config(schema: SchemaName, model: Option<&str>) -> Config {
    let cost = |key: &str, kind| Cost { key: key.to_owned(), kind };
    let credential = "key".to_owned();
    let auth = match schema {
        SchemaName::Anthropic => Auth::AnthropicKey { credential },
        _ => Auth::Bearer { credential },
    };
    let route = Route {
        targets: vec![
            Target { backend: "default/b".to_owned(), model: model.map(str::to_owned), ..Target::default() }
                .into(),
        ],
        costs: vec![
            cost("llm_input_token", CostType::InputToken),
            cost("llm_output_token", CostType::OutputToken),
            cost("llm_total_token", CostType::TotalToken),
        ],
        ..Route::default()
    };
    let mut config = Config { body_limit: 10 << 20, default_max_tokens: 4096, ..Config::default() };
    let backend = Backend {
        schema: Schema { name: schema, prefix: None, version: None },
        hosts: vec!["api.example".to_owned()],
        address: None,
        betas: None,
        credential_override: None,
        cache_marks: false,
        auth: Some(auth),
    };
    config.backends.insert("default/b".to_owned(), backend.into());
    config.routes.insert(ROUTE.to_owned(), route.into());
    config
}

/// Answers come whole in one chunk, or are streamed in several.
struct Script {
    request: Vec<u8>,
    answer: Vec<Vec<u8>>,
    media_type: &'static str,
}

impl Script {
    fn bytes(&self) -> usize {
        self.request.len() + self.answer.iter().map(Vec::len).sum::<usize>()
    }

    /// The exchange as a shell runs it. What comes out is not applied to anything.
    fn bench(&self, bencher: Bencher<'_, '_>, config: Config) {
        let host = Host {
            script: self,
            config: config.into(),
            store: Memory::default(),
            credential: Credential::ApiKey(Secret::new("sk-of-the-gateway")),
        };
        let mut keys = sigv4::SigningKeys::default();
        bencher.counter(BytesCount::new(self.bytes())).bench_local(|| {
            let (mut edge, exchange) = host.snapshot();
            host.edge_request(&mut edge);
            let mut attempt = host.attempt_request(&exchange, &mut keys);
            let headers = host.attempt_answer(&mut attempt);
            host.edge_answer(&mut edge, &headers);
            let closing = host.close(&mut edge);
            assert!(exchange.borrow().attempt.answer == Answer::Complete && !closing.books_failed);
            (host.line(&closing), closing)
        });
    }
}

/// What is there before a request comes. Each step is a function of its own, so that profilers tell them apart.
struct Host<'s> {
    script: &'s Script,
    config: Shared<Config>,
    store: Memory,
    credential: Credential,
}

impl Host<'_> {
    #[inline(never)]
    fn snapshot(&self) -> (Edge, SharedExchange) {
        let snapshot = headers(black_box(REQUEST_HEADERS));
        let exchange = Rc::new(RefCell::new(Exchange::new(snapshot, NOW_MS)));
        (Edge::new(Shared::clone(&self.config), Rc::clone(&exchange)), exchange)
    }

    #[inline(never)]
    fn edge_request(&self, edge: &mut Edge) {
        let Request::Hold(edits) = edge.request_headers(false) else { panic!("refused") };
        black_box(edits);
        let Request::Pass(edits) = edge.request_body(black_box(&self.script.request)) else {
            panic!("refused")
        };
        black_box(edits);
    }

    #[inline(never)]
    fn attempt_request(&self, exchange: &SharedExchange, keys: &mut sigv4::SigningKeys) -> Box<Attempt> {
        let place = Place { route: ROUTE, target: "0/0/default/b" };
        let Begin::Attempt(mut attempt) = Attempt::begin(&self.config, exchange, place, &self.store, NOW_MS)
        else {
            panic!("refused")
        };
        black_box(attempt.credential());
        let identity = Identity { credential: Some(&self.credential), keys, now: NOW_MS / 1_000 };
        black_box(attempt.request(black_box(&self.script.request), identity).unwrap());
        attempt
    }

    #[inline(never)]
    fn attempt_answer(&self, attempt: &mut Attempt) -> Headers {
        let media_type = self.script.media_type;
        let typed = |(name, value): &(&str, &str)| {
            let value = if *name == "content-type" { media_type } else { *value };
            ((*name).to_owned(), value.to_owned())
        };
        let headers: Headers = black_box(ANSWER_HEADERS).iter().map(typed).collect();
        match attempt.answer_headers(200, &headers, false, NOW_MS) {
            AnswerHeaders::Whole => {
                black_box(attempt.whole_answer(black_box(&self.script.answer[0]), NOW_MS));
            }
            AnswerHeaders::Stream => {
                for chunk in &self.script.answer {
                    black_box(attempt.answer_chunk(black_box(chunk), false, NOW_MS));
                }
                black_box(attempt.answer_chunk(b"", true, NOW_MS));
            }
            AnswerHeaders::Pass(_) | AnswerHeaders::Watch(_) => panic!("not looked at"),
        }
        headers
    }

    #[inline(never)]
    fn edge_answer(&self, edge: &mut Edge, headers: &Headers) {
        let Response::Pass(edits) = edge.response_headers(200, headers, None, false) else {
            panic!("replaced")
        };
        black_box((edits, edge.restored_request_headers()));
    }

    #[inline(never)]
    fn close(&self, edge: &mut Edge) -> Closing {
        edge.close(200, NOW_MS, &self.store)
    }

    #[inline(never)]
    fn line(&self, closing: &Closing) -> String {
        closing.record.to_line()
    }
}

#[divan::bench(args = SIZES)]
fn pass_through(bencher: Bencher<'_, '_>, size: usize) {
    let script = Script {
        request: chat(size, Text::Prose),
        answer: vec![completion()],
        media_type: "application/json",
    };
    script.bench(bencher, config(SchemaName::OpenAI, None));
}

#[divan::bench]
fn pass_through_renamed(bencher: Bencher<'_, '_>) {
    let script = Script {
        request: chat(1_300, Text::Prose),
        answer: vec![completion()],
        media_type: "application/json",
    };
    script.bench(bencher, config(SchemaName::OpenAI, Some("org/other")));
}

fn streaming_request() -> Vec<u8> {
    let body = String::from_utf8(chat(1_300, Text::Prose)).unwrap();
    body.replace(r#""stream":false"#, r#""stream":true,"stream_options":{"include_usage":true}"#).into_bytes()
}

#[divan::bench(args = ["by_event", "16_kb"])]
fn pass_through_stream_of_2000(bencher: Bencher<'_, '_>, chunks: &str) {
    let events = sse(&chat_events(2_000));
    let script = Script {
        request: streaming_request(),
        answer: if chunks == "by_event" { events } else { pieces(&events, 16_384) },
        media_type: "text/event-stream",
    };
    script.bench(bencher.counter(ItemsCount::new(2_003_usize)), config(SchemaName::OpenAI, None));
}

#[divan::bench]
fn chat_to_anthropic(bencher: Bencher<'_, '_>) {
    let script = Script {
        request: chat(2_000, Text::Prose),
        answer: vec![crate::sample::message()],
        media_type: "application/json",
    };
    script.bench(bencher, config(SchemaName::Anthropic, Some("claude-x")));
}

/// A ledger in which each shard has `users / 1024` entries.
#[divan::bench(args = [1, 1_024, 16_384, 65_536])]
fn ledger_enter(bencher: Bencher<'_, '_>, users: usize) {
    let store = Memory::default();
    let mut exchange = Exchange::new(headers(REQUEST_HEADERS), NOW_MS);
    exchange.attempt.answer = Answer::Complete;
    exchange.attempt.usage.set(Counter::Input, Some(270));
    exchange.attempt.usage.set(Counter::Output, Some(210));
    let records: Vec<Record> = (0..users)
        .map(|user| Record { user: format!("user-{user}"), ..exchange.take_record(200, NOW_MS) })
        .collect();
    for record in &records {
        assert!(ledger::enter(&store, record, NOW_MS / 1_000));
    }
    let mut next = records.iter().cycle();
    bencher.bench_local(|| ledger::enter(&store, black_box(next.next().unwrap()), NOW_MS / 1_000));
}
