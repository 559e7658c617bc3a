//! Metrics as Prometheus reads them:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::{self, Write};

use super::histogram::{Buckets, DURATION, FIRST_TOKEN, Histogram, PER_TOKEN, TOKENS};
use super::labels::{BOUND, COST, Labels, TOKEN_TYPE, UNKNOWN};
use super::numbers::TOKEN_TYPES;
use super::{Metrics, Series};

/// A counter of each series.
struct Counter {
    name: &'static str,
    help: &'static str,
    count: fn(&Series) -> u64,
}

static COUNTERS: [Counter; 5] = [
    Counter {
        name: "weir_requests_total",
        help: "Requests that are over.",
        count: |series| series.numbers.requests(),
    },
    Counter {
        name: "weir_attempts_total",
        help: "How often a request was made for the backend that answered, or was tried last.",
        count: |series| series.numbers.attempts,
    },
    Counter {
        name: "weir_failovers_total",
        help: "Attempts at the backend after which the next one was asked.",
        count: |series| series.numbers.failovers,
    },
    Counter {
        name: "weir_losses_total",
        help: "Fields that a translation could not carry over.",
        count: |series| series.numbers.losses,
    },
    Counter {
        name: "weir_uncertain_requests_total",
        help: "Requests whose usage is partial or estimated.",
        count: |series| series.numbers.uncertain,
    },
];

impl Metrics {
    /// All of them as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut family = Family::begin(
            &mut text,
            "gen_ai_client_token_usage_token",
            "Tokens of an answer, by type. Those of the cache are in the input, those of reasoning in the output.",
            "histogram",
        );
        for series in &self.series {
            for (histogram, (kind, _)) in series.numbers.tokens.iter().zip(TOKEN_TYPES) {
                family.histogram(series, Some((TOKEN_TYPE, kind)), &TOKENS, histogram);
            }
        }
        let mut family = Family::begin(
            &mut text,
            "gen_ai_server_request_duration_seconds",
            "From a request to the end of its answer.",
            "histogram",
        );
        for series in self.series.iter().filter(|series| series.labels.provider != UNKNOWN) {
            family.histogram(series, None, &DURATION, &series.numbers.duration);
        }
        let mut family = Family::begin(
            &mut text,
            "gen_ai_server_time_to_first_token_seconds",
            "From a request to the first content of its stream.",
            "histogram",
        );
        for series in &self.series {
            family.histogram(series, None, &FIRST_TOKEN, &series.numbers.first_token);
        }
        let mut family = Family::begin(
            &mut text,
            "gen_ai_server_time_per_output_token_seconds",
            "Of a stream from its first content to its end, by further token.",
            "histogram",
        );
        for series in &self.series {
            family.histogram(series, None, &PER_TOKEN, &series.numbers.per_token);
        }
        for counter in &COUNTERS {
            let mut family = Family::begin(&mut text, counter.name, counter.help, "counter");
            for series in &self.series {
                family.counter(series, None, (counter.count)(series));
            }
        }
        let help = "What requests cost, by the metadataKey of llmRequestCosts.";
        let mut family = Family::begin(&mut text, "weir_cost_total", help, "counter");
        for series in &self.series {
            for (key, cost) in &series.numbers.costs {
                family.counter(series, Some((COST, key)), *cost);
            }
        }
        text
    }
}

/// The samples of one name.
pub(super) struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

impl<'t> Family<'t> {
    pub(super) fn begin(text: &'t mut String, name: &'static str, help: &str, kind: &str) -> Family<'t> {
        line(text, format_args!("# HELP {name} {help}"));
        line(text, format_args!("# TYPE {name} {kind}"));
        Family { text, name }
    }

    /// `label`: its only one.
    pub(super) fn gauge(&mut self, label: &impl fmt::Display, value: u64) {
        line(self.text, format_args!("{}{{{label}}} {value}", self.name));
    }

    /// `more`: a label beside those of the series. What never happened is left out.
    fn counter(&mut self, series: &Series, more: Option<(&str, &str)>, count: u64) {
        if count > 0 {
            let labels = Shown { labels: &series.labels, more, bound: None };
            line(self.text, format_args!("{}{labels} {count}", self.name));
        }
    }

    fn histogram<const N: usize>(
        &mut self,
        series: &Series,
        more: Option<(&str, &str)>,
        buckets: &Buckets,
        histogram: &Histogram<N>,
    ) {
        if histogram.counts == [0; N] {
            return;
        }
        let name = self.name;
        let labels = Shown { labels: &series.labels, more, bound: None };
        let bounds = buckets.bounds.iter().map(|bound| buckets.shown(*bound)).chain(["+Inf".to_owned()]);
        let mut sum = 0_u64;
        for (bound, count) in bounds.zip(histogram.counts) {
            sum = sum.saturating_add(count);
            let labels = Shown { bound: Some(&bound), ..labels };
            line(self.text, format_args!("{name}_bucket{labels} {sum}"));
        }
        line(self.text, format_args!("{name}_sum{labels} {}", buckets.shown(histogram.sum)));
        line(self.text, format_args!("{name}_count{labels} {sum}"));
    }
}

/// Writing to memory does not fail.
fn line(text: &mut String, line: fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

/// Labels in braces.
#[derive(Clone, Copy)]
struct Shown<'a> {
    labels: &'a Labels<'static>,
    more: Option<(&'a str, &'a str)>,
    bound: Option<&'a str>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.more.into_iter().chain(self.bound.map(|bound| (BOUND, bound)));
        let labels = self.labels.named().filter(|(_, value)| !value.is_empty());
        for (index, (name, value)) in labels.chain(more).enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{}", label(name, value))?;
        }
        f.write_char('}')
    }
}

/// A label with its value, in which some characters are escaped.
pub(super) fn label(name: &str, value: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        write!(f, "{name}=\"")?;
        for character in value.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    })
}
