"""Health, load, balance and each proxy's own limits, as a BackendTrafficPolicy asks for them."""

import threading
import time

import anthropic
import httpx
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.gateway import new_user
from harness.process import wait_for
from harness.samples import HELLO, sentence

#: What the stand-ins are asked for their health: a page they have.
HEALTH = "/v1/models"
CHAT = "/v1/chat"
NO_RETRIES = {"retry": {"numRetries": 0}}


def asked(**more):
    """An active check, five times a second, with patience for a busy machine."""
    http = {"path": HEALTH, **more}
    return {"type": "HTTP", "interval": "200ms", "timeout": "10s", "http": http}


def manifest(running, *rules, **traffic):
    return [
        *resources.gateway(),
        *resources.backend("qwen3", running["qwen3"].url),
        *resources.backend("gpt-oss", running["gpt-oss"].url),
        *([resources.traffic(**traffic)] if traffic else []),
        resources.route(*(rules or [both()])),
    ]


def both(model="model"):
    """A rule that asks `qwen3` first, and `gpt-oss` when that cannot."""
    return resources.rule(model, {"name": "qwen3", "priority": 0}, {"name": "gpt-oss", "priority": 1})


def who_answers(gateway, model="model", **headers):
    body = {"model": model, "messages": HELLO}
    answer = gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    text = answer.json()["choices"][0]["message"]["content"]
    return next(name for name in ("qwen3", "gpt-oss", "main") if text == sentence(name))


def ill(provider):
    """Whoever asks for its health is told that it has none; requests it would serve."""
    provider.script({"text": "down"}, status=503, path=HEALTH, times=100_000)


def stats(gateway, name):
    """A statistic of each cluster of backends."""
    text = httpx.get(f"{gateway.admin}/stats", params={"filter": rf"^cluster\.default/.*\.{name}$"}).text
    return {name: int(value) for name, _, value in (line.partition(": ") for line in text.splitlines())}


def healthy(gateway):
    """How many endpoints the one cluster of backends has that can serve."""
    # Besides it each of several backends has some of its own, in which nobody is checked.
    is_it = lambda name: "/only/" not in name and "/first/" not in name  # noqa: E731
    (number,) = (n for name, n in stats(gateway, "membership_healthy").items() if is_it(name))
    return number


@pytest.fixture
def run(start_gateway):
    """Gateways of a single test: a check of one that goes on would be seen by the next test."""
    started = []

    def start(*arguments, **named):
        started.append(start_gateway(*arguments, **named))
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()


class TestActive:
    """No attempt is ever repeated here: whoever answers was chosen first."""

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls, shared_providers, start_gateway):
        gateway = start_gateway(manifest(shared_providers, healthCheck={"active": asked()}, **NO_RETRIES))
        yield gateway
        gateway.stop()

    def test_who_is_ill_is_left_out_and_comes_back(self, gateway, providers):
        assert who_answers(gateway) == "qwen3"
        ill(providers["qwen3"])
        wait_for(lambda: who_answers(gateway) == "gpt-oss", 10, what="the next priority")
        before = len(providers["qwen3"].requests(CHAT))
        assert {who_answers(gateway) for _ in range(10)} == {"gpt-oss"}
        assert len(providers["qwen3"].requests(CHAT)) == before
        providers["qwen3"].clear()
        wait_for(lambda: who_answers(gateway) == "qwen3", 10, what="the first priority")

    def test_with_nobody_healthy_the_client_is_told_at_once(self, gateway, providers, user):
        for name in ("qwen3", "gpt-oss"):
            ill(providers[name])
        wait_for(lambda: gateway.chat("model").status_code == 503, 10, what="a refusal")
        answer = gateway.chat("model", user)
        assert answer.status_code == 503
        assert "no backend of the model model is reachable" in answer.json()["error"]["message"]
        assert gateway.logged(user)[0]["attempts"] == 0
        for name in ("qwen3", "gpt-oss"):
            providers[name].clear()
        wait_for(lambda: gateway.chat("model").status_code == 200, 10, what="an answer")

    def test_a_backend_is_asked_by_one_cluster_only(self, gateway):
        checked = stats(gateway, "health_check.attempt")
        assert len(checked) == 1, checked


def test_no_request_ever_meets_a_backend_that_was_down_from_the_start(shared_providers, run, providers):
    """Nor does one that comes up late wait for a request: there was none so far."""
    ill(providers["qwen3"])
    gateway = run(manifest(shared_providers, healthCheck={"active": asked()}, **NO_RETRIES))
    assert who_answers(gateway) == "gpt-oss"
    assert providers["qwen3"].requests(CHAT) == []
    gateway.stop()
    gateway = run(manifest(shared_providers, healthCheck={"active": asked()}, **NO_RETRIES))
    providers["qwen3"].clear()
    wait_for(lambda: healthy(gateway) == 2, 10, what="two healthy backends")
    assert who_answers(gateway) == "qwen3"


