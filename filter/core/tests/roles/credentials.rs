//! Attempts whose credential is not there yet.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::auth::sigv4::SigningKeys;
use weir_core::backend::{Attempt, Begin, CREDENTIAL_WAIT_MS, Identity, Place};
use weir_core::config::SchemaName::{AWSAnthropic, AWSBedrock, OpenAI};
use weir_core::config::{CredentialOverride, CredentialPlace};
use weir_core::exchange::Exchange;
use weir_core::headers::Headers;

use crate::answer::{Answer, CONVERSED};
use crate::gateway::{Gateway, credential};
use crate::host::ROUTE;

const START: u64 = 1_000;

fn attempt(gateway: &Gateway) -> Attempt {
    let mut config = gateway.config.clone();
    config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let headers = Headers::from([(":path", "/anthropic/v1/messages")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, START)));
    let place = Place { route: ROUTE, target: &format!("0/0/{}", gateway.route.targets[0].backend) };
    match Attempt::begin(&Arc::new(config), &exchange, place, &gateway.store, START) {
        Begin::Attempt(attempt) => *attempt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_only_backend_is_waited_for_and_then_given_up() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic);
    let attempt = attempt(&gateway);
    assert_eq!(attempt.credential(), Some("bedrock"));
    assert_eq!(attempt.credential_overdue("no answer", START + CREDENTIAL_WAIT_MS - 1), None);
    let reply = attempt.credential_overdue("no answer", START + CREDENTIAL_WAIT_MS).unwrap();
    let told = String::from_utf8(reply.body).unwrap();
    assert_eq!(reply.status, 503);
    assert!(
        told.contains("default/bedrock")
            && told.contains("no answer")
            && told.contains("service_unavailable_error")
    );
}

#[test]
fn with_another_backend_the_proxys_timeout_moves_on() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic).backend("gpt", OpenAI);
    assert_eq!(attempt(&gateway).credential_overdue("no answer", u64::MAX), None);
}

#[test]
fn nothing_is_sent_without_the_credential_of_the_right_kind() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic);
    let key = credential("bedrock", OpenAI);
    for (shown, status) in [(None, 503), (Some(&key), 500)] {
        let identity = Identity { credential: shown, keys: &mut SigningKeys::default(), now: 1 };
        let refused = attempt(&gateway).request(br#"{"model":"m"}"#, identity).unwrap_err();
        assert_eq!(refused.status, status);
        assert!(!String::from_utf8(refused.body).unwrap().contains("key-of"));
    }
}

#[test]
fn an_endpoint_of_another_configuration_gets_no_credential() {
    let gateway = Gateway::new().backend("old", OpenAI);
    let mut config = gateway.config.clone();
    config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let headers = Headers::from([(":path", "/v1/chat/completions")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, START)));
    let place = Place { route: ROUTE, target: "0/0/default/new" };
    let Begin::Reply(reply) = Attempt::begin(&Arc::new(config), &exchange, place, &gateway.store, START)
    else {
        panic!("an attempt was begun");
    };
    assert_eq!(reply.status, 503);
}

/// Endpoints and configuration come one after the other, and only what is of one time may meet.
#[test]
fn an_endpoint_at_another_address_gets_no_credential() {
    let begin = |config: &weir_core::config::Config, target: &str| {
        let headers = Headers::from([(":path", "/v1/chat/completions")]);
        let exchange = Rc::new(RefCell::new(Exchange::new(headers, START)));
        let place = Place { route: ROUTE, target };
        let store = Gateway::new().store;
        match Attempt::begin(&Arc::new(config.clone()), &exchange, place, &store, START) {
            Begin::Attempt(attempt) => {
                let name = exchange.borrow().attempts.backend.clone();
                Ok((name, attempt.credential().unwrap().to_owned()))
            }
            Begin::Reply(reply) => Err(reply.status),
        }
    };
    let mut gateway = Gateway::new().backend("one", OpenAI);
    let backend = gateway.backend_mut("one");
    backend.address = Some("new".to_owned());
    *backend.auth.as_mut().unwrap().credential_mut() = "key@2".to_owned();
    let mut old = backend.clone();
    gateway.config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    let found = |credential: &str| Ok(("default/one".to_owned(), credential.to_owned()));
    assert_eq!(begin(&gateway.config, "0/0/default/one@new"), found("key@2"));
    for other in ["0/0/default/one@old", "0/0/default/one@", "0/0/default/one", "0/0/default/one@new@new"] {
        assert_eq!(begin(&gateway.config, other), Err(503), "{other}");
    }

    // In between both are known, each with its own.
    old.address = Some("old".to_owned());
    *old.auth.as_mut().unwrap().credential_mut() = "key@1".to_owned();
    let kept = "default/one@old";
    gateway.config.backends.insert(kept.to_owned(), old.into());
    let target = weir_core::config::Target { backend: kept.to_owned(), ..Default::default() };
    gateway.route.targets.push(target.into());
    gateway.config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    assert_eq!(begin(&gateway.config, "0/0/default/one@old"), found("key@1"));
    assert_eq!(begin(&gateway.config, "0/0/default/one@new"), found("key@2"));
    assert_eq!(begin(&gateway.config, "0/0/default/one@else"), Err(503));
}

