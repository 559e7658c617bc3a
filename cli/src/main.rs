//! `weir`: check, render and run AI gateway resources on Envoy.

use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use weir_cli::render::kubernetes::Input;
use weir_cli::render::{self, Form, ServiceAddress, envoy_gateway, istio};
use weir_cli::run::load::{Files, Loader};
use weir_cli::run::{self, Failure, Wishes, say};
use weir_cli::{check, explain, image, resources};

mod platform;

/// AI gateway resources on a stock Envoy.
#[derive(Parser)]
#[command(name = "weir", version = version(), about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::command::Arguments),
    Explain(explain::command::Arguments),
    Run(Run),
    Render(Render),
    Image(image::command::Arguments),
    #[command(hide = true)]
    ExecChild(ExecChild),
}

/// Serve: compile the resources, start Envoy on them and follow their changes.
///
/// Once it serves it prints two lines, `listening on http://ADDRESS:PORT` (the first listener of the Gateways; `https`
/// if it is one) and `admin on http://ADDRESS:PORT` (/weir/ for a browser; /weir/usage, /weir/metrics, /ready, /stats);
/// all else goes to standard error. A changed file is taken over while it runs, a wrong one refused. SIGTERM or Ctrl-C
/// stops it once running requests have ended, a second one at once.
///
/// Exit code 0: stopped by a signal; 1: the resources have mistakes; 2: a part is missing or a port is taken.
#[derive(Args)]
struct Run {
    #[command(flatten)]
    resources: Resources,
    #[command(flatten)]
    serving: Serving,
    /// Count budgets in Redis through Envoy's global rate limit, HOST:PORT; without it Weir counts them itself, in this
    /// process alone. A password comes in $REDIS_AUTH.
    #[arg(long, value_name = "ADDR")]
    redis: Option<String>,
    /// Envoy's worker threads [default: one for each core]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// What Envoy logs: trace, debug, info, warning, error, critical or off
    #[arg(long, value_name = "LEVEL", default_value = "warning")]
    log_level: String,
    /// Seconds that running requests may take to end after the signal to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    drain_time_s: u64,
}

/// Write what a platform reads.
///
/// With --to envoy these are the files of Envoy and the ratelimit service: Envoy starts on them with `envoy -c
/// DIR/envoy.json`. They refer to each other by path and must stay in DIR. With the native module Envoy's environment
/// must say where libweir.so is, as DIR/envoy.env does.
///
/// With --to envoy-gateway these are resources of Gateway API and Envoy Gateway, for `kubectl apply -f DIR`. No Secret
/// is among them: they are named, and stay where they are.
///
/// With --to istio these are resources for an ingress gateway of Istio, and values of its Helm chart that bring the
/// filter its secrets.
#[derive(Args)]
struct Render {
    #[command(flatten)]
    resources: Resources,
    #[command(flatten)]
    serving: Serving,
    /// What is to be written
    #[arg(long, value_name = "PLATFORM")]
    to: Platform,
    /// Where to; without it everything but secrets is printed
    #[arg(short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Count budgets in the ratelimit service at this address, HOST:PORT, whose configuration is written too
    #[arg(long, value_name = "ADDR")]
    rate_limit_service: Option<String>,
    #[command(flatten)]
    code: platform::Code,
    #[command(flatten)]
    gateway: platform::Gateway,
}

#[derive(Args)]
struct Resources {
    /// A file of resources, or a folder of them; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
}

#[derive(Args)]
struct Serving {
    /// The form of the filter [default: module where it is there and can run, else wasm]
    #[arg(long, value_name = "FORM")]
    filter: Option<Form>,
    /// Port of the first listener; 0 takes a free one [default: the Gateway's]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Port of the admin listener; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 9901)]
    admin_port: u16,
    /// Address of the admin listener; any other than loopback needs --admin-token-file
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    admin_bind: IpAddr,
    /// A file with a token of 16 bytes or more: requests of the admin listener, but for /ready, must have it as
    /// `authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Address to listen on; 0.0.0.0 for all
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Write one JSON line for each request
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Refuse requests that have a limit while the ratelimit service is down, instead of letting them pass
    #[arg(long)]
    rate_limit_fail_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Platform {
    /// A bootstrap and the files it watches
    Envoy,
    /// Resources of Gateway API and Envoy Gateway
    EnvoyGateway,
    /// Resources of Istio
    Istio,
}

#[derive(Args)]
struct ExecChild {
    parent: i32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// This very program, also when another was built in its place.
const LAUNCHER: &str = "/proc/self/exe";

/// The commit, where the build knows it.
fn commit() -> Option<&'static str> {
    option_env!("WEIR_GIT_HASH").filter(|hash| !hash.is_empty())
}

/// The version, and the commit where the build knows it.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let commit = commit().map(|hash| format!(" ({hash})")).unwrap_or_default();
        format!("{}{commit}", env!("CARGO_PKG_VERSION"))
    });
    &VERSION
}