def test_a_check_has_the_backends_host_and_no_credential(shared_providers, run, providers):
    check = asked(expectedStatuses=[200, 401])
    gateway = run(
        [
            *resources.gateway(),
            *resources.backend("main", shared_providers["main"].url),
            *resources.api_key("main", stand_ins.OPENAI_KEY),
            resources.traffic(healthCheck={"active": check}),
            resources.route(resources.rule("model", "main")),
        ]
    )
    assert who_answers(gateway) == "main"
    (chat,) = providers["main"].requests(CHAT)
    assert stand_ins.OPENAI_KEY in chat["headers"]["authorization"]
    asking = providers["main"].requests(HEALTH)
    assert len(asking) >= 1
    for request in asking:
        assert request["method"] == "GET"
        assert request["headers"]["host"] == f"127.0.0.1:{providers['main'].port}"
        assert stand_ins.OPENAI_KEY not in str(request)
        assert not [name for name in request["headers"] if name.startswith(("x-weir", "x-ai-eg", "authorization"))]


def test_a_question_of_ones_own(shared_providers, run, providers):
    """Another host name, a method with a body, and what the answer must hold."""
    providers["qwen3"].script({"text": "all is well"}, path=HEALTH, times=100_000)
    check = asked(
        hostname="health.test",
        method="POST",
        requestBody={"type": "Text", "text": "well?"},
        expectedResponse={"type": "Binary", "binary": "d2VsbA=="},
    )
    gateway = run(manifest(shared_providers, healthCheck={"active": check}, **NO_RETRIES))
    assert who_answers(gateway) == "qwen3"
    request = providers["qwen3"].requests(HEALTH)[0]
    assert (request["method"], request["headers"]["host"], request["body"]) == ("POST", "health.test", "well?")
    # The other one has the page, and not the words.
    assert healthy(gateway) == 1


def test_a_connection_is_a_question_too(shared_providers, run):
    with_tcp = {"active": {"type": "TCP", "interval": "200ms", "timeout": "10s", "tcp": {}}}
    server = stand_ins.start_openai("own")
    rules = [resources.rule("model", {"name": "own", "priority": 0}, {"name": "gpt-oss", "priority": 1})]
    own = resources.backend("own", server["own"].url)
    gateway = run([*manifest(shared_providers, *rules, healthCheck=with_tcp, **NO_RETRIES), *own])
    assert gateway.chat("model").status_code == 200
    assert healthy(gateway) == 2
    server.stop()
    wait_for(lambda: healthy(gateway) == 1, 10, what="one healthy backend")
    assert who_answers(gateway) == "gpt-oss"


def test_who_fails_is_left_out(shared_providers, run, providers):
    passive = {"consecutive5XxErrors": 2, "alwaysEjectOneEndpoint": True, "interval": "1s", "baseEjectionTime": "2s"}
    gateway = run(manifest(shared_providers, healthCheck={"passive": passive}, **NO_RETRIES))
    providers["qwen3"].fail(500, times=2)
    assert [gateway.chat("model").status_code for _ in range(2)] == [500, 500]
    # Envoy's main thread leaves it out, and tells the workers after that.
    wait_for(lambda: who_answers(gateway) == "gpt-oss", 15, pause=0, what="the other one")
    wait_for(lambda: who_answers(gateway) == "qwen3", 15, what="its return")


class TestBreaker:
    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls, shared_providers, start_gateway):
        claude = [
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
        ]
        rules = [both(), resources.rule("another", "qwen3"), resources.rule("claude", "claude")]
        breaker = {"maxParallelRequests": 1}
        gateway = start_gateway([*manifest(shared_providers, *rules, circuitBreaker=breaker), *claude])
        yield gateway
        gateway.stop()

    @pytest.fixture
    def busy(self, request, gateway, providers):
        """While a request for a model is under way at its backend."""
        model, backend = request.param
        providers[backend].script({"default": {"words": 60, "delay_ms": 100}})
        statuses = []
        running = threading.Thread(target=lambda: statuses.append(gateway.chat(model, stream=True).status_code))
        running.start()
        wait_for(lambda: providers[backend].requests("/v1/"), 10, what="the first request")
        yield
        running.join(30)
        assert statuses == [200]

    @pytest.mark.parametrize("busy", [("model", "qwen3")], indirect=True)
    def test_one_too_many_is_refused_and_goes_nowhere_else(self, gateway, providers, busy):
        answer = gateway.chat("model")
        assert answer.status_code == 503
        error = answer.json()["error"]
        assert error["message"] and error["type"]
        assert providers["gpt-oss"].requests(CHAT) == [], "it bounds the rule and not a backend"
        assert gateway.chat("another").status_code == 200, "each rule has its own"

    @pytest.mark.parametrize("busy", [("claude", "claude")], indirect=True)
    def test_anthropics_client(self, gateway, busy):
        with pytest.raises(anthropic.APIStatusError) as caught:
            gateway.anthropic().messages.create(model="claude", max_tokens=5, messages=HELLO)
        assert caught.value.status_code == 503
        assert caught.value.body["type"] == "error"

    def test_then_there_is_room_again(self, gateway):
        assert {gateway.chat("model").status_code for _ in range(5)} == {200}


