//! What is written for Envoy Gateway. That it is valid there, and serves, is tested in tests/deploy.

mod samples;

use super::*;
use samples::{BASE, CLASS, POLICY, direct_only, input, module, refused, rendered, wasm, wasm_in_pod};

#[test]
fn with_the_module() {
    for (path, file) in rendered(&format!("{BASE}{POLICY}"), &module()).iter() {
        insta::assert_snapshot!(format!("module_{path}"), file.content);
    }
}

#[test]
fn with_wasm() {
    let text = format!("{}{POLICY}", direct_only());
    for (path, file) in rendered(&text, &wasm()).iter() {
        insta::assert_snapshot!(format!("wasm_{path}"), file.content);
    }
}

#[test]
fn with_wasm_in_clusters_chains() {
    let files = rendered(&format!("{BASE}{POLICY}"), &wasm_in_pod());
    for path in [GATEWAY, PATCHES] {
        insta::assert_snapshot!(format!("wasm_in_pod_{path}"), files.get(path).unwrap().content);
    }
    // The same VM for all.
    let patches = &files.get(PATCHES).unwrap().content;
    assert_eq!(patches.matches("filename: /opt/weir/plugin.wasm").count(), 2, "{patches}");
    assert_eq!(patches.matches("vm_id: weir").count(), 2, "{patches}");
}

#[test]
fn a_file_in_the_pods_is_not_used_without_need() {
    let files = rendered(&direct_only(), &wasm_in_pod());
    assert!(!files.get(PATCHES).unwrap().content.contains("vm_config"));
}

/// Without a limit for silence there would be none at all; see [`Release`].
#[test]
fn before_1_8_a_patch_says_how_long_a_stream_may_be_silent() {
    let old = Options { release: Release::OLDEST, ..wasm() };
    let listener = "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: client, namespace: edge}\nspec:\n  \
         targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]\n  timeout: {http: {streamIdleTimeout: 20m}}\n";
    for (text, silence) in [(direct_only(), "300s"), (format!("{}{listener}", direct_only()), "1200s")] {
        let files = rendered(&text, &old);
        let traffic = &files.get(TRAFFIC).unwrap().content;
        assert!(!traffic.contains("streamIdleTimeout"), "{traffic}");
        let patches = &files.get(PATCHES).unwrap().content;
        let patch = format!("path: idle_timeout\n      value: {silence}\n");
        assert!(patches.contains(&patch), "{patches}");
    }
    let (_, notes) = envoy_gateway(&input(&direct_only()), &old).unwrap();
    assert!(notes.iter().any(|note| note.contains("1.6.4")), "{notes:?}");
    let policy = POLICY.replace("spec:\n", "spec:\n  timeout: {http: {streamIdleTimeout: 1m}}\n");
    let text = format!("{}{policy}", direct_only());
    assert!(rendered(&text, &wasm()).get(TRAFFIC).unwrap().content.contains("streamIdleTimeout: 1m"));
    let message = refused(&text, &old);
    assert!(
        message.contains("spec.timeout.http.streamIdleTimeout: came with Envoy Gateway 1.8"),
        "{message}"
    );
}

#[test]
fn the_same_resources_give_the_same_files_and_no_secret() {
    for options in [module(), wasm()] {
        let files = rendered(&direct_only(), &options);
        assert_eq!(files, rendered(&direct_only(), &options));
        assert!(files.iter().all(|(_, file)| !file.content.contains("sk-hidden")));
        assert!(files.iter().all(|(_, file)| !file.content.contains("aigateway")));
    }
}

#[test]
fn a_secret_may_be_in_the_cluster_only() {
    let (without, _) = BASE.split_once("---\napiVersion: v1\nkind: Secret").unwrap();
    let (files, notes) = envoy_gateway(&input(without), &module()).unwrap();
    assert_eq!(files, rendered(BASE, &module()));
    assert!(notes.iter().any(|note| note.contains("main-key")), "{notes:?}");
}

