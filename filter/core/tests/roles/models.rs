//! The lists of models, which the gateway answers itself.

use serde_json::json;
use weir_core::config::Model;
use weir_core::usage::record::UsageStatus;

use crate::gateway::Gateway;

fn gateway() -> Gateway {
    let mut gateway = Gateway::new();
    let model = |id: &str, host: &[&str]| Model {
        id: id.to_owned(),
        owned_by: "team".to_owned(),
        created: 1_700_000_000,
        hostnames: host.iter().map(ToString::to_string).collect(),
        headers: Vec::new(),
    };
    gateway.config.models =
        vec![model("qwen3", &[]), model("claude", &[]), model("secret", &["inner.example"])];
    gateway
}

#[test]
fn each_api_gets_the_list_in_its_own_shape() {
    let gateway = gateway();
    let openai = gateway.get("/v1/models?limit=3").send();
    assert_eq!((openai.status, openai.json()["object"].as_str()), (200, Some("list")));
    let ids: Vec<_> =
        openai.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["qwen3", "claude"]);

    let anthropic = gateway.get("/anthropic/v1/models").send();
    assert_eq!(anthropic.json()["first_id"], "qwen3");
    assert_eq!(anthropic.json()["data"][0]["type"], "model");
    assert_eq!(anthropic.record.usage_status, UsageStatus::None);
    assert_eq!((anthropic.record.endpoint, anthropic.record.status), ("models", 200));

    let inner = gateway.get("/v1/models").header(":authority", "inner.example:80").send();
    assert_eq!(inner.json()["data"][0]["id"], "secret");
    // The proxy leaves out the body.
    assert_eq!(gateway.get("/v1/models").header(":method", "HEAD").send().status, 200);
}

#[test]
fn a_model_is_told_by_its_name() {
    let mut gateway = gateway();
    let named = |id: &str| Model { id: id.to_owned(), ..gateway.config.models[0].clone() };
    let more = [named("Qwen/Qwen3-1.7B"), named("100%25"), named("a b?c")];
    gateway.config.models.extend(more);
    for (path, id) in [
        ("qwen3", "qwen3"),
        ("qwen3?x=y", "qwen3"),
        ("Qwen/Qwen3-1.7B", "Qwen/Qwen3-1.7B"),
        ("Qwen%2FQwen3-1.7B", "Qwen/Qwen3-1.7B"),
        ("Qwen%2fQwen3%2D1.7B", "Qwen/Qwen3-1.7B"),
        ("100%25", "100%25"),
        ("100%2525", "100%25"),
        ("a%20b%3Fc", "a b?c"),
    ] {
        let openai = gateway.get(&format!("/v1/models/{path}")).send();
        assert_eq!(openai.status, 200, "{path}: {}", openai.text());
        let expected = json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "team"});
        assert_eq!(openai.json(), expected);
        let anthropic = gateway.get(&format!("/anthropic/v1/models/{path}")).send();
        assert_eq!((&anthropic.json()["id"], &anthropic.json()["type"]), (&json!(id), &json!("model")));
        assert_eq!((anthropic.record.endpoint, anthropic.record.status), ("models", 200));
        let head = gateway.get(&format!("/v1/models/{path}")).header(":method", "HEAD").send();
        assert_eq!(head.status, 200);
    }
    for path in ["gpt-9", "secret", "qwen3/", "%FF", "Qwen%252FQwen3-1.7B"] {
        let openai = gateway.get(&format!("/v1/models/{path}")).send();
        assert_eq!(
            (openai.status, &openai.json()["error"]["code"]),
            (404, &json!("model_not_found")),
            "{path}"
        );
        let anthropic = gateway.get(&format!("/anthropic/v1/models/{path}")).send();
        assert_eq!(anthropic.status, 404);
        assert_eq!(anthropic.json()["error"]["type"], "not_found_error");
        assert!(anthropic.error().contains("GET /anthropic/v1/models lists"));
    }
    assert!(gateway.get("/v1/models/gpt-9").send().error().contains("gpt-9"));
    let inner = gateway.get("/v1/models/secret").header(":authority", "inner.example").send();
    assert_eq!(inner.status, 200);
    // No name: no path.
    for path in ["/v1/models/", "/anthropic/v1/models/"] {
        let outcome = gateway.get(path).send();
        assert_eq!(outcome.status, 404);
        assert!(outcome.error().contains("unknown path"));
    }
}

#[test]
fn other_methods_are_refused_with_the_one_that_is_right() {
    let gateway = gateway();
    for path in ["/v1/models", "/v1/models/qwen3", "/anthropic/v1/models/qwen3"] {
        for method in ["POST", "DELETE"] {
            let outcome = gateway.get(path).header(":method", method).send();
            assert_eq!((outcome.status, outcome.headers.get("allow")), (405, Some("GET")), "{method}");
            outcome.error();
        }
    }
    let outcome = gateway.get("/v1/chat/completions").header(":method", "HEAD").send();
    assert_eq!((outcome.status, outcome.headers.get("allow")), (405, Some("POST")));
}
