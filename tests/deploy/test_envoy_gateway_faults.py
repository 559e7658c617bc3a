"""What goes wrong under Envoy Gateway, and what is seen of it: the symptoms of docs/envoy-gateway.md."""

import json

import httpx
import pytest

from envoy_gateway import rendered, tools
from envoy_gateway.namespace import network
from envoy_gateway.registry import Registry
from envoy_gateway.standalone import EnvoyGateway
from harness import providers as stand_ins
from harness import resources
from harness.process import Failed, wait_for

QWEN = "Qwen/Qwen3-1.7B"
FAILOVER = "with-a-spare"


@pytest.fixture(scope="module")
def providers():
    with network():
        running = stand_ins.start_all()
        yield running
        running.stop()


@pytest.fixture
def start(tmp_path):
    started = []

    def start(manifest, change=lambda documents: None, options=rendered.MODULE, **named):
        documents = rendered.render(tmp_path, manifest, *options)
        change(documents)
        running = EnvoyGateway(tmp_path, documents, rendered.of_kind(manifest, "Secret"), **named)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


def manifest(running):
    manifest = resources.standard(running)
    spare = resources.rule(FAILOVER, "qwen3", {"name": "gpt-oss", "priority": 1})
    manifest[-1]["spec"]["rules"].append(spare)
    return manifest


def says(gateway, text, timeout=30):
    """Waits until the server, or Envoy in its output, says something."""
    wait_for(lambda: text in gateway.process.output, timeout, 0.2, what=f"{text!r} in the log")


def test_a_wrong_configuration_answers_503_and_says_why(start, providers, user):
    def change(documents):
        (policy,) = rendered.of_kind(documents, "EnvoyExtensionPolicy")
        policy["spec"]["dynamicModule"][0]["config"]["routes"] = 7

    gateway = start(resources.standard(providers), change)
    says(gateway, "the configuration cannot be read: invalid type: integer `7`, expected a map")
    answer = wait_for(lambda: try_chat(gateway, user), 30, 0.2, what="an answer")
    assert answer.status_code == 503
    assert answer.json()["error"]["type"]


def try_chat(gateway, user):
    try:
        return gateway.chat(QWEN, user)
    except httpx.HTTPError:
        return None


def test_without_the_module_in_the_pod_envoy_listens_nowhere(start, providers):
    def change(documents):
        for proxy in rendered.of_kind(documents, "EnvoyProxy"):
            proxy["spec"]["dynamicModules"][0]["source"]["local"]["path"] = "/opt/weir/nothing.so"

    gateway = start(resources.standard(providers), change)
    says(gateway, "Envoy rejected the last update")
    says(gateway, "/opt/weir/nothing.so")
    with pytest.raises(Failed):
        gateway.wait(timeout=2)


def test_without_the_wasm_file_in_the_pod_envoy_listens_nowhere(start, providers, tmp_path):
    """It is needed only where clusters have the filter, too."""
    registry = Registry(tmp_path)
    digest = registry.push("weir", "test", tools.WASM)
    image = ("--wasm-image", f"{registry.address}/weir:test", "--wasm-sha256", digest, "--wasm-volume")

    def change(documents):
        for policy in rendered.of_kind(documents, "EnvoyPatchPolicy"):
            text = json.dumps(policy).replace("/opt/weir/plugin.wasm", "/opt/weir/nothing.wasm")
            policy.update(json.loads(text))

    gateway = start(manifest(providers), change, ("--filter", "wasm", *image))
    says(gateway, "Invalid path: /opt/weir/nothing.wasm")
    with pytest.raises(Failed):
        gateway.wait(timeout=2)
    registry.stop()


def test_without_patches_a_model_with_several_backends_is_closed(start, providers, user):
    gateway = start(manifest(providers), patches=False).wait()
    says(gateway, "EnvoyPatchPolicy is disabled")
    assert gateway.chat(QWEN, user).status_code == 200, "needs no patch"
    answer = gateway.chat(FAILOVER, user)
    assert answer.status_code == 404
    forged = {"x-ai-eg-model": FAILOVER, "x-weir-unpatched": ""}
    assert gateway.http.post("/v1/chat/completions", json={"model": FAILOVER}, headers=forged).status_code == 404
    assert len(providers["qwen3"].requests()) == 1 and not providers["gpt-oss"].requests()


@pytest.mark.parametrize("mistake", ["address", "digest"])
def test_a_wasm_filter_that_does_not_come_answers_500(start, providers, user, tmp_path, mistake):
    registry = Registry(tmp_path)
    registry.push("weir", "test", tools.WASM)
    options = {
        "address": ("--wasm-image", "127.0.0.1:5001/weir:test"),
        "digest": ("--wasm-image", "127.0.0.1:5000/weir:test", "--wasm-sha256", "0" * 64),
    }[mistake]
    gateway = start(resources.standard(providers), options=("--filter", "wasm", *options))
    expected = {"address": "connection refused", "digest": "which does not match"}
    says(gateway, expected[mistake])
    answer = wait_for(lambda: try_chat(gateway, user), 30, 0.2, what="an answer")
    assert answer.status_code == 500
    registry.stop()


def test_a_plain_route_beside_models_opens_no_way_around_the_filter(start, providers, user):
    """The filter lets paths pass that are not its own; the headers by which models are routed must not bring them to a backend."""
    place = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "qwen3-endpoint"}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}], "backendRefs": [place]}
    plain = {"parentRefs": [resources.of_gateway()], "rules": [rule]}
    docs = resources.resource(resources.GATEWAY, "HTTPRoute", "docs", plain)
    gateway = start([*resources.standard(providers), docs]).wait()
    assert gateway.chat("keyed", user).status_code == 200
    providers.clear()
    gateway.http.get("/docs/index")
    assert [request["path"] for request in providers["qwen3"].requests()] == ["/docs/index"]
    forged = {"x-ai-eg-model": "keyed", "x-weir-cluster": "default/main", "x-weir-unpatched": "", "x-user-id": user}
    for path in ("/other", "/v1/other", "/"):
        assert gateway.http.get(path, headers=forged).status_code >= 400, path
        assert gateway.http.post(path, headers=forged, json={"model": "keyed"}).status_code >= 400, path
    assert not providers["main"].requests()
