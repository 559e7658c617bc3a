//! `weir run` with a plan made by hand, on the real Envoy that `$ENVOY` names.
//!
//! The filter does nothing, so these tests see what Envoy does with the rendered files: the
//! client sets the header that the edge would set.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends with the first thing that is not as it should be"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use weir_cli::plan::{
    ClientHeaders, Cluster, Endpoint, HeaderMatch, Listener, Match, MatchedRule, Member, Origin, Plan, Retry,
    Rule, SecretValue, Traffic, ValueMatch, VirtualHost,
};
use weir_cli::render::Form;
use weir_cli::run::load::{Loaded, Loader, Report};
use weir_cli::run::{Wishes, run};
use weir_core::config::{Config, Model};

mod support;

/// The script of the process that runs `weir run`: a line `MODEL PORT[,PORT...]` for each model, its backends in order
/// of priority. `bad` is a mistake.
const SCRIPT: &str = "WEIR_TEST_SCRIPT";

fn plan(script: &str) -> Result<Plan, Report> {
    let mut clusters = Vec::new();
    let mut rules = Vec::new();
    let mut models = Vec::new();
    for (index, line) in script.lines().enumerate() {
        let (model, ports) =
            line.split_once(' ').ok_or_else(|| Report(vec![format!("line {index} is bad")]))?;
        let members = ports.split(',').zip(0..).map(|(port, priority)| Member {
            backend: format!("default/{port}"),
            priority,
            weight: 1,
            endpoints: vec![Endpoint { host: "127.0.0.1".to_owned(), port: port.parse().unwrap() }],
            tls: None,
        });
        clusters.push(Cluster {
            name: format!("{model} {ports}"),
            members: members.collect(),
            ai: true,
            connect_timeout: Duration::from_secs(1),
            traffic: Traffic::default(),
        });
        let rule = Rule {
            name: format!("default/route/rule/{index}"),
            origin: Origin::default(),
            ai: true,
            cluster: Some(index),
            request_timeout: None,
            attempt_timeout: Some(Duration::from_secs(5)),
            attempt_idle_timeout: None,
            retry: Some(Retry {
                count: 2,
                spare: 0,
                attempts_per_priority: 1,
                on: vec!["5xx".to_owned(), "connect-failure".to_owned(), "reset".to_owned()],
                status_codes: vec![429],
                backoff: None,
            }),
            limits: vec![],
            limits_fail_closed: false,
            local_limits: vec![],
            policy: None,
            security: None,
        };
        models.push(Model { id: model.to_owned(), ..Model::default() });
        let value = ValueMatch::Exact(model.to_owned());
        let headers = vec![HeaderMatch { name: "x-ai-eg-model".to_owned(), value }];
        rules.push(MatchedRule { matches: Match { headers, ..Match::default() }, rule: Rc::new(rule) });
    }
    let listener = Listener {
        name: "default/gateway/http".to_owned(),
        port: 80,
        hostname: None,
        tls: None,
        headers: ClientHeaders::default(),
        buffer_limit: 1 << 20,
        request_received_timeout: None,
        idle_timeout: None,
        stream_idle_timeout: None,
        security: None,
        virtual_hosts: vec![VirtualHost { domains: vec!["*".to_owned()], rules }],
    };
    let secrets = [("default/key".to_owned(), SecretValue("s3cret".to_owned()))].into();
    let filter = Config { models, ..Config::default() };
    Ok(Plan {
        listeners: vec![listener],
        clusters,
        filter,
        secrets,
        files: std::collections::BTreeMap::new(),
        aws_container: None,
        traffic_policies: [].into(),
        security: vec![],
    })
}

/// Reads the script anew each time.
struct Script(PathBuf);

impl Loader for Script {
    fn digest(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }

    fn load(&self) -> Result<Loaded, Report> {
        plan(&std::fs::read_to_string(&self.0).unwrap()).map(|plan| Loaded { plan, notes: vec![] })
    }
}

