//! From one API to another.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use weir_core::chat::Losses;
use weir_core::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, decode_reply, encode_request};
use weir_core::wire::api::EventWriter as _;
use weir_core::wire::openai_chat::{StreamEncoder, decode_request, encode_reply};
use weir_core::wire::{Asked, SchemaName};

use crate::sample::{Text, chat, message};

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
    let asked = Asked {
        request: Default::default(),
        id: "chatcmpl-own".to_owned(),
        model: "m".to_owned(),
        created: 1_790_000_000,
    };
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let reply = decode_reply(black_box(&body), &mut Losses::default()).unwrap();
        encode_reply(&asked, &reply, &mut Losses::default())
    });
}

/// A thousand events of Converse, each with a word.
#[divan::bench]
fn converse_events_to_chat(bencher: Bencher<'_, '_>) {
    let asked = Asked {
        request: Default::default(),
        id: "chatcmpl-own".to_owned(),
        model: "amazon.nova-lite-v1:0".to_owned(),
        created: 1_790_000_000,
    };
    let codec = SchemaName::AWSBedrock.schema().codec().unwrap();
    let event = br#"{"contentBlockIndex":0,"delta":{"text":" something"},"p":"abcdefghijklmnop"}"#;
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        let mut reader = codec.events(&asked);
        let mut writer = StreamEncoder::new(&asked);
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
