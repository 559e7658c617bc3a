"""Portkey's AI gateway under Node: the provider and its address come with every request."""

import json
import shutil

from .gateway import HOME, LOOPBACK, Gateway, listens, run

PACKAGE = "@portkey-ai/gateway"
VERSION = "1.15.2"
#: Its server library, and one that works: with 1.14.2 and 1.19.19 (what npm chooses by itself) every stream was answered by
#: 500 "Something went wrong", because Portkey changes headers that are immutable there
#: (github.com/Portkey-AI/gateway/issues/1389, open).
WANTED = {PACKAGE: VERSION, "@hono/node-server": "1.13.8"}


class Portkey(Gateway):
    name = f"Portkey {VERSION}"
    home = HOME / "portkey"
    modules = home / "node_modules"

    @classmethod
    def installed(cls, package):
        """The version found of a package, None without one."""
        manifest = cls.modules / package / "package.json"
        return json.loads(manifest.read_text())["version"] if manifest.exists() else None

    @classmethod
    def missing(cls):
        if not shutil.which("node"):
            return "Node.js 18 or later, with npm"
        absent = [f"{package}@{version}" for package, version in WANTED.items() if cls.installed(package) != version]
        return " ".join(absent) or None

    @classmethod
    def install(cls):
        if cls.missing() is None:
            return
        shutil.rmtree(cls.modules, ignore_errors=True)
        cls.home.mkdir(parents=True, exist_ok=True)
        (cls.home / "package-lock.json").unlink(missing_ok=True)
        # Overrides, because packages below it would bring a server library of their own.
        manifest = {"private": True, "dependencies": WANTED, "overrides": WANTED}
        (cls.home / "package.json").write_text(json.dumps(manifest))
        # Nothing of it needs to be built, so no script of any package is run.
        options = ["--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts", "--loglevel=error"]
        run("npm", "install", "--prefix", cls.home, *options)

    def launch(self, port, upstream_port):
        self.spawn(
            shutil.which("node"),
            self.modules / PACKAGE / "build" / "start-server.js",
            f"--port={port}",
            "--headless",
            env={"NODE_ENV": "production"},
        )
        self.wait_until(lambda: listens(port))
        self.headers = {
            "authorization": "Bearer sk-of-the-benchmark",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://{LOOPBACK}:{upstream_port}/v1",
        }
