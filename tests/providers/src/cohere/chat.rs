//! What Cohere's models answer.

use serde_json::{Value, json};

use super::{list, thinks};
use crate::answer::{self, Answer};
use crate::object::with;
use crate::server::Ask;
use crate::text::{self, End, Said};

/// Pieces a tool's arguments are streamed in.
const ARGUMENT_PIECES: usize = 3;

/// What is thought before an answer, or planned before a call.
const THOUGHT: &str = "The user greets me, so I greet back.";
const PLAN: &str = "I will use each of the tools.";

/// An answer before it is written, whole or as events.
struct Reply {
    thoughts: Option<&'static str>,
    plan: Option<&'static str>,
    said: Option<Said>,
    citations: Vec<Value>,
    calls: Vec<Value>,
    finish: &'static str,
    usage: Value,
}

/// A text, or calls of all tools where the request forces one.
pub(super) fn answer(ask: &Ask<'_>, body: &Value) -> Answer {
    let reply = reply(ask, body);
    let id = format!("chat-{}-{}", ask.name, ask.id);
    let with_logprobs = body.get("logprobs").is_some_and(|logprobs| logprobs == true);
    if body.get("stream").is_some_and(|stream| stream == true) {
        let events = events(&id, &reply, with_logprobs);
        let mut events: Vec<String> = events
            .iter()
            .map(|event| answer::event(event.get("type").and_then(Value::as_str), event))
            .collect();
        events.push("data: [DONE]\n\n".to_owned());
        Answer::events(events, ask.pace)
    } else {
        Answer::json(200, &whole(&id, &reply, with_logprobs))
    }
}

fn reply(ask: &Ask<'_>, body: &Value) -> Reply {
    let tools = list(body, "tools");
    let is_forced = body.get("tool_choice").is_some_and(|choice| choice == "REQUIRED");
    let input: u64 = list(body, "messages").iter().map(text::content_words).sum();
    let usage = |output: u64| {
        let tokens = json!({"input_tokens": input, "output_tokens": output});
        json!({"billed_units": tokens, "tokens": tokens, "cached_tokens": 0})
    };
    if is_forced {
        let call = |(number, tool): (usize, &Value)| {
            let function = tool.get("function").unwrap_or(&Value::Null);
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            let arguments = text::sample(function.get("parameters").unwrap_or(&Value::Null)).to_string();
            let id = format!("{name}_{}_{number}", ask.id);
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        };
        let calls: Vec<Value> = tools.iter().enumerate().map(call).collect();
        let arguments =
            |call: &Value| call.pointer("/function/arguments").and_then(Value::as_str).map_or(0, text::words);
        let output = calls.iter().map(arguments).sum();
        let thoughts = thinks(body).then_some(PLAN);
        return Reply {
            thoughts,
            plan: Some(PLAN).filter(|_| thoughts.is_none()),
            said: None,
            citations: Vec::new(),
            calls,
            finish: "TOOL_CALL",
            usage: usage(output),
        };
    }
    let sentence = text::sentence(ask.name, ask.words);
    let wanted = match body.get("response_format") {
        Some(format) if format.get("json_schema").is_some() => {
            text::sample(format.get("json_schema").unwrap_or(&Value::Null)).to_string()
        }
        Some(format) if format.get("type").is_some_and(|kind| kind == "json_object") => {
            json!({"answer": sentence}).to_string()
        }
        _ => sentence,
    };
    let stops = list(body, "stop_sequences").iter().filter_map(Value::as_str).map(str::to_owned);
    let limit = body.get("max_tokens").and_then(Value::as_u64);
    let said = text::say(&wanted, limit, &stops.collect::<Vec<_>>());
    let finish = match said.end {
        End::Done => "COMPLETE",
        End::Limit => "MAX_TOKENS",
        End::Stop(_) => "STOP_SEQUENCE",
    };
    Reply {
        thoughts: thinks(body).then_some(THOUGHT),
        plan: None,
        usage: usage(said.tokens() as u64),
        citations: list(body, "documents").iter().enumerate().map(cited).collect(),
        said: Some(said),
        calls: Vec::new(),
        finish,
    }
}

