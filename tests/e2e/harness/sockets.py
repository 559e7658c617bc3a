"""A server of WebSockets that speaks OpenAI's Realtime API and Responses, as documented.

<https://platform.openai.com/docs/api-reference/realtime-server-events>, <https://platform.openai.com/docs/guides/websocket-mode>
"""

import contextlib
import json
import threading
import urllib.parse

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Response
from websockets.sync.server import serve

#: What each answer used.
INPUT, CACHED, OUTPUT, TOTAL = 127, 64, 148, 275
#: Of Responses.
REASONING = 40


def response_done(identifier, text):
    """The end of an answer in the Realtime API."""
    content = [{"type": "output_text", "text": text}]
    item = {"id": "item_1", "object": "realtime.item", "type": "message", "role": "assistant", "content": content}
    usage = {
        "total_tokens": TOTAL,
        "input_tokens": INPUT,
        "output_tokens": OUTPUT,
        "input_token_details": {"text_tokens": INPUT, "audio_tokens": 0, "cached_tokens": CACHED},
        "output_token_details": {"text_tokens": OUTPUT, "audio_tokens": 0},
    }
    response = {"object": "realtime.response", "id": identifier, "status": "completed", "output": [item], "usage": usage}
    return {"type": "response.done", "event_id": "event_done", "response": response}


def response(identifier, model, text, status):
    """A response of OpenAI's Responses."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {
        "input_tokens": INPUT,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": OUTPUT,
        "output_tokens_details": {"reasoning_tokens": REASONING},
        "total_tokens": TOTAL,
    }
    done = status == "completed"
    return {
        "id": identifier,
        "object": "response",
        "created_at": 1790000000,
        "status": status,
        "model": model,
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if done else None,
    }


class SocketServer:
    """A server on a port of its own."""

    def __init__(self, key="sk-of-the-gateway", context=None, header="authorization"):
        self.key, self.header = key, header
        #: The heads of the requests, and the messages of all of them.
        self.requests, self.messages = [], []
        #: A status to refuse all requests with.
        self.refusal = None
        #: Answers have no end.
        self.stalls = False
        self.closed = []
        if context:
            # As providers do, whose HTTP/2 has no WebSockets.
            context.set_alpn_protocols(["h2", "http/1.1"])
        self._server = serve(
            self._serve, "127.0.0.1", 0, process_request=self._check, ssl=context, max_size=None, select_subprotocol=_first
        )
        self.port = self._server.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()

    def forget(self):
        self.requests.clear()
        self.messages.clear()
        self.closed.clear()
        self.refusal = None
        self.stalls = False

    def _check(self, connection, request):
        self.requests.append(request)
        if self.refusal:
            return _error(self.refusal, "the server refuses")
        shown = request.headers.get_all(self.header)
        if shown not in ([f"Bearer {self.key}"], [self.key]):
            return _error(401, "Incorrect API key provided")
        return None

    def _serve(self, connection):
        path, _, query = connection.request.path.partition("?")
        model = dict(urllib.parse.parse_qsl(query)).get("model", "none")
        is_realtime = path.endswith("/realtime")
        if is_realtime:
            _send(connection, {"type": "session.created", "event_id": "event_1", "session": {"type": "realtime", "model": model}})
        # A client may leave without a word.
        with contextlib.suppress(ConnectionClosedError):
            for text in connection:
                message = json.loads(text)
                self.messages.append(message)
                if message["type"] == "response.create":
                    answer = _realtime if is_realtime else _responses
                    answer(connection, message, self.stalls)
                elif message["type"] == "input_audio_buffer.append":
                    _send(connection, {"type": "input_audio_buffer.committed", "event_id": "e", "item_id": message["audio"]})
        self.closed.append((connection.protocol.close_rcvd, connection.protocol.close_sent))


def _first(_, protocols):
    return protocols[0] if protocols else None


def _send(connection, event):
    connection.send(json.dumps(event))


def _realtime(connection, _, stalls):
    empty = {"object": "realtime.response", "id": "resp_1", "status": "in_progress", "output": [], "usage": None}
    _send(connection, {"type": "response.created", "event_id": "event_2", "response": empty})
    place = {"event_id": "e", "response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    for word in ("Hello", " from", " here"):
        _send(connection, {"type": "response.output_text.delta", "delta": word, **place})
    if stalls:
        return
    # In pieces.
    text = json.dumps(response_done("resp_1", "Hello from here"))
    connection.send([text[:100], text[100:101], text[101:]])


def _responses(connection, message, stalls):
    begun = response("resp_1", message["model"], "", "in_progress")
    _send(connection, {"type": "response.created", "sequence_number": 0, "response": begun})
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    for number, word in enumerate(("Hello", " from", " here"), 1):
        _send(connection, {"type": "response.output_text.delta", "sequence_number": number, "delta": word, **place})
    if stalls:
        return
    whole = response("resp_1", message["model"], "Hello from here", "completed")
    _send(connection, {"type": "response.completed", "sequence_number": 4, "response": whole})


def _error(status, message):
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "refused"}}).encode()
    headers = Headers({"content-type": "application/json", "content-length": str(len(body))})
    return Response(status, "Refused", headers, body)
