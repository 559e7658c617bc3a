"""Silence: what a client hears while its backend thinks, and how a backend that says nothing is given up."""

import json
import os
import time

import httpx
import pytest

from harness import resources
from harness.samples import HELLO, SSE, message_start, sentence, text_events, text_of

FILTER = os.environ.get("FILTER", "wasm")

CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "at last"}, "finish_reason": None}],
}
LAST = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
ANSWER = f"data: {json.dumps(CHUNK)}\n\ndata: {json.dumps(LAST)}\n\ndata: [DONE]\n\n"
ERROR = 'data: {"error":{"message":"slow down","type":"server_error"}}\n\n'
CLAUDES = "".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
    for event in [
        message_start(),
        *text_events("at last"),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
)


def comments(count, every_ms=1000):
    """A backend that thinks, and says so."""
    return [step for _ in range(count) for step in ({"text": ": thinking\n\n"}, {"delay_ms": every_ms})]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    running = shared_providers
    backend = lambda name, provider, *schema: resources.backend(name, running[provider].url, *schema)  # noqa: E731
    in_order = [{"name": "main"}, {"name": "spare", "priority": 1}]
    gateway = start_gateway(
        [
            *resources.gateway(),
            *backend("main", "qwen3"),
            *backend("spare", "gpt-oss"),
            *backend("claude", "claude", "Anthropic"),
            *resources.anthropic_key("claude", resources.providers.ANTHROPIC_KEY),
            resources.route(
                resources.rule("one", "main"),
                resources.rule("two", *in_order),
                resources.rule("impatient", "main", streamIdleTimeout="3s"),
                resources.rule("impatient-two", *in_order, streamIdleTimeout="3s"),
                resources.rule("short", "main", streamIdleTimeout="3s", timeouts={"backendRequest": "2s"}),
                resources.rule("claude", "claude"),
                resources.rule("claude-short", "claude", streamIdleTimeout="3s", timeouts={"backendRequest": "2s"}),
            ),
        ]
    )
    yield gateway
    gateway.stop()


@pytest.fixture
def main(providers):
    return providers["qwen3"]


