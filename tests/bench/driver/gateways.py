"""The gateways of the core set: Envoy by itself, Envoy with other filters, and Weir.

The first is an Envoy that only proxies, with the least that this takes. All others are the same Envoy with the configuration that
`weir render` writes. What differs is what stands in the two places where Weir has its filter: before the router, and in the cluster.

A gateway, here and in `peers/`, has a `name`, `missing()` (what must be there before it can be started, None when nothing), `start(upstream_port,
cpu)` which returns its base URL, `headers` that a client must send, `pids()` of all processes that count, and `stop()`.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import manifest, parts

from harness.ports import LOOPBACK, free_port, listens
from harness.process import Failed, Process, descendants, wait_for


def typed(kind, **fields):
    return {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}


class RenderedEnvoy:
    """Envoy on what `weir render` writes."""

    name = None
    #: Whether it can stand in front of another API than the client's, and whether the client gets that API's bytes then.
    translates = False
    passes = False
    #: Which form of the filter is rendered.
    form = "wasm"
    #: A command that Envoy runs under, and more options of Envoy's.
    under = ()
    options = ()
    #: Seconds until it must listen.
    patience = 60

    def __init__(self, models=0):
        """`models`: how many models the routes name besides those of the scenarios."""
        self.headers = {}
        self._models = models
        self._directory = None
        self._process = None

    @classmethod
    def missing(cls):
        return None

    def start(self, upstream_port, cpu):
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
        try:
            port = free_port()
            self._render(port, upstream_port)
            self.adapt(self._directory)
            self._launch(port, cpu)
        except BaseException:
            self.stop()
            raise
        return f"http://{LOOPBACK}:{port}"

    def _render(self, port, upstream_port):
        resources = self._directory / "resources.yaml"
        resources.write_text(manifest.dump(upstream_port, self._models))
        command = [parts.weir(), "render", "-f", resources, "--to", "envoy", "-o", self._directory]
        command += ["--filter", self.form, "--port", port, "--admin-port", free_port()]
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            env={**os.environ, **manifest.CREDENTIALS},
        )
        if done.returncode != 0:
            raise Failed(f"{self.name}: weir render: {done.stderr.strip()}")

    def adapt(self, directory):
        """Changes what was rendered."""

    def _launch(self, port, cpu):
        command = ["taskset", "--cpu-list", cpu, *self.under, parts.envoy(), "--config-path", self._directory / "envoy.json"]
        command += ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error", *self.options]
        # The native module lies beside the command.
        modules = {"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": os.environ.get("WEIR_MODULE_DIR", str(parts.weir().parent))}
        self._process = Process(command, env={**manifest.CREDENTIALS, **modules}, cwd=self._directory)

        def ready():
            if self._process.popen.poll() is not None:
                raise Failed(f"{self.name}: Envoy has ended:\n{self.log()}")
            return listens(port)

        try:
            wait_for(ready, self.patience, what=f"start of {self.name}")
        except Failed as failure:
            raise Failed(f"{failure}\n{self.log()}") from None

    def log(self):
        """The end of what it said."""
        return self._process.output[-3000:] if self._process else ""

    def lines(self):
        """All lines that it has said."""
        return self._process.lines

    def pids(self):
        return [self._process.pid, *descendants(self._process.pid)]

    def stop(self):
        if self._process:
            # Running streams are of no interest any more, and draining them takes its time.
            self._process.kill()
            self._process = None
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


class ReplacedFilters(RenderedEnvoy):
    """Envoy with other filters, or none, in the places of Weir's, and one route instead of the routes by model."""

    def edge(self):
        """What stands before the router."""
        return []

    def backend(self):
        """What stands in the cluster."""
        return []

    def per_route(self, path):
        """Configuration of the filters for a path."""
        return {}

    def adapt(self, directory):
        for file in [directory / "envoy.json", *(directory / "xds").glob("*.json")]:
            document = json.loads(file.read_text())
            self._replace_filters(document)
            self._replace_routes(document)
            file.write_text(json.dumps(document))

    def _replace_filters(self, node):
        for child in children(node):
            self._replace_filters(child)
        if isinstance(node, dict) and "http_filters" in node:
            by_name = {"weir.edge": self.edge, "weir.backend": self.backend}
            node["http_filters"] = [
                replacement
                for filter in node["http_filters"]
                for replacement in (by_name.get(filter["name"], list)() if "config_discovery" in filter else [filter])
            ]

    def _replace_routes(self, node):
        """The model is in the body, which nothing reads here: every request goes to the backend that passes through."""
        for child in children(node):
            self._replace_routes(child)
        if not isinstance(node, dict) or "exact_match_map" not in (node.get("matcher") or {}).get("matcher_tree", {}):
            return
        actions = node.pop("matcher")["matcher_tree"]["exact_match_map"]["map"]
        # The first is for what Weir's filter has made the backend's request.
        route = actions["chat"]["action"]["typed_config"]["routes"][-1]
        node["routes"] = []
        for match in ({"path": "/v1/chat/completions"}, {"prefix": "/"}):
            settings = self.per_route(match.get("path"))
            node["routes"].append({**route, "match": match, **({"typed_per_filter_config": settings} if settings else {})})


