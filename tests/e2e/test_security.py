"""A SecurityPolicy of the Gateway: who gets in, who that is to what follows, and what of it a backend sees."""

import json
import socket
import subprocess
import threading
import time
import urllib.parse

import anthropic
import openai
import pytest
from google import genai

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for
from harness.samples import HELLO, TOTAL

ANN, BOB = "sk-gateway-ann", "sk-gateway-bob"
PAGE = "https://app.example.com"
BUDGET = 2 * TOTAL + 10
SHARED, OF_ANN, TWO = "shared", "of-ann", "two"


def only(client, rule):
    rule["matches"][0]["headers"].append({"name": "x-client-id", "value": client})
    return rule


def manifest(running, *policies, rules=None, **keys):
    url = {name: running[name].url for name in ("main", "spare", "qwen3")}
    keys = keys or {"ann": ANN, "bob": BOB}
    places = [{"headers": ["authorization", "x-api-key", "x-goog-api-key", "x-team-key"]}, {"params": ["team"]}]
    api_key = {"credentialRefs": [{"name": "clients"}], "extractFrom": places, "forwardClientIDHeader": "x-client-id"}
    cors = {
        "allowOrigins": ["https://*.example.com"],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["authorization", "content-type"],
        "maxAge": "10m",
    }
    route = resources.route(
        resources.rule(SHARED, "main"),
        only("ann", resources.rule(OF_ANN, "main")),
        resources.rule(TWO, "spare", {"name": "main", "priority": 1}),
    )
    route["metadata"]["annotations"] = {"weir.dev/pass-through": "/main=main"}
    return [
        *resources.gateway(),
        *resources.backend("main", url["main"]),
        *resources.api_key("main", stand_ins.OPENAI_KEY),
        *resources.backend("spare", url["spare"]),
        *resources.api_key("spare", stand_ins.SPARE_KEY),
        route,
        *resources.backend("plain", url["qwen3"]),
        resources.plain_route("docs", "/docs", "plain"),
        resources.secret("clients", **keys),
        resources.security_policy("clients", apiKeyAuth=api_key, cors=cors, **(rules or {})),
        *policies,
    ]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(manifest(shared_providers))


def seen_by_backends(providers):
    return [each for name in ("main", "spare", "qwen3") for each in providers[name].requests()]


def test_a_client_with_a_key_gets_in(gateway, providers):
    client = gateway.openai().with_options(api_key=BOB)
    for model in (SHARED, TWO):
        for stream in (False, True):
            answer = client.chat.completions.create(model=model, messages=HELLO, stream=stream)
            assert list(answer) if stream else answer.choices
    seen = seen_by_backends(providers)
    assert len(seen) == 4
    for one in seen:
        assert BOB not in json.dumps(one), "the key of the gateway"
        assert one["headers"]["x-client-id"] == "bob"
        assert "x-weir-policy" not in one["headers"]


def test_the_key_of_another_place_goes_no_further_either(gateway, providers):
    asked = {"model": TWO, "messages": HELLO}
    assert gateway.http.post("/v1/chat/completions", json=asked, headers={"x-team-key": BOB}).status_code == 200
    assert gateway.http.post("/v1/chat/completions", json=asked, params={"team": BOB}).status_code == 200
    assert gateway.http.get(f"/main/v1/models?team={BOB}&x=1").status_code == 200
    assert gateway.http.get("/docs/x", headers={"x-team-key": BOB}).status_code in (200, 404)
    seen = seen_by_backends(providers)
    assert len(seen) == 4 and BOB not in json.dumps(seen)


