"""The SDKs of both APIs, with one way to ask them: whole or streamed, strict about what they get, each stream held to its grammar."""

import dataclasses
import json

import anthropic
import openai

from . import grammar
from .samples import WEATHER


@dataclasses.dataclass
class Turn:
    """What an SDK makes of an answer."""

    #: The model that it is by.
    model: str
    text: str
    #: Names and arguments of the calls in it.
    calls: list
    #: Why it ended, in the API's words.
    end: str
    #: Tokens in and out.
    usage: tuple
    #: What goes back as history.
    said: dict
    #: The id of its first call.
    call_id: str | None


class _Client:
    """Answers come whole to the SDK, in one piece."""

    def __init__(self, library, connect, user, stream, strict):
        self._stream = stream
        hooks = {"response": [self._keep]}
        http = library.DefaultHttpxClient(verify=False, event_hooks=hooks)
        self._client = connect(user, http_client=http, _strict_response_validation=strict)
        self._answer = None

    def _keep(self, answer):
        answer.read()
        self._answer = answer

    def _streamed(self):
        """The text of the last answer."""
        assert self._answer.headers["content-type"].startswith("text/event-stream")
        return self._answer.text


class OpenAI(_Client):
    """OpenAI's chat completions."""

    TOOL = {"type": "function", "function": WEATHER}
    FORCED = "required"
    ENDS = {"text": "stop", "call": "tool_calls"}

    def __init__(self, gateway, user, stream, strict=True):
        super().__init__(openai, gateway.openai, user, stream, strict)

    def ask(self, **asked):
        completions = self._client.chat.completions
        if self._stream:
            with completions.stream(**asked, stream_options={"include_usage": True}) as events:
                answer = events.get_final_completion()
            grammar.of_completion(self._streamed())
        else:
            answer = completions.create(**asked)
        [choice] = answer.choices
        calls = choice.message.tool_calls or []
        return Turn(
            model=answer.model,
            text=choice.message.content or "",
            calls=[(call.function.name, json.loads(call.function.arguments)) for call in calls],
            end=choice.finish_reason,
            usage=(answer.usage.prompt_tokens, answer.usage.completion_tokens),
            said=as_history(choice.message),
            call_id=calls[0].id if calls else None,
        )

    @staticmethod
    def result(turn, text):
        return {"role": "tool", "tool_call_id": turn.call_id, "content": text}


def as_history(message):
    """An assistant's message as OpenAI's SDK hands it out, without what its API does not take back: what only answers have, and what
    the SDK's helper for streams adds."""
    said = message.model_dump(exclude_none=True, exclude={"annotations", "parsed"})
    for call in said.get("tool_calls", []):
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    return said


class Anthropic(_Client):
    """Anthropic's messages."""

    TOOL = {"name": "weather", "description": WEATHER["description"], "input_schema": WEATHER["parameters"]}
    FORCED = {"type": "any"}
    ENDS = {"text": "end_turn", "call": "tool_use"}

    def __init__(self, gateway, user, stream, strict=True):
        super().__init__(anthropic, gateway.anthropic, user, stream, strict)

    def ask(self, **asked):
        asked = {"max_tokens": 4000, **asked}
        if self._stream:
            with self._client.messages.stream(**asked) as events:
                answer = events.get_final_message()
            grammar.of_message(self._streamed())
        else:
            answer = self._client.messages.create(**asked)
        calls = [block for block in answer.content if block.type == "tool_use"]
        return Turn(
            model=answer.model,
            text="".join(block.text for block in answer.content if block.type == "text"),
            calls=[(call.name, call.input) for call in calls],
            end=answer.stop_reason,
            usage=(answer.usage.input_tokens, answer.usage.output_tokens),
            said={"role": "assistant", "content": answer.content},
            call_id=calls[0].id if calls else None,
        )

    @staticmethod
    def result(turn, text):
        content = [{"type": "tool_result", "tool_use_id": turn.call_id, "content": text}]
        return {"role": "user", "content": content}