#[test]
fn who_may_want_websockets_is_told() {
    let (_, notes) = envoy_gateway(&input(BASE), &module()).unwrap();
    assert!(notes.iter().any(|note| note.contains("/v1/realtime")), "{notes:?}");
    let other = BASE.replace("name: OpenAI", "name: Cohere");
    let (_, notes) = envoy_gateway(&input(&other), &module()).unwrap();
    assert!(!notes.iter().any(|note| note.contains("/v1/realtime")), "{notes:?}");
}

#[test]
fn without_patches_there_is_no_file_of_them() {
    assert!(rendered(&direct_only(), &module()).get(PATCHES).is_none());
    assert!(rendered(BASE, &module()).get(PATCHES).is_some());
}

#[test]
fn the_policy_of_a_gateway_stays_and_ours_is_merged_into_it() {
    let policy = POLICY.replace("namespace: default", "namespace: edge").replace(
        "aigateway.envoyproxy.io, kind: AIGatewayRoute, name: models",
        "gateway.networking.k8s.io, kind: Gateway, name: gw",
    );
    let files = rendered(&format!("{}{policy}", direct_only()), &module());
    let traffic = &files.get(TRAFFIC).unwrap().content;
    assert!(traffic.contains("name: tokens") && traffic.contains("mergeType: StrategicMerge"), "{traffic}");
    assert_eq!(traffic.matches("rateLimit:").count(), 1, "{traffic}");
}

#[test]
fn the_proxy_of_the_class_is_the_one_that_gets_the_module() {
    let files = rendered(&format!("{}{CLASS}", direct_only()), &module());
    let gateway = &files.get(GATEWAY).unwrap().content;
    assert_eq!(gateway.matches("kind: EnvoyProxy").count(), 2, "that and the reference to it: {gateway}");
    assert!(!gateway.contains("infrastructure") && !gateway.contains("envoyDeployment"), "{gateway}");
    assert!(gateway.contains("name: A") && gateway.contains("mountPath: /opt/weir"), "{gateway}");
}

#[test]
fn pod_identity_takes_a_cluster_that_no_request_comes_to() {
    let text = direct_only()
        .replace("{name: OpenAI}", "{name: AWSAnthropic}")
        .replace("type: APIKey", "type: AWSCredentials")
        .replace("apiKey: {secretRef: {name: main-key}}", "awsCredentials: {region: us-west-2}");
    let files = rendered(&text, &module());
    let filter = &files.get(FILTER).unwrap().content;
    assert!(filter.contains("cluster: httproute/default/weir-aws-credentials/rule/0"), "{filter}");
    let message = refused(&text, &wasm());
    assert!(message.contains("AIGatewayRoute default/models") && message.contains("Pod"), "{message}");
}

#[test]
fn the_servers_that_give_tokens_are_backends_that_no_request_comes_to() {
    let with = |schema: &str, policy: &str| {
        direct_only()
            .replace("{name: OpenAI}", &format!("{{name: {schema}}}"))
            .replace("type: APIKey\n", &format!("type: {}\n", policy.split_once(':').unwrap().0))
            .replace("apiKey: {secretRef: {name: main-key}}", policy.split_once(':').unwrap().1)
    };
    let file = "GCPCredentials:gcpCredentials: {projectName: p, region: r, credentialsFile: {secretRef: {name: google}}}";
    let files = rendered(&with("GCPVertexAI", file), &module());
    let filter = &files.get(FILTER).unwrap().content;
    let cluster = "\"https://oauth2.googleapis.com\": httproute/default/weir-credentials/rule/0";
    assert!(filter.contains(cluster), "{filter}");
    let backends = &files.get(BACKENDS).unwrap().content;
    assert!(backends.contains("name: weir-credentials-oauth2-googleapis-com"), "{backends}");
    assert!(backends.contains("wellKnownCACertificates: System"), "{backends}");
    let routes = &files.get(ROUTES).unwrap().content;
    assert!(routes.contains("value: never-0"), "{routes}");

    let identity = with("AzureOpenAI", "AzureCredentials:azureCredentials: {managedIdentity: {}}");
    let files = rendered(&identity, &module());
    let filter = &files.get(FILTER).unwrap().content;
    for server in
        ["\"http://169.254.169.254\": httproute/", "\"https://login.microsoftonline.com\": httproute/"]
    {
        assert!(filter.contains(server), "{filter}");
    }
    let message = refused(&identity, &wasm());
    assert!(
        message.contains("BackendSecurityPolicy default/") && message.contains("workload identity"),
        "{message}"
    );
}