fn main() -> ExitCode {
    let given = Arguments::command().get_matches();
    let command = match Arguments::from_arg_matches(&given) {
        Ok(arguments) => arguments.command,
        Err(error) => error.exit(),
    };
    let result = match command {
        Command::Check(arguments) => return check::command::run(&arguments),
        Command::Explain(arguments) => match explain::command::run(arguments) {
            Ok(false) => return ExitCode::from(1),
            other => other.map(drop),
        },
        Command::Run(arguments) => serve(arguments),
        Command::Render(arguments) => {
            given.subcommand_matches("render").map_or(Ok(()), |given| write(arguments, given))
        }
        Command::Image(arguments) => image::command::run(&arguments, commit(), LAUNCHER.as_ref()),
        Command::ExecChild(arguments) => {
            let Some((program, args)) = arguments.command.split_first() else { return ExitCode::from(2) };
            Err(Failure::Environment(run::exec::exec(arguments.parent, program, args)))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            failure.exit_code()
        }
    }
}

fn serve(arguments: Run) -> Result<(), Failure> {
    let mut wishes = wishes(arguments.serving);
    wishes.redis = arguments.redis;
    wishes.concurrency = arguments.concurrency;
    wishes.log_level = arguments.log_level;
    wishes.drain_time = Duration::from_secs(arguments.drain_time_s);
    run::run(&Files::new(arguments.resources.files), &wishes)
}

fn write(arguments: Render, given: &ArgMatches) -> Result<(), Failure> {
    platform::check(arguments.to, given)?;
    match arguments.to {
        Platform::Envoy => write_for_envoy(arguments),
        Platform::EnvoyGateway => {
            let options = arguments.code.envoy_gateway(arguments.serving.filter)?;
            let input = Input::read(&arguments.resources.files, resources::Platform::EnvoyGateway);
            let input = input.map_err(Failure::Resources)?;
            input.notes.iter().for_each(say);
            let (files, notes) = envoy_gateway::envoy_gateway(&input, &options)?;
            notes.iter().for_each(|note| say(format!("note: {note}")));
            put(&files, arguments.output.as_deref())
        }
        Platform::Istio => {
            let code = arguments.code.istio(arguments.serving.filter)?;
            let service = arguments.rate_limit_service.as_deref().map(service_address).transpose()?;
            let closed = arguments.serving.rate_limit_fail_closed;
            let options = arguments.gateway.options(code, service, closed)?;
            let input = Input::read(&arguments.resources.files, resources::Platform::Istio);
            let input = input.map_err(Failure::Resources)?;
            input.notes.iter().for_each(say);
            let (mut files, notes) = istio::istio(&input.plan, &options)?;
            notes.iter().for_each(|note| say(format!("note: {note}")));
            if arguments.output.is_none() {
                // What is printed is for kubectl, which takes no values of a chart.
                files.retain(|path| path == istio::RESOURCES);
            }
            put(&files, arguments.output.as_deref())
        }
    }
}

fn write_for_envoy(arguments: Render) -> Result<(), Failure> {
    let wishes = wishes(arguments.serving);
    let loaded = Files::new(arguments.resources.files).load().map_err(Failure::Resources)?;
    loaded.notes.iter().for_each(say);
    let service = arguments.rate_limit_service.as_deref().map(service_address).transpose()?;
    let directory = arguments.output.clone().unwrap_or_else(|| PathBuf::from("."));
    let options = run::render_options(&wishes, &directory, service)?;
    let files = render::envoy(&loaded.plan, &options)?;
    put(&files, arguments.output.is_some().then_some(&*options.dir))
}

/// Writes the files into a folder, or prints those that hold no secret.
fn put(files: &render::Files, dir: Option<&Path>) -> Result<(), Failure> {
    if let Some(dir) = dir {
        let written = files.write(dir);
        return written
            .map_err(|error| Failure::Environment(format!("cannot write {}: {error}", dir.display())));
    }
    let mut out = std::io::stdout().lock();
    for (path, file) in files.iter().filter(|(_, file)| !file.secret) {
        // A comment before the first document would be one itself, to some readers.
        let (mark, rest) = match file.content.strip_prefix("---\n") {
            Some(rest) => ("---\n", rest),
            None => ("", file.content.as_str()),
        };
        let printed = write!(out, "{mark}# {path}\n{rest}");
        printed.map_err(|error| Failure::Environment(format!("cannot print: {error}")))?;
    }
    Ok(())
}

fn wishes(serving: Serving) -> Wishes {
    Wishes {
        form: serving.filter,
        port: serving.port,
        admin_port: serving.admin_port,
        admin_bind: serving.admin_bind,
        admin_token_file: serving.admin_token_file,
        bind: serving.bind,
        redis: None,
        access_log: serving.access_log,
        rate_limit_fail_closed: serving.rate_limit_fail_closed,
        concurrency: None,
        log_level: String::new(),
        drain_time: Duration::ZERO,
        launcher: LAUNCHER.into(),
    }
}

fn service_address(address: &str) -> Result<ServiceAddress, Failure> {
    let wrong = || Failure::Environment(format!("--rate-limit-service is {address:?}; it must be HOST:PORT"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    Ok(ServiceAddress::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port })
}
