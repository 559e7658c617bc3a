"""Responses that backends keep, with OpenAI's SDK: what refers to one goes to the backend that has it, of several in a rule."""

import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for as until
from harness.samples import SSE

KEY = "0123456789abcdef0123456789abcdef"
BACKENDS = ["main", "spare"]
#: With both backends, and with one.
BOTH, ALONE = "gpt-of-both", "gpt-of-one"


def manifest(url, *backends, key=KEY):
    parts = resources.gateway()
    if key:
        parts[1]["metadata"]["annotations"] = {"weir.dev/response-key": "responses"}
        parts.append(resources.secret("responses", key=key))
    return [
        *parts,
        *resources.backend("main", url["main"]),
        *resources.api_key("main", stand_ins.OPENAI_KEY),
        *resources.backend("spare", url["spare"]),
        *resources.api_key("spare", stand_ins.SPARE_KEY),
        resources.route(
            resources.rule(BOTH, *[{"name": name, "weight": weight} for name, weight in backends]),
            resources.rule(ALONE, "main"),
        ),
    ]


@pytest.fixture(scope="module")
def url(shared_providers):
    return {name: shared_providers[name].url for name in BACKENDS}


@pytest.fixture(scope="module")
def gateway(url, start_gateway):
    return start_gateway(manifest(url, ("main", 1), ("spare", 1)))


@pytest.fixture
def client(gateway):
    return gateway.openai()


def ask(client, model=BOTH, **more):
    return client.responses.create(model=model, input="one two three", **more)


def keeper(response):
    """The backend that has a response: it is in its own name for it."""
    return response.id.removeprefix("resp_").split("_")[0]


def one_of_each(client, **more):
    found = {}
    while len(found) < len(BACKENDS):
        response = ask(client, **more)
        found[keeper(response)] = response
    return found


def test_the_next_request_goes_where_the_first_went(client):
    first = [ask(client) for _ in range(12)]
    assert {keeper(response) for response in first} == set(BACKENDS)
    for response in first * 3:
        following = ask(client, previous_response_id=response.id)
        assert keeper(following) == keeper(response)
        assert following.previous_response_id == response.id


def test_streams_name_it_as_well(client):
    for _ in range(8):
        with client.responses.stream(model=BOTH, input="x") as events:
            names = {event.response.id for event in events if hasattr(event, "response")}
            final = events.get_final_response()
        assert names == {final.id}
        with client.responses.stream(model=BOTH, input="x", previous_response_id=final.id) as events:
            following = events.get_final_response()
        assert keeper(following) == keeper(final)


@pytest.mark.parametrize("model", [BOTH, ALONE])
def test_a_stored_response(client, model):
    for response in one_of_each(client).values() if model == BOTH else [ask(client, model)]:
        assert client.responses.retrieve(response.id) == response
        items = list(client.responses.input_items.list(response.id))
        assert items[0].content[0].text == "one two three"
        with pytest.raises(openai.BadRequestError, match="synchronous"):
            client.responses.cancel(response.id)
        assert client.responses.delete(response.id) is None
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.retrieve(response.id)


def test_one_in_the_background_is_cancelled(client):
    for response in one_of_each(client, background=True).values():
        assert response.status == "queued"
        cancelled = client.responses.cancel(response.id)
        assert (cancelled.id, cancelled.status) == (response.id, "cancelled")


def test_a_conversation_is_compacted_where_it_is(client):
    for name, response in one_of_each(client).items():
        compacted = client.responses.compact(model=BOTH, input="x", previous_response_id=response.id)
        assert compacted.output[0].type == "compaction"
        assert keeper(compacted) == name


def test_items_are_found_where_they_are(client):
    for name, response in one_of_each(client).items():
        references = [{"type": "item_reference", "id": item.id} for item in response.output]
        for _ in range(4):
            following = client.responses.create(model=BOTH, input=[*references, {"role": "user", "content": "x"}])
            assert keeper(following) == name
        with client.responses.stream(model=BOTH, input=references) as events:
            seen = [event for event in events if getattr(event, "item_id", "") or hasattr(event, "item")]
            final = events.get_final_response()
        assert {getattr(event, "item_id", None) or event.item.id for event in seen} == {final.output[0].id}
        assert keeper(final) == name
    both = [{"type": "item_reference", "id": response.output[0].id} for response in one_of_each(client).values()]
    with pytest.raises(openai.BadRequestError, match="another backend than the rest") as refused:
        client.responses.create(model=BOTH, input=both)
    assert refused.value.param == "input[1].id"


#: As agents ask that keep a conversation themselves.
STATELESS = {"store": False, "include": ["reasoning.encrypted_content"]}


def going_on(response, *before):
    question = {"role": "user", "content": "one two three"}
    items = [item.model_dump(exclude_none=True) for item in response.output]
    return [*before, question, *items, question]


def test_a_thought_goes_to_the_backend_that_can_read_it(client):
    for name, response in one_of_each(client, **STATELESS).items():
        assert [item.type for item in response.output] == ["reasoning", "message"]
        for _ in range(4):
            following = client.responses.create(model=BOTH, input=going_on(response), **STATELESS)
            assert keeper(following) == name
        with client.responses.stream(model=BOTH, input=going_on(response), **STATELESS) as events:
            final = events.get_final_response()
        assert keeper(final) == name
        assert keeper(client.responses.create(model=BOTH, input=going_on(final), **STATELESS)) == name


