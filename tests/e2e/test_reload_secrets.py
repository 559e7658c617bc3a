"""Secrets and addresses that change while running: a key reaches only the address that it is for, and no request is lost."""

import collections
import secrets
import threading
import time

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for

MODEL = "m"
#: A key for each of the addresses.
KEYS = {"qwen3": "sk-of-qwen3", "gpt-oss": "sk-of-gpt-oss"}


def manifest(running, at, key=None, second=False):
    """One backend that is at the address of a provider, with the key of that one; `second`: beside a spare one, which is no direct way."""
    backends = ["moving", "spare"] if second else ["moving"]
    spare = [*resources.backend("spare", running["spare"].url), *resources.api_key("spare", stand_ins.SPARE_KEY)]
    return [
        *resources.gateway(),
        *resources.backend("moving", running[at].url),
        *resources.api_key("moving", key or KEYS[at]),
        *(spare if second else []),
        resources.route(resources.rule(MODEL, *({"name": name, "priority": p} for p, name in enumerate(backends)))),
    ]


class Load:
    """Requests without a pause from several threads; what they were answered with."""

    def __init__(self, gateway, threads=4):
        self.statuses, self._stop = collections.Counter(), threading.Event()

        def run():
            while not self._stop.is_set():
                self.statuses[gateway.chat(MODEL).status_code] += 1

        self._threads = [threading.Thread(target=run) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def keys_seen(provider):
    return {one["headers"].get("authorization") for one in provider.requests()}


def key_of_one(gateway, provider):
    """The key that one more request arrives with, among all others."""
    mark = secrets.token_hex(8)
    assert gateway.chat(MODEL, metadata={"mark": mark}).status_code == 200
    return next(one["headers"]["authorization"] for one in provider.requests() if mark in one["body"])


def reloads(gateway):
    return gateway.process.output.count("reloaded:")


@pytest.mark.parametrize("second", [False, True], ids=["direct", "two-roles"])
def test_a_key_reaches_only_its_address(shared_providers, providers, start_gateway, second):
    gateway = start_gateway(manifest(shared_providers, "qwen3", second=second))
    wait_for(lambda: gateway.chat(MODEL).status_code == 200, 15, what="the first address")
    with Load(gateway) as load:
        for at in ["gpt-oss", "qwen3", "gpt-oss", "qwen3"]:
            before = reloads(gateway)
            gateway.write(manifest(providers, at, second=second))
            wait_for(lambda before=before: reloads(gateway) > before, 20, what="the reload")
            time.sleep(0.3)
    for name, key in KEYS.items():
        assert keys_seen(providers[name]) == {f"Bearer {key}"}, name
    assert set(load.statuses) == {200}, load.statuses
    assert load.statuses[200] > 50


def test_a_key_alone_is_rotated_and_nothing_is_lost(shared_providers, providers, start_gateway):
    gateway = start_gateway(manifest(shared_providers, "qwen3"))
    wait_for(lambda: gateway.chat(MODEL).status_code == 200, 15, what="the first key")
    with Load(gateway) as load:
        for number in range(4):
            before = reloads(gateway)
            gateway.write(manifest(providers, "qwen3", key=f"sk-{number}"))
            wait_for(lambda before=before: reloads(gateway) > before, 20, what="the reload")
            # Envoy's main thread has it, and tells the workers after that.
            wait_for(lambda number=number: key_of_one(gateway, providers["qwen3"]) == f"Bearer sk-{number}", what="the new key in use")
    assert set(load.statuses) == {200}, load.statuses


def test_a_key_is_added(shared_providers, providers, start_gateway):
    plain = [
        *resources.gateway(),
        *resources.backend("moving", shared_providers["qwen3"].url),
        resources.route(resources.rule(MODEL, "moving")),
    ]
    gateway = start_gateway(plain)
    assert gateway.chat(MODEL).status_code == 200
    gateway.write(manifest(providers, "gpt-oss"))
    gateway.process.wait_line("reloaded:", 15)
    assert gateway.chat(MODEL).status_code == 200
    assert keys_seen(providers["gpt-oss"]) == {f"Bearer {KEYS['gpt-oss']}"}
    assert "refused" not in gateway.process.output
    gateway.write([*manifest(providers, "gpt-oss"), *resources.backend("more", providers["main"].url),
                   *resources.api_key("more", stand_ins.OPENAI_KEY),
                   resources.route(resources.rule("second", "more"), name="others")])
    wait_for(lambda: gateway.chat("second").status_code == 200, 15, what="the second key")
    assert "refused" not in gateway.process.output


@pytest.mark.parametrize("level", ["debug", "trace"])
def test_no_log_level_shows_a_key(shared_providers, providers, start_gateway, level):
    theirs = "sk-of-the-client"
    clients = [resources.secret("clients", client=theirs), resources.security_policy("clients", apiKeyAuth=resources.key_of("clients"))]
    gateway = start_gateway([*manifest(shared_providers, "qwen3", second=True), *clients], "--log-level", level)
    # Of a burst of lines `weir run` passes on fifty in ten seconds, and Envoy says more than that when it starts.
    time.sleep(10.5)
    for stream in [False, True]:
        body = {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {theirs}", "x-api-key": theirs}
        assert gateway.http.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    time.sleep(0.5)
    said = gateway.process.output
    assert "debug" in said, "it does say more"
    for key in [theirs, *KEYS.values(), stand_ins.SPARE_KEY]:
        assert key not in said, [line for line in said.splitlines() if key in line][:3]
