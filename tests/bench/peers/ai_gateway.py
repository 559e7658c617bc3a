"""Envoy AI Gateway's own external processor, set up as its controller does.

Two gRPC streams per request over a Unix socket: a filter in the listener is sent headers and both bodies, buffered (event
streams in pieces, as the processor asks for); a filter of the cluster is sent the request's headers only and gets the
translated body back. Costs are on.

UNTESTED HERE: the program is not to be had from Go's module proxy, so nothing of this was ever run. Flags, the processor's
configuration and Envoy's filters are written after the public sources of github.com/envoyproxy/ai-gateway
(cmd/extproc/mainlib, internal/filterapi, internal/extensionserver/post_translate_modify.go) as they were after v0.5; older
versions read the backend from other attributes. Build it with `go build ./cmd/extproc` in a clone.
"""

import json
import os
import pathlib

from . import envoy
from .gateway import free_port

#: Where Envoy AI Gateway keeps its own metadata of endpoints and routes.
INTERNAL = "aigateway.envoy.io"
BACKEND = "default/upstream/route/bench/rule/0/ref/0"
ROUTE = "default/bench"

#: What the controller writes into the clusters it finds.
HTTP2 = {"initial_connection_window_size": 1 << 20, "initial_stream_window_size": 1 << 16}
BUFFER_LIMIT = 50 << 20
ATTRIBUTES = [
    f"xds.upstream_host_metadata.filter_metadata['{INTERNAL}']['per_route_rule_backend_name']",
    f"xds.cluster_metadata.filter_metadata['{INTERNAL}']['per_route_rule_backend_name']",
    f"xds.route_metadata.filter_metadata['{INTERNAL}']['aigw_route_name']",
]


def configuration(version):
    """The processor's configuration: one backend that speaks OpenAI's API, and the three usual costs."""
    costs = {"llm_input_token": "InputToken", "llm_output_token": "OutputToken", "llm_total_token": "TotalToken"}
    return {
        # A configuration of another version than the program's is not loaded.
        "version": version,
        "uuid": "bench",
        "llmRequestCosts": [{"metadataKey": key, "type": kind} for key, kind in costs.items()],
        # Newer versions read the path's prefix from `prefix`, older ones from `version`.
        "backends": [{"name": BACKEND, "schema": {"name": "OpenAI", "prefix": "v1", "version": "v1"}}],
    }


def content_length():
    """The translated body's length, which the processor hands over in metadata."""
    header = {"key": "content-length", "value": f"%DYNAMIC_METADATA({envoy.NAMESPACE}:content_length)%"}
    append = {"append": {"append_action": "ADD_IF_ABSENT", "header": header}}
    settings = envoy.typed("filters.http.header_mutation.v3.HeaderMutation", mutations={"request_mutations": [append]})
    return {"name": "envoy.filters.http.header_mutation", "typed_config": settings}


class AiGateway(envoy.EnvoyGateway):
    name = "Envoy AI Gateway (its extproc)"

    def __init__(self, path, access_log=None):
        """`path` is the program: `cmd/extproc` of Envoy AI Gateway."""
        super().__init__(access_log)
        self._program = pathlib.Path(path).resolve()

    def missing(self):
        return super().missing() or (None if os.access(self._program, os.X_OK) else str(self._program))

    def launch(self, port, upstream_port):
        socket = self.socket("extproc.sock")
        file = self.socket("extproc.yaml")
        version = self._version(file)
        # JSON is YAML.
        self.write(file.name, json.dumps(configuration(version)))
        self._processor(socket, file, "warn")
        self.wait_until(socket.exists)
        self.launch_envoy(port, self.bootstrap(port, upstream_port, socket))

    def bootstrap(self, port, upstream_port, socket):
        """Envoy's configuration."""
        listener_filter = envoy.ext_proc(request_body="BUFFERED", response_headers="SEND", response_body="BUFFERED")
        cluster_filters = [
            envoy.ext_proc(
                request_body="NONE", response_headers="SKIP", response_body="NONE", request_attributes=ATTRIBUTES
            ),
            content_length(),
        ]
        upstream = envoy.cluster(
            "upstream",
            envoy.tcp(upstream_port),
            envoy.http_protocol({"http_protocol_options": {}}, cluster_filters),
            metadata={INTERNAL: {"per_route_rule_backend_name": BACKEND}},
        )
        processor = envoy.processor_cluster(socket, HTTP2, buffer_limit=BUFFER_LIMIT)
        metadata = {INTERNAL: {"aigw_route_name": ROUTE}}
        return envoy.bootstrap(port, [listener_filter], [upstream, processor], metadata, self._access_log)

    def _processor(self, socket, file, log_level):
        arguments = ["-configPath", file, "-extProcAddr", f"unix://{socket}", "-adminPort", free_port()]
        return self.spawn(self._program, *arguments, "-logLevel", log_level, env={"GOMAXPROCS": "1"})

    def _version(self, file):
        """The program's version. Its first line says so, and it starts without a configuration, too."""
        process = self._processor(self.socket("version.sock"), file, "info")
        version = process.wait_line(r'starting external processor.* version=("[^"]*"|\S+)', timeout=10)[1]
        process.stop()
        self._processes.remove(process)
        return version.strip('"')
