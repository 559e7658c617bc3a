//! `weir explain`

use std::io::{Read, Write};
use std::path::PathBuf;

use super::{Asked, explain};
use crate::run::Failure;
use crate::run::load::{Files, Loader};

/// Say what would become of a request, without sending it: the rule that takes it and why, and for each backend the
/// request that it would get and what a translation would lose.
///
/// Headers of credentials are shown by their names alone, and no credential is fetched.
///
/// Exit code 0: there is a rule and a backend for it; 1: the resources have mistakes, or the gateway itself would
/// answer with an error; 2: the request cannot be read.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file of resources, or a folder of them; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The path that the request is for, with its query
    #[arg(long, value_name = "PATH", default_value = "/v1/chat/completions")]
    path: String,
    /// Its method [default: POST, or GET where there is no body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// The host name that the client uses
    #[arg(long, value_name = "HOST", default_value = "")]
    host: String,
    /// A header of the request, `NAME: VALUE`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The request's body, or - for standard input; without it there is none
    #[arg(value_name = "REQUEST")]
    request: Option<PathBuf>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it must be NAME: VALUE")?;
    if name.trim().is_empty() {
        return Err("it has no name".to_owned());
    }
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

/// Prints the explanation. Whether the request would reach a backend.
///
/// # Errors
///
/// Mistakes in the resources, or a request that cannot be read.
pub fn run(arguments: Arguments) -> Result<bool, Failure> {
    let body = match &arguments.request {
        None => Vec::new(),
        Some(path) => read(path).map_err(|error| {
            Failure::Environment(format!("cannot read the request {}: {error}", path.display()))
        })?,
    };
    let loaded = Files::new(arguments.files).load().map_err(Failure::Resources)?;
    let method = arguments.method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    let Arguments { path, host, headers, .. } = arguments;
    let explanation = explain(&loaded.plan, &Asked { method, path, host, headers, body });
    let text = if arguments.json {
        serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n"
    } else {
        explanation.to_string()
    };
    // Standard output may be closed; there is nobody left to tell.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(explanation.is_served())
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() != "-" {
        return std::fs::read(path);
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    Ok(body)
}
