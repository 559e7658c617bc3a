"""What goes wrong, at the client, the gateway or the provider, is an error of the client's own API; the worker
goes on, and what was used is charged."""

import base64
import json

import anthropic
import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.gateway import new_user
from harness.resources import CLAUDE
from harness.samples import EVENT_STREAM, HELLO, INPUT, SSE, exception_frame, message_start, text_events

QWEN = "Qwen/Qwen3-1.7B"
CHAT = "/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"


def is_openai_error(body):
    error = body.get("error")
    return isinstance(error, dict) and bool(error.get("message")) and bool(error.get("type"))


def is_anthropic_error(body):
    error = body.get("error")
    return (
        body.get("type") == "error"
        and isinstance(error, dict)
        and bool(error.get("message") and error.get("type"))
    )


#: A client API: its path, how its errors look, and the body of a request.
APIS = {
    "openai": (CHAT, is_openai_error),
    "anthropic": (MESSAGES, is_anthropic_error),
}
API = pytest.mark.parametrize("api", APIS)


def ask(gateway, api, model, user=None, **more):
    body = {"model": model, "max_tokens": 50, "messages": HELLO, **more}
    headers = {"x-user-id": user} if user else {}
    if api == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    return gateway.http.post(APIS[api][0], json=body, headers=headers)


def error_events(text):
    """The data of all events that are errors; what is no JSON was the provider's and passed as it came."""
    found = []
    for line in text.splitlines():
        try:
            data = json.loads(line.removeprefix("data:"))
        except ValueError:
            continue
        if isinstance(data, dict) and "error" in data:
            found.append(data)
    return found


def assert_clean_failure(answer, api):
    """An error of the client's API: as a whole, or within a stream that had begun."""
    shape = APIS[api][1]
    if answer.status_code == 200:
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
        events = error_events(answer.text)
        assert len(events) == 1, answer.text
        assert shape(events[0]), events
        if api == "anthropic":
            assert "event: error" in answer.text
    else:
        # A throttling exception is a 429.
        assert answer.status_code >= 500 or answer.status_code == 429, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        assert shape(answer.json()), answer.text