#[test]
fn what_envoy_gateway_cannot_do_is_refused_by_name() {
    let third = BASE
        .replace("{name: spare, priority: 1}]", "{name: spare, priority: 1}, {name: spare, priority: 2}]");
    let mixed = BASE.replace("ip: {address: 10.0.0.2, port", "fqdn: {hostname: spare.example, port");
    let policy = |fields: &str| {
        format!("{BASE}{}", POLICY.replace("  healthCheck: {passive: {consecutive5XxErrors: 3}}\n", fields))
    };
    let shared =
        format!("{BASE}{}", POLICY.replace("limit: {requests", "shared: true\n        limit: {requests"));
    let extension = format!(
        "{BASE}---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {{name: mine, namespace: edge}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: gw}}]}}\n"
    );
    let one_name = format!(
        "{BASE}---\napiVersion: aigateway.envoyproxy.io/v1alpha1\nkind: BackendSecurityPolicy\nmetadata: {{name: spare-auth, namespace: \
         default}}\nspec:\n  targetRefs: [{{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: spare}}]\n  type: APIKey\n  \
         apiKey: {{secretRef: {{name: main-key, namespace: other}}}}\n"
    );
    let rule = "a.yaml: AIGatewayRoute default/models: spec.rules[1].backendRefs: ";
    let nowhere = Options { filter: Filter::Module(None), ..module() };
    for (text, options, place, part) in [
        (third, module(), rule, "3 priorities"),
        (mixed, module(), rule, "a cluster of each"),
        (BASE.to_owned(), nowhere, "Gateway edge/gw: ", "--module-image"),
        (BASE.to_owned(), wasm(), rule, "--wasm-volume"),
        (
            format!("{BASE}{}", CLASS.replace("spec: {", "spec: {mergeBackends: {}, ")),
            module(),
            "EnvoyProxy system/proxy: spec.mergeBackends: ",
            "other names",
        ),
        (
            policy("  admissionControl: {}\n"),
            module(),
            "BackendTrafficPolicy default/tokens: spec.admissionControl: ",
            "leave it out",
        ),
        (
            shared,
            module(),
            "BackendTrafficPolicy default/tokens: spec.rateLimit.global.rules[0].shared: ",
            "becomes several",
        ),
        (
            one_name,
            module(),
            "a.yaml: BackendSecurityPolicy default/spare-auth: spec: ",
            "Secret other/main-key, and another names default/main-key",
        ),
        (
            policy("  loadBalancer: {type: RoundRobin, zoneAware: {preferLocal: {}}}\n"),
            module(),
            "BackendTrafficPolicy default/tokens: spec.loadBalancer.zoneAware.preferLocal: ",
            "a cluster of each backend",
        ),
        (
            policy(
                "  loadBalancer: {type: RoundRobin, zoneAware: {weightedZones: [{zone: a, weight: 1}]}}\n",
            ),
            module(),
            "BackendTrafficPolicy default/tokens: spec.loadBalancer.zoneAware.weightedZones: ",
            "a cluster of each backend",
        ),
        (extension, module(), "EnvoyExtensionPolicy edge/mine: spec.targetRefs: ", "one for a Gateway"),
    ] {
        let message = refused(&text, &options);
        assert!(message.contains(place) && message.contains(part), "{message}");
    }
}

