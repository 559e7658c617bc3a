"""Envoy with an external processor: the configuration that the peers built on it share."""

import json
import os
import shutil

from .gateway import LOOPBACK, ROOT, Gateway, listens

#: Where the processors put usage, and the header they put the model into.
NAMESPACE = "io.envoy.ai_gateway"
MODEL_HEADER = "x-ai-eg-model"
PROCESSOR = "extproc"

#: Bytes that Envoy may hold of one request or answer. Its default of 1 MiB is too little for the long prompts.
BUFFER_LIMIT = 32 << 20
#: No limit is to be met: thousands of idle streams are among the scenarios.
NO_LIMITS = {
    "thresholds": [{key: 1_000_000 for key in ("max_connections", "max_pending_requests", "max_requests", "max_retries")}]
}


def program():
    """The Envoy to use: `$ENVOY`, the PATH, or the one that build.sh installs; None if there is none."""
    installed = ROOT / ".weir" / "venv" / "bin" / "envoy"
    return os.environ.get("ENVOY") or shutil.which("envoy") or (str(installed) if installed.exists() else None)


def typed(kind, **fields):
    return {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}


def http_protocol(protocol, filters=()):
    """A cluster's protocol, and its own filters if it has any."""
    options = typed("upstreams.http.v3.HttpProtocolOptions", explicit_http_config=protocol)
    if filters:
        codec = typed("filters.http.upstream_codec.v3.UpstreamCodec")
        options["http_filters"] = [*filters, {"name": "envoy.filters.http.upstream_codec", "typed_config": codec}]
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def cluster(name, address, options, metadata=None, buffer_limit=None):
    endpoint = {"endpoint": {"address": address}}
    if metadata:
        endpoint["metadata"] = {"filter_metadata": metadata}
    made = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "circuit_breakers": NO_LIMITS,
        "typed_extension_protocol_options": options,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if buffer_limit:
        made["per_connection_buffer_limit_bytes"] = buffer_limit
    return made


def tcp(port):
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def processor_cluster(socket, http2, **options):
    """The processor behind its Unix socket."""
    protocol = http_protocol({"http2_protocol_options": http2})
    return cluster(PROCESSOR, {"pipe": {"path": str(socket)}}, protocol, **options)


def ext_proc(request_body, response_headers, response_body, **fields):
    """An ext_proc filter that is sent request headers and what the arguments say."""
    settings = typed(
        "filters.http.ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": {"cluster_name": PROCESSOR}},
        processing_mode={
            "request_header_mode": "SEND",
            "request_body_mode": request_body,
            "request_trailer_mode": "SKIP",
            "response_header_mode": response_headers,
            "response_body_mode": response_body,
            "response_trailer_mode": "SKIP",
        },
        # For event streams, whose answer must not be buffered.
        allow_mode_override=True,
        # Under full load the default of 200 ms would be met.
        message_timeout="10s",
        metadata_options={"receiving_namespaces": {"untyped": [NAMESPACE]}},
        **fields,
    )
    return {"name": "envoy.filters.http.ext_proc", "typed_config": settings}


def bootstrap(port, filters, clusters, route_metadata=None, access_log=None):
    """Envoy's configuration: requests whose model a filter has named go to the cluster `upstream`."""
    route = {
        "name": "model",
        # Without the processor's work there is no route, so none can be forgotten.
        "match": {"prefix": "/", "headers": [{"name": MODEL_HEADER, "present_match": True}]},
        "route": {"cluster": "upstream", "timeout": "0s"},
    }
    if route_metadata:
        route["metadata"] = {"filter_metadata": route_metadata}
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench",
        stream_idle_timeout="0s",
        http_filters=[
            *filters,
            {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")},
        ],
        route_config={"name": "models", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    )
    if access_log:
        usage = {key: f"%DYNAMIC_METADATA({NAMESPACE}:{key})%" for key in ("llm_input_token", "llm_total_token")}
        log = typed("access_loggers.file.v3.FileAccessLog", path=str(access_log), log_format={"json_format": usage})
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": log}]
    listener = {
        "name": "gateway",
        "address": tcp(port),
        # Two Envoys on one port would share its connections without a word.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": BUFFER_LIMIT,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


class EnvoyGateway(Gateway):
    """Envoy, and the processor that it asks."""

    def __init__(self, access_log=None):
        """`access_log` is a file for the usage of each request, for checks: writing it costs time."""
        super().__init__()
        self._access_log = access_log

    @classmethod
    def missing(cls):
        return None if program() else "Envoy (./build.sh build installs it)"

    def launch_envoy(self, port, configuration):
        file = self.write("envoy.json", json.dumps(configuration))
        arguments = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        self.spawn(program(), "--config-path", file, *arguments)
        self.wait_until(lambda: listens(port))
