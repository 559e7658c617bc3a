//! From one API to another.

use std::fmt;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use weir_core::chat::Losses;
use weir_core::config::{Schema, SchemaName};
use weir_core::endpoint::Endpoint;
use weir_core::headers::Headers;
use weir_core::wire::anthropic::DEFAULT_MAX_TOKENS;
use weir_core::wire::{Asked, To, codecs, translate};

use crate::agent;
use crate::sample::{chat_events, message};

/// A client's API, a backend's, and the model there.
#[derive(Clone, Copy)]
struct Pair(Endpoint, SchemaName, &'static str);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_to_{:?}", self.0.operation().name, self.1)
    }
}

const CHAT_TO_ANTHROPIC: Pair = Pair(Endpoint::ChatCompletions, SchemaName::Anthropic, "claude-sonnet-4-5");
const CHAT_TO_CONVERSE: Pair =
    Pair(Endpoint::ChatCompletions, SchemaName::AWSBedrock, "amazon.nova-pro-v1:0");
const CHAT_TO_GEMINI: Pair = Pair(Endpoint::ChatCompletions, SchemaName::GCPVertexAI, "gemini-3-flash");
const CHAT_TO_COHERE: Pair = Pair(Endpoint::ChatCompletions, SchemaName::Cohere, "command-a-03-2025");
const MESSAGES_TO_OPENAI: Pair = Pair(Endpoint::Messages, SchemaName::OpenAI, "gpt-5");
const MESSAGES_TO_CONVERSE: Pair = Pair(Endpoint::Messages, SchemaName::AWSBedrock, "amazon.nova-pro-v1:0");
const MESSAGES_TO_GEMINI: Pair = Pair(Endpoint::Messages, SchemaName::GCPVertexAI, "gemini-3-flash");
const RESPONSES_TO_CHAT: Pair = Pair(Endpoint::Responses, SchemaName::OpenAIChat, "gpt-5");
const RESPONSES_TO_ANTHROPIC: Pair = Pair(Endpoint::Responses, SchemaName::Anthropic, "claude-sonnet-4-5");

const REQUESTS: [Pair; 9] = [
    CHAT_TO_ANTHROPIC,
    CHAT_TO_CONVERSE,
    CHAT_TO_GEMINI,
    CHAT_TO_COHERE,
    MESSAGES_TO_OPENAI,
    MESSAGES_TO_CONVERSE,
    MESSAGES_TO_GEMINI,
    RESPONSES_TO_CHAT,
    RESPONSES_TO_ANTHROPIC,
];
const STREAMS: [Pair; 5] =
    [CHAT_TO_ANTHROPIC, CHAT_TO_CONVERSE, CHAT_TO_GEMINI, MESSAGES_TO_OPENAI, MESSAGES_TO_GEMINI];

fn request(bencher: Bencher<'_, '_>, Pair(endpoint, name, model): Pair, size: usize) {
    let schema = Schema { name, prefix: None, version: None };
    let to = To {
        endpoint,
        schema: &schema,
        model,
        stream: true,
        default_max_tokens: DEFAULT_MAX_TOKENS,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    };
    let (client, backend) = codecs(endpoint, name.schema()).unwrap();
    let body = agent::request(endpoint, size);
    let made = translate(client, backend, &to, &body).unwrap();
    assert!(made.body.len() > size / 2);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| translate(client, backend, &to, black_box(&body)).unwrap());
}

#[divan::bench(args = REQUESTS)]
fn request_2_kb(bencher: Bencher<'_, '_>, pair: Pair) {
    request(bencher, pair, agent::SIZES[0]);
}

#[divan::bench(args = REQUESTS)]
fn request_100_kb(bencher: Bencher<'_, '_>, pair: Pair) {
    request(bencher, pair, agent::SIZES[1]);
}

#[divan::bench(args = REQUESTS)]
fn request_1_mb(bencher: Bencher<'_, '_>, pair: Pair) {
    request(bencher, pair, agent::SIZES[2]);
}