def test_clients_of_all_apis_are_told_in_their_words(gateway, providers):
    wrong = "sk-of-nobody"
    with pytest.raises(openai.AuthenticationError) as refused:
        gateway.openai().with_options(api_key=wrong).chat.completions.create(model=SHARED, messages=HELLO)
    assert "not one that this gateway knows" in refused.value.message
    with pytest.raises(anthropic.AuthenticationError) as refused:
        gateway.anthropic().with_options(api_key=wrong).messages.create(model=SHARED, max_tokens=9, messages=HELLO)
    assert refused.value.body["error"]["type"] == "authentication_error"
    gemini = gateway.gemini()
    with pytest.raises(genai.errors.ClientError) as refused:
        gemini.models.generate_content(model=SHARED, contents="hi")
    assert refused.value.code == 401 and refused.value.status == "UNAUTHENTICATED"
    missing = gateway.http.post("/v1/chat/completions", json={"model": SHARED, "messages": HELLO})
    assert missing.status_code == 401 and "is missing" in missing.json()["error"]["message"]
    assert missing.headers["content-type"] == "application/json"
    assert gateway.anthropic().with_options(api_key=ANN).messages.create(model=SHARED, max_tokens=9, messages=HELLO)
    assert seen_by_backends(providers)[-1]["headers"]["x-client-id"] == "ann"


@pytest.mark.parametrize("path", ["/v1/models", "/anthropic/v1/models", "/v1beta/models", "/v1/models/x", "/docs/x", "/main/v1/models", "/nowhere"])
def test_nothing_answers_who_has_no_key(gateway, providers, path):
    answer = gateway.http.get(path)
    assert answer.status_code == 401, answer.text
    assert not seen_by_backends(providers)


def test_a_socket_needs_a_key(gateway):
    wish = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "eHh4eHh4eHh4eHh4eHh4eA=="}
    assert gateway.http.get("/v1/realtime?model=shared", headers=wish).status_code == 401


def test_nobody_has_a_body_held_without_a_key(gateway):
    """It is refused by its headers: the answer is there while the body is not."""
    place = urllib.parse.urlsplit(gateway.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\ncontent-length: 30000000\r\n\r\n"
        connection.sendall(head.encode() + b'{"model": "shared", ')
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_who_says_who_it_is_is_not_believed(gateway, providers):
    asked = {"model": SHARED, "messages": HELLO}
    for claimed in ("ann", "root"):
        headers = {"authorization": f"Bearer {BOB}", "x-client-id": claimed, "x-weir-policy": "-"}
        gateway.http.post("/v1/chat/completions", json=asked, headers=headers)
    assert {one["headers"]["x-client-id"] for one in seen_by_backends(providers)} <= {"bob"}
    headers = {"authorization": f"Bearer {BOB}", "x-client-id": "ann"}
    refused = gateway.http.post("/v1/chat/completions", json={"model": OF_ANN, "messages": HELLO}, headers=headers)
    assert refused.status_code == 404


def test_each_client_sees_and_uses_its_models(gateway):
    def listed(key):
        return {model.id for model in gateway.openai().with_options(api_key=key).models.list()}

    assert listed(ANN) == {SHARED, OF_ANN, TWO}
    assert listed(BOB) == {SHARED, TWO}
    assert gateway.openai().with_options(api_key=ANN).models.retrieve(OF_ANN).id == OF_ANN
    bob = gateway.openai().with_options(api_key=BOB)
    with pytest.raises(openai.NotFoundError):
        bob.models.retrieve(OF_ANN)
    with pytest.raises(openai.NotFoundError) as refused:
        bob.chat.completions.create(model=OF_ANN, messages=HELLO)
    assert "GET /v1/models" in refused.value.message
    answer = gateway.openai().with_options(api_key=ANN).chat.completions.create(model=OF_ANN, messages=HELLO)
    assert answer.choices


def test_each_client_has_its_budget_and_the_models_that_rules_allow(shared_providers, start_gateway):
    budget = resources.traffic(resources.budget("llm_total_token", BUDGET, header="x-client-id"))
    allowed = {"headers": [{"name": "x-ai-eg-model", "values": [SHARED]}]}
    rules = {"authorization": {"rules": [{"action": "Allow", "principal": allowed}]}}
    gateway = start_gateway(manifest(shared_providers, budget, rules=rules, cat="sk-cat", dan="sk-dan"))

    def ask(key, user, model=SHARED):
        headers = {"authorization": f"Bearer {key}", "x-client-id": user}
        return gateway.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO}, headers=headers)

    for number in range(3):
        assert ask("sk-cat", f"user-{number}").status_code == 200
        gateway.logged("cat", number + 1)
    time.sleep(0.1)
    assert ask("sk-cat", "another").status_code == 429, "whatever it says it is"
    assert ask("sk-dan", "cat").status_code == 200
    assert gateway.spent("cat") == 3 * TOTAL
    forbidden = ask("sk-dan", "cat", TWO)
    assert forbidden.status_code == 403 and "policy" in forbidden.json()["error"]["message"]
    listed = gateway.http.get("/v1/models", headers={"authorization": "Bearer sk-dan"})
    assert listed.status_code == 200, "which model it is about is not known there"