/// A citation of the first word by a document of the request, of which each is text or has members.
fn cited((number, document): (usize, &Value)) -> Value {
    let document = match document.get("data") {
        Some(data) => data.clone(),
        None => json!({"text": document}),
    };
    let source = json!({"type": "document", "id": format!("doc:{number}"), "document": document});
    json!({"start": 0, "end": 5, "text": "Hello", "sources": [source], "content_index": 0, "type": "TEXT_CONTENT"})
}

/// Token ids are anything: nobody looks them up.
fn logprob(piece: &str) -> Value {
    json!({"text": piece, "token_ids": [7], "logprobs": [-0.5]})
}

fn whole(id: &str, reply: &Reply, with_logprobs: bool) -> Value {
    let mut content = Vec::new();
    content.extend(reply.thoughts.map(|thinking| json!({"type": "thinking", "thinking": thinking})));
    content.extend(reply.said.as_ref().map(|said| json!({"type": "text", "text": said.text()})));
    let mut message = json!({"role": "assistant"});
    for (name, value) in [
        ("content", Some(json!(content)).filter(|_| !content.is_empty())),
        ("tool_plan", reply.plan.map(Value::from)),
        ("tool_calls", Some(json!(reply.calls)).filter(|_| !reply.calls.is_empty())),
        ("citations", Some(json!(reply.citations)).filter(|_| !reply.citations.is_empty())),
    ] {
        if let Some(value) = value {
            message = with(message, json!({name: value}));
        }
    }
    let mut answer =
        json!({"id": id, "finish_reason": reply.finish, "message": message, "usage": reply.usage});
    if let Some(said) = reply.said.as_ref().filter(|_| with_logprobs) {
        let logprobs: Vec<Value> = said.pieces.iter().map(|piece| logprob(piece)).collect();
        answer = with(answer, json!({"logprobs": logprobs}));
    }
    answer
}

/// <https://docs.cohere.com/docs/streaming>
fn events(id: &str, reply: &Reply, with_logprobs: bool) -> Vec<Value> {
    let mut events = vec![json!({"id": id, "type": "message-start", "delta": {"message": {
        "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}})];
    let mut blocks = 0;
    let mut block = |kind: &str, pieces: &[String], citations: &[Value], events: &mut Vec<Value>| {
        let index = blocks;
        blocks += 1;
        let of = |event: &str, content: Value| json!({"type": event, "index": index, "delta": {"message": {"content": content}}});
        events.push(of("content-start", json!({"type": kind, kind: ""})));
        for piece in pieces {
            let event = of("content-delta", json!({kind: piece}));
            let is_told = with_logprobs && kind == "text";
            events.push(if is_told { with(event, json!({"logprobs": logprob(piece)})) } else { event });
        }
        for (number, citation) in citations.iter().enumerate() {
            events.push(json!({"type": "citation-start", "index": number, "delta": {"message": {"citations": citation}}}));
            events.push(json!({"type": "citation-end", "index": number}));
        }
        events.push(json!({"type": "content-end", "index": index}));
    };
    if let Some(thoughts) = reply.thoughts {
        block("thinking", &text::split(thoughts, ARGUMENT_PIECES), &[], &mut events);
    }
    if let Some(said) = &reply.said {
        block("text", &said.pieces, &reply.citations, &mut events);
    }
    let plan = |piece| json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}});
    events.extend(reply.plan.iter().flat_map(|plan| text::split(plan, ARGUMENT_PIECES)).map(plan));
    for (index, call) in reply.calls.iter().enumerate() {
        let of = |event: &str, call: Value| json!({"type": event, "index": index, "delta": {"message": {"tool_calls": call}}});
        let arguments = call.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
        let name = call.pointer("/function/name").unwrap_or(&Value::Null);
        let begun = with(call.clone(), json!({"function": {"name": name, "arguments": ""}}));
        events.push(of("tool-call-start", begun));
        let pieces = text::split(arguments, ARGUMENT_PIECES).into_iter();
        events.extend(pieces.map(|piece| of("tool-call-delta", json!({"function": {"arguments": piece}}))));
        events.push(json!({"type": "tool-call-end", "index": index}));
    }
    events
        .push(json!({"type": "message-end", "delta": {"finish_reason": reply.finish, "usage": reply.usage}}));
    events
}
