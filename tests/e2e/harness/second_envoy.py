"""A second Envoy on what that of a gateway runs on, with something changed."""

import json
import os

import httpx

from . import gateway as gateways
from .process import Process, descendants, wait_for


def bootstrap_of(gateway):
    """What the Envoy of a gateway was started with."""
    words = [word for pid in descendants(gateway.process.pid) for word in open(f"/proc/{pid}/cmdline").read().split("\0")]
    return json.loads(open(next(word for word in words if word.endswith("/envoy.json"))).read())


class SecondEnvoy:
    """Listens at `port` as the first listener of the gateway does, with one worker and so many bytes of memory."""

    def __init__(self, gateway, folder, port, memory, actions=None):
        config = bootstrap_of(gateway)
        overload = config["overload_manager"]
        overload["resource_monitors"][1]["typed_config"]["max_heap_size_bytes"] = memory
        if actions:
            overload["actions"] = [action for action in overload["actions"] if action["name"] in actions]
        config["admin"]["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
        listeners = config["static_resources"]["listeners"]
        config["static_resources"]["listeners"] = listeners[:1]
        listeners[0]["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        file = folder / "envoy.json"
        file.write_text(json.dumps(config))
        modules = os.environ.get("WEIR_MODULE", gateways.WEIR)
        environment = {"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": os.path.dirname(modules)}
        command = [gateways.envoy(), "-c", file, "--disable-hot-restart", "--concurrency", "1"]
        self.process = Process(command, env=environment)
        self.url = f"http://127.0.0.1:{port}"

    def chat(self, model, timeout=10):
        """The status of a chat completion; 0 where there was no answer."""
        body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
        try:
            return httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=timeout).status_code
        except httpx.TransportError:
            return 0

    def wait_until_it_serves(self, model):
        wait_for(lambda: self.chat(model) == 200, 60, what="a second Envoy that serves")

    def memory(self):
        """Bytes of memory that it has of the machine (VmRSS of proc(5))."""
        with open(f"/proc/{self.process.pid}/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def stop(self):
        self.process.stop()
