"""Anthropic's Python SDK, in strict mode, against Claude on Bedrock and at Anthropic."""

import json

import anthropic
import pytest

from harness import providers as stand_ins
from harness.resources import CLAUDE
from harness.samples import HELLO, WEATHER, events_of_a_text

NATIVE = "claude-native"
#: Model and the stand-in that answers it.
BOTH = pytest.mark.parametrize(("model", "provider"), [(CLAUDE, "bedrock"), (NATIVE, "claude")])
TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}


@pytest.fixture
def client(gateway):
    return gateway.anthropic()


@BOTH
def test_every_event_comes_through(gateway, model, provider):
    body = {"model": model, "max_tokens": 3, "messages": HELLO, "stream": True}
    headers = {"anthropic-version": "2023-06-01"}
    answer = gateway.http.post("/anthropic/v1/messages", json=body, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    assert names == events_of_a_text(3)
    assert [json.loads(lines[1].removeprefix("data:"))["type"] for lines in events] == names


@BOTH
def test_thinking_and_cache(client, model, provider):
    answer = client.messages.create(
        model=model,
        max_tokens=4000,
        thinking={"type": "enabled", "budget_tokens": 1024},
        system=[{"type": "text", "text": "be very brief", "cache_control": {"type": "ephemeral"}}],
        messages=HELLO,
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.usage.cache_creation_input_tokens == 3


def test_what_bedrock_receives(client, providers):
    client.messages.create(
        model=CLAUDE,
        max_tokens=50,
        messages=HELLO,
        metadata={"user_id": "u"},
        extra_headers={"anthropic-beta": "context-1m-2025-08-07, files-api-2025-04-14"},
    )
    request = providers["bedrock"].requests()[0]
    assert request["path"] == f"/model/{CLAUDE}/invoke"
    body = json.loads(request["body"])
    assert body == {
        "max_tokens": 50,
        "messages": HELLO,
        "metadata": {"user_id": "u"},
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["context-1m-2025-08-07"],
    }
    assert request["headers"]["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert "sk-ant-of-the-client" not in json.dumps(request)


def test_what_only_anthropic_knows_does_not_reach_bedrock(client, providers):
    mark = {"type": "ephemeral", "scope": "global"}
    client.messages.create(
        model=CLAUDE,
        max_tokens=50,
        messages=HELLO,
        system=[{"type": "text", "text": "be brief", "cache_control": mark}],
        tools=[{**TOOL, "eager_input_streaming": True}],
    )
    body = json.loads(providers["bedrock"].requests()[0]["body"])
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["tools"] == [TOOL]


def test_what_anthropic_receives(client, providers):
    client.messages.create(model=NATIVE, max_tokens=50, messages=HELLO, extra_headers={"anthropic-beta": "x-1"})
    headers = providers["claude"].requests()[0]["headers"]
    assert headers["x-api-key"] == stand_ins.ANTHROPIC_KEY
    assert headers["anthropic-beta"] == "x-1"
    assert headers["anthropic-version"]
    # The SDK sends its key as a bearer token, which is another header than the one the gateway sets.
    assert "authorization" not in headers


def test_the_clients_version_goes_to_anthropic(gateway, providers):
    body = {"model": NATIVE, "max_tokens": 5, "messages": HELLO, "temperature": 0.5}
    for version, status in [("2023-06-01", 200), ("2026-10-21", 400)]:
        answer = gateway.http.post("/anthropic/v1/messages", json=body, headers={"anthropic-version": version})
        assert answer.status_code == status
        assert providers["claude"].requests()[-1]["headers"]["anthropic-version"] == version


def test_count_tokens(client):
    assert client.messages.count_tokens(model=NATIVE, messages=HELLO, system="four").input_tokens == 4


def test_count_tokens_on_bedrock(client, providers):
    assert client.messages.count_tokens(model=CLAUDE, messages=HELLO, system="four").input_tokens == 4
    assert providers["bedrock"].requests()[-1]["path"].endswith("/count-tokens")


def test_models(client):
    models = client.models.list()
    assert {CLAUDE, NATIVE} <= {model.id for model in models.data}
    assert models.has_more is False
    assert client.models.retrieve(NATIVE).id == NATIVE
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-9")


def test_the_client_library_sees_errors_as_its_own(client):
    with pytest.raises(anthropic.NotFoundError, match="unheard-of") as caught:
        client.messages.create(model="unheard-of", max_tokens=5, messages=HELLO)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="non-empty"):
        client.messages.create(model=NATIVE, max_tokens=5, messages=[{"role": "user", "content": ""}])
