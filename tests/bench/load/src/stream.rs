//! Answers as bodies: whole, or in pieces that are each written by themselves.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior};

use crate::{answers, clock};

/// The body of an answer.
pub(crate) enum Answer {
    /// One document.
    Whole(Option<Bytes>),
    /// Pieces as fast as they are taken, each a write of its own: models send token by token, and a gateway that got
    /// many at once would look cheaper than it is.
    Fast {
        /// The pieces.
        pieces: Rc<[Bytes]>,
        /// The next one.
        next: usize,
        /// Whether a piece was handed over and has not been written yet.
        writing: bool,
    },
    /// An event at every tick, until the client leaves.
    Paced(Interval),
    /// One event, then nothing until the client leaves.
    Idle(Option<Bytes>),
}

impl Answer {
    /// Pieces as fast as they are taken.
    pub(crate) fn fast(pieces: Rc<[Bytes]>) -> Self {
        Self::Fast { pieces, next: 0, writing: false }
    }

    /// An event every `period`.
    pub(crate) fn paced(period: Duration) -> Self {
        let mut ticks = tokio::time::interval(period);
        // The pace is part of the scenario: what was late is caught up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self::Paced(ticks)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Whole(document) => document.take(),
            Self::Fast { pieces, next, writing } => {
                if *writing {
                    // The connection writes what it has when there is nothing more to take just now.
                    *writing = false;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                *writing = true;
                let piece = pieces.get(*next).cloned();
                *next = next.saturating_add(1);
                piece
            }
            Self::Paced(ticks) => {
                if ticks.poll_tick(context).is_pending() {
                    return Poll::Pending;
                }
                Some(answers::timed_chat_word(clock::monotonic_ns()))
            }
            Self::Idle(first) => match first.take() {
                // Nobody will wake this task but the connection, when the client leaves.
                None => return Poll::Pending,
                first => first,
            },
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(Some(document)) => SizeHint::with_exact(document.len() as u64),
            Self::Whole(None) => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}
