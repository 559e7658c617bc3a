//! What is said about the certificates of HTTPS listeners.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use weir_cli::check::{Environment, Source, command, compile};
use weir_cli::plan::Plan;
use weir_cli::resources::Platform;

const BASE: &str = include_str!("resources/base.yaml");
const DAY: u64 = 24 * 60 * 60;

fn compiled(added: &str, platform: Platform, now: u64) -> (Option<Plan>, Vec<String>) {
    let sources = [("base.yaml", BASE), ("added.yaml", added)];
    let sources = sources.map(|(name, text)| Source { name: name.to_owned(), text: text.to_owned() });
    let environment = Environment { now: Some(Duration::from_secs(now)), platform, ..Environment::default() };
    let compiled = compile(&sources, &environment);
    let findings = command::findings(&compiled);
    (compiled.plan, findings.into_iter().map(|one| one.replace("added.yaml: ", "")).collect())
}

/// The fields of a listener of a Gateway that holds nothing else, after its name and port.
fn gateway(listener: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: secure}}
spec:
  gatewayClassName: envoy
  listeners:
  - {{name: https, port: 8443, {listener}}}
"
    )
}

const LISTENER: &str = "protocol: HTTPS, hostname: a.test, tls: {certificateRefs: [{name: cert}]}";

fn secret(chain: &str, key: &str) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "---
apiVersion: v1
kind: Secret
metadata: {{name: cert}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}",
        indented(chain),
        indented(key)
    )
}

/// A certificate for `name` of so many days, an hour of which are over, and its key.
fn pair(name: &str, days: u64, key: &KeyPair) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = (SystemTime::UNIX_EPOCH + Duration::from_secs(now() - 3600)).into();
    params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(now() - 3600 + days * DAY)).into();
    (params.self_signed(key).unwrap().pem(), key.serialize_pem())
}

fn ecdsa() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

/// All is the same at any time but for this.
fn now() -> u64 {
    1_800_000_000
}

#[test]
fn a_good_certificate_is_in_the_plan_and_in_no_debug_output() {
    let (chain, key) = pair("a.test", 90, &ecdsa());
    let (plan, findings) = compiled(&(gateway(LISTENER) + &secret(&chain, &key)), Platform::Here, now());
    assert!(findings.is_empty(), "{findings:#?}");
    let plan = plan.unwrap();
    let tls = plan.listeners.iter().find_map(|listener| listener.tls.as_ref()).unwrap();
    assert_eq!(tls.certificates[0].chain.trim(), chain.trim());
    assert!(!format!("{plan:?}").contains(key.lines().nth(1).unwrap()));
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_of_its_secret() {
    let (chain, key) = pair("a.test", 90, &ecdsa());
    let (wildcard, wildcard_key) = pair("*.test", 90, &ecdsa());
    let (other, other_key) = pair("b.test", 90, &ecdsa());
    let (short, short_key) = pair("a.test", 4, &ecdsa());
    let (edwards, edwards_key) = pair("a.test", 90, &KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let (of_chain, of_key) = ("Secret default/cert: tls.crt: ", "Secret default/cert: tls.key: ");
    for (chain, key, at, expected) in [
        (&chain, &other_key, now(), format!("error: {of_key}does not belong to the certificate in `tls.crt`")),
        (&chain, &encrypted, now(), format!("error: {of_key}is encrypted; Envoy has no password for it")),
        (&chain, &chain, now(), format!("error: {of_key}is no private key in PEM")),
        (&key, &key, now(), format!("error: {of_chain}is no certificate in PEM")),
        (
            &edwards,
            &edwards_key,
            now(),
            format!("error: {of_key}is of Ed25519, which Envoy does not take; use ECDSA or RSA"),
        ),
        (&chain, &key, now() + 80 * DAY, format!("warning: {of_chain}is of a certificate that ends in 9 days; renew it")),
        (
            &chain,
            &key,
            now() + 92 * DAY,
            format!("warning: {of_chain}is of a certificate that ended 2 days ago; clients refuse it"),
        ),
        (&chain, &key, now() - DAY, format!("warning: {of_chain}is of a certificate that is not good yet")),
        (
            &other,
            &other_key,
            now(),
            "warning: Gateway default/secure: spec.listeners[0].tls.certificateRefs: no certificate of these is for \
             `a.test`, but for b.test"
                .to_owned(),
        ),
        // Nothing to say.
        (&wildcard, &wildcard_key, now(), String::new()),
        (&short, &short_key, now(), String::new()),
    ] {
        let (plan, findings) = compiled(&(gateway(LISTENER) + &secret(chain, key)), Platform::Here, at);
        assert_eq!(findings.join(""), expected);
        assert_eq!(plan.is_none(), expected.starts_with("error"), "{expected}");
    }
}

#[test]
fn listeners_share_a_port_by_their_host_names() {
    let (chain, key) = pair("*.test", 90, &ecdsa());
    let secret = secret(&chain, &key);
    let tls = "tls: {certificateRefs: [{name: cert}]}";
    for (second, expected) in [
        (format!("protocol: HTTPS, hostname: b.test, {tls}"), ""),
        (format!("protocol: HTTPS, {tls}"), ""),
        (
            format!("protocol: HTTPS, hostname: a.test, {tls}"),
            "listener default/secure/https has the same port and `hostname`; give this one another",
        ),
        (
            "protocol: HTTP".to_owned(),
            "8443 is the port of listener default/secure/https, too, and only HTTPS listeners can share one; keep one of \
             the two and tell the routes apart by `hostnames`",
        ),
    ] {
        let second = format!("  - {{name: second, port: 8443, {second}}}\n");
        let (plan, findings) = compiled(&(gateway(LISTENER) + &second + &secret), Platform::Here, now());
        let place = "error: Gateway default/secure: spec.listeners[1].port: ";
        let expected = if expected.is_empty() { String::new() } else { format!("{place}{expected}") };
        assert_eq!(findings.join(""), expected);
        assert_eq!(plan.map(|plan| plan.ports().len()), expected.is_empty().then_some(2));
    }
}

#[test]
fn a_secret_may_be_in_the_cluster_alone_where_there_is_one() {
    let (plan, findings) = compiled(&gateway(LISTENER), Platform::Here, now());
    assert!(
        plan.is_none() && findings.iter().any(|one| one.contains("Secret default/cert does not exist")),
        "{findings:#?}"
    );
    let (plan, findings) = compiled(&gateway(LISTENER), Platform::EnvoyGateway, now());
    assert!(plan.is_some() && findings.is_empty(), "{findings:#?}");
    let (plan, findings) = compiled(&gateway(LISTENER), Platform::Istio, now());
    assert!(
        plan.is_none() && findings.iter().any(|one| one.contains("is not supported yet for Istio")),
        "{findings:#?}"
    );
}
