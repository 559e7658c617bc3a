"""A gateway that someone has: `NAME=COMMAND,PORT`."""

import os

from .gateway import Gateway, listens


def other(text):
    """The class of the gateway that `text` tells of."""
    name, _, rest = text.partition("=")
    command, _, port = rest.rpartition(",")
    return type("Other", (Other,), {"name": name, "command": command, "port": int(port)})


class Other(Gateway):
    """Its command is one of the shell, and finds the model server's port in `UPSTREAM_PORT`."""

    command = None

    def launch(self, port, upstream_port):
        if listens(port):
            raise OSError(f"something listens on port {port} already")
        self.spawn("sh", "-c", self.command, env={**os.environ, "UPSTREAM_PORT": str(upstream_port)})
        self.wait_until(lambda: listens(port))
