#!/usr/bin/env python3
"""Writes the dashboards into dashboards/."""

import json
import pathlib

from panels import bars, choice, dashboard, heatmap, lines, number, row, variable

FOLDER = pathlib.Path(__file__).resolve().parent / "dashboards"

#: What the variables leave of the gateway's own metrics.
ASKED = 'job=~"$job", gen_ai_operation_name=~"$operation", gen_ai_original_model=~"$model"'
CHOSEN = f'{ASKED}, gen_ai_backend=~"$backend"'
ERRORS = f'{CHOSEN}, error_type!=""'
#: What is refused before a backend is chosen.
REFUSED = f'{ASKED}, gen_ai_backend="unknown", error_type!=""'
OVER_BUDGET = f'{ASKED}, gen_ai_backend="unknown", error_type="429"'
UNHEARD_OF = f'{ASKED}, gen_ai_backend="unknown", error_type="404"'
#: What is the provider's fault, or the way's to it: errors, answers that broke, attempts after which another was asked.
#: Of both counters: a failover is an attempt that no request is counted for.
FAILED = 'gen_ai_backend!="unknown", error_type=~"5..|interrupted|failover"'
TRIED = '__name__=~"weir_(requests|failovers)_total"'
#: Of Envoy's own listeners.
CLIENTS = 'job=~"$job", envoy_http_conn_manager_prefix!~"admin|weir_.*"'
#: Of its ways to backends.
CLUSTERS = 'job=~"$job", envoy_cluster_name!~"weir_.*"'

VARIABLES = [
    variable("job", "Job", "label_values(envoy_server_live, job)"),
    variable("operation", "Operation", "label_values(weir_requests_total, gen_ai_operation_name)"),
    variable("model", "Model", "label_values(weir_requests_total, gen_ai_original_model)"),
    variable("backend", "Backend", "label_values(weir_requests_total, gen_ai_backend)"),
]

DURATION = "gen_ai_server_request_duration_seconds"
FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds"
PER_TOKEN = "gen_ai_server_time_per_output_token_seconds"
TOKENS = "gen_ai_client_token_usage_token"

BACKEND = "{{gen_ai_backend}}"
MODEL = "{{gen_ai_original_model}}"


def rate(metric, by="", labels=CHOSEN):
    """How much a counter grows in a second; `by`: for each value of these labels."""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}{{{labels}}}[$__rate_interval]))"


def growth(metric, by="", labels=CHOSEN):
    """How much a counter has grown in the time that is shown."""
    return rate(metric, by, labels).replace("rate(", "increase(").replace("$__rate_interval", "$__range")


def per(what, whole):
    """A share of the whole, where there is one."""
    return f"{what} / ({whole} > 0)"


def quantile(share, histogram, by=""):
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(histogram + '_bucket', labels)})"


def tokens(*kinds):
    return f'{CHOSEN}, gen_ai_token_type=~"{"|".join(kinds)}"'


def failing(by):
    """The share of all attempts that came to nothing."""
    failed = rate("", by, f"{TRIED}, {CHOSEN}, {FAILED}")
    tried = rate("", by, f'{TRIED}, {CHOSEN}, gen_ai_backend!="unknown"')
    # What has not failed yet has no such series.
    return f"({failed} or 0 * {tried}) / {tried}"


