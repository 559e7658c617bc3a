"""Envoy Gateway's server on this machine, without Kubernetes.

It takes resources from a folder and starts Envoy as a process. Some things are different from a cluster, and those are changed
here, in the rendered resources, and nowhere else:

* there is no pod: the module and the secrets lie in other folders;
* the services that come with Envoy Gateway have certificates of a cluster, so Envoy is told where they are on this machine;
* the server crashes over unsigned numbers (`cost.request.number`), so a patch says them.
"""

import base64
import json
import pathlib

import httpx

from harness import resources
from harness.gateway import Gateway
from harness.process import PATIENCE, Process, wait_for

from . import tools
from .rendered import of_kind

#: Of the services on this machine: fixed by Envoy Gateway, or ours.
RATE_LIMIT, RATE_LIMIT_HTTP, RATE_LIMIT_DEBUG, ADMIN, REDIS = 18081, 18080, 16070, 19902, 6379

SERVER = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: [RESOURCES]}}
    infrastructure:
      type: Host
      host: {configHome: HOME/config, dataHome: HOME/data, stateHome: HOME/state, runtimeDir: HOME/runtime}
logging: {level: {default: info}}
extensionApis: {enableBackend: true, enableEnvoyPatchPolicy: true}
"""
LIMITS = """
rateLimit:
  backend: {type: Redis, redis: {url: "redis://127.0.0.1:6379"}}
  timeout: 500ms
