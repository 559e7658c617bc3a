"""What clients may do before a model is asked: host names with ports, HTTP/1.0, upgrades, bodies that never end, and more than fits."""

import json
import os
import resource
import socket
import time

import httpx
import pytest

from harness import resources
from harness.ports import free_port
from harness.process import wait_for
from harness.second_envoy import SecondEnvoy, bootstrap_of

QWEN = "Qwen/Qwen3-1.7B"


def body_of(**more):
    body = {"model": QWEN, "messages": [{"role": "user", "content": "one two three"}], **more}
    return json.dumps(body).encode()


def connect(gateway, timeout=20):
    url = httpx.URL(gateway.url)
    return socket.create_connection((url.host, url.port), timeout)


def answer_of(connection):
    """All that comes until the other side closes: status, head and body."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    head = head.lower()
    if b"transfer-encoding: chunked" in head:
        body = b"".join(body.split(b"\r\n")[1::2])
    return int(head.split(b" ")[1]), head, body


def post(gateway, head, body, version="1.1", path="/v1/chat/completions"):
    head = [f"POST {path} HTTP/{version}", "content-type: application/json", f"content-length: {len(body)}", *head]
    with connect(gateway) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return answer_of(connection)


@pytest.mark.parametrize("hostname", ["models.test", "*.test"])
def test_the_port_of_a_host_header_is_ignored(shared_providers, start_gateway, hostname):
    manifest = resources.standard(shared_providers)
    for each in manifest:
        if each["kind"] == "AIGatewayRoute":
            each["spec"]["hostnames"] = [hostname]
    gateway = start_gateway(manifest)
    for host in ["models.test", "models.test:80", "models.test:12345", "MODELS.test:443"]:
        status, _, body = post(gateway, [f"host: {host}", "connection: close"], body_of())
        assert (status, b"choices" in body) == (200, True), (host, body)
        models = gateway.http.get("/v1/models", headers={"host": host}).json()
        assert QWEN in [model["id"] for model in models["data"]], host
    assert post(gateway, ["host: other.invalid:80", "connection: close"], body_of())[0] == 404


@pytest.mark.parametrize("head", [["host: gateway"], []], ids=["host", "no host"])
def test_a_client_of_http_1_0(gateway, head):
    status, head, body = post(gateway, head, body_of(), version="1.0")
    assert status == 200
    assert b"transfer-encoding" not in head
    assert json.loads(body)["choices"]


def test_a_stream_to_a_client_of_http_1_0_ends_with_the_connection(gateway):
    status, head, body = post(gateway, ["host: gateway"], body_of(stream=True), version="1.0")
    assert status == 200
    assert b"transfer-encoding" not in head
    events = [line for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert events[-1] == b"data: [DONE]"
    assert all(json.loads(event[6:])["object"] for event in events[:-1])


def test_errors_for_a_client_of_http_1_0(gateway):
    status, _, body = post(gateway, ["host: gateway"], b"{}", version="1.0")
    assert status == 400
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize("protocol", ["h2c", "anything", "web", "websockets"])
def test_a_wish_for_another_protocol_is_ignored(gateway, protocol):
    head = ["host: gateway", "connection: upgrade, close", f"upgrade: {protocol}"]
    status, _, body = post(gateway, head, body_of())
    assert status == 200
    assert json.loads(body)["choices"]


def test_a_body_that_does_not_come_ends(shared_providers, start_gateway):
    policy = resources.client_traffic(timeout={"http": {"requestReceivedTimeout": "1s"}})
    gateway = start_gateway([*resources.standard(shared_providers), policy])
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1000\r\n\r\n{"
    with connect(gateway) as connection:
        connection.sendall(head.encode())
        begin = time.monotonic()
        status, _, body = answer_of(connection)
    assert status == 408
    assert json.loads(body)["error"]["message"]
    assert time.monotonic() - begin < 10
    # The time is the request's alone.
    shared_providers["qwen3"].script({"default": {"words": 30, "delay_ms": 100}})
    status, _, body = post(gateway, ["host: gateway", "connection: close"], body_of(stream=True))
    assert (status, b"[DONE]" in body) == (200, True)


def test_a_request_may_take_five_minutes_by_default(gateway):
    """It could not be waited for: what Envoy runs on says so."""
    assert '"request_timeout": "300s"' in json.dumps(bootstrap_of(gateway))


def test_the_machine_bounds_envoy(gateway):
    overload = bootstrap_of(gateway)["overload_manager"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    connections, heap = [monitor["typed_config"] for monitor in overload["resource_monitors"]]
    assert 0 < heap["max_heap_size_bytes"] <= memory * 0.75
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert 0 < connections["max_active_downstream_connections"] <= most / 2


@pytest.mark.parametrize(
    "path, error_of",
    [
        ("/v1/chat/completions", lambda body: body["error"]),
        ("/anthropic/v1/messages", lambda body: body["type"] == "error" and body["error"]),
    ],
)
def test_without_memory_requests_get_a_503(gateway, tmp_path, path, error_of):
    """What Envoy runs on, in a second Envoy that has a byte."""
    # At once, the others would take the connection as well.
    kept = ["envoy.overload_actions.shrink_heap", "envoy.overload_actions.stop_accepting_requests"]
    envoy = SecondEnvoy(gateway, tmp_path, free_port(), memory=1, actions=kept)
    try:
        url = envoy.url + path

        def refused():
            try:
                answer = httpx.post(url, content=body_of(max_tokens=9), headers={"content-type": "application/json"})
            except httpx.TransportError:
                return None
            return answer if answer.status_code == 503 else None

        answer = wait_for(refused, 60, what="a refusal")
        assert error_of(answer.json())["message"] == "the gateway has no room for more requests; try again"
        assert answer.headers["retry-after"] == "1"
    finally:
        envoy.stop()
