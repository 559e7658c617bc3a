"""Credentials of AWS that take several steps: roles, the token of a pod's service account (IRSA), an OpenID Connect provider, the
metadata of an instance. The stand-in is `harness.aws`; it checks signatures with botocore's signer."""

import datetime
import email.utils
import json
import subprocess
import threading
import time

import botocore.session
import httpx
import pytest

from harness import aws as stand_in
from harness import gateway as gateways
from harness import providers as stand_ins
from harness import resources
from harness.aws import ACCOUNT, key
from harness.identity import CLIENT, CLIENT_SECRET, Identity
from harness.process import wait_for

#: What a machine may have of its own. Tests must not find it.
NOTHING = {
    name: ""
    for name in [
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"),
        *("AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"),
        *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL"),
    ]
} | {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}


@pytest.fixture(scope="module")
def aws():
    with stand_in.Aws() as running:
        running.may_assume(stand_ins.AWS_KEY, key("middle"), key("instance"))
        yield running


@pytest.fixture(scope="module")
def backends():
    """Of the module's own, since their keys change."""
    own = stand_ins.start_all()
    yield own
    own.stop()


def environment(aws, **more):
    own = {"AWS_ENDPOINT_URL_STS": aws.url, "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url}
    return {**NOTHING, **own, **more}


def backend(backends, name):
    return resources.backend(name, backends["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31")


def policy(name, **fields):
    spec = {"region": stand_ins.REGION, **fields}
    return resources.security(f"{name}-auth", name, type="AWSCredentials", awsCredentials=spec)


def used(backends):
    """The access key's ID that the last request was signed with."""
    headers = backends["bedrock"].requests()[-1]["headers"]
    return headers["authorization"].split("Credential=")[1].split("/")[0]


PROFILES = f"""
[roles]
role_arn = {ACCOUNT}/last
source_profile = middle
external_id = weir & co
duration_seconds = 900
[middle]
role_arn = {ACCOUNT}/middle
role_session_name = on-the-way
source_profile = keys
[keys]
aws_access_key_id = {stand_ins.AWS_KEY["access_key_id"]}
aws_secret_access_key = {stand_ins.AWS_KEY["secret_access_key"]}
[instance]
role_arn = {ACCOUNT}/ofinstance
credential_source = Ec2InstanceMetadata
[pod]
role_arn = {ACCOUNT}/pod
web_identity_token_file = TOKEN
"""
WAYS = {"roles": "last", "instance": "ofinstance", "pod": "pod", "provider": "provider", "default": "irsa"}


@pytest.fixture(scope="module")
def gateway(aws, backends, start_gateway, tmp_path_factory):
    """One gateway with all ways: a model each."""
    token = tmp_path_factory.mktemp("aws") / "token"
    token.write_text("hush-pod-token-1\n")
    backends["bedrock"].set_keys(*(key(name) for name in WAYS.values()))
    manifest = [
        *resources.gateway(),
        resources.secret("profiles", credentials=PROFILES.replace("TOKEN", str(token))),
        resources.secret("idp", **{"client-secret": CLIENT_SECRET}),
    ]
    with Identity() as identity:
        # The provider's tokens are taken by STS.
        aws.tokens = Tokens(identity, aws.tokens)
        for name in ["roles", "instance", "pod"]:
            file = {"secretRef": {"name": "profiles"}, "profile": name}
            manifest += [*backend(backends, name), policy(name, credentialsFile=file)]
        client = {"clientID": CLIENT, "clientSecret": {"name": "idp", "namespace": "default"}}
        oidc = {"provider": {"issuer": f"{identity.url}/idp"}, **client}
        exchange = {"oidc": oidc, "awsRoleArn": f"{ACCOUNT}/provider"}
        manifest += [*backend(backends, "provider"), policy("provider", oidcExchangeToken=exchange)]
        manifest += [*backend(backends, "default"), policy("default")]
        manifest.append(resources.route(*(resources.rule(name, name) for name in WAYS)))
        irsa = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": f"{ACCOUNT}/irsa"}
        yield start_gateway(manifest, env=environment(aws, **irsa))


class Tokens:
    def __init__(self, identity, others):
        self.identity, self.others = identity, others

    def __contains__(self, token):
        return token in self.others or token in self.identity.given


@pytest.mark.parametrize("way", WAYS)
def test_each_way_leads_to_credentials(gateway, aws, backends, way):
    answer = gateway.chat(way)
    assert answer.status_code == 200, answer.text
    assert used(backends) == key(WAYS[way])["access_key_id"]
    calls = [each for each in aws.requests() if each["form"].get("RoleArn") == f"{ACCOUNT}/{WAYS[way]}"]
    assert len(calls) == 1, "once for all workers"


def test_roles_are_assumed_as_the_profile_says(gateway, aws):
    gateway.chat("roles")
    middle, last = (
        next(each["form"] for each in aws.requests("AssumeRole") if each["form"]["RoleArn"] == f"{ACCOUNT}/{role}")
        for role in ("middle", "last")
    )
    assert middle["RoleSessionName"] == "on-the-way"
    assert (last["ExternalId"], last["DurationSeconds"]) == ("weir & co", "900")


def test_no_secret_is_shown(gateway):
    for way in WAYS:
        gateway.chat(way)
    said = gateway.process.output + gateway.log_file.read_text()
    for path in ["/config_dump", "/stats/prometheus", "/weir/usage", "/"]:
        said += httpx.get(gateway.admin + path).text
    secrets = ["hush", CLIENT_SECRET, stand_ins.AWS_KEY["secret_access_key"]]
    assert not [secret for secret in secrets if secret in said]


def test_a_clock_that_is_refused_is_corrected(aws, backends, start_gateway):
    backends["bedrock"].set_keys(stand_ins.AWS_KEY)
    manifest = [*resources.gateway(), *backend(backends, "b"), *resources.aws_file("b", stand_ins.AWS_KEY)]
    gateway = start_gateway([*manifest, resources.route(resources.rule("b", "b"))], env=environment(aws))
    there = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1), usegmt=True)
    refusal = {"date": there, "x-amzn-errortype": "InvalidSignatureException:http://internal.amazon.com/"}
    backends["bedrock"].fail(403, headers=refusal, message="Signature expired")
    # The second is signed for what the stand-in said, which checks the time; what it says then is true.
    assert [gateway.chat("b").status_code for _ in range(3)] == [403, 403, 200]
    before, ahead, now = (
        datetime.datetime.strptime(each["headers"]["x-amz-date"], "%Y%m%dT%H%M%SZ")
        for each in backends["bedrock"].requests()[-3:]
    )
    assert datetime.timedelta(minutes=59) < ahead - before < datetime.timedelta(minutes=61)
    assert abs(now - before) < datetime.timedelta(minutes=1)
    assert "requests are signed by it" in gateway.process.output


