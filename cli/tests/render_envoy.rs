//! The real Envoy that `$ENVOY` names takes everything that is rendered.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends with the first thing that is not as it should be"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use weir_cli::check::{Environment, Source, compile};
use weir_cli::plan;
use weir_cli::render::{ADMIN_SOCKET, BOOTSTRAP, Form, Options, ServiceAddress, envoy};
use weir_core::token::Token;

#[path = "../src/render/sample.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with the unit tests")]
mod sample;
mod support;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(socket: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn envoy_takes_a_plan_with_a_little_of_everything() {
    for form in [Form::Wasm, Form::Module] {
        assert_eq!(envoy_takes_it(form, a_little_of_everything()), "");
    }
}

#[test]
fn envoy_takes_every_kind_of_security_policy() {
    let text = include_str!("resources/security.yaml").to_owned();
    let compiled = compile(&[Source { name: "security.yaml".to_owned(), text }], &Environment::default());
    assert_eq!(compiled.errors, []);
    let said = envoy_takes_it(Form::Module, compiled.plan.unwrap());
    let is_known =
        |line: &str| line.contains("marked as work-in-progress") || line.contains("Jwks async fetching");
    let rest: Vec<&str> = said.lines().filter(|line| !is_known(line)).collect();
    assert!(rest.is_empty(), "{rest:#?}");
}

fn a_little_of_everything() -> plan::Plan {
    let mut plan = sample::plan();
    for (cluster, traffic) in plan.clusters.iter_mut().zip([sample::traffic(), sample::other_traffic()]) {
        cluster.traffic = traffic;
    }
    let mut limited = sample::rule("limited/rule/0", 0);
    limited.local_limits = sample::local_limits();
    for rule in plan.listeners.iter_mut().flat_map(|listener| &mut listener.virtual_hosts).take(1) {
        let matches =
            plan::Match { path: Some(plan::PathMatch::Exact("/limited".into())), ..Default::default() };
        rule.rules.push(plan::MatchedRule { matches, rule: std::rc::Rc::new(limited.clone()) });
    }
    plan
}

/// What Envoy says while it takes all of it.
fn envoy_takes_it(form: Form, mut plan: plan::Plan) -> String {
    let Some(program) = support::envoy() else { return String::new() };
    let dir = tempfile::tempdir().unwrap();
    let filter = support::filter_that_does_nothing(form, dir.path());
    let environment = filter.environment().map(|(name, value)| (name, value.to_owned()));
    let options = Options {
        dir: dir.path().to_owned(),
        filter,
        bind: "127.0.0.1".parse().unwrap(),
        port: Some(0),
        admin_port: 0,
        admin_bind: "127.0.0.1".parse().unwrap(),
        admin_token: Some(Token::of("t0ken")),
        rate_limit_service: Some(ServiceAddress::Unix(dir.path().join("ratelimit.sock"))),
        rate_limit_fail_closed: false,
        access_log: Some(dir.path().join("access.log")),
        system_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
        salt: None,
    };
    let token = dir.path().join("token");
    std::fs::write(&token, "t0ken").unwrap();
    if let Some(container) = &mut plan.aws_container {
        container.token = Some(plan::ContainerToken::File(token.to_string_lossy().into_owned()));
        container.tls = true;
    }
    let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    for (name, hostname) in [("named", Some("*.test")), ("any", None)] {
        let mut listener = sample::https(name, hostname, (&chain, &key), &plan.listeners[0]);
        listener.port = 0;
        plan.listeners.push(listener);
    }
    envoy(&plan, &options).unwrap().write(dir.path()).unwrap();
    let bootstrap = dir.path().join(BOOTSTRAP);

    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).arg("-c").arg(&bootstrap).envs(environment.clone());
        command
    };
    let checked = run(&["--mode", "validate", "-l", "warn"]).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let log = dir.path().join("envoy.log");
    let _running = Running(
        run(&["--disable-hot-restart", "--concurrency", "1", "-l", "warn"])
            .stderr(Stdio::from(std::fs::File::create(&log).unwrap()))
            .spawn()
            .unwrap(),
    );
    let admin = dir.path().join(ADMIN_SOCKET);
    let said = || std::fs::read_to_string(&log).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ask(&admin, "/ready").is_some_and(|answer| answer.contains("LIVE")) {
        assert!(Instant::now() < deadline, "Envoy is not ready: {}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
    let stats = ask(&admin, "/stats?filter=update_(success|rejected|failure)$").unwrap();
    let count = |subscription: &str, result: &str| {
        let of_subscription = |line: &&str| line.contains(subscription) && line.contains(result);
        let line =
            stats.lines().find(of_subscription).unwrap_or_else(|| panic!("no {subscription} in {stats}"));
        line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap()
    };
    let mut subscriptions = vec!["cds.", ".rds.", "weir.edge.", "weir.backend.", "weir.admin."];
    if plan.aws_container.is_some() {
        subscriptions.push("sds.");
    }
    if form == Form::Wasm {
        subscriptions.push("weir.secrets.");
    }
    if !plan.security.is_empty() {
        let places =
            ["http.strip.", "http.rbac.", "http.ext-auth.", "http.api-key.", "http.basic.", "http.jwt."];
        subscriptions.extend(places);
    }
    for subscription in subscriptions {
        assert!(count(subscription, "update_success") > 0, "{subscription}: {}", said());
        assert_eq!(count(subscription, "update_rejected"), 0, "{subscription}: {}", said());
    }
    // No field that is deprecated or unknown, and nothing else to warn of.
    said()
}
