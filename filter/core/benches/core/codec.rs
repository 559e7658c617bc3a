//! The codecs, which see every byte.

use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use weir_core::auth::sigv4::{self, Signing, SigningKeys};
use weir_core::auth::{AwsCredentials, Secret};
use weir_core::codec::event_stream::{EventStreamDecoder, invoke_payload};
use weir_core::codec::json;
use weir_core::codec::splice::{self, Edit};
use weir_core::codec::sse::SseDecoder;
use weir_core::endpoint::Endpoint;
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::wire::usage::StreamObserver;

use crate::sample::{SIZES, Text, chat, chat_events, pieces, sse};

fn scan(bencher: Bencher<'_, '_>, body: &[u8]) {
    bencher
        .counter(BytesCount::of_slice(body))
        .bench_local(|| json::scan(black_box(body), ["model", "stream", "stream_options"]).unwrap());
}

#[divan::bench(args = SIZES)]
fn json_scan(bencher: Bencher<'_, '_>, size: usize) {
    scan(bencher, &chat(size, Text::Prose));
}

#[divan::bench(args = [Text::Prose, Text::Code, Text::Greek, Text::Base64])]
fn json_scan_1_mb(bencher: Bencher<'_, '_>, text: Text) {
    scan(bencher, &chat(1_000_000, text));
}

#[divan::bench(args = SIZES)]
fn splice_model(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| splice::edit(black_box(&body), &[Edit::set_string("model", "org/other")]).unwrap());
}

#[divan::bench(args = SIZES)]
fn splice_model_and_stream_options(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let usage = Edit::SetInside("stream_options", "include_usage", b"true".into());
        splice::edit(black_box(&body), &[Edit::set_string("model", "org/other"), usage]).unwrap()
    });
}

/// The least that has to be done with a body that is changed.
#[divan::bench(args = SIZES)]
fn copy(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| black_box(&body).clone());
}

fn split(bencher: Bencher<'_, '_>, chunks: &[Vec<u8>], mut each: impl FnMut(&[u8])) {
    bencher
        .counter(BytesCount::new(chunks.concat().len()))
        .counter(ItemsCount::new(2_003_usize))
        .bench_local(|| {
            let mut decoder = SseDecoder::new(1 << 20);
            for chunk in chunks {
                let mut rest = black_box(chunk.as_slice());
                while let Some(event) = decoder.next(&mut rest).unwrap() {
                    each(event.data);
                }
            }
        });
}

#[divan::bench]
fn sse_split_by_event(bencher: Bencher<'_, '_>) {
    split(bencher, &sse(&chat_events(2_000)), |data| {
        black_box(data);
    });
}

#[divan::bench]
fn sse_split_16_kb(bencher: Bencher<'_, '_>) {
    split(bencher, &pieces(&sse(&chat_events(2_000)), 16_384), |data| {
        black_box(data);
    });
}

#[divan::bench]
fn usage_observer(bencher: Bencher<'_, '_>) {
    let events = chat_events(2_000);
    let bytes: usize = events.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(events.len())).bench_local(|| {
        let mut observer = StreamObserver::new(Endpoint::ChatCompletions, 1);
        for event in &events {
            observer.event(black_box(event.as_bytes()));
        }
        assert!(observer.observed().usage.total() == Some(2_270));
    });
}

#[divan::bench]
fn event_stream_decode(bencher: Bencher<'_, '_>) {
    let header =
        |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let mut stream = Vec::new();
    for event in chat_events(2_000) {
        let payload = format!(r#"{{"bytes":"{}"}}"#, base64::engine::general_purpose::STANDARD.encode(event));
        let headers = vec![
            header(":event-type", "chunk"),
            header(":content-type", "application/json"),
            header(":message-type", "event"),
        ];
        let message = Message::new_from_parts(headers, payload.into_bytes());
        aws_smithy_eventstream::frame::write_message_to(&message, &mut stream).unwrap();
    }
    let chunks = pieces(&[stream], 16_384);
    bencher
        .counter(BytesCount::new(chunks.concat().len()))
        .counter(ItemsCount::new(2_003_usize))
        .bench_local(|| {
            let mut decoder = EventStreamDecoder::new(1 << 20);
            for chunk in &chunks {
                decoder.push(black_box(chunk));
                while let Some(frame) = decoder.next().unwrap() {
                    black_box((frame.message_type(), invoke_payload(frame.payload()).unwrap()));
                }
            }
        });
}

#[divan::bench(args = [2_000, 1_000_000])]
fn sigv4_sign(bencher: Bencher<'_, '_>, size: usize) {
    let body = chat(size, Text::Prose);
    let credentials = AwsCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: Some(Secret::new("t".repeat(300))),
    };
    let mut keys = SigningKeys::default();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| {
        let signing = Signing {
            method: "POST",
            target: "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke",
            host: "bedrock-runtime.us-east-1.amazonaws.com",
            headers: &[("content-type", "application/json")],
            body: black_box(&body),
            credentials: &credentials,
            region: "us-east-1",
            service: "bedrock",
            now: 1_790_000_000,
        };
        sigv4::sign(&signing, &mut keys)
    });
}

#[divan::bench]
fn headers_snapshot_and_edits() -> HeaderEdits {
    let headers: Headers = black_box(crate::exchange::REQUEST_HEADERS)
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut edits = HeaderEdits::default();
    for (name, _) in headers.iter().filter(|(name, _)| weir_core::headers::is_internal(name)) {
        edits.remove(name.to_owned());
    }
    for name in ["authorization", "x-api-key", "api-key", "cookie"] {
        if headers.get(name).is_some() {
            edits.remove(name);
        }
    }
    for (name, value) in
        [(":path", "/v1/chat/completions"), (":authority", "api.example"), ("content-length", "1")]
    {
        edits.set(name, value);
    }
    edits
}