def test_no_request_is_lost_while_credentials_rotate_and_sts_fails(aws, backends, start_gateway, tmp_path):
    aws.clear()
    aws.valid_for = 12
    aws.tokens = {"hush-pod-token-1"}
    token = tmp_path / "token"
    token.write_text("hush-pod-token-1")
    aws.keys["irsa"] = key("first")
    backends["bedrock"].set_keys(key("first"), key("second"))
    irsa = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": f"{ACCOUNT}/irsa"}
    manifest = [*resources.gateway(), *backend(backends, "default"), policy("default")]
    manifest.append(resources.route(resources.rule("default", "default")))
    gateway = start_gateway(manifest, env=environment(aws, **irsa))
    assert gateway.chat("default").status_code == 200
    lost, done = [], threading.Event()

    def load():
        while not done.is_set():
            answer = gateway.chat("default")
            if answer.status_code != 200:
                lost.append(answer.text)
            time.sleep(0.01)

    workers = [threading.Thread(target=load) for _ in range(4)]
    for worker in workers:
        worker.start()
    try:
        # Before the renewal, which comes after half of the lifetime: the token is half written, then STS is out of order.
        aws.tokens = {"hush-pod-token-2"}
        aws.keys["irsa"] = key("second")
        token.write_text("hush-pod-tok")
        wait_for(lambda: len(aws.requests()) >= 2, 20, what="a renewal with half a token")
        aws.fault(status=200, body=b"<hush-garbage>")
        aws.fault(status=503)
        token.write_text("hush-pod-token-2")
        wait_for(lambda: used(backends) == key("second")["access_key_id"], 20, what="the new key")
    finally:
        done.set()
        for worker in workers:
            worker.join()
    assert lost == []
    # Nobody answers in time, until there are none that are valid: then the client is told why.
    aws.fault(times=1000, status=500)
    refused = wait_for(lambda: (answer := gateway.chat("default")).status_code != 200 and answer, 30, 0.3, "the expiry")
    assert refused.status_code == 503
    assert "hush" not in refused.text + gateway.process.output
    assert "answered 500" in gateway.process.output
    aws.clear()
    aws.valid_for = 3600
    wait_for(lambda: gateway.chat("default").status_code == 200, 70, 0.3, "credentials again")


