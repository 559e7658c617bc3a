"""SecurityPolicies that differ from route to route: the one of the route finally chosen counts, and the model says which that is."""

import base64
import json
import threading
import time

import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.callers import Issuer, htpasswd
from harness.process import wait_for
from harness.samples import HELLO, TOTAL
from harness.server import Server

ALL, TEAM, EVE = "sk-for-all-routes", "sk-for-the-team", "sk-for-eve"
#: Named after what its route asks for; `any` has no policy of its own.
MODELS = ("any", "tokens", "keys", "users", "asked")
BUDGET = 2 * TOTAL + 10


@pytest.fixture(scope="module")
def issuers():
    return {name: Issuer(f"https://{name}.test") for name in ("here", "there")}


@pytest.fixture(scope="module")
def jwks(issuers):
    headers = {"content-type": "application/json"}
    server = Server(lambda *_: (200, headers, issuers["there"].jwks.encode()))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def judge():
    """The service that is asked: it lets in who says `please`, in a header or in the body."""

    def answer(method, path, headers, body):
        if headers.get("x-word") == "please" or b"please" in body:
            return 200, {"x-who": "judged", "x-other": "no"}, b""
        return 403, {}, b"say please"

    server = Server(answer)
    yield server
    server.stop()


def policies(issuers, jwks, judge):
    here = {
        "name": "here",
        "issuer": issuers["here"].name,
        "audiences": ["weir"],
        "localJWKS": {"inline": issuers["here"].jwks},
        "claimToHeaders": [{"claim": "sub", "header": "x-sub"}],
    }
    there = {
        "name": "there",
        "issuer": issuers["there"].name,
        "remoteJWKS": {"uri": f"{jwks.url}/keys"},
        "claimToHeaders": [{"claim": "sub", "header": "x-sub"}],
        "extractFrom": {"headers": [{"name": "x-jwt", "valuePrefix": "Token "}]},
    }
    chats = {"action": "Allow", "principal": {"jwt": {"provider": "here", "scopes": ["chat"]}}}
    teams = {"name": "teams", "valueType": "StringArray", "values": ["red", "blue"]}
    in_team = {"action": "Allow", "principal": {"jwt": {"provider": "there", "claims": [teams]}}}
    bad = {"action": "Deny", "principal": {"headers": [{"name": "x-bad", "values": ["yes"]}]}}
    service = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "judge-endpoint"}
    ask = {
        "http": {"backendRefs": [service], "path": "/judge", "headersToBackend": ["x-who"]},
        "headersToExtAuth": ["x-word"],
        "bodyToExtAuth": {"maxRequestBytes": 10_000},
    }
    places = [{"headers": ["authorization"]}, {"params": ["team"]}]
    keys = {**resources.key_of("team", forwardClientIDHeader="x-client-id"), "extractFrom": places}
    of = resources.of_route
    policy = resources.security_policy
    return [
        policy("all", apiKeyAuth=resources.key_of("all")),
        policy("tokens", of("tokens", "AIGatewayRoute"), jwt={"providers": [here, there]}, authorization={"rules": [chats, in_team]}),
        policy("keys", of("keys"), apiKeyAuth=keys),
        policy("users", of("users"), basicAuth={"users": {"name": "users"}, "forwardUsernameHeader": "x-user"}),
        policy("asked", of("asked"), extAuth=ask),
        policy("docs", of("docs"), authorization={"defaultAction": "Allow", "rules": [bad]}),
    ]


def base(running, judge, models=MODELS):
    return [
        *resources.gateway(),
        *resources.backend("main", running["main"].url),
        *resources.api_key("main", stand_ins.OPENAI_KEY),
        *resources.backend("plain", running["qwen3"].url),
        *resources.backend("judge", judge.url),
        *(resources.route(resources.rule(name, "main"), name=name) for name in models),
        resources.plain_route("docs", "/docs", "plain"),
        resources.secret("all", admin=ALL),
        resources.secret("team", eve=EVE, team=TEAM),
        resources.secret("users", **{".htpasswd": htpasswd(ann="secret", bob="other")}),
        resources.traffic(resources.budget("llm_total_token", BUDGET, header="x-client-id")),
    ]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway, issuers, jwks, judge):
    gateway = start_gateway([*base(shared_providers, judge), *policies(issuers, jwks, judge)])
    wait_for(lambda: jwks.seen, 15, what="the keys of an issuer")
    return gateway


