//! Whole exchanges, each in a file of `tests/fixtures/exchanges`: what a client asks for, what the backend gets, what
//! that answers, and what the client gets.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use weir_core::config::SchemaName;
use weir_core::endpoint::{ClientApi, Endpoint};
use weir_core::wire::Framing;

use crate::answer::{Answer, chat_sse, named_sse, plain_sse};
use crate::gateway::Gateway;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    request: Request,
    backend: Backend,
    sent: Request,
    answer: Response,
    answered: Response,
    /// What could not be carried over, there or back.
    #[serde(default)]
    losses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    path: String,
    /// `null` for one that is not there.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    body: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    schema: SchemaName,
    /// Its name for the model, where that is another than the client's.
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
    /// The body, where it is no JSON.
    text: Option<String>,
    /// The body, where it is a stream. Converse's events have their names around them.
    events: Option<Vec<Value>>,
}

fn ok() -> u16 {
    200
}

#[test]
fn whole_exchanges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/exchanges");
    let cases = weir_test_platform::list(&folder).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let text = weir_test_platform::read(&case).unwrap();
        let exchange = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        run(&case.file_name().unwrap().to_string_lossy(), &exchange);
    }
}

fn run(name: &str, exchange: &Exchange) {
    let Exchange { request, backend, sent, answer, answered, losses } = exchange;
    let mut gateway = Gateway::new().backend("backend", backend.schema);
    if let Some(model) = &backend.model {
        gateway = gateway.model(model);
    }
    let call = gateway.post(&request.path, request.body.to_string());
    let call = request.headers.iter().fold(call, |call, (name, value)| match value {
        Some(value) => call.header(name, value),
        None => call.without(name),
    });
    let outcome = call.answered_by(answer_of(answer, backend.schema)).send();

    let [found] = &outcome.sent[..] else { panic!("{name}: {}", outcome.text()) };
    assert_eq!(found.path(), sent.path, "{name}");
    same(&found.json(), &sent.body, &format!("{name}: sent"));
    for (header, value) in &sent.headers {
        assert_eq!(found.headers.get(header), value.as_deref(), "{name}: {header}");
    }
    assert_eq!(outcome.status, answered.status, "{name}: {}", outcome.text());
    for (header, value) in &answered.headers {
        assert_eq!(outcome.headers.get(header), Some(value.as_str()), "{name}: {header}");
    }
    match (&answered.events, &answered.text) {
        (Some(events), _) => assert_eq!(outcome.text(), stream(events, &request.path), "{name}"),
        (None, Some(text)) => assert_eq!(outcome.text(), text, "{name}"),
        (None, None) => same(&outcome.json(), &answered.body, &format!("{name}: answered")),
    }
    assert_eq!(&outcome.record.losses, losses, "{name}");
}

/// What the backend answers, in its schema's framing.
fn answer_of(answer: &Response, schema: SchemaName) -> Answer {
    let written = match (&answer.events, &answer.text) {
        (Some(events), _) => {
            let events: Vec<String> = events.iter().map(|event| event_of(event, schema)).collect();
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            match schema.schema().framing() {
                // It has no last word.
                Framing::Sse if schema == SchemaName::GCPVertexAI => Answer::sse(&plain_sse(&events)),
                Framing::AwsNamed => Answer::named_frames(&events),
                Framing::AwsWrapped => Answer::frames(&events),
                Framing::Sse => Answer::sse(&chat_sse(&events)),
            }
        }
        (None, Some(text)) => Answer::new(answer.status, "text/plain", text),
        (None, None) => Answer::json(answer.status, &answer.body.to_string()),
    };
    answer.headers.iter().fold(written, |answer, (name, value)| answer.header(name, value))
}

fn same(found: &Value, expected: &Value, what: &str) {
    assert!(found == expected, "{what}: {found:#}\nand not: {expected:#}");
}

/// An event as [`Answer`] takes it: one of Converse's with its name before it.
fn event_of(event: &Value, schema: SchemaName) -> String {
    match (schema.schema().framing(), event.as_object().and_then(|named| named.iter().next())) {
        (Framing::AwsNamed, Some((name, event))) => format!("{name} {event}"),
        _ => event.to_string(),
    }
}

/// A stream as a client gets it that asks at `path`.
fn stream(events: &[Value], path: &str) -> String {
    let events: Vec<String> = events.iter().map(Value::to_string).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    match Endpoint::of_path(path).map(|endpoint| (endpoint, endpoint.client_api())) {
        // It is both named and done.
        Some((Endpoint::CohereChat, _)) => format!("{}data: [DONE]\n\n", named_sse(&events)),
        Some((Endpoint::Responses, _) | (_, ClientApi::Anthropic)) => named_sse(&events),
        Some((_, ClientApi::Gemini)) => plain_sse(&events),
        Some((_, ClientApi::OpenAi | ClientApi::Cohere)) | None => chat_sse(&events),
    }
}
