//! Clients of OpenAI's older completions before what only holds conversations.

use serde_json::{Value, json};
use weir_core::config::SchemaName::{
    AWSBedrock, AWSOpenAI, Anthropic, Cohere, GCPVertexAI, OpenAI, OpenAIChat,
};
use weir_core::usage::record::UsageStatus;

use crate::answer::{
    Answer, CHAT_CHUNKS, COHERE_EVENTS, CONVERSE_EVENTS, GEMINI_EVENTS, MESSAGE_EVENTS, chat_sse, named_sse,
    plain_sse,
};
use crate::gateway::Gateway;

const PATH: &str = "/v1/completions";
const BODY: &str = r#"{"model":"m","prompt":"Once"}"#;
const STREAM: &str = r#"{"model":"m","prompt":"Once","stream":true}"#;
const STREAM_WITH_USAGE: &str =
    r#"{"model":"m","prompt":"Once","stream":true,"stream_options":{"include_usage":true}}"#;

#[test]
fn a_prompt_is_a_message_where_there_is_nothing_but_chat() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"upon"}],"stop_reason":"max_tokens","usage":{"input_tokens":9,"output_tokens":4}}"#;
    let gateway = Gateway::new().backend("claude", Anthropic);
    let outcome = gateway.post(PATH, BODY).answered_by(Answer::json(200, answer)).send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/v1/messages");
    let said = json!([{"role": "user", "content": [{"type": "text", "text": "Once"}]}]);
    assert_eq!(sent.json()["messages"], said);
    let told = outcome.json();
    assert_eq!((&told["object"], &told["choices"][0]["text"]), (&json!("text_completion"), &json!("upon")));
    assert_eq!(told["choices"][0]["finish_reason"], "length");
    assert_eq!(told["usage"]["total_tokens"], 13);
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(9), Some(4)));
}

#[test]
fn servers_that_have_completions_get_the_bytes() {
    let answer = r#"{"id":"c","object":"text_completion","created":1,"model":"q","choices":[{"index":0,"text":"upon","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;
    let body = r#"{"model":"m", "prompt":[[1,2],[3]], "echo":true}"#;
    for schema in [OpenAI, OpenAIChat] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway.post(PATH, body).answered_by(Answer::json(200, answer)).send();
        assert_eq!((outcome.sent[0].path(), outcome.sent[0].text()), (PATH, body));
        assert_eq!(outcome.text(), answer);
    }
}

#[test]
fn a_stream_tells_usage_if_it_is_asked_for() {
    for (schema, answer) in [
        (AWSOpenAI, Answer::sse(&chat_sse(CHAT_CHUNKS))),
        (Anthropic, Answer::sse(&named_sse(MESSAGE_EVENTS))),
        (GCPVertexAI, Answer::sse(&plain_sse(GEMINI_EVENTS))),
        (AWSBedrock, Answer::named_frames(CONVERSE_EVENTS)),
        (Cohere, Answer::sse(&named_sse(COHERE_EVENTS))),
    ] {
        for (body, is_asked) in [(STREAM, false), (STREAM_WITH_USAGE, true)] {
            let gateway = Gateway::new().backend("b", schema).model("gemini-2.5-pro");
            let outcome = gateway.post(PATH, body).answered_by(answer.clone()).send();
            assert_eq!(outcome.headers.media_type(), "text/event-stream");
            let mut events = outcome.events();
            assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{schema:?}: {}", outcome.text());
            let mut chunks: Vec<Value> =
                events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
            let record = &outcome.record;
            if is_asked {
                let usage = chunks.pop().unwrap()["usage"].take();
                assert_eq!(usage["prompt_tokens"].as_u64(), record.usage.input());
                assert_eq!(usage["completion_tokens"].as_u64(), record.usage.output());
            }
            assert!(
                chunks
                    .iter()
                    .all(|chunk| chunk["object"] == "text_completion" && chunk.get("usage").is_none())
            );
            assert!(
                chunks
                    .iter()
                    .any(|chunk| chunk["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty()))
            );
            assert!(chunks.last().unwrap()["choices"][0]["finish_reason"].is_string());
            assert_eq!(record.usage_status, UsageStatus::Complete);
        }
    }
}

#[test]
fn several_prompts_and_tokens_are_refused_by_their_name() {
    for prompt in [json!(["a", "b"]), json!([1, 2]), json!([[1], [2]])] {
        let body = json!({"model": "m", "prompt": prompt}).to_string();
        let gateway = Gateway::new().backend("claude", Anthropic);
        let outcome = gateway.post(PATH, body).answered_by(Answer::headers_only(500)).send();
        assert_eq!((outcome.status, outcome.sent.len()), (422, 0));
        assert!(outcome.error().contains("prompt: the model takes"), "{}", outcome.text());
        assert_eq!(outcome.json()["error"]["param"], "prompt");
    }
}
