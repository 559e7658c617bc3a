"""Envoy on the files of `envoy-config/`, and what docker-compose.yaml starts beside it, without containers."""

import json
import os
import pathlib
import shutil
import subprocess

import httpx
import yaml

from .ports import free_port
from .process import Process, wait_for
from .providers import TARGET, Provider
from .tls import Relay

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "envoy-config"
#: `wasm` or `module`: which of the files.
FORM = os.environ.get("FILTER") or "wasm"
#: Where the files look for the parts.
PARTS = "/etc/weir"


def compose(service):
    """What docker-compose.yaml says of a service."""
    return yaml.safe_load((FOLDER / "docker-compose.yaml").read_text())["services"][service]


def stand_in_keys():
    """stand-ins.env as a dict."""
    lines = (FOLDER / "stand-ins.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def localized(text, places):
    """The text with every name of `places` replaced by its place on this machine; each must be there."""
    for name, place in places.items():
        assert name in text, f"{name}: not in the file"
        text = text.replace(name, str(place))
    return text


def address(host, port):
    """An address as the files write it."""
    return f"{{address: {host}, port_value: {port}}}"


def envoy():
    """$ENVOY, the PATH's, or the one that build.sh installed."""
    return os.environ.get("ENVOY") or shutil.which("envoy") or ROOT / ".weir" / "venv" / "bin" / "envoy"


def ratelimit_service():
    """$RATELIMIT, the PATH's, or the one that build.sh built; None where there is none."""
    built = ROOT / ".weir" / "bin" / "service_cmd"
    found = os.environ.get("RATELIMIT") or shutil.which("ratelimit") or shutil.which("service_cmd")
    return found or (built if built.exists() else None)


def parts():
    """The folder with the filter in both forms: that of `weir`, as build.sh leaves it."""
    return pathlib.Path(os.environ.get("WEIR", TARGET / "weir")).resolve().parent


def run_command(config, *options, environment=None, search_path=None):
    """The command and the environment that start Envoy on a file."""
    command = [envoy(), "-c", config, "--concurrency", "2", "--use-dynamic-base-id", "--log-level", "warning", *options]
    return command, {"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(search_path or parts()), **(environment or {})}


def validate(config, **options):
    """`envoy --mode validate`: whether it takes the file, and what it says."""
    command, environment = run_command(config, "--mode", "validate", **options)
    command = [str(word) for word in command]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


class PlainEnvoy:
    """Envoy on a file."""

    def __init__(self, config, port, **options):
        command, environment = run_command(config, **options)
        self.process = Process(command, env=environment)
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=30)
        try:
            wait_for(self._serves, 30, pause=0.1, what="Envoy")
        except BaseException:
            self.process.stop()
            raise

    def _serves(self):
        if self.process.popen.poll() is not None:
            raise AssertionError(f"Envoy ended:\n{self.process.output}")
        try:
            return self.http.get("/v1/models").status_code == 200
        except httpx.TransportError:
            return False

    def chat(self, model, user=None, **body):
        headers = {"x-user-id": user} if user else {}
        body = {"model": model, "messages": [{"role": "user", "content": "one two three"}], **body}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def records(self, user, count=1):
        """The access log lines of a user, once there are `count` of them."""

        def found():
            lines = [json.loads(line) for line in self.process.lines if line.startswith('{"')]
            mine = [line for line in lines if line.get("user") == user]
            return mine if len(mine) >= count else None

        # Envoy writes its access log every ten seconds.
        return wait_for(found, 60, what=f"{count} access log line(s) of {user}")

    def stop(self):
        self.process.stop()


class DirectEnvoy(PlainEnvoy):
    """Envoy with the single filter, in front of a provider at a port of this machine that wants `key`."""

    def __init__(self, folder, provider, key, limit):
        self.relay = Relay("api.openai.com", folder, provider)
        (folder / "openai").write_text(key + "\n")
        port, self.admin_port = free_port(), free_port()
        here = {
            **({PARTS: parts()} if FORM == "wasm" else {f"{PARTS}/secrets": folder}),
            address("127.0.0.1", 9901): address("127.0.0.1", self.admin_port),
            address("0.0.0.0", 1975): address("127.0.0.1", port),
            address("api.openai.com", 443): address("127.0.0.1", self.relay.port),
            "/etc/ssl/certs/ca-certificates.crt": self.relay.ca,
            '"limit": 10000,': f'"limit": {limit},',
        }
        self.file = folder / "envoy.yaml"
        self.file.write_text(localized((FOLDER / f"direct-{FORM}.yaml").read_text(), here))
        super().__init__(self.file, port, environment={"OPENAI_API_KEY": key} if FORM == "wasm" else {})

    def stop(self):
        super().stop()
        self.relay.close()


class StandIns:
    """The stand-in providers, each by the command of its service."""

    def __init__(self, *services):
        binary = pathlib.Path(os.environ.get("WEIR_PROVIDERS", TARGET / "weir-providers")).resolve()
        self._processes, self.by_name = [], {}
        for service in services:
            words = [word.replace("$$", "$") for word in compose(service)["command"]]
            command = localized("\n".join(words), {"0.0.0.0": "127.0.0.1", f"{service}=8000": f"{service}=0"})
            path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
            process = Process(command.split("\n"), env={**stand_in_keys(), "PATH": path})
            self._processes.append(process)
            url = process.wait_line(rf"^{service} (http://\S+)", timeout=10)[1]
            self.by_name[service] = Provider(service, url)

    def __getitem__(self, name):
        return self.by_name[name]

    def clear(self):
        for provider in self.by_name.values():
            provider.clear()

    def stop(self):
        for process in self._processes:
            process.stop()


class RateLimit:
    """The ratelimit service with the environment and the configuration of its service in docker-compose.yaml."""

    def __init__(self, binary, redis, directory, ports):
        shutil.copytree(FOLDER / "ratelimit", directory / "ratelimit")
        environment = localized(
            yaml.safe_dump(compose("ratelimit")["environment"]), {"redis:6379": redis, "/data": directory}
        )
        names = ("PORT", "GRPC_PORT", "DEBUG_PORT")
        environment = {
            **yaml.safe_load(environment),
            **{name: str(port) for name, port in zip(names, ports)},
            **{name: "127.0.0.1" for name in ("HOST", "GRPC_HOST", "DEBUG_HOST")},
        }
        self.grpc_port = ports[1]
        self._process = Process([binary], env=environment)

        def healthy():
            try:
                return httpx.get(f"http://127.0.0.1:{ports[0]}/healthcheck").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(healthy, 60, pause=0.1, what="the ratelimit service")

    def stop(self):
        self._process.stop()
