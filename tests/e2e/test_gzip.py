"""Providers that compress: answers are read as a stream, in linear time, and what the client gets is right."""

import time

import pytest

from harness import resources
from harness.resources import CLAUDE
from harness.samples import HELLO, OUTPUT, TOTAL, sentence, text_of

MODELS = pytest.mark.parametrize(
    ("model", "provider"), [("Qwen/Qwen3-1.7B", "qwen3"), (CLAUDE, "bedrock"), ("claude-native", "claude")]
)


@MODELS
def test_whole(gateway, providers, user, model, provider):
    providers[provider].script({"default": {}}, gzip=True)
    answer = gateway.openai(user).chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == sentence(provider)
    assert gateway.logged(user)[0]["total_tokens"] == TOTAL


@MODELS
@pytest.mark.parametrize("cut", [None, 1])
def test_stream(gateway, providers, user, model, provider, cut):
    providers[provider].script({"default": {}}, gzip=True, cut=cut)
    stream = gateway.openai(user).chat.completions.create(model=model, messages=HELLO, stream=True)
    assert text_of(stream) == sentence(provider)
    assert gateway.logged(user)[0]["total_tokens"] == TOTAL


def test_chunks_are_not_held_back(gateway, providers):
    providers["claude"].script({"default": {"words": 20, "delay_ms": 100}}, gzip=True)
    stream = gateway.openai().chat.completions.create(model="claude-native", messages=HELLO, stream=True)
    next(iter(stream))
    assert providers["claude"].requests()[0]["answer"] == "open"
    list(stream)


def test_a_client_that_takes_no_gzip(gateway, providers):
    """What the client accepts is its own business; a provider that compresses all the same is unpacked."""
    providers["qwen3"].script({"default": {}}, gzip=True)
    body = {"model": "Qwen/Qwen3-1.7B", "messages": HELLO}
    answer = gateway.http.post("/v1/chat/completions", json=body, headers={"accept-encoding": "identity"})
    assert answer.json()["usage"]["completion_tokens"] == OUTPUT


@pytest.mark.parametrize("model", ["Qwen/Qwen3-1.7B", "claude-native"])
def test_a_long_stream(gateway, providers, user, model):
    """Time in proportion to length: ten times as much takes about ten times as long, not a hundred times."""
    provider = "qwen3" if model.startswith("Qwen") else "claude"

    def timed(words):
        providers[provider].script({"default": {"words": words}}, gzip=True)
        started = time.monotonic()
        answer = gateway.chat(model, user, stream=True, max_tokens=words)
        assert answer.text.count("data: ") >= words
        return time.monotonic() - started

    timed(100)
    short = timed(1_500)
    assert timed(15_000) < 40 * max(short, 0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_gzip(gateway, providers, stream):
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    providers["bedrock"].script({"text": "not compressed at all"}, headers=headers, times=3)
    answer = gateway.chat(CLAUDE, stream=stream)
    assert answer.status_code >= 500
    assert answer.json()["error"]["message"]
    providers["bedrock"].clear()
    assert gateway.chat(CLAUDE).status_code == 200


#: One completion, by brotli 1.2.0 and zstd 1.5.7, which this machine need not have.
PACKED = {
    "br": (
        "G/gAIBwHdiyzjSCYryyP8fDeSv2FBNOSICBcsNnuLv3WYenqGyCWt6xFIcTbjwk2neTsCtWmfg90boEBIcGU78fuPzwLU4AT"
        "qrpvIUjOTnLBhkU40rNFjh4gwpQyahN4QzSaSIAQZN97eba2DooJEV5f/ivL9XXuN3bhvNTIqF0rFOPNVXv7AQ=="
    ),
    "zstd": (
        "KLUv/ST5RQUAQoofHXBJ2gbsFEUPibSarikuuzQgoColCsj/8aT/f5gBrQ0k7O0fCRDQNLaJXmrZUviRgva1zbqMyYiCkaKD"
        "H2k/aRhcrdm6rdiMmPFp2Y8rTwRkTvUjhytfyKPoB8GVcxq0hUp5Vv0IQDYmM7qoMy21xtBYtMkEg/2Rm1/5QT8CDwA29+1s"
        "sD2BFHf9sGkK5fmJ0eCAXV0/i/3Pvk3tgWoLoJYqwgwDDorSDQ=="
    ),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_what_nobody_asked_for(gateway, providers, user, encoding):
    """Some servers compress whatever a request accepts."""
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    providers["qwen3"].script({"base64": PACKED[encoding]}, headers=headers, cut=7)
    answer = gateway.openai(user).chat.completions.create(model="Qwen/Qwen3-1.7B", messages=HELLO)
    assert answer.choices[0].message.content == "packed"
    assert gateway.logged(user)[0]["total_tokens"] == 5


def test_an_answer_that_is_larger_than_what_envoy_holds(shared_providers, start_gateway, user):
    """Packed it fits, unpacked it does not: an error of the client's API, and a gateway that lives on."""
    gateway = start_gateway(
        [*resources.standard(shared_providers), resources.client_traffic(connection={"bufferLimit": "256Ki"})]
    )
    shared_providers["qwen3"].script({"default": {"words": 100_000}}, gzip=True)
    answer = gateway.chat("Qwen/Qwen3-1.7B", user)
    assert answer.status_code == 502
    assert "over the limit of 262144 bytes" in answer.json()["error"]["message"]
    [line] = gateway.logged(user)
    assert (line["status"], line["usage_status"]) == (502, "none")
    shared_providers["qwen3"].script({"default": {}}, gzip=True)
    assert gateway.chat("Qwen/Qwen3-1.7B", user).status_code == 200
