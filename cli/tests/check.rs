//! Good resources and the plans they become.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;

use weir_cli::check::{Compiled, Environment, command, compile};
use weir_cli::plan::{Cluster, Listener, Plan};
use weir_cli::resources::{Platform, source};
use weir_core::config::CredentialPlace;

fn compile_folder(name: &str, variables: &[(&str, &str)]) -> Compiled {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resources").join(name);
    let mut sources = source::read(&[folder]).unwrap();
    for source in &mut sources {
        source.name = Path::new(&source.name).file_name().unwrap().to_string_lossy().into_owned();
    }
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    compile(&sources, &Environment { variables, ..Environment::default() })
}

/// A plan with a line for each part of it, so that a difference is seen at a glance.
fn describe(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for listener in &plan.listeners {
        let bare = Listener { virtual_hosts: Vec::new(), ..listener.clone() };
        lines.push(format!("{bare:?}"));
        for host in &listener.virtual_hosts {
            lines.push(format!("  {:?}", host.domains));
            for rule in &host.rules {
                lines.push(format!("    {:?}", rule.matches));
                lines.push(format!("      {:?}", rule.rule));
            }
        }
    }
    for cluster in &plan.clusters {
        let bare = Cluster { members: Vec::new(), ..cluster.clone() };
        lines.push(format!("{bare:?}"));
        lines.extend(cluster.members.iter().map(|member| format!("  {member:?}")));
    }
    lines.push(serde_json::to_string_pretty(&plan.filter).unwrap());
    lines.extend(plan.secrets.iter().map(|secret| format!("{secret:?}")));
    lines.push(format!("{:?}", plan.aws_container));
    lines.join("\n")
}

const POD_IDENTITY: &[(&str, &str)] = &[
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/pods.eks.amazonaws.com/token"),
];

#[test]
fn the_blueprint_becomes_a_plan() {
    let compiled = compile_folder("blueprint", POD_IDENTITY);
    assert_eq!(
        command::findings(&compiled),
        [
            "note: gateway.yaml: ServiceAccount default/ai-gateway-dataplane-aws: skipped, weir reads no such kind"
        ]
    );
    assert_eq!(command::summary(&compiled), "ok: 1 route, 3 backends, 4 policies");
    insta::assert_snapshot!("blueprint", describe(&compiled.plan.unwrap()));
}

