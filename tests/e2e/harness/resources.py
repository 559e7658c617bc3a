"""The resources an operator writes, as Python values."""

import ipaddress
import urllib.parse

import yaml

from . import providers

AI = "aigateway.envoyproxy.io/v1alpha1"
ENVOY = "gateway.envoyproxy.io/v1alpha1"
GATEWAY = "gateway.networking.k8s.io/v1"

COSTS = {
    "llm_input_token": "InputToken",
    "llm_output_token": "OutputToken",
    "llm_total_token": "TotalToken",
    "llm_cached_input_token": "CachedInputToken",
    "llm_cache_creation_input_token": "CacheCreationInputToken",
    "llm_reasoning_token": "ReasoningToken",
}


def resource(api, kind, name, spec):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def gateway():
    """The class and a gateway with one listener."""
    return [
        {
            "apiVersion": GATEWAY,
            "kind": "GatewayClass",
            "metadata": {"name": "weir"},
            "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        },
        resource(
            GATEWAY,
            "Gateway",
            "weir",
            {"gatewayClassName": "weir", "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}]},
        ),
    ]


def of_gateway():
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "weir"}


def endpoint(url):
    """A Backend's endpoint for `http://HOST:PORT`."""
    place = urllib.parse.urlsplit(url)
    try:
        ipaddress.ip_address(place.hostname)
        return {"ip": {"address": place.hostname, "port": place.port}}
    except ValueError:
        return {"fqdn": {"hostname": place.hostname, "port": place.port}}


def backend(name, url, schema="OpenAI", version=None, **spec):
    """A Backend and the AIServiceBackend that speaks `schema` with it."""
    schema = {"name": schema, **({"version": version} if version else {})}
    reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": f"{name}-endpoint"}
    return [
        resource(ENVOY, "Backend", f"{name}-endpoint", {"endpoints": [endpoint(url)]}),
        resource(AI, "AIServiceBackend", name, {"schema": schema, "backendRef": reference, **spec}),
    ]


def secret(name, **values):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "Opaque",
        "stringData": values,
    }


def certificate(name, pair):
    """A Secret with a certificate and its key."""
    chain, key = pair
    made = secret(name, **{"tls.crt": chain, "tls.key": key})
    return {**made, "type": "kubernetes.io/tls"}


def config_map(name, **values):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": values,
    }


def security(name, *backends, **spec):
    targets = [{"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": each} for each in backends]
    return resource(AI, "BackendSecurityPolicy", name, {"targetRefs": targets, **spec})


def api_key(backend, key):
    """An OpenAI key for a backend, from a Secret."""
    name = f"{backend}-key"
    reference = {"secretRef": {"name": name, "namespace": "default"}}
    return [secret(name, apiKey=key), security(f"{backend}-auth", backend, type="APIKey", apiKey=reference)]


def anthropic_key(backend, key):
    name = f"{backend}-key"
    reference = {"secretRef": {"name": name, "namespace": "default"}}
    policy = security(f"{backend}-auth", backend, type="AnthropicAPIKey", anthropicAPIKey=reference)
    return [secret(name, apiKey=key), policy]


def azure_key(backend, key):
    name = f"{backend}-key"
    reference = {"secretRef": {"name": name, "namespace": "default"}}
    return [secret(name, apiKey=key), security(f"{backend}-auth", backend, type="AzureAPIKey", azureAPIKey=reference)]


def azure_token(backend, token):
    """A token of Entra ID, where Envoy AI Gateway's controller puts it."""
    client = {"clientID": "client", "tenantID": "tenant", "clientSecretRef": {"name": "client"}}
    policy = security(f"{backend}-auth", backend, type="AzureCredentials", azureCredentials=client)
    return [secret(f"ai-eg-bsp-{backend}-auth", azureAccessToken=token), policy]


def google_token(backend, token, project=providers.GOOGLE_PROJECT, region=providers.GOOGLE_REGION):
    """An access token of Google Cloud, from a Secret."""
    name = f"{backend}-token"
    google = {"projectName": project, "region": region, "credentialsFile": {"secretRef": {"name": name}}}
    policy = security(f"{backend}-auth", backend, type="GCPCredentials", gcpCredentials=google)
    return [secret(name, gcpAccessToken=token), policy]


def credentials_file(key, profile="default"):
    lines = [f"[{profile}]"]
    lines += [f"aws_{name} = {value}" for name, value in key.items() if value]
    return "\n".join(lines) + "\n"


