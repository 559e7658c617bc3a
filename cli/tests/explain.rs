//! `weir explain`, from resources to what is printed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics fails")]

use std::process::{Command, Output};

const RESOURCES: &str = r#"
kind: GatewayClass
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: weir}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
kind: Gateway
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: ai}
spec:
  gatewayClassName: weir
  listeners: [{name: http, protocol: HTTP, port: 1975}]
---
kind: AIGatewayRoute
apiVersion: aigateway.envoyproxy.io/v1alpha1
metadata: {name: models}
spec:
  parentRefs: [{name: ai}]
  rules:
  - matches: [{headers: [{name: x-ai-eg-model, value: llama}, {name: x-team, value: red}]}]
    backendRefs: [{name: claude}]
  - matches: [{headers: [{name: x-ai-eg-model, value: claude}]}]
    backendRefs: [{name: bedrock, priority: 1, modelNameOverride: "anthropic.claude-sonnet-4-5-20250929-v1:0"}, {name: claude}]
  llmRequestCosts: [{metadataKey: tokens, type: TotalToken}]
---
kind: AIServiceBackend
apiVersion: aigateway.envoyproxy.io/v1alpha1
metadata: {name: claude}
spec:
  schema: {name: Anthropic}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: claude}
---
kind: AIServiceBackend
apiVersion: aigateway.envoyproxy.io/v1alpha1
metadata: {name: bedrock}
spec:
  schema: {name: AWSBedrock}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: bedrock}
---
kind: BackendSecurityPolicy
apiVersion: aigateway.envoyproxy.io/v1alpha1
metadata: {name: bedrock-auth}
spec:
  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: bedrock}]
  type: AWSCredentials
  awsCredentials: {region: us-east-1, credentialsFile: {secretRef: {name: aws}}}
---
kind: Secret
apiVersion: v1
metadata: {name: aws}
stringData: {credentials: "[default]\naws_access_key_id = AKIDHIDDEN\naws_secret_access_key = hidden\n"}
---
kind: Backend
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: claude}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 8000}}]}
---
kind: Backend
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: bedrock}
spec: {endpoints: [{fqdn: {hostname: bedrock-runtime.us-east-1.amazonaws.com, port: 443}}]}
---
kind: BackendTrafficPolicy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: budget}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: ai}]
  rateLimit:
    type: Global
    global:
      rules:
      - clientSelectors: [{headers: [{name: x-user-id, type: Distinct}]}]
        limit: {requests: 10000, unit: Hour}
        cost:
          request: {from: Number, number: 0}
          response: {from: Metadata, metadata: {namespace: io.envoy.ai_gateway, key: tokens}}
"#;

/// Runs it on a request; what it printed, and its exit code.
fn explain(body: &str, options: &[&str]) -> (String, i32) {
    let dir = tempfile::tempdir().unwrap();
    let (resources, request) = (dir.path().join("resources.yaml"), dir.path().join("request.json"));
    std::fs::write(&resources, RESOURCES).unwrap();
    std::fs::write(&request, body).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["explain", "-f"]).arg(&resources).args(options);
    if !body.is_empty() {
        command.arg(&request);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let printed = String::from_utf8(stdout).unwrap();
    for text in [&printed, &String::from_utf8(stderr).unwrap()] {
        for secret in ["AKIDHIDDEN", "hidden", "sk-client"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    (printed, status.code().unwrap())
}

#[test]
fn a_request_with_two_backends() {
    let body = r#"{"model": "claude", "seed": 7, "messages": [{"role": "user", "content": "Hi"}]}"#;
    let (printed, code) = explain(body, &["-H", "x-user-id: me", "-H", "Authorization: Bearer sk-client"]);
    assert_eq!(code, 0, "{printed}");
    insta::assert_snapshot!(printed);
}

#[test]
fn what_no_rule_takes() {
    let request =
        |model: &str| format!(r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi"}}]}}"#);
    let (printed, code) = explain(&request("clade"), &[]);
    assert!(printed.contains("did you mean `claude`?"), "{printed}");
    assert_eq!(code, 1);
    let (printed, code) = explain(&request("llama"), &[]);
    assert!(printed.contains("want more than the model"), "{printed}");
    assert_eq!(code, 1);
    let (printed, code) = explain(&request("llama"), &["-H", "x-team: red"]);
    assert!(printed.contains("because   x-ai-eg-model is llama\n          x-team is red\n"), "{printed}");
    assert_eq!(code, 0);
}

#[test]
fn what_the_gateway_answers_itself() {
    let (printed, code) = explain("", &["--path", "/v1/models"]);
    assert!(printed.contains("\"id\": \"claude\""), "{printed}");
    assert_eq!(code, 0);
    for (body, path, answer) in [
        ("{}", "/v1/nothing", "unknown path /v1/nothing"),
        ("{\"model\": 5}", "/v1/chat/completions", "malformed request for /v1/chat/completions"),
        (
            "{\"model\": \"claude\", \"input\": \"a\"}",
            "/v1/embeddings",
            "cannot be sent to a backend of schema",
        ),
    ] {
        let (printed, code) = explain(body, &["--path", path]);
        assert!(printed.contains(answer), "{printed}");
        assert_eq!(code, 1, "{printed}");
    }
}

#[test]
fn programs_get_json() {
    let body = r#"{"model": "claude", "messages": [{"role": "user", "content": "Hi"}]}"#;
    let (printed, _) = explain(body, &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let names: Vec<_> = told["backends"].as_array().unwrap().iter().map(|backend| &backend["name"]).collect();
    assert_eq!(names, ["default/claude", "default/bedrock"], "in the order in which they are tried");
    assert_eq!(told["backends"][0]["request"]["body"]["messages"][0]["content"][0]["text"], "Hi");
}