class TestTheClientsMistakes:
    @pytest.mark.parametrize(
        ("path", "shape"),
        [
            ("/v1/nothing", is_openai_error),
            ("/", is_openai_error),
            ("/anthropic/v1/nothing", is_anthropic_error),
            ("/v1/chat/completions/more", is_openai_error),
        ],
    )
    def test_unknown_path(self, gateway, path, shape):
        answer = gateway.http.post(path, json={"model": QWEN})
        assert answer.status_code == 404
        assert shape(answer.json())

    @API
    def test_wrong_method(self, gateway, api):
        path, shape = APIS[api]
        answer = gateway.http.get(path)
        assert answer.status_code in (404, 405)
        assert shape(answer.json())

    @API
    def test_unknown_model(self, gateway, api):
        answer = ask(gateway, api, 'no "such" model')
        assert answer.status_code == 404
        assert APIS[api][1](answer.json())
        assert 'no "such" model' in answer.json()["error"]["message"]

    @API
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"messages": []}',
            b'{"model": 5}',
            b'{"model": ""}',
            b'{"model": "a", "model": "b"}',
            b'{"model": "Qwen/Qwen3-1.7B", "messages": [], "mod\\u0065l": "gpt"}',
            b'{"model": "Qwen/Qwen3-1.7B"} {}',
            b'{"model": "\xff"}',
            b'{"a":' * 100_000,
        ],
        ids=lambda body: body[:24].decode(errors="replace"),
    )
    def test_bad_bodies(self, gateway, api, body):
        path, shape = APIS[api]
        headers = {"content-type": "application/json"}
        answer = gateway.http.post(path, content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert shape(answer.json())

    def test_a_form_without_its_model(self, gateway):
        answer = gateway.http.post("/v1/audio/transcriptions", files={"file": ("a.wav", b"x")})
        assert answer.status_code == 400
        assert is_openai_error(answer.json())

    def test_too_large(self, shared_providers, start_gateway):
        small = start_gateway(
            [
                *resources.gateway(),
                *resources.backend("qwen3", shared_providers["qwen3"].url),
                resources.client_traffic(connection={"bufferLimit": "64Ki"}),
                resources.route(resources.rule(QWEN, "qwen3")),
            ]
        )
        message = [{"role": "user", "content": "x" * 200_000}]
        for api, (path, shape) in APIS.items():
            answer = small.http.post(path, json={"model": QWEN, "max_tokens": 5, "messages": message})
            assert answer.status_code == 413, api
            assert shape(answer.json()), answer.text
        assert small.chat(QWEN).status_code == 200

    def test_too_large_an_answer(self, shared_providers, start_gateway, providers):
        """Envoy says so past all filters, and of the request it knows what the backend was sent."""
        backends = {"qwen3": "OpenAI", "claude": "Anthropic"}
        small = start_gateway(
            [
                *resources.gateway(),
                *(
                    each
                    for name, schema in backends.items()
                    for each in resources.backend(name, shared_providers[name].url, schema)
                ),
                *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
                resources.client_traffic(connection={"bufferLimit": "64Ki"}),
                resources.route(
                    *(resources.rule(name, name) for name in backends),
                    resources.rule("both", {"name": "claude", "priority": 0}, {"name": "qwen3", "priority": 1}),
                ),
            ]
        )
        for name in backends:
            providers[name].script({"default": {"words": 30_000}}, times=10)
        for api, (path, shape) in APIS.items():
            for model in (*backends, "both"):
                answer = small.http.post(path, json={"model": model, "max_tokens": 30_000, "messages": HELLO})
                assert answer.status_code == 502, (api, model, answer.text)
                assert shape(answer.json()), (api, model, answer.text)
                assert "limit" in answer.json()["error"]["message"]
        providers.clear()
        assert small.chat("qwen3").status_code == 200

    def test_a_header_cannot_name_the_model(self, gateway, providers):
        headers = {"x-ai-eg-model": QWEN}
        answer = gateway.http.post(CHAT, json={"model": "keyed", "messages": HELLO}, headers=headers)
        assert answer.status_code == 200
        assert providers["qwen3"].requests() == []

    def test_a_model_is_no_way_to_another_path(self, shared_providers, start_gateway, providers):
        model = "../../../x/y?z#:"
        gateway = start_gateway(
            [
                *resources.gateway(),
                *resources.backend(
                    "bedrock", shared_providers["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"
                ),
                *resources.aws_file("bedrock", resources.providers.AWS_KEY),
                resources.route(resources.rule(model, "bedrock")),
            ]
        )
        assert ask(gateway, "openai", model).status_code == 200, "signed as it was sent"
        path = providers["bedrock"].requests()[0]["path"]
        assert path.startswith("/model/..%2F..%2F..%2Fx%2Fy%3Fz%23")
        assert path.endswith("/invoke")


class TestTheProvidersErrors:
    @pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
    def test_an_openai_error_passes_as_it_is(self, gateway, providers, status):
        error = {"error": {"message": "no", "type": "t", "param": None, "code": "c"}}
        providers["qwen3"].fail(status, times=3, **error)
        answer = gateway.chat(QWEN)
        assert answer.status_code == status
        assert answer.json() == error

    def test_an_error_that_is_no_json(self, gateway, providers):
        providers["qwen3"].script(
            {"text": 'over "load"'}, status=503, times=3, headers={"content-type": "text/plain"}
        )
        answer = gateway.chat(QWEN)
        assert answer.status_code == 503
        assert is_openai_error(answer.json())
        assert 'over "load"' in answer.json()["error"]["message"]

    @API
    @pytest.mark.parametrize(
        ("status", "name", "kind"),
        [
            (400, "ValidationException", "invalid_request_error"),
            (403, "AccessDeniedException", "permission_error"),
            (429, "ThrottlingException", "rate_limit_error"),
            (503, "ServiceUnavailableException", "service_unavailable_error"),
        ],
    )
    def test_bedrocks_errors(self, gateway, providers, api, status, name, kind):
        providers["bedrock"].fail(status, times=3, headers={"x-amzn-errortype": name}, message='slow "down"')
        answer = ask(gateway, api, CLAUDE)
        assert answer.status_code == status
        assert APIS[api][1](answer.json()), answer.text
        assert answer.json()["error"]["message"] == 'slow "down"'
        if api == "openai":
            assert (answer.json()["error"]["type"], answer.json()["error"]["code"]) == (name, str(status))
        else:
            assert answer.json()["error"]["type"] == kind

    def test_anthropics_errors_for_openais_client(self, gateway, providers):
        providers["claude"].fail(
            529, times=3, type="error", error={"type": "overloaded_error", "message": "Overloaded"}
        )
        answer = ask(gateway, "openai", "claude-native")
        assert answer.status_code == 529
        assert (answer.json()["error"]["type"], answer.json()["error"]["message"]) == (
            "overloaded_error",
            "Overloaded",
        )

    @API
    def test_a_provider_that_cannot_be_reached(self, start_gateway, api):
        gateway = start_gateway(
            [
                *resources.gateway(),
                *resources.backend("gone", "http://127.0.0.1:1"),
                *resources.backend("gone-claude", "http://127.0.0.1:1", "Anthropic"),
                resources.route(resources.rule("gone", "gone"), resources.rule("gone-claude", "gone-claude")),
            ]
        )
        answer = ask(gateway, api, "gone" if api == "openai" else "gone-claude")
        assert answer.status_code == 503
        assert APIS[api][1](answer.json())


#: Answers of status 200 to a streamed request that are no good, as steps and headers of a script.
FAULTS = {
    "garbage": ([{"base64": base64.b64encode(bytes(range(1, 200)) * 5).decode()}], EVENT_STREAM),
    "half-a-frame": ([{"chunk": message_start()}, {"base64": "AAABqgAAAEuw"}], EVENT_STREAM),
    "bad-checksum": (
        [
            {"chunk": message_start()},
            {"frame": {"headers": {":message-type": "event", ":event-type": "chunk"}, "corrupt_crc": True}},
        ],
        EVENT_STREAM,
    ),
    "bad-base64": (
        [
            {"chunk": message_start()},
            {
                "frame": {
                    "headers": {":message-type": "event", ":event-type": "chunk"},
                    "payload": {"bytes": "!!!"},
                }
            },
        ],
        EVENT_STREAM,
    ),
    "no-frames": ([{"text": ""}], EVENT_STREAM),
    "a-web-page": ([{"text": "<html>maintenance</html>"}], {"content-type": "text/html"}),
    "no-content-type": ([{"text": "what is this"}], {}),
    "exception-first": ([exception_frame()], EVENT_STREAM),
    "exception-later": (
        [{"chunk": event} for event in [message_start(), *text_events("so far")]] + [exception_frame()],
        EVENT_STREAM,
    ),
    "error-event": (
        [
            {"chunk": message_start()},
            {"chunk": {"type": "error", "error": {"type": "overloaded_error", "message": "slow down"}}},
        ],
        EVENT_STREAM,
    ),
    "no-end": ([{"chunk": event} for event in [message_start(), *text_events("so far")]], EVENT_STREAM),
}


class TestFaultsOfAStream:
    @API
    @pytest.mark.parametrize("fault", FAULTS)
    def test_bedrock(self, gateway, providers, api, fault):
        steps, headers = FAULTS[fault]
        user = new_user()
        providers["bedrock"].script(*steps, headers=headers, times=3)
        answer = ask(gateway, api, CLAUDE, user, stream=True)
        assert_clean_failure(answer, api)
        if "exception" in fault or fault == "error-event":
            assert "slow down" in answer.text
        providers["bedrock"].clear()
        assert ask(gateway, api, CLAUDE, user, stream=True).status_code == 200, "the worker goes on"
        first = gateway.logged(user, 2)[0]
        assert first["usage_status"] != "complete"
        if (
            any(step.get("chunk", {}).get("type") == "message_start" for step in steps)
            and answer.status_code == 200
        ):
            assert first["input_tokens"] == INPUT, "what was used is charged"

    def test_openais_client_raises(self, gateway, providers):
        steps, headers = FAULTS["exception-later"]
        providers["bedrock"].script(*steps, headers=headers)
        with pytest.raises(openai.APIError, match="slow down"):
            list(gateway.openai().chat.completions.create(model=CLAUDE, messages=HELLO, stream=True))

    def test_anthropics_client_raises(self, gateway, providers):
        steps, headers = FAULTS["exception-later"]
        providers["bedrock"].script(*steps, headers=headers)
        with (
            pytest.raises(anthropic.APIStatusError, match="slow down"),
            gateway.anthropic().messages.stream(model=CLAUDE, max_tokens=5, messages=HELLO) as stream,
        ):
            stream.get_final_message()

    @API
    @pytest.mark.parametrize(
        "text", ["data: {half", "data: {}\n\n", ": only a comment\n\n", "event: odd\ndata: x\n\n"]
    )
    def test_anthropics_own_stream(self, gateway, providers, api, text):
        providers["claude"].script({"text": text}, headers=SSE, times=3)
        answer = ask(gateway, api, "claude-native", stream=True)
        assert_clean_failure(answer, api)

    def test_an_openai_stream_without_its_end(self, gateway, providers, user):
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": "so far"}, "finish_reason": None}],
        }
        providers["qwen3"].script({"text": f"data: {json.dumps(chunk)}\n\n"}, headers=SSE)
        answer = ask(gateway, "openai", QWEN, user, stream=True)
        assert "so far" in answer.text
        assert_clean_failure(answer, "openai")
        assert gateway.logged(user)[0]["usage_status"] == "partial"

    def test_an_openai_stream_with_an_error_in_it(self, gateway, providers):
        error = {"error": {"message": "slow down", "type": "server_error"}}
        text = 'data: {"choices":[]}\n\n' + f"data: {json.dumps(error)}\n\n"
        providers["qwen3"].script({"text": text}, headers=SSE)
        answer = ask(gateway, "openai", QWEN, stream=True)
        assert [event["error"]["message"] for event in error_events(answer.text)] == ["slow down"], (
            "as it is, once"
        )

    @API
    def test_a_reset_in_the_middle(self, gateway, providers, api, user):
        # Before its first event that the client can see, a stream that breaks is tried again.
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
        steps = [{"chunk": message_start()}, {"chunk": block}, {"chunk": delta}, {"delay_ms": 100}, {"reset": True}]
        providers["bedrock"].script(*steps, headers=EVENT_STREAM)
        with pytest.raises(httpx.RemoteProtocolError):
            ask(gateway, api, CLAUDE, user, stream=True)
        record = gateway.logged(user)[0]
        assert (record["usage_status"], record["input_tokens"]) == ("partial", INPUT)


class TestFaultsOfAWholeAnswer:
    @API
    @pytest.mark.parametrize(
        ("text", "content_type"),
        [
            ("", "application/json"),
            ("{", "application/json"),
            ("[]", "application/json"),
            ("<html>", "text/html"),
            ('{"type":"error","error":{"type":"overloaded_error","message":"slow down"}}', "application/json"),
        ],
    )
    def test_bedrock(self, gateway, providers, api, text, content_type, user):
        providers["bedrock"].script({"text": text}, headers={"content-type": content_type}, times=3)
        answer = ask(gateway, api, CLAUDE, user)
        assert_clean_failure(answer, api)
        providers["bedrock"].clear()
        assert ask(gateway, api, CLAUDE, user).status_code == 200
        assert gateway.logged(user, 2)[0]["usage_status"] != "complete"

    @API
    def test_half_a_body(self, gateway, providers, api):
        script = {"headers": {"content-type": "application/json", "content-length": "500"}, "times": 9}
        providers["bedrock"].script({"text": '{"id": "msg'}, {"delay_ms": 1}, **script)
        answer = ask(gateway, api, CLAUDE)
        assert_clean_failure(answer, api)
