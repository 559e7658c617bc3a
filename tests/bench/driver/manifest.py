"""The resources that Weir serves in the benchmark."""

from . import parts  # noqa: F401  (makes the harness importable)

from harness import resources

#: The lengths of the streams, in chunks.
LENGTHS = (500, 2000, 8000)
#: Deltas of the Claude stream that is translated.
CLAUDE_LENGTH = 500

#: Models that are passed through to a backend with OpenAI's API, and those of Claude on Bedrock.
OPENAI = ("chat", "embeddings", "paced", "idle", *(f"sse-{length}" for length in LENGTHS))
CLAUDE = ("claude", f"claude-{CLAUDE_LENGTH}")

#: Signs the requests to Bedrock; the model server does not look at the signature.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIABENCH", "AWS_SECRET_ACCESS_KEY": "secret-of-the-benchmark"}


def manifest(upstream_port, models=0):
    """Both backends on one port, costs as in the EKS blueprint, and `models` more models."""
    url = f"http://127.0.0.1:{upstream_port}"
    names = [*OPENAI, *(f"model-{number:05}" for number in range(models))]
    rules = [resources.rule(name, "openai") for name in names] + [resources.rule(name, "bedrock") for name in CLAUDE]
    routes = [
        # Gateway API allows 16 rules, so that many models are many routes; Weir takes any number.
        resources.route(*rules[at : at + 15], name=f"models-{at // 15}")
        for at in range(0, len(rules), 15)
    ]
    return [
        *resources.gateway(),
        *resources.backend("openai", url),
        *resources.backend("bedrock", url, "AWSAnthropic", "bedrock-2023-05-31"),
        *resources.aws_default("bedrock"),
        *routes,
    ]


def dump(upstream_port, models=0):
    return resources.dump(manifest(upstream_port, models))
