//! The load and the model server of the benchmark.
//!
//! Both run on one core, each as a process with one thread, and must be cheaper than the gateway under test: whatever
//! they cost is missing from what they can ask of it. So answers are made once and kept, and the load reads no more of
//! an answer than its lines.

mod answers;
mod clock;
mod idle;
mod load;
mod measure;
mod stream;
mod target;
mod ticker;
mod upstream;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What fails here ends the run, so it only has to be told.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Parser)]
#[command(about = "The load and the model server of the benchmark")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve as every model there is; which one is said by the model's name.
    Upstream(upstream::Options),
    /// Send requests for a while and tell what they cost.
    Load(load::Options),
    /// Open streams that say nothing after their first event, and keep them open.
    Idle(idle::Options),
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "weir-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        match options.command {
            Command::Upstream(options) => upstream::serve(options).await,
            Command::Load(options) => load::run(options).await,
            Command::Idle(options) => idle::run(options).await,
        }
    })
}

/// One line on standard output, at once: the driver waits for it.
fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