OVERVIEW = dashboard(
    "weir-overview",
    "Weir: overview",
    "What the gateway serves, how fast, and how it is.",
    VARIABLES,
    [
        number("Requests", "reqps", rate("weir_requests_total")),
        number(
            "Errors",
            "percentunit",
            f"({rate('weir_requests_total', labels=ERRORS)} or vector(0)) / {rate('weir_requests_total')}",
            "Requests that came to no success, those that are refused among them.",
            [(0.01, "orange"), (0.05, "red")],
        ),
        number("Duration, 95 %", "s", quantile(0.95, DURATION)),
        number("First token, 95 %", "s", quantile(0.95, FIRST_TOKEN)),
        number(
            "Tokens", "cps", rate(f"{TOKENS}_sum", labels=tokens("input", "output")), "Input and output, per second."
        ),
        number("Open requests", "none", f"sum(envoy_http_downstream_rq_active{{{CLIENTS}}})", "Streams among them."),
        lines(
            "Requests by operation",
            "reqps",
            (rate("weir_requests_total", "gen_ai_operation_name"), "{{gen_ai_operation_name}}"),
            stacked=True,
        ),
        lines(
            "Requests by model", "reqps", (rate("weir_requests_total", "gen_ai_original_model"), MODEL), stacked=True
        ),
        lines(
            "Errors by cause",
            "reqps",
            (rate("weir_requests_total", "error_type", ERRORS), "{{error_type}}"),
            description="The status; `canceled`: the client left before an answer; `interrupted`: it had no end.",
            stacked=True,
        ),
        lines("Duration", "s", *((quantile(share, DURATION), f"{share:.0%}") for share in (0.5, 0.95, 0.99))),
        lines("Tokens by type", "cps", (rate(f"{TOKENS}_sum", "gen_ai_token_type"), "{{gen_ai_token_type}}")),
        lines(
            "What is not as it was asked",
            "reqps",
            (rate("weir_losses_total"), "fields lost in translation"),
            (rate("weir_uncertain_requests_total"), "requests of uncertain usage"),
            (rate("weir_failovers_total"), "failovers"),
        ),
        row("Envoy"),
        lines(
            "Memory",
            "bytes",
            ('sum by (instance) (envoy_server_memory_allocated{job=~"$job"})', "allocated, {{instance}}"),
            ('sum by (instance) (envoy_server_memory_heap_size{job=~"$job"})', "heap, {{instance}}"),
        ),
        lines(
            "Of the memory that it may have",
            "percent",
            (
                'max by (instance) (envoy_overload_envoy_resource_monitors_fixed_heap_pressure{job=~"$job"})',
                "{{instance}}",
            ),
            description="New requests are refused from 90 % on, connections from 97 %; streams end from 93 % on.",
            maximum=100,
        ),
        lines(
            "Open",
            "none",
            (f"sum by (instance) (envoy_http_downstream_rq_active{{{CLIENTS}}})", "requests, {{instance}}"),
            (f"sum by (instance) (envoy_http_downstream_cx_active{{{CLIENTS}}})", "connections, {{instance}}"),
        ),
        lines(
            "Refused for want of room",
            "reqps",
            (
                f"sum by (instance) (rate(envoy_http_rq_overload_local_reply{{{CLIENTS}}}[$__rate_interval]))",
                "requests, {{instance}}",
            ),
            (
                'sum by (instance) (rate(envoy_listener_downstream_cx_overload_reject{job=~"$job"}[$__rate_interval]))',
                "connections, {{instance}}",
            ),
        ),
        row("Credentials"),
        lines(
            "There is one",
            "bool_yes_no",
            ('min by (credential) (weir_credential_available{job=~"$job"})', "{{credential}}"),
            maximum=1,
            width=8,
        ),
        lines(
            "Failures in a row",
            "none",
            ('max by (credential) (weir_credential_failures{job=~"$job"})', "{{credential}}"),
            width=8,
        ),
        lines(
            "To their expiry",
            "s",
            ('min by (credential) (weir_credential_expiry_timestamp_seconds{job=~"$job"}) - time()', "{{credential}}"),
            description="They are renewed five minutes before, or after half of their lifetime.",
            width=8,
        ),
    ],
)

