//! From one API to another.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use weir_core::chat::{BlockStart, Delta, Event, Losses};
use weir_core::config::{Schema, SchemaName};
use weir_core::endpoint::Endpoint;
use weir_core::headers::Headers;
use weir_core::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, decode_reply, encode_request};
use weir_core::wire::openai_chat::{decode_request, encode_reply};
use weir_core::wire::{Asked, To};

use crate::sample::{Text, chat, chat_events, message};

const ANTHROPIC: Params<'static> =
    Params { envelope: Envelope::Native, model: "claude-x", default_max_tokens: DEFAULT_MAX_TOKENS };

#[divan::bench(args = [2_000, 100_000])]
fn chat_request_to_anthropic(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let mut losses = Losses::default();
        let request = decode_request(black_box(&body), &mut losses).unwrap();
        encode_request(&ANTHROPIC, &request, &mut losses).unwrap()
    });
}

#[divan::bench]
fn anthropic_answer_to_chat(bencher: Bencher<'_, '_>) {
    let body = message();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let reply = decode_reply(black_box(&body)).unwrap();
        encode_reply(&asked(), &reply, &mut Losses::default())
    });
}

fn asked() -> Asked {
    Asked { request: Default::default(), id: "own".to_owned(), model: "m".to_owned(), created: 1_790_000_000 }
}

/// What a client of each API sends becomes the conversation.
#[divan::bench(args = [Endpoint::ChatCompletions, Endpoint::Messages])]
fn decode_of_client(bencher: Bencher<'_, '_>, endpoint: Endpoint) {
    let body = chat(100_000, Text::Prose);
    let codec = endpoint.operation().codec.unwrap();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| codec.decode(black_box(&body), &mut Losses::default()).unwrap());
}

/// The events of an answer become a stream of each client API.
#[divan::bench(args = [Endpoint::ChatCompletions, Endpoint::Messages])]
fn stream_to_client(bencher: Bencher<'_, '_>, endpoint: Endpoint) {
    let mut events = vec![
        Event::Start { id: Some("id".to_owned()), model: Some("m".to_owned()) },
        Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Text },
    ];
    events.extend((0..2_000).map(|_| Event::BlockDelta { index: 0, delta: Delta::Text(" word".to_owned()) }));
    events.extend([Event::BlockStop { index: 0 }, Event::End]);
    let codec = endpoint.operation().codec.unwrap();
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        let mut writer = codec.events(&asked());
        let mut out = Vec::new();
        for event in black_box(&events) {
            out.clear();
            writer.event(event, &mut Losses::default(), &mut out);
        }
        out
    });
}

/// A stream of 2,000 chunks as neutral events; a client's writer takes it from there.
#[divan::bench]
fn chat_stream_to_events(bencher: Bencher<'_, '_>) {
    let chunks = chat_events(2000);
    let backend = SchemaName::OpenAI.schema().codec().unwrap();
    bencher.counter(ItemsCount::new(chunks.len())).bench_local(|| {
        let mut reader = backend.events(&asked());
        let mut events = Vec::new();
        for chunk in black_box(&chunks) {
            let data = chunk.trim_start_matches("data: ").as_bytes();
            reader.event(None, data, &mut Losses::default(), &mut events);
        }
        reader.finish(&mut events);
        events
    });
}

/// A thousand events of Converse, each with a word.
#[divan::bench]
fn converse_events_to_chat(bencher: Bencher<'_, '_>) {
    let asked = Asked { model: "amazon.nova-lite-v1:0".to_owned(), ..asked() };
    let codec = SchemaName::AWSBedrock.schema().codec().unwrap();
    let event = br#"{"contentBlockIndex":0,"delta":{"text":" something"},"p":"abcdefghijklmnop"}"#;
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        let mut reader = codec.events(&asked);
        let mut writer = Endpoint::ChatCompletions.operation().codec.unwrap().events(&asked);
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            reader.event(Some("contentBlockDelta"), black_box(event), &mut Losses::default(), &mut events);
            for event in events.drain(..) {
                writer.event(&event, &mut Losses::default(), &mut out);
            }
        }
        out
    });
}

#[divan::bench(args = [2_000, 100_000])]
fn chat_request_to_gemini(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    let schema = Schema { name: SchemaName::GCPVertexAI, prefix: None, version: None };
    let headers = Headers::default();
    let to = To {
        endpoint: Endpoint::ChatCompletions,
        schema: &schema,
        model: "gemini-3-flash",
        stream: false,
        default_max_tokens: DEFAULT_MAX_TOKENS,
        headers: &headers,
        auth: None,
    };
    let backend = schema.name.schema().codec().unwrap();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let mut losses = Losses::default();
        let request = decode_request(black_box(&body), &mut losses).unwrap();
        backend.encode(&to, &request, &mut losses).unwrap()
    });
}

/// A stream of 2,000 pieces as neutral events.
#[divan::bench]
fn gemini_stream_to_events(bencher: Bencher<'_, '_>) {
    let piece = |word: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{word}"}}]}}}}],"usageMetadata":{{"trafficType":"ON_DEMAND"}},"modelVersion":"m","responseId":"r"}}"#
        )
    };
    let pieces: Vec<String> = (0..2_000).map(|_| piece(" word")).collect();
    let backend = SchemaName::GCPVertexAI.schema().codec().unwrap();
    bencher.counter(ItemsCount::new(pieces.len())).bench_local(|| {
        let mut reader = backend.events(&asked());
        let mut events = Vec::new();
        for piece in black_box(&pieces) {
            reader.event(None, piece.as_bytes(), &mut Losses::default(), &mut events);
        }
        events
    });
}
