//! A fetch under way. A source says in an `async fn` over [`Io`] what it needs, one thing after the other; the answers
//! that the shell brings are all that drives it. Between two of them it is a value of the worker that claimed the
//! fetch, with whatever secrets it has got so far: what it waits for is never more than one [`Need`].

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Entry;
use super::{Answer, FetchError, HttpAnswer, HttpCall, Need};
use crate::auth::{Credential, Secret, Source};

/// Looks up a variable of the process's environment.
pub type Environment = fn(&str) -> Option<String>;

/// What a source gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) credential: Credential,
    pub(crate) lasts: Lasts,
}

/// How long a credential is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// As long as the process: its environment does not change.
    Forever,
    /// Until its place has another, where it is looked at again and again.
    UntilReplaced,
    /// Until this time, in seconds of Unix time.
    Until(u64),
}

/// What a source has of the world. Copies are the same.
#[derive(Clone)]
pub(crate) struct Io(Rc<Shared>);

struct Shared {
    environment: Environment,
    now: Cell<u64>,
    need: Cell<Option<Need>>,
    answer: Cell<Option<Result<Answer, FetchError>>>,
}

impl Io {
    /// Now, in seconds of Unix time.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// A variable of the process's environment, unless it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.0.environment)(name).filter(|value| !value.is_empty())
    }

    /// The value of a key of the one Secret that belongs to the credential.
    pub(crate) async fn secret(&self, name: &str, key: &str) -> Result<Secret, FetchError> {
        match self.ask(Need::Secret { name: name.to_owned(), key: key.to_owned() }).await? {
            Answer::Secret(value) => Ok(value),
            Answer::File(_) | Answer::Http(_) => Err(FetchError::OtherKind),
        }
    }

    /// What a file holds.
    pub(crate) async fn file(&self, path: &str) -> Result<Secret, FetchError> {
        match self.ask(Need::File(path.to_owned())).await? {
            Answer::File(text) => Ok(text),
            Answer::Secret(_) | Answer::Http(_) => Err(FetchError::OtherKind),
        }
    }

    /// The answer to a call, whatever its status.
    pub(crate) async fn http(&self, call: HttpCall) -> Result<HttpAnswer, FetchError> {
        match self.ask(Need::Http(call)).await? {
            Answer::Http(answer) => Ok(answer),
            Answer::Secret(_) | Answer::File(_) => Err(FetchError::OtherKind),
        }
    }

    async fn ask(&self, need: Need) -> Result<Answer, FetchError> {
        self.0.need.set(Some(need));
        poll_fn(|_| self.0.answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// A fetch that waits for the answer to a [`Need`]. It belongs to a claim, see [`Renewal`](super::Renewal).
pub struct Fetching {
    source: Pin<Box<dyn Future<Output = Result<Fresh, FetchError>>>>,
    io: Io,
    /// Until when its claim holds, by which it is known among all claims.
    pub(super) claimed_until: u64,
}

/// What a fetch came to.
pub(super) enum Progress {
    Needs(Need, Fetching),
    Done(Result<Fresh, FetchError>),
}

impl Fetching {
    /// The entry without the claim of this fetch, whose answer nobody will hear of. `None`: the claim is another's.
    #[must_use]
    pub fn let_go(&self, shared: &Entry) -> Option<Entry> {
        (shared.claimed_until() == Some(self.claimed_until)).then(|| shared.released())
    }

    pub(super) fn begin(source: Source, now: u64, environment: Environment) -> Progress {
        let io = Io(Rc::new(Shared {
            environment,
            now: Cell::new(now),
            need: Cell::default(),
            answer: Cell::default(),
        }));
        let own = io.clone();
        let source = Box::pin(async move { source.fetch(&own).await });
        Self { source, io, claimed_until: 0 }.run()
    }

    pub(super) fn answered(self, answer: Result<Answer, FetchError>, now: u64) -> Progress {
        self.io.0.now.set(now);
        self.io.0.answer.set(Some(answer));
        self.run()
    }

    fn run(mut self) -> Progress {
        match self.source.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Progress::Done(done),
            Poll::Pending => match self.io.0.need.take() {
                Some(need) => Progress::Needs(need, self),
                // It waits for what nobody was asked for.
                None => Progress::Done(Err(FetchError::NoAnswer)),
            },
        }
    }
}

/// It may hold secrets.
impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetching(..)")
    }
}
