//! Streams that are open and say nothing: what is left is the memory they take.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::target::{self, Target};
use crate::{Outcome, say};

/// Streams that are being opened at a time.
const AT_ONCE: usize = 50;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: target::Options,
    /// How many streams: opens up to each number, says so, and goes on after a line on standard input
    #[arg(long, value_delimiter = ',', default_values_t = [1000])]
    streams: Vec<u32>,
}

#[derive(Default)]
struct State {
    open: Cell<u32>,
    ended: Cell<u32>,
    error: RefCell<Option<String>>,
}

/// Opens and waits.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let target = Rc::new(Target::new(&options.target)?);
    let state = Rc::new(State::default());
    let slots = Rc::new(Semaphore::new(AT_ONCE));
    let mut begun = 0;
    for wanted in options.streams {
        for _ in begun..wanted {
            tokio::task::spawn_local(hold(target.clone(), state.clone(), slots.clone()));
        }
        begun = begun.max(wanted);
        while state.open.get().saturating_add(state.ended.get()) < begun {
            sleep(Duration::from_millis(20)).await;
        }
        say(&json!({
            "open": state.open.get(), "ended": state.ended.get(), "error": *state.error.borrow(),
        })
        .to_string())?;
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    }
    Ok(())
}

async fn hold(target: Rc<Target>, state: Rc<State>, slots: Rc<Semaphore>) {
    let mut was_open = false;
    let outcome = open(&target, &state, &slots, &mut was_open).await;
    if was_open {
        state.open.set(state.open.get().saturating_sub(1));
    }
    state.ended.set(state.ended.get().saturating_add(1));
    let why = outcome.err().map_or_else(|| "the stream ended".to_owned(), |error| error.to_string());
    state.error.borrow_mut().get_or_insert(why);
}

/// Returns when the stream ends, which it should not.
async fn open(target: &Target, state: &State, slots: &Semaphore, was_open: &mut bool) -> Outcome<()> {
    let slot = slots.acquire().await?;
    let mut sender = target.connect().await?;
    sender.ready().await?;
    let response = sender.send_request(target.request(0)).await?;
    if response.status() != StatusCode::OK {
        return Err(response.status().to_string().into());
    }
    let mut body = response.into_body();
    if let Some(first) = body.frame().await {
        first?;
        *was_open = true;
        state.open.set(state.open.get().saturating_add(1));
    }
    drop(slot);
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}
