//! The resources and options that are rendered.

use super::*;
use crate::resources::{Platform, Source as File};

/// A Gateway, a model of one backend with a key, and one of two backends.
pub(super) const BASE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  gatewayClassName: eg
  listeners: [{name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: AIGatewayRoute
metadata: {name: models, namespace: default}
spec:
  parentRefs: [{name: gw, namespace: edge}]
  llmRequestCosts: [{metadataKey: llm_total_token, type: TotalToken}]
  rules:
  - matches: [{headers: [{name: x-ai-eg-model, value: Org/Model-1}]}]
    backendRefs: [{name: main}]
  - name: both
    matches: [{headers: [{name: x-ai-eg-model, value: two}]}]
    backendRefs: [{name: main, weight: 3}, {name: spare, priority: 1}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: main-endpoint, namespace: default}
spec: {endpoints: [{ip: {address: 10.0.0.1, port: 8000}}]}
---
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: AIServiceBackend
metadata: {name: main, namespace: default}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: main-endpoint}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: spare-endpoint, namespace: default}
spec: {endpoints: [{ip: {address: 10.0.0.2, port: 8000}}]}
---
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: AIServiceBackend
metadata: {name: spare, namespace: default}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: spare-endpoint}
---
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: BackendSecurityPolicy
metadata: {name: main-auth, namespace: default}
spec:
  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: main}]
  type: APIKey
  apiKey: {secretRef: {name: main-key}}
---
apiVersion: v1
kind: Secret
metadata: {name: main-key, namespace: default}
stringData: {apiKey: sk-hidden}
"#;

/// Tokens of a user, on the route.
pub(super) const POLICY: &str = r#"
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: tokens, namespace: default}
spec:
  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIGatewayRoute, name: models}]
  healthCheck: {passive: {consecutive5XxErrors: 3}}
  rateLimit:
    type: Global
    global:
      rules:
      - clientSelectors: [{headers: [{name: x-user-id, type: Distinct}]}]
        limit: {requests: 100, unit: Hour}
        cost:
          request: {from: Number, number: 0}
          response: {from: Metadata, metadata: {namespace: io.envoy.ai_gateway, key: llm_total_token}}
"#;

/// A class with a proxy of its own.
pub(super) const CLASS: &str = r#"
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: proxy, namespace: system}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: proxy, namespace: system}
spec: {provider: {type: Kubernetes, kubernetes: {envoyDaemonSet: {container: {env: [{name: A, value: b}]}}}}}
"#;

pub(super) fn module() -> Options {
    let volume = InPod::Volume("registry.example/weir-module:1".to_owned());
    Options { filter: Filter::Module(Some(volume)), release: Release::default() }
}

pub(super) fn wasm() -> Options {
    Options { filter: Filter::Wasm(image(), None), release: Release::default() }
}

/// The wasm filter, which the pods have as a file besides.
pub(super) fn wasm_in_pod() -> Options {
    let volume = InPod::Volume(format!("registry.example/weir@sha256:{}", "0".repeat(64)));
    Options { filter: Filter::Wasm(image(), Some(volume)), ..wasm() }
}

pub(super) fn image() -> Code {
    let source = Source::Image("registry.example/weir:1".to_owned());
    Code { source, sha256: Some("0".repeat(64)) }
}

pub(super) fn input(text: &str) -> Input {
    let file = File { name: "a.yaml".to_owned(), text: text.to_owned() };
    Input::of(&[file], Platform::EnvoyGateway).unwrap()
}

pub(super) fn rendered(text: &str, options: &Options) -> Files {
    envoy_gateway(&input(text), options).unwrap().0
}

/// The mistakes, a line each.
pub(super) fn refused(text: &str, options: &Options) -> String {
    envoy_gateway(&input(text), options).unwrap_err().to_string()
}

/// [`BASE`] without the rule of two backends.
pub(super) fn direct_only() -> String {
    let (before, rest) = BASE.split_once("  - name: both\n").unwrap();
    let (_, after) = rest.split_once("priority: 1}]\n").unwrap();
    format!("{before}{after}")
}
