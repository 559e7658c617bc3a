"""A gateway of Istio: Istiod reads what was rendered from a Kubernetes API, and an Envoy gets it as the gateway's pods do."""

import base64
import json
import socket
import subprocess

import httpx
import yaml

from envoy_gateway import tools
from harness import gateway as gateways
from harness import resources
from harness.ports import free_port
from harness.process import Failed, Process, wait_for

from .kubernetes import Api

#: What the proxy of Istio has and Envoy has not.
WITHOUT = {"PILOT_ENABLE_ALPN_FILTER": "false", "PILOT_ENABLE_METADATA_EXCHANGE": "false"}
#: Not that of a stand-in: Istiod takes a proxy for the backend that has its address.
POD_IP = "192.0.2.1"
#: istioctl says it of every EnvoyFilter.
ADVICE = "EnvoyFilter exposes internal implementation details"


def istioctl():
    return tools.tool("ISTIOCTL", "istioctl")


def istiod():
    return tools.tool("PILOT_DISCOVERY", "pilot-discovery")


def render(directory, manifest, *options, code=("--wasm-image", "registry.example/weir:0.1.0")):
    """The rendered resources, and the values of the gateway's chart. `manifest` is a list of resources, or of files."""
    done = try_render(directory, manifest, *options, code=code)
    assert done.returncode == 0, done.stderr
    values = directory / "istio" / "gateway-values.yaml"
    documents = list(yaml.safe_load_all((directory / "istio" / "istio.yaml").read_text()))
    return documents, yaml.safe_load(values.read_text()) if values.exists() else {}


def try_render(directory, manifest, *options, code=()):
    files = manifest
    if all(isinstance(each, dict) for each in manifest):
        files = [directory / "manifest.yaml"]
        files[0].write_text(resources.dump(manifest))
    files = [word for file in files for word in ("-f", str(file))]
    command = [tools.WEIR, "render", *files, "--to", "istio", *code, *options, "-o", directory / "istio"]
    return tools.run(*command, check=False)


def of_kind(documents, kind):
    return [each for each in documents if each["kind"] == kind]


def validate(file):
    """What istioctl finds fault with. It exits with 0 on unknown fields of Envoy, so all it says counts."""
    done = subprocess.run([istioctl(), "validate", "-f", file], capture_output=True, text=True, timeout=60)
    said = [line.strip(" \t*") for line in (done.stdout + done.stderr).splitlines()]
    faults = [line for line in said if line and ADVICE not in line and not line.endswith("has warnings:")]
    return faults


class Gateway:
    """A running gateway.

    `extra` are other objects that the cluster has, `elsewhere` says what is in another place than in a cluster: texts of the
    resources and what stands for them here. Of one that is not to serve, only what Envoy was
    told is of interest.
    """

    def __init__(self, directory, manifest, *options, extra=(), elsewhere=None, serves=True, env=None):
        self.directory = directory
        self.serves = serves
        code = ("--wasm-url", f"file://{tools.WASM}")
        documents, values = render(directory, manifest, *options, code=code)
        text = json.dumps(documents)
        for there, here in (elsewhere or {}).items():
            assert there in text, there
            text = text.replace(there, here)
        documents = self.documents = json.loads(text)
        self.port, self.admin_port = free_port(), free_port()
        for gateway in of_kind(documents, "Gateway"):
            for server in gateway["spec"]["servers"]:
                server["bind"] = "127.0.0.1"
                server["port"]["number"] = self.port
        self.processes = []
        self.api = Api([*documents, *extra])
        try:
            self.start_envoy(self.start_istiod(), {**environment(values, manifest), **(env or {})})
        except BaseException:
            self.close()
            raise
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=30)

    openai = gateways.Gateway.openai
    anthropic = gateways.Gateway.anthropic
    chat = gateways.Gateway.chat

    def start_istiod(self):
        (self.directory / "kubeconfig").write_text(yaml.safe_dump(self.api.kubeconfig()))
        # There is no agent that could give Envoy a certificate for mutual TLS.
        (self.directory / "mesh").write_text(yaml.safe_dump({"enableAutoMtls": False}))
        port = free_port()
        addresses = {"grpcAddr": port, "httpAddr": free_port(), "monitoringAddr": free_port()}
        process = Process(
            [
                *(istiod(), "discovery", "--kubeconfig", self.directory / "kubeconfig", "--ctrlz_port", "0"),
                *("--secureGRPCAddr", "", "--httpsAddr", "", "--meshConfig", self.directory / "mesh", "--networksConfig", "none"),
                *(word for name, port in addresses.items() for word in (f"--{name}", f"127.0.0.1:{port}")),
            ],
            env={
                **WITHOUT,
                "POD_NAMESPACE": "istio-system",
                "POD_NAME": "istiod",
                "CLUSTER_ID": "Kubernetes",
                "ENABLE_CA_SERVER": "false",
                "PILOT_CERT_PROVIDER": "none",
                "HOME": str(self.directory),
            },
            cwd=self.directory,
        )
        self.istiod = process
        self.processes.append(process)
        process.wait_line("starting gRPC discovery service")
        return port

    def start_envoy(self, istiod_port, env):
        bootstrap = self.directory / "envoy.json"
        bootstrap.write_text(json.dumps(envoy(istiod_port, self.admin_port)))
        command = [tools.envoy(), "-c", bootstrap, "--concurrency", "2", "--log-level", "warning", "--use-dynamic-base-id"]
        self.envoy = Process(command, env=env, cwd=self.directory)
        self.processes.append(self.envoy)

        def serves():
            assert self.envoy.popen.poll() is None, self.envoy.output
            refused = [line for line in self.istiod.lines if "ACK ERROR" in line]
            assert not refused, refused
            try:
                if not self.serves:
                    return str(self.port) in httpx.get(f"http://127.0.0.1:{self.admin_port}/listeners").text
                return httpx.get(f"http://127.0.0.1:{self.port}/v1/models").status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_for(serves, 60, what="the listener")
        except Failed as failed:
            raise Failed(f"{failed}\n{self.envoy.output[-4000:]}\n{self.istiod.output[-4000:]}") from failed

    def config_dump(self):
        return httpx.get(f"http://127.0.0.1:{self.admin_port}/config_dump").json()

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        self.api.close()