/// Not a test: what [`Gateway::start`] starts in a process of its own.
#[test]
#[ignore = "a part of the other tests"]
fn serve() {
    let script = Script(std::env::var_os(SCRIPT).unwrap().into());
    let wishes = Wishes {
        form: Some(if std::env::var_os("WEIR_MODULE").is_some() { Form::Module } else { Form::Wasm }),
        port: Some(0),
        admin_port: 0,
        admin_bind: "127.0.0.1".parse().unwrap(),
        admin_token_file: None,
        bind: "127.0.0.1".parse().unwrap(),
        redis: None,
        access_log: None,
        rate_limit_fail_closed: false,
        concurrency: Some(1),
        log_level: "warning".to_owned(),
        drain_time: Duration::from_secs(5),
        launcher: env!("CARGO_BIN_EXE_weir").into(),
    };
    if let Err(failure) = run(&script, &wishes) {
        panic!("{failure}");
    }
}

/// A `weir run` in a process of its own.
struct Gateway {
    process: Child,
    script: PathBuf,
    address: String,
    admin: String,
    said: Receiver<String>,
    /// Kept, for the test harness around it writes to it at its end.
    _out: Receiver<String>,
    dir: tempfile::TempDir,
}

impl Gateway {
    fn start(envoy: &Path, script: &str) -> Gateway {
        Gateway::with(Form::Wasm, envoy, script)
    }

    fn with(form: Form, envoy: &Path, script: &str) -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        let filter = support::filter_that_does_nothing(form, dir.path());
        let variable = match form {
            Form::Wasm => "WEIR_WASM",
            Form::Module => "WEIR_MODULE",
        };
        let path = dir.path().join("script");
        std::fs::write(&path, script).unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["serve", "--exact", "--ignored", "--nocapture"])
            .env(SCRIPT, &path)
            .env_remove("WEIR_WASM")
            .env_remove("WEIR_MODULE")
            .env(variable, &filter.file)
            .env("WEIR_TEST_SAY", "yes")
            .env("ENVOY", envoy)
            .env("TMPDIR", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = lines(process.stderr.take().unwrap());
        let out = lines(process.stdout.take().unwrap());
        let wait = |prefix: &str| {
            let line = wait_for(&out, prefix);
            line.split_once("http://").unwrap().1.to_owned()
        };
        let (address, admin) = (wait("listening on "), wait("admin on "));
        Gateway { process, script: path, address, admin, said, _out: out, dir }
    }

    fn change(&self, script: &str) {
        std::fs::write(&self.script, script).unwrap();
    }

    /// Status and body of a request for a model.
    fn ask(&self, model: &str) -> (u16, String) {
        get(&self.address, "/v1/chat/completions", model)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// The processes that were started in its run directory.
    fn children(&self) -> Vec<i32> {
        let dir = self.dir.path().to_string_lossy().into_owned();
        let of_gateway = |pid: &i32| {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.contains(&format!("{dir}/weir-run-"))
        };
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_gateway).collect()
    }

    fn run_directories(&self) -> usize {
        let entries = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("weir-run-")).count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
    });
    receiver
}

/// The first line that holds a text; what comes before it is gone.
fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {text:?} ({error}) in {seen:#?}"),
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn get(address: &str, path: &str, model: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, String::new()) };
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-ai-eg-model: {model}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

/// A server that answers every request with a status and its name, slowly in pieces if told to. It ends with the test
/// process.
fn upstream(status: u16, name: &'static str, pieces: u32) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, status, name, pieces));
        }
    });
    port
}

fn answer(mut stream: TcpStream, status: u16, name: &str, pieces: u32) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let length = name.len() * usize::try_from(pieces).unwrap();
    write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")?;
    for piece in 0..pieces {
        if piece > 0 {
            std::thread::sleep(Duration::from_millis(250));
        }
        stream.write_all(name.as_bytes())?;
    }
    Ok(())
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_request_goes_to_the_backend_of_its_model() {
    let Some(envoy) = support::envoy() else { return };
    let (qwen, claude) = (upstream(200, "qwen", 1), upstream(200, "claude", 1));
    for form in [Form::Wasm, Form::Module] {
        let gateway = Gateway::with(form, &envoy, &format!("qwen {qwen}\nclaude {claude}"));
        wait_for(&gateway.said, &format!("with the {form}"));
        assert_eq!(gateway.ask("qwen"), (200, "qwen".to_owned()));
        assert_eq!(gateway.ask("claude"), (200, "claude".to_owned()));
        let (status, body) = gateway.ask("other");
        assert_eq!(status, 404);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["type"], "route_not_found");
    }
}

