"""OpenAI's SDK for embeddings and Cohere's for documents to rank, and each schema that has either in another API: the stand-ins refuse
what is not in the documentation of the model that is asked."""

import json

import cohere
import openai
import pytest

from harness import providers as stand_ins
from harness import resources

#: The client's name of a model that embeds, its schema, its own name, and whether it takes several inputs.
EMBEDDERS = {
    "titan-1": ("AWSBedrock", "amazon.titan-embed-text-v1", False),
    "titan-2": ("AWSBedrock", "amazon.titan-embed-text-v2:0", False),
    "nova": ("AWSBedrock", "amazon.nova-2-multimodal-embeddings-v1:0", False),
    "bedrock-cohere-3": ("AWSBedrock", "cohere.embed-multilingual-v3", True),
    "bedrock-cohere-4": ("AWSBedrock", "us.cohere.embed-v4:0", True),
    "cohere-4": ("Cohere", "embed-v4.0", True),
    "gemini-1": ("GCPVertexAI", "gemini-embedding-001", True),
    "gemini-2": ("GCPVertexAI", "gemini-embedding-2", False),
    "vllm": ("OpenAI", "BAAI/bge-m3", True),
}
#: Those whose vectors have a length that is chosen.
RESIZED = ["titan-2", "nova", "bedrock-cohere-4", "cohere-4", "gemini-1", "gemini-2", "vllm"]
#: Those that say nowhere what was used.
SILENT = ["bedrock-cohere-3", "bedrock-cohere-4"]
#: The same of models that rank.
RANKERS = {
    "rank-bedrock-cohere": ("AWSBedrock", "cohere.rerank-v3-5:0"),
    "rank-bedrock-amazon": ("AWSBedrock", "amazon.rerank-v1:0"),
    "rank-cohere": ("Cohere", "rerank-v3.5"),
    "rank-google": ("GCPVertexAI", "semantic-ranker-default@latest"),
    "rank-vllm": ("OpenAI", "BAAI/bge-reranker-v2-m3"),
}
#: The stand-ins by their schemas.
PLACES = {"AWSBedrock": "bedrock", "Cohere": "cohere", "GCPVertexAI": "vertex", "OpenAI": "qwen3"}
DOCUMENTS = ["one", "one two three", "one two"]

embedders = pytest.mark.parametrize("model", EMBEDDERS)
rankers = pytest.mark.parametrize("model", RANKERS)


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    models = {**EMBEDDERS, **RANKERS}
    backends = [
        *[part for schema, place in PLACES.items() for part in resources.backend(place, shared_providers[place].url, schema)],
        *resources.aws_file("bedrock", stand_ins.AWS_KEY),
        *resources.api_key("cohere", stand_ins.COHERE_KEY),
        *resources.google_token("vertex", stand_ins.GOOGLE_TOKEN),
    ]
    rules = [
        resources.rule(name, {"name": PLACES[schema], "modelNameOverride": model})
        for name, (schema, model, *_) in models.items()
    ]
    return start_gateway([*resources.gateway(), *backends, resources.route(*rules)])


@pytest.fixture
def client(gateway, user):
    return gateway.openai(user)


@pytest.fixture
def lenient(gateway, user):
    """Its strict mode knows numbers only."""
    return gateway.openai(user, _strict_response_validation=False)


@pytest.fixture
def ranker(gateway):
    return cohere.ClientV2(api_key="of-the-client", base_url=gateway.url)


def vector(words, length):
    return [0.5 if (place + words) % 2 == 0 else -0.25 for place in range(length)]


def received(providers, model):
    schema = {**EMBEDDERS, **RANKERS}[model][0]
    (request,) = providers[PLACES[schema]].requests()
    return request["path"], json.loads(request["body"])


@embedders
def test_vectors_of_numbers(gateway, client, user, model):
    answer = client.embeddings.create(model=model, input="one two three", encoding_format="float")
    (item,) = answer.data
    assert item.embedding == vector(3, len(item.embedding))
    assert (item.index, item.object, answer.object) == (0, "embedding", "list")
    assert answer.model
    (record,) = gateway.logged(user)
    if model in SILENT:
        assert record["usage_status"] == "estimated"
    else:
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3
        assert (record["usage_status"], record["input_tokens"], record["total_tokens"]) == ("complete", 3, 3)


@embedders
def test_vectors_as_the_sdk_asks_for_them(lenient, providers, model):
    # In base64, which it makes numbers of.
    item = lenient.embeddings.create(model=model, input=["one two"]).data[0]
    assert list(item.embedding) == vector(2, len(item.embedding))
    _, body = received(providers, model)
    assert ("encoding_format" in body) == (model == "vllm")


