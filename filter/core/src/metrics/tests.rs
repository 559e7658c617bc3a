use super::*;
use crate::store::memory::Memory;
use crate::usage::record::{Left, UsageStatus};
use crate::usage::{Counter, Usage};

fn record() -> Record {
    Record {
        original_model: "claude".to_owned(),
        request_model: "claude-sonnet".to_owned(),
        response_model: "claude-sonnet-1".to_owned(),
        duration_ms: 1_280,
        ..Record::for_tests()
    }
}

/// The value of the only sample of `name` with all of these labels.
fn sample(metrics: &Metrics, name: &str, labels: &[&str]) -> Option<String> {
    let text = metrics.to_text();
    let is_it = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    let mut found = text.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap().to_owned());
    let sample = found.next();
    assert_eq!(found.next(), None, "{name} {labels:?}");
    sample
}

#[test]
fn a_stream_is_in_all_histograms() {
    let mut record = Record { stream: true, ttft_ms: Some(280), ..record() };
    let usage = Usage::of([
        (Counter::Input, Some(100)),
        (Counter::CachedInput, Some(64)),
        (Counter::Output, Some(11)),
        (Counter::WebSearches, Some(3)),
    ]);
    record.set_usage(&usage, UsageStatus::Complete);
    let mut metrics = Metrics::default();
    metrics.add(&record, &[("tokens".to_owned(), 111)]);
    let labels = Labels::of(&record);
    let labels = labels.named().filter(|(_, value)| !value.is_empty());
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    assert_eq!(labels.len(), 6);
    let text = metrics.to_text().replace(&labels.join(","), "...");
    assert_eq!(text, include_str!("stream.txt"));
}

#[test]
fn an_answer_that_is_no_stream_has_no_first_token_and_an_unknown_counter_is_no_zero() {
    let mut metrics = Metrics::default();
    metrics.add(&Record { ttft_ms: Some(280), ..record() }, &[]);
    for name in [
        "gen_ai_server_time_to_first_token_seconds_count",
        "gen_ai_server_time_per_output_token_seconds_count",
        "gen_ai_client_token_usage_token_count",
    ] {
        assert_eq!(sample(&metrics, name, &[]), None);
    }
    assert_eq!(sample(&metrics, "gen_ai_server_request_duration_seconds_sum", &[]).as_deref(), Some("1.28"));
}

#[test]
fn errors_say_what_they_are_and_who_was_not_asked_is_no_provider() {
    let mut metrics = Metrics::default();
    let partial = UsageStatus::Partial;
    for (status, usage_status, error) in [
        (429, UsageStatus::None, "429"),
        (418, UsageStatus::None, "418"),
        (0, partial, "canceled"),
        (200, partial, "interrupted"),
    ] {
        metrics.add(&Record { status, usage_status, ..record() }, &[]);
        let label = format!("error_type=\"{error}\"");
        assert_eq!(sample(&metrics, "weir_requests_total", &[&label]).as_deref(), Some("1"), "{error}");
    }
    let refused = Record { status: 404, provider: "", backend: String::new(), ..record() };
    metrics.add(&refused, &[]);
    let labels = ["gen_ai_backend=\"unknown\"", "gen_ai_provider_name=\"unknown\"", "error_type=\"404\""];
    assert_eq!(sample(&metrics, "weir_requests_total", &labels).as_deref(), Some("1"));
    assert_eq!(sample(&metrics, "gen_ai_server_request_duration_seconds_count", &labels), None);
}

#[test]
fn an_attempt_that_was_left_counts_at_its_own_backend() {
    let left = |backend: &str, input_tokens| Left {
        backend: backend.to_owned(),
        provider: "cohere",
        request_model: "command".to_owned(),
        input_tokens,
        error: None,
    };
    let left = vec![left("default/slow", Some(70)), left("default/broken", None)];
    let mut metrics = Metrics::default();
    metrics.add(&Record { left, attempts: 3, ..record() }, &[]);
    let slow = ["default/slow", "gen_ai_provider_name=\"cohere\"", "error_type=\"failover\""];
    assert_eq!(sample(&metrics, "weir_failovers_total", &slow).as_deref(), Some("1"));
    assert_eq!(sample(&metrics, "gen_ai_client_token_usage_token_sum", &slow).as_deref(), Some("70"));
    assert_eq!(sample(&metrics, "weir_failovers_total", &["default/broken"]).as_deref(), Some("1"));
    assert_eq!(sample(&metrics, "gen_ai_client_token_usage_token_sum", &["default/broken"]), None);
    assert_eq!(sample(&metrics, "weir_requests_total", &[]).as_deref(), Some("1"), "it is one request");
}

