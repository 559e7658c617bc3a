//! Attempts whose credential is not there yet.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::auth::sigv4::SigningKeys;
use weir_core::backend::{Attempt, Begin, CREDENTIAL_WAIT_MS, Identity, Place};
use weir_core::config::SchemaName::{AWSAnthropic, OpenAI};
use weir_core::exchange::Exchange;
use weir_core::headers::Headers;

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
                let name = exchange.borrow().backend.clone();
                Ok((name, attempt.credential().unwrap().to_owned()))
            }
            Begin::Reply(reply) => Err(reply.status),
        }
    };
    let mut gateway = Gateway::new().backend("one", OpenAI);
    let backend = gateway.config.backends.get_mut("default/one").unwrap();
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
    gateway.config.backends.insert(kept.to_owned(), old);
    let target = weir_core::config::Target { backend: kept.to_owned(), ..Default::default() };
    gateway.route.targets.push(target);
    gateway.config.routes.insert(ROUTE.to_owned(), Arc::new(gateway.route.clone()));
    assert_eq!(begin(&gateway.config, "0/0/default/one@old"), found("key@1"));
    assert_eq!(begin(&gateway.config, "0/0/default/one@new"), found("key@2"));
    assert_eq!(begin(&gateway.config, "0/0/default/one@else"), Err(503));
}
