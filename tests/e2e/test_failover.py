"""When a backend fails before anything was sent to the client, the next one answers: translated and signed anew,
with its own credentials and none of the first's."""

import json
import time

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import EVENT_STREAM, HELLO, SSE, exception_frame, sentence, text_of

#: What must never reach a backend it is not meant for.
SECRETS = {
    "client": ["sk-of-the-client", "sk-ant-of-the-client"],
    "main": [stand_ins.OPENAI_KEY],
    "spare": [stand_ins.SPARE_KEY],
    "claude": [stand_ins.ANTHROPIC_KEY],
    "bedrock": [stand_ins.AWS_KEY["access_key_id"], "AWS4-HMAC-SHA256", "x-amz-date", "x-amz-security-token"],
}


def in_order(*backends):
    """References with falling priority."""
    return [{"name": name, "priority": priority} for priority, name in enumerate(backends)]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("main", shared_providers["main"].url),
            *resources.api_key("main", stand_ins.OPENAI_KEY),
            *resources.backend("spare", shared_providers["spare"].url),
            *resources.api_key("spare", stand_ins.SPARE_KEY),
            *resources.backend("bedrock", shared_providers["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
            *resources.aws_file("bedrock", stand_ins.AWS_KEY),
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("refusing", "http://127.0.0.1:1"),
            *resources.backend("unresolvable", "http://nowhere.invalid:80"),
            resources.traffic(
                retry={
                    "numRetries": 2,
                    "perRetry": {"timeout": "1s"},
                    "retryOn": {
                        "httpStatusCodes": [429, 500, 502, 503, 504, 529],
                        "triggers": ["connect-failure", "reset", "retriable-status-codes"],
                    },
                }
            ),
            resources.route(
                resources.rule("same", *in_order("main", "spare")),
                resources.rule("to-claude", *in_order("main", "bedrock")),
                resources.rule("from-claude", *in_order("bedrock", "main")),
                resources.rule("claudes", *in_order("bedrock", "claude")),
                resources.rule("claudes-back", *in_order("claude", "bedrock")),
                resources.rule("refused", *in_order("refusing", "spare")),
                resources.rule("unresolved", *in_order("unresolvable", "spare")),
                resources.rule("weighted", {"name": "main", "weight": 1}, {"name": "spare", "weight": 3}),
                resources.rule(
                    "renamed",
                    {"name": "main", "priority": 0, "modelNameOverride": "model-of-main"},
                    {"name": "spare", "priority": 1, "modelNameOverride": "model-of-spare"},
                ),
            ),
        ]
    )


def assert_own_credentials(provider, name):
    """Every request that came has the backend's own credentials, and nobody else's."""
    received = provider.requests()
    assert received
    for request in received:
        head = json.dumps(request["headers"]).lower()
        for owner, secrets in SECRETS.items():
            if owner != name:
                assert not [secret for secret in secrets if secret.lower() in head], f"{owner}'s secret at {name}"
        assert any(secret.lower() in head for secret in SECRETS[name])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_an_error_status(gateway, providers, user, status):
    providers["main"].fail(status)
    answer = gateway.openai(user).chat.completions.create(model="same", messages=HELLO)
    assert answer.choices[0].message.content == sentence("spare")
    assert_own_credentials(providers["main"], "main")
    assert_own_credentials(providers["spare"], "spare")
    record = gateway.logged(user)[0]
    assert record["attempts"] == 2
    assert record["backend"].split("/")[-1] == "spare"


def test_a_stream(gateway, providers):
    providers["main"].fail(503)
    stream = gateway.openai().chat.completions.create(model="same", messages=HELLO, stream=True)
    assert text_of(stream) == sentence("spare")


def test_no_failover_for_the_clients_mistake(gateway, providers):
    providers["main"].fail(400)
    assert gateway.chat("same").status_code == 400
    assert providers["spare"].requests() == []


def test_the_first_is_asked_first(gateway, providers):
    for _ in range(5):
        assert gateway.chat("same").status_code == 200
    assert len(providers["main"].requests()) == 5
    assert providers["spare"].requests() == []


def test_all_fail(gateway, providers):
    providers["main"].fail(503, times=5)
    providers["spare"].fail(500, times=5)
    answer = gateway.chat("same")
    assert answer.status_code in (500, 503)
    assert answer.json()["error"]["message"]
    assert len(providers["main"].requests()) + len(providers["spare"].requests()) <= 3, "bounded"


