//! From one API to another.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use weir_core::chat::Losses;
use weir_core::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params};
use weir_core::wire::{
    AnswerDefaults, BackendFormat, ClientFormat, decode_reply, decode_request, encode_reply, encode_request,
};

use crate::sample::{Text, chat, message};

const ANTHROPIC: BackendFormat<'static> = BackendFormat::Anthropic(Params {
    envelope: Envelope::Native,
    model: "claude-x",
    default_max_tokens: DEFAULT_MAX_TOKENS,
});

#[divan::bench(args = [2_000, 100_000])]
fn chat_request_to_anthropic(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let mut losses = Losses::default();
        let request = decode_request(ClientFormat::OpenAiChat, black_box(&body), &mut losses).unwrap();
        encode_request(ANTHROPIC, &request, &mut losses).unwrap()
    });
}

#[divan::bench]
fn anthropic_answer_to_chat(bencher: Bencher<'_, '_>) {
    let body = message();
    let defaults =
        AnswerDefaults { id: "chatcmpl-own".to_owned(), model: "m".to_owned(), created: 1_790_000_000 };
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let reply = decode_reply(ANTHROPIC, black_box(&body)).unwrap();
        encode_reply(ClientFormat::OpenAiChat, &reply, &defaults)
    });
}
