"""What is held until it is whole has a limit for all together, beside the one for each."""

import contextlib
import select
import socket
import threading
import time
import urllib.parse

import pytest

from harness import resources
from harness.ports import free_port
from harness.process import wait_for
from harness.second_envoy import SecondEnvoy

MB = 1_000_000
#: So much is held at most, in one worker.
LIMIT = 256 << 20


class Endless:
    """A backend whose stream opens with an event that does not end."""

    def __init__(self, size):
        self._size, self._socket = size, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection):
        with contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            connection.sendall(b'data: {"choices": "' + b"x" * self._size)
            time.sleep(60)

    def close(self):
        for each in [self._socket, *self._open]:
            each.close()


def post(gateway, body, announced=None):
    """Sends a request, or the beginning of one, over a connection of its own."""
    place = urllib.parse.urlsplit(gateway.url)
    connection = socket.create_connection((place.hostname, place.port))
    connection.settimeout(20)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {announced or len(body)}\r\n\r\n"
    with contextlib.suppress(OSError):
        connection.sendall(head.encode() + body)
    return connection


def answers(connections, expected):
    """What those of them are told that are told an error: so many, and no more within a second."""
    heard = dict.fromkeys(connections, "")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        waiting = [connection for connection, text in heard.items() if "error" not in text]
        ready, _, _ = select.select(waiting, [], [], 1)
        if not ready and len(connections) - len(waiting) >= expected:
            break
        for connection in ready:
            heard[connection] += connection.recv(65536).decode()
    return [text for text in heard.values() if "error" in text]


def close(connections):
    for connection in connections:
        connection.close()


@pytest.fixture
def gateway(shared_providers, start_gateway):
    endless = Endless(20 * MB)
    manifest = [
        *resources.gateway(),
        *resources.backend("qwen3", shared_providers["qwen3"].url),
        *resources.backend("endless", endless.url),
        resources.route(resources.rule("m", "qwen3"), resources.rule("endless", "endless")),
    ]
    yield start_gateway(manifest, "--concurrency", "1")
    endless.close()


def assert_refused(told):
    assert told.startswith("HTTP/1.1 503"), told[:300]
    assert "service_unavailable_error" in told and "unfinished" in told, told


def test_unfinished_requests(gateway):
    for _ in range(2):
        body = b'{"model": "m", "messages": "' + b"x" * (30 * MB)
        connections = [post(gateway, body, announced=31 * MB) for _ in range(12)]
        expected = 12 - LIMIT // (30 * MB)
        told = answers(connections, expected)
        assert len(told) == expected
        for each in told:
            assert_refused(each)
            assert "retry-after: 1" in each
        close(connections)
        wait_for(lambda: gateway.chat("m").status_code == 200, 10, what="room again")


def test_unfinished_events(gateway):
    body = b'{"model": "endless", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    connections = [post(gateway, body) for _ in range(24)]
    told = answers(connections, 24 - LIMIT // (20 * MB))
    assert 24 - LIMIT // (20 * MB) <= len(told) < 24
    for each in told:
        # The headers of a stream go after a second: then an event says it.
        if each.startswith("HTTP/1.1 200"):
            assert "data: {" in each and "unfinished" in each, each
        else:
            assert_refused(each)
    close(connections)
    wait_for(lambda: gateway.chat("m").status_code == 200, 10, what="room again")


def test_the_memory_there_is(shared_providers, start_gateway, tmp_path):
    """The filter may hold more than there is: then Envoy refuses and ends requests, and goes on."""
    manifest = [
        *resources.gateway(),
        *resources.backend("qwen3", shared_providers["qwen3"].url),
        resources.route(resources.rule("m", "qwen3")),
    ]
    for each in manifest:
        if each["kind"] == "Gateway":
            each["metadata"]["annotations"] = {"weir.dev/held-limit": "2Gi"}
    gateway = start_gateway(manifest)
    room = 400 << 20
    envoy = SecondEnvoy(gateway, tmp_path, free_port(), memory=room)
    try:
        envoy.wait_until_it_serves("m")
        body = b'{"model": "m", "messages": "' + b"x" * (8 * MB)
        connections = []
        while len(connections) < 90:
            connections.append(post(envoy, body, announced=9 * MB))
            # It looks ten times a second at what it has; and what comes in at once beyond that is ended without a word.
            time.sleep(0.05)
        told = [text for text in map(what_came, connections) if text]
        # How many are told depends on how often it gets to look.
        assert len(told) > 3
        for each in told:
            assert each.startswith("HTTP/1.1 503") and "retry-after: 1" in each and '"error"' in each, each
        assert envoy.memory() < 1.5 * room
        close(connections)
        wait_for(lambda: envoy.chat("m") == 200, 20, what="room again")
        assert envoy.process.popen.poll() is None
    finally:
        envoy.stop()


def what_came(connection):
    """What there is to read of a connection; nothing where it was reset, or its request is still waited for."""
    connection.settimeout(0.02)
    try:
        return connection.recv(65536).decode()
    except OSError:
        return ""