@pytest.mark.parametrize("stream", [False, True])
def test_to_claude_on_bedrock(gateway, providers, stream):
    """The second attempt is translated from the original body, and signed."""
    providers["main"].fail(500)
    answer = gateway.openai().chat.completions.create(model="to-claude", messages=HELLO, stream=stream)
    text = text_of(answer) if stream else answer.choices[0].message.content
    assert text == sentence("bedrock")
    assert_own_credentials(providers["bedrock"], "bedrock")
    assert "content-encoding" not in providers["bedrock"].requests()[0]["headers"]


@pytest.mark.parametrize("stream", [False, True])
def test_from_claude_on_bedrock(gateway, providers, stream):
    providers["bedrock"].fail(429, headers={"x-amzn-errortype": "ThrottlingException"}, message="slow down")
    answer = gateway.openai().chat.completions.create(model="from-claude", messages=HELLO, stream=stream)
    text = text_of(answer) if stream else answer.choices[0].message.content
    assert text == sentence("main")
    request = providers["main"].requests()[0]
    assert request["path"] == "/v1/chat/completions"
    assert json.loads(request["body"])["messages"] == HELLO
    assert_own_credentials(providers["main"], "main")


@pytest.mark.parametrize(
    ("model", "first", "second"), [("claudes", "bedrock", "claude"), ("claudes-back", "claude", "bedrock")]
)
def test_between_two_claudes(gateway, providers, model, first, second):
    providers[first].fail(503, message="no")
    client = gateway.anthropic()
    with client.messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
        assert stream.get_final_message().content[0].text == sentence(second)
    assert_own_credentials(providers[second], second)


def test_a_refused_connection(gateway, providers):
    assert gateway.chat("refused").json()["choices"][0]["message"]["content"] == sentence("spare")
    assert_own_credentials(providers["spare"], "spare")


def test_a_name_that_does_not_resolve(gateway):
    assert gateway.chat("unresolved").json()["choices"][0]["message"]["content"] == sentence("spare")


def test_a_reset_before_the_answer(gateway, providers):
    providers["main"].script({"reset": True})
    assert gateway.chat("same").json()["choices"][0]["message"]["content"] == sentence("spare")


def test_a_timeout(gateway, providers):
    providers["main"].script({"hang": True})
    started = time.monotonic()
    assert gateway.chat("same").json()["choices"][0]["message"]["content"] == sentence("spare")
    assert time.monotonic() - started < 5


def test_a_slow_stream_is_no_timeout(gateway, providers):
    """The limit of one attempt is on the head of the answer, not on its length."""
    providers["main"].script({"default": {"words": 30, "delay_ms": 100}})
    stream = gateway.openai().chat.completions.create(model="same", messages=HELLO, stream=True)
    assert len(text_of(stream).split()) == 30
    assert providers["spare"].requests() == []


OPENING_ERRORS = {
    "main": ({"text": 'data: {"error":{"message":"slow down","type":"server_error"}}\n\n'}, SSE, "same", "spare"),
    "bedrock": (exception_frame(), EVENT_STREAM, "from-claude", "main"),
    "claude": (
        {"text": 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"slow"}}\n\n'},
        SSE,
        "claudes-back",
        "bedrock",
    ),
}


@pytest.mark.parametrize("first", OPENING_ERRORS)
def test_a_200_that_opens_with_an_error(gateway, providers, first):
    step, headers, model, second = OPENING_ERRORS[first]
    providers[first].script(step, headers=headers)
    stream = gateway.openai().chat.completions.create(model=model, messages=HELLO, stream=True)
    assert text_of(stream) == sentence(second)


def test_each_backend_has_its_own_name_for_the_model(gateway, providers, user):
    providers["main"].fail(500)
    assert gateway.chat("renamed", user).status_code == 200
    assert json.loads(providers["main"].requests()[0]["body"])["model"] == "model-of-main"
    assert json.loads(providers["spare"].requests()[0]["body"])["model"] == "model-of-spare"
    record = gateway.logged(user)[0]
    assert (record["original_model"], record["request_model"]) == ("renamed", "model-of-spare")


def test_weights(gateway, providers):
    count = 120
    for _ in range(count):
        assert gateway.chat("weighted").status_code == 200
    share = len(providers["spare"].requests()) / count
    # Three quarters, give or take four standard deviations.
    assert 0.59 < share < 0.91


def test_what_failed_is_charged_once(gateway, providers, user):
    providers["main"].fail(500)
    gateway.chat("same", user)
    gateway.logged(user)
    assert gateway.spent(user) == 25