#: What there may be, and the method that botocore names it by.
PLACES = {
    "environment": {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"},
    "role": {"AWS_PROFILE": "role"},
    "irsa": {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": f"{ACCOUNT}/irsa"},
    "keys": {"AWS_PROFILE": "keys"},
    "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"},
}
FILE = f"""
[role]
role_arn = {ACCOUNT}/x
source_profile = keys
[keys]
aws_access_key_id = AKID
aws_secret_access_key = secret
"""
#: From botocore's methods to what is rendered.
METHODS = {
    "env": ("aws_file", "default"),
    "assume-role": ("aws_file", "role"),
    "assume-role-with-web-identity": ("aws_web_identity", None),
    "shared-credentials-file": ("aws_file", "keys"),
    "container-role": ("aws_default", None),
}


@pytest.mark.parametrize(
    "places",
    [
        ["environment", "role", "irsa", "container"],
        ["role", "irsa", "container"],
        ["keys", "irsa", "container"],
        ["keys", "container"],
        ["container"],
    ],
    ids=lambda places: "+".join(places),
)
def test_the_order_is_that_of_botocore(places, monkeypatch, tmp_path, backends):
    file = tmp_path / "credentials"
    file.write_text(FILE)
    variables = {**NOTHING, "AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_EC2_METADATA_DISABLED": "true"}
    for place in places:
        variables.update(PLACES[place])
    for name, value in variables.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    expected = METHODS[method_of_botocore(monkeypatch)]
    text = resources.dump([*resources.gateway(), *backend(backends, "b"), policy("b"), resources.route(resources.rule("b", "b"))])
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(text)
    command = [gateways.WEIR, "render", "-f", manifest, "--to", "envoy", "-o", tmp_path / "out"]
    command += ["--filter", gateways.FILTER] if gateways.FILTER else []
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    rendered = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json"))
    source = json.loads(credential(rendered))
    assert (source["type"], source.get("profile")) == expected


def credential(rendered):
    """The one source in the filter's configuration, as JSON."""
    text = rendered.replace("\\", "")
    begin = text.index('"default/b-auth":{') + len('"default/b-auth":')
    return json.dumps(json.JSONDecoder().raw_decode(text[begin:])[0])


def method_of_botocore(monkeypatch):
    """How botocore would get credentials, without asking anybody."""
    found = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2099-01-01T00:00:00Z"}
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.retrieve_full_uri", lambda *_, **__: found)
    return botocore.session.Session().get_credentials().method
