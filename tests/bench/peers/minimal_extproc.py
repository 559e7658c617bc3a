"""Envoy and the least that an external processor can do (see `extproc/`): the floor of what ext_proc costs.

One gRPC stream per request over a Unix socket, in one thread on Envoy's core. Headers are sent, and both bodies are
buffered. An answer that is an event stream is sent event by event instead: the processor says so (`mode_override`) when it
sees the answer's headers, because a buffered stream would be none.
"""

import os
import pathlib

from . import envoy
from .gateway import ROOT, run


class MinimalExtProc(envoy.EnvoyGateway):
    name = "Envoy + minimal ext_proc"

    @staticmethod
    def processor():
        """`$WEIR_BENCH_EXTPROC`, or what `install` builds."""
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return pathlib.Path(os.environ.get("WEIR_BENCH_EXTPROC", target / "load" / "weir-bench-extproc"))

    @classmethod
    def missing(cls):
        return super().missing() or (None if cls.processor().exists() else "weir-bench-extproc")

    @classmethod
    def install(cls):
        run("cargo", "build", "--locked", "--profile", "load", "-p", "weir-bench-extproc")

    def launch(self, port, upstream_port):
        socket = self.socket("extproc.sock")
        process = self.spawn(self.processor(), socket)
        process.wait_line("listening on", timeout=10)
        upstream = envoy.cluster("upstream", envoy.tcp(upstream_port), envoy.http_protocol({"http_protocol_options": {}}))
        filters = [envoy.ext_proc(request_body="BUFFERED", response_headers="SEND", response_body="BUFFERED")]
        clusters = [upstream, envoy.processor_cluster(socket, http2={}, buffer_limit=envoy.BUFFER_LIMIT)]
        self.launch_envoy(port, envoy.bootstrap(port, filters, clusters, access_log=self._access_log))
