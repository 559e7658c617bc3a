//! Renewal as a shell sees it: polls, answers and the shared entry, second by second.

use std::collections::BTreeSet;

use super::*;
use crate::auth::{AwsCalls, AwsProfile, ContainerEndpoint, Secret};

const NOW: u64 = 1_440_938_160; // 2015-08-30T12:36:00Z

fn no_environment(_: &str) -> Option<String> {
    None
}

fn secret() -> Renewal {
    Renewal::new(Source::Secret { name: "default/openai-key".into(), key: "apiKey".into() })
}

fn container() -> Renewal {
    Renewal::new(Source::AwsDefault(AwsCalls {
        container: Some(ContainerEndpoint {
            if_announced: false,
            token_from_environment: false,
            cluster: "aws-container".into(),
            authority: "169.254.170.23".into(),
            path: "/v1/credentials".into(),
        }),
        ..AwsCalls::default()
    }))
}

fn fetch(renewal: &Renewal, entry: &Entry, now: u64) -> (Entry, Need) {
    match renewal.poll(entry, now, no_environment) {
        Step::Fetch { claim, need, .. } => (claim, need),
        step => panic!("{step:?}"),
    }
}

/// What comes of an answer to the one need of a source.
fn answered(renewal: &Renewal, entry: &Entry, answer: Result<Answer, FetchError>, now: u64) -> Step {
    match renewal.poll(&Entry::default(), now, no_environment) {
        Step::Fetch { fetching, .. } => renewal.answered(entry, fetching, answer, now),
        step => panic!("{step:?}"),
    }
}

fn stored(step: Step) -> Entry {
    match step {
        Step::Store(entry) => entry,
        step => panic!("{step:?}"),
    }
}

fn waits(renewal: &Renewal, entry: &Entry, now: u64) -> u64 {
    match renewal.poll(entry, now, no_environment) {
        Step::Wait { until } => until,
        step => panic!("{step:?}"),
    }
}

