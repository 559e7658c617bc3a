"""Ferro Labs' AI gateway: a gateway in Go. Without plugins, and without a key, as no other gateway here asks for one."""

from .gateway import LOOPBACK, listens
from .pypi import FromPypi
from .rolter import MODELS

CONFIGURATION = """\
strategy: {mode: single}
targets: [{virtual_key: ollama}]
"""


class Ferrogw(FromPypi):
    package, version = "ferrogw", "1.5.10"
    name = f"ferrogw {version}"

    def launch(self, port, upstream_port):
        environment = {
            "GOMAXPROCS": "1",
            "GATEWAY_CONFIG": str(self.write("config.yaml", CONFIGURATION)),
            # Its provider of OpenAI takes no other models than OpenAI's; this one speaks the same API.
            "OLLAMA_HOST": f"http://{LOOPBACK}:{upstream_port}",
            "OLLAMA_MODELS": ",".join(MODELS),
            "ALLOW_UNAUTHENTICATED_PROXY": "true",
            "LOG_LEVEL": "error",
            "RATE_LIMIT_RPS": "1000000",
            "PORT": str(port),
        }
        self.spawn(self.program(), "serve", env=environment)
        self.wait_until(lambda: listens(port))
