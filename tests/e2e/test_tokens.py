"""Tokens of Google Cloud and Entra ID: each way to one, what is asked for on it beside what the providers' own libraries
ask for, renewal, and what happens when nobody answers. The stand-in is `harness.identity`."""

import concurrent.futures
import functools
import json
import re
import time

import azure.identity as azure_identity
import httpx
import pytest
import requests
from azure.core.pipeline.transport import RequestsTransport
from google.auth import identity_pool, impersonated_credentials
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request as GoogleRequest
from google.oauth2 import credentials as users
from google.oauth2 import service_account
from requests.adapters import HTTPAdapter

from harness import identity as identities
from harness import providers as stand_ins
from harness import resources
from harness.identity import CLIENT, CLIENT_SECRET, IDENTITY_HEADER, RESOURCE, TENANT
from harness.process import wait_for
from harness.tls import Relay

GEMINI = "gemini-3-flash-preview"

#: What a machine may have of its own. Tests must not find it.
NOTHING = {
    name: ""
    for name in [
        *("AZURE_AUTHORITY_HOST", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"),
        *("AZURE_POD_IDENTITY_AUTHORITY_HOST", "AZURE_TENANT_ID", "GCE_METADATA_HOST", "IDENTITY_ENDPOINT"),
        *("IDENTITY_HEADER", "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"),
    ]
} | {"GOOGLE_APPLICATION_CREDENTIALS": "", "CLOUDSDK_CONFIG": "/nonexistent"}


@pytest.fixture(scope="module")
def identity():
    with identities.Identity() as running:
        yield running


@pytest.fixture(scope="module")
def backends():
    """Of the module's own: they take any token."""
    project = ("--google-project", stand_ins.GOOGLE_PROJECT)
    own = stand_ins.Providers("--vertex", "vertex=0", *project, "--azure", "azure=0", names=["vertex", "azure"])
    yield own
    own.stop()


def google(backends, name, **fields):
    """A backend at Vertex AI whose policy has `fields`."""
    spec = {"projectName": stand_ins.GOOGLE_PROJECT, "region": stand_ins.GOOGLE_REGION, **fields}
    return [
        *resources.backend(name, backends["vertex"].url, "GCPVertexAI"),
        resources.security(f"{name}-auth", name, type="GCPCredentials", gcpCredentials=spec),
    ]


def google_file(backends, name, file):
    reference = {"secretRef": {"name": f"{name}-file"}}
    return [
        *google(backends, name, credentialsFile=reference),
        resources.secret(f"{name}-file", **{"service_account.json": json.dumps(file)}),
    ]


def azure(backends, name, **fields):
    return [
        *resources.backend(name, backends["azure"].url, "AzureOpenAI"),
        resources.security(f"{name}-auth", name, type="AzureCredentials", azureCredentials=fields),
    ]


APP = {"clientID": CLIENT, "tenantID": TENANT}


def oidc(identity, **provider):
    client = {"clientID": CLIENT, "clientSecret": {"name": "idp", "namespace": "default"}, "scopes": ["weir/.default"]}
    return {"oidc": {"provider": {"issuer": f"{identity.url}/idp", **provider}, **client}}


def federation(identity, **fields):
    names = {"projectID": "1234", "workloadIdentityPoolName": "pool", "workloadIdentityProviderName": "idp"}
    return {"workloadIdentityFederationConfig": {**names, "oidcExchangeToken": oidc(identity), **fields}}


def ways(identity, backends, token_file):
    """The resources of each way to a token that the policy alone says."""
    url_source = {"url": f"{identity.url}/subject", "headers": {"X-Workload": "hush-header"}}
    url_source["format"] = {"type": "json", "subject_token_field_name": "value"}
    account = {"serviceAccountImpersonation": {"serviceAccountName": "weir"}}
    return {
        "account": google_file(backends, "account", identity.service_account()),
        "user": google_file(backends, "user", identity.authorized_user()),
        "impersonated": google_file(backends, "impersonated", identity.impersonated()),
        "file": google_file(backends, "file", identity.external_account({"file": str(token_file)})),
        "url": google_file(backends, "url", identity.external_account(url_source, impersonates=True)),
        "federation": google(backends, "federation", **federation(identity)),
        "federation-as": google(backends, "federation-as", **federation(identity, **account)),
        "secret": azure(backends, "secret", **APP, clientSecretRef={"name": "azure"}),
        "exchange": azure(
            backends,
            "exchange",
            **APP,
            oidcExchangeToken=oidc(identity, tokenEndpoint=f"{identity.url}/idp/token"),
        ),
    }


#: The way, and who gives the token in the end.
GIVERS = {
    "account": "account",
    "user": "user",
    "impersonated": "impersonated",
    "file": "federated",
    "url": "impersonated",
    "federation": "federated",
    "federation-as": "impersonated",
    "secret": "secret",
    "exchange": "assertion",
    # By the surroundings.
    "default": "metadata",
    "workload": "assertion",
}


def manifest(parts):
    names = list(parts)
    is_azure = {"secret", "exchange", "workload", "machine"}
    rules = [
        resources.rule(name, {"name": name, "modelNameOverride": "our-gpt" if name in is_azure else GEMINI})
        for name in names
    ]
    secrets = [
        resources.secret("azure", **{"client-secret": CLIENT_SECRET + "\n"}),
        resources.secret("idp", **{"client-secret": CLIENT_SECRET}),
    ]
    backends = [each for part in parts.values() for each in part]
    return [*resources.gateway(), *secrets, *backends, resources.route(*rules)]


@pytest.fixture(scope="module")
def token_file(identity, tmp_path_factory):
    file = tmp_path_factory.mktemp("workload") / "token"
    file.write_text(identity.workload_token)
    return file


@pytest.fixture(scope="module")
def gateway(identity, backends, token_file, start_gateway):
    """A gateway with every way at once, in a pod of AKS on a machine with a metadata server of Google's."""
    parts = ways(identity, backends, token_file)
    parts["default"] = google(backends, "default")
    parts["workload"] = azure(backends, "workload", managedIdentity={})
    surroundings = {
        "GCE_METADATA_HOST": identity.address,
        "AZURE_AUTHORITY_HOST": identity.url,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS": identity.url,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": identity.url + "/",
    }
    return start_gateway(manifest(parts), env={**NOTHING, **surroundings})


def shown(backends, model):
    """What the backend was shown by the last request."""
    provider = "azure" if GIVERS.get(model) in {"secret", "assertion", "managed"} else "vertex"
    return dict(backends[provider].requests()[-1]["headers"])["authorization"]


@pytest.mark.parametrize("way", GIVERS)
def test_each_way_leads_to_a_token_that_the_backend_sees(gateway, backends, way):
    answer = gateway.chat(way)
    assert answer.status_code == 200, answer.text
    assert shown(backends, way).startswith(f"Bearer {GIVERS[way]}-token-")


def test_a_token_is_got_once_for_all_workers(gateway, identity):
    for way in ["account", "secret"]:
        for _ in range(5):
            assert gateway.chat(way).status_code == 200
    forms = [request["form"] for request in identity.requests("/google/token")]
    assert len([form for form in forms if form["grant_type"] == identities.JWT_BEARER]) == 2, "own, and to impersonate"
    forms = [request["form"] for request in identity.requests(f"/{TENANT}/oauth2/v2.0/token")]
    assert len([form for form in forms if "client_secret" in form]) == 1


def assert_nothing_leaked(gateway, identity, *more):
    said = gateway.process.output + gateway.log_file.read_text()
    for path in ["/config_dump", "/config_dump?include_eds", "/server_info", "/clusters", "/stats/prometheus"]:
        said += httpx.get(gateway.admin + path).text
    assert not [secret for secret in {*identity.secrets(), *more} if secret in said]


def test_no_secret_is_in_logs_or_on_the_admin_address(gateway, identity):
    assert_nothing_leaked(gateway, identity)


def test_a_clients_own_token_stays_with_the_gateway(gateway, backends):
    headers = {"authorization": "Bearer of-the-client", "x-goog-user-project": "of-the-client"}
    body = {"model": "account", "messages": [{"role": "user", "content": "one"}]}
    assert gateway.http.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    assert "of-the-client" not in str(backends["vertex"].requests()[-1]["headers"])


# The same requests as Google's and Microsoft's libraries make for the same input.


def said(request, *without):
    """What of a request is its meaning."""
    form = {name: value for name, value in request["form"].items() if name not in without}
    names = ["authorization", "metadata", "metadata-flavor", "x-identity-header", "x-workload"]
    headers = {name: request["headers"].get(name) for name in names}
    return request["method"], request["path"], request["query"], headers, form, request["json"]


def ours_and_theirs(identity, path, refresh, is_it=lambda _: True):
    """The gateway's last request to a path, and that of a library, which `refresh` makes."""
    [*_, ours] = filter(is_it, identity.requests(path))
    refresh()
    [*_, theirs] = filter(is_it, identity.requests(path))
    assert theirs is not ours
    return ours, theirs


@pytest.fixture
def google_request():
    return GoogleRequest()


def test_a_service_account_asks_as_googles_library_does(gateway, identity, google_request):
    gateway.chat("account")
    made = service_account.Credentials.from_service_account_info
    credentials = made(identity.service_account(), scopes=[identities.CLOUD_PLATFORM])

    def is_for_all(request):
        _, claims = identities.read_jwt(request["form"].get("assertion", "e30.e30"))
        return claims.get("scope") == identities.CLOUD_PLATFORM

    ours, theirs = ours_and_theirs(
        identity, "/google/token", lambda: credentials.refresh(google_request), is_for_all
    )
    assert said(ours, "assertion") == said(theirs, "assertion")
    (our_header, our_claims), (header, claims) = (
        identities.read_jwt(request["form"]["assertion"]) for request in (ours, theirs)
    )
    assert our_header == header
    assert our_claims.keys() == claims.keys()
    for claim in ["iss", "scope"]:
        assert our_claims[claim] == claims[claim]
    assert our_claims["exp"] - our_claims["iat"] == claims["exp"] - claims["iat"]
    assert credentials.token.startswith("account-token-")


def test_other_credentials_files_ask_as_googles_library_does(gateway, identity, token_file, google_request):
    for way in ["user", "file", "url"]:
        gateway.chat(way)
    scopes = [identities.CLOUD_PLATFORM]
    # It takes no `token_uri` from the file.
    known = identity.authorized_user()
    known = {name: known[name] for name in ["refresh_token", "token_uri", "client_id", "client_secret"]}
    user = users.Credentials(token=None, **known)

    def is_user(request):
        return request["form"]["grant_type"] == "refresh_token"

    def is_own(request):
        form = request["form"]
        return form["subject_token"].startswith("hush-workload") and form["scope"] == scopes[0]

    ours, theirs = ours_and_theirs(identity, "/google/token", lambda: user.refresh(google_request), is_user)
    assert said(ours) == said(theirs)

    file = identity_pool.Credentials.from_info(identity.external_account({"file": str(token_file)}), scopes=scopes)
    ours, theirs = ours_and_theirs(identity, "/v1/token", lambda: file.refresh(google_request), is_own)
    assert said(ours) == said(theirs)

    impersonated = impersonated_credentials.Credentials.from_impersonated_service_account_info(
        identity.impersonated(), scopes=scopes
    )
    impersonated._iam_endpoint_override = identity.impersonation_url()
    ours, theirs = ours_and_theirs(identity, "/v1/projects", lambda: impersonated.refresh(google_request))
    assert {**ours["json"], "delegates": []} == {**theirs["json"], "delegates": []}
    assert ours["headers"]["authorization"].startswith("Bearer ")


def test_the_metadata_server_is_asked_as_by_googles_library(gateway, identity, google_request, monkeypatch):
    gateway.chat("default")
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", identity.address)
    monkeypatch.setattr(_metadata, "_METADATA_ROOT", f"http://{identity.address}/computeMetadata/v1/", raising=False)
    monkeypatch.setenv("GCE_METADATA_HOST", identity.address)
    scopes = [identities.CLOUD_PLATFORM]
    ours, theirs = ours_and_theirs(
        identity,
        "/computeMetadata/v1/instance/service-accounts/default/token",
        lambda: _metadata.get_service_account_token(google_request, scopes=scopes),
    )
    assert said(ours)[:3] == said(theirs)[:3]
    assert ours["headers"]["metadata-flavor"] == theirs["headers"]["metadata-flavor"] == "Google"


class ToStandIn(HTTPAdapter):
    """Leads what is for Entra ID to the stand-in."""

    def __init__(self, identity):
        super().__init__()
        self.identity = identity

    def send(self, request, **options):
        request.url = request.url.replace("https://login.microsoftonline.com", self.identity.url)
        return super().send(request, **options)


@pytest.fixture
def entra(identity):
    """What Microsoft's credentials are made with."""
    session = requests.Session()
    session.mount("https://login.microsoftonline.com", ToStandIn(identity))
    transport = RequestsTransport(session=session, session_owner=False)
    return {"transport": transport, "disable_instance_discovery": True}


#: What the library says of itself.
OF_ITSELF = ("client_info",)
SCOPE = f"{RESOURCE}/.default"


def test_applications_ask_entra_as_microsofts_library_does(gateway, identity, token_file, entra):
    gateway.chat("secret")
    gateway.chat("workload")
    workload = token_file.read_text()
    for credential, way in [
        (
            azure_identity.ClientSecretCredential(TENANT, CLIENT, CLIENT_SECRET, **entra),
            lambda request: "client_secret" in request["form"],
        ),
        (
            azure_identity.WorkloadIdentityCredential(
                tenant_id=TENANT, client_id=CLIENT, token_file_path=str(token_file), **entra
            ),
            lambda request: request["form"].get("client_assertion") == workload,
        ),
    ]:
        refresh = functools.partial(credential.get_token, SCOPE)
        ours, theirs = ours_and_theirs(identity, f"/{TENANT}/oauth2/v2.0/token", refresh, way)
        assert said(ours, *OF_ITSELF) == said(theirs, *OF_ITSELF)


@pytest.fixture(scope="module")
def other(identity, backends, tmp_path_factory, start_gateway):
    """A gateway on a virtual machine of Azure, where somebody has logged in to Google."""
    file = tmp_path_factory.mktemp("gcloud") / "application_default_credentials.json"
    file.write_text(json.dumps(identity.authorized_user()))
    parts = {
        "default": google(backends, "default"),
        "machine": azure(backends, "machine", managedIdentity={"clientID": "assigned"}),
    }
    surroundings = {"CLOUDSDK_CONFIG": str(file.parent), "AZURE_POD_IDENTITY_AUTHORITY_HOST": identity.url}
    return start_gateway(manifest(parts), env={**NOTHING, **surroundings})


def test_a_virtual_machine_and_a_users_own_login(other, backends, identity):
    for model, provider, giver in [("default", "vertex", "user"), ("machine", "azure", "managed")]:
        answer = other.chat(model)
        assert answer.status_code == 200, answer.text
        authorization = dict(backends[provider].requests()[-1]["headers"])["authorization"]
        assert authorization.startswith(f"Bearer {giver}-token-")
    assert identity.requests("/metadata/")[-1]["query"]["client_id"] == "assigned"


def test_a_managed_identity_is_asked_for_as_by_microsofts_library(other, identity, monkeypatch):
    other.chat("machine")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", identity.url)
    credential = azure_identity.ManagedIdentityCredential(client_id="assigned")
    refresh = functools.partial(credential.get_token, SCOPE)
    ours, theirs = ours_and_theirs(identity, "/metadata/identity/oauth2/token", refresh)
    assert said(ours) == said(theirs)


# When tokens end, and when nobody answers.


def test_tokens_are_renewed_and_the_last_good_one_is_kept(identity, backends, start_gateway):
    """A token of 30 s is renewed after half of that. Until it has ended it serves, whatever comes in place of another."""
    identity.clear()
    identity.valid_for = 30
    gateway = start_gateway(
        manifest({"account": google_file(backends, "account", identity.service_account())}), env=NOTHING
    )
    assert gateway.chat("account").status_code == 200
    began = time.time()
    before = len(identity.requests("/google/token"))
    first = shown(backends, "account")
    # Garbage, an error, a token that has ended, and then a good one: after 1, 2 and 4 s more.
    token = {"access_token": "hush-ended", "token_type": "Bearer", "expires_in": 0}
    identity.script("/google/token", status=200, body=b"\x00 hush-garbage")
    identity.script("/google/token", status=503, body={"error": "hush down"})
    identity.script("/google/token", status=200, body=token)

    def renewed():
        answer = gateway.chat("account")
        assert answer.status_code == 200, "no request is lost that has a valid token"
        return shown(backends, "account") != first

    identity.valid_for = 3600
    wait_for(renewed, 40, pause=0.2, what="a new token")
    assert time.time() - began < 30, "before the old one has ended"
    assert len(identity.requests("/google/token")) - before == 4
    assert "the answer of the credentials endpoint is not JSON" in gateway.process.output
    assert_nothing_leaked(gateway, identity, "hush-garbage", "hush-ended")


def test_without_any_token_there_is_a_503_and_nothing_goes_out(
    identity, backends, start_gateway, monkeypatch, tmp_path
):
    """In an App Service, whose server gives tokens, while Google refuses, Entra ID takes its time, and the certificate
    of a third is nobody's."""
    stranger = Relay("127.0.0.1", tmp_path, identity.server.port)
    user = {**identity.authorized_user(), "token_uri": f"https://127.0.0.1:{stranger.port}/google/token"}
    identity.clear()
    refusal = {"error": "invalid_grant", "error_description": "Invalid JWT"}
    identity.script("/google/token", status=400, body=refusal, times=1000)
    identity.script(f"/{TENANT}/oauth2", hang=12, status=500, body={}, times=1000)
    surroundings = {
        "AZURE_AUTHORITY_HOST": identity.url,
        "IDENTITY_ENDPOINT": f"{identity.url}/msi/token",
        "IDENTITY_HEADER": IDENTITY_HEADER,
    }
    parts = {
        "account": google_file(backends, "account", identity.service_account()),
        "secret": azure(backends, "secret", **APP, clientSecretRef={"name": "azure"}),
        "machine": azure(backends, "machine", managedIdentity={}),
        "stranger": google_file(backends, "stranger", user),
    }
    gateway = start_gateway(manifest(parts), env={**NOTHING, **surroundings})
    backends.clear()
    assert gateway.chat("machine").status_code == 200
    for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]:
        monkeypatch.setenv(name, surroundings[name])
    credential = azure_identity.ManagedIdentityCredential()
    ours, theirs = ours_and_theirs(identity, "/msi/token", functools.partial(credential.get_token, SCOPE))
    assert said(ours)[:3] == said(theirs)[:3]
    assert ours["headers"]["x-identity-header"] == theirs["headers"]["x-identity-header"]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(gateway.chat, ["account", "secret", "stranger"]))
    for answer in answers:
        assert answer.status_code == 503
        assert "credential" in answer.json()["error"]["message"]
    assert backends["vertex"].requests() == [] and len(backends["azure"].requests()) == 1
    assert all(request["form"].get("grant_type") != "refresh_token" for request in identity.requests("/google/token"))
    stranger.close()
    for policy, why in [("secret", "504: upstream request timeout"), ("stranger", "503: upstream connect error")]:
        told = re.compile(rf"default/{policy}-auth\S* cannot be had: https?://127\.0\.0\.1:\d+: .*{why}")
        wait_for(lambda told=told: told.search(gateway.process.output), 5, what=f"why there is no token: {why}")
    assert "invalid_grant: Invalid JWT" in gateway.process.output
    assert_nothing_leaked(gateway, identity)

    # It comes back by itself.
    identity.clear()
    wait_for(lambda: gateway.chat("account").status_code == 200, 40, pause=0.5, what="a token at last")