def aws_file(backend, key, region=providers.REGION):
    """AWS credentials for a backend, from a Secret with a credentials file."""
    name = f"{backend}-aws"
    file = {"secretRef": {"name": name, "namespace": "default"}, "profile": "default"}
    policy = security(
        f"{backend}-auth",
        backend,
        type="AWSCredentials",
        awsCredentials={"region": region, "credentialsFile": file},
    )
    return [secret(name, credentials=credentials_file(key)), policy]


def aws_default(backend, region=providers.REGION):
    """AWS credentials from the environment or the pod's identity."""
    return [security(f"{backend}-auth", backend, type="AWSCredentials", awsCredentials={"region": region})]


def rule(model, *backends, **more):
    """A rule for one model. A backend is a name, or a backendRef."""
    references = [{"name": each} if isinstance(each, str) else each for each in backends]
    match = {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": model}]}
    return {"matches": [match], "backendRefs": references, **more}


def cost(key, kind):
    """A cost of a kind, or of an expression."""
    return {"metadataKey": key, **({"type": kind} if kind.isalpha() else {"type": "CEL", "cel": kind})}


def route(*rules, name="models", costs=COSTS):
    costs = [cost(key, kind) for key, kind in costs.items()]
    return resource(
        AI,
        "AIGatewayRoute",
        name,
        {"parentRefs": [of_gateway()], "rules": list(rules), "llmRequestCosts": costs},
    )


def budget(key, tokens, unit="Hour", header="x-user-id"):
    """A rule that lets each user have so many tokens."""
    return {
        "clientSelectors": [{"headers": [{"name": header, "type": "Distinct"}]}],
        "limit": {"requests": tokens, "unit": unit},
        "cost": {
            "request": {"from": "Number", "number": 0},
            "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": key}},
        },
    }


def traffic(*rules, **spec):
    """A BackendTrafficPolicy on the gateway."""
    if rules:
        spec["rateLimit"] = {"type": "Global", "global": {"rules": list(rules)}}
    return resource(ENVOY, "BackendTrafficPolicy", "traffic", {"targetRefs": [of_gateway()], **spec})


def client_traffic(name="clients", listener=None, **spec):
    """A ClientTrafficPolicy on the gateway, or on one of its listeners."""
    target = {**of_gateway(), **({"sectionName": listener} if listener else {})}
    return resource(ENVOY, "ClientTrafficPolicy", name, {"targetRefs": [target], **spec})


def of_route(name, kind="HTTPRoute"):
    group = "aigateway.envoyproxy.io" if kind == "AIGatewayRoute" else "gateway.networking.k8s.io"
    return {"group": group, "kind": kind, "name": name}


def security_policy(name, *targets, **spec):
    return resource(ENVOY, "SecurityPolicy", name, {"targetRefs": list(targets or [of_gateway()]), **spec})


def key_of(client, *headers, **more):
    """`apiKeyAuth` with the keys of the Secret `client`."""
    places = [{"headers": list(headers or ["authorization"])}]
    return {"credentialRefs": [{"name": client}], "extractFrom": places, **more}


def plain_route(name, path, backend):
    """An HTTPRoute for what is below a path."""
    reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": f"{backend}-endpoint"}
    matches = [{"path": {"type": "PathPrefix", "value": path}}]
    rules = [{"matches": matches, "backendRefs": [reference]}]
    return resource(GATEWAY, "HTTPRoute", name, {"parentRefs": [of_gateway()], "rules": rules})


CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"


def standard(running):
    """What most modules run: two model servers, one that wants a key, Claude on Bedrock and at Anthropic."""
    return [
        *gateway(),
        *backend("qwen3", running["qwen3"].url),
        *backend("gpt-oss", running["gpt-oss"].url),
        *backend("main", running["main"].url),
        *api_key("main", providers.OPENAI_KEY),
        *backend("bedrock", running["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
        *aws_file("bedrock", providers.AWS_KEY),
        *backend("claude", running["claude"].url, "Anthropic"),
        *anthropic_key("claude", providers.ANTHROPIC_KEY),
        route(
            rule("Qwen/Qwen3-1.7B", "qwen3"),
            rule("openai/gpt-oss-20b", "gpt-oss"),
            rule("keyed", "main"),
            rule("fast", {"name": "qwen3", "modelNameOverride": "Qwen/Qwen3-1.7B"}),
            rule(CLAUDE, "bedrock"),
            rule("claude-native", "claude"),
        ),
    ]


def dump(resources):
    return yaml.safe_dump_all(resources, sort_keys=False)
