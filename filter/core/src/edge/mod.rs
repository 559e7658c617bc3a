//! The edge role: in the listener's HTTP chain, before the rate limit.
//!
//! On the way in it recognises the endpoint, reads the model from the body and puts it where Envoy's routes can see
//! it. On the way back it gives every error the client's own shape, and when the request is over it closes the
//! books.

mod closing;
pub(crate) mod identity;
mod local_reply;
mod models;
mod refused;
mod request;

use std::sync::Arc;

use crate::backend::Place;
use crate::config::Config;
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Kind};
use crate::exchange::SharedExchange;
use crate::headers::{HeaderEdits, Headers, LOSSES_HEADER, MODEL_HEADER, NO_RETRY_HEADER};
use crate::pulse::Beat;
use local_reply::NOWHERE;

pub use closing::Closing;
pub use local_reply::{ANSWER_BROKEN, ANSWER_TOO_LARGE, LocalReply, OWN_DETAILS};
pub use models::list_paths;
pub use refused::{REFUSALS, Refusal};

/// An answer of the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, without `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// `error` in the shape of `api`.
    #[must_use]
    pub fn of_error(error: &Error, api: ClientApi) -> Reply {
        Reply { status: error.status(), headers: json_content_type(), body: error.body(api) }
    }

    /// Says that it may be tried again soon.
    pub(crate) fn for_room(mut self) -> Reply {
        self.headers.push(("retry-after".to_owned(), "1".to_owned()));
        self
    }

    fn json(body: Vec<u8>) -> Reply {
        Reply { status: 200, headers: json_content_type(), body }
    }
}

fn json_content_type() -> Vec<(String, String)> {
    vec![("content-type".to_owned(), "application/json".to_owned())]
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Let it pass, with these changes to its headers.
    Pass(HeaderEdits),
    /// Make these changes, and hold it until its body is whole.
    Hold(HeaderEdits),
    /// Answer it.
    Reply(Reply),
}

/// What to do with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Let it pass, with these changes to its headers.
    Pass(HeaderEdits),
    /// Make these changes, and replace its whole body.
    Replace(HeaderEdits, Vec<u8>),
    /// It has no body to replace: answer anew.
    Reply(Reply),
}

/// The edge role of one request.
#[derive(Debug)]
pub struct Edge {
    config: Arc<Config>,
    exchange: SharedExchange,
    /// The request was refused in the midst of its body.
    outgrew: bool,
}

impl Edge {
    /// The role of the request that `exchange` is about.
    #[must_use]
    pub fn new(config: Arc<Config>, exchange: SharedExchange) -> Edge {
        Edge { config, exchange, outgrew: false }
    }

