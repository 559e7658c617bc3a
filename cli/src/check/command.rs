//! `weir check`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Compiled, Environment, compile};
use crate::resources::kinds::Kind;
use crate::resources::source;

/// Reports every mistake in the resources.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file, a directory of *.yaml files, or - for standard input; may be given several times.
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
}

/// Exit code for bad resources.
const BAD: u8 = 1;
/// Exit code for a part that is missing.
const UNREADABLE: u8 = 2;

/// Writes mistakes and warnings to standard error and a summary to standard output.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    let sources = match source::read(&arguments.files) {
        Ok(sources) => sources,
        Err(unreadable) => {
            let lines: Vec<String> = unreadable.iter().map(|file| format!("error: {file}")).collect();
            write_lines(std::io::stderr(), &lines);
            return ExitCode::from(UNREADABLE);
        }
    };
    let compiled = compile(&sources, &Environment::of_process());
    write_lines(std::io::stderr(), &findings(&compiled));
    write_lines(std::io::stdout(), &[summary(&compiled)]);
    if compiled.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BAD) }
}

/// Standard streams may be closed; there is nobody left to tell.
fn write_lines(mut stream: impl Write, lines: &[String]) {
    for line in lines {
        let _ = writeln!(stream, "{line}");
    }
}

/// One line for each thing that was found.
#[must_use]
pub fn findings(compiled: &Compiled) -> Vec<String> {
    let skipped = compiled.skipped.iter().map(|skipped| format!("note: {skipped}"));
    let warnings = compiled.warnings.iter().map(|warning| format!("warning: {warning}"));
    let errors = compiled.errors.iter().map(|error| format!("error: {error}"));
    skipped.chain(warnings).chain(errors).collect()
}

/// One line: `ok: 1 route, 3 backends, 2 policies`, or how many mistakes there are.
#[must_use]
pub fn summary(compiled: &Compiled) -> String {
    let warnings = match compiled.warnings.len() {
        0 => String::new(),
        count => format!(", {}", counted(count, "warning", "warnings")),
    };
    if !compiled.errors.is_empty() {
        return format!("{}{warnings}", counted(compiled.errors.len(), "error", "errors"));
    }
    let sum = |kinds: &[Kind]| -> usize {
        compiled.counts.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, count)| count).sum()
    };
    let routes = sum(&[Kind::AIGatewayRoute, Kind::HTTPRoute]);
    let backends = sum(&[Kind::AIServiceBackend]);
    let policies = sum(&[
        Kind::BackendSecurityPolicy,
        Kind::BackendTLSPolicy,
        Kind::BackendTrafficPolicy,
        Kind::ClientTrafficPolicy,
        Kind::SecurityPolicy,
    ]);
    format!(
        "ok: {}, {}, {}{warnings}",
        counted(routes, "route", "routes"),
        counted(backends, "backend", "backends"),
        counted(policies, "policy", "policies")
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
