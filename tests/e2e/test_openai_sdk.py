"""OpenAI's Python SDK, in strict mode, against an OpenAI backend: everything passes as it came."""

import base64
import json

import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import ARGUMENTS, HELLO, OUTPUT, TOTAL, WEATHER, sentence, text_of

MODEL = "Qwen/Qwen3-1.7B"


@pytest.fixture
def client(gateway):
    return gateway.openai()


def test_the_body_reaches_the_backend_byte_by_byte(gateway, providers):
    body = (
        b'{ "model":"Qwen/Qwen3-1.7B",\n "messages" : [{"role":"user","content":"\\u00fc"}], "odd": 1e2,"seed":0 }'
    )
    answer = gateway.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    request = providers["qwen3"].requests()[0]
    assert request["body"].encode() == body
    assert request["path"] == "/v1/chat/completions"


def test_an_alias_changes_the_model_and_nothing_else(gateway, providers):
    body = '{"a": [1.0, {"model": "inner"}], "model" : "fast", "messages":[{"role":"user","content":"x"}]}'
    answer = gateway.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 200
    assert providers["qwen3"].requests()[0]["body"] == body.replace('"fast"', f'"{MODEL}"')


def test_headers_of_the_gateway_stay_inside(gateway, providers):
    headers = {"x-ai-eg-model": "another", "x-kept": "yes"}
    answer = gateway.http.post("/v1/chat/completions", json={"model": "keyed", "messages": HELLO}, headers=headers)
    assert answer.status_code == 200, "the body names the model, not the header"
    received = providers["main"].requests()[0]["headers"]
    assert received["x-kept"] == "yes"
    assert not [name for name in received if name.startswith("x-ai-eg-")]


def test_the_backends_key_takes_the_place_of_the_clients(client, providers):
    client.chat.completions.create(model="keyed", messages=HELLO)
    headers = providers["main"].requests()[0]["headers"]
    assert headers["authorization"] == f"Bearer {stand_ins.OPENAI_KEY}"
    assert "sk-of-the-client" not in json.dumps(headers)


def test_chat_stream(client):
    chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert text_of(chunks) == sentence("qwen3")
    assert len(chunks) == OUTPUT + 2, "every chunk of the backend, and no other"


def test_chunks_arrive_as_they_are_made(client, providers):
    providers["qwen3"].script({"default": {"delay_ms": 100, "words": 10}})
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    next(iter(stream))
    # The backend still has most of its words to say.
    assert providers["qwen3"].requests()[0]["answer"] == "open"
    assert len(list(stream)) >= 10


def test_completions(client, gateway):
    answer = client.completions.create(model=MODEL, prompt="one two", max_tokens=5)
    assert answer.choices[0].text == "Hello from qwen3: a weir "
    # The SDK's strict type has no null for finish_reason, which the API sends in all chunks but the last.
    lenient = gateway.openai(_strict_response_validation=False)
    chunks = list(lenient.completions.create(model=MODEL, prompt="one", max_tokens=3, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello from qwen3: "


def test_embeddings(client):
    answer = client.embeddings.create(model=MODEL, input=["one two", "three"], encoding_format="float")
    assert len(answer.data) == 2
    assert answer.usage.prompt_tokens == 3


def test_responses(client):
    answer = client.responses.create(model=MODEL, input="one two three")
    assert answer.output_text == sentence("qwen3")
    events = list(client.responses.create(model=MODEL, input="one two three", stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.total_tokens == TOTAL
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_responses_tools(client):
    tools = [{"type": "function", "strict": True, **WEATHER}]
    answer = client.responses.create(model=MODEL, input="x", tools=tools, tool_choice="required")
    assert json.loads(answer.output[0].arguments) == ARGUMENTS


def test_images(client):
    answer = client.images.generate(model=MODEL, prompt="a weir")
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")


def test_image_edits(client, providers):
    picture = b"\x89PNG" + bytes(range(256))
    answer = client.images.edit(model=MODEL, image=[("a.png", picture), ("b.png", picture)], prompt="one two")
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")
    assert answer.usage.total_tokens == 2 + 3 * 272
    assert base64.b64decode(providers["qwen3"].requests()[0]["body_base64"]).count(picture) == 2
    assert client.images.create_variation(model=MODEL, image=("a.png", picture)).data[0].b64_json


def test_moderations(client):
    assert [result.flagged for result in client.moderations.create(model=MODEL, input=["a", "b"]).results] == [False] * 2
    # The model of who names none has no route here.
    with pytest.raises(openai.NotFoundError, match="omni-moderation-latest"):
        client.moderations.create(input="a")


def test_speech(client):
    answer = client.audio.speech.create(model=MODEL, voice="alloy", input="hello there")
    assert answer.read() == f"{MODEL}:hello there".encode()


def test_transcriptions(client, providers):
    sound = bytes(range(256)) * 64
    answer = client.audio.transcriptions.create(model=MODEL, file=("a.wav", sound))
    assert answer.text == sentence("qwen3")
    request = providers["qwen3"].requests()[0]
    assert sound in base64.b64decode(request["body_base64"])
    events = list(client.audio.transcriptions.create(model=MODEL, file=("a.wav", sound), stream=True))
    assert events[-1].text == sentence("qwen3")
    assert client.audio.translations.create(model=MODEL, file=("a.wav", sound)).text == sentence("qwen3")


def test_an_alias_in_a_form(client, providers):
    sound = bytes(range(256)) * 64
    assert client.audio.transcriptions.create(model="fast", file=("a.wav", sound)).text
    form = base64.b64decode(providers["qwen3"].requests()[0]["body_base64"])
    assert MODEL.encode() in form
    assert b"fast" not in form
    assert sound in form


def test_models(client):
    models = {model.id: model for model in client.models.list()}
    assert set(models) == {MODEL, "openai/gpt-oss-20b", "keyed", "fast", resources.CLAUDE, "claude-native"}
    assert models["fast"].object == "model"
    assert client.models.retrieve(MODEL) == models[MODEL]
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-9")
    assert error.value.code == "model_not_found"


def test_tokenize(gateway):
    answer = gateway.http.post("/tokenize", json={"model": MODEL, "messages": HELLO})
    assert answer.json()["count"] == 3


def test_a_large_prompt(client):
    # Far more than the megabyte that a proxy holds by default.
    text = "word " * 2_000_000
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
    assert answer.usage.prompt_tokens == 2_000_000


def test_the_client_library_sees_errors_as_its_own(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="unheard-of", messages=HELLO)
    assert "unheard-of" in caught.value.message
