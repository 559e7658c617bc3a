"""`weir run`, and what it says about the requests it served."""

import itertools
import json
import os
import pathlib
import shutil
import uuid

import anthropic
import cohere
import httpx
import openai
from google import genai

from . import resources
from .process import Process, wait_for
from .providers import TARGET

FILTER = os.environ.get("FILTER", "wasm")
WEIR = pathlib.Path(os.environ.get("WEIR", TARGET / "weir"))

#: All that run, for the report of a failed test.
RUNNING = []
_numbers = itertools.count(1)


def new_user():
    """A user nobody was before: budgets, ledger and access log are told apart by it."""
    return f"user-{uuid.uuid4().hex[:12]}"


def envoy():
    """$ENVOY, the PATH's, or the one that build.sh installed."""
    installed = pathlib.Path(__file__).resolve().parents[3] / ".weir" / "venv" / "bin" / "envoy"
    return os.environ.get("ENVOY") or shutil.which("envoy") or installed


def weir(*arguments, **options):
    """A `weir` command."""
    if not WEIR.exists():
        raise FileNotFoundError(f"{WEIR}: build it first, or name it in WEIR")
    return Process([WEIR, *arguments], **options)


def ready(gateway):
    """Waits for the two lines that say it serves."""
    gateway.url = gateway.wait_line(r"listening on (https?://127\.0\.0\.1:\d+)")[1]
    gateway.admin = gateway.wait_line(r"admin on (http://127\.0\.0\.1:\d+)")[1]


def sdk_client(library, url, key, http, user, options):
    """A client of an SDK that is strict about what it gets back. Nothing is TLS here, so it reads no certificates."""
    defaults = {"max_retries": 0, "timeout": 30, "_strict_response_validation": True}
    if "http_client" not in options:
        defaults["http_client"] = http(verify=False)
    headers = {"x-user-id": user} if user else {}
    return library(base_url=url, api_key=key, default_headers=headers, **{**defaults, **options})


class Gateway:
    """A running gateway. `manifest` is a list of resources, or a list of files."""

    def __init__(self, directory, manifest, *options, redis=None, env=None, port=0, log_file=None):
        self.directory = pathlib.Path(directory) / f"gateway-{next(_numbers)}"
        self.directory.mkdir()
        self.file = self.directory / "manifest.yaml"
        self.log_file = log_file or self.directory / "access.log"
        if all(isinstance(each, dict) for each in manifest):
            self.write(manifest)
            files = [self.file]
        else:
            files = manifest
        arguments = ["run", *itertools.chain.from_iterable(("-f", file) for file in files)]
        arguments += ["--port", port, "--admin-port", 0, "--access-log", self.log_file]
        if FILTER:
            arguments += ["--filter", FILTER]
        if redis:
            arguments += ["--redis", redis]
        self.process = weir(*arguments, *options, env=env)
        RUNNING.append(self)
        try:
            ready(self.process)
        except BaseException:
            self.stop()
            raise
        self.url, self.admin = self.process.url, self.process.admin
        # Nothing here is TLS; to read the system's certificates would take each client 40 ms.
        self.http = httpx.Client(base_url=self.url, timeout=30, verify=False)

    def write(self, manifest):
        """Puts a manifest in place the way editors and deployments do: whole or not at all."""
        text = manifest if isinstance(manifest, str) else resources.dump(manifest)
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def stop(self):
        code = self.process.stop()
        if self in RUNNING:
            RUNNING.remove(self)
        return code

    def close(self):
        """Stops it and drops its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def openai(self, user=None, **options):
        """OpenAI's client, strict about what it gets back."""
        url = f"{self.url}/v1"
        return sdk_client(openai.OpenAI, url, "sk-of-the-client", openai.DefaultHttpxClient, user, options)

    def anthropic(self, user=None, **options):
        """Anthropic's client, strict about what it gets back."""
        url = f"{self.url}/anthropic"
        return sdk_client(
            anthropic.Anthropic, url, "sk-ant-of-the-client", anthropic.DefaultHttpxClient, user, options
        )

    def gemini(self, user=None, **client_args):
        """Google's client, with nothing but its base address changed."""
        options = genai.types.HttpOptions(
            base_url=self.url,
            headers={"x-user-id": user} if user else {},
            timeout=30_000,
            client_args={"verify": False, **client_args},
        )
        return genai.Client(api_key="key-of-the-client", http_options=options)

    def cohere(self, user=None, prefix="/cohere", **client_args):
        """Cohere's client, with nothing but its base address changed."""
        headers = {"x-user-id": user} if user else {}
        http = httpx.Client(verify=False, timeout=30, headers=headers, **client_args)
        url = f"{self.url}{prefix}"
        return cohere.ClientV2(api_key="key-of-the-client", base_url=url, httpx_client=http, max_retries=0)

    def chat(self, model, user=None, **body):
        """A chat completion without a client library in between."""
        headers = {"x-user-id": user} if user else {}
        body = {"model": model, "messages": [{"role": "user", "content": "one two three"}], **body}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def logged(self, user, count=1, timeout=10.0):
        """The access log lines of a user's requests, once there are `count` of them."""

        def lines():
            if not self.log_file.exists():
                return None
            with open(self.log_file) as file:
                # A last line without its end is still being written.
                whole = [json.loads(line) for line in file if line.endswith("\n")]
            mine = [line for line in whole if line.get("user") == user]
            return mine if len(mine) >= count else None

        return wait_for(lines, timeout, what=f"{count} access log line(s) of {user}")

    def usage(self, user=None):
        """The records of the ledger, of one user if named.

        `GET /weir/usage` answers `{"records": [{"user", "model", "backend", "requests", "input_tokens", ...}]}`.
        """
        answer = httpx.get(f"{self.admin}/weir/usage", timeout=10, verify=False).raise_for_status().json()
        return [record for record in answer["records"] if user is None or record["user"] == user]

    def spent(self, user, key="total_tokens"):
        return sum(record[key] for record in self.usage(user))
