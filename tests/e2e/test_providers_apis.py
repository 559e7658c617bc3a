"""The stand-ins for OpenAI and Anthropic: the providers' own SDKs, in strict mode, take what they say, and they refuse what the
real ones refuse."""

import base64
import json
import struct

import anthropic
import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness.samples import ARGUMENTS, HELLO, TOOLS, WEATHER, sentence


@pytest.fixture
def claude(providers):
    return anthropic.Anthropic(
        base_url=providers["claude"].url,
        api_key=stand_ins.ANTHROPIC_KEY,
        max_retries=0,
        timeout=10,
        _strict_response_validation=True,
    )


class TestOpenAI:
    def test_chat(self, client):
        answer = client.chat.completions.create(model="m", messages=HELLO)
        assert answer.choices[0].message.content == sentence("qwen3")
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
            3,
            22,
            25,
        )

    def test_chat_stops_at_the_limit_and_at_a_stop_sequence(self, client):
        answer = client.chat.completions.create(model="m", messages=HELLO, max_completion_tokens=2)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello from ", "length")
        answer = client.chat.completions.create(model="m", messages=HELLO, stop=["from"])
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello ", "stop")

    def test_chat_stream(self, client):
        chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == sentence("qwen3")
        assert all(chunk.usage is None for chunk in chunks)

    def test_chat_stream_with_usage(self, client):
        options = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=options)
        )
        assert [chunk.usage is not None for chunk in chunks].count(True) == 1
        assert chunks[-1].choices == []
        assert chunks[-1].usage.total_tokens == 25

    @pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
    def test_tool(self, client, choice):
        answer = client.chat.completions.create(model="m", messages=HELLO, tools=TOOLS, tool_choice=choice)
        call = answer.choices[0].message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)
        assert answer.choices[0].finish_reason == "tool_calls"

    def test_tool_stream(self, client):
        with client.chat.completions.stream(
            model="m", messages=HELLO, tools=TOOLS, tool_choice="required"
        ) as stream:
            answer = stream.get_final_completion()
        assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == ARGUMENTS

    def test_no_tool_unless_forced(self, client):
        answer = client.chat.completions.create(model="m", messages=HELLO, tools=TOOLS)
        assert answer.choices[0].message.tool_calls is None

    def test_structured_output(self, client):
        schema = {"name": "w", "schema": WEATHER["parameters"]}
        answer = client.chat.completions.create(
            model="m", messages=HELLO, response_format={"type": "json_schema", "json_schema": schema}
        )
        assert json.loads(answer.choices[0].message.content) == ARGUMENTS

    def test_completions(self, client):
        answer = client.completions.create(model="m", prompt="one two", max_tokens=5)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hello from qwen3: a weir ", "length")
        assert answer.usage.total_tokens == 7

    def test_completions_stream(self, providers):
        # The SDK's type has no null for finish_reason, which the API sends in all chunks but the last.
        client = openai.OpenAI(base_url=providers["qwen3"].url + "/v1", api_key="none")
        chunks = list(client.completions.create(model="m", prompt="one", max_tokens=3, stream=True))
        assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello from qwen3: "
        assert chunks[-1].choices[0].finish_reason == "length"

    def test_embeddings(self, client):
        answer = client.embeddings.create(
            model="m", input=["one two", "three"], encoding_format="float", dimensions=4
        )
        assert answer.usage.prompt_tokens == 3
        assert [item.embedding for item in answer.data] == [[0.5, -0.25, 0.5, -0.25], [-0.25, 0.5, -0.25, 0.5]]

    def test_embeddings_in_base64(self, providers):
        # What the SDK asks for when the caller says nothing; its strict mode knows only lists.
        client = openai.OpenAI(base_url=providers["qwen3"].url + "/v1", api_key="none")
        answer = client.embeddings.create(model="m", input="three", encoding_format="base64", dimensions=4)
        assert struct.unpack("<4f", base64.b64decode(answer.data[0].embedding)) == (-0.25, 0.5, -0.25, 0.5)

    def test_responses(self, client):
        answer = client.responses.create(model="m", input="one two three", instructions="four")
        assert answer.output_text == sentence("qwen3")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 22)

    def test_responses_cut(self, client):
        answer = client.responses.create(model="m", input="x", max_output_tokens=2)
        assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")

    def test_responses_stream(self, client):
        events = list(client.responses.create(model="m", input="one two three", stream=True))
        names = [event.type for event in events]
        assert names[:4] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
        ]
        assert names[-4:] == [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].response.usage.total_tokens == 25

    def test_responses_tool_stream(self, client):
        tools = [{"type": "function", "strict": True, **WEATHER}]
        with client.responses.stream(model="m", input="x", tools=tools, tool_choice="required") as stream:
            answer = stream.get_final_response()
        assert json.loads(answer.output[0].arguments) == ARGUMENTS

    def test_images(self, client):
        answer = client.images.generate(model="m", prompt="a weir", n=2)
        assert base64.b64decode(answer.data[1].b64_json).startswith(b"\x89PNG")
        assert answer.usage.total_tokens == 2 + 2 * 272

    def test_speech(self, client):
        answer = client.audio.speech.create(model="m", voice="alloy", input="hello there")
        assert answer.read() == b"m:hello there"

    def test_transcription(self, client):
        answer = client.audio.transcriptions.create(model="m", file=("a.wav", b"x" * 3200))
        assert answer.text == sentence("qwen3")
        assert answer.usage.input_tokens == 2
        stream = client.audio.transcriptions.create(model="m", file=("a.wav", b"x"), stream=True)
        assert list(stream)[-1].usage.output_tokens == 22
        assert client.audio.translations.create(model="m", file=("a.wav", b"x")).text

    def test_models(self, client):
        assert [model.id for model in client.models.list()] == ["qwen3"]

    def test_tokenize_and_rerank(self, providers):
        url = providers["qwen3"].url
        counted = httpx.post(url + "/tokenize", json={"model": "m", "messages": HELLO}).json()
        assert counted["count"] == 3
        documents = ["one", "one two three", "one two"]
        body = {"model": "m", "query": "one two", "documents": documents, "top_n": 2}
        ranked = httpx.post(url + "/v2/rerank", json=body).json()
        assert [result["index"] for result in ranked["results"]] == [1, 2]
        assert ranked["meta"]["tokens"]["input_tokens"] == 8

    def test_refusals(self, providers, client):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="m", messages=[])
        assert caught.value.type == "invalid_request_error"
        with pytest.raises(openai.NotFoundError):
            client.post("/nothing", cast_to=object, body={})
        keyed = openai.OpenAI(base_url=providers["main"].url + "/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError) as caught:
            keyed.models.list()
        assert caught.value.code == "invalid_api_key"
        assert keyed.with_options(api_key=stand_ins.OPENAI_KEY).models.list().data[0].id == "main"


class TestAnthropic:
    def test_message(self, claude):
        answer = claude.messages.create(model="m", max_tokens=50, messages=HELLO)
        assert answer.content[0].text == sentence("claude")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 22)
        assert answer.stop_reason == "end_turn"

    def test_stream(self, claude):
        with claude.messages.stream(model="m", max_tokens=4, messages=HELLO) as stream:
            answer = stream.get_final_message()
        assert answer.content[0].text == "Hello from claude: a "
        assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 4)

    def test_tool_stream(self, claude):
        tools = [{"name": "weather", "input_schema": WEATHER["parameters"]}]
        choice = {"type": "any"}
        with claude.messages.stream(
            model="m", max_tokens=50, messages=HELLO, tools=tools, tool_choice=choice
        ) as stream:
            answer = stream.get_final_message()
        assert answer.content[0].input == ARGUMENTS
        assert answer.stop_reason == "tool_use"

    def test_thinking_and_cache(self, claude):
        answer = claude.messages.create(
            model="m",
            max_tokens=4000,
            thinking={"type": "enabled", "budget_tokens": 1024},
            system=[{"type": "text", "text": "be very brief", "cache_control": {"type": "ephemeral"}}],
            messages=HELLO,
        )
        assert [block.type for block in answer.content] == ["thinking", "text"]
        assert (answer.usage.cache_creation_input_tokens, answer.usage.input_tokens) == (3, 3)

    def test_count(self, claude):
        assert claude.messages.count_tokens(model="m", messages=HELLO, system="four").input_tokens == 4

    def test_refusals(self, claude):
        with pytest.raises(anthropic.BadRequestError, match="non-empty"):
            claude.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": ""}])
        with pytest.raises(anthropic.BadRequestError, match="temperature"):
            claude.messages.create(model="m", max_tokens=5, messages=HELLO, extra_body={"temperature": 1})
        with pytest.raises(anthropic.AuthenticationError):
            claude.with_options(api_key="wrong").messages.create(model="m", max_tokens=5, messages=HELLO)
