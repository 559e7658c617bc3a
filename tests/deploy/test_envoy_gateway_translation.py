"""What Envoy Gateway makes of the rendered resources, offline: valid, accepted, and taken by Envoy."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from envoy_gateway import rendered, tools
from envoy_gateway.translate import Translation
from harness import providers, resources

EKS = tools.ROOT / "manifests" / "eks"
#: Addresses of nobody: here nothing is sent.
ADDRESS = "http://10.99.0.{}:9001".format


def blueprint():
    parts = ["gateway.yaml", "model-backends.yaml", "rate-limiting/ai-gateway-route.yaml"]
    return [EKS / part for part in [*parts, "rate-limiting/ai-gateway-rate-limit.yaml"]]


def tls(backend, hostname):
    target = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": f"{backend}-endpoint"}
    validation = {"hostname": hostname, "wellKnownCACertificates": "System"}
    return resources.resource(
        resources.GATEWAY, "BackendTLSPolicy", backend, {"targetRefs": [target], "validation": validation}
    )


def two_by_address():
    """A model with a backend that steps in for another."""
    return [
        *resources.gateway(),
        *resources.backend("main", ADDRESS(1)),
        *resources.api_key("main", providers.OPENAI_KEY),
        *resources.backend("spare", ADDRESS(2)),
        resources.route(resources.rule("m", "main", {"name": "spare", "priority": 1})),
    ]


def two_by_name():
    """The same with host names and TLS."""
    return [
        *resources.gateway(),
        *resources.backend("main", "https://main.example:443"),
        tls("main", "main.example"),
        *resources.backend("spare", "https://spare.example:443"),
        tls("spare", "spare.example"),
        resources.route(resources.rule("m", {"name": "main", "weight": 3}, {"name": "spare", "weight": 1})),
    ]


def several_endpoints():
    """A Backend with two addresses, and conditions beside the model's."""
    endpoints = [{"ip": {"address": f"10.99.0.{n}", "port": 9001}} for n in (1, 2)]
    (backend, service) = resources.backend("main", ADDRESS(1))
    backend["spec"]["endpoints"] = endpoints
    other = resources.rule("m", "beta")
    other["matches"][0]["headers"].append({"name": "x-beta", "value": "yes"})
    return [
        *resources.gateway(),
        backend,
        service,
        *resources.backend("beta", ADDRESS(3)),
        resources.route(other, resources.rule("m", "main")),
        resources.traffic(resources.budget("llm_total_token", 100), retry={"numRetries": 1}),
    ]