def ask(gateway, model, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO}, headers=headers)


def bearer(token):
    return f"Bearer {token}"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def seen(providers, name="main"):
    return providers[name].requests("/v1/chat")


def test_each_route_asks_what_its_own_policy_says(gateway, issuers, providers):
    good = {
        "any": {"authorization": bearer(ALL)},
        "tokens": {"authorization": bearer(issuers["here"].token(aud="weir", sub="ann", scope="chat list"))},
        "keys": {"authorization": bearer(TEAM)},
        "users": {"authorization": basic("ann", "secret")},
        "asked": {"x_word": "please"},
    }
    for model in MODELS:
        for proof, headers in good.items():
            answer = ask(gateway, model, **headers)
            assert answer.status_code == (200 if proof == model else answer.status_code), (model, answer.text)
            if proof != model:
                assert answer.status_code in (401, 403), (model, proof, answer.text)
                assert answer.json()["error"]["message"]
        assert ask(gateway, model).status_code in (401, 403)
    assert len(seen(providers)) == len(MODELS)
    text = json.dumps(seen(providers))
    for secret in (ALL, TEAM, good["tokens"]["authorization"][30:], good["users"]["authorization"][6:]):
        assert secret not in text


def test_what_belongs_to_no_route_is_the_gateways(gateway):
    assert gateway.http.get("/v1/models").status_code == 401
    assert gateway.http.get("/v1/models", headers={"authorization": bearer(TEAM)}).status_code == 401
    listed = gateway.openai().with_options(api_key=ALL).models.list()
    assert {model.id for model in listed} == set(MODELS)
    assert gateway.http.get("/docs/x").status_code != 401, "its policy asks nobody who it is"
    assert gateway.http.get("/docs/x", headers={"x-bad": "yes"}).status_code == 403
    nothing = ask(gateway, "nothing")
    assert nothing.status_code == 404 and "does not exist" in nothing.json()["error"]["message"]


def test_tokens(gateway, issuers, providers):
    here, there = issuers["here"], issuers["there"]
    good = {"aud": "weir", "sub": "ann", "scope": "chat"}
    expired = ask(gateway, "tokens", authorization=bearer(here.token(lifetime=-120, **good)))
    assert expired.status_code == 401 and "Jwt is expired" in expired.json()["error"]["message"]
    assert expired.headers["www-authenticate"].startswith("Bearer ")
    other = ask(gateway, "tokens", authorization=bearer(here.token(**{**good, "aud": "other"})))
    assert other.status_code == 403
    forged = ask(gateway, "tokens", authorization=bearer(Issuer(here.name).token(**good)))
    assert forged.status_code == 401
    scope = ask(gateway, "tokens", authorization=bearer(here.token(**{**good, "scope": "list"})))
    assert scope.status_code == 403 and "policy" in scope.json()["error"]["message"]
    client = gateway.openai().with_options(api_key=here.token(**good), default_headers={"x-sub": "root"})
    assert client.chat.completions.create(model="tokens", messages=HELLO).choices
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key=here.token(**{**good, "scope": ""})).chat.completions.create(model="tokens", messages=HELLO)
    token = there.token(sub="bob", teams=["green", "blue"])
    assert ask(gateway, "tokens", x_jwt=f"Token {token}").status_code == 200
    assert ask(gateway, "tokens", x_jwt=f"Token {there.token(sub='bob', teams=['green'])}").status_code == 403
    assert [one["headers"]["x-sub"] for one in seen(providers)] == ["ann", "bob"]
    assert token not in json.dumps(seen(providers))


