//! `weir`: check, render and run AI gateway resources on Envoy.

use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use weir_cli::check;
use weir_cli::render::{self, Form, ServiceAddress};
use weir_cli::run::load::{Files, Loader};
use weir_cli::run::{self, Failure, Wishes, say};

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
    Run(Run),
    Render(Render),
    #[command(hide = true)]
    ExecChild(ExecChild),
}

/// Serve: compile the resources, start Envoy on them and follow their changes.
///
/// Once it serves it prints two lines, `listening on http://ADDRESS:PORT` (the first listener of the Gateways) and `admin on
/// http://127.0.0.1:PORT` (/weir/usage, /ready, /stats, /stats/prometheus); all else goes to standard error. A changed file is taken
/// over while it runs, a wrong one refused. SIGTERM or Ctrl-C stops it once running requests have ended, a second one at once.
///
/// Exit code 0: stopped by a signal; 1: the resources have mistakes; 2: a part is missing or a port is taken.
#[derive(Args)]
struct Run {
    #[command(flatten)]
    resources: Resources,
    #[command(flatten)]
    serving: Serving,
    /// Count budgets in Redis through Envoy's global rate limit, HOST:PORT; without it Weir counts them itself, in this process
    /// alone. A password comes in $REDIS_AUTH.
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

/// Write the files that Envoy and the ratelimit service read.
///
/// Envoy starts on them with `envoy -c DIR/envoy.json`. The files refer to each other by path: they must stay in DIR. With the native
/// module Envoy's environment must say where libweir.so is, as DIR/envoy.env does.
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
    /// Port of the admin listener, on loopback; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 9901)]
    admin_port: u16,
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
    /// Resources of Envoy Gateway: not there yet
    EnvoyGateway,
    /// Resources of Istio: not there yet
    Istio,
}

#[derive(Args)]
struct ExecChild {
    parent: i32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The version, and the commit where the build knows it.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let commit = option_env!("WEIR_GIT_HASH").filter(|hash| !hash.is_empty());
        let commit = commit.map(|hash| format!(" ({hash})")).unwrap_or_default();
        format!("{}{commit}", env!("CARGO_PKG_VERSION"))
    });
    &VERSION
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check(arguments) => return check::command::run(&arguments),
        Command::Run(arguments) => serve(arguments),
        Command::Render(arguments) => write(arguments),
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
    run::run(&Files(arguments.resources.files), &wishes)
}

fn write(arguments: Render) -> Result<(), Failure> {
    if arguments.to != Platform::Envoy {
        return Err(Failure::Environment(
            "resources of Envoy Gateway and Istio cannot be rendered yet; use --to envoy".to_owned(),
        ));
    }
    let wishes = wishes(arguments.serving);
    let loaded = Files(arguments.resources.files).load().map_err(Failure::Resources)?;
    loaded.notes.iter().for_each(say);
    let service = arguments.rate_limit_service.as_deref().map(service_address).transpose()?;
    let directory = arguments.output.clone().unwrap_or_else(|| PathBuf::from("."));
    let options = run::render_options(&wishes, &directory, service)?;
    let files = render::envoy(&loaded.plan, &options)?;
    if arguments.output.is_some() {
        let written = files.write(&options.dir);
        return written.map_err(|error| {
            Failure::Environment(format!("cannot write {}: {error}", options.dir.display()))
        });
    }
    let mut out = std::io::stdout().lock();
    for (path, file) in files.iter().filter(|(_, file)| !file.secret) {
        let printed = write!(out, "# {path}\n{}", file.content);
        printed.map_err(|error| Failure::Environment(format!("cannot print: {error}")))?;
    }
    Ok(())
}

fn wishes(serving: Serving) -> Wishes {
    Wishes {
        form: serving.filter,
        port: serving.port,
        admin_port: serving.admin_port,
        bind: serving.bind,
        redis: None,
        access_log: serving.access_log,
        rate_limit_fail_closed: serving.rate_limit_fail_closed,
        concurrency: None,
        log_level: String::new(),
        drain_time: Duration::ZERO,
        // This very program, also when another was built in its place.
        launcher: "/proc/self/exe".into(),
    }
}

fn service_address(address: &str) -> Result<ServiceAddress, Failure> {
    let wrong = || Failure::Environment(format!("--rate-limit-service is {address:?}; it must be HOST:PORT"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    Ok(ServiceAddress::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port })
}