def config_map(documents, name):
    return next(each for each in of_kind(documents, "ConfigMap") if each["metadata"]["name"] == name)["data"]


class RateLimit:
    """Redis, and the ratelimit service on its port with the configuration of a ConfigMap that comes later."""

    def __init__(self, directory):
        self.directory = directory
        self.port, redis = free_port(), free_port()
        self.processes = [
            Process(["redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", ""], cwd=directory),
        ]
        self.environment = {
            **{name: "127.0.0.1" for name in ("HOST", "GRPC_HOST", "DEBUG_HOST")},
            **{name: str(free_port()) for name in ("PORT", "DEBUG_PORT")},
            "GRPC_PORT": str(self.port),
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": f"127.0.0.1:{redis}",
            "RUNTIME_ROOT": str(directory),
            "RUNTIME_SUBDIRECTORY": "config",
            "RUNTIME_WATCH_ROOT": "false",
            "USE_STATSD": "false",
            "LOG_LEVEL": "warn",
        }

    def start(self, files):
        folder = self.directory / "config" / "config"
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        self.processes.append(Process([tools.ratelimit()], env=self.environment, cwd=self.directory))
        wait_for(self.listens, 20, what="the ratelimit service")

    def listens(self):
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        for process in reversed(self.processes):
            process.stop()


def environment(values, manifest):
    """What the kubelet makes of the variables in the values: it reads Secrets."""
    secrets = {each["metadata"]["name"]: each for each in manifest if each["kind"] == "Secret"}

    def value(reference):
        secret, key = secrets[reference["name"]], reference["key"]
        if key in secret.get("stringData", {}):
            return secret["stringData"][key]
        return base64.b64decode(secret["data"][key]).decode()

    return {each["name"]: value(each["valueFrom"]["secretKeyRef"]) for each in values.get("envVarFrom", [])}


def envoy(istiod_port, admin_port):
    """The bootstrap of a gateway's pod, as far as it matters here."""
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    return {
        "node": {
            "id": f"router~{POD_IP}~gateway.istio-system~istio-system.svc.cluster.local",
            "cluster": "istio-ingressgateway.istio-system",
            "metadata": {
                "NAMESPACE": "istio-system",
                "LABELS": {"istio": "ingressgateway"},
                "CLUSTER_ID": "Kubernetes",
                "INSTANCE_IPS": POD_IP,
                "ISTIO_VERSION": "1.31.0",
            },
        },
        "admin": {"address": address(admin_port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds-grpc",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        http2: {
                            "@type": f"type.googleapis.com/{http2}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds-grpc",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(istiod_port)}}]}],
                    },
                }
            ]
        },
    }
