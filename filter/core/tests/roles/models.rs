//! The lists of models, which the gateway answers itself.

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
fn other_methods_are_refused_with_the_one_that_is_right() {
    let gateway = gateway();
    for method in ["POST", "DELETE"] {
        let outcome = gateway.get("/v1/models").header(":method", method).send();
        assert_eq!((outcome.status, outcome.headers.get("allow")), (405, Some("GET")), "{method}");
        outcome.error();
    }
}
