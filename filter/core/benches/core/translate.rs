//! From one API to another.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use weir_core::chat::Losses;
use weir_core::config::SchemaName;
use weir_core::wire::Asked;
use weir_core::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, decode_reply, encode_request};
use weir_core::wire::openai_chat::{decode_request, encode_reply};

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
    let asked = asked();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let reply = decode_reply(black_box(&body), &mut Losses::default()).unwrap();
        encode_reply(&asked, &reply, &mut Losses::default())
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

fn asked() -> Asked {
    Asked {
        request: Default::default(),
        id: "chatcmpl-own".to_owned(),
        model: "m".to_owned(),
        created: 1_790_000_000,
    }
}
