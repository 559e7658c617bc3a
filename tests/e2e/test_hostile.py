"""What a client or a backend sends to get at what is not theirs: other users' budgets, keys, the gateway's own headers."""

import hashlib
import json
import socket
import urllib.parse

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
