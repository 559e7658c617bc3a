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

/// The name of an item, or with an empty `id` what stands before that which only the backend can read.
fn item(id: &str, backend: &str) -> String {
    key().name(id, &format!("default/{backend}"), "")
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
    assert_eq!(told["output"][0]["id"], item("msg_1", "one"));
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
        json!({"type": "response.output_text.delta", "item_id": "msg_7", "delta": "\"response\""}),
        json!({"type": "response.output_item.done", "item": {"id": "msg_7", "type": "message"}}),
        json!({"type": "response.audio.delta", "response_id": "resp_1", "delta": "UklG"}),
        json!({"type": "response.completed", "response": response("completed")}),
    ];
    let stream = |named: &str, item: &str| {
        let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        let text: String = events.iter().map(event).collect();
        text.replace("resp_1", named).replace("msg_7", item)
    };
    let answer = || Answer::sse(&stream("resp_1", "msg_7"));
    let told = |gateway: &Gateway, fields: Value| ask(gateway, &fields, answer()).text().to_owned();
    let named = name("resp_1", "one");
    assert_eq!(told(&gateway(), json!({"stream": true})), stream(&named, &item("msg_7", "one")));
    // No item is kept, and where there is one backend they need no name.
    let unstored = json!({"stream": true, "store": false});
    assert_eq!(told(&gateway(), unstored), stream(&named, "msg_7"));
    let mut alone = gateway();
    alone.route.targets.pop();
    assert_eq!(told(&alone, json!({"stream": true})), stream(&named, "msg_7"));
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