PROVIDERS = dashboard(
    "weir-providers",
    "Weir: providers",
    "How fast and how reliable each backend is.",
    VARIABLES,
    [
        lines("Requests", "reqps", (rate("weir_requests_total", "gen_ai_backend"), BACKEND), stacked=True),
        lines(
            "Failing",
            "percentunit",
            (failing("gen_ai_backend"), BACKEND),
            description="The share of attempts with a 5xx, with an answer that broke, or after which another was made.",
            maximum=1,
        ),
        lines(
            "Errors",
            "reqps",
            (
                rate("weir_requests_total", "gen_ai_backend, error_type", ERRORS + ', gen_ai_backend!="unknown"'),
                BACKEND + ", {{error_type}}",
            ),
        ),
        lines(
            "Failovers",
            "reqps",
            (rate("weir_failovers_total", "gen_ai_backend"), BACKEND),
            description="At the backend that was left.",
        ),
        lines(
            "Attempts for a request",
            "none",
            (
                per(rate("weir_attempts_total", "gen_ai_backend"), rate("weir_requests_total", "gen_ai_backend")),
                BACKEND,
            ),
            description="Counted at the backend that answered, or was tried last.",
        ),
        lines(
            "Open requests",
            "none",
            (
                f"sum by (envoy_cluster_name) (envoy_cluster_upstream_rq_active{{{CLUSTERS}}})",
                "{{envoy_cluster_name}}",
            ),
            description="By Envoy's clusters, which are named after their first backend.",
        ),
        lines(
            "Connections that failed",
            "cps",
            (
                rate("envoy_cluster_upstream_cx_connect_fail", "envoy_cluster_name", CLUSTERS),
                "{{envoy_cluster_name}}",
            ),
        ),
        lines(
            "Lost in translation",
            "cps",
            (
                rate("weir_losses_total", "gen_ai_backend, gen_ai_operation_name"),
                BACKEND + ", {{gen_ai_operation_name}}",
            ),
            description="Fields that did not reach the backend, or the client.",
        ),
        row("Latency"),
        lines("Duration, median", "s", (quantile(0.5, DURATION, "gen_ai_backend"), BACKEND)),
        lines("Duration, 95 %", "s", (quantile(0.95, DURATION, "gen_ai_backend"), BACKEND)),
        lines("First token, median", "s", (quantile(0.5, FIRST_TOKEN, "gen_ai_backend"), BACKEND)),
        lines("First token, 95 %", "s", (quantile(0.95, FIRST_TOKEN, "gen_ai_backend"), BACKEND)),
        lines(
            "Time per token, median",
            "s",
            (quantile(0.5, PER_TOKEN, "gen_ai_backend"), BACKEND),
            description="Of streams, behind their first content.",
        ),
        lines("Time per token, 95 %", "s", (quantile(0.95, PER_TOKEN, "gen_ai_backend"), BACKEND)),
        heatmap("First token", "s", rate(f"{FIRST_TOKEN}_bucket", "le")),
        heatmap("Duration", "s", rate(f"{DURATION}_bucket", "le")),
        row("Tokens"),
        lines(
            "Input",
            "cps",
            (rate(f"{TOKENS}_sum", "gen_ai_backend", tokens("input")), BACKEND),
            description="Tokens per second.",
        ),
        lines(
            "Output",
            "cps",
            (rate(f"{TOKENS}_sum", "gen_ai_backend", tokens("output")), BACKEND),
            description="Tokens per second.",
        ),
    ],
)

GROUPED = "{{$by}}"
BY = choice(
    "by",
    "By",
    "gen_ai_original_model",
    "gen_ai_response_model",
    "gen_ai_backend",
    "gen_ai_provider_name",
    "gen_ai_operation_name",
)

COST = dashboard(
    "weir-cost",
    "Weir: cost and tokens",
    "What is used, and by whom. Labels of your own (weir.dev/metrics-headers) can be added to the variable `by`.",
    [*VARIABLES, BY],
    [
        number(
            "Input",
            "short",
            growth(f"{TOKENS}_sum", labels=tokens("input")),
            "Tokens in the time that is shown.",
            width=6,
        ),
        number(
            "Output",
            "short",
            growth(f"{TOKENS}_sum", labels=tokens("output")),
            "Tokens in the time that is shown.",
            width=6,
        ),
        number(
            "Input from a cache",
            "percentunit",
            per(
                growth(f"{TOKENS}_sum", labels=tokens("cached_input")), growth(f"{TOKENS}_sum", labels=tokens("input"))
            ),
            "The share of the input that a provider read from its prompt cache.",
            width=6,
        ),
        number(
            "Uncertain",
            "percentunit",
            per(growth("weir_uncertain_requests_total"), growth("weir_requests_total")),
            "Requests whose usage is partial or estimated.",
            [(0.05, "orange")],
            width=6,
        ),
        lines(
            "Cost",
            "cps",
            (rate("weir_cost_total", "cost"), "{{cost}}"),
            description="By the metadataKey of llmRequestCosts; with `weir run` those that a budget charges.",
        ),
        lines("Cost", "cps", (rate("weir_cost_total", "cost, $by"), "{{cost}}, " + GROUPED)),
        lines(
            "Input",
            "cps",
            (rate(f"{TOKENS}_sum", "$by", tokens("input")), GROUPED),
            description="Tokens per second.",
            stacked=True,
        ),
        lines(
            "Output",
            "cps",
            (rate(f"{TOKENS}_sum", "$by", tokens("output")), GROUPED),
            description="Tokens per second.",
            stacked=True,
        ),
        bars(
            "Most tokens",
            "short",
            f"topk(10, {growth(f'{TOKENS}_sum', '$by', tokens('input', 'output'))})",
            GROUPED,
            "Input and output in the time that is shown.",
        ),
        bars(
            "Most requests",
            "short",
            f"topk(10, {growth('weir_requests_total', '$by')})",
            GROUPED,
            "In the time that is shown.",
        ),
        lines(
            "Tokens for a request",
            "short",
            *(
                (
                    per(rate(f"{TOKENS}_sum", "$by", tokens(kind)), rate(f"{TOKENS}_count", "$by", tokens(kind))),
                    f"{kind}, {GROUPED}",
                )
                for kind in ("input", "output")
            ),
            description="On average.",
        ),
        lines(
            "Input from a cache",
            "percentunit",
            (
                per(
                    rate(f"{TOKENS}_sum", "$by", tokens("cached_input")), rate(f"{TOKENS}_sum", "$by", tokens("input"))
                ),
                GROUPED,
            ),
            maximum=1,
        ),
        lines(
            "Written to a cache",
            "cps",
            (rate(f"{TOKENS}_sum", "$by", tokens("cache_creation_input")), GROUPED),
            description="Tokens per second, part of the input.",
        ),
        lines(
            "Reasoning",
            "cps",
            (rate(f"{TOKENS}_sum", "$by", tokens("reasoning")), GROUPED),
            description="Tokens per second, part of the output.",
        ),
        lines(
            "Paid for nothing",
            "cps",
            (
                rate(f"{TOKENS}_sum", "gen_ai_backend", CHOSEN + ', error_type=~"failover|canceled|interrupted|5.."'),
                BACKEND,
            ),
            description="Tokens per second of attempts that were left, and of answers that broke or nobody waited for.",
        ),
        lines(
            "Uncertain usage",
            "reqps",
            (rate("weir_uncertain_requests_total", "gen_ai_backend"), BACKEND),
            description="Requests whose usage is partial or estimated.",
        ),
    ],
)

