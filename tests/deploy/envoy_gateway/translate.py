"""`egctl x translate`: what Envoy Gateway makes of resources, without a cluster."""

import json
import os
import re

from harness import resources

from . import tools

#: Kinds that the translation has no use for.
FOREIGN = ("ServiceAccount", "Deployment")


class Translation:
    """The resources with their status, and what Envoy is to be told."""

    def __init__(self, directory, documents, egctl=None):
        egctl = egctl or tools.egctl()
        self.directory = directory
        self.validation = self.check(directory, documents, egctl)
        file = directory / "all.yaml"
        done = tools.run(
            egctl,
            *("x", "translate", "-f", file, "--to", "gateway-api,xds", "-t", "all", "-o", "json"),
            env=environment(directory),
        )
        self.all = json.loads(done.stdout)
        (self.xds,) = self.all["xds"].values()

    @staticmethod
    def check(directory, documents, egctl):
        """What the validation by schemas says: OK."""
        file = directory / "all.yaml"
        file.write_text(resources.dump([each for each in documents if each["kind"] not in FOREIGN]))
        # Its exit code is 0 either way.
        checked = tools.run(egctl, "x", "validate", "-f", file, env=environment(directory))
        return plain(checked.stdout + checked.stderr).strip()

    def is_valid(self):
        return self.validation == "OK"

    def unmet(self):
        """Conditions that are False, with the resource."""
        found = []

        def look(value, path):
            if isinstance(value, dict):
                if value.get("status") == "False":
                    found.append((path, value.get("type"), value.get("message")))
                for key, below in value.items():
                    look(below, f"{path}/{key}")
            elif isinstance(value, list):
                for index, below in enumerate(value):
                    look(below, f"{path}/{index}")

        look({key: value for key, value in self.all.items() if key != "xds"}, "")
        return found

    def part(self, kind):
        """A part of the config dump by the end of its type."""
        return next((part for part in self.xds["configs"] if part["@type"].endswith(kind)), {})

    def clusters(self):
        dumped = self.part("ClustersConfigDump").get("dynamicActiveClusters", [])
        return {each["cluster"]["name"]: each["cluster"] for each in dumped}

    def endpoints(self):
        dumped = self.part("EndpointsConfigDump").get("dynamicEndpointConfigs", [])
        return {each["endpointConfig"]["clusterName"]: each["endpointConfig"] for each in dumped}

    def route_configurations(self):
        dumped = self.part("RoutesConfigDump").get("dynamicRouteConfigs", [])
        return {each["routeConfig"]["name"]: each["routeConfig"] for each in dumped}

    def routes(self):
        """All routes by name."""
        hosts = [host for config in self.route_configurations().values() for host in config["virtualHosts"]]
        return {route["name"]: route for host in hosts for route in host.get("routes", [])}

    def listeners(self):
        dumped = self.part("ListenersConfigDump").get("dynamicListeners", [])
        return [each["activeState"]["listener"] for each in dumped]

    def bootstrap(self):
        """One static configuration of it all, with the filter at its place on this machine."""
        everything = json.dumps(
            {
                "clusters": list(self.clusters().values()),
                "listeners": self.listeners(),
                "endpoints": self.endpoints(),
                "routes": self.route_configurations(),
            }
        )
        parts = json.loads(tools.on_this_machine(everything))
        for cluster in parts["clusters"]:
            if cluster.get("type") == "EDS":
                cluster["type"] = "STATIC"
                service = cluster.pop("edsClusterConfig")["serviceName"]
                cluster["loadAssignment"] = without_type(parts["endpoints"][service])
        inline(parts["clusters"], parts["routes"])
        inline(parts["listeners"], parts["routes"])
        if "ratelimit_cluster" in everything:
            parts["clusters"].append(ratelimit_cluster())
        ca = {"trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"}}
        # Releases have names of their own for the system's CAs.
        names = set(re.findall(r'"validationContextSdsSecretConfig": {"name": "([^"]+)"', everything))
        return {
            "static_resources": {
                "clusters": [without_type(each) for each in parts["clusters"]],
                "listeners": [without_type(each) for each in parts["listeners"]],
                "secrets": [{"name": name, "validation_context": ca} for name in sorted(names)],
            }
        }

    def accepted_by_envoy(self):
        """What Envoy says to it; nothing when it takes it."""
        file = self.directory / "envoy.json"
        file.write_text(json.dumps(self.bootstrap()))
        done = tools.run(tools.envoy(), "--mode", "validate", "-l", "warning", "-c", file, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr


def environment(directory):
    """egctl keeps files of its own at home."""
    return {**os.environ, "HOME": str(directory)}


def plain(text):
    """Without the colours."""
    return text.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "")


def without_type(message):
    return {key: value for key, value in message.items() if key != "@type"}


def inline(value, routes):
    """Puts in place what would come from the server."""
    if isinstance(value, dict):
        if "rds" in value:
            value["routeConfig"] = without_type(routes[value.pop("rds")["routeConfigName"]])
        if isinstance(value.get("sdsConfig"), dict) and "ads" in value["sdsConfig"]:
            del value["sdsConfig"]
        for below in value.values():
            inline(below, routes)
    elif isinstance(value, list):
        for below in value:
            inline(below, routes)


def ratelimit_cluster():
    """It never shows up in a translation."""
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicitHttpConfig": {"http2ProtocolOptions": {}},
    }
    return {
        "name": "ratelimit_cluster",
        "type": "STATIC",
        "typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "loadAssignment": {"clusterName": "ratelimit_cluster"},
    }
