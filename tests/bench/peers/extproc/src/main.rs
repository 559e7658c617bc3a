//! The least that an external processor can do for an AI gateway, and so the floor of what one costs: it names the
//! model of a request in a header, so that Envoy can route by it, and the usage of its answer in dynamic metadata, so
//! that Envoy can limit by it. No translation, no credentials, no failover.
//!
//! Serves Envoy's `ExternalProcessor` on a Unix socket, in one thread.

mod exchange;
mod usage;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::exchange::Exchange;

/// The largest message, in bytes: a body that Envoy buffered, and a little around it.
const MAX_MESSAGE: usize = 64 << 20;
/// Bytes in flight per stream and per connection. HTTP/2's 64 KiB would make every long prompt wait for window updates.
const WINDOW: u32 = 16 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "weir-bench-extproc: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: weir-bench-extproc SOCKET")?;
    let listener = UnixListener::bind(&path)?;
    writeln!(std::io::stdout(), "listening on {}", path.display())?;
    let processor = ExternalProcessorServer::new(Processor).max_decoding_message_size(MAX_MESSAGE);
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .add_service(processor)
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await?;
    Ok(())
}

struct Processor;

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = BoxStream<'static, Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let mut exchange = Exchange::default();
        let answers = request.into_inner().map(move |message| exchange.answer(message?));
        Ok(Response::new(answers.boxed()))
    }
}
