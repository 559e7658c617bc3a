"""Reads forms as a server with Starlette does (vLLM, and all that is made with FastAPI): a line of JSON each,
{"type": content type, "body": form}, both in base64."""

import asyncio
import base64
import json
import sys

from starlette.requests import Request


async def read(kind, body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [(b"content-type", kind)]}
    try:
        async with Request(scope, receive).form() as form:
            values = form.getlist("model")
            return {
                "values": [value for value in values if isinstance(value, str)],
                "files": sum(not isinstance(value, str) for value in values),
            }
    except Exception as error:  # whatever makes it answer with an error
        return {"values": [], "files": 0, "error": repr(error)}


async def main():
    for line in sys.stdin:
        form = json.loads(line)
        seen = await read(base64.b64decode(form["type"]), base64.b64decode(form["body"]))
        print(json.dumps(seen), flush=True)


asyncio.run(main())
