//! OpenAI's API at Azure and at Bedrock: the client's bytes, at the cloud's path and with its credential.

use serde_json::json;
use weir_core::config::SchemaName::{AWSOpenAI, AzureOpenAI, OpenAI};

use crate::answer::{Answer, CHAT_CHUNKS, COMPLETION, chat_sse};
use crate::gateway::{Gateway, key_of};

const CHAT: &str = "/v1/chat/completions";

fn azure(version: Option<&str>) -> Gateway {
    let mut gateway = Gateway::new().backend("azure", AzureOpenAI);
    let backend = gateway.backend_mut("azure");
    backend.schema.version = version.map(str::to_owned);
    gateway
}

#[test]
fn azure_gets_the_clients_bytes_at_the_deployment() {
    let gateway = azure(Some("2024-10-21"));
    let body = "{ \"model\":\"gpt-4o\" , \"messages\" : [],\"odd\":1e0}";
    // Where it goes is the backend's to say, and so is the version.
    let path = format!("{CHAT}?api-version=2023-01-01&API-Version=x&trace=1");
    let call = gateway.post(&path, body).header("authorization", "Bearer client");
    let outcome = call.answered_by(Answer::json(200, COMPLETION)).send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21&trace=1");
    assert_eq!(sent.text(), body);
    assert_eq!(sent.headers.get("api-key"), Some(key_of("azure").as_str()));
    assert_eq!(sent.headers.get("authorization"), None);
    assert_eq!(outcome.text(), COMPLETION);
}

#[test]
fn azures_deployment_is_the_models_name_there() {
    let gateway = azure(Some("2024-10-21")).model("our gpt");
    let outcome = gateway
        .post(CHAT, r#"{"model":"gpt-4o","messages":[]}"#)
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/openai/deployments/our%20gpt/chat/completions?api-version=2024-10-21");
    assert_eq!(sent.json()["model"], "our gpt");

    let gateway = azure(None).model("our gpt");
    let outcome = gateway
        .post("/v1/responses", r#"{"model":"gpt-4o","input":"x"}"#)
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    assert_eq!(outcome.sent[0].path(), "/openai/v1/responses");
    assert_eq!(outcome.sent[0].json(), json!({"model": "our gpt", "input": "x"}));
}

#[test]
fn azure_is_asked_for_usage_that_the_client_does_not_see() {
    let gateway = azure(Some("2024-10-21"));
    let call = gateway.post(CHAT, r#"{"model":"gpt-4o","stream":true,"messages":[]}"#);
    let outcome = call.answered_by(Answer::sse(&chat_sse(CHAT_CHUNKS))).send();
    assert_eq!(outcome.sent[0].json()["stream_options"], json!({"include_usage": true}));
    assert!(!outcome.text().contains("total_tokens"), "{}", outcome.text());
}

#[test]
fn azures_error_passes_as_it_is() {
    let error = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}"#;
    let gateway = azure(Some("2024-10-21"));
    let outcome = gateway.post(CHAT, r#"{"model":"m"}"#).answered_by(Answer::json(404, error)).send();
    assert_eq!((outcome.status, outcome.text()), (404, error));
}

#[test]
fn bedrock_gets_a_signature_for_the_service_of_its_host() {
    for (host, scope) in [
        ("bedrock-runtime.eu-west-1.amazonaws.com", "/eu-west-1/bedrock/aws4_request"),
        ("bedrock-mantle.us-east-2.api.aws", "/us-east-2/bedrock-mantle/aws4_request"),
        ("127.0.0.1:8080", "/eu-central-1/bedrock/aws4_request"),
    ] {
        let mut gateway = Gateway::new().backend("aws", AWSOpenAI).model("openai.gpt-oss-20b-1:0");
        gateway.backend_mut("aws").hosts = vec![host.to_owned()];
        let call = gateway.post(CHAT, r#"{"model":"gpt-oss","messages":[]}"#);
        let outcome = call.answered_by(Answer::json(200, COMPLETION)).send();
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), "/openai/v1/chat/completions");
        assert_eq!(sent.json()["model"], "openai.gpt-oss-20b-1:0");
        let authorization = sent.headers.get("authorization").unwrap();
        assert!(authorization.contains(scope), "{authorization}");
        assert!(sent.headers.get("x-amz-date").is_some());
    }
}

#[test]
fn bedrocks_other_host_has_another_prefix() {
    let mut gateway = Gateway::new().backend("aws", AWSOpenAI);
    gateway.backend_mut("aws").schema.prefix = Some("v1".to_owned());
    let call = gateway.post("/v1/responses", r#"{"model":"m","input":"x"}"#);
    let outcome = call.answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.sent[0].path(), "/v1/responses");
}

/// An attempt at one place leaves nothing of it for the next.
#[test]
fn the_next_backend_gets_its_own_path_and_key() {
    let mut gateway = azure(Some("2024-10-21")).backend("gpt", OpenAI);
    gateway = gateway.model("gpt-5");
    let call = gateway.post(CHAT, r#"{"model":"m","messages":[]}"#);
    let outcome = call.answered_by(Answer::json(500, "{}")).answered_by(Answer::json(200, COMPLETION)).send();
    let sent = &outcome.sent[1];
    assert_eq!(sent.path(), CHAT);
    assert_eq!(sent.headers.get("api-key"), None);
    assert!(sent.headers.get("authorization").is_some());
}
