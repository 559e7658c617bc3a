//! Requests over some connections: each sends its next one when it has its answer, or, at a fixed rate, when its time
//! has come.
//!
//! Without a rate a request counts when its answer ends within the window. With one it counts when it was meant to be
//! sent within the window, however late its answer is, and its latency begins there: a gateway that stalls must not get
//! away with the requests that were not sent meanwhile (coordinated omission).

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::client::conn::http1::SendRequest;
use hyper::header::CONTENT_TYPE;
use tokio::time::sleep;

use crate::measure::Tally;
use crate::target::{self, Target};
use crate::ticker::Ticker;
use crate::{Outcome, clock, say};

/// How long answers may take after the window of a fixed rate.
const GRACE: Duration = Duration::from_secs(2);
/// By so much the schedule runs longer than the window, which opens and closes a little late.
const MARGIN: Duration = Duration::from_millis(100);
/// Pause before a connection is opened anew.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of an error's body that are told.
const TOLD: usize = 300;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: target::Options,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Time before the window, in seconds
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Length of the window
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Requests per second, whether answers come or not
    #[arg(long)]
    rate: Option<f64>,
    /// A process of the gateway, whose CPU is told
    #[arg(long)]
    pid: Vec<i32>,
    /// The model server's process
    #[arg(long)]
    upstream_pid: Vec<i32>,
}

struct Shared {
    target: Target,
    tally: Tally,
    numbers: Cell<u64>,
    schedule: Option<Ticker>,
    opened: Cell<Option<Instant>>,
    closed: Cell<Option<Instant>>,
}

/// Sends and tells.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let shared = Rc::new(Shared {
        target: Target::new(&options.target)?,
        tally: Tally::new()?,
        numbers: Cell::default(),
        schedule: options.rate.map(Ticker::new),
        opened: Cell::default(),
        closed: Cell::default(),
    });
    let window = Duration::from_secs_f64(options.seconds);
    let warm_up = Duration::from_secs_f64(options.warm_up);
    for _ in 0..options.connections {
        tokio::task::spawn_local(keep_sending(shared.clone()));
    }
    if shared.schedule.is_some() {
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            if let Some(schedule) = &shared.schedule
                && let Err(error) = schedule.run(warm_up + window + MARGIN).await
            {
                shared.tally.failed(error.to_string());
            }
        });
    }

    sleep(warm_up).await;
    let mut load = options.upstream_pid;
    load.push(i32::try_from(std::process::id())?);
    let (gateway_before, load_before) = (clock::cpu_ns_of(&options.pid), clock::cpu_ns_of(&load));
    let opened = shared.tally.open();
    shared.opened.set(Some(opened));
    sleep(window).await;
    let closed = shared.tally.close();
    let (gateway_after, load_after) = (clock::cpu_ns_of(&options.pid), clock::cpu_ns_of(&load));
    shared.closed.set(Some(closed));

    let meant = shared.schedule.as_ref().map(|schedule| schedule.between(opened, closed));
    if let Some(meant) = meant {
        let end = closed + GRACE;
        while shared.tally.requests() < meant && Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
        }
    }
    let mut report = shared.tally.report();
    report.seconds = closed.duration_since(opened).as_secs_f64();
    report.cpu_ns = gateway_after.saturating_sub(gateway_before);
    report.load_cpu_ns = load_after.saturating_sub(load_before);
    report.unanswered = meant.unwrap_or_default().saturating_sub(shared.tally.requests());
    say(&serde_json::to_string(&report)?)
}

/// One connection after the other, as long as the process lives.
async fn keep_sending(shared: Rc<Shared>) {
    loop {
        if let Err(error) = send_on_one_connection(&shared).await {
            shared.tally.failed(error.to_string());
        }
        sleep(PAUSE).await;
    }
}

async fn send_on_one_connection(shared: &Shared) -> Outcome<()> {
    let mut sender = shared.target.connect().await?;
    loop {
        let meant = match &shared.schedule {
            Some(schedule) => schedule.next().await?,
            None => Instant::now(),
        };
        exchange(shared, &mut sender, meant).await?;
    }
}

async fn exchange(shared: &Shared, sender: &mut SendRequest<Full<Bytes>>, meant: Instant) -> Outcome<()> {
    let number = shared.numbers.get();
    shared.numbers.set(number.wrapping_add(1));
    sender.ready().await?;
    let response = sender.send_request(shared.target.request(number)).await?;
    let status = response.status();
    let events = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let mut body = response.into_body();
    if status != StatusCode::OK {
        let text = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(text.get(..TOLD).unwrap_or(&text)).into_owned();
        shared.tally.failed(format!("{status}: {text}"));
        return Ok(());
    }
    let mut first = None;
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame?.data_ref() {
            first.get_or_insert_with(|| meant.elapsed());
            shared.tally.read(piece, events);
        }
    }
    shared.tally.answered(shared.counts(meant), meant.elapsed(), first);
    Ok(())
}

impl Shared {
    /// Whether a request that ends now counts.
    fn counts(&self, meant: Instant) -> bool {
        if self.schedule.is_none() {
            return self.tally.is_open();
        }
        let begun = self.opened.get().is_some_and(|opened| meant >= opened);
        begun && self.closed.get().is_none_or(|closed| meant < closed)
    }
}