/// The endpoint's answer: credentials with this secret, for `lifetime` seconds after [`NOW`].
fn answer(secret: &str, lifetime: i64) -> Result<Answer, FetchError> {
    let now = i64::try_from(NOW).unwrap();
    let expiry = chrono::DateTime::from_timestamp(now + lifetime, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ");
    let body = format!(
        r#"{{"AccessKeyId":"ASIA","SecretAccessKey":"{secret}","Token":"hidden-token","Expiration":"{expiry}"}}"#
    );
    Ok(Answer::Http(HttpAnswer { status: 200, body: body.into_bytes() }))
}

fn aws_secret(entry: &Entry, now: u64) -> Result<&str, Unavailable> {
    entry.credential(now).map(|credential| match credential {
        Credential::Aws(keys) => keys.secret_access_key.expose(),
        Credential::ApiKey(_) => panic!("an API key"),
    })
}

#[test]
fn a_secret_is_read_at_once_and_again_while_the_old_value_serves() {
    let renewal = secret();
    let entry = Entry::default();
    assert_eq!(entry.credential(NOW), Err(Unavailable::Pending));
    let (claim, need) = fetch(&renewal, &entry, NOW);
    assert_eq!(need, Need::Secret { name: "default/openai-key".into(), key: "apiKey".into() });
    assert_eq!(claim.credential(NOW), Err(Unavailable::Pending));

    let read = |value: &str| Ok(Answer::Secret(Secret::new(value)));
    let entry = stored(answered(&renewal, &claim, read("sk-1\n"), NOW));
    assert_eq!(entry.credential(u64::MAX), Ok(&Credential::ApiKey(Secret::new("sk-1"))));
    assert_eq!(waits(&renewal, &entry, NOW + READ_SECRET_AGAIN - 1), NOW + READ_SECRET_AGAIN);

    let (claim, _) = fetch(&renewal, &entry, NOW + READ_SECRET_AGAIN);
    assert_eq!(claim.credential(NOW), entry.credential(NOW));
    let entry = stored(answered(&renewal, &claim, read("sk-2"), NOW + READ_SECRET_AGAIN));
    assert_eq!(entry.credential(NOW), Ok(&Credential::ApiKey(Secret::new("sk-2"))));
}

#[test]
fn one_worker_fetches_and_the_others_wait_for_its_claim() {
    let renewal = container();
    let (claim, need) = fetch(&renewal, &Entry::default(), NOW);
    assert!(matches!(need, Need::Http(call) if call.cluster == "aws-container"));
    assert_eq!(waits(&renewal, &claim, NOW), NOW + CLAIM);
    assert_eq!(waits(&renewal, &claim, NOW + CLAIM - 1), NOW + CLAIM);
    // The call is over before the claim is.
    const { assert!(Renewal::CALL_TIMEOUT < CLAIM) };

    // It was never heard of again: the next one takes over, and the failure counts.
    let (second, _) = fetch(&renewal, &claim, NOW + CLAIM);
    assert_eq!(second.credential(NOW + CLAIM), Err(Unavailable::Failed("no answer".into())));
    assert_eq!(waits(&renewal, &second, NOW + CLAIM), NOW + 2 * CLAIM);

    // An answer that comes late is still an answer.
    let entry = stored(answered(&renewal, &second, answer("hidden", 3600), NOW + CLAIM + 1));
    assert_eq!(aws_secret(&entry, NOW), Ok("hidden"));
    assert_eq!(entry.failure(), None);
}

#[test]
fn credentials_are_renewed_before_they_expire() {
    for (lifetime, from, to) in [
        (21_600, 21_300, 21_360),
        (601, 301, 361),
        (600, 300, 360),
        (599, 300, 360),
        (100, 50, 60),
        (10, 5, 6),
        (6, 5, 5),
        // Not in a busy loop, even if they expire first.
        (1, 5, 5),
    ] {
        let renewal = container();
        let entry = stored(answered(&renewal, &Entry::default(), answer("hidden", lifetime), NOW));
        let renewed_at = waits(&renewal, &entry, NOW);
        assert!((NOW + from..=NOW + to).contains(&renewed_at), "lifetime {lifetime}: {}", renewed_at - NOW);
        fetch(&renewal, &entry, renewed_at);
    }
}

#[test]
fn proxies_do_not_renew_at_the_same_second() {
    let renewal = container();
    let times: BTreeSet<u64> = (0..100)
        .map(|proxy| answer(&format!("hidden-{proxy}"), 3600))
        .map(|answer| stored(answered(&renewal, &Entry::default(), answer, NOW)))
        .map(|entry| waits(&renewal, &entry, NOW))
        .collect();
    assert!(times.len() > 30, "{times:?}");
}

/// An endpoint whose token is in a file: two steps.
fn container_with_token(name: &str) -> Option<String> {
    (name == "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").then(|| "/token".to_owned())
}

fn two_steps() -> Renewal {
    Renewal::new(Source::AwsDefault(AwsCalls {
        container: Some(ContainerEndpoint {
            if_announced: false,
            token_from_environment: true,
            cluster: "aws-container".into(),
            authority: "169.254.170.23".into(),
            path: "/".into(),
        }),
        ..AwsCalls::default()
    }))
}

fn file(text: &str) -> Result<Answer, FetchError> {
    Ok(Answer::File(Secret::new(text)))
}

#[test]
fn a_fetch_of_two_steps_has_one_claim_that_grows() {
    let renewal = two_steps();
    let Step::Fetch { claim, need, fetching } = renewal.poll(&Entry::default(), NOW, container_with_token)
    else {
        panic!()
    };
    assert_eq!(need, Need::File("/token".into()));
    let Step::Fetch { claim, need, fetching } =
        renewal.answered(&claim, fetching, file("Basic hidden\n"), NOW + 9)
    else {
        panic!()
    };
    assert!(!format!("{need:?} {fetching:?}").contains("hidden"));
    let Need::Http(call) = need else { panic!("{need:?}") };
    assert!(call.headers.contains(&("authorization".into(), "Basic hidden".to_owned())));
    assert_eq!(waits(&renewal, &claim, NOW + 9), NOW + 9 + CLAIM);
    let entry = stored(renewal.answered(&claim, fetching, answer("hidden", 3600), NOW + 18));
    assert_eq!(aws_secret(&entry, NOW), Ok("hidden"));
    assert_eq!(entry.failure(), None);
}

#[test]
fn the_token_of_the_endpoint_may_be_in_the_environment() {
    let token = |name: &str| (name == "AWS_CONTAINER_AUTHORIZATION_TOKEN").then(|| "Basic hidden".to_owned());
    let Step::Fetch { need: Need::Http(call), .. } = two_steps().poll(&Entry::default(), NOW, token) else {
        panic!()
    };
    assert!(call.headers.contains(&("authorization".into(), "Basic hidden".to_owned())));
    assert!(!format!("{call:?}").contains("hidden"));
    // The cluster adds it, or ECS needs none.
    for (renewal, environment) in [(container(), token as Environment), (two_steps(), no_environment)] {
        let Step::Fetch { need: Need::Http(call), .. } = renewal.poll(&Entry::default(), NOW, environment)
        else {
            panic!()
        };
        assert_eq!(call.headers, [("accept".into(), "application/json".to_owned())]);
    }
}

#[test]
fn a_fetch_that_took_too_long_leaves_it_to_the_worker_that_began_anew() {
    let renewal = two_steps();
    let Step::Fetch { claim, fetching, .. } = renewal.poll(&Entry::default(), NOW, container_with_token)
    else {
        panic!()
    };
    let Step::Fetch { claim: others, .. } = renewal.poll(&claim, NOW + CLAIM, container_with_token) else {
        panic!()
    };
    let step = renewal.answered(&others, fetching, file("t"), NOW + CLAIM);
    assert!(matches!(step, Step::Wait { until } if until == NOW + 2 * CLAIM), "{step:?}");
}

#[test]
fn the_first_step_that_fails_ends_a_fetch() {
    let renewal = two_steps();
    for (answer, why) in [
        (Err(FetchError::NoFile("/token".into())), "/token does not exist"),
        (file("two\nlines hidden"), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE has a space, a line break"),
        (answer("hidden", 100), "another kind"),
    ] {
        let Step::Fetch { claim, fetching, .. } = renewal.poll(&Entry::default(), NOW, container_with_token)
        else {
            panic!()
        };
        let entry = stored(renewal.answered(&claim, fetching, answer, NOW));
        let failure = entry.failure().unwrap();
        assert!(failure.contains(why) && !failure.contains("hidden"), "{failure}");
        assert_eq!(entry.released(), entry, "the claim is over");
    }
}

#[test]
fn old_credentials_serve_to_their_last_second_while_renewal_fails() {
    let renewal = container();
    let mut entry = stored(answered(&renewal, &Entry::default(), answer("hidden", 3600), NOW));
    let expiry = NOW + 3600;
    let mut now = waits(&renewal, &entry, NOW);
    let mut pauses = Vec::new();
    while now < expiry {
        let (claim, _) = fetch(&renewal, &entry, now);
        entry = stored(answered(&renewal, &claim, Err(FetchError::NoAnswer), now));
        assert_eq!(aws_secret(&entry, expiry - 1), Ok("hidden"));
        assert_eq!(entry.failure(), Some("no answer"));
        let next = waits(&renewal, &entry, now);
        pauses.push(next - now);
        now = next;
    }
    let first: Vec<u64> = pauses.iter().copied().take(8).collect();
    assert_eq!(first, [1, 2, 4, 8, 16, 32, 60, 60]);
    let expired = Unavailable::Expired(expiry, Some("no answer".into()));
    assert_eq!(aws_secret(&entry, expiry), Err(expired.clone()));
    assert_eq!(expired.to_string(), "the credential has expired, and its renewal failed: no answer");

    // Back again: as if nothing had been.
    let (claim, _) = fetch(&renewal, &entry, now);
    let entry = stored(answered(&renewal, &claim, answer("hidden-2", 7200), now));
    assert_eq!(aws_secret(&entry, now), Ok("hidden-2"));
    let again = stored(answered(&renewal, &entry, Err(FetchError::NoAnswer), now));
    assert_eq!(waits(&renewal, &again, now), now + 1);
}

#[test]
fn expired_credentials_are_not_taken() {
    let renewal = container();
    let old = stored(answered(&renewal, &Entry::default(), answer("hidden", 10), NOW));
    for lifetime in [0, -1] {
        let entry = stored(answered(&renewal, &old, answer("hidden-2", lifetime), NOW));
        assert_eq!(aws_secret(&entry, NOW), Ok("hidden"));
        assert!(entry.failure().unwrap().contains("have expired"));
    }
    let entry = stored(answered(&renewal, &old, answer("hidden-2", 1), NOW));
    assert_eq!(aws_secret(&entry, NOW), Ok("hidden-2"));
    assert_eq!(aws_secret(&entry, NOW + 1), Err(Unavailable::Expired(NOW + 1, None)));
}

#[test]
fn the_pause_after_failures_is_bounded() {
    assert_eq!([0, 1, 2, 6, 7, 64, 65, u32::MAX].map(pause), [1, 1, 2, 32, 60, 60, 60, 60]);
}

#[test]
fn by_default_the_environment_comes_before_the_container() {
    let environment = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("hidden".to_owned()),
        _ => None,
    };
    for renewal in [container(), Renewal::new(Source::AwsDefault(AwsCalls::default()))] {
        let entry = stored(renewal.poll(&Entry::default(), NOW, environment));
        assert_eq!(aws_secret(&entry, u64::MAX), Ok("hidden"));
        let step = renewal.poll(&entry, u64::MAX - 1, environment);
        assert!(matches!(step, Step::Wait { until: u64::MAX }), "{step:?}");
    }
    // Half a pair is a mistake, not a reason to look on.
    let half = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "AKID".to_owned());
    let entry = stored(container().poll(&Entry::default(), NOW, half));
    assert!(entry.failure().unwrap().contains("AWS_SECRET_ACCESS_KEY is not set"), "{entry:?}");
    let step = container().poll(&entry, NOW, half);
    assert!(matches!(step, Step::Wait { until } if until == NOW + 1), "{step:?}");
}