/// The first patch of a cluster.
fn patch_of_cluster(text: &str) -> Value {
    let files = rendered(text, &module());
    let patches = &files.get(PATCHES).unwrap().content;
    let document = crate::resources::yaml::documents(patches).into_iter().next().unwrap().unwrap();
    document.pointer("/spec/jsonPatches/0/operation").unwrap().clone()
}

/// A ClientTrafficPolicy of the Gateway, or of one of its listeners.
fn client(section: &str, http1: &str) -> String {
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: client, namespace: edge}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: gw{section}}}], http1: {{{http1}}}}}\n"
    )
}

#[test]
fn what_envoy_gateway_says_of_a_clusters_protocol_stays() {
    let policy = |fields: &str| {
        let fields = format!("  {fields}\n");
        format!("{BASE}{}", POLICY.replace("  healthCheck: {passive: {consecutive5XxErrors: 3}}\n", &fields))
    };
    for (text, stays) in [
        (policy("useClientProtocol: true"), true),
        (policy("useClientProtocol: false"), false),
        (policy("timeout: {http: {connectionIdleTimeout: 60s}}"), true),
        (policy("timeout: {http: {streamIdleTimeout: 60s}}"), false),
        (format!("{BASE}{}", client("", "preserveHeaderCase: true")), true),
        (format!("{BASE}{}", client("", "preserveHeaderCase: false")), false),
        (format!("{BASE}{}", client(", sectionName: http", "enableTrailers: true")), true),
        (format!("{BASE}{}", client("", "http10: {}")), true),
    ] {
        let patch = patch_of_cluster(&text);
        let path = patch.get("path").and_then(Value::as_str).unwrap();
        assert_eq!(path.ends_with("/http_filters"), stays, "{text}");
    }
}

#[test]
fn listeners_that_share_a_cluster_say_the_same_of_its_protocol() {
    let listener = "{name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}";
    let other = listener.replace("name: http", "name: other").replace("80", "81");
    let two = BASE.replace(listener, &format!("{listener}, {other}"));
    let message =
        refused(&format!("{two}{}", client(", sectionName: http", "preserveHeaderCase: true")), &module());
    assert!(message.contains("ClientTrafficPolicy edge/client: spec.http1: "), "{message}");
    rendered(&format!("{two}{}", client("", "preserveHeaderCase: true")), &module());
}

#[test]
fn tls_with_clients_is_envoy_gateways() {
    let listener = "{name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}";
    let https = |name: &str| {
        listener.replace("name: http, protocol: HTTP, port: 80", &format!(
            "name: {name}, hostname: {name}.test, protocol: HTTPS, port: 443, tls: {{certificateRefs: [{{name: cert}}], options: {{a: b}}}}"
        ))
    };
    let fields = "http3: {}, tls: {ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA], fingerprints: [JA3], clientValidation: \
                  {caCertificateRefs: [{kind: ClusterTrustBundle, name: ca}], mode: VerifyIfGiven}}, \
                  headers: {xForwardedClientCert: {mode: SanitizeSet}, requestID: Preserve}";
    let policy = client("", "").replace("http1: {}", fields);
    // A model with several backends needs a patch of the routes of each.
    let text = format!("{}{policy}", BASE.replace(listener, &format!("{}, {}", https("a"), https("b"))));
    let files = rendered(&text, &module());
    let gateway = crate::resources::yaml::documents(&files.get(GATEWAY).unwrap().content);
    let find = |kind: &str| gateway.iter().flatten().find(|one| one["kind"] == kind).unwrap()["spec"].clone();
    let listeners = find("Gateway")["listeners"].clone();
    assert_eq!(listeners[1]["tls"]["certificateRefs"][0]["name"], "cert");
    assert_eq!(listeners[1]["tls"]["options"]["a"], "b");
    let policy = find("ClientTrafficPolicy");
    for path in ["/http3", "/tls/fingerprints/0", "/tls/clientValidation/mode", "/headers/requestID"] {
        assert!(policy.pointer(path).is_some(), "{path}: {policy}");
    }
    let patches = &files.get(PATCHES).unwrap().content;
    assert!(patches.contains("edge/gw/a") && patches.contains("edge/gw/b"), "{patches}");
}