def test_a_conversation_goes_on_without_the_thoughts_of_a_backend_that_fails(client, providers):
    made = one_of_each(client, **STATELESS)
    providers["main"].fail(503)
    answer = client.responses.with_raw_response.create(
        model=BOTH, input=going_on(made["main"]), extra_headers={"x-weir-report-losses": "true"}, **STATELESS
    )
    moved = answer.parse()
    assert keeper(moved) == "spare"
    assert answer.headers["x-weir-losses"] == "input[1]: only the backend that made it can read it"
    # From here on the newest thought says where it goes.
    mixed = going_on(moved, *going_on(made["main"]))
    for _ in range(4):
        assert keeper(client.responses.create(model=BOTH, input=mixed, **STATELESS)) == "spare"


def test_a_compacted_conversation_is_nobody_elses(client, providers):
    for name, response in one_of_each(client).items():
        compacted = client.responses.compact(model=BOTH, input="x", previous_response_id=response.id)
        [item] = [item.model_dump(exclude_none=True) for item in compacted.output]
        for _ in range(4):
            assert keeper(client.responses.create(model=BOTH, input=[item, {"role": "user", "content": "x"}])) == name


def test_no_other_backend_is_asked_when_the_one_fails(client, providers):
    response = one_of_each(client)["main"]
    for provider in (providers["main"], providers["spare"]):
        provider.clear()
    providers["main"].fail(503, times=9)
    with pytest.raises(openai.InternalServerError):
        ask(client, previous_response_id=response.id)
    assert (len(providers["main"].requests()), providers["spare"].requests()) == (1, [])


def test_the_backend_gets_its_own_credential_and_no_header_of_the_gateways(client, providers):
    response = ask(client)
    provider = providers[keeper(response)]
    client.responses.retrieve(response.id)
    request = provider.requests()[-1]
    key = {"main": stand_ins.OPENAI_KEY, "spare": stand_ins.SPARE_KEY}[keeper(response)]
    headers = {name.lower(): value for name, value in dict(request["headers"]).items()}
    assert headers["authorization"] == f"Bearer {key}"
    assert not [name for name in headers if name.startswith(("x-weir-", "x-ai-eg-"))]


def test_what_the_gateway_has_not_named(client, providers):
    own, rest = ask(client).id.rsplit("__kept_", 1)
    for forged in [f"{own}1__kept_{rest}", f"{own}__kept_{rest[:-2]}AA", "resp_1__kept_x"]:
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, previous_response_id=forged)
        assert refused.value.param == "previous_response_id"
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(forged)
    # The backend itself knows nothing of it.
    with pytest.raises(openai.BadRequestError, match="Previous response with id 'resp_1' not found"):
        ask(client, previous_response_id="resp_1")
    with pytest.raises(openai.NotFoundError, match="which backend"):
        client.responses.retrieve("resp_1")


def test_a_reload_takes_the_backend_away_and_brings_it_back(url, start_gateway):
    gateway = start_gateway(manifest(url, ("main", 1), ("spare", 1)))
    client = gateway.openai()
    made = one_of_each(client)

    # One that takes no traffic still has what it kept.
    gateway.write(manifest(url, ("main", 1), ("spare", 0)))
    until(lambda: {keeper(ask(client)) for _ in range(8)} == {"main"})
    assert keeper(ask(client, previous_response_id=made["spare"].id)) == "spare"

    gateway.write(manifest(url, ("main", 1)))

    def is_gone():
        try:
            ask(client, previous_response_id=made["spare"].id)
        except openai.BadRequestError as error:
            assert error.param == "previous_response_id"
            assert "does not serve this model any more" in error.message
            return True
        return False

    until(is_gone)
    item = made["spare"].output[0].id
    with pytest.raises(openai.BadRequestError, match="does not serve this model any more"):
        client.responses.create(model=BOTH, input=[{"type": "item_reference", "id": item}])
    with pytest.raises(openai.NotFoundError, match="does not serve this model any more"):
        client.responses.retrieve(made["spare"].id)
    assert keeper(ask(client, previous_response_id=made["main"].id)) == "main"

    gateway.write(manifest(url, ("main", 1), ("spare", 1)))
    until(lambda: not is_gone())
    assert client.responses.retrieve(made["spare"].id).id == made["spare"].id


def test_two_gateways_with_one_key_know_each_others_names(gateway, url, start_gateway):
    other = start_gateway(manifest(url, ("main", 1), ("spare", 1)))
    for response in one_of_each(gateway.openai()).values():
        assert other.openai().responses.retrieve(response.id) == response


def test_without_a_secret_a_key_is_made_for_the_run(gateway, url, start_gateway):
    alone = start_gateway(manifest(url, ("main", 1), ("spare", 1), key=None))
    for response in one_of_each(alone.openai()).values():
        assert alone.openai().responses.retrieve(response.id) == response
        with pytest.raises(openai.NotFoundError, match="none that this gateway has given"):
            gateway.openai().responses.retrieve(response.id)
    assert "weir.dev/response-key" in alone.process.output


def test_the_events_of_a_stored_response(client, providers):
    response = ask(client)
    provider = providers[keeper(response)]
    own = response.id.rsplit("__kept_", 1)[0]
    event = f'event: response.completed\ndata: {{"type":"response.completed","response":{{"id":"{own}"}}}}\n\n'
    provider.script({"text": event}, headers=SSE)
    with client.responses.with_streaming_response.retrieve(response.id, stream=True) as answer:
        assert "".join(answer.iter_text()) == event.replace(own, response.id)
    assert provider.requests()[-1]["path"] == f"/v1/responses/{own}?stream=true"