/// The pieces of an answer of `count` words as its provider streams them: the names of the frames and their data.
fn stream(name: SchemaName, count: usize) -> Vec<(Option<&'static str>, String)> {
    let own = |event: &str| (None, event.to_owned());
    let named = |name, event: &str| (Some(name), event.to_owned());
    let (begin, word, end) = match name {
        SchemaName::Anthropic => (
            vec![
                own(
                    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
                ),
                own(r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
            ],
            own(
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" something"}}"#,
            ),
            vec![
                own(r#"{"type":"content_block_stop","index":0}"#),
                own(
                    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2000}}"#,
                ),
                own(r#"{"type":"message_stop"}"#),
            ],
        ),
        SchemaName::AWSBedrock => (
            vec![named("messageStart", r#"{"p":"abcd","role":"assistant"}"#)],
            named(
                "contentBlockDelta",
                r#"{"contentBlockIndex":0,"delta":{"text":" something"},"p":"abcdefghijklmnop"}"#,
            ),
            vec![
                named("contentBlockStop", r#"{"contentBlockIndex":0,"p":"abcdefgh"}"#),
                named("messageStop", r#"{"p":"abcdef","stopReason":"end_turn"}"#),
                named(
                    "metadata",
                    r#"{"metrics":{"latencyMs":9},"p":"ab","usage":{"inputTokens":25,"outputTokens":2000,"totalTokens":2025}}"#,
                ),
            ],
        ),
        SchemaName::GCPVertexAI => (
            vec![],
            own(
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":" something"}]}}],"usageMetadata":{"trafficType":"ON_DEMAND"},"modelVersion":"gemini-3-flash","createTime":"2026-01-01T00:00:00.000000Z","responseId":"r"}"#,
            ),
            vec![own(
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"."}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":25,"candidatesTokenCount":2000,"totalTokenCount":2025},"modelVersion":"gemini-3-flash","responseId":"r"}"#,
            )],
        ),
        _ => return chat_events(count).into_iter().map(|data| (None, data)).collect(),
    };
    [begin, vec![word; count], end].concat()
}

/// The events of an answer, from the data of the provider's frames to the bytes of the client's.
#[divan::bench(args = STREAMS)]
fn stream_of_2000(bencher: Bencher<'_, '_>, Pair(endpoint, name, model): Pair) {
    let asked = Asked {
        request: Default::default(),
        id: "own".to_owned(),
        model: model.to_owned(),
        created: 1_790_000_000,
    };
    let (client, backend) = codecs(endpoint, name.schema()).unwrap();
    let frames = stream(name, 2_000);
    bencher.counter(ItemsCount::new(frames.len())).bench_local(|| {
        let (mut reader, mut writer) = (backend.events(&asked), client.events(&asked));
        let mut losses = Losses::default();
        let (mut events, mut out, mut written) = (Vec::new(), Vec::new(), 0);
        for (name, data) in black_box(&frames) {
            reader.event(*name, data.as_bytes(), &mut losses, &mut events);
            for event in events.drain(..) {
                writer.event(&event, &mut losses, &mut out);
            }
            written += black_box(&out).len();
            out.clear();
        }
        assert!(losses.is_empty() && written > 100_000, "{losses:?}");
    });
}

/// A whole answer of two hundred words.
#[divan::bench]
fn anthropic_answer_to_chat(bencher: Bencher<'_, '_>) {
    let body = message();
    let asked =
        Asked { request: Default::default(), id: "own".into(), model: "m".into(), created: 1_790_000_000 };
    let (client, backend) = codecs(Endpoint::ChatCompletions, SchemaName::Anthropic.schema()).unwrap();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let mut losses = Losses::default();
        let reply = backend.reply(&asked, black_box(&body), &mut losses).unwrap();
        client.reply(&asked, &reply, &mut losses)
    });
}