#[test]
fn a_route_is_opened_only_where_it_has_the_patched_cluster() {
    let text = BASE.replace("{name: models, namespace: default}", "{name: models.v1, namespace: default}");
    let files = rendered(&text, &module());
    let patches = &files.get(PATCHES).unwrap().content;
    let path = "$..routes[?(@.name =~ '^httproute/default/models[.]v1-both/rule/0/' && \
                @.route.cluster == 'httproute/default/models.v1-both/rule/0')].match.headers";
    assert!(patches.contains(path), "{patches}");
}

#[test]
fn only_our_own_wasm_filter_is_patched() {
    let files = rendered(&direct_only(), &wasm());
    let patches = &files.get(PATCHES).unwrap().content;
    assert_eq!(patches.matches("@.name =~ '").count(), 2, "{patches}");
    let ours = "@.name =~ '^envoy[.]filters[.]http[.]wasm/[a-z]*/edge/weir/wasm/'";
    assert_eq!(patches.matches(ours).count(), 2, "{patches}");
}

/// A policy of the input for one thing.
fn policy_for(kind: &str, namespace: &str, target: &str) -> String {
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: {kind}\nmetadata: {{name: mine, namespace: {namespace}}}\n\
         spec: {{targetRefs: [{{{target}}}]}}\n"
    )
}

#[test]
fn a_policy_for_what_is_no_longer_there_is_refused() {
    for target in [
        "group: gateway.networking.k8s.io, kind: HTTPRoute, name: models",
        "group: aigateway.envoyproxy.io, kind: AIGatewayRoute, name: models",
    ] {
        for kind in ["SecurityPolicy", "EnvoyExtensionPolicy"] {
            let message =
                refused(&format!("{}{}", direct_only(), policy_for(kind, "default", target)), &module());
            assert!(message.contains(&format!("{kind} default/mine: spec.targetRefs: ")), "{message}");
        }
    }
    let target = "group: gateway.networking.k8s.io, kind: Gateway, name: gw";
    let files =
        rendered(&format!("{}{}", direct_only(), policy_for("SecurityPolicy", "edge", target)), &module());
    assert!(files.get(OTHER).unwrap().content.contains("SecurityPolicy"));
    let target = "group: gateway.networking.k8s.io, kind: HTTPRoute, name: models";
    rendered(&format!("{}{}", direct_only(), policy_for("SecurityPolicy", "edge", target)), &module());
}

#[test]
fn no_policy_takes_the_filter_from_a_route_beside_models() {
    let plain = |gateway: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: plain, namespace: default}}\n\
             spec: {{parentRefs: [{{name: {gateway}, namespace: edge}}], rules: [{{matches: [{{path: {{value: /page}}}}], backendRefs: \
             [{{group: gateway.envoyproxy.io, kind: Backend, name: main-endpoint}}]}}]}}\n"
        )
    };
    let target = "group: gateway.networking.k8s.io, kind: HTTPRoute, name: plain";
    let policy = policy_for("EnvoyExtensionPolicy", "default", target);
    let message = refused(&format!("{BASE}{}{policy}", plain("gw")), &module());
    assert!(
        message
            .contains("EnvoyExtensionPolicy default/mine: spec.targetRefs: is for HTTPRoute default/plain")
    );
    assert!(message.contains("on Gateway edge/gw"), "{message}");
    let (gateway, _) = BASE.split_once("---").unwrap();
    let other = gateway.replace("name: gw", "name: other");
    rendered(&format!("{BASE}---{other}{}{policy}", plain("other")), &module());
    let chosen =
        policy.replace(&format!("targetRefs: [{{{target}}}]"), "targetSelectors: [{kind: HTTPRoute}]");
    let message = refused(&format!("{BASE}{chosen}"), &module());
    assert!(message.contains("EnvoyExtensionPolicy default/mine: spec.targetSelectors: "), "{message}");
}

