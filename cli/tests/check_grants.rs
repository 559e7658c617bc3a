//! References to other namespaces, with and without the grant that permits them.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use weir_cli::check::{Environment, Source, compile};
use weir_cli::resources::Platform;

const BASE: &str = include_str!("resources/base.yaml");

/// What is said, without the names of files.
fn findings(text: &str, platform: Platform) -> (Vec<String>, Vec<String>) {
    let sources = [Source { name: "a.yaml".to_owned(), text: text.to_owned() }];
    let compiled = compile(&sources, &Environment { platform, ..Environment::default() });
    let texts = |list: Vec<weir_cli::check::Diagnostic>| {
        list.into_iter()
            .map(|one| one.to_string().replace("a.yaml: ", ""))
            .filter(|one| one.contains("ReferenceGrant"))
    };
    (texts(compiled.errors).collect(), texts(compiled.warnings).collect())
}

fn grant(from: (&str, &str, &str), to: (&str, &str), name: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!(", name: {name}") };
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: grant, namespace: other}}
spec:
  from: [{{group: {}, kind: {}, namespace: {}}}]
  to: [{{group: '{}', kind: {}{name}}}]
",
        from.0, from.1, from.2, to.0, to.1
    )
}

/// What is changed in the base, the kind that refers with its group, and the kind that is referred to with its group
/// and name.
type Case =
    (&'static str, &'static str, (&'static str, &'static str), (&'static str, &'static str), &'static str);

const AI: &str = "aigateway.envoyproxy.io";
const ENVOY: &str = "gateway.envoyproxy.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

const CASES: &[Case] = &[
    (
        "apiKey: {secretRef: {name: keys}}",
        "apiKey: {secretRef: {name: keys, namespace: other}}",
        (AI, "BackendSecurityPolicy"),
        ("", "Secret"),
        "keys",
    ),
    (
        "credentialsFile: {secretRef: {name: keys}}",
        "credentialsFile: {secretRef: {name: keys, namespace: other}}",
        (AI, "BackendSecurityPolicy"),
        ("", "Secret"),
        "keys",
    ),
    (
        "      backendRefs: [{name: openai}]",
        "      backendRefs: [{name: theirs, namespace: other}]",
        (AI, "AIGatewayRoute"),
        (AI, "AIServiceBackend"),
        "theirs",
    ),
    (
        "kind: Backend, name: openai-servers}",
        "kind: Backend, name: servers, namespace: other}",
        (AI, "AIServiceBackend"),
        (ENVOY, "Backend"),
        "servers",
    ),
    (
        "kind: Backend, name: openai-servers}",
        "kind: Backend, name: servers, namespace: other}",
        (GATEWAY, "HTTPRoute"),
        (ENVOY, "Backend"),
        "servers",
    ),
    (
        "connection: {bufferLimit: 50Mi}",
        "tls: {clientValidation: {caCertificateRefs: [{kind: ConfigMap, name: ca, namespace: other}]}}",
        (ENVOY, "ClientTrafficPolicy"),
        ("", "ConfigMap"),
        "ca",
    ),
];

const OTHERS: &str = "---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: other}
stringData: {apiKey: sk-1, credentials: \"[default]\\naws_access_key_id = a\\naws_secret_access_key = b\"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: other}
data: {ca.crt: '-----BEGIN CERTIFICATE-----'}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: servers, namespace: other}
spec: {endpoints: [{fqdn: {hostname: a.test, port: 8000}}]}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: theirs, namespace: other}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: servers}
";

#[test]
fn another_namespace_must_agree() {
    for (from, to, (group, kind), target, name) in CASES {
        assert_eq!(BASE.matches(from).count(), 1, "{from}");
        let text = format!("{}{OTHERS}", BASE.replace(from, to));
        let at = |added: &str| findings(&format!("{text}{added}"), Platform::Here);
        let (errors, warnings) = at("");
        assert!(warnings.is_empty(), "{warnings:?}");
        // The message has the grant that is missing.
        let [error] = errors.as_slice() else { panic!("{to}: {errors:?}") };
        let parts =
            ["no ReferenceGrant in namespace other lets ", &format!("kind: {}, name: {name}}}]", target.1)];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");

        let good = grant((group, kind, "default"), *target, name);
        assert_eq!(at(&good).0.len(), 0, "{to}");
        assert_eq!(at(&grant((group, kind, "default"), *target, "")).0.len(), 0, "{to}");
        for bad in [
            grant((group, kind, "default"), *target, "another"),
            grant((group, kind, "another"), *target, name),
            grant((group, "Another", "default"), *target, name),
            grant(("another", kind, "default"), *target, name),
            grant((group, kind, "default"), (target.0, "Another"), name),
            grant((group, kind, "default"), ("another", target.1), name),
            good.replace("namespace: other", "namespace: default"),
            good.replace("name: grant,", "name: grant, deletionTimestamp: '2026-01-01T00:00:00Z',"),
        ] {
            assert_eq!(at(&bad).0.len(), 1, "{to}: {bad}");
        }
    }
}

#[test]
fn a_cluster_may_have_grants_that_the_files_have_not() {
    let (from, to, (group, kind), target, _) = CASES[0];
    let text = format!("{}{OTHERS}", BASE.replace(from, to));
    for platform in [Platform::EnvoyGateway, Platform::Istio] {
        let (errors, warnings) = findings(&text, platform);
        assert_eq!((errors.len(), warnings.len()), (0, 1), "{errors:?} {warnings:?}");
        assert!(warnings[0].ends_with(", unless the cluster has it"), "{warnings:?}");
        // Who gives the grants of a namespace gives all of them.
        let another = grant((group, kind, "default"), target, "another");
        let (errors, warnings) = findings(&format!("{text}{another}"), platform);
        assert_eq!((errors.len(), warnings.len()), (1, 0), "{errors:?} {warnings:?}");
    }
}

#[test]
fn keys_of_clients_and_servers_that_are_asked_need_one_too() {
    let policy = "---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: clients, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: weir}]
  apiKeyAuth: {credentialRefs: [{name: keys, namespace: other}], extractFrom: [{headers: [x-key]}]}
  extAuth: {http: {backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: servers, namespace: other}]}}
";
    let text = format!("{BASE}{OTHERS}{policy}");
    let (errors, _) = findings(&text, Platform::Here);
    let of = |field: &str| errors.iter().any(|error| error.contains(field));
    assert!(of("spec.apiKeyAuth.credentialRefs[0]") && of("spec.extAuth.http.backendRefs[0]"), "{errors:?}");
    let secrets = grant((ENVOY, "SecurityPolicy", "default"), ("", "Secret"), "");
    assert_eq!(findings(&format!("{text}{secrets}"), Platform::Here).0.len(), errors.len() - 1);
}
