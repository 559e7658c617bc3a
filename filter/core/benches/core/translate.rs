//! From one API to another.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use weir_core::chat::Losses;
use weir_core::wire::Asked;
use weir_core::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, decode_reply, encode_request};
use weir_core::wire::openai_chat::{decode_request, encode_reply};

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
        let reply = decode_reply(black_box(&body)).unwrap();
        encode_reply(&asked, &reply, &mut Losses::default())
    });
}
