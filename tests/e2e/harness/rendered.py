"""Envoy on what `weir render` writes."""

import subprocess

import httpx

from . import gateway as gateways
from . import resources
from .process import Process


def render(manifest, folder, port, admin_port):
    """Writes Envoy's configuration for a list of resources, in the form under test."""
    file = folder.with_suffix(".yaml")
    file.write_text(resources.dump(manifest))
    form = ["--filter", gateways.FILTER] if gateways.FILTER else []
    ports = ["--port", str(port), "--admin-port", str(admin_port)]
    command = [gateways.WEIR, "render", "-f", file, "--to", "envoy", "-o", folder, *ports, *form]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


class Rendered:
    """An Envoy of one's own on it."""

    def __init__(self, folder, port, *options):
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        variables = folder / "envoy.env"
        lines = variables.read_text().splitlines() if variables.exists() else []
        command = [gateways.envoy(), "-c", folder / "envoy.json", "--concurrency", "2", "--use-dynamic-base-id", *options]
        self.process = Process(command, env=dict(line.split("=", 1) for line in lines), cwd=folder)

    def chat(self, model, messages, headers=None):
        """A chat completion; None where nobody listens."""
        body = {"model": model, "messages": messages}
        try:
            return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=20)
        except httpx.TransportError:
            return None
