"""Ferro Labs' AI gateway: a gateway in Go. Without plugins, and without a key, as no other gateway here asks for one."""

from .gateway import LOOPBACK, listens
from .pypi import FromPypi

CONFIGURATION = """\
strategy: {mode: single}
targets: [{virtual_key: openai}]
"""


class Ferrogw(FromPypi):
    package, version = "ferrogw", "1.5.10"
    name = f"ferrogw {version}"

    def launch(self, port, upstream_port):
        environment = {
            "GOMAXPROCS": "1",
            "GATEWAY_CONFIG": str(self.write("config.yaml", CONFIGURATION)),
            "OPENAI_API_KEY": "sk-of-the-benchmark",
            "OPENAI_BASE_URL": f"http://{LOOPBACK}:{upstream_port}",
            "ALLOW_UNAUTHENTICATED_PROXY": "true",
            "LOG_LEVEL": "error",
            "PORT": str(port),
        }
        self.spawn(self.program(), "serve", env=environment)
        self.wait_until(lambda: listens(port))
