//! What annotations say that no field does, and what is wrong with them.

use super::*;

/// The base with annotations on its policy and on its Gateway.
fn annotated(policy: &str, gateway: &str) -> Compiled {
    let edits = [
        ("metadata: {name: budget}", format!("metadata: {{name: budget, annotations: {policy}}}")),
        ("metadata: {name: edge}", format!("metadata: {{name: edge, annotations: {gateway}}}")),
    ];
    let text = edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} must stand in the base");
        text.replace(from, to)
    });
    compile(&[Source { name: "base.yaml".to_owned(), text }], &Environment::default())
}

#[test]
fn annotations_say_what_no_field_does() {
    let filter = annotated(
        r#"{weir.dev/require-identity: "true", other.example/x: else}"#,
        "{weir.dev/held-limit: 64Mi, weir.dev/keepalive: 20s}",
    );
    assert!(filter.errors.is_empty(), "{:#?}", filter.errors);
    let filter = filter.plan.unwrap().filter;
    assert_eq!((filter.held_limit, filter.keepalive_ms), (64 << 20, 20_000));
    assert!(filter.routes.values().any(|route| route.requires_identity));
    let never =
        annotated(r#"{weir.dev/require-identity: "false"}"#, "{weir.dev/keepalive: 0s}").plan.unwrap();
    assert_eq!((never.filter.held_limit, never.filter.keepalive_ms), (256 << 20, 0));
    assert!(never.filter.routes.values().all(|route| !route.requires_identity));
}

#[test]
fn a_slip_in_an_annotation_is_a_mistake() {
    for (policy, gateway, field, message) in [
        (r#"{weir.dev/require-identity: "yes"}"#, "{}", "require-identity", "neither `true` nor `false`"),
        (
            "{weir.dev/require-identty: \"true\"}",
            "{}",
            "require-identty",
            "did you mean `weir.dev/require-identity`",
        ),
        ("{weir.dev/keepalive: 1s}", "{}", "keepalive", "there is `weir.dev/require-identity`"),
        ("{}", "{weir.dev/held-limit: lots}", "held-limit", "`lots` is not a number of bytes between 1 and"),
        ("{}", "{weir.dev/held-limit: 4Gi}", "held-limit", "`4Gi` is not"),
        ("{}", "{weir.dev/held-limit: \"0\"}", "held-limit", "between 1 and 4Gi"),
        ("{}", "{weir.dev/keepalive: \"15\"}", "keepalive", "`15` is not a duration"),
        ("{}", "{weir.dev/metrics-headers: x-team}", "metrics-headers", "`x-team` has no `:`"),
        (
            "{}",
            "{weir.dev/metrics-headers: \"authorization:who\"}",
            "metrics-headers",
            "`authorization` may hold a credential",
        ),
    ] {
        let errors = annotated(policy, gateway).errors;
        let [error] = errors.as_slice() else { panic!("{policy} {gateway}: {errors:#?}") };
        assert_eq!(error.field, format!("metadata.annotations[weir.dev/{field}]"));
        assert!(error.message.contains(message), "{}", error.message);
    }
}

#[test]
fn a_route_that_loses_nothing_says_so() {
    let strict = |value: &str| {
        let named = "kind: AIGatewayRoute\nmetadata: {name: chat";
        let edits = [(named, &*format!("{named}, annotations: {{weir.dev/strict: {value}}}"))];
        compiled_with(&edits, "timeout: {http: {requestTimeout: 9s}}")
    };
    assert!(strict("\"true\"").plan.unwrap().filter.routes.values().all(|route| route.strict));
    assert!(strict("\"false\"").plan.unwrap().filter.routes.values().all(|route| !route.strict));
    let errors = strict("\"on\"").errors;
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert_eq!(error.field, "metadata.annotations[weir.dev/strict]");
}

#[test]
fn a_route_whose_streams_are_said_anew_has_a_second_attempt_for_them() {
    let until_content = |value: &str, spec: &str| {
        let named = "kind: AIGatewayRoute\nmetadata: {name: chat";
        let annotated = format!("{named}, annotations: {{weir.dev/repeat-until-content: {value}}}");
        compiled_with(&[(named, &*annotated)], spec)
    };
    let unchanged = "timeout: {http: {requestTimeout: 9s}}";
    let are_repeated = |value: &str| {
        let compiled = until_content(value, unchanged);
        assert!(compiled.warnings.is_empty(), "{:#?}", compiled.warnings);
        compiled.plan.unwrap().filter.routes.into_values().map(|route| route.repeat_until_content)
    };
    assert!(are_repeated("\"true\"").all(|it| it));
    assert!(!are_repeated("\"false\"").any(|it| it));
    for (retry, is_vain) in [
        ("{numRetries: 0}", true),
        ("{retryOn: {triggers: [retriable-status-codes], httpStatusCodes: [503]}}", true),
        ("{retryOn: {triggers: [retriable-status-codes], httpStatusCodes: [502]}}", false),
        ("{retryOn: {triggers: [gateway-error]}}", false),
    ] {
        let compiled = until_content("\"true\"", &format!("retry: {retry}"));
        assert!(compiled.plan.is_some());
        let fields: Vec<&str> = compiled.warnings.iter().map(|warning| warning.field.as_str()).collect();
        let warned = fields.contains(&"metadata.annotations[weir.dev/repeat-until-content]");
        assert_eq!(warned, is_vain, "{retry} {fields:?}");
    }
    let errors = until_content("\"yes\"", unchanged).errors;
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert_eq!(error.field, "metadata.annotations[weir.dev/repeat-until-content]");
}

#[test]
fn what_passes_is_a_rule_of_its_own() {
    let named = "kind: AIGatewayRoute\nmetadata: {name: chat";
    let annotated = format!(
        "{named}, annotations: {{weir.dev/pass-through: \"/aws=bedrock, /v1/files=openai/v1/files\"}}"
    );
    let compiled = compiled_with(&[(named, &annotated)], "timeout: {http: {requestTimeout: 9s}}");
    assert!(compiled.warnings.is_empty(), "{:#?}", compiled.warnings);
    let plan = compiled.plan.unwrap();
    let rules = &plan.listeners[0].virtual_hosts[0].rules;
    let passing: Vec<_> = rules.iter().filter(|rule| rule.passes_through()).collect();
    let names: Vec<&str> = passing.iter().map(|matched| matched.rule.name.as_str()).collect();
    // The longer prefix first, and both before the rules for models.
    assert_eq!(names, ["default/chat/rule/pass-through/v1/files", "default/chat/rule/pass-through/aws"]);
    assert!(rules.iter().position(|rule| !rule.passes_through()) == Some(2));
    let routes = &plan.filter.routes;
    let files = &routes[names[0]];
    let passed = files.pass_through.as_ref().unwrap();
    assert_eq!((passed.prefix.as_str(), passed.path.as_str()), ("/v1/files", "/v1/files"));
    assert_eq!(files.targets[0].backend, "default/openai");
    assert_eq!(routes[names[1]].pass_through.as_ref().unwrap().path, "");
    // The policy on the route, its costs and its timeouts are for it as for the rest.
    assert_eq!(files.costs, routes["default/chat/rule/one"].costs);
    assert_eq!(files.request_ms, Some(9_000));
}

#[test]
fn the_model_chooses_among_the_backends_of_a_prefix() {
    let route = "kind: AIGatewayRoute\nmetadata: {name: chat";
    let annotated = format!("{route}, annotations: {{weir.dev/pass-through: \"/a=bedrock, /a=openai/v1\"}}");
    let plan = compiled_with(&[(route, &annotated)], "").plan.unwrap();
    let rules = &plan.listeners[0].virtual_hosts[0].rules;
    let passing: Vec<_> = rules.iter().filter(|rule| rule.passes_through()).collect();
    let names: Vec<_> = passing.iter().map(|matched| matched.rule.name.as_str()).collect();
    let of_openai = "default/chat/rule/pass-through/a=default/openai";
    // Both models of the base go to `openai` first.
    assert_eq!(names, [of_openai, of_openai, "default/chat/rule/pass-through/a"]);
    assert!(passing[..2].iter().all(|matched| matched.matches.headers.len() == 1));
    assert_eq!(plan.filter.routes[of_openai].pass_through.as_ref().unwrap().models, ["one", "two"]);
    assert!(plan.filter.routes[names[2]].pass_through.as_ref().unwrap().models.is_empty());
}

#[test]
fn what_passes_is_changed_by_no_body_mutation_and_is_refused_on_kubernetes() {
    let route = "kind: AIGatewayRoute\nmetadata: {name: chat";
    let annotated = format!("{route}, annotations: {{weir.dev/pass-through: /aws=openai}}");
    let mutated = "  schema: {name: OpenAI}\n";
    let mutation = format!("{mutated}  bodyMutation: {{remove: [user]}}\n");
    let compiled = compiled_with(&[(route, &annotated), (mutated, &mutation)], "");
    let [warning] = compiled.warnings.as_slice() else { panic!("{:#?}", compiled.warnings) };
    assert!(
        warning.message.contains("`bodyMutation` of AIServiceBackend default/openai"),
        "{}",
        warning.message
    );
    let name = "default/chat/rule/pass-through/aws";
    assert!(compiled.plan.unwrap().filter.routes[name].targets[0].body.is_empty());

    for platform in [Platform::EnvoyGateway, Platform::Istio] {
        let source = Source { name: "base.yaml".to_owned(), text: BASE.replace(route, &annotated) };
        let errors = compile(&[source], &Environment::of_platform(platform)).errors;
        let [error] = errors.as_slice() else { panic!("{errors:#?}") };
        assert_eq!(error.field, "metadata.annotations[weir.dev/pass-through]");
        assert!(error.message.contains("not supported on Kubernetes"), "{}", error.message);
    }
}

#[test]
fn a_server_without_responses_says_so() {
    let chat_only = |backend: &str, value: &str| {
        let named = format!("kind: AIServiceBackend\nmetadata: {{name: {backend}");
        let annotated = format!("{named}, annotations: {{weir.dev/chat-only: {value}}}");
        compiled_with(&[(&named, &annotated)], "timeout: {http: {requestTimeout: 9s}}")
    };
    let schemas = |compiled: Compiled| {
        let backends = compiled.plan.unwrap().filter.backends;
        backends.into_values().map(|backend| format!("{:?}", backend.schema.name)).collect::<Vec<_>>()
    };
    let is_one = |schemas: &[String]| schemas.iter().any(|schema| schema == "OpenAIChat");
    assert!(is_one(&schemas(chat_only("openai", "\"true\""))));
    assert!(!is_one(&schemas(chat_only("openai", "\"false\""))));
    let elsewhere = chat_only("bedrock", "\"true\"");
    let [warning] = elsewhere.warnings.as_slice() else { panic!("{:#?}", elsewhere.warnings) };
    assert_eq!(warning.field, "metadata.annotations[weir.dev/chat-only]");
    assert!(!is_one(&schemas(elsewhere)));

    let named = compiled_with(&[("schema: {name: OpenAI}", "schema: {name: OpenAIChat}")], "{}");
    let said = command::findings(&named).join("\n");
    assert!(said.contains("OpenAI with the annotation weir.dev/chat-only"), "{said}");
}

#[test]
fn headers_become_labels_of_metrics_but_for_those_with_credentials() {
    let labelled = |headers: &str| annotated("{}", &format!("{{weir.dev/metrics-headers: \"{headers}\"}}"));
    let labels = labelled("x-team:team, x-user-id:user").plan.unwrap().filter.metrics_headers;
    assert_eq!(labels.headers().collect::<Vec<_>>(), ["x-team", "x-user-id"]);
    assert!(annotated("{}", "{}").plan.unwrap().filter.metrics_headers.is_empty());

    let gateway = "metadata: {name: edge}";
    let named = "metadata: {name: edge, annotations: {weir.dev/metrics-headers: \"x-brought:who\"}}";
    let key = "apiKey: {secretRef:";
    let brought = "credentialOverride: {fromRequestHeaders: {header: x-brought}}\n  apiKey: {secretRef:";
    let errors =
        compiled_with(&[(gateway, named), (key, brought)], "timeout: {http: {requestTimeout: 9s}}").errors;
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert!(error.message.contains("`x-brought` may hold a credential of a backend"), "{}", error.message);

    for platform in [Platform::EnvoyGateway, Platform::Istio] {
        let source = Source { name: "base.yaml".to_owned(), text: BASE.replace(gateway, named) };
        let compiled = compile(&[source], &Environment::of_platform(platform));
        let is_it = |field: &str| field == "metadata.annotations[weir.dev/metrics-headers]";
        assert_eq!(compiled.warnings.iter().filter(|warning| is_it(&warning.field)).count(), 1);
        assert!(compiled.plan.unwrap().filter.metrics_headers.is_empty());
    }
}

#[test]
fn gateways_share_a_filter_and_must_agree() {
    let other = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: other, annotations: \
                 {weir.dev/keepalive: 1s}}\nspec: {gatewayClassName: envoy, listeners: [{name: http, protocol: HTTP, port: 9}]}\n";
    let text = BASE
        .replace("metadata: {name: edge}", "metadata: {name: edge, annotations: {weir.dev/keepalive: 2s}}");
    let source = Source { name: "base.yaml".to_owned(), text: format!("{text}{other}") };
    let errors = compile(&[source], &Environment::default()).errors;
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert!(error.message.contains("`2s` in Gateway default/edge"), "{}", error.message);
}

#[test]
fn identity_is_required_of_somebody() {
    let edits = [(
        "metadata: {name: budget}",
        r#"metadata: {name: budget, annotations: {weir.dev/require-identity: "true"}}"#,
    )];
    let errors = compiled_with(&edits, "timeout: {http: {requestTimeout: 9s}}").errors;
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    assert!(
        error.message.contains("no rule of `rateLimit.global` has a Distinct header"),
        "{}",
        error.message
    );
}