BUDGETS = dashboard(
    "weir-budgets",
    "Weir: budgets and refusals",
    "What the gateway refuses by itself, before a backend is chosen.",
    [each for each in VARIABLES if each["name"] != "backend"],
    [
        number("Refused", "reqps", rate("weir_requests_total", labels=REFUSED), width=6),
        number(
            "Of all requests",
            "percentunit",
            per(rate("weir_requests_total", labels=REFUSED), rate("weir_requests_total", labels=ASKED)),
            thresholds=[(0.05, "orange"), (0.2, "red")],
            width=6,
        ),
        number(
            "Over a budget",
            "short",
            growth("weir_requests_total", labels=OVER_BUDGET),
            "Requests in the time that is shown.",
            width=6,
        ),
        number(
            "Charged", "short", growth("weir_cost_total", labels=ASKED), "All costs in the time that is shown.", width=6
        ),
        lines(
            "Refused by status",
            "reqps",
            (rate("weir_requests_total", "error_type", REFUSED), "{{error_type}}"),
            description="400: wrong requests; 404: models that no route takes; 429: budgets; 503: no room.",
            stacked=True,
        ),
        lines(
            "Over a budget, by model",
            "reqps",
            (rate("weir_requests_total", "gen_ai_original_model", OVER_BUDGET), MODEL),
            stacked=True,
        ),
        lines(
            "Charged",
            "cps",
            (rate("weir_cost_total", "cost", ASKED), "{{cost}}"),
            description="What budgets count, per second.",
        ),
        lines(
            "Charged by model",
            "cps",
            (rate("weir_cost_total", "cost, gen_ai_original_model", ASKED), "{{cost}}, " + MODEL),
        ),
        bars(
            "Models that no route takes",
            "short",
            f"topk(10, {growth('weir_requests_total', 'gen_ai_original_model', UNHEARD_OF)})",
            MODEL,
            "Requests in the time that is shown.",
        ),
        lines(
            "Limited by providers",
            "reqps",
            (
                rate(
                    "weir_requests_total", "gen_ai_backend", 'job=~"$job", gen_ai_backend!="unknown", error_type="429"'
                ),
                BACKEND,
            ),
            description="A 429 of a backend's own, which no other backend took over.",
        ),
    ],
)


def files():
    """What is written, by the file."""
    for each in (OVERVIEW, PROVIDERS, COST, BUDGETS):
        yield FOLDER / f"{each['uid']}.json", json.dumps(each, indent=2) + "\n"


if __name__ == "__main__":
    for file, text in files():
        file.write_text(text)