/// The first backend takes a credential of the request.
fn overridden(gateway: Gateway, header: &str, falls_back: bool) -> Gateway {
    overridden_from(gateway, CredentialPlace::Header(header.to_owned()), falls_back)
}

fn overridden_from(gateway: Gateway, from: CredentialPlace, falls_back: bool) -> Gateway {
    let mut gateway = gateway;
    let name = gateway.route.targets[0].backend.replace("default/", "");
    let wanted = CredentialOverride { from, falls_back };
    gateway.backend_mut(&name).credential_override = Some(wanted);
    gateway
}

const BODY: &str = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#;

/// That it reaches neither the other backend nor its own in its own header is held of every request here.
#[test]
fn a_request_may_bring_the_credential_of_its_backend() {
    let gateway =
        overridden(Gateway::new().backend("gpt", OpenAI).backend("other", OpenAI), "x-tenant-key", false);
    let call = gateway.post("/v1/chat/completions", BODY).header("x-tenant-key", "brought-key-of-gpt.");
    let failed = Answer::json(503, r#"{"error":{"message":"no"}}"#);
    let outcome = call.answered_by(failed).answered_by(Answer::json(200, "{}")).send();
    let shown: Vec<_> = outcome.sent.iter().map(|sent| sent.headers.get("authorization").unwrap()).collect();
    assert_eq!(shown, ["Bearer brought-key-of-gpt.", "Bearer key-of-other."]);
}

#[test]
fn what_brings_a_credential_is_shown_in_the_books_as_a_digest() {
    let mut gateway = overridden(Gateway::new().backend("gpt", OpenAI), "x-tenant-key", true);
    gateway.route.user_headers = vec!["x-tenant-key".to_owned()];
    let call = gateway.post("/v1/chat/completions", BODY).header("x-tenant-key", "brought-key-of-gpt.");
    let outcome = call.answered_by(Answer::json(200, "{}")).send();
    assert!(outcome.record.user.starts_with("sha256:"), "{}", outcome.record.user);
}

#[test]
fn what_brings_a_credential_is_no_label_of_metrics() {
    let mut gateway = overridden(Gateway::new().backend("gpt", OpenAI), "x-tenant-key", true);
    for (header, label) in [("x-tenant-key", "tenant"), ("x-team", "team"), ("x-none", "none")] {
        gateway.config.metrics_headers.add(header, label).unwrap();
    }
    let call = gateway.post("/v1/chat/completions", BODY).header("x-tenant-key", "brought-key-of-gpt.");
    let outcome = call.header("x-team", "red").answered_by(Answer::json(200, "{}")).send();
    assert_eq!(outcome.record.labels, [("team".to_owned(), "red".to_owned())]);
}

#[test]
fn without_one_the_configured_credential_is_used_where_there_is_one() {
    for path in ["/v1/chat/completions", "/anthropic/v1/messages"] {
        for brought in [None, Some(" ")] {
            let ask = |falls_back| {
                let gateway = overridden(Gateway::new().backend("gpt", OpenAI), "x-aigw-api-key", falls_back);
                let call = gateway.post(path, BODY).without("x-aigw-api-key");
                let call = brought.into_iter().fold(call, |call, value| call.header("x-aigw-api-key", value));
                call.answered_by(Answer::json(200, CHAT_ANSWER)).send()
            };
            let configured = ask(true);
            assert_eq!(configured.sent[0].headers.get("authorization"), Some("Bearer key-of-gpt."));
            let refused = ask(false);
            assert_eq!((refused.status, refused.sent.len()), (401, 0), "{}", refused.text());
            assert!(refused.error().contains("missing upstream credential: the header x-aigw-api-key"));
            assert!(refused.text().contains("authentication_error"), "{}", refused.text());
        }
    }
}

const CHAT_ANSWER: &str =
    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

#[test]
fn half_of_aws_credentials_is_a_mistake() {
    let id = ("x-aigw-aws-access-key-id", "key-of-bedrock.id");
    let secret = ("x-aigw-aws-secret-access-key", "key-of-bedrock.secret");
    let token = ("x-aigw-aws-session-token", "key-of-bedrock.token");
    for (brought, missing) in [
        (&[id, secret][..], None),
        (&[id, secret, token], None),
        (&[id], Some("x-aigw-aws-secret-access-key")),
        (&[secret], Some("x-aigw-aws-access-key-id")),
        (&[token], Some("x-aigw-aws-access-key-id")),
    ] {
        // Neither prefix says anything of the dash behind it.
        for prefix in ["x-aigw-aws", "x-aigw-aws-"] {
            let gateway = overridden(Gateway::new().backend("bedrock", AWSBedrock), prefix, true);
            let call = gateway.post("/v1/chat/completions", BODY);
            let call = brought.iter().fold(call, |call, (name, value)| call.header(name, value));
            let outcome = call.answered_by(Answer::json(200, CONVERSED)).send();
            let Some(missing) = missing else {
                let sent = &outcome.sent[0].headers;
                assert!(sent.get("authorization").unwrap().contains("Credential=key-of-bedrock.id/"));
                let tokens = brought.iter().find(|header| **header == token).map(|(_, value)| *value);
                assert_eq!(sent.get("x-amz-security-token"), tokens);
                continue;
            };
            assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
            assert!(
                outcome.error().contains(&format!("the header {missing} is missing")),
                "{}",
                outcome.error()
            );
        }
    }
}

/// A client that sends its key as it would to the provider has the scheme in front of it.
#[test]
fn a_key_in_the_clients_own_header_is_sent_without_its_scheme() {
    let gateway = overridden(Gateway::new().backend("gpt", OpenAI), "authorization", false);
    for brought in ["Bearer brought-key-of-gpt.", "bearer  brought-key-of-gpt.", "brought-key-of-gpt."] {
        let call = gateway.post("/v1/chat/completions", BODY).header("authorization", brought);
        let outcome = call.answered_by(Answer::json(200, CHAT_ANSWER)).send();
        assert_eq!(outcome.sent[0].headers.get("authorization"), Some("Bearer brought-key-of-gpt."));
    }
    for nothing in ["Bearer", "Bearer ", " "] {
        let call = gateway.post("/v1/chat/completions", BODY).header("authorization", nothing);
        let refused = call.answered_by(Answer::json(200, CHAT_ANSWER)).send();
        assert_eq!((refused.status, refused.sent.len()), (401, 0), "{nothing:?}");
    }
}

const FILTER: &str = "envoy.filters.http.ext_authz";

fn of_metadata(gateway: Gateway, key: &str, falls_back: bool) -> Gateway {
    let from = CredentialPlace::Metadata { namespace: FILTER.to_owned(), key: key.to_owned() };
    overridden_from(gateway, from, falls_back)
}

#[test]
fn another_filter_may_bring_the_credential_of_a_backend() {
    for falls_back in [true, false] {
        let gateway = of_metadata(Gateway::new().backend("gpt", OpenAI), "tenant.key", falls_back);
        let ask = |namespace: &str, value: Option<&[u8]>| {
            // The client's own header of that name has nothing to say.
            let call = gateway.post("/v1/chat/completions", BODY).header("tenant.key", "the client's");
            let call =
                value.into_iter().fold(call, |call, value| call.metadata(namespace, "tenant.key", value));
            let outcome = call.answered_by(Answer::json(200, CHAT_ANSWER)).send();
            match outcome.sent.first() {
                Some(sent) => sent.headers.get("authorization").unwrap().to_owned(),
                None => {
                    assert!(
                        outcome.error().contains("the metadata tenant.key of envoy.filters.http.ext_authz")
                    );
                    outcome.status.to_string()
                }
            }
        };
        for brought in [&b"brought-key-of-gpt."[..], b" brought-key-of-gpt.\n"] {
            assert_eq!(ask(FILTER, Some(brought)), "Bearer brought-key-of-gpt.");
        }
        let otherwise = if falls_back { "Bearer key-of-gpt." } else { "401" };
        assert_eq!(ask("envoy.filters.http.lua", Some(b"brought-key-of-gpt.")), otherwise);
        // A number, a struct, and texts that no header may hold.
        let number = 3f64.to_le_bytes();
        for none in [
            None,
            Some(&b""[..]),
            Some(b" "),
            Some(&number),
            Some(b"\n\x05key-1"),
            Some(b"a\r\nb"),
            Some(b"\xff"),
        ] {
            assert_eq!(ask(FILTER, none), otherwise, "{none:?}");
        }
    }
}

#[test]
fn half_of_aws_credentials_in_metadata_is_a_mistake_of_whoever_set_it() {
    let gateway = of_metadata(Gateway::new().backend("bedrock", AWSBedrock), "x-aigw-aws-credentials", true);
    assert_eq!(gateway.config.needs_structs(), Some("default/bedrock"));
    let ask = |members: &[&str]| {
        let call = gateway.post("/v1/chat/completions", BODY);
        let call = members.iter().fold(call, |call, member| {
            let (path, value) =
                (format!("x-aigw-aws-credentials.{member}"), format!("key-of-bedrock.{member}"));
            call.metadata(FILTER, &path, value.as_bytes())
        });
        call.answered_by(Answer::json(200, CONVERSED)).send()
    };
    let whole = ask(&["accessKeyId", "secretAccessKey", "sessionToken"]);
    let headers = &whole.sent[0].headers;
    assert!(headers.get("authorization").unwrap().contains("Credential=key-of-bedrock.accessKeyId/"));
    assert_eq!(headers.get("x-amz-security-token"), Some("key-of-bedrock.sessionToken"));
    assert!(ask(&["accessKeyId", "secretAccessKey"]).sent[0].headers.get("x-amz-security-token").is_none());
    for (half, missing) in [("accessKeyId", "secretAccessKey"), ("sessionToken", "accessKeyId")] {
        let refused = ask(&[half]);
        assert_eq!((refused.status, refused.sent.len()), (500, 0));
        assert!(refused.error().contains(&format!("the metadata x-aigw-aws-credentials.{missing}")));
    }
    assert_eq!(ask(&[]).status, 200);
}
