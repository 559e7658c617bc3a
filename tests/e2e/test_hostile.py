"""What a client or a backend sends to get at what is not theirs: other users' budgets, keys, the gateway's own headers."""

import hashlib
import json
import socket
import urllib.parse

import pytest

from harness import resources
from harness.providers import OPENAI_KEY
from harness.samples import HELLO

QWEN = "Qwen/Qwen3-1.7B"
CHAT = "/v1/chat/completions"


def raw(gateway, head, body=b""):
    """An answer to a request that no client library would send: status and body."""
    place = urllib.parse.urlsplit(gateway.url)
    lines = [line for line in head if line]
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


def chat(*headers):
    body = json.dumps({"model": QWEN, "messages": HELLO}).encode()
    head = [f"POST {CHAT} HTTP/1.1", "Host: a", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return [*head, *headers], body


def messages(gateway, model):
    body = {"model": model, "max_tokens": 5, "messages": HELLO}
    return gateway.http.post("/anthropic/v1/messages", json=body)


class TestWhoARequestIsFrom:
    def test_said_twice(self, gateway, providers):
        head, body = chat("x-user-id: ann", "X-User-Id: bob", "connection: close")
        status, answer = raw(gateway, head, body)
        assert status == 400, answer
        assert b"x-user-id is there twice" in answer
        assert providers["qwen3"].requests() == []

    def test_a_long_name_is_a_digest(self, gateway, providers):
        user = "u" * 5000
        assert gateway.chat(QWEN, user).status_code == 200
        (request,) = providers["qwen3"].requests()
        digest = f"sha256:{hashlib.sha256(user.encode()).hexdigest()}"
        assert request["headers"]["x-user-id"] == digest
        assert gateway.logged(digest)


class TestWhatABackendAnswers:
    @pytest.mark.parametrize("status", [400, 200])
    def test_the_gateways_key_in_an_error(self, gateway, providers, status):
        error = {"error": {"message": f"got Bearer {OPENAI_KEY}", "type": "t", "code": 400}}
        headers = {"x-debug": OPENAI_KEY, "content-type": "application/json"}
        providers["main"].script({"json": error}, status=status, headers=headers)
        answer = gateway.chat("keyed")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "got Bearer ***"
        assert answer.headers["x-debug"] == "***"

    def test_the_gateways_key_in_an_event(self, gateway, providers):
        begun = {"text": 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'}
        error = {"text": f'data: {{"error":{{"message":"got {OPENAI_KEY}","type":"t"}}}}\n\n'}
        providers["main"].script(begun, error, headers={"content-type": "text/event-stream"})
        answer = gateway.chat("keyed", stream=True)
        assert answer.status_code == 200
        assert "got ***" in answer.text

    # A model that goes a direct way, and one that does not.
    @pytest.mark.parametrize(("model", "provider"), [(QWEN, "qwen3"), ("claude-native", "claude")])
    @pytest.mark.parametrize("status", [200, 400])
    def test_headers_of_the_gateway(self, gateway, providers, model, provider, status):
        names = ["x-weir-cluster", "x-ai-eg-model", "x-envoy-ratelimited", "set-cookie", "access-control-allow-origin"]
        headers = {name: "a" for name in names} | {"x-request-id": "theirs", "content-type": "application/json"}
        body = {"default": {}} if status == 200 else {"json": {"error": {"message": "m", "type": "t"}}}
        providers[provider].script(body, status=status, headers=headers)
        answer = gateway.chat(model) if model == QWEN else messages(gateway, model)
        assert answer.status_code == status, answer.text
        assert not set(names) & set(answer.headers)
        assert answer.headers["x-request-id"] == "theirs"

    @pytest.mark.parametrize("status", [304, 600, 999])
    def test_a_status_that_no_answer_has(self, gateway, providers, status):
        for name, ask in [("qwen3", lambda: gateway.chat(QWEN)), ("claude", lambda: messages(gateway, "claude-native"))]:
            providers[name].script({"json": {}}, status=status, times=10)
            answer = ask()
            assert answer.status_code == 502, answer.text
            assert answer.json()["error"]["message"]


class TestTooMuch:
    @pytest.fixture(scope="class")
    def small(self, shared_providers, start_gateway):
        return start_gateway(
            [
                *resources.gateway(),
                *resources.backend("qwen3", shared_providers["qwen3"].url),
                resources.client_traffic(connection={"bufferLimit": "64Ki"}),
                resources.route(resources.rule(QWEN, "qwen3")),
            ]
        )

    # One, as far as each chunk goes, and a body of many.
    @pytest.mark.parametrize("size", [66_000, 200_000, 3_000_000])
    @pytest.mark.parametrize("path", [CHAT, "/anthropic/v1/messages", "/cohere/v2/rerank"])
    def test_in_chunks(self, small, path, size):
        chunks = (b"x" * min(50_000, size - start) for start in range(0, size, 50_000))
        answer = small.http.post(path, content=chunks, headers={"content-type": "application/json"})
        assert answer.status_code == 413, answer.text
        error = answer.json() if path.startswith("/cohere") else answer.json()["error"]
        assert "65536" in error["message"], answer.text
        assert ("type" in answer.json()) == (not path.startswith("/cohere"))

    @pytest.mark.parametrize("length", [2**32, 2**32 + 1, 2**63, 2**64])
    def test_announced(self, gateway, length):
        head = [f"POST {CHAT} HTTP/1.1", "Host: a", f"Content-Length: {length}", "connection: close"]
        status, answer = raw(gateway, head)
        # What no 64 bits hold Envoy refuses as no HTTP.
        assert status == (413 if length < 2**64 else 400)
        assert length >= 2**64 or json.loads(answer)["error"]["code"] == "413"
