//! What a request is charged, and what its record says.

use super::*;

fn chat() -> Exchange {
    let mut exchange =
        Exchange::new(Headers::from([(":path", "/v1/chat/completions"), ("x-user-id", "ann")]), 1_000);
    exchange.client.body_size = 401;
    exchange
}

#[test]
fn what_is_charged_depends_on_how_far_the_answer_came() {
    let mut exchange = chat();
    exchange.attempt.usage.set(Counter::Input, Some(7));
    assert_eq!(exchange.settle(), (Usage::default(), UsageStatus::None), "no answer, no charge");

    exchange.attempt.answer = Answer::Begun;
    exchange.attempt.seen_output_bytes = 9;
    let (usage, status) = exchange.settle();
    assert_eq!((usage.input(), usage.output(), usage.total()), (Some(7), Some(3), Some(10)));
    assert_eq!(status, UsageStatus::Partial);

    exchange.attempt.usage = Usage::default();
    let (usage, status) = exchange.settle();
    assert_eq!((usage.input(), usage.output()), (Some(101), Some(3)));
    assert_eq!(status, UsageStatus::Partial);

    exchange.attempt.usage.set(Counter::Output, Some(9));
    exchange.attempt.answer = Answer::Complete;
    let (usage, status) = exchange.settle();
    assert_eq!((usage.input(), usage.output()), (Some(101), Some(9)), "half a report is no report");
    assert_eq!(status, UsageStatus::Estimated);

    exchange.attempt.usage.set(Counter::Input, Some(7));
    assert_eq!(exchange.settle(), (exchange.attempt.usage, UsageStatus::Complete));
}

#[test]
fn what_nobody_waited_for_is_paid_for_all_the_same() {
    let settled = |status, change: fn(&mut Exchange)| {
        let mut exchange = chat();
        exchange.count_sent();
        change(&mut exchange);
        exchange.count_abandoned(status);
        let (usage, status) = exchange.settle();
        (usage.input(), usage.output(), status)
    };
    for status in [504, 0] {
        assert_eq!(settled(status, |_| {}), (Some(101), Some(0), UsageStatus::Partial));
        assert_eq!(settled(status, Exchange::count_unsent).2, UsageStatus::None, "nothing was sent");
        assert_eq!(
            settled(status, |it| it.attempt.has_failed = true).2,
            UsageStatus::None,
            "the backend's own"
        );
    }
    assert_eq!(settled(503, |_| {}).2, UsageStatus::None);
}

#[test]
fn an_attempt_whose_stream_broke_is_spent_and_paid_for() {
    let mut exchange = chat();
    exchange.begin_attempt(1, None);
    exchange.count_sent();
    "default/one".clone_into(&mut exchange.attempts.backend);
    exchange.attempt.is_held_back = true;
    exchange.attempt.usage.set(Counter::Input, Some(29));
    exchange.begin_attempt(2, None);
    let Attempts { spent, abandoned, .. } = &exchange.attempts;
    let abandoned: Vec<_> = abandoned.iter().map(|one| (one.backend.as_str(), one.input_tokens)).collect();
    assert_eq!((*spent, abandoned), (1, vec![("default/one", Some(29))]));
    assert!(!exchange.attempt.is_held_back, "the next one begins anew");

    exchange.count_sent();
    (exchange.attempt.is_held_back, exchange.attempt.has_failed) = (true, true);
    exchange.count_abandoned(400);
    assert_eq!(exchange.settle().1, UsageStatus::Partial, "no other one follows");
}

#[test]
fn embeddings_have_no_output_to_estimate() {
    let mut exchange = Exchange::new(Headers::from([(":path", "/v1/embeddings")]), 0);
    (exchange.client.body_size, exchange.attempt.seen_output_bytes, exchange.attempt.answer) =
        (40, 5_000, Answer::Complete);
    let (usage, status) = exchange.settle();
    assert_eq!((usage.input(), usage.output(), usage.total()), (Some(10), None, Some(10)));
    assert_eq!(status, UsageStatus::Estimated);
    exchange.attempt.usage.set(Counter::Input, Some(8));
    assert_eq!(exchange.settle(), (exchange.attempt.usage, UsageStatus::Complete));
}

#[test]
fn an_endpoint_without_tokens_is_never_estimated() {
    let mut exchange = Exchange::new(Headers::from([(":path", "/v1/audio/speech")]), 0);
    exchange.attempt.answer = Answer::Complete;
    assert_eq!(exchange.settle().1, UsageStatus::None);
}

#[test]
fn a_record_says_when_and_how_long() {
    let mut exchange = chat();
    exchange.attempt.first_content_ms = Some(1_250);
    exchange.attempt.response_model = "ä".repeat(10_000);
    let record = exchange.take_record(200, 2_000);
    assert!(record.to_line().starts_with(r#"{"time":"1970-01-01T00:00:01.000Z","#));
    assert_eq!((record.ttft_ms, record.duration_ms), (Some(250), 1_000));
    assert_eq!((record.user.as_str(), record.endpoint), ("ann", "chat"));
    assert_eq!(record.response_model, "ä".repeat(200));
}

#[test]
fn who_a_request_is_from_may_be_known_late() {
    let config =
        Config { late_identity: vec!["x-client".to_owned(), USER_HEADER.to_owned()], ..Config::default() };
    let client = [
        (":path", "/v1/chat/completions?a=1&team=key"),
        ("x-other", "a"),
        ("x-key", "key"),
        ("x-aigw-api-key", "own"),
    ];
    let mut exchange = Exchange::new(Headers::from(client), 0);
    let long = "u".repeat(300);
    let path = "/v1/chat/completions?a=1";
    let now = Headers::from([(":path", path), ("x-client", "ann"), ("x-other", "b"), (USER_HEADER, &long)]);
    exchange.learn_identity(&config, &now);
    assert_eq!(exchange.client.headers.get(":path"), Some(path), "a key in the query was for the gateway");
    assert_eq!(exchange.header("x-key"), None);
    assert_eq!(exchange.header("x-aigw-api-key").as_deref(), Some("own"), "this one is for the backend");
    assert_eq!(exchange.header("x-client").as_deref(), Some("ann"));
    assert_eq!(exchange.header("x-other").as_deref(), Some("a"), "what is not asked for stays the client's");
    assert!(exchange.routed.user.starts_with("sha256:"), "{}", exchange.routed.user);
    exchange.begin_attempt(0, None);
    exchange.learn_identity(&config, &Headers::from([("x-client", "bob")]));
    assert_eq!(
        exchange.header("x-client").as_deref(),
        Some("ann"),
        "attempts change headers, and not who it is"
    );
}
