"""A real model server: llama.cpp with a small model, behind OpenAI's API and, translated, behind Anthropic's. What it says is its own affair;
that it takes what it is sent, and that it is counted as it counts, is not."""

import json
import pathlib

import pytest

from harness import resources
from harness.parts import missing
from harness.process import Process

ROOT = pathlib.Path(__file__).parents[2]
PYTHON = ROOT / ".weir" / "real-model" / "bin" / "python"
ASKED = [{"role": "user", "content": "Name a colour."}]
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model():
    """The address of the model server."""
    if not PYTHON.exists():
        missing("`./build.sh run --real-model` installs a real model")
    process = Process([PYTHON, ROOT / "tests" / "real_model" / "serve.py", ROOT / ".weir" / "real-model"])
    yield process.wait_line(r"^(http://127\.0\.0\.1:\d+)$", 120).group(1)
    process.stop()


@pytest.fixture(scope="module")
def gateway(model, start_gateway):
    return start_gateway(
        [*resources.gateway(), *resources.backend("gemma", model), resources.route(resources.rule("gemma", "gemma"))]
    )


@pytest.fixture
def books(gateway, user):
    """The counters of the user's only request."""

    def read():
        (line,) = gateway.logged(user, timeout=60)
        assert (line["status"], line["usage_status"]) == (200, "complete")
        return line["input_tokens"], line["output_tokens"]

    return read


def test_openai_whole(gateway, user, books):
    client = gateway.openai(user, timeout=120, _strict_response_validation=False)
    answer = client.chat.completions.create(model="gemma", messages=ASKED, max_tokens=8)
    assert answer.choices[0].message.content
    assert books() == (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_openai_stream(gateway, user, books):
    """The client does not ask for usage; the books have it all the same."""
    client = gateway.openai(user, timeout=120, _strict_response_validation=False)
    stream = client.chat.completions.create(model="gemma", messages=ASKED, max_tokens=8, stream=True)
    chunks = list(stream)
    assert all(chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert books()[1] in (7, 8)


def test_anthropic_whole(gateway, user, books):
    client = gateway.anthropic(user, timeout=120)
    message = client.messages.create(model="gemma", max_tokens=8, system="Be brief.", messages=ASKED)
    assert message.content[0].text
    assert message.stop_reason == "max_tokens"
    # Where the beginning of a prompt is in llama.cpp's cache, Anthropic's API counts that apart.
    usage = message.usage
    assert books() == (usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens)


def test_anthropic_stream(gateway, user, books):
    client = gateway.anthropic(user, timeout=120)
    with client.messages.stream(model="gemma", max_tokens=8, messages=ASKED) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text
    assert message.content[0].text == text
    assert books()[1] == message.usage.output_tokens


def test_a_schema_of_anthropics_clients_binds_the_model(gateway, user):
    """llama.cpp makes a grammar of it: only a colour of the schema can come. White space around a value is free in that grammar, a few dozen
    characters at each place, so there must be room for much of it: a cut object is none."""
    client = gateway.anthropic(user, timeout=120)
    form = {"format": {"type": "json_schema", "schema": COLOUR}}
    message = client.messages.create(model="gemma", max_tokens=512, messages=ASKED, output_config=form)
    assert message.stop_reason == "end_turn"
    assert json.loads(message.content[0].text)["colour"] in ("red", "green")