#[test]
fn names_of_clients_are_clipped_escaped_and_bounded() {
    let mut metrics = Metrics::default();
    let model = "a\"\\\n".to_owned() + &"ä".repeat(200);
    metrics.add(&Record { original_model: model, ..record() }, &[]);
    let label = format!(r#"gen_ai_original_model="a\"\\\n{}","#, "ä".repeat(96));
    assert_eq!(sample(&metrics, "weir_requests_total", &[&label]).as_deref(), Some("1"));

    for index in 0..MAX_SERIES + 50 {
        metrics.add(&Record { original_model: index.to_string(), ..record() }, &[]);
    }
    assert_eq!(metrics.series.len(), MAX_SERIES + 1);
    let others = ["gen_ai_original_model=\"other\"", "gen_ai_response_model=\"other\"", "default/b"];
    assert_eq!(sample(&metrics, "weir_requests_total", &others).as_deref(), Some("51"));

    let label = |team: &str| vec![("team".to_owned(), team.to_owned())];
    metrics.add(&Record { labels: label("red"), ..record() }, &[]);
    let others = ["gen_ai_original_model=\"other\"", "team=\"other\""];
    assert_eq!(sample(&metrics, "weir_requests_total", &others).as_deref(), Some("1"));
}

#[test]
fn labels_of_headers_tell_series_apart_wherever_they_are_counted() {
    let store = Memory::default();
    let left = Left {
        backend: "default/slow".to_owned(),
        provider: "openai",
        request_model: "m".to_owned(),
        input_tokens: None,
        error: None,
    };
    let mut metrics = Metrics::default();
    for team in ["red", "blue \"and\" white", "red"] {
        let labels = vec![("team".to_owned(), team.to_owned())];
        metrics.add(&Record { labels, left: vec![left.clone()], ..record() }, &[]);
    }
    metrics.add(&record(), &[]);
    assert!(metrics.publish(&store));
    for metrics in [&metrics, &Metrics::published(&store)] {
        for (label, count) in [(r#"team="red""#, "2"), (r#"team="blue \"and\" white""#, "1")] {
            for name in ["weir_requests_total", "weir_failovers_total"] {
                assert_eq!(sample(metrics, name, &[label]).as_deref(), Some(count), "{name} {label}");
            }
        }
        assert!(
            metrics.to_text().contains("gen_ai_response_model=\"claude-sonnet-1\"} 1\n"),
            "none has no label"
        );
    }
}

#[test]
fn what_was_published_adds_up() {
    let store = Memory::default();
    let (mut one, mut two) = (Metrics::default(), Metrics::default());
    one.add(&record(), &[("tokens".to_owned(), 5)]);
    one.add(&Record { status: 500, ..record() }, &[]);
    two.add(&record(), &[("tokens".to_owned(), 7)]);
    assert!(one.publish(&store) && two.publish(&store));
    one.add(&record(), &[]);
    assert!(one.publish(&store));
    let mut sum = one.clone();
    sum.merge(&two);
    let published = Metrics::published(&store);
    assert_eq!(published.to_text(), sum.to_text());
    assert_eq!(sample(&published, "weir_cost_total", &[]).as_deref(), Some("12"));
}

#[test]
fn what_cannot_be_written_is_written_later_and_what_is_foreign_is_passed_over() {
    let store = Memory::default();
    let mut metrics = Metrics::default();
    metrics.add(&record(), &[]);
    store.conflicts.set(u32::MAX);
    assert!(!metrics.publish(&store));
    store.conflicts.set(0);
    assert!(metrics.publish(&store));
    let before = Metrics::published(&store).to_text();
    assert_eq!(before, metrics.to_text());

    let whole = store.get(&key(0, 0)).unwrap();
    for length in 0..whole.value.len() {
        assert_eq!(Series::decode(&whole.value[..length]), None, "{length}");
    }
    store.swap(&key(0, 1), b"\xff\xff\xff\xff", None).unwrap();
    assert_eq!(Metrics::published(&store).to_text(), before);
}

#[test]
fn the_latest_failures_are_kept_and_told_the_newest_first() {
    let store = Memory::default();
    let (mut one, mut two) = (Metrics::default(), Metrics::default());
    let failed = |time_ms: u64, error: &str| Record {
        time_ms,
        status: 503,
        error: Some(error.to_owned()),
        ..record()
    };
    one.add(&record(), &[]);
    one.add(&failed(2, "second"), &[]);
    two.add(&failed(1, "first"), &[]);
    let left = Left {
        backend: "default/slow".to_owned(),
        provider: "openai",
        request_model: "m".to_owned(),
        input_tokens: None,
        error: None,
    };
    two.add(&Record { time_ms: 3, left: vec![left], ..record() }, &[]);
    assert!(one.publish(&store) && two.publish(&store));
    let published = Metrics::published(&store);
    let told =
        |metrics: &Metrics| metrics.failures().map(|it| (it.status, it.error.clone())).collect::<Vec<_>>();
    let no_answer = "no answer in time".to_owned();
    assert_eq!(
        told(&published),
        [(None, no_answer), (Some(503), "second".to_owned()), (Some(503), "first".to_owned())]
    );
    one.merge(&two);
    assert_eq!(told(&one), told(&published));

    for time in 0..200 {
        one.add(&failed(time, "more"), &[]);
    }
    one.merge(&two);
    assert_eq!(one.failures().count(), 50);
}
