"""The stand-in providers and their test controls."""

import os
import pathlib

import httpx

from .process import Process

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parents[2] / "target" / "release"

REGION = "us-west-2"
#: The key that the stand-in Bedrock accepts from the start, and one that tests rotate to.
AWS_KEY = {
    "access_key_id": "AKIAWEIRTEST0000FIRST",
    "secret_access_key": "first+secret/with=signs",
    "session_token": None,
}
AWS_NEXT_KEY = {
    "access_key_id": "ASIAWEIRTEST000SECOND",
    "secret_access_key": "second+secret/with=signs",
    "session_token": "second-session-token",
}
OPENAI_KEY = "sk-of-the-main-provider"
SPARE_KEY = "sk-of-the-spare-provider"
ANTHROPIC_KEY = "sk-ant-of-the-stand-in"
AZURE_KEY = "key-of-the-azure"
AZURE_TOKEN = "token-of-entra-id"
BEDROCK_API_KEY = "bedrock-api-key-of-the-stand-in"
COHERE_KEY = "key-of-the-cohere"
GOOGLE_TOKEN = "ya29.token-of-google-cloud"
GOOGLE_PROJECT = "weir-test"
GOOGLE_REGION = "us-central1"


class Provider:
    """One port of `weir-providers`."""

    def __init__(self, name, url):
        self.name = name
        self.url = url
        self.port = int(url.rsplit(":", 1)[1])
        self._http = httpx.Client(base_url=url, timeout=10, verify=False)

    def requests(self, path=None):
        """What it received, oldest first: id, time_ms, method, path, headers, body or body_base64, answer."""
        received = self._http.get("/_requests").raise_for_status().json()
        return [one for one in received if path is None or one["path"].startswith(path)]

    def script(self, *steps, **script):
        """Queues an answer: steps as dicts, and `path`, `status`, `headers`, `times`, `gzip`."""
        self._http.post("/_script", json={"steps": list(steps), **script}).raise_for_status()

    def fail(self, status, times=1, headers=None, **body):
        """Queues an error with a JSON body."""
        self.script(
            {"json": body or {"error": {"message": "out of order", "type": "server_error"}}},
            status=status,
            times=times,
            headers={"content-type": "application/json", **(headers or {})},
        )

    def clear(self, what="/_own"):
        """Forgets requests and scripts."""
        self._http.delete(what).raise_for_status()

    def set_keys(self, *keys):
        self._http.put("/_keys", json=list(keys)).raise_for_status()

    def set_credentials(self, **change):
        self._http.put("/_credentials", json=change).raise_for_status()


class Providers(Process):
    """A process with several providers, each under its name."""

    def __init__(self, *arguments, names):
        binary = os.environ.get("WEIR_PROVIDERS", TARGET / "weir-providers")
        super().__init__([binary, *arguments])
        self.by_name = {}
        for name in names:
            match = self.wait_line(rf"^{name} (http://\S+)", timeout=10)
            self.by_name[name] = Provider(name, match[1])

    def __getitem__(self, name):
        return self.by_name[name]

    def clear(self):
        """Forgets requests and scripts of all."""
        next(iter(self.by_name.values())).clear("/_all")


def start_openai(name="openai", port=0, key=None, delay_ms=0, gzip=False):
    """One OpenAI API in a process of its own, for tests that stop it."""
    arguments = ["--openai", f"{name}={port}", "--delay-ms", delay_ms]
    if key:
        arguments += ["--api-key", key]
    if gzip:
        arguments.append("--gzip")
    return Providers(*arguments, names=[name])


def start_all(gzip=False, credentials_token="pod-token-1"):
    """Every kind of provider, as the modules share them."""
    arguments = [
        *("--openai", "qwen3=0", "--openai", "gpt-oss=0", "--strict-openai", "main=0", "--openai", "spare=0"),
        *("--api-key", f"main={OPENAI_KEY}", "--api-key", f"spare={SPARE_KEY}"),
        *("--anthropic", "claude=0", "--anthropic-key", ANTHROPIC_KEY),
        *("--bedrock", "bedrock=0", "--region", REGION, "--bedrock-api-key", BEDROCK_API_KEY),
        *("--azure", "azure=0", "--azure-key", AZURE_KEY, "--azure-token", AZURE_TOKEN),
        *("--cohere", "cohere=0", "--cohere-key", COHERE_KEY),
        *("--vertex", "vertex=0", "--google-token", GOOGLE_TOKEN, "--google-project", GOOGLE_PROJECT),
        *("--credentials", "pod-identity=0", "--credentials-token", credentials_token),
        *("--aws-access-key-id", AWS_KEY["access_key_id"]),
        *("--aws-secret-access-key", AWS_KEY["secret_access_key"]),
    ]
    if gzip:
        arguments.append("--gzip")
    names = ["qwen3", "gpt-oss", "main", "spare", "claude", "bedrock", "azure", "cohere", "vertex", "pod-identity"]
    return Providers(*arguments, names=names)
