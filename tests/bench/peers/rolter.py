"""rolter: a gateway in Rust. Without its control plane, and without a key, as no other gateway here asks for one."""

import json

from driver.manifest import OPENAI

from .gateway import LOOPBACK, listens
from .pypi import FromPypi

#: The model of `peers.check` is one more.
MODELS = [*OPENAI, "gpt-4o-mini"]


def configuration(upstream_port):
    """TOML: every model at the one upstream, under its own name."""
    lines = ["[server]", "require_auth = false", "[[providers]]", 'name = "upstream"', 'kind = "openai_compatible"']
    lines.append(f'api_base = "http://{LOOPBACK}:{upstream_port}"')
    for model in map(json.dumps, MODELS):
        lines += ["[[routes]]", f"model = {model}", "[[routes.targets]]", 'provider = "upstream"', f"model = {model}"]
    return "\n".join(lines) + "\n"


class Rolter(FromPypi):
    package, version = "rolter", "0.1.0"
    name = f"rolter {version}"

    def launch(self, port, upstream_port):
        config = self.write("rolter.toml", configuration(upstream_port))
        command = [self.program(), "gateway", "--config", config, "--host", LOOPBACK, "--port", port]
        self.spawn(*command, env={"TOKIO_WORKER_THREADS": "1", "RUST_LOG": "error"})
        self.wait_until(lambda: listens(port))