/// A conversation with a thought of `backend`, as a client has it that keeps all of it itself.
fn thinking(backend: &str) -> Value {
    let encrypted = format!("{}gAAAA", item("", backend));
    json!([
        {"role": "user", "content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "o"},
    ])
}

fn opened(mut input: Value) -> Value {
    input[1]["encrypted_content"] = json!("gAAAA");
    input
}

#[test]
fn a_thought_says_whose_it_is_and_goes_there_first() {
    let gateway = gateway();
    let thought = |encrypted: String| {
        json!({"id": "resp_1", "object": "response", "status": "completed", "store": false,
               "output": [{"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": encrypted}],
               "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})
    };
    let fields = json!({"store": false, "include": ["reasoning.encrypted_content"]});
    let answer = Answer::json(200, &thought("gAAAA".to_owned()).to_string());
    let told = ask(&gateway, &fields, answer).json();
    assert_eq!(told["output"], thought(format!("{}gAAAA", item("", "one")))["output"]);

    for backend in ["one", "two"] {
        let outcome = ask(
            &gateway,
            &json!({"store": false, "input": thinking(backend)}),
            Answer::json(200, &response("r", "p")),
        );
        assert_eq!(outcome.record.backend, format!("default/{backend}"));
        assert_eq!(outcome.sent[0].json()["input"], opened(thinking(backend)));
        assert_eq!(outcome.record.losses, [""; 0]);
    }
}

/// The latest thought says where a conversation goes; others are left out there, and all of them after a failover.
#[test]
fn thoughts_of_other_backends_are_left_out() {
    let gateway = gateway();
    let without_thought = || {
        let mut input = thinking("one");
        input.as_array_mut().unwrap().remove(1);
        input
    };
    let body = json!({"model": "gpt", "input": thinking("two")}).to_string();
    let failed = gateway.post(RESPONSES, body).answered_by(Answer::json(503, "{}"));
    let outcome = failed.answered_by(Answer::json(200, &response("r", "p"))).send();
    assert_eq!(outcome.sent[0].headers.get(":authority"), Some("two.example"));
    assert_eq!(outcome.sent[1].headers.get(":authority"), Some("one.example"));
    assert_eq!(outcome.sent[1].json()["input"], without_thought());
    let loss = "input[1]: only the backend that made it can read it";
    assert_eq!(outcome.record.losses, [loss]);

    let mut mixed = thinking("one");
    mixed.as_array_mut().unwrap().extend(thinking("two").as_array().unwrap().clone());
    let fields = json!({"input": mixed});
    let outcome = ask(&gateway, &fields, Answer::json(200, &response("r", "p")));
    assert_eq!(outcome.record.backend, "default/two");
    assert_eq!(outcome.record.losses, [loss]);
    assert_eq!(outcome.sent[0].json()["input"][1], thinking("one")[2]);

    // The backend is gone, or another key was used.
    for (backend, key) in [("three", key()), ("one", Key::derived(b"other"))] {
        let mut input = thinking("one");
        let mark = key.name("", &format!("default/{backend}"), "");
        input[1]["encrypted_content"] = format!("{mark}gAAAA").into();
        let outcome = ask(&gateway, &json!({"input": input}), Answer::json(200, &response("r", "p")));
        assert_eq!(outcome.sent[0].json()["input"], without_thought());
        assert_eq!(outcome.record.losses.len(), 1);
    }

    let strict = json!({"model": "gpt", "input": thinking("three")}).to_string();
    let strict = gateway.post(RESPONSES, strict).header("x-weir-strict", "true");
    let (status, _, message) = refused(&strict.answered_by(Answer::json(200, "{}")).send());
    assert_eq!(status, 400);
    assert!(message.contains("input[1]: only the backend"), "{message}");
}

#[test]
fn an_item_is_found_where_it_is_kept() {
    let gateway = gateway();
    let reference = |id: &str, backend: &str| json!({"type": "item_reference", "id": item(id, backend)});
    let with = |items: &[Value]| {
        let mut input = vec![json!({"role": "user", "content": "x"})];
        input.extend_from_slice(items);
        ask(&gateway, &json!({"input": input}), Answer::json(200, &response("r", "p")))
    };
    for backend in ["one", "two"] {
        let outcome = with(&[reference("rs_1", backend), reference("msg_1", backend)]);
        assert_eq!(outcome.record.backend, format!("default/{backend}"));
        let sent = outcome.sent[0].json()["input"].clone();
        assert_eq!((&sent[1]["id"], &sent[2]["id"]), (&json!("rs_1"), &json!("msg_1")));
    }
    // One that is there in full leads nowhere, and has its own name again.
    let whole = json!({"type": "message", "role": "assistant", "id": item("msg_1", "two"), "content": "hi"});
    let outcome = with(std::slice::from_ref(&whole));
    assert_eq!(outcome.record.backend, "default/one");
    assert_eq!(outcome.sent[0].json()["input"][1]["id"], "msg_1");

    for (items, place, what) in [
        (
            vec![reference("a", "one"), whole, reference("b", "two")],
            "input[3].id",
            "another backend than the rest",
        ),
        (vec![reference("a", "three")], "input[1].id", "does not serve this model any more"),
        (
            vec![json!({"type": "item_reference", "id": "msg_1__kept_x"})],
            "input[1].id",
            "none that this gateway",
        ),
        (
            vec![json!({"type": "compaction", "encrypted_content": format!("{}gA", item("", "three"))})],
            "input[1].encrypted_content",
            "does not serve this model any more",
        ),
    ] {
        let (status, param, message) = refused(&with(&items));
        assert_eq!((status, param), (400, json!(place)));
        assert!(message.contains(what), "{message}");
    }
    let thought_elsewhere = json!({"previous_response_id": name("r", "one"), "input": thinking("two")});
    let outcome = ask(&gateway, &thought_elsewhere, Answer::json(200, &response("r", "p")));
    assert_eq!(outcome.record.backend, "default/one", "what is kept counts more");
    assert_eq!(outcome.record.losses.len(), 1);
}

/// A backend that is alone in its rule has the conversations of others, and those of before.
#[test]
fn items_of_other_rules_have_their_own_names_again() {
    let mut gateway = gateway();
    gateway.route.targets.pop();
    let fields = json!({"input": thinking("one")});
    let outcome = ask(&gateway, &fields, Answer::json(200, &response("r", "p")));
    assert_eq!(outcome.sent[0].json()["input"], opened(thinking("one")));
    assert_eq!(outcome.json()["output"][0]["id"], "msg_1");
}