"""


class EnvoyGateway(Gateway):
    """A running server with its Envoy, for the clients of the end-to-end tests."""

    def __init__(self, directory, documents, secrets=(), limits=False, patches=True, identity=None, port=8080, server=None):
        self.directory = pathlib.Path(directory)
        self.home = self.directory / "home"
        self.resources = self.directory / "resources"
        self.resources.mkdir(parents=True, exist_ok=True)
        self.limits = None
        server = server or tools.server()
        settings = (SERVER + (LIMITS if limits else "")).replace("RESOURCES", str(self.resources))
        if not patches:
            settings = settings.replace("enableEnvoyPatchPolicy: true", "enableEnvoyPatchPolicy: false")
        config = self.directory / "envoy-gateway.yaml"
        config.write_text(settings.replace("HOME", str(self.home)))
        tools.run(server, "certgen", "--local", "--config-home", self.home / "config")
        version = tools.envoy_version()
        place = self.home / "data" / "envoy-versions" / version / "bin" / "envoy"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(tools.envoy())
        self.put_secrets(secrets)
        self.documents = [*self.for_this_machine(documents, version, limits), self.own_certificate()]
        self.write(self.documents)
        self.url = f"http://127.0.0.1:{port}"
        self.admin = f"http://127.0.0.1:{ADMIN}"
        environment = {"HOME": str(self.home), **self.variables(documents, secrets)}
        if identity:
            # As EKS sets it for the pods of a service account with an identity.
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v1/credentials"
            environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(identity["token"])
            for backend in of_kind(self.documents, "Backend"):
                if backend["metadata"]["name"] == "weir-aws-credentials":
                    backend["spec"]["endpoints"] = [resources.endpoint(identity["url"])]
            self.write(self.documents)
        self.process = Process([server, "server", "--config-path", config], env=environment)
        if limits:
            self.limits = self.start_limits()
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def write(self, documents):
        """Replaces the resources."""
        new = self.directory / "resources.new"
        new.write_text(resources.dump(documents))
        new.replace(self.resources / "all.yaml")

    def put_secrets(self, secrets):
        """As Kubernetes would mount them."""
        for secret in secrets:
            folder = self.directory / "secrets" / secret["metadata"]["name"]
            folder.mkdir(parents=True, exist_ok=True)
            for key, value in secret["stringData"].items():
                new = folder / f".{key}"
                new.write_text(value)
                new.replace(folder / key)

    def variables(self, documents, secrets):
        """The variables of the proxy's container, which inherits them here."""
        values = {secret["metadata"]["name"]: secret["stringData"] for secret in secrets}
        found = {}
        for proxy in of_kind(documents, "EnvoyProxy"):
            kubernetes = proxy["spec"].get("provider", {}).get("kubernetes", {})
            for variable in kubernetes.get("envoyDeployment", {}).get("container", {}).get("env", []):
                reference = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = values[reference["name"]][reference["key"]]
        return found

    def for_this_machine(self, documents, version, limits):
        text = tools.on_this_machine(json.dumps(documents))
        text = text.replace("/var/run/weir/secrets", str(self.directory / "secrets"))
        documents = json.loads(text)
        for proxy in of_kind(documents, "EnvoyProxy"):
            proxy["spec"]["provider"] = {"type": "Host", "host": {"envoyVersion": version}}
            admin = {"op": "replace", "path": "/admin/address/socket_address/port_value", "value": ADMIN}
            proxy["spec"]["bootstrap"] = {"type": "JSONPatch", "jsonPatches": [admin]}
            proxy["spec"]["logging"] = {"level": {"default": "info"}}
            proxy["spec"]["concurrency"] = 1
        patches = []
        for policy in of_kind(documents, "BackendTrafficPolicy"):
            rules = policy["spec"].get("rateLimit", {}).get("global", {}).get("rules", [])
            for cost in (rule.get("cost", {}).get("request", {}) for rule in rules):
                assert cost.pop("number", 0) == 0, "the patch below says 0"
        if limits:
            patches += self.limit_patches(documents)
        patches += self.wasm_patches(documents)
        for gateway in of_kind(documents, "Gateway") if patches else []:
            name = gateway["metadata"]["name"]
            target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}
            spec = {"targetRef": target, "type": "JSONPatch", "jsonPatches": patches}
            documents.append(resources.resource(resources.ENVOY, "EnvoyPatchPolicy", "standalone", spec))
        return documents

    def own_certificate(self):
        """What Envoy shows to the services: Envoy Gateway 1.6 looks for it among the resources."""
        folder = self.home / "config" / "certs" / "envoy"
        data = {name: base64.b64encode((folder / name).read_bytes()).decode() for name in ("tls.crt", "tls.key")}
        metadata = {"name": "envoy", "namespace": "envoy-gateway-system"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}

    def limit_patches(self, documents):
        socket = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address"
        address = {"address": "127.0.0.1", "port_value": RATE_LIMIT}
        look = {
            "op": "add",
            "jsonPath": "$..rate_limits[?(@.apply_on_stream_done != true)]",
            "path": "hits_addend",
            "value": {"number": 0},
        }
        return [
            patch("cluster.v3.Cluster", "ratelimit_cluster", {"op": "remove", "path": "/transport_socket"}),
            patch("cluster.v3.Cluster", "ratelimit_cluster", {"op": "replace", "path": socket, "value": address}),
            *(patch("route.v3.RouteConfiguration", name, look) for name in listener_names(documents)),
        ]

    def wasm_patches(self, documents):
        if not any("wasm" in policy["spec"] for policy in of_kind(documents, "EnvoyExtensionPolicy")):
            return []
        certificates = self.home / "config" / "certs" / "envoy"
        file = lambda name: {"filename": str(certificates / name)}  # noqa: E731
        context = {
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {"trusted_ca": file("ca.crt")},
            "tls_certificates": [{"certificate_chain": file("tls.crt"), "private_key": file("tls.key")}],
        }
        address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address"
        tls = "/transport_socket/typed_config/common_tls_context"
        return [
            patch("cluster.v3.Cluster", "wasm_cluster", {"op": "replace", "path": address, "value": "127.0.0.1"}),
            patch("cluster.v3.Cluster", "wasm_cluster", {"op": "replace", "path": tls, "value": context}),
        ]

    def start_limits(self):
        certificates = self.home / "config" / "certs" / "envoy-rate-limit"
        environment = {
            "CONFIG_TYPE": "GRPC_XDS_SOTW",
            "CONFIG_GRPC_XDS_NODE_ID": "envoy-ratelimit",
            "CONFIG_GRPC_XDS_SERVER_URL": "127.0.0.1:18001",
            "CONFIG_GRPC_XDS_SERVER_USE_TLS": "true",
            "CONFIG_GRPC_XDS_CLIENT_TLS_CERT": str(certificates / "tls.crt"),
            "CONFIG_GRPC_XDS_CLIENT_TLS_KEY": str(certificates / "tls.key"),
            "CONFIG_GRPC_XDS_SERVER_TLS_CACERT": str(certificates / "ca.crt"),
            "CONFIG_GRPC_XDS_SERVER_TLS_SAN": "envoy-gateway",
            "FORCE_START_WITHOUT_INITIAL_CONFIG": "true",
            "GRPC_HOST": "127.0.0.1",
            "GRPC_PORT": str(RATE_LIMIT),
            "HOST": "127.0.0.1",
            "PORT": str(RATE_LIMIT_HTTP),
            "DEBUG_HOST": "127.0.0.1",
            "DEBUG_PORT": str(RATE_LIMIT_DEBUG),
            "LOG_LEVEL": "info",
            "USE_STATSD": "false",
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": f"127.0.0.1:{REDIS}",
            "RUNTIME_ROOT": str(self.directory),
            "RUNTIME_SUBDIRECTORY": "none",
            "RUNTIME_WATCH_ROOT": "false",
        }
        return Process([tools.ratelimit()], env=environment)

    def wait(self, timeout=PATIENCE):
        """Until it serves, and its limits are known to the service."""
        wait_for(self.serves, timeout, 0.2, what="an answer of the gateway")
        if self.limits:
            wait_for(self.knows_limits, timeout, 0.2, what="the limits in the service")
        return self

    def serves(self):
        try:
            return "data" in httpx.get(f"{self.url}/v1/models", timeout=2).json()
        except (httpx.HTTPError, ValueError):
            return False

    def knows_limits(self):
        try:
            return "rule" in httpx.get(f"http://127.0.0.1:{RATE_LIMIT_DEBUG}/rlconfig", timeout=2).text
        except httpx.HTTPError:
            return False

    def dump(self):
        """What Envoy says it was told."""
        return httpx.get(f"{self.admin}/config_dump?include_eds", timeout=10).text

    def stop(self):
        if self.limits:
            self.limits.stop()
        return self.process.stop(30)


def patch(kind, name, operation):
    return {"type": f"type.googleapis.com/envoy.config.{kind}", "name": name, "operation": operation}


def listener_names(documents):
    for gateway in of_kind(documents, "Gateway"):
        for listener in gateway["spec"]["listeners"]:
            yield f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}/{listener['name']}"
