//! Streams that break before their first content, where the route has another backend say them anew.

use weir_core::config::SchemaName::{self, AWSAnthropic, AWSBedrock, Anthropic, Cohere, GCPVertexAI, OpenAI};
use weir_core::exchange::Answer as State;
use weir_core::usage::record::UsageStatus;

use crate::answer::{
    Answer, CHAT_CHUNKS, COHERE_EVENTS, CONVERSE_EVENTS, GEMINI_EVENTS, MESSAGE_EVENTS, exception, frame,
    named_frame, named_sse, plain_sse,
};
use crate::gateway::Gateway;
use crate::outcome::Outcome;

const CHAT: &str = r#"{"model":"m","stream":true,"n":1,"messages":[{"role":"user","content":"Hi"}]}"#;
const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#;

/// A path of each client's API, and a request.
const CLIENTS: &[(&str, &str)] = &[
    ("/v1/chat/completions", CHAT),
    (
        "/anthropic/v1/messages",
        r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#,
    ),
    ("/v1/completions", r#"{"model":"m","stream":true,"prompt":"Hi"}"#),
    ("/cohere/v2/chat", r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#),
    ("/v1beta/models/m:streamGenerateContent?alt=sse", GEMINI),
    ("/v1beta/models/m:streamGenerateContent", GEMINI),
];

const RESPONSES: (&str, &str) = ("/v1/responses", r#"{"model":"m","stream":true,"input":"Hi"}"#);
const RESPONSE_EVENTS: &[&str] = &[
    r#"{"type":"response.created","response":{"id":"r","output":[],"usage":null}}"#,
    r#"{"type":"response.in_progress","response":{"id":"r","output":[]}}"#,
    r#"{"type":"response.output_item.added","item":{"id":"i","type":"message","content":[]}}"#,
    r#"{"type":"response.output_text.delta","delta":"Hey"}"#,
    r#"{"type":"response.completed","response":{"id":"r","usage":{"input_tokens":11,"output_tokens":2,"total_tokens":13}}}"#,
];
const COMPLETION_CHUNKS: &[&str] = &[
    r#"{"id":"c","choices":[{"index":0,"text":"","finish_reason":null}]}"#,
    r#"{"id":"c","choices":[{"index":0,"text":"Hey","finish_reason":null}]}"#,
    r#"{"id":"c","choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":2}}"#,
];
const GEMINI_OPENING: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":""}]}}],"usageMetadata":{"promptTokenCount":29}}"#;

/// What a backend says event by event, and how many of the events come before its content.
struct Events {
    schema: SchemaName,
    events: Vec<Vec<u8>>,
    opening: usize,
    /// An error, as the API tells it within a stream.
    error: Vec<u8>,
    /// What the opening reports of the input.
    input: Option<u64>,
}

impl Events {
    fn of(schema: SchemaName, path: &str) -> Events {
        let sse = |events: &[&str]| events.iter().map(|event| named_sse(&[event]).into_bytes()).collect();
        let plain = |chunks: &[&str], end: &str| -> Vec<Vec<u8>> {
            let chunks = chunks.iter().map(|chunk| plain_sse(&[chunk]).into_bytes());
            chunks.chain((!end.is_empty()).then(|| end.into())).collect()
        };
        let done = "data: [DONE]\n\n";
        let openai = plain_sse(&[r#"{"error":{"message":"gone","type":"server_error"}}"#]).into_bytes();
        let claudes = r#"{"type":"error","error":{"type":"overloaded_error","message":"gone"}}"#;
        let (events, opening, error, input) = match schema {
            OpenAI if path == RESPONSES.0 => (
                sse(RESPONSE_EVENTS),
                3,
                named_sse(&[r#"{"type":"error","code":"server_error","message":"gone"}"#]).into_bytes(),
                None,
            ),
            OpenAI if path == "/v1/completions" => (plain(COMPLETION_CHUNKS, done), 1, openai, None),
            OpenAI => (plain(CHAT_CHUNKS, done), 1, openai, None),
            Anthropic => (sse(MESSAGE_EVENTS), 3, named_sse(&[claudes]).into_bytes(), Some(29)),
            AWSAnthropic => {
                let events = MESSAGE_EVENTS.iter().map(|event| frame(event)).collect();
                (events, 3, frame(claudes), Some(29))
            }
            AWSBedrock => {
                let events = CONVERSE_EVENTS.iter().map(|event| named_frame(event)).collect();
                (events, 1, exception("internalServerException", r#"{"message":"gone"}"#), None)
            }
            Cohere => {
                let error = r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"gone"}}"#;
                (sse(COHERE_EVENTS), 2, named_sse(&[error]).into_bytes(), None)
            }
            GCPVertexAI => {
                let events = [&[GEMINI_OPENING], GEMINI_EVENTS].concat();
                let error = r#"{"error":{"code":503,"message":"gone","status":"UNAVAILABLE"}}"#;
                (plain(&events, ""), 1, plain_sse(&[error]).into_bytes(), Some(29))
            }
            other => panic!("{other:?}"),
        };
        Events { schema, events, opening, error, input }
    }

    fn answer(&self, events: &[Vec<u8>]) -> Answer {
        let is_aws = matches!(self.schema, AWSAnthropic | AWSBedrock);
        let media_type = if is_aws { "application/vnd.amazon.eventstream" } else { "text/event-stream" };
        Answer::new(200, media_type, "").in_chunks(events.to_vec(), false)
    }

    /// Answers that fail once the opening is out, and then some of the content.
    fn failures(&self, seen: usize) -> [Answer; 4] {
        let events = &self.events[..seen];
        [
            self.answer(events),
            self.answer(events).breaks(),
            self.answer(events).then(&self.error),
            // In one piece, and within an event.
            self.answer(&[[events.concat(), self.events[seen][..9].to_vec()].concat()]),
        ]
    }
}

fn asked(schema: SchemaName, (path, body): (&str, &str), first: Answer, second: Answer) -> Outcome {
    let mut gateway = Gateway::new().backend("one", schema).backend("two", schema);
    gateway.route.repeat_until_content = true;
    gateway.post(path, body).header("accept-encoding", "gzip").answered_by(first).answered_by(second).send()
}

fn pairs() -> impl Iterator<Item = (SchemaName, (&'static str, &'static str))> {
    let schemas = [OpenAI, Anthropic, AWSAnthropic, AWSBedrock, Cohere, GCPVertexAI];
    schemas
        .into_iter()
        .flat_map(|schema| CLIENTS.iter().chain([&RESPONSES]).map(move |client| (schema, *client)))
}

#[test]
fn another_backend_says_it_and_the_client_notices_nothing() {
    for (schema, client) in pairs() {
        let it = Events::of(schema, client.0);
        let undisturbed = asked(schema, client, Answer::headers_only(503), it.answer(&it.events));
        assert_eq!((undisturbed.status, undisturbed.answer), (200, State::Complete), "{schema:?} {client:?}");
        assert!(undisturbed.record.abandoned.is_empty());
        for seen in 1..=it.opening {
            for failure in it.failures(seen) {
                let outcome = asked(schema, client, failure.clone(), it.answer(&it.events));
                let of = format!("{schema:?} {client:?} {:?}: {}", failure.chunks, outcome.text());
                assert_eq!(outcome.body, undisturbed.body, "{of}");
                assert_eq!((outcome.status, outcome.sent.len()), (200, 2), "{of}");
                assert_eq!(outcome.headers, undisturbed.headers, "{of}");
                let record = &outcome.record;
                assert_eq!((record.attempts, record.backend.as_str()), (2, "default/two"), "{of}");
                assert_eq!(record.usage_status, UsageStatus::Complete, "the answer's own: {of}");
                assert_eq!(record.usage.total(), undisturbed.record.usage.total(), "{of}");
                let [one] = record.abandoned.as_slice() else { panic!("{of}") };
                let estimated = (client.1.len() as u64).div_ceil(4);
                assert_eq!(one.backend, "default/one");
                assert_eq!(one.input_tokens, Some(it.input.unwrap_or(estimated)), "{of}");
            }
        }
    }
}

#[test]
fn what_the_client_has_content_of_ends_with_an_error() {
    for (schema, client) in pairs() {
        let it = Events::of(schema, client.0);
        let failures = it.failures(it.opening + 1);
        for failure in [&failures[0], &failures[2], &failures[3]] {
            let outcome = asked(schema, client, failure.clone(), it.answer(&it.events));
            let of = format!("{schema:?} {client:?}: {}", outcome.text());
            assert_eq!((outcome.status, outcome.sent.len(), outcome.record.attempts), (200, 1, 1), "{of}");
            assert_ne!(outcome.answer, State::None, "{of}");
            assert!(["gone", "backend"].iter().any(|word| outcome.text().contains(word)), "{of}");
        }
    }
}

#[test]
fn the_last_backend_lets_it_go_as_it_comes() {
    let it = Events::of(Anthropic, CLIENTS[1].0);
    let [ends, ..] = it.failures(it.opening);
    let outcome = asked(Anthropic, CLIENTS[1], ends.clone(), ends);
    assert_eq!((outcome.status, outcome.record.attempts), (200, 2));
    assert!(outcome.text().starts_with("event: message_start") && outcome.text().contains("event: error"));
    assert_eq!((outcome.record.usage_status, outcome.record.usage.input()), (UsageStatus::Partial, Some(29)));
    assert_eq!(outcome.record.abandoned.len(), 1);
}

#[test]
fn an_encoded_stream_waits_as_well() {
    let it = Events::of(OpenAI, CLIENTS[0].0);
    let whole = asked(OpenAI, CLIENTS[0], Answer::headers_only(503), it.answer(&it.events));
    let [ends, ..] = it.failures(it.opening);
    let outcome = asked(OpenAI, CLIENTS[0], ends.gzipped(), it.answer(&it.events).gzipped());
    assert_eq!((&outcome.body, outcome.record.attempts), (&whole.body, 2));
}

/// The proxy would not try another backend after that, so the error is the client's.
#[test]
fn what_nobody_says_anew_is_an_error_by_its_status_and_on_the_books() {
    let it = Events::of(Anthropic, CLIENTS[1].0);
    let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;
    let failure = it.answer(&it.events[..it.opening]).then(named_sse(&[error]));
    let outcome = asked(Anthropic, CLIENTS[1], failure, it.answer(&it.events));
    assert_eq!((outcome.status, outcome.error().as_str(), outcome.record.attempts), (400, "no", 1));
    assert_eq!((outcome.record.usage_status, outcome.record.usage.input()), (UsageStatus::Partial, Some(29)));
}

#[test]
fn without_the_annotation_the_first_event_is_the_clients() {
    let it = Events::of(Anthropic, CLIENTS[1].0);
    let [ends, ..] = it.failures(it.opening);
    let gateway = Gateway::new().backend("one", Anthropic).backend("two", Anthropic);
    let (path, body) = CLIENTS[1];
    let outcome = gateway.post(path, body).answered_by(ends).answered_by(it.answer(&it.events)).send();
    assert_eq!((outcome.status, outcome.record.attempts), (200, 1));
    assert!(outcome.text().contains("event: error"));
}