class TestLocalLimits:
    """Two requests an hour for each user, three for all who say no name."""

    LIMITS = {
        "local": {
            "rules": [
                {
                    "clientSelectors": [{"headers": [{"name": "x-user-id", "type": "Distinct"}]}],
                    "limit": {"requests": 2, "unit": "Hour"},
                },
                {"limit": {"requests": 3, "unit": "Hour"}},
            ]
        }
    }

    @classmethod
    def manifest(cls, running, another="qwen3"):
        rules = [resources.rule("model", "qwen3"), resources.rule("another", another)]
        return manifest(running, *rules, rateLimit=cls.LIMITS)

    @pytest.fixture(scope="class", params=["alone", "redis"])
    @classmethod
    def gateway(cls, request, shared_providers, start_gateway):
        redis = request.getfixturevalue("redis") if request.param == "redis" else None
        gateway = start_gateway(cls.manifest(shared_providers), redis=redis)
        yield gateway
        gateway.stop()

    def test_each_user_has_a_bucket(self, gateway, providers, user):
        answers = [gateway.chat("model", user) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["x-ratelimit-limit"] == "2"
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
        refused = answers[-1]
        assert 1 <= int(refused.headers["retry-after"]) <= 3600
        error = refused.json()["error"]
        assert "rate limit reached for the model model" in error["message"]
        assert error["type"]
        assert gateway.chat("model", new_user()).status_code == 200
        assert gateway.chat("another", user).status_code == 200, "each rule has its own"
        assert len(providers["qwen3"].requests(CHAT)) == 4
        assert [line["status"] for line in gateway.logged(user, 4)][:3] == [200, 200, 429]

    def test_all_apis_take_from_it(self, gateway, user):
        for _ in range(2):
            assert gateway.chat("model", user).status_code == 200
        with pytest.raises(anthropic.RateLimitError) as caught:
            gateway.anthropic(user).messages.create(model="model", max_tokens=5, messages=HELLO)
        assert caught.value.body["type"] == "error"
        assert caught.value.body["error"]["type"] == "rate_limit_error"
        assert int(caught.value.response.headers["retry-after"]) >= 1

    def test_what_no_route_takes_is_no_matter_of_a_limit(self, gateway):
        assert {gateway.chat("nobody").status_code for _ in range(5)} == {404}

    def test_the_rest_has_one_bucket(self, gateway):
        assert [gateway.chat("model").status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_a_reload_of_something_else_does_not_fill_it(self, shared_providers, run, user):
        gateway = run(self.manifest(shared_providers))
        assert [gateway.chat("model", user).status_code for _ in range(3)] == [200, 200, 429]
        gateway.write(self.manifest(shared_providers, another="gpt-oss"))
        moved = lambda: who_answers(gateway, "another", **{"x-user-id": new_user()}) == "gpt-oss"
        wait_for(moved, 15, what="the other backend")
        assert gateway.chat("model", user).status_code == 429


class TestHash:
    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls, shared_providers, start_gateway):
        rule = resources.rule("model", {"name": "qwen3", "weight": 1}, {"name": "gpt-oss", "weight": 3})
        on = {"type": "Headers", "headers": [{"name": "x-session"}]}
        balancer = {"type": "ConsistentHash", "consistentHash": on}
        gateway = start_gateway(manifest(shared_providers, rule, loadBalancer=balancer))
        yield gateway
        gateway.stop()

    def test_a_session_stays_where_it_is(self, gateway):
        for session in range(10):
            assert len({who_answers(gateway, **{"x-session": f"s-{session}"}) for _ in range(4)}) == 1

    def test_weights_count(self, gateway):
        answered = [who_answers(gateway, **{"x-session": f"session-{i}"}) for i in range(200)]
        assert 110 < answered.count("gpt-oss") < 190, answered.count("gpt-oss")


class TestPrefix:
    """Turns of a conversation go where its first one went, and conversations are spread over the servers."""

    CONVERSATIONS, TURNS = 12, 4
    SERVERS = ("qwen3", "gpt-oss")

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls, shared_providers, start_gateway):
        on = {"type": "Header", "header": {"name": "x-weir-prefix-key"}}
        servers = [resources.endpoint(shared_providers[name].url) for name in cls.SERVERS]
        fleet = resources.backend("fleet", shared_providers["qwen3"].url)
        fleet[0]["spec"]["endpoints"] = servers
        rules = [
            resources.rule("fleet", "fleet"),
            resources.rule("weighted", {"name": "qwen3", "weight": 1}, {"name": "gpt-oss", "weight": 1}),
        ]
        policy = {"loadBalancer": {"type": "ConsistentHash", "consistentHash": on}}
        gateway = start_gateway([*manifest(shared_providers, *rules, **policy), *fleet])
        yield gateway
        gateway.stop()

    def served(self, gateway, providers, ask):
        """The servers of each conversation, in the order of its turns."""
        served = []
        for number in range(self.CONVERSATIONS):
            messages, places = [{"role": "system", "content": "Be brief."}], []
            for turn in range(self.TURNS):
                messages.append({"role": "user", "content": f"conversation {number}, turn {turn}"})
                before = {name: len(providers[name].requests("/v1/")) for name in self.SERVERS}
                messages.append({"role": "assistant", "content": ask(gateway, messages)})
                places += [name for name in self.SERVERS if len(providers[name].requests("/v1/")) > before[name]]
            served.append(places)
        return served

    def chat(self, model):
        def ask(gateway, messages):
            answer = gateway.openai().chat.completions.create(model=model, messages=messages)
            return answer.choices[0].message.content

        return ask

    def messages(self, gateway, messages):
        system, *turns = messages
        answer = gateway.anthropic().messages.create(
            model="fleet", max_tokens=100, system=system["content"], messages=turns
        )
        return answer.content[0].text

    @pytest.mark.parametrize("api", ["fleet", "weighted", "messages"])
    def test_a_conversation_stays_where_it_is(self, gateway, providers, api):
        served = self.served(gateway, providers, self.messages if api == "messages" else self.chat(api))
        assert all(len(places) == self.TURNS and len(set(places)) == 1 for places in served), served
        assert len({places[0] for places in served}) > 1, "all at one server"
        assert "x-weir-prefix-key" not in str([providers[name].requests("/v1/") for name in self.SERVERS])

    def test_a_client_cannot_say_where(self, gateway, providers):
        """Its own value counts for nothing, and no backend sees it."""
        for key in ("a", "b", "c", "d", "e", "f"):
            headers = {"x-weir-prefix-key": key}
            body = {"model": "weighted", "messages": HELLO}
            assert gateway.http.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
        seen = [providers[name].requests("/v1/") for name in self.SERVERS]
        assert sorted(map(len, seen)) == [0, 6]
        assert "x-weir-prefix-key" not in str(seen)