#[test]
fn a_proxy_that_the_filter_cannot_be_added_to_is_refused() {
    let named = "gatewayClassName: eg\n  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: own}}";
    let message = refused(&BASE.replace("gatewayClassName: eg", named), &module());
    assert!(message.contains("Gateway edge/gw: ") && message.contains("EnvoyProxy edge/own"), "{message}");
    let class =
        CLASS.replace("envoyDaemonSet: {container: {env: [{name: A, value: b}]}}", "envoyDaemonSet: 7");
    let message = refused(&format!("{BASE}{class}"), &module());
    assert!(message.contains("EnvoyProxy system/proxy: spec: "), "{message}");
}

#[test]
fn merged_gateways_take_no_patches() {
    let merged = CLASS.replace("spec: {provider", "spec: {mergeGateways: true, provider");
    for (text, options) in [(BASE.to_owned(), module()), (direct_only(), wasm())] {
        let message = refused(&format!("{text}{merged}"), &options);
        assert!(message.contains("EnvoyProxy system/proxy: spec.mergeGateways: "), "{message}");
    }
    rendered(&format!("{}{merged}", direct_only()), &module());
}

#[test]
fn a_limit_by_path_takes_the_clients_request() {
    let by = |selector: &str| POLICY.replace("headers: [{name: x-user-id, type: Distinct}]", selector);
    for selector in ["path: {value: /v1}", "queryParams: [{name: key, type: Distinct}]"] {
        let text = format!("{}{}", direct_only(), by(selector));
        assert!(rendered(&text, &module()).get(PATCHES).is_some(), "{selector}");
        assert!(refused(&text, &wasm()).contains("a limit by path"), "{selector}");
    }
    let text = format!("{}{}", direct_only(), by("methods: [{value: POST}]"));
    assert!(rendered(&text, &module()).get(PATCHES).is_none());
}

#[test]
fn the_first_backend_with_traffic_falls_back_on_nothing() {
    let refs = "[{name: main, weight: 3}, {name: spare, priority: 1}]";
    assert!(BASE.contains(refs));
    let text = BASE
        .replace(refs, "[{name: main, weight: 0}, {name: main, priority: 1}, {name: spare, priority: 2}]");
    let files = rendered(&text, &module());
    let (routes, backends) = (&files.get(ROUTES).unwrap().content, &files.get(BACKENDS).unwrap().content);
    assert!(!routes.contains("main-endpoint-fallback"), "{routes}");
    assert!(routes.contains("name: spare-endpoint-fallback"), "{routes}");
    assert_eq!(backends.matches("fallback: true").count(), 1, "{backends}");
    let second = BASE.replace(refs, "[{name: main}, {name: spare, weight: 0}]");
    assert!(refused(&second, &wasm()).contains("a second backendRef"));
}

#[test]
fn keys_of_aws_are_those_of_the_routes_own_proxy() {
    let text = direct_only()
        .replace("{name: OpenAI}", "{name: AWSAnthropic}")
        .replace("type: APIKey", "type: AWSCredentials")
        .replace("apiKey: {secretRef: {name: main-key}}", "awsCredentials: {region: us-west-2}");
    let class = CLASS.replace("name: A, value: b", "name: AWS_ACCESS_KEY_ID, value: b");
    rendered(&format!("{text}{class}"), &wasm());
    let other = class.replace("metadata: {name: eg}", "metadata: {name: other}");
    let message = refused(&format!("{text}{other}"), &wasm());
    assert!(message.contains("its Gateway's EnvoyProxy") && !message.contains("  "), "{message}");
}