@pytest.mark.parametrize("model", [name for name, (_, _, several) in EMBEDDERS.items() if several])
def test_several_texts(client, model):
    answer = client.embeddings.create(model=model, input=["one", "one two", "one two three"], encoding_format="float")
    assert [item.index for item in answer.data] == [0, 1, 2]
    for words, item in enumerate(answer.data, 1):
        assert item.embedding == vector(words, len(item.embedding))


@pytest.mark.parametrize("model", [name for name, (_, _, several) in EMBEDDERS.items() if not several])
def test_several_texts_where_one_is_taken(client, providers, model):
    with pytest.raises(openai.UnprocessableEntityError, match="input: the model takes one input"):
        client.embeddings.create(model=model, input=["one", "two"])
    assert providers[PLACES[EMBEDDERS[model][0]]].requests() == []


@embedders
def test_the_length_of_a_vector(client, model):
    def ask():
        return client.embeddings.create(model=model, input="one", dimensions=256, encoding_format="float")

    if model in RESIZED:
        assert ask().data[0].embedding == vector(1, 256)
        return
    with pytest.raises(openai.UnprocessableEntityError, match="dimensions: "):
        ask()


@pytest.mark.parametrize("model", [name for name in EMBEDDERS if name != "vllm"])
def test_tokens_are_no_text(client, model):
    with pytest.raises(openai.UnprocessableEntityError, match="input: the backend takes texts"):
        client.embeddings.create(model=model, input=[1212, 318])


@pytest.mark.parametrize("model", [name for name in EMBEDDERS if name != "vllm"])
def test_all_that_a_client_may_say(client, model):
    more = {"input_type": "search_query", "truncate": "END"}
    asked = {"model": model, "input": "one", "user": "ann", "encoding_format": "float", "extra_body": more}
    answer = client.embeddings.with_raw_response.create(**asked, extra_headers={"x-weir-report-losses": "true"})
    assert "user: " in answer.headers["x-weir-losses"]
    assert ("input_type: " in answer.headers["x-weir-losses"]) == model.startswith("titan")


@rankers
def test_ranks(gateway, ranker, providers, model):
    answer = ranker.rerank(model=model, query="one", documents=DOCUMENTS, top_n=2)
    assert [result.index for result in answer.results] == [1, 2]
    assert answer.results[0].relevance_score == 1.0
    assert answer.id
    assert answer.meta.api_version.version == "2"
    path, _ = received(providers, model)
    if model == "rank-vllm":
        assert (path, answer.meta.tokens.input_tokens) == ("/v1/rerank", 7)
    if model == "rank-cohere":
        # As it is.
        assert (path, answer.meta.billed_units.search_units) == ("/v2/rerank", 1)


@rankers
def test_what_ranks_is_reached_by_each_path(gateway, model):
    body = {"model": model, "query": "one", "documents": DOCUMENTS}
    for path in ("/cohere/v2/rerank", "/v2/rerank", "/v1/rerank", "/rerank"):
        answer = gateway.http.post(path, json=body).json()
        assert [result["index"] for result in answer["results"]] == [1, 2, 0], path


def test_an_error_is_coheres(gateway, ranker):
    with pytest.raises(cohere.core.ApiError) as caught:
        ranker.rerank(model="titan-2", query="one", documents=DOCUMENTS)
    assert caught.value.status_code == 422
    assert "amazon.titan-embed-text-v2:0" in caught.value.body["message"]


class TestStandIns:
    """Cohere's SDK takes what its stand-in says."""

    @pytest.fixture
    def sdk(self, providers):
        return cohere.ClientV2(api_key=stand_ins.COHERE_KEY, base_url=providers["cohere"].url)

    def test_embed(self, sdk):
        asked = {"model": "embed-v4.0", "texts": ["one", "one two"], "output_dimension": 256}
        answer = sdk.embed(**asked, input_type="search_query", embedding_types=["float"])
        assert answer.embeddings.float_ == [vector(1, 256), vector(2, 256)]
        assert answer.meta.billed_units.input_tokens == 3
        with pytest.raises(cohere.core.ApiError, match="output_dimension"):
            sdk.embed(**{**asked, "output_dimension": 7}, input_type="search_query", embedding_types=["float"])

    def test_rerank(self, sdk):
        answer = sdk.rerank(model="rerank-v3.5", query="one", documents=DOCUMENTS, top_n=1)
        assert [(result.index, result.relevance_score) for result in answer.results] == [(1, 1.0)]
