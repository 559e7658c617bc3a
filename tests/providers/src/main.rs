//! Stand-in model providers that speak the providers' documented formats, for the demo and the tests.
//!
//! Each port is one named provider. Besides its API every port has controls for tests: `GET` and `DELETE /_requests`
//! (what it received), `POST`, `GET` and `DELETE /_script` (answers to give instead of its own), `DELETE /_own` (both)
//! and `DELETE /_all` (both, of all ports), `PUT /_keys` (the keys a Bedrock accepts) and `PUT /_credentials` (what a
//! credentials endpoint hands out).

mod answer;
mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod credentials;
mod google;
mod object;
mod openai;
mod options;
mod record;
mod retrieval;
mod script;
mod server;
mod text;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::options::Options;
use crate::server::{Port, Ports};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "weir-providers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves all ports until a signal comes.
async fn run(options: Options) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut servers = JoinSet::new();
    let ports: Vec<(u16, Arc<Port>)> =
        options.ports()?.into_iter().map(|(port, provider)| (port, Arc::new(provider))).collect();
    let all: Ports = ports.iter().map(|(_, provider)| Arc::clone(provider)).collect();
    for (port, provider) in ports {
        let name = provider.name.clone();
        let listener = TcpListener::bind((options.bind, port))
            .await
            .map_err(|error| format!("{name}: port {port}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        writeln!(std::io::stdout(), "{name} http://{address}").map_err(|error| error.to_string())?;
        servers.spawn(provider.serve(Arc::clone(&all), listener));
    }
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        ended = servers.join_next() => match ended {
            None => Err("no provider: name at least one, see --help".to_owned()),
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error.to_string()),
            Some(Err(error)) => Err(error.to_string()),
        },
    }
}