def test_users_with_passwords(gateway, providers):
    wrong = ask(gateway, "users", authorization=basic("ann", "other"))
    assert wrong.status_code == 401 and wrong.headers["www-authenticate"].startswith("Basic ")
    assert "user name and password" in wrong.json()["error"]["message"]
    assert ask(gateway, "users", authorization=basic("bob", "other"), x_user="ann").status_code == 200
    (one,) = seen(providers)
    assert one["headers"]["x-user"] == "bob"


def test_a_service_is_asked(gateway, judge, providers):
    judge.seen.clear()
    refused = ask(gateway, "asked", x_who="me")
    assert refused.status_code == 403
    assert "authorization service" in refused.json()["error"]["message"]
    assert ask(gateway, "asked", x_word="please", x_who="me").status_code == 200
    said = {"model": "asked", "messages": [{"role": "user", "content": "please"}]}
    assert gateway.http.post("/v1/chat/completions", json=said).status_code == 200
    assert [path for path, *_ in judge.seen] == ["/judge/v1/chat/completions"] * 3
    assert [one["headers"]["x-who"] for one in seen(providers)] == ["judged", "judged"]
    assert "x-other" not in seen(providers)[0]["headers"]
    large = {"model": "asked", "messages": [{"role": "user", "content": "please" * 3000}]}
    assert gateway.http.post("/v1/chat/completions", json=large).status_code == 413


def test_each_client_of_a_route_has_its_budget(gateway):
    for served in range(3):
        assert ask(gateway, "keys", authorization=bearer(EVE), x_client_id=f"user-{served}").status_code == 200
        time.sleep(0.2)
    assert ask(gateway, "keys", authorization=bearer(EVE)).status_code == 429
    assert ask(gateway, "keys", authorization=bearer(TEAM), x_client_id="eve").status_code == 200


def test_a_key_in_the_query_is_for_the_gateway_alone(gateway, providers):
    path = f"/v1/chat/completions?team={TEAM}&a=1"
    assert gateway.http.post(path, json={"model": "keys", "messages": HELLO}).status_code == 200
    (request,) = seen(providers)
    assert request["path"] == "/v1/chat/completions?a=1"
    assert TEAM not in json.dumps(request)


def test_headers_that_some_servers_take_for_others_go_no_further(gateway, providers):
    providers["qwen3"].script({"json": {}}, path="/docs")
    gateway.http.get("/docs/x", headers={"x_client_id": "root"})
    assert "root" not in json.dumps(providers["qwen3"].requests("/docs"))


def test_a_policy_may_be_taken_away_and_come_back(shared_providers, start_gateway, issuers, jwks, judge):
    models, keys = base(shared_providers, judge), policies(issuers, jwks, judge)[2]
    gateway = start_gateway([*models, keys])
    for status, chosen in [(401, [keys]), (200, []), (401, [keys])]:
        gateway.write([*models, *chosen])
        wait_for(lambda status=status: ask(gateway, "keys").status_code == status, 20, what=f"{status}")
    assert ask(gateway, "keys", authorization=bearer(TEAM)).status_code == 200


def test_no_change_of_policies_lets_anybody_in(shared_providers, start_gateway, issuers, jwks, judge):
    """From one policy for all to one for each route: as long as the proxy runs, that is refused."""
    whole = policies(issuers, jwks, judge)
    models = base(shared_providers, judge)
    gateway = start_gateway([*models, whole[0]])
    statuses, stop = [], threading.Event()

    def load(model):
        while not stop.is_set():
            statuses.append(ask(gateway, model).status_code)

    threads = [threading.Thread(target=load, args=[model]) for model in MODELS[:4]]
    for thread in threads:
        thread.start()
    try:
        gateway.write([*models, *whole])
        wait_for(lambda: "taken over by a restart only" in gateway.process.output, 20, what="the refusal")
        gateway.write([*models, resources.security_policy("all", apiKeyAuth=resources.key_of("all", "x-key", "authorization"))])
        wait_for(lambda: "reloaded:" in gateway.process.output, 20, what="the reload")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) <= {401, 403} and len(statuses) > 100
    answer = ask(gateway, "any", authorization=bearer(ALL))
    assert answer.status_code == 200, answer.text
