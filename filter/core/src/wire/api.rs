//! A client API: what clients of an endpoint send and expect.
//!
//! [`Api`] is whose conventions it follows, which many endpoints share: how errors look, what keeps a stream alive.
//! [`ClientCodec`] is the client's side of a translation, which conversations have.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::chat::{Event, Losses, Reply, Request};
use crate::config::Model;
use crate::error::{Error, Result};
use crate::wire::prompt::Prompt;
use crate::wire::translate::reworded;

/// The conventions of a client API. Its values are static, see [`super::ClientApi::api`].
pub trait Api: fmt::Debug + Sync {
    /// What paths begin with that are its own, whether there is an endpoint or not; none for the one that all others
    /// are of.
    fn prefixes(&self) -> &'static [&'static str];

    /// What is in paths that are its own, wherever they begin.
    fn marks(&self) -> &'static [&'static str] {
        &[]
    }

    /// The body of an answer that is an error.
    fn error(&self, error: &Error) -> Value;

    /// The same as an event of a stream that has begun.
    fn error_event(&self, error: &Error) -> Vec<u8> {
        format!("data: {}\n\n", self.error(error)).into_bytes()
    }

    /// The same in a stream that somebody else has written. `_number`: of the next event, where they are numbered.
    fn next_error_event(&self, error: &Error, _number: Option<u64>) -> Vec<u8> {
        self.error_event(error)
    }

    /// Whether a body is an error of this API's own, so that its clients can read all that it says.
    fn is_error(&self, body: &Value) -> bool;

    /// What clients take for a sign of life between two events, and nothing else.
    fn sign_of_life(&self) -> &'static [u8] {
        // <https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes>
        b": keepalive\n\n"
    }

    /// Whether its clients pass over comments in a stream.
    fn takes_comments(&self) -> bool {
        true
    }

    /// A name for an answer that has none, from what is unique.
    fn answer_id(&self, unique: &str) -> String {
        unique.to_owned()
    }

    /// Its list of models, where it has one.
    fn models(&self) -> Option<&'static ModelsList> {
        None
    }
}

/// How an API lists the models that there are.
#[derive(Debug)]
pub struct ModelsList {
    /// Where.
    pub path: &'static str,
    /// One model.
    pub one: fn(&Model) -> Value,
    /// All of them, from the values that `one` made.
    pub all: fn(Vec<Value>) -> Value,
}

/// The client's side of a translation.
pub trait ClientCodec: fmt::Debug + Sync {
    /// Reads a request. What the neutral form cannot hold is recorded in `losses`.
    ///
    /// # Errors
    ///
    /// 400 for a body that is not the API's, 422 for a value that cannot be served; both name the field.
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request>;

    /// What clients call the fields that losses name as the neutral form does: its name for one, and the client's. A
    /// name that begins with a dot stands at the end of a path, any other at its beginning; `[]` is any element of a
    /// list. Messages and their parts know their places themselves, see [`crate::chat::Origin`].
    fn words(&self) -> &'static [(&'static str, &'static str)];

    /// What the client calls what is at `path` in `request`, where that is something else.
    fn place(&self, _: &Request, path: &str) -> Option<String> {
        reworded(path, self.words())
    }

    /// Writes a whole answer. What the API cannot express is recorded in `losses`.
    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8>;

    /// A writer for one streamed answer.
    fn events(&self, asked: &Asked) -> Box<dyn EventWriter>;

    /// Where the beginning of the prompt stands; `None` where no model is to read one.
    fn prompt(&self) -> Option<Prompt> {
        None
    }

    /// Whether its requests only ask how many tokens a conversation has, so that no model is to answer it:
    /// [`super::Schema::counter`].
    fn counts(&self) -> bool {
        false
    }
}

/// Writes one streamed answer for its client.
pub trait EventWriter: fmt::Debug {
    /// Appends the server-sent events that tell `event` to the client to `out`. What the API cannot express is recorded
    /// in `losses`.
    fn event(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>);

    /// True after the end of the answer or an error: nothing more will be written.
    fn is_closed(&self) -> bool;

    /// The number of the next event, in an API that counts them.
    fn next_number(&self) -> Option<u64> {
        None
    }
}

/// The most bytes that a writer keeps until they can be told, of all blocks together.
pub(in crate::wire) const MAX_HELD: usize = 4 << 20;

/// So many `more` bytes are `held` by a writer.
pub(in crate::wire) fn hold(held: &mut usize, more: usize) -> Result<()> {
    *held = held.saturating_add(more);
    if *held > MAX_HELD {
        return Err(Error::bad_answer("the backend's answer has more at once than this gateway holds"));
    }
    Ok(())
}

/// What the codecs of an answer need of the question.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request as the backend was asked it, without its messages: an answer depends on what was asked for, not on
    /// the conversation, which may be large.
    pub request: Rc<Request>,
    /// What the answer is called when its provider does not say; unique among the gateway's answers.
    pub id: String,
    /// The model that was asked, after any override.
    pub model: String,
    /// The time of the answer, in seconds since 1970.
    pub created: u64,
}

impl Asked {
    /// What is to be remembered of a request until its answer comes.
    #[must_use]
    pub fn remembered(mut request: Request) -> Rc<Request> {
        request.messages = Vec::new();
        Rc::new(request)
    }
}