#[test]
fn without_any_place_to_look_the_error_says_where_it_looked() {
    let renewal = Renewal::new(Source::AwsDefault(AwsCalls::default()));
    let entry = stored(renewal.poll(&Entry::default(), NOW, no_environment));
    let Err(Unavailable::Failed(why)) = entry.credential(NOW) else { panic!("{entry:?}") };
    for place in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
        assert!(why.contains(place), "{why}");
    }
}

#[test]
fn a_credentials_file_gives_the_profile_or_says_which_there_are() {
    let file = "[a]\naws_access_key_id=AKID\naws_secret_access_key=hidden\n[b]\n";
    let read = |profile: &str| {
        let (name, key) = ("default/aws".to_owned(), "credentials".to_owned());
        let renewal = Renewal::new(Source::AwsFile(AwsProfile {
            name,
            key,
            profile: profile.to_owned(),
            calls: AwsCalls::default(),
        }));
        let (claim, need) = fetch(&renewal, &Entry::default(), NOW);
        assert_eq!(need, Need::Secret { name: "default/aws".into(), key: "credentials".into() });
        stored(answered(&renewal, &claim, Ok(Answer::Secret(Secret::new(file))), NOW))
    };
    assert_eq!(aws_secret(&read("a"), NOW), Ok("hidden"));
    let why = "the credentials file has no profile default, only a, b";
    assert_eq!(aws_secret(&read("default"), NOW), Err(Unavailable::Failed(why.into())));
}