class Heard:
    """A streamed answer, with the time at which each piece came."""

    def __init__(self, gateway, model, api="openai", **more):
        path = {"openai": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/anthropic/v1/messages"}[api]
        asked = {"input": HELLO} if api == "responses" else {"messages": HELLO, "max_tokens": 50}
        body = {"model": model, **asked, "stream": True, **more}
        started = time.monotonic()
        self.pieces, self.broken = [], False
        with httpx.stream("POST", gateway.url + path, json=body, timeout=60) as answer:
            self.status = answer.status_code
            self.headers_after = time.monotonic() - started
            try:
                for piece in answer.iter_text():
                    self.pieces.append((time.monotonic() - started, piece))
            except httpx.RemoteProtocolError:
                self.broken = True
            self.took = time.monotonic() - started
        self.text = "".join(piece for _, piece in self.pieces)

    def after(self, words):
        """When a piece with these words came."""
        return next((at for at, piece in self.pieces if words in piece), None)


class TestOneBackend:
    """There is nobody to fail over to."""

    @pytest.mark.parametrize("api", ["openai", "anthropic"])
    def test_comments_pass_as_they_come(self, gateway, providers, api):
        """Both on a direct way (OpenAI's clients) and on that of two roles."""
        provider, model = (providers["qwen3"], "one") if api == "openai" else (providers["claude"], "claude")
        answer = ANSWER if api == "openai" else CLAUDES
        provider.script(*comments(3), {"text": answer}, headers=SSE)
        heard = Heard(gateway, model, api)
        assert heard.status == 200
        assert heard.text.count(": thinking\n") == 3
        assert max(heard.headers_after, heard.after(": thinking")) < heard.after("at last") - 2

    def test_translated_comments_pass_before_and_between_events(self, gateway, providers):
        middle = CLAUDES.replace("event: content_block_delta", ": still there\n\nevent: content_block_delta", 1)
        providers["claude"].script(*comments(1), {"text": middle}, headers=SSE)
        heard = Heard(gateway, "claude")
        assert heard.after(": thinking") < heard.after("at last") - 0.5
        assert ": still there\n\n" in heard.text
        assert "at last" in heard.text and heard.text.endswith("data: [DONE]\n\n")

    def test_headers_go_when_nothing_comes_at_all(self, gateway, main):
        main.script({"text": ""}, {"delay_ms": 3000}, {"text": ANSWER}, headers=SSE)
        heard = Heard(gateway, "one")
        assert (heard.status, heard.text) == (200, ANSWER)
        assert 0.8 < heard.headers_after < heard.after("at last") - 0.2

    def test_an_error_at_once_is_told_by_the_status(self, gateway, main):
        for opening in ("", ": thinking\n\n"):
            main.script({"text": opening + ERROR}, headers=SSE)
            heard = Heard(gateway, "one")
            assert heard.status == 500 and "slow down" in heard.text

    def test_an_error_after_a_comment_is_an_event(self, gateway, main, user):
        main.script(*comments(1), {"text": ERROR}, headers=SSE)
        heard = Heard(gateway, "one")
        assert heard.status == 200
        assert heard.text == ": thinking\n\n" + ERROR

    def test_a_backend_that_says_so_each_second_is_not_silent(self, gateway, main):
        main.script(*comments(5), {"text": ANSWER}, headers=SSE)
        heard = Heard(gateway, "impatient")
        assert (heard.status, heard.broken) == (200, False)
        assert heard.text.endswith(ANSWER)


class TestTwoBackends:
    def test_an_error_behind_comments_is_left_for_the_next(self, gateway, main):
        main.script(*comments(2, 600), {"text": ERROR}, headers=SSE)
        stream = gateway.openai().chat.completions.create(model="two", messages=HELLO, stream=True)
        assert text_of(stream) == sentence("gpt-oss")

    def test_the_last_one_lets_comments_pass(self, gateway, providers, main):
        main.fail(500)
        providers["gpt-oss"].script(*comments(2, 600), {"text": ANSWER}, headers=SSE)
        heard = Heard(gateway, "two")
        assert heard.status == 200
        assert heard.text == 2 * ": thinking\n\n" + ANSWER

    def test_a_backend_that_lives_is_not_given_up(self, gateway, providers, main):
        main.script(*comments(5), {"text": ANSWER}, headers=SSE)
        heard = Heard(gateway, "impatient-two")
        assert (heard.status, heard.broken) == (200, False)
        assert "at last" in heard.text
        assert providers["gpt-oss"].requests() == []

    def test_one_that_does_not_is(self, gateway, providers, main):
        main.script({"text": ""}, {"hang": True}, headers=SSE)
        heard = Heard(gateway, "impatient-two")
        assert heard.status == 200
        assert len(providers["gpt-oss"].requests()) == 1
        assert 2.5 < heard.took < 6


class TestSilence:
    @pytest.mark.parametrize("api", ["openai", "anthropic"])
    @pytest.mark.parametrize("model", ["short", "claude-short"])
    def test_it_ends_a_stream_in_the_clients_words(self, gateway, providers, api, model, user):
        """Also where an attempt may take less time than that: Envoy forgets the one with the other."""
        if model == "short":
            if api == "anthropic":
                pytest.skip("no backend of that API")
            providers["qwen3"].script({"text": ANSWER.split("\n\n")[0] + "\n\n"}, {"hang": True}, headers=SSE)
        else:
            begin = CLAUDES[: CLAUDES.index("event: message_delta")]
            providers["claude"].script({"text": begin}, {"hang": True}, headers=SSE)
        heard = Heard(gateway, model, api)
        assert heard.status == 200 and "at last" in heard.text
        assert 2.8 < heard.took < 5, "three seconds"
        assert heard.broken == (FILTER == "wasm"), "proxy-wasm can reset a stream, not end it"
        last = heard.text.rstrip().rsplit("\n", 1)[1]
        error = json.loads(last.removeprefix("data: "))
        assert "sent nothing for 3 s" in error["error"]["message"]
        assert error["type"] == "error"
        assert ("event: error\n" in heard.text) == (api == "anthropic")

    @pytest.mark.parametrize("model", ["short", "claude-short"])
    def test_it_ends_a_response_with_an_event_of_its_own(self, gateway, providers, model):
        """Which has the number that comes next, whoever wrote the others."""
        if model == "short":
            events = [
                {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "output": []}},
                {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "i", "delta": "at last"},
            ]
            begin = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        else:
            begin = CLAUDES[: CLAUDES.index("event: message_delta")]
        provider = providers["qwen3" if model == "short" else "claude"]
        provider.script({"text": begin}, {"hang": True}, headers=SSE)
        heard = Heard(gateway, model, "responses")
        assert heard.status == 200 and "at last" in heard.text
        name, data = heard.text.rstrip().rsplit("\n\n", 1)[1].split("\n")
        error = json.loads(data.removeprefix("data: "))
        assert name == "event: error" and error["type"] == "error"
        assert "sent nothing for 3 s" in error["message"]
        assert error["error"]["message"] == error["message"], "by which the SDK raises it"
        assert error["sequence_number"] == heard.text.count("data: ") - 1

    @pytest.mark.parametrize("api", ["openai", "anthropic"])
    def test_before_the_first_event(self, gateway, providers, api):
        """The headers are gone by then, so only the stream can say it; with wasm nothing can be written before its first piece."""
        providers["claude"].script({"text": ""}, {"hang": True}, headers=SSE)
        heard = Heard(gateway, "claude-short", api)
        assert heard.status == 200 and 0.8 < heard.headers_after < heard.took - 2.5
        assert 3.8 < heard.took < 9, "three seconds after the headers"
        if FILTER == "wasm":
            assert (heard.broken, heard.text) == (True, "")
        else:
            assert not heard.broken
            assert heard.text.startswith("event: error\n") == (api == "anthropic")
            error = json.loads(heard.text.rstrip().rsplit("\n", 1)[-1].removeprefix("data: "))
            assert "sent nothing for 3 s" in error["error"]["message"]
        assert len(providers["claude"].requests()) == 1

    @pytest.mark.parametrize("api", ["openai", "anthropic"])
    def test_within_a_whole_answer_that_is_held(self, gateway, providers, main, api):
        """On a direct way Envoy says it past all filters."""
        provider, model = (main, "impatient") if api == "openai" else (providers["claude"], "claude-short")
        body = {"text": '{"id": "c", "cho'}
        provider.script(body, {"hang": True}, headers={"content-type": "application/json"}, times=5)
        heard = Heard(gateway, model, api, stream=False)
        error = json.loads(heard.text)
        assert (heard.status, error["type"]) == (504, "error"), heard.text
        assert error["error"]["type"] in ("server_error", "timeout_error", "api_error"), heard.text
        assert heard.took < 6
        assert len(provider.requests()) == 1, "it is bought once"