POLICIES = {
    "health": {"healthCheck": {"active": asked(), "passive": {"alwaysEjectOneEndpoint": True}, "panicThreshold": 50}},
    "breaker": {"circuitBreaker": {"maxParallelRequests": 100, "maxConnections": 100}},
    "balancer": {"loadBalancer": {"type": "RoundRobin", "slowStart": {"window": "1s"}}},
    "random": {"loadBalancer": {"type": "Random"}},
    "limits": {"rateLimit": {"local": {"rules": [{"limit": {"requests": 100_000, "unit": "Second"}}]}}},
}


def test_a_reload_loses_no_request(shared_providers, run, providers):
    """Policies come and go under load. One model goes a direct way without them, one never does."""
    rules = [both(), resources.rule("single", "qwen3")]
    gateway = run(manifest(shared_providers, *rules))
    statuses, stop = [], threading.Event()

    def load(model):
        while not stop.is_set():
            statuses.append(gateway.chat(model).status_code)

    workers = [threading.Thread(target=load, args=[model]) for model in ("model", "single")]
    for worker in workers:
        worker.start()
    try:
        for name, policy in POLICIES.items():
            for model, traffic in [(f"with-{name}", policy), (f"without-{name}", {})]:
                gateway.write(manifest(shared_providers, *rules, resources.rule(model, "gpt-oss"), **traffic))
                wait_for(lambda model=model: gateway.chat(model).status_code == 200, 15, what=model)
                time.sleep(0.2)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert len(statuses) > 20
    assert set(statuses) == {200}