#[test]
fn a_failed_attempt_is_repeated_on_the_next_backend() {
    let Some(envoy) = support::envoy() else { return };
    let (error, limited, good) =
        (upstream(500, "error", 1), upstream(429, "limited", 1), upstream(200, "good", 1));
    let closed = closed_port();
    let gateway = Gateway::start(&envoy, &format!("a {error},{limited},{good}\nb {closed},{good}"));
    assert_eq!(gateway.ask("a"), (200, "good".to_owned()));
    assert_eq!(gateway.ask("b"), (200, "good".to_owned()));
}

#[test]
fn a_change_is_taken_over_without_cutting_a_stream_and_a_mistake_is_not() {
    for form in [Form::Wasm, Form::Module] {
        takes_a_change_over(form);
    }
}

fn takes_a_change_over(form: Form) {
    let Some(envoy) = support::envoy() else { return };
    let (old, new) = (upstream(200, "old ", 12), upstream(200, "new", 1));
    let gateway = Gateway::with(form, &envoy, &format!("model {old}"));
    if form == Form::Module {
        for role in ["backend", "edge"] {
            wait_for(&gateway.said, &format!("configured: {role}"));
        }
    }
    let address = gateway.address.clone();
    let stream = std::thread::spawn(move || get(&address, "/", "model"));
    std::thread::sleep(Duration::from_millis(300));

    gateway.change(&format!("model {new}\nother {new}"));
    if form == Form::Module {
        wait_for(&gateway.said, "configured: edge");
    }
    let reloaded = wait_for(&gateway.said, "reloaded: ");
    assert!(reloaded.contains("xds/ecds-backend.json, xds/ecds-edge.json"), "{reloaded}");
    assert_eq!(gateway.ask("model"), (200, "new".to_owned()));
    assert_eq!(gateway.ask("other"), (200, "new".to_owned()));

    gateway.change("bad");
    wait_for(&gateway.said, "line 0 is bad");
    wait_for(&gateway.said, "kept the running configuration");
    assert_eq!(gateway.ask("other"), (200, "new".to_owned()));

    let (status, body) = stream.join().unwrap();
    assert_eq!((status, body.matches("old ").count()), (200, 12));
}

#[test]
fn envoy_is_started_again_on_the_same_port() {
    let Some(envoy) = support::envoy() else { return };
    let port = upstream(200, "here", 1);
    let gateway = Gateway::start(&envoy, &format!("model {port}"));
    let children = gateway.children();
    assert_eq!(children.len(), 1);
    kill(Pid::from_raw(children[0]), Signal::SIGSEGV).unwrap();
    wait_for(&gateway.said, "starting it again");
    eventually("it serves again", || gateway.ask("model") == (200, "here".to_owned()));
}

#[test]
fn a_signal_ends_everything_once_running_requests_have_ended() {
    let Some(envoy) = support::envoy() else { return };
    let port = upstream(200, "x", 6);
    let mut gateway = Gateway::start(&envoy, &format!("model {port}"));
    assert_eq!((gateway.children().len(), gateway.run_directories()), (1, 1));
    let address = gateway.address.clone();
    let stream = std::thread::spawn(move || get(&address, "/", "model"));
    std::thread::sleep(Duration::from_millis(300));
    gateway.signal(Signal::SIGTERM);
    let status = gateway.process.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(stream.join().unwrap(), (200, "xxxxxx".to_owned()));
    assert_eq!((gateway.children().len(), gateway.run_directories()), (0, 0));
}

#[test]
fn nothing_outlives_a_kill() {
    let Some(envoy) = support::envoy() else { return };
    let gateway = Gateway::start(&envoy, "model 1");
    assert_eq!(gateway.children().len(), 1);
    gateway.signal(Signal::SIGKILL);
    eventually("its children are gone", || gateway.children().is_empty());
}

#[test]
fn the_admin_listener_shows_readiness_and_statistics_and_nothing_that_changes_envoy() {
    let Some(envoy) = support::envoy() else { return };
    let gateway = Gateway::start(&envoy, "model 1");
    let status = |path: &str| get(&gateway.admin, path, "-").0;
    assert_eq!(["/ready", "/stats/prometheus", "/stats"].map(status), [200; 3]);
    assert_eq!(
        ["/", "/quitquitquit", "/config_dump", "/stats/recentlookups", "/ready/x"].map(status),
        [404; 5]
    );
}
