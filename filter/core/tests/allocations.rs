//! How often the hot paths allocate, which no noise of the machine disturbs. The numbers are what they need today. Who
//! needs more has a reason for it; who needs less writes the smaller number down, so that it stays so.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics fails")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::auth::{Credential, Secret, sigv4};
use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, Identity, Place};
use weir_core::config::{Auth, Backend, Config, Route, Schema, SchemaName, Target};
use weir_core::edge::{Edge, Request};
use weir_core::exchange::{Exchange, SharedExchange};
use weir_core::headers::Headers;
use weir_core::store::{Conflict, Store, Versioned};

const NOW_MS: u64 = 1_790_000_000_000;

/// Shared data that nobody shares.
struct Nothing;

impl Store for Nothing {
    fn get(&self, _: &str) -> Option<Versioned> {
        None
    }

    fn swap(&self, _: &str, _: &[u8], _: Option<u32>) -> Result<(), Conflict> {
        Ok(())
    }
}

/// A client's request to a backend.
struct Asked {
    path: &'static str,
    body: String,
    schema: SchemaName,
    model: &'static str,
}

impl Asked {
    fn config(&self) -> Arc<Config> {
        let mut config = Config { body_limit: 1 << 20, default_max_tokens: 4096, ..Config::default() };
        let credential = "key".to_owned();
        let auth = match self.schema {
            SchemaName::Anthropic => Auth::AnthropicKey { credential },
            _ => Auth::Bearer { credential },
        };
        let backend = Backend {
            schema: Schema { name: self.schema, prefix: None, version: None },
            hosts: vec!["api.example".to_owned()],
            address: None,
            betas: None,
            credential_override: None,
            cache_marks: false,
            auth: Some(auth),
        };
        config.backends.insert("b".to_owned(), backend.into());
        let target =
            Target { backend: "b".to_owned(), model: Some(self.model.to_owned()), ..Target::default() };
        config
            .routes
            .insert("r".to_owned(), Route { targets: vec![target.into()], ..Route::default() }.into());
        Arc::new(config)
    }

    fn headers(&self) -> Headers {
        let headers = [(":method", "POST"), (":path", self.path), ("content-type", "application/json")];
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Sends the request.
    fn send(&self, config: &Arc<Config>, exchange: &SharedExchange) -> Box<Attempt> {
        let mut edge = Edge::new(Arc::clone(config), Rc::clone(exchange));
        let Request::Hold(_) = edge.request_headers(false) else { panic!("no body is wanted") };
        let Request::Pass(_) = edge.request_body(self.body.as_bytes()) else { panic!("refused") };
        let place = Place { route: "r", target: "0/0/b" };
        let Begin::Attempt(mut attempt) = Attempt::begin(config, exchange, place, &Nothing, NOW_MS) else {
            panic!("refused")
        };
        let credential = Credential::ApiKey(Secret::new("k"));
        let mut keys = sigv4::SigningKeys::default();
        let identity = Identity { credential: Some(&credential), keys: &mut keys, now: NOW_MS / 1_000 };
        attempt.request(self.body.as_bytes(), identity).unwrap();
        attempt
    }

    /// How often there is an allocation on the way of the request to the backend.
    fn allocations(&self) -> u64 {
        let config = self.config();
        let exchange = || Rc::new(RefCell::new(Exchange::new(self.headers(), NOW_MS)));
        // What follows from a configuration is made with its first request.
        drop(self.send(&config, &exchange()));
        let exchange = exchange();
        allocation_counter::measure(|| drop(self.send(&config, &exchange))).count_total
    }

    /// How often there is one for `event`, which comes in a chunk of its own after it came before.
    fn allocations_for(&self, begin: &[&str], event: &str) -> u64 {
        let (config, exchange) = (self.config(), Exchange::new(self.headers(), NOW_MS));
        let mut attempt = self.send(&config, &Rc::new(RefCell::new(exchange)));
        let headers = [(":status", "200"), ("content-type", "text/event-stream")];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let AnswerHeaders::Stream = attempt.answer_headers(200, &headers, false, NOW_MS) else {
            panic!("no stream")
        };
        let chunk = |data: &str| format!("data: {data}\n\n").into_bytes();
        for data in begin.iter().copied().chain([event]) {
            attempt.answer_chunk(&chunk(data), false, NOW_MS);
        }
        let chunk = chunk(event);
        let take = || match attempt.answer_chunk(&chunk, false, NOW_MS) {
            Chunk::Pass | Chunk::Replace(_) => {}
            other => panic!("{other:?}"),
        };
        allocation_counter::measure(take).count_total
    }
}

/// A chat in which `turns` calls were answered, and a question.
fn chat(schema: SchemaName, model: &'static str, turns: usize) -> Asked {
    let turn = r#"{"role":"assistant","content":"I look.","tool_calls":[{"id":"ID","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"ID","content":"one\ntwo"},"#;
    let turns: String = (0..turns).map(|number| turn.replace("ID", &format!("call_{number:04}"))).collect();
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"Hi"}},{turns}{{"role":"user","content":"So?"}}],"stream":true}}"#
    );
    Asked { path: "/v1/chat/completions", body, schema, model }
}

fn messages(schema: SchemaName, model: &'static str, turns: usize) -> Asked {
    let turn = r#"{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"ID","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"ID","content":"one\ntwo"}]},"#;
    let turns: String = (0..turns).map(|number| turn.replace("ID", &format!("call_{number:04}"))).collect();
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"system":"Be brief.","messages":[{{"role":"user","content":"Hi"}},{turns}{{"role":"user","content":"So?"}}],"stream":true}}"#
    );
    Asked { path: "/v1/messages", body, schema, model }
}

const CLAUDE: &str = "claude-sonnet-4-5";

#[test]
fn a_request_allocates_no_more_than_it_did() {
    type Make = fn(usize) -> Asked;
    // What is needed without a turn, and for each turn.
    let cases: [(&str, Make, u64, u64); 4] = [
        ("a chat that passes", |turns| chat(SchemaName::OpenAI, "n", turns), 33, 0),
        ("messages that pass", |turns| messages(SchemaName::Anthropic, CLAUDE, turns), 26, 0),
        ("a chat to Claude", |turns| chat(SchemaName::Anthropic, CLAUDE, turns), 47, 25),
        ("messages to OpenAI", |turns| messages(SchemaName::OpenAI, "n", turns), 46, 26),
    ];
    for (case, make, most, most_per_turn) in cases {
        let (none, many, twice) = (make(0).allocations(), make(100).allocations(), make(200).allocations());
        assert!(none <= most, "{case}: {none}");
        let per_turn = (twice - many).div_ceil(100);
        assert!(per_turn <= most_per_turn, "{case}: {per_turn} for each turn");
    }
}

#[test]
fn an_event_allocates_no_more_than_it_did() {
    let chunk = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"n","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#;
    let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"n","content":[],"usage":{"input_tokens":2,"output_tokens":1}}}"#;
    let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}"#;
    for (case, asked, begin, event, most) in [
        ("a chunk that passes", chat(SchemaName::OpenAI, "n", 0), &[][..], chunk, 0),
        ("an event that passes", messages(SchemaName::Anthropic, CLAUDE, 0), &[start, block], delta, 0),
        ("one of Claude to a chat", chat(SchemaName::Anthropic, CLAUDE, 0), &[start, block], delta, 3),
        ("a chunk to messages", messages(SchemaName::OpenAI, "n", 0), &[], chunk, 7),
    ] {
        let found = asked.allocations_for(begin, event);
        assert!(found <= most, "{case}: {found}");
    }
}