#[test]
fn models_in_clouds_become_a_plan() {
    let compiled = compile_folder("clouds", &[]);
    assert_eq!(command::findings(&compiled), [""; 0]);
    let plan = compiled.plan.unwrap();
    let backend = |name: &str| {
        let backend = &plan.filter.backends[name];
        serde_json::to_string(&(&backend.schema, &backend.hosts, &backend.auth)).unwrap()
    };
    insta::assert_snapshot!(backend("default/azure"), @r#"[{"name":"AzureOpenAI","version":"2024-10-21"},["ours.openai.azure.com"],{"type":"azure_key","credential":"default/azure"}]"#);
    insta::assert_snapshot!(backend("default/azure-v1"), @r#"[{"name":"AzureOpenAI"},["ours.openai.azure.com"],{"type":"bearer","credential":"default/azure-v1"}]"#);
    insta::assert_snapshot!(backend("default/bedrock"), @r#"[{"name":"AWSOpenAI"},["bedrock-mantle.us-east-2.api.aws"],{"type":"aws_sigv4","credential":"default/bedrock","region":"us-west-2"}]"#);
    insta::assert_snapshot!(backend("default/gemini"), @r#"[{"name":"GCPVertexAI"},["us-east5-aiplatform.googleapis.com"],{"type":"gcp","credential":"default/vertex","project":"ours","region":"us-east5"}]"#);
    insta::assert_snapshot!(backend("default/claude"), @r#"[{"name":"GCPAnthropic"},["us-east5-aiplatform.googleapis.com"],{"type":"gcp","credential":"default/vertex","project":"ours","region":"us-east5"}]"#);
    assert_eq!(plan.secrets["default/vertex"].0, "google-token");
    let secrets: Vec<_> =
        plan.secrets.iter().map(|(name, secret)| (name.as_str(), secret.0.as_str())).collect();
    assert_eq!(secrets[..2], [("default/azure", "azure-key"), ("default/azure-v1", "entra-token")]);
}

#[test]
fn every_feature_becomes_a_plan() {
    let compiled = compile_folder("wide", &[]);
    assert_eq!(
        command::findings(&compiled),
        ["warning: all.yaml: BackendTrafficPolicy infra/internal: spec.rateLimit: does not limit HTTPRoute \
         team/console: only AIGatewayRoutes have limits so far",]
    );
    let plan = compiled.plan.unwrap();
    insta::assert_snapshot!("wide", describe(&plan));
    let secrets: Vec<_> =
        plan.secrets.iter().map(|(name, secret)| (name.as_str(), secret.0.as_str())).collect();
    assert_eq!(secrets, [("team/claude-key", "sk-two"), ("team/openai-key", "sk-one")]);
}

#[test]
fn the_filter_finds_no_secret_in_its_configuration() {
    let plan = compile_folder("wide", &[]).plan.unwrap();
    let json = serde_json::to_string(&plan.filter).unwrap();
    assert!(json.contains("team/openai-key"));
    assert!(!json.contains("sk-") && !format!("{plan:?}").contains("sk-"));
}

#[test]
fn credentials_of_the_environment_are_a_secret_like_others() {
    let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let compiled = compile_folder("blueprint", &keys);
    assert_eq!(compiled.warnings, []);
    let plan = compiled.plan.unwrap();
    assert!(plan.secrets["default/bedrock-policy"].0.contains("hush"));
    assert!(!serde_json::to_string(&plan.filter).unwrap().contains("hush"));
    assert_eq!(plan.aws_container, None);
}

#[test]
fn without_aws_credentials_there_is_a_warning_and_a_plan() {
    let compiled = compile_folder("blueprint", &[]);
    let warnings: Vec<_> = compiled.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "this machine has no AWS credentials, unless it is an EC2 instance with a role: set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or name a Secret in `credentialsFile`"
        ]
    );
    assert!(compiled.plan.is_some());
    let without = compile_folder("blueprint", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert!(without.warnings[0].message.starts_with("this machine has no AWS credentials: set"));
}

#[test]
fn a_rule_may_keep_its_models_out_of_the_list() {
    let base = include_str!("resources/base.yaml");
    let first = "value: one}]}]\n      backendRefs: [{name: openai}]\n";
    let listed = |more: &str| {
        let text = base.replace(first, &format!("{first}{more}"));
        assert_eq!(text == base, more.is_empty());
        let source = source::Source { name: "base.yaml".to_owned(), text };
        let filter = compile(&[source], &Environment::default()).plan.unwrap().filter;
        (filter.models.into_iter().map(|model| model.id).collect::<Vec<_>>(), filter.routes.len())
    };
    let (all, routes) = listed("");
    assert_eq!(all, ["one", "two"]);
    assert_eq!(listed("      excludeFromModelsEndpoint: true\n"), (vec!["two".to_owned()], routes));
    assert_eq!(listed("      excludeFromModelsEndpoint: false\n"), (all, routes));
}

#[test]
fn a_credential_of_requests_asks_for_no_other() {
    let base = include_str!("resources/base.yaml");
    let keys = "  apiKey: {secretRef: {name: keys}}\n";
    let with = |spec: &str| {
        let text = base.replace(keys, spec);
        assert_ne!(text, base);
        let source = source::Source { name: "base.yaml".to_owned(), text };
        let compiled = compile(&[source], &Environment::default());
        let filter = compiled.plan.unwrap_or_else(|| panic!("{:#?}", compiled.errors)).filter;
        let wanted = filter.backends["default/openai"].credential_override.clone().unwrap();
        (wanted.from, wanted.falls_back, filter.credentials.contains_key("default/openai-key"))
    };
    let header = |name: &str| CredentialPlace::Header(name.to_owned());
    let key = |key: &str| CredentialPlace::Metadata { namespace: "lua".to_owned(), key: key.to_owned() };
    let from = |spec: &str| format!("  credentialOverride: {{{spec}}}\n");
    let alone = from("fromRequestHeaders: {fallbackToConfigured: false}");
    assert_eq!(with(&alone), (header("x-aigw-api-key"), false, false));
    let alone = from("fromDynamicMetadata: {namespace: lua, fallbackToConfigured: false}");
    assert_eq!(with(&alone), (key("x-aigw-api-key"), false, false));
    for (spec, place) in [
        ("fromRequestHeaders: {header: X-Tenant-Key}", header("x-tenant-key")),
        ("fromDynamicMetadata: {namespace: lua, key: Tenant}", key("Tenant")),
    ] {
        assert_eq!(with(&format!("{keys}{}", from(spec))), (place, true, true));
    }
}

/// Not every place that the filter runs at can read it.
#[test]
fn a_credential_in_metadata_is_warned_of_where_it_is_not_read() {
    let base = include_str!("resources/base.yaml");
    let from = "  credentialOverride: {fromDynamicMetadata: {namespace: lua}}";
    let warned = |platform, policy: &str| {
        let text = base.replace(policy, &format!("{policy}\n{from}"));
        assert_ne!(text, base);
        let source = source::Source { name: "base.yaml".to_owned(), text };
        let environment = Environment { platform, ..Environment::default() };
        let compiled = compile(&[source], &environment);
        assert!(compiled.errors.is_empty(), "{:#?}", compiled.errors);
        let field = "spec.credentialOverride.fromDynamicMetadata";
        compiled
            .warnings
            .iter()
            .map(ToString::to_string)
            .filter(|warning| warning.contains(field))
            .collect::<Vec<_>>()
    };
    let key = "  apiKey: {secretRef: {name: keys}}";
    let aws = "  awsCredentials: {region: us-west-2, credentialsFile: {secretRef: {name: keys}}}";
    for (platform, of_key, of_aws) in
        [(Platform::Here, 1, 2), (Platform::EnvoyGateway, 0, 1), (Platform::Istio, 0, 0)]
    {
        assert_eq!((warned(platform, key).len(), warned(platform, aws).len()), (of_key, of_aws));
    }
    assert!(warned(Platform::EnvoyGateway, aws)[0].contains("--filter wasm"));
}

#[test]
fn ten_thousand_models_are_checked_quickly() {
    let mut route = String::from(
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {name: many}\n\
         spec:\n  parentRefs: [{name: ai-gateway}]\n  rules:\n",
    );
    for i in 0..10_000 {
        route.push_str(&format!(
            "  - matches: [{{headers: [{{name: x-ai-eg-model, value: model-{i}}}]}}]\n    backendRefs: [{{name: qwen3}}]\n"
        ));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resources/blueprint");
    let mut sources =
        source::read(&[folder.join("gateway.yaml"), folder.join("model-backends.yaml")]).unwrap();
    sources.push(source::Source { name: "many.yaml".to_owned(), text: route });
    let plan = compile(&sources, &Environment::default()).plan.unwrap();
    assert_eq!(plan.clusters.len(), 1);
    assert_eq!(plan.filter.models.len(), 10_000);
}