#[test]
fn an_answer_of_the_wrong_kind_is_a_failure() {
    let entry = Entry::default();
    for step in [
        answered(&secret(), &entry, answer("hidden", 100), NOW),
        answered(&container(), &entry, Ok(Answer::Secret(Secret::new("hidden"))), NOW),
    ] {
        assert!(stored(step).failure().unwrap().contains("another kind"));
    }
}

#[test]
fn an_entry_survives_being_stored() {
    let ready = stored(answered(&container(), &Entry::default(), answer("hid\\u00e9den", 3600), NOW));
    let environment = |name: &str| (name != "AWS_SESSION_TOKEN").then(|| "x".to_owned());
    let entries = [
        Entry::default(),
        Entry::default().claimed(NOW),
        stored(answered(&secret(), &Entry::default(), Ok(Answer::Secret(Secret::new("sk-1"))), NOW)),
        ready.claimed(NOW),
        ready.failed("a \"reason\"\n".into(), NOW),
        stored(container().poll(&Entry::default(), NOW, environment)),
        ready,
    ];
    for entry in &entries {
        assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(entry));
    }
    for bad in [&b""[..], b"{}", b"null", b"\xff", br#"{"held":{"credential":"hidden"}}"#] {
        let error = Entry::decode(bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden"));
    }
}

#[test]
fn every_source_has_a_key_of_its_own() {
    let keys = [secret(), container(), Renewal::new(Source::AwsDefault(AwsCalls::default()))]
        .map(|r| r.shared_key());
    assert_eq!(keys[0], r#"weir.credential: {"type":"secret","name":"default/openai-key","key":"apiKey"}"#);
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

#[test]
fn debug_shows_no_secret() {
    let renewal = container();
    let answer = answer("hidden", 3600).unwrap();
    let key = Answer::Secret(Secret::new("hidden"));
    let call = HttpCall {
        cluster: "c".into(),
        method: "POST",
        authority: "sts.amazonaws.com".into(),
        path: "/".into(),
        headers: vec![("authorization".into(), "hidden".into())],
        body: b"hidden".to_vec(),
    };
    let step = answered(&renewal, &Entry::default(), Ok(answer.clone()), NOW);
    let shown_step = format!("{step:?}");
    let entry = stored(step);
    let fetch = renewal.poll(&entry, NOW + 3500, no_environment);
    assert!(matches!(fetch, Step::Fetch { .. }));
    let shown =
        format!("{renewal:?} {answer:?} {key:?} {:?} {shown_step} {entry:#?} {fetch:?}", Need::Http(call));
    let body = format!("{:?}", b"hidden");
    assert!(!shown.contains("hidden") && !shown.contains(body.trim_matches(['[', ']'])), "{shown}");
}