    /// Where the request goes if there is but one place. Whoever has this role then plays the backend role there as
    /// well.
    #[must_use]
    pub fn direct(&self) -> Option<Place<'_>> {
        let exchange = self.exchange.borrow();
        let direct = self.config.direct.get(&exchange.client.model).filter(|_| exchange.routed.direct)?;
        Some(Place { route: &direct.route, target: &direct.target })
    }

    /// Whether a stream of events is on its way to the client.
    #[must_use]
    pub fn has_pulse(&self) -> bool {
        self.exchange.borrow().attempt.pulse.is_some_and(|pulse| pulse.over_ms.is_none())
    }

    /// Whether the answer has said its last word, and its backend has not ended it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.exchange.borrow().attempt.pulse.is_some_and(|pulse| pulse.over_ms.is_some())
    }

    /// The end of a stream whose headers the client has, where the gateway stops.
    pub fn stop(&mut self) -> Beat {
        let exchange = &mut *self.exchange.borrow_mut();
        let beat = exchange.attempt.pulse.take().map_or(Beat::Over, |pulse| pulse.end(exchange.client.api));
        beat.framed(exchange.array())
    }

    /// What is due in a stream whose headers the client has.
    pub fn beat(&mut self, now_ms: u64) -> Beat {
        let exchange = &mut *self.exchange.borrow_mut();
        let Some(pulse) = &mut exchange.attempt.pulse else { return Beat::Over };
        let (route, api) = (exchange.routed.route.as_deref(), exchange.client.api);
        let mut beat = pulse.beat(&self.config, route, api, now_ms);
        if exchange.client.is_array && matches!(beat, Beat::Write(_)) {
            // Between the elements of an array there is no place for a sign of life: it counts as given.
            beat = pulse.beat(&self.config, route, api, now_ms);
        }
        if matches!(beat, Beat::End(_)) {
            exchange.attempt.pulse = None;
        }
        beat.framed(exchange.array())
    }

    /// Whether the request passes as it is: the proxy has chosen its route by what the client said of a model.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        self.exchange.borrow().client.endpoint == Some(Endpoint::PassThrough)
    }

    /// Whether the request becomes a WebSocket.
    #[must_use]
    pub fn opens_socket(&self) -> bool {
        self.exchange.borrow().client.endpoint.is_some_and(Endpoint::opens_socket)
    }

    /// The exchange, for the backend role.
    #[must_use]
    pub fn exchange(&self) -> &SharedExchange {
        &self.exchange
    }

    /// Whether the answer is one of the gateway's own, in the client's shape already.
    #[must_use]
    pub fn answered_here(&self) -> bool {
        self.exchange.borrow().answered_here
    }

    /// The status of the answer whose headers come now, if the backend role has just let it pass: there is no need to
    /// ask the host for it then, and nothing but its success to know of it.
    pub fn passing(&mut self) -> Option<u16> {
        self.exchange.borrow_mut().attempt.passing.take()
    }

    /// The answer's headers have come; `end` says that it has no body. `local` is Envoy's word for a reply of its own,
    /// `None` for one that came from a backend.
    pub fn response_headers(
        &mut self,
        status: u16,
        headers: &Headers,
        local: Option<&str>,
        end: bool,
    ) -> Response {
        if let Some(details) = local {
            self.count_unsent(LocalReply { status, details });
        }
        let exchange = self.exchange.borrow();
        let mut edits = HeaderEdits::default();
        // No backend's own comes so far.
        if local.is_none() && exchange.attempts.begun > 0 && headers.get(NO_RETRY_HEADER).is_some() {
            edits.remove(NO_RETRY_HEADER);
        }
        if let Some(standing) = exchange.books.standing.filter(|_| !exchange.answered_here) {
            for (name, value) in standing.headers() {
                edits.set(name, value);
            }
        }
        if exchange.client.reports_losses && !exchange.attempt.losses.is_empty() {
            edits.set(LOSSES_HEADER, exchange.attempt.losses.header());
        }
        // With wasm, Envoy sees by itself that a body without a length is too large, then shows it to the filter, and
        // does not take the filter's answer any more. It does not say whose this one is; were it the filter's, it would
        // be the same.
        if self.outgrew && status == 413 && !end {
            edits.set("content-type", "application/json");
            edits.remove("content-length");
            return Response::Replace(edits, too_large(&self.config).body(exchange.client.api));
        }
        let is_nowhere = status == 404 && local == Some(NOWHERE);
        let concerns_us =
            exchange.client.endpoint.is_some() || is_nowhere || local == Some("route_not_found");
        if exchange.answered_here || status < 400 || !concerns_us {
            return Response::Pass(edits);
        }
        // Of a request whose body is not whole no backend knows.
        let is_envoys = status == 413 && exchange.client.endpoint.is_some() && exchange.attempts.begun == 0;
        let error = match local {
            None if is_envoys => LocalReply { status, details: "" }.error(&exchange),
            // The backend role gave a backend's error the client's shape, where there was a body.
            None if !end => return Response::Pass(edits),
            None => match &exchange.attempt.headers_only {
                Some(error) => error.clone(),
                // No attempt knows of it: it is the answer of a plain route.
                None => return Response::Pass(edits),
            },
            Some(details) => LocalReply { status, details }.error(&exchange),
        };
        drop(exchange);
        self.exchange.borrow_mut().note(&error);
        let exchange = self.exchange.borrow();
        if error.status() != status {
            edits.set(":status", error.status().to_string());
        }
        if error.status() == 429
            && headers.get("retry-after").is_none()
            && let Some(reset) = headers.get("x-ratelimit-reset").filter(|reset| is_seconds(reset))
        {
            edits.set("retry-after", reset.to_owned());
        }
        if !end {
            edits.set("content-type", "application/json");
            edits.remove("content-length");
            return Response::Replace(edits, error.body(exchange.client.api));
        }
        let mut reply = Reply::of_error(&error, exchange.client.api);
        let kept = headers.iter().filter(|(name, _)| {
            let is_kept = name.starts_with("x-ratelimit-")
                || matches!(*name, "retry-after" | "www-authenticate" | "x-request-id");
            is_kept && edits.get(name).is_none()
        });
        let set = edits.iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let set = set.filter(|(name, _)| !name.starts_with(':'));
        reply.headers.extend(kept.chain(set).map(|(name, value)| (name.to_owned(), value.to_owned())));
        drop(exchange);
        Response::Reply(self.answer(reply))
    }

    /// Takes back what was counted as sent where Envoy's own reply says that it was not. What went before may have
    /// been.
    fn count_unsent(&mut self, reply: LocalReply<'_>) {
        let mut exchange = self.exchange.borrow_mut();
        if reply.is_limited() {
            // On a direct way it was made for its backend before it was refused.
            exchange.forget_attempts();
        } else if reply.has_no_room() || reply.has_no_place() && exchange.routed.direct {
            // In an upstream chain none is made without a place to go to.
            exchange.count_unsent();
        }
    }

    /// The client's path, if the attempt's looks like one of another API. Errors of Envoy's own that reach the client
    /// past all filters get the shape of the API that the path is of by then.
    #[must_use]
    pub fn restored_path(&self) -> Option<HeaderEdits> {
        let exchange = self.exchange.borrow();
        let path = exchange.client.headers.get(":path").filter(|_| exchange.attempts.misleads)?;
        let mut edits = HeaderEdits::default();
        edits.set(":path", path.to_owned());
        Some(edits)
    }

    /// What to change in the request's headers once its answer has come, since attempts share them with the rate limit:
    /// it charges by the client's own headers and the model, whatever a backend was to see. On a direct way only the
    /// model is gone by then, which the route removed: limits by headers that its backend changes do not go one.
    #[must_use]
    pub fn restored_request_headers(&self) -> HeaderEdits {
        let exchange = self.exchange.borrow();
        let names = exchange.routed.route.iter().flat_map(|route| &route.limit_headers);
        let is_gone = |name: &str| {
            exchange.routed.direct && name == MODEL_HEADER
                || exchange.attempts.touched.iter().any(|touched| touched == name)
        };
        let mut edits = HeaderEdits::default();
        for name in names.filter(|name| is_gone(name)) {
            if let Some(value) = exchange.header(name) {
                edits.set(name.clone(), value.into_owned());
            }
        }
        edits
    }

    fn refuse(&mut self, error: &Error) -> Reply {
        self.exchange.borrow_mut().note(error);
        let mut reply = Reply::of_error(error, self.exchange.borrow().client.api);
        if error.kind() == Kind::MethodNotAllowed
            && let Some(endpoint) = self.exchange.borrow().client.endpoint
        {
            reply.headers.push(("allow".to_owned(), endpoint.methods().join(", ")));
        }
        self.answer(reply)
    }

    fn answer(&mut self, reply: Reply) -> Reply {
        self.exchange.borrow_mut().answered_here = true;
        reply
    }
}

fn too_large(config: &Config) -> Error {
    let limit = config.body_limit;
    Error::new(Kind::TooLarge, format!("the request body is over the limit of {limit} bytes"))
}

/// Providers have headers of this name too, with values such as `1s`.
fn is_seconds(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}