def across_namespaces():
    """A Gateway, routes, and a Backend in a namespace each, and a policy for the whole Gateway."""
    manifest = two_by_address()
    gateway = rendered.named(manifest, "Gateway", "weir")
    gateway["metadata"]["namespace"] = "edge"
    gateway["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}
    manifest[-1]["spec"]["parentRefs"][0]["namespace"] = "edge"
    rendered.named(manifest, "Backend", "spare-endpoint")["metadata"]["namespace"] = "other"
    rendered.named(manifest, "AIServiceBackend", "spare")["spec"]["backendRef"]["namespace"] = "other"
    limits = resources.traffic(resources.budget("llm_total_token", 100))
    limits["metadata"]["namespace"] = "edge"
    return [*manifest, limits]


def tokens():
    """Backends whose tokens are fetched, from servers with a name and TLS and from one with an address."""
    google = {"projectName": "p", "region": "r", "credentialsFile": {"secretRef": {"name": "google"}}}
    identity = {"managedIdentity": {"clientID": "of-the-node"}}
    return [
        *resources.gateway(),
        *resources.backend("google", ADDRESS(1), "GCPVertexAI"),
        resources.security("google-auth", "google", type="GCPCredentials", gcpCredentials=google),
        *resources.backend("azure", ADDRESS(2), "AzureOpenAI"),
        resources.security("azure-auth", "azure", type="AzureCredentials", azureCredentials=identity),
        resources.route(resources.rule("m", "google", {"name": "azure", "priority": 1})),
    ]


MANIFESTS = {
    "across-namespaces": across_namespaces,
    "blueprint": blueprint,
    "two-by-address": two_by_address,
    "two-by-name": two_by_name,
    "several-endpoints": several_endpoints,
    "tokens": tokens,
}
#: Routes that no request takes: they are there for their clusters.
FOR_CLUSTERS = ("weir-aws-credentials", "weir-credentials")


@pytest.fixture(params=MANIFESTS, scope="module")
def translation(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("translation")
    documents = rendered.render(directory, MANIFESTS[request.param]())
    translation = Translation(directory, documents)
    translation.documents = documents
    return translation


def test_what_is_rendered_is_valid_and_accepted_and_envoy_takes_it(translation):
    assert translation.is_valid(), translation.validation
    assert translation.unmet() == []
    assert translation.accepted_by_envoy() == ""


def test_every_patch_has_its_effect(translation):
    """Envoy Gateway is silent about a patch that finds nothing."""
    marks = 0
    for policy in rendered.of_kind(translation.documents, "EnvoyPatchPolicy"):
        for patch in policy["spec"]["jsonPatches"]:
            name, operation = patch["name"], patch["operation"]
            if operation["op"] == "remove":
                assert "x-weir-unpatched" not in str(translation.route_configurations()[name])
            elif "jsonPath" in operation:
                place = translation.endpoints().get(name) or translation.clusters()[name]["loadAssignment"]
                assert str(operation["value"]["target"]) in str(place), operation
                marks += 1
            else:
                (options,) = translation.clusters()[name]["typedExtensionProtocolOptions"].values()
                first = options["httpFilters"][0]
                assert first["name"] == "weir.backend"
    endpoints = [*translation.endpoints().values()]
    endpoints += [each["loadAssignment"] for each in translation.clusters().values() if "loadAssignment" in each]
    marked = str(endpoints).count("'weir': {'target'")
    assert marked == marks, "each mark is on one endpoint"


def test_a_route_whose_cluster_is_split_stays_closed(tmp_path):
    """Without one of the Backends the patches of the cluster find nothing: the filter is not in it."""
    documents = rendered.render(tmp_path, two_by_address())
    documents.remove(rendered.named(documents, "Backend", "main-endpoint"))
    translation = Translation(tmp_path, documents)
    assert "weir.backend" not in str(translation.clusters())
    (routes,) = translation.route_configurations().values()
    assert "x-weir-unpatched" in str(routes)


def test_no_stream_is_cut_and_no_prompt_refused(translation):
    """Envoy's own defaults are 15 s for a whole answer, and 32 KiB of it."""
    for name, route in translation.routes().items():
        if any(each in name for each in FOR_CLUSTERS) or "route" not in route:
            continue
        assert route["route"]["timeout"] == "0s", name
        assert route["route"]["idleTimeout"] == "300s", name
        assert route["route"]["retryPolicy"].get("perTryTimeout") == "120s", name
    for listener in translation.listeners():
        if listener["name"].startswith(("default/", "edge/")):
            assert listener["perConnectionBufferLimitBytes"] >= 32 << 20


def test_a_policy_of_the_gateway_is_merged_and_not_replaced(tmp_path):
    translation = Translation(tmp_path, rendered.render(tmp_path, across_namespaces()))
    (route,) = [route for name, route in translation.routes().items() if "/models-m/" in name]
    limits = route["typedPerFilterConfig"]["envoy.filters.http.ratelimit"]["rateLimits"]
    assert [limit.get("applyOnStreamDone", False) for limit in limits] == [False, True]
    # The other backend once, and three attempts for stale connections.
    assert route["route"]["retryPolicy"]["numRetries"] == 4


def test_a_listener_may_end_tls(tmp_path):
    manifest = two_by_address()
    gateway = rendered.named(manifest, "Gateway", "weir")
    tls = {"certificateRefs": [{"name": "gateway-tls"}]}
    gateway["spec"]["listeners"] = [{"name": "https", "protocol": "HTTPS", "port": 8443, "tls": tls}]
    documents = rendered.render(tmp_path, manifest)
    translation = Translation(tmp_path, [*documents, certificate("gateway-tls")])
    assert translation.unmet() == []
    assert "x-weir-unpatched" not in str(translation.route_configurations()["default/weir/https"])
    (chain,) = next(each for each in translation.listeners() if each["name"] == "default/weir/https")["filterChains"]
    filters = chain["filters"][0]["typedConfig"]["httpFilters"]
    assert any("dynamic_modules" in each["name"] for each in filters)


def certificate(name):
    """A Secret with a certificate of nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway.example")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName("gateway.example")])
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    key_pem = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    data = {"tls.crt": signed.public_bytes(pem), "tls.key": key_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def test_servers_that_give_tokens_have_clusters(tmp_path):
    documents = rendered.render(tmp_path, tokens())
    (policy,) = rendered.of_kind(documents, "EnvoyExtensionPolicy")
    (module,) = policy["spec"]["dynamicModule"]
    called = {}
    for source in module["config"]["credentials"].values():
        called.update(source["hosts"])
    https = ["https://oauth2.googleapis.com", "https://login.microsoftonline.com"]
    servers = {**dict.fromkeys(https, 443), "http://169.254.169.254": 80}
    assert called.keys() == servers.keys()
    translation = Translation(tmp_path, documents)
    for server, port in servers.items():
        cluster = translation.clusters()[called[server]]
        places = translation.endpoints().get(cluster["name"]) or cluster["loadAssignment"]
        assert f"'portValue': {port}" in str(places)
        assert ("transportSocket" in str(cluster)) == server.startswith("https:")


def test_a_direct_way_needs_no_patch(tmp_path):
    documents = rendered.render(tmp_path, blueprint())
    assert rendered.of_kind(documents, "EnvoyPatchPolicy") == []


def test_no_secret_is_rendered(tmp_path):
    rendered.render(tmp_path, two_by_address())
    files = list((tmp_path / "rendered").iterdir())
    assert files and all(providers.OPENAI_KEY not in file.read_text() for file in files)


def test_the_oldest_release_takes_it_with_wasm(tmp_path):
    """1.6.0; its default is Envoy 1.36. It says when a patch finds nothing."""
    egctl = tools.older_egctl(tools.OLDEST)
    options = ("--filter", "wasm", "--wasm-image", "registry.example/weir:1", "--wasm-sha256", "0" * 64)
    # The blueprint's AWS credentials are those of its pods, which wasm cannot read.
    for name, manifest in MANIFESTS.items() - {("blueprint", blueprint)}:
        directory = tmp_path / name
        documents = rendered.render(
            directory, manifest(), *options, "--wasm-volume", "--envoy-gateway-version", tools.OLDEST
        )
        whole = Translation.check(directory, documents, egctl)
        assert whole == "OK", f"{name}: {whole}"
        translation = Translation(directory, without_wasm_policies(documents), egctl)
        assert translation.unmet() == [], name
        assert translation.accepted_by_envoy() == "", name
        assert "weir.backend" in str(translation.clusters())
        routes = [
            each["route"]
            for route, each in translation.routes().items()
            if "route" in each and not any(mark in route for mark in FOR_CLUSTERS)
        ]
        assert routes and [(route["timeout"], route["idleTimeout"]) for route in routes] == [("0s", "300s")] * len(routes)


def without_wasm_policies(documents):
    """They cannot be translated offline; nor can patches of the filters that they would become."""
    for policy in rendered.of_kind(documents, "EnvoyPatchPolicy"):
        patches = policy["spec"]["jsonPatches"]
        policy["spec"]["jsonPatches"] = [each for each in patches if "http_filters[" not in str(each)]
    return [each for each in documents if each["kind"] != "EnvoyExtensionPolicy"]


def test_the_first_release_with_native_modules_takes_it(tmp_path):
    """1.8.0; its default is Envoy 1.38."""
    egctl = tools.older_egctl("v1.8.0")
    for name, manifest in MANIFESTS.items():
        directory = tmp_path / name
        translation = Translation(directory, rendered.render(directory, manifest()), egctl)
        assert translation.is_valid(), f"{name}: {translation.validation}"
        assert translation.unmet() == [], name
        assert translation.accepted_by_envoy() == "", name
