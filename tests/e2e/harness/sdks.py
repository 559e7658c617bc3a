"""The SDKs of all APIs, with one way to ask them: whole or streamed, strict about what they get, each stream held to its grammar."""

import dataclasses
import json

import anthropic
import cohere
import openai
import pydantic
from google.genai import types

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


class Responses(_Client):
    """OpenAI's responses."""

    TOOL = {"type": "function", "strict": False, **WEATHER}
    FORCED = "required"
    ENDS = {"text": "completed", "call": "completed"}

    def __init__(self, gateway, user, stream, strict=True):
        super().__init__(openai, gateway.openai, user, stream, strict)

    def ask(self, messages, **asked):
        """`messages` are texts as others have them, and what the client itself gave as history: as many items as it came in."""
        asked["input"] = [item for message in messages for item in (message if isinstance(message, list) else [message])]
        if self._stream:
            with self._client.responses.stream(**asked) as events:
                answer = events.get_final_response()
            grammar.of_response(self._streamed())
        else:
            answer = self._client.responses.create(**asked)
        calls = [item for item in answer.output if item.type == "function_call"]
        # The SDK's helper for streams adds what is parsed.
        made = {"parsed_arguments": True, "content": {"__all__": {"parsed"}}}
        return Turn(
            model=answer.model,
            text=answer.output_text,
            calls=[(call.name, json.loads(call.arguments)) for call in calls],
            end=answer.status,
            usage=(answer.usage.input_tokens, answer.usage.output_tokens),
            said=[item.model_dump(exclude_none=True, exclude=made) for item in answer.output],
            call_id=calls[0].call_id if calls else None,
        )

    @staticmethod
    def result(turn, text):
        return [{"type": "function_call_output", "call_id": turn.call_id, "output": text}]


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


class Gemini:
    """Gemini's contents."""

    TOOL = types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="weather", description=WEATHER["description"], parameters_json_schema=WEATHER["parameters"]
            )
        ]
    )
    FORCED = "ANY"
    ENDS = {"text": "STOP", "call": "STOP"}

    def __init__(self, gateway, user, stream, strict=True):
        self._stream = stream
        self._client = gateway.gemini(user, event_hooks={"response": [self._keep]})
        self._answer = None

    def _keep(self, answer):
        answer.read()
        self._answer = answer

    def ask(self, model, messages, tools=None, tool_choice=None, **config):
        """`messages` are texts as others have them, and what the client itself gave as history: a turn in as many pieces as it came."""
        contents = []
        for message in messages:
            if isinstance(message, dict):
                contents.append(types.Content(role="user", parts=[types.Part(text=message["content"])]))
            else:
                contents += message
        if tool_choice:
            choice = types.FunctionCallingConfig(mode=tool_choice)
            config["tool_config"] = types.ToolConfig(function_calling_config=choice)
        asked = {"model": model, "contents": contents, "config": {"tools": tools, **config}}
        if self._stream:
            pieces = list(self._client.models.generate_content_stream(**asked))
            assert self._answer.headers["content-type"].startswith("text/event-stream")
            grammar.of_contents(self._answer.text.replace("\r\n", "\n"))
        else:
            pieces = [self._client.models.generate_content(**asked)]
        said = [piece.candidates[0].content for piece in pieces]
        parts = [part for content in said for part in content.parts]
        calls = [part.function_call for part in parts if part.function_call]
        usage = pieces[-1].usage_metadata
        return Turn(
            model=pieces[-1].model_version,
            text="".join(part.text for part in parts if part.text and not part.thought),
            calls=[(call.name, call.args) for call in calls],
            end=pieces[-1].candidates[0].finish_reason.value,
            usage=(usage.prompt_token_count, usage.candidates_token_count + (usage.thoughts_token_count or 0)),
            said=said,
            call_id=calls[0].id if calls else None,
        )

    @staticmethod
    def result(turn, text):
        part = types.Part.from_function_response(name="weather", response={"result": text})
        return [types.Content(role="user", parts=[part])]


#: How a stream begins in Cohere's guide to streaming; the SDK's type has the role alone.
BEGINNING = {"content": [], "tool_plan": "", "tool_calls": [], "citations": []}
EVENT = pydantic.TypeAdapter(cohere.V2ChatStreamResponse)


def strictly(said):
    """What Cohere's SDK made of something, which takes anything by itself: it has nothing that the SDK's types do not know, and all that
    they must have."""
    assert isinstance(said, pydantic.BaseModel)
    known = BEGINNING if isinstance(said, cohere.ChatMessageStartEventDeltaMessage) else {}
    assert (said.model_extra or {}) == known, type(said).__name__
    type(said).model_validate(said.model_dump(exclude_unset=True))
    for value in said.__dict__.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, pydantic.BaseModel):
                strictly(one)
    return said


class Cohere:
    """Cohere's chat, whose answers name no model."""

    TOOL = {"type": "function", "function": WEATHER}
    FORCED = "REQUIRED"
    ENDS = {"text": "COMPLETE", "call": "TOOL_CALL"}

    def __init__(self, gateway, user, stream, strict=True):
        self._stream = stream
        self._client = gateway.cohere(user, event_hooks={"response": [self._keep]})
        self._answer = None

    def _keep(self, answer):
        answer.read()
        self._answer = answer

    def ask(self, model, **asked):
        if self._stream:
            events = [strictly(event) for event in self._client.chat_stream(model=model, **asked)]
            assert self._answer.headers["content-type"].startswith("text/event-stream")
            grammar.of_chat(self._answer.text)
            said, end = message_of(events), events[-1].delta
        else:
            end = strictly(self._client.chat(model=model, **asked))
            said = end.message.model_dump(exclude_none=True)
        calls = said.get("tool_calls") or []
        tokens = end.usage.tokens
        return Turn(
            model=model,
            text="".join(block.get("text", "") for block in said.get("content") or []),
            calls=[(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
            end=end.finish_reason,
            usage=(tokens.input_tokens, tokens.output_tokens),
            said=said,
            call_id=calls[0]["id"] if calls else None,
        )

    @staticmethod
    def result(turn, text):
        return {"role": "tool", "tool_call_id": turn.call_id, "content": text}


def message_of(events):
    """The message that the events of a stream of Cohere's make."""
    content, calls, plan, citations = [], [], "", []
    for event in events:
        said = event.delta.message if getattr(event, "delta", None) and event.type != "message-end" else None
        if event.type == "content-start":
            content.append(said.content.model_dump(exclude_none=True))
        elif event.type == "content-delta":
            for member, piece in said.content.model_dump(exclude_none=True).items():
                content[event.index][member] += piece
        elif event.type == "tool-plan-delta":
            plan += said.tool_plan
        elif event.type == "tool-call-start":
            calls.append(said.tool_calls.model_dump(exclude_none=True))
        elif event.type == "tool-call-delta":
            calls[event.index]["function"]["arguments"] += said.tool_calls.function.arguments
        elif event.type == "citation-start":
            citations.append(said.citations.model_dump(exclude_none=True))
    parts = {"content": content, "tool_calls": calls, "tool_plan": plan, "citations": citations}
    return {"role": "assistant", **{name: part for name, part in parts.items() if part}}