def children(node):
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


class BareEnvoy(RenderedEnvoy):
    """Only proxying, from one listener to one cluster: what every ratio is taken to."""

    name = "bare Envoy"
    #: What translation is compared with.
    passes = True

    def _render(self, port, upstream_port):
        manager = typed(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="bare",
            route_config={
                "virtual_hosts": [
                    {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "models"}}]}
                ]
            },
            http_filters=[{"name": "router", "typed_config": typed("filters.http.router.v3.Router")}],
        )
        # Envoy's defaults are less than the connections of some scenarios.
        limits = dict.fromkeys(["max_connections", "max_pending_requests", "max_requests"], 1_000_000)
        cluster = {
            "name": "models",
            "load_assignment": {
                "cluster_name": "models",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(upstream_port)}}]}],
            },
            "circuit_breakers": {"thresholds": [limits]},
        }
        listener = {
            "address": socket_address(port),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }
        document = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
        (self._directory / "envoy.json").write_text(json.dumps(document))


def socket_address(port):
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


class UnfilteredEnvoy(ReplacedFilters):
    """What is rendered costs something without a filter, too: timeouts, retries, limits, headers."""

    name = "rendered, no filters"
    passes = True


class NoopEnvoy(ReplacedFilters):
    """A filter of Envoy's own that does nothing, in both places."""

    name = "rendered, no-op filters"
    passes = True

    def edge(self):
        return [{"name": "noop", "typed_config": typed("filters.http.header_mutation.v3.HeaderMutation", mutations={})}]

    backend = edge


class AiProtocolManager(ReplacedFilters):
    """Envoy's own filter for AI traffic: reads the body of chat completions and their usage; no routing by model, no limits."""

    name = "Envoy ai_protocol_manager"
    NAME = "envoy.filters.http.ai_protocol_manager"
    KIND = "filters.http.ai_protocol_manager.v3"

    def edge(self):
        settings = typed(
            f"{self.KIND}.AiProtocolManager",
            # Nothing changes the body here, so it need not be written anew.
            request_handling={"reserialize_body": "DISABLE"},
            response_handling={"token_usage": {}},
        )
        return [{"name": self.NAME, "typed_config": settings}]

    def per_route(self, path):
        if path is None:
            return {}
        request = {"llm_protocol": "OPENAI_CHAT_COMPLETIONS"}
        return {self.NAME: typed(f"{self.KIND}.AiProtocolManagerPerRoute", request=request)}


class WeirWasm(RenderedEnvoy):
    name = "Weir wasm"
    translates = True


class WeirModule(RenderedEnvoy):
    name = "Weir module"
    translates = True
    form = "module"

    @classmethod
    def missing(cls):
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as directory:
            probe = cls()
            probe._directory = pathlib.Path(directory)
            try:
                probe._render(1, 1)
            except Failed as failure:
                return str(failure)
        return None


#: In the order of the tables. The first one is the measure.
CORE = [BareEnvoy, UnfilteredEnvoy, NoopEnvoy, AiProtocolManager, WeirModule, WeirWasm]
