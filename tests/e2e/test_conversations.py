"""Each client API with each schema: a text, a call of a tool and an answer to its result, streamed and whole. The SDKs are strict, each
stream follows its API's grammar, the stand-ins refuse what the providers refuse, and the books have what the stand-ins counted."""

import dataclasses
import functools

import pytest

from harness import providers as stand_ins
from harness import resources, sdks
from harness.gateway import new_user
from harness.samples import ARGUMENTS, HELLO, INPUT, OUTPUT, sentence

#: Who speaks a schema, its version, the credentials it wants, and models that it is asked for.
SCHEMAS = {
    "OpenAI": ("main", None, resources.api_key, stand_ins.OPENAI_KEY, ["gpt-4.1"]),
    "AzureOpenAI": ("azure", "2024-10-21", resources.azure_key, stand_ins.AZURE_KEY, ["our-gpt"]),
    "AWSOpenAI": ("bedrock", None, resources.aws_file, stand_ins.AWS_KEY, ["openai.gpt-oss-20b-1:0"]),
    "Anthropic": ("claude", None, resources.anthropic_key, stand_ins.ANTHROPIC_KEY, ["claude-haiku-4-5"]),
    "AWSAnthropic": ("bedrock", "bedrock-2023-05-31", resources.aws_file, stand_ins.AWS_KEY, [resources.CLAUDE]),
    "AWSBedrock": (
        "bedrock",
        None,
        resources.aws_file,
        stand_ins.AWS_KEY,
        ["us.anthropic.claude-3-7-sonnet-20250219-v1:0", "us.amazon.nova-lite-v1:0", "qwen.qwen3-32b-v1:0"],
    ),
    "GCPAnthropic": ("vertex", None, resources.google_token, stand_ins.GOOGLE_TOKEN, ["claude-sonnet-4-5@20250929"]),
    "GCPVertexAI": (
        "vertex",
        None,
        resources.google_token,
        stand_ins.GOOGLE_TOKEN,
        ["gemini-3-flash-preview", "gemini-2.5-flash"],
    ),
    "Cohere": (
        "cohere",
        "v2",
        resources.api_key,
        stand_ins.COHERE_KEY,
        ["command-a-03-2025", "command-a-reasoning-08-2025"],
    ),
}
RESULT = "rain until noon"
#: Tokens in and out of a text, of a call, and of the answer to its result: the stand-ins count words.
COUNTED = [(INPUT, OUTPUT), (INPUT, 1), (INPUT + 3, OUTPUT)]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    backends, rules = [], []
    for schema, (provider, version, credentials, key, models) in SCHEMAS.items():
        name = schema.lower()
        backends += resources.backend(name, shared_providers[provider].url, schema, version)
        backends += credentials(name, key)
        rules += [resources.rule(model, name) for model in models]
    return start_gateway([*resources.gateway(), *backends, resources.route(*rules)])


@dataclasses.dataclass(frozen=True)
class Way:
    """A client API, a schema, a model behind it, and whether answers are streamed."""

    api: type
    schema: str
    model: str
    stream: bool

    def __str__(self):
        return f"{self.api.__name__}-{self.schema}-{self.model}-{'streamed' if self.stream else 'whole'}"


WAYS = [
    Way(api, schema, model, stream)
    for api in (sdks.OpenAI, sdks.Responses, sdks.Anthropic, sdks.Gemini, sdks.Cohere)
    for schema, (*_, models) in SCHEMAS.items()
    for model in models
    for stream in (False, True)
]

ways = pytest.mark.parametrize("way", WAYS, ids=str)


def asker(gateway, way, user=None):
    """Asks any model as a way's client does."""
    # Azure's first chunk names nothing, which the SDK's strict types do not have.
    strict = (way.api, way.schema, way.stream) != (sdks.OpenAI, "AzureOpenAI", True)
    return way.api(gateway, user, way.stream, strict).ask


@pytest.fixture(scope="module")
def held(gateway):
    """Holds a conversation, once however many tests ask for it: its user and its turns."""

    @functools.cache
    def hold(way):
        user = new_user()
        ask = functools.partial(asker(gateway, way, user), model=way.model)
        text = ask(messages=HELLO)
        call = ask(messages=HELLO, tools=[way.api.TOOL], tool_choice=way.api.FORCED)
        history = [*HELLO, call.said, way.api.result(call, RESULT)]
        return user, [text, call, ask(messages=history, tools=[way.api.TOOL])]

    return hold


@ways
def test_what_is_said(held, way):
    _, turns = held(way)
    text = (way.model, sentence(SCHEMAS[way.schema][0]), [], way.api.ENDS["text"])
    call = (way.model, "", [("weather", ARGUMENTS)], way.api.ENDS["call"])
    assert [(turn.model, turn.text, turn.calls, turn.end) for turn in turns] == [text, call, text]


@ways
def test_what_is_counted(gateway, held, way):
    user, turns = held(way)
    assert [turn.usage for turn in turns] == COUNTED
    lines = gateway.logged(user, len(turns))
    assert [(line["input_tokens"], line["output_tokens"]) for line in lines] == COUNTED
    assert {line["usage_status"] for line in lines} == {"complete"}
    lost = [loss for line in lines for loss in line["losses"]]
    assert not [loss for loss in lost if not loss.startswith("answer.")], "of a request nothing is lost"
    records = gateway.usage(user)
    assert sum(record["requests"] for record in records) == 3
    counters = ("input_tokens", "output_tokens", "total_tokens")
    spent = tuple(sum(record[counter] for record in records) for counter in counters)
    told = tuple(map(sum, zip(*COUNTED)))
    assert spent == (*told, sum(told))


@ways
@pytest.mark.parametrize("schema", ["OpenAI", "Anthropic"])
def test_it_goes_on_elsewhere(gateway, held, way, schema):
    """What one provider's answers leave in a history, no other refuses."""
    _, (text, call, answer) = held(way)
    history = [*HELLO, text.said, *HELLO, call.said, way.api.result(call, RESULT), answer.said, *HELLO]
    provider, *_, [model] = SCHEMAS[schema]
    turn = asker(gateway, way)(model=model, messages=history, tools=[way.api.TOOL])
    assert (turn.text, turn.calls) == (sentence(provider), [])