class TestTheEnd:
    """A provider that keeps its connection open after its last word."""

    @pytest.mark.skipif(FILTER == "wasm", reason="proxy-wasm can reset a stream, not end it: the answer would be a broken one")
    @pytest.mark.parametrize(
        "model, api, last",
        [("one", "openai", "[DONE]"), ("two", "openai", "[DONE]"), ("claude", "openai", "[DONE]"), ("claude", "anthropic", '"message_stop"}')],
    )
    def test_the_client_is_let_go(self, gateway, providers, main, model, api, last, user):
        if model == "claude":
            providers["claude"].script({"text": CLAUDES}, {"hang": True}, headers=SSE)
        else:
            main.script({"text": ANSWER}, {"hang": True}, headers=SSE)
        heard = Heard(gateway, model, api)
        assert (heard.status, heard.broken) == (200, False)
        assert heard.text.rstrip().endswith(last), heard.text
        assert heard.took < 8, "a second after the last word"

    def test_a_usage_chunk_that_comes_late_is_read(self, gateway, providers, main):
        usage = {**CHUNK, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
        words = ANSWER.split("data: [DONE]")[0]
        late = [{"delay_ms": 2500}, {"text": f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n"}]
        main.script({"text": words}, *late, headers=SSE)
        heard = Heard(gateway, "one")
        assert heard.text.endswith("data: [DONE]\n\n") and heard.took > 2


class TestKeepalive:
    """The gateway itself, where its client would hear nothing for fifteen seconds."""

    @pytest.mark.parametrize("api", ["openai", "anthropic"])
    def test_it_speaks_between_two_events(self, gateway, providers, api):
        events = CLAUDES.split("\n\n")
        # Half an event is there when the silence begins.
        begin = "\n\n".join(events[:3]) + "\n\nevent: message_delta\n"
        rest = CLAUDES[len(begin) :]
        providers["claude"].script({"text": begin}, {"delay_ms": 33000}, {"text": rest}, headers=SSE)
        heard = Heard(gateway, "claude", api)
        said = 'event: ping\ndata: {"type": "ping"}\n\n' if api == "anthropic" else ": keepalive\n\n"
        at = [at for at, piece in heard.pieces if piece == said]
        assert [each - index * 15 > 14.5 for index, each in enumerate(at)] == [True, True]
        if api == "anthropic":
            assert heard.text.replace(said, "") == CLAUDES
        else:
            assert heard.text.count(said) == 2 and heard.text.endswith("data: [DONE]\n\n")

    def test_on_a_direct_way(self, gateway, main, user):
        first, rest = ANSWER.split("\n\n", 1)
        main.script({"text": first + "\n\n"}, {"delay_ms": 17000}, {"text": rest}, headers=SSE)
        heard = Heard(gateway, "one")
        assert heard.text == first + "\n\n: keepalive\n\n" + rest