def curl(gateway, *arguments):
    """What a browser would get: the status, and headers by name."""
    done = subprocess.run(["curl", "-si", *arguments], capture_output=True, text=True, check=True, timeout=30)
    head = done.stdout.replace("\r\n", "\n").split("\n\n")[0].splitlines()
    headers = dict(line.lower().split(": ", 1) for line in head[1:])
    return int(head[0].split()[1]), headers


def test_a_page_may_ask(gateway):
    url = f"{gateway.url}/v1/chat/completions"
    asks = ["-H", "access-control-request-method: POST", "-H", "access-control-request-headers: authorization", "-X", "OPTIONS"]
    status, headers = curl(gateway, url, "-H", f"origin: {PAGE}", *asks)
    assert status == 200
    assert headers["access-control-allow-origin"] == PAGE
    assert "post" in headers["access-control-allow-methods"]
    assert headers["access-control-max-age"] == "600"
    status, headers = curl(gateway, url, "-H", "origin: https://evil.test", *asks)
    assert "access-control-allow-origin" not in headers
    body = ["-H", "content-type: application/json", "-d", json.dumps({"model": SHARED, "messages": HELLO})]
    status, headers = curl(gateway, url, "-H", f"origin: {PAGE}", "-H", f"authorization: Bearer {ANN}", *body)
    assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
    status, headers = curl(gateway, url, "-H", f"origin: {PAGE}", *body)
    assert (status, headers["access-control-allow-origin"]) == (401, PAGE), "the page may read why"
    status, headers = curl(gateway, f"{gateway.url}/nowhere", "-H", f"authorization: Bearer {ANN}")
    assert status == 404


def test_a_key_that_is_taken_away_ends_within_a_second_and_a_new_one_works(shared_providers, start_gateway):
    gateway = start_gateway(manifest(shared_providers))
    shared_providers["main"].script({"default": {"words": 30, "delay_ms": 100}}, path="/v1/chat")
    client = gateway.openai().with_options(api_key=BOB)
    stream = client.chat.completions.create(model=SHARED, messages=HELLO, stream=True)
    first = next(stream)
    answers, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            headers = {"authorization": f"Bearer {BOB}"}
            answer = gateway.http.get("/v1/models", headers=headers)
            answers.append((time.monotonic(), answer.status_code))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(answers) > 50, 10, what="requests")
        written = time.monotonic()
        gateway.write(manifest(shared_providers, ann=ANN, cat="sk-gateway-cat"))
        wait_for(lambda: answers[-1][1] == 401, 10, what="the end of the key")
        time.sleep(1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for _, status in answers} == {200, 401}
    last = max(at for at, status in answers if status == 200)
    assert last - written < 1, f"it worked for {last - written:.2f} s"
    assert first and len(list(stream)) >= 30, "a stream that has begun is not cut"
    assert gateway.http.get("/v1/models", headers={"authorization": "Bearer sk-gateway-cat"}).status_code == 200
    assert gateway.http.get("/v1/models", headers={"authorization": f"Bearer {ANN}"}).status_code == 200
    assert "listeners changed" not in gateway.process.output


def test_the_first_policy_needs_a_restart_and_is_not_left_out(shared_providers, start_gateway):
    whole = manifest(shared_providers)
    gateway = start_gateway([each for each in whole if each["kind"] != "SecurityPolicy"])
    assert gateway.http.get("/v1/models").status_code == 200
    gateway.write(whole)
    gateway.process.wait_line("has a SecurityPolicy for the first time", 15)
