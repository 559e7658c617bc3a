"""SecurityPolicies under `weir run` and under Envoy Gateway, the oracle: the same filters of Envoy, in the same order, told the same.

What differs, and why:
* Weir's filters come by ECDS, each within a matcher that says whether it runs: a policy may come or change while streams run. Here
  what it runs is compared.
* Envoy Gateway has a filter for each policy of `basicAuth` and `extAuth`; Weir has one place for all of them.
* Tokens and keys go no further than the gateway where models are behind a policy (`forward`, `hideCredentials`).
* Names that nothing but the configuration itself refers to.
* Paths of rules are compared without their query for patterns, too.
"""

import base64
import json

import pytest

from envoy_gateway.translate import Translation
from harness import resources
from harness.callers import Issuer, htpasswd
from harness.gateway import weir

ADDRESS = "http://10.99.0.{}:9001".format
#: Of the places in Weir's chain, those in front of the edge.
PLACES = {"ext-auth": "ext_authz", "api-key": "api_key_auth", "basic": "basic_auth", "jwt": "jwt_authn"}
#: What Envoy takes for unsaid.
UNSAID = ("", False, [], {}, None)


def service():
    return {"backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "judge-endpoint"}]}


def kinds():
    jwks = Issuer("https://issuer.test").jwks
    local = {
        "name": "here",
        "issuer": "https://issuer.test",
        "audiences": ["weir"],
        "localJWKS": {"type": "Inline", "inline": jwks},
        "claimToHeaders": [{"claim": "sub", "header": "x-sub"}],
        "recomputeRoute": True,
        "extractFrom": {"headers": [{"name": "x-jwt", "valuePrefix": "Token "}], "cookies": ["jwt"], "params": ["jwt"]},
    }
    remote = {"name": "there", "remoteJWKS": {"uri": "https://issuer.test/keys", "cacheDuration": "1h"}}
    places = [{"headers": ["authorization"]}, {"params": ["key"]}, {"cookies": ["key"]}]
    claims = [{"name": "org.team", "values": ["red", "blue"]}, {"name": "roles", "valueType": "StringArray", "values": ["user"]}]
    rules = [
        {"name": "office", "action": "Allow", "principal": {"clientCIDRs": ["10.0.0.0/8", "fd00::/8"]}},
        {"action": "Deny", "operation": {"methods": ["DELETE", "PUT"]}, "principal": {"headers": [{"name": "x-org", "values": ["a", "b"]}]}},
        {"action": "Allow", "principal": {"jwt": {"provider": "here", "scopes": ["chat", "list"], "claims": claims}}},
    ]
    cors = {
        "allowOrigins": ["https://*.example.com", "http://localhost:3000"],
        "allowMethods": ["GET", "*"],
        "allowHeaders": ["x-a", "x-b"],
        "exposeHeaders": ["x-c"],
        "maxAge": "10m",
        "allowCredentials": True,
    }
    more = {"headersToExtAuth": ["x-word"], "failOpen": True, "timeout": "2s", "statusOnError": 503, "recomputeRoute": True, "bodyToExtAuth": {"maxRequestBytes": 1024}}
    return {
        "everything": {
            "cors": cors,
            "extAuth": {"http": {**service(), "path": "/judge", "headersToBackend": ["x-who"]}, **more},
            "apiKeyAuth": {
                "credentialRefs": [{"name": "clients"}],
                "extractFrom": places,
                "forwardClientIDHeader": "x-client-id",
                "sanitize": True,
            },
            "basicAuth": {"users": {"name": "users"}, "forwardUsernameHeader": "x-user"},
            "jwt": {"providers": [local]},
            "authorization": {"rules": rules},
        },
        "by default": {
            "extAuth": {"grpc": service()},
            "jwt": {"providers": [local, remote], "optional": True},
            "authorization": {"defaultAction": "Allow"},
        },
        "one": {"jwt": {"providers": [remote], "failOpen": True}},
    }


KINDS = kinds()


def manifest(**spec):
    """A plain route, which both have, under a policy of the Gateway."""
    return [
        *resources.gateway(),
        *(each for each in resources.backend("plain", ADDRESS(1)) if each["kind"] == "Backend"),
        *(each for each in resources.backend("judge", ADDRESS(2)) if each["kind"] == "Backend"),
        resources.plain_route("docs", "/docs", "plain"),
        encoded(resources.secret("clients", ann="sk-ann", bob="sk-bob")),
        encoded(resources.secret("users", **{".htpasswd": htpasswd(ann="secret")})),
        resources.security_policy("who", **spec),
    ]


def encoded(secret):
    """Envoy Gateway's tool reads `data` alone."""
    values = secret.pop("stringData")
    return {**secret, "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}}


def camel(value):
    """A message with the names that JSON has of its fields."""
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name if name.startswith("@") else to_camel(name): camel(each) for name, each in value.items()}


def to_camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def said(value):
    """A message without what is unsaid."""
    if isinstance(value, list):
        return [said(each) for each in value]
    if not isinstance(value, dict):
        return value
    below = {name: said(each) for name, each in value.items()}
    return {name: each for name, each in below.items() if each not in UNSAID or name.startswith("allowMissing")}


def ran(matcher):
    """What a matcher of Weir's runs in front of the edge."""
    policies = matcher["matcher_tree"]["exact_match_map"]["map"]
    (front,) = [told for name, told in policies.items() if name.startswith("-") and name != "-"]
    found = []

    def look(value):
        if isinstance(value, dict):
            if str(value.get("@type", "")).endswith("ExecuteFilterAction"):
                found.append(value["typed_config"]["typed_config"])
                return
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(front)
    return found


class Weirs:
    """Filters in front of the router, in their order, and what they are told."""

    def __init__(self, directory, documents):
        file = directory / "manifest.yaml"
        file.write_text(resources.dump(documents))
        made = directory / "made"
        process = weir("render", "-f", file, "--to", "envoy", "--filter", "module", "-o", made)
        assert process.wait() == 0, process.output
        bootstrap = json.loads((made / "envoy.json").read_text())
        listener = next(each for each in bootstrap["static_resources"]["listeners"] if each["name"] == "default/weir/http")
        chain = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        (routes,) = json.loads((made / "xds/rds-default_weir_http.json").read_text())["resources"]
        route = next(each for each in routes["virtual_hosts"][0]["routes"] if each["name"] == "default/docs/rule/0")
        self.route = {**routes["virtual_hosts"][0].get("typed_per_filter_config", {}), **route.get("typed_per_filter_config", {})}
        self.filters = {}
        edge = [each["name"] for each in chain].index("weir.edge")
        for number, each in enumerate(chain):
            place = each["name"].rsplit(".", 1)[-1]
            if place in PLACES and number < edge:
                (found,) = json.loads((made / f"xds/ecds-security-default_weir_http-{place}.json").read_text())["resources"]
                for filter in ran(found["typed_config"]["xds_matcher"]):
                    self.filters[PLACES[place]] = camel(filter)
            elif each["name"] == "envoy.filters.http.cors" and self.route.get(each["name"]):
                self.filters["cors"] = camel(self.route[each["name"]])
            elif each["name"] == "envoy.filters.http.rbac" and self.route.get(each["name"]):
                self.filters["rbac"] = camel(self.route[each["name"]])


class EnvoyGateways:
    """The same of Envoy Gateway."""

    def __init__(self, directory, documents):
        translation = Translation(directory, documents)
        assert translation.unmet() == []
        listener = next(each for each in translation.listeners() if each["name"] == "default/weir/http")
        chain = listener.get("defaultFilterChain") or listener["filterChains"][0]
        route = next(each for name, each in translation.routes().items() if "/docs/" in name)
        told = route.get("typedPerFilterConfig", {})
        self.filters = {}
        for each in chain["filters"][0]["typedConfig"]["httpFilters"]:
            kind = each["name"].removeprefix("envoy.filters.http.").split("/")[0]
            if each["name"] in told:
                # That of a route says only a part of some.
                whole = kind in ("cors", "rbac")
                self.filters[kind] = told[each["name"]] if whole else each["typedConfig"]


def text_of(value):
    """Names of a message, of inputs and of actions that nothing refers to are left out."""
    return json.dumps(value, sort_keys=True)


def without_names(value):
    if isinstance(value, list):
        return [without_names(each) for each in value]
    if not isinstance(value, dict):
        return value
    is_extension = "typedConfig" in value
    return {name: without_names(each) for name, each in value.items() if not (is_extension and name == "name")}


def comparable(kind, told):
    """What of a filter's configuration must be the same."""
    told = said(without_names(told))
    if kind == "rbac":
        # Envoy Gateway names no action ALLOW, which is Envoy's default.
        text = text_of(told).replace('"action": "ALLOW", ', "").replace('"statPrefix": "client_ip"', '"statPrefix": ""')
        return json.loads(text)
    if kind == "basic_auth":
        users = told.pop("users")
        told["users"] = users.get("inlineString") or base64.b64decode(users["inlineBytes"]).decode()
    if kind == "ext_authz":
        if told.get("statusOnError") == {"code": 503}:
            told["statusOnError"] = {"code": "ServiceUnavailable"}
        for service in (told.get("httpService", {}).get("serverUri", {}), told.get("grpcService", {}).get("envoyGrpc", {})):
            for name in ("cluster", "clusterName", "authority", "uri"):
                service.pop(name, None)
    if kind == "jwt_authn":
        providers = {name.rsplit("_", 1)[0]: dict(each) for name, each in told["providers"].items()}
        for provider in providers.values():
            remote = provider.get("remoteJwks", {})
            remote.get("httpUri", {}).pop("cluster", None)
            remote.pop("asyncFetch", None)
        required = told.get("rules", [{}])[0].get("requires") or next(iter(told["requirementMap"].values()))
        return {"providers": providers, "requires": json.loads(renamed(required, told["providers"]))}
    return told


def renamed(required, providers):
    text = text_of(required)
    for name in providers:
        text = text.replace(name, name.rsplit("_", 1)[0])
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_filters_in_the_same_order_are_told_the_same(kind, tmp_path):
    documents = manifest(**KINDS[kind])
    ours, theirs = Weirs(tmp_path, documents).filters, EnvoyGateways(tmp_path, documents).filters
    assert list(ours) == list(theirs)
    for filter in theirs:
        assert comparable(filter, ours[filter]) == comparable(filter, theirs[filter]), filter
