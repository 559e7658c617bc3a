"""One filter, not rebuilt, in each Envoy that it is for. What it does there in full is for the latest to show."""

import functools
import json
import pathlib
import re

import anthropic
import httpx
import openai
import pytest

from harness import gateway as gateways
from harness import resources
from harness.samples import HELLO, SSE, TOTAL, sentence, text_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: What build.sh installs besides the latest.
VERSIONS = re.search(r"OLDER_ENVOYS=\((.*)\)", (ROOT / "build.sh").read_text())[1].split()
#: The oldest Envoy that the native module runs in: its ABI begins there.
OLDEST = "1.38" if gateways.FILTER == "module" else "1.36"
OLDER = [version for version in VERSIONS if version >= OLDEST]


def envoy(version):
    return ROOT / ".weir" / f"envoy-{version}" / "bin" / "envoy"


#: A model of two backends.
FAILOVER = "with-a-spare"


@pytest.fixture(scope="module", params=OLDER)
def older(request, shared_providers, start_gateway):
    manifest = resources.standard(shared_providers)
    spare = {"name": "bedrock", "priority": 1, "modelNameOverride": resources.CLAUDE}
    manifest[-1]["spec"]["rules"].append(resources.rule(FAILOVER, "main", spare))
    manifest[-1]["metadata"]["annotations"] = {"weir.dev/repeat-until-content": "true"}
    on = {"httpStatusCodes": [500, 502, 503], "triggers": ["reset", "retriable-status-codes"]}
    manifest.append(resources.traffic(retry={"numRetries": 1, "retryOn": on}))
    gateway = start_gateway(manifest, env={"ENVOY": str(envoy(request.param))})
    gateway.envoy_version = request.param
    return gateway


def test_every_older_one_is_there():
    missing = [version for version in OLDER if not envoy(version).exists()]
    assert OLDER and not missing, "./build.sh test installs them"


def test_chat_and_its_books(older, user):
    answer = older.openai(user).chat.completions.create(model="fast", messages=HELLO)
    assert answer.choices[0].message.content == sentence("qwen3")
    [line] = older.logged(user)
    assert (line["status"], line["total_tokens"]) == (200, TOTAL)
    assert older.spent(user) == TOTAL


def test_a_stream_from_another_api(older, user):
    stream = older.openai(user).chat.completions.create(
        model="claude-native", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert text_of(chunks)
    [line] = older.logged(user)
    assert line["total_tokens"] == chunks[-1].usage.total_tokens == older.spent(user)


@pytest.mark.parametrize("stream", [False, True])
def test_the_next_backend_is_asked_when_one_fails(older, providers, user, stream):
    providers["main"].fail(503)
    answer = older.openai(user).chat.completions.create(model=FAILOVER, messages=HELLO, stream=stream)
    text = text_of(answer) if stream else answer.choices[0].message.content
    assert text == sentence("bedrock")
    [line] = older.logged(user)
    assert (line["attempts"], line["backend"]) == (2, "default/bedrock")


def test_the_last_backends_error_comes_through(older, providers):
    providers["main"].fail(503, times=9)
    providers["bedrock"].fail(400, times=9, headers={"x-amzn-errortype": "ValidationException"}, message="too long")
    answer = older.chat(FAILOVER)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json()["error"]["message"] == "too long"


def test_an_error_that_cannot_be_read_says_one_status(older, providers):
    providers["bedrock"].fail(400, times=9, headers={"content-encoding": "br"})
    answer = older.chat(resources.CLAUDE)
    assert answer.status_code in (400, 502)
    assert answer.json()["error"]["code"] == str(answer.status_code)


def test_a_whole_answer_that_is_an_error(older, providers):
    error = {"text": '{"error":{"message":"slow down","type":"server_error"}}'}
    providers["main"].script(error, headers={"content-type": "application/json"})
    answer = older.chat(FAILOVER)
    if older.envoy_version >= "1.37":
        assert answer.json()["choices"][0]["message"]["content"] == sentence("bedrock")
        return
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "slow down")
    assert older.chat(FAILOVER).status_code == 200, "it serves on"


def test_a_stream_that_opens_with_an_error(older, providers, user):
    """Envoy before 1.37 cannot try another backend then."""
    providers["main"].script({"text": 'data: {"error":{"message":"slow down","type":"server_error"}}\n\n'}, headers=SSE)
    ask = functools.partial(older.openai(user).chat.completions.create, model=FAILOVER, messages=HELLO, stream=True)
    if older.envoy_version >= "1.37":
        assert text_of(ask()) == sentence("bedrock")
        return
    with pytest.raises(openai.InternalServerError, match="slow down"):
        ask()
    [line] = older.logged(user)
    assert (line["status"], line["attempts"]) == (500, 1)
    assert text_of(ask()) == sentence("main"), "it serves on"


@pytest.mark.parametrize("failure", [[], [{"delay_ms": 200}, {"reset": True}]])
def test_a_stream_that_breaks_before_its_first_content(older, providers, user, failure):
    """Envoy before 1.37 cannot try another backend then: the client has what came, as it came."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    opening = {"id": "gone", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    providers["main"].script({"text": f"data: {json.dumps(opening)}\n\n"}, *failure, headers=SSE)
    body = {"model": FAILOVER, "messages": HELLO, "stream": True}
    text, broken = "", False
    with older.http.stream("POST", "/v1/chat/completions", json=body, headers={"x-user-id": user}) as answer:
        try:
            for piece in answer.iter_text():
                text += piece
        except httpx.RemoteProtocolError:
            broken = True
    assert answer.status_code == 200
    [line] = older.logged(user)
    if older.envoy_version >= "1.37":
        assert '"gone"' not in text and text.endswith("data: [DONE]\n\n")
        assert (broken, line["attempts"], len(line["abandoned"])) == (False, 2, 1)
        return
    assert '"gone"' in text
    assert broken or '"type":"error"' in text
    assert (line["attempts"], line["usage_status"]) == (1, "partial")
    assert older.chat(FAILOVER).status_code == 200, "it serves on"


def test_errors_in_the_clients_shape(older):
    with pytest.raises(anthropic.NotFoundError) as caught:
        older.anthropic().messages.create(model="nobody", max_tokens=5, messages=HELLO)
    assert caught.value.body["error"]["type"] == "not_found_error"
    answer = older.http.post("/anthropic/v1/messages", content=b"{")
    assert (answer.status_code, answer.json()["type"]) == (400, "error")


def test_a_stream_that_its_client_leaves(older, user):
    with older.http.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "fast", "messages": HELLO, "stream": True},
        headers={"x-user-id": user},
    ) as answer:
        next(answer.iter_raw())
    [line] = older.logged(user)
    assert line["usage_status"] in ("partial", "complete") and line["output_tokens"] > 0
