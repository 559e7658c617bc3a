//! What a backend keeps: later requests find it again, and no other backend gets them.

use serde_json::{Value, json};
use weir_core::config::SchemaName::{AWSOpenAI, AzureOpenAI, OpenAI, OpenAIChat};
use weir_core::kept::Key;

use crate::answer::Answer;
use crate::gateway::{Gateway, key_of};
use crate::outcome::Outcome;

const RESPONSES: &str = "/v1/responses";

fn key() -> Key {
    Key::derived(b"secret")
}

/// With two backends that keep responses, and the key.
fn gateway() -> Gateway {
    let mut gateway = Gateway::new().backend("one", OpenAI).backend("two", AzureOpenAI).model("gpt there");
    gateway.config.kept_key = Some(key());
    gateway
}

fn name(id: &str, backend: &str) -> String {
    key().name(id, &format!("default/{backend}"), "gpt")
}

fn response(id: &str, previous: &str) -> String {
    json!({
        "id": id, "object": "response", "status": "completed", "error": null, "model": "gpt-5",
        "previous_response_id": previous, "conversation": {"id": "conv_1"},
        "output": [{"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
    })
    .to_string()
}

/// A request for the model that refers to what `fields` say.
fn ask(gateway: &Gateway, fields: &Value, answer: Answer) -> Outcome {
    let mut body = json!({"model": "gpt", "input": "x"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    gateway.post(RESPONSES, body.to_string()).answered_by(answer).send()
}

fn refused(outcome: &Outcome) -> (u16, Value, String) {
    assert!(outcome.sent.is_empty(), "no backend sees it");
    let error = &outcome.json()["error"];
    (outcome.status, error["param"].clone(), error["message"].as_str().unwrap().to_owned())
}

#[test]
fn a_response_says_who_keeps_it_and_the_next_request_goes_there_alone() {
    let gateway = gateway();
    let first = ask(&gateway, &json!({}), Answer::json(200, &response("resp_1", "resp_0")));
    let told = first.json();
    assert_eq!(told["id"], name("resp_1", "one"));
    assert_eq!(told["previous_response_id"], name("resp_0", "one"));
    assert_eq!(told["conversation"]["id"], name("conv_1", "one"));
    assert_eq!(told["output"][0]["id"], "msg_1");
    assert_eq!(first.record.usage.output(), Some(4));

    for backend in ["one", "two"] {
        let fields = json!({"previous_response_id": name("resp_1", backend)});
        let next = ask(&gateway, &fields, Answer::json(200, &response("resp_2", "resp_1")));
        assert_eq!(next.record.backend, format!("default/{backend}"));
        assert_eq!(next.sent[0].json()["previous_response_id"], "resp_1");
        assert_eq!(next.json()["id"], name("resp_2", backend));
        assert_eq!(next.json()["previous_response_id"], name("resp_1", backend));
    }
}

#[test]
fn a_conversation_is_kept_in_either_form() {
    let gateway = gateway();
    let sealed = name("conv_1", "two");
    let sent = |conversation: Value| {
        let outcome =
            ask(&gateway, &json!({"conversation": conversation}), Answer::json(200, &response("r", "p")));
        assert_eq!(outcome.record.backend, "default/two");
        outcome.sent[0].json()["conversation"].clone()
    };
    assert_eq!(sent(json!(sealed)), "conv_1");
    assert_eq!(sent(json!({"x": 1, "id": sealed})), json!({"x": 1, "id": "conv_1"}));
}

#[test]
fn names_of_before_pass_as_they_are() {
    let fields = json!({"previous_response_id": "resp_1", "conversation": null});
    let outcome = ask(&gateway(), &fields, Answer::json(200, &response("resp_2", "resp_1")));
    assert_eq!(outcome.sent[0].json()["previous_response_id"], "resp_1");

    let mut without = gateway();
    without.config.kept_key = None;
    let answer = response("resp_2", "resp_1");
    let outcome = ask(&without, &fields, Answer::json(200, &answer));
    assert_eq!(outcome.text(), answer, "byte for byte");
}

#[test]
fn what_nobody_keeps_is_refused() {
    let gateway = gateway();
    let of =
        |name: &str| refused(&ask(&gateway, &json!({"previous_response_id": name}), Answer::json(200, "{}")));
    let gone = of(&name("resp_1", "three"));
    assert_eq!((gone.0, &gone.1), (400, &json!("previous_response_id")));
    assert!(gone.2.contains("a backend that does not serve this model any more"), "{}", gone.2);
    for forged in [
        Key::derived(b"other").name("resp_1", "default/one", "gpt"),
        name("resp_1", "one").replace("resp_1", "resp_2"),
    ] {
        let forged = of(&forged);
        assert_eq!((forged.0, &forged.1), (400, &json!("previous_response_id")));
        assert!(forged.2.ends_with("none that this gateway has given"), "{}", forged.2);
    }
    let both = json!({"previous_response_id": name("r", "one"), "conversation": name("c", "two")});
    let both = refused(&ask(&gateway, &both, Answer::json(200, "{}")));
    assert_eq!((both.0, both.1), (400, json!("conversation")));
}

/// The backend is there still, but not in the rule: every way there is leads to another.
#[test]
fn a_backend_that_left_the_rule_is_gone() {
    let mut gateway = gateway();
    gateway.route.targets.pop();
    let fields = json!({"previous_response_id": name("resp_1", "two")});
    let (status, param, message) = refused(&ask(&gateway, &fields, Answer::json(200, "{}")));
    assert_eq!((status, param), (400, json!("previous_response_id")));
    assert!(message.contains("does not serve this model any more"), "{message}");
    let path = format!("{RESPONSES}/{}", name("resp_1", "two"));
    let outcome = gateway.get(&path).answered_by(Answer::json(200, "{}")).send();
    assert_eq!(refused(&outcome).0, 404);
}

#[test]
fn every_event_with_a_response_has_its_name() {
    let response =
        |status: &str| json!({"id": "resp_1", "object": "response", "status": status, "usage": null});
    let events = [
        json!({"type": "response.created", "response": response("in_progress")}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "delta": "\"response\""}),
        json!({"type": "response.audio.delta", "response_id": "resp_1", "delta": "UklG"}),
        json!({"type": "response.completed", "response": response("completed")}),
    ];
    let stream = |named: &str| {
        let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        let text: String = events.iter().map(event).collect();
        text.replace("resp_1", named)
    };
    let outcome = ask(&gateway(), &json!({"stream": true}), Answer::sse(&stream("resp_1")));
    assert_eq!(outcome.text(), stream(&name("resp_1", "one")));
}

#[test]
fn what_is_stored_is_asked_for_where_it_is() {
    let gateway = gateway();
    let stored = format!("{RESPONSES}/{}", name("resp_1", "two"));
    for (method, behind, there) in [
        ("GET", "?include=reasoning.encrypted_content", "?include=reasoning.encrypted_content"),
        ("DELETE", "", ""),
        ("POST", "/cancel", "/cancel"),
        ("GET", "/input_items?limit=2", "/input_items?limit=2"),
    ] {
        let answer = response("resp_1", "resp_0");
        let call = gateway.post(&format!("{stored}{behind}"), "").header(":method", method);
        let call = call.without("content-type").header("content-length", "0");
        let outcome = call.answered_by(Answer::json(200, &answer)).send();
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), format!("/openai/v1/responses/resp_1{there}"));
        assert_eq!(sent.headers.get(":method"), Some(method));
        assert_eq!(sent.headers.get("api-key"), Some(key_of("two").as_str()));
        assert_eq!((sent.headers.get("content-type"), sent.body.len()), (None, 0));
        assert_eq!(outcome.json()["id"], name("resp_1", "two"));
        assert_eq!(outcome.record.original_model, "gpt");
        assert_eq!((outcome.record.usage.total(), outcome.costs.len()), (None, 0), "it was charged before");
    }
}

#[test]
fn a_response_that_failed_can_be_read() {
    let failed = json!({"id": "r", "status": "failed", "error": {"code": "server_error", "message": "no"}});
    let path = format!("{RESPONSES}/{}", name("r", "one"));
    let outcome = gateway().get(&path).answered_by(Answer::json(200, &failed.to_string())).send();
    assert_eq!((outcome.status, &outcome.json()["status"]), (200, &json!("failed")));
}

#[test]
fn a_name_in_a_path_that_says_nothing_is_unknown() {
    let gateway = gateway();
    let forged = Key::derived(b"other").name("resp_1", "default/one", "gpt");
    for name in ["resp_1", forged.as_str()] {
        let call = gateway.get(&format!("{RESPONSES}/{name}")).answered_by(Answer::json(200, "{}"));
        assert_eq!(refused(&call.send()).0, 404, "{name}");
    }
    let put = gateway.post(&format!("{RESPONSES}/x"), "{}").header(":method", "PUT");
    let outcome = put.send();
    assert_eq!((outcome.status, outcome.headers.get("allow")), (405, Some("GET, DELETE")));
}

#[test]
fn no_second_attempt_goes_to_another_backend() {
    let gateway = gateway();
    let fields = json!({"model": "gpt", "input": "x", "previous_response_id": name("resp_1", "two")});
    let call = gateway.post(RESPONSES, fields.to_string());
    let call = call.answered_by(Answer::json(500, "{}")).answered_by(Answer::json(200, &response("r", "p")));
    let outcome = call.send();
    for sent in &outcome.sent {
        assert_eq!(sent.headers.get(":authority"), Some("two.example"));
    }
}

#[test]
fn a_compaction_goes_where_its_response_is() {
    let body = json!({"model": "gpt", "previous_response_id": name("resp_1", "one")});
    let answer = json!({"id": "resp_2", "object": "response.compaction", "output": [],
                        "usage": {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}});
    let gateway = gateway();
    let call = gateway.post(&format!("{RESPONSES}/compact"), body.to_string());
    let outcome = call.answered_by(Answer::json(200, &answer.to_string())).send();
    assert_eq!(outcome.sent[0].path(), "/v1/responses/compact");
    assert_eq!(outcome.sent[0].json()["previous_response_id"], "resp_1");
    assert_eq!((outcome.record.backend.as_str(), outcome.record.usage.total()), ("default/one", Some(11)));
}

#[test]
fn what_is_signed_is_signed_for_its_method() {
    let mut gateway = Gateway::new().backend("aws", AWSOpenAI);
    gateway.config.kept_key = Some(key());
    let path = format!("{RESPONSES}/{}", name("resp_1", "aws"));
    let signature = |method: &str| {
        let call = gateway.post(&path, "").header(":method", method);
        let outcome = call.answered_by(Answer::json(200, &response("resp_1", "p"))).send();
        assert_eq!(outcome.sent[0].path(), "/openai/v1/responses/resp_1");
        outcome.sent[0].headers.get("authorization").unwrap().to_owned()
    };
    assert_ne!(signature("GET"), signature("DELETE"));
}

#[test]
fn where_nothing_is_kept_nothing_is_named() {
    let mut gateway = Gateway::new().backend("chat", OpenAIChat);
    gateway.config.kept_key = Some(key());
    let fields = json!({"previous_response_id": name("resp_1", "chat")});
    let outcome = ask(&gateway, &fields, Answer::json(200, "{}"));
    let (status, param, _) = refused(&outcome);
    assert_eq!((status, param), (400, json!("previous_response_id")));
    let path = format!("{RESPONSES}/{}", name("resp_1", "chat"));
    let outcome = gateway.get(&path).answered_by(Answer::json(200, "{}")).send();
    assert_eq!(outcome.status, 422);
}
