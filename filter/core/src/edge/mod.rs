//! The edge role: in the listener's HTTP chain, before the rate limit.
//!
//! On the way in it recognises the endpoint, reads the model from the body and puts it where Envoy's routes can see
//! it. On the way back it gives every error the client's own shape, and when the request is over it closes the
//! books.

mod closing;
mod identity;
mod local_reply;
mod models;

use std::sync::Arc;

use crate::backend::{Attempt, Place};
use crate::codec::text::BYTE_ORDER_MARK;
use crate::config::{Config, Direct};
use crate::endpoint::{Body, ClientApi, Endpoint};
use crate::error::{Error, Kind, no_room};
use crate::exchange::SharedExchange;
use crate::headers::{
    BACKEND_HEADER, CLUSTER_HEADER, HeaderEdits, Headers, LOSSES_HEADER, MODEL_HEADER, NO_RETRY_HEADER,
    PREFIX_KEY_HEADER, REPORT_LOSSES_HEADER, STRICT_HEADER, is_internal,
};
use crate::kept::Kept;
use crate::pulse::Beat;
use crate::wire::{ClientCodec, passed};

pub use closing::Closing;
pub use local_reply::{ANSWER_BROKEN, ANSWER_TOO_LARGE, LocalReply, OWN_DETAILS};

/// By these a client inside the network tells Envoy's router how often to try and how long to wait:
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#http-headers-consumed-from-downstream-clients>.
/// Each attempt may cost money, and two at once cannot share an exchange, so that is the operator's to say.
const STEERING_HEADERS: &[&str] = &[
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

fn is_steering(name: &str) -> bool {
    name.starts_with("x-envoy-") && STEERING_HEADERS.contains(&name)
}

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

    /// The request's headers have come; `end` says that it has no body.
    pub fn request_headers(&mut self, end: bool) -> Request {
        match self.check_headers(end) {
            Ok(request) => request,
            Err(error) => Request::Reply(self.refuse(&error)),
        }
    }

    fn check_headers(&mut self, end: bool) -> Result<Request, Error> {
        let mut edits = HeaderEdits::default();
        identity::check(&self.config, &mut self.exchange.borrow_mut(), &mut edits)?;
        let exchange = &mut *self.exchange.borrow_mut();
        let headers = &exchange.client.headers;
        for (name, value) in headers.iter().filter(|(name, _)| is_internal(name)) {
            edits.remove(name.to_owned());
            match name {
                STRICT_HEADER => exchange.client.strict = yes_or_no(name, value)?,
                REPORT_LOSSES_HEADER => exchange.client.reports_losses = yes_or_no(name, value)?,
                _ => {}
            }
        }
        let (path, _) = headers.path_and_query();
        if exchange.client.endpoint.is_none()
            && let Some((behind, models)) = self.config.passing(path)
        {
            exchange.client.endpoint = Some(Endpoint::PassThrough);
            exchange.client.api = ClientApi::of_path(behind);
            exchange.client.model = passed::model_of_path(behind);
            passed::check_path(behind)?;
            // A file says nothing of a model, so its client may.
            let said = headers.get(MODEL_HEADER).filter(|model| models.contains(*model));
            if let Some(model) = said {
                exchange.client.model = model.to_owned();
            }
            exchange.client.passes_without_model = !models.contains(&exchange.client.model);
            if !exchange.client.passes_without_model {
                edits.set(MODEL_HEADER, exchange.client.model.clone());
            }
        }
        let Some(endpoint) = exchange.client.endpoint else {
            if self.config.plain_routes {
                return Ok(Request::Pass(edits));
            }
            return Err(Error::new(Kind::UnknownPath, format!("unknown path {path}: no endpoint has it")));
        };
        for (name, _) in headers.iter().filter(|(name, _)| is_steering(name)) {
            edits.remove(name.to_owned());
        }
        let taken = endpoint.methods();
        if taken.is_empty() {
            return Ok(if !end && self.may_read(headers) {
                Request::Hold(edits)
            } else {
                Request::Pass(edits)
            });
        }
        let method = headers.get(":method").unwrap_or_default();
        let body = endpoint.operation().body;
        let is_head_of_list = method == "HEAD" && body == Body::None;
        if !taken.contains(&method) && !is_head_of_list {
            let message = format!("{path} takes {}, not {method}", taken.join(" and "));
            return Err(Error::new(Kind::MethodNotAllowed, message));
        }
        let host = headers.get(":authority").unwrap_or_default();
        if body == Body::None {
            let list = endpoint.api().models().ok_or_else(|| {
                Error::new(Kind::UnknownPath, format!("unknown path {path}: this API has no list of models"))
            })?;
            let models = &self.config.models;
            let body = match endpoint.name_in_path(path) {
                Some(name) => models::one(list, models, host, name)?,
                None => models::all(list, models, host),
            };
            exchange.answered_here = true;
            return Ok(Request::Reply(Reply::json(body)));
        }
        if let Some(encoding) =
            headers.get("content-encoding").filter(|value| !value.eq_ignore_ascii_case("identity"))
        {
            let message = format!("content-encoding {encoding} of a request is not supported: send it plain");
            return Err(Error::new(Kind::UnsupportedMedia, message));
        }
        if end && !endpoint.is_of_stored() {
            return Err(Error::bad_request(format!("{path} needs a request body")));
        }
        check_size(&self.config, announced_size(headers))?;
        Ok(Request::Hold(edits))
    }

    /// Whether the body of a request that passes may be held to read it. What is too large for that, or may become so,
    /// passes unread: a file may be as large as its provider takes it.
    fn may_read(&self, headers: &Headers) -> bool {
        let size = announced_size(headers);
        headers.media_type().ends_with("json")
            && headers.get("content-encoding").is_none()
            && size > 0
            && check_size(&self.config, size).is_ok()
    }

    /// So many bytes of the body have come; it is not whole yet. `Some` refuses the request.
    pub fn request_body_progress(&mut self, bytes: usize) -> Option<Reply> {
        let error = check_size(&self.config, bytes as u64).err()?;
        self.outgrew = true;
        Some(self.refuse(&error))
    }

    /// There is no room for more of the body: the answer to give.
    pub fn refuse_for_room(&mut self) -> Reply {
        self.refuse(&no_room()).for_room()
    }

    /// The request's body is whole.
    pub fn request_body(&mut self, body: &[u8]) -> Request {
        let read = self.read_body(body).and_then(|edits| self.rehearse(body).map(|()| edits));
        match read {
            Ok(edits) => Request::Pass(edits),
            Err(error) => Request::Reply(self.refuse(&error)),
        }
    }

    fn read_body(&mut self, body: &[u8]) -> Result<HeaderEdits, Error> {
        check_size(&self.config, body.len() as u64)?;
        let mut exchange = self.exchange.borrow_mut();
        let exchange = &mut *exchange;
        let (path, _) = exchange.client.headers.path_and_query();
        let Some(endpoint) = exchange.client.endpoint else {
            return Err(Error::new(Kind::UnknownPath, format!("unknown path {path}: no endpoint has it")));
        };
        let operation = endpoint.operation();
        let mut seen = (operation.glance)(&exchange.client.headers, body)
            .map_err(|error| Error::bad_request(format!("malformed request for {path}: {error}")))?;
        let names = operation.refers.filter(|_| self.config.kept_key.is_some() || endpoint.is_of_stored());
        let references = names.map(|refers| refers(&exchange.client.headers, body));
        let kept = Kept::of(&self.config, references.unwrap_or_default())?;
        if let Some(kept) = kept.as_ref().filter(|_| endpoint.is_of_stored()) {
            seen.model.clone_from(&kept.model);
        }
        let mut edits = HeaderEdits::default();
        if endpoint == Endpoint::PassThrough {
            exchange.client.body_size = body.len();
            // The path says where it goes, so no route shall see the model, but where it has several backends.
            let is_said = !exchange.client.passes_without_model;
            if is_said || seen.model.is_empty() {
                return Ok(edits);
            }
            let models = self.config.passing(path).map(|(_, models)| models);
            if models.is_some_and(|models| models.contains(&seen.model)) {
                exchange.client.passes_without_model = false;
                edits.set(MODEL_HEADER, seen.model.clone());
            }
            exchange.client.model = seen.model;
            return Ok(edits);
        }
        edits.set(MODEL_HEADER, seen.model.clone());
        if self.config.prefix_key
            && let Some(prompt) = endpoint.operation().conversation().and_then(ClientCodec::prompt)
            && let Some(key) = prompt.key(body)
        {
            edits.set(PREFIX_KEY_HEADER, key);
        }
        // Envoy answers itself when a backend breaks off an answer that is held, and nothing can give that another
        // shape.
        if let Some(direct) = self.config.direct.get(&seen.model)
            && (direct.only
                || exchange.client.api == ClientApi::default()
                    && (self.config.direct_streams || !seen.stream))
        {
            edits.set(CLUSTER_HEADER, direct.cluster.clone());
            exchange.routed.direct = true;
            // Envoy's route has the time of an answer that comes whole. A stream's is not over with it, and speech is
            // one: for those the filter itself waits so long for the answer to begin.
            if (seen.stream || endpoint.watch().always_streams)
                && let Some((_, route)) = self.config.route(&direct.route)
                && let Some(timeout) = route.answer_timeout_ms
            {
                edits.set("x-envoy-upstream-rq-timeout-ms", route.request_ms.unwrap_or_default().to_string());
                exchange.routed.answer_timeout_ms = Some(timeout);
            }
        }
        // On a direct way there is no choice.
        if let Some(kept) = kept.as_ref().filter(|_| !exchange.routed.direct) {
            edits.set(BACKEND_HEADER, kept.backend.clone());
        }
        exchange.client.kept = kept;
        exchange.client.body_size = body.len();
        exchange.client.model = seen.model;
        exchange.client.stream = seen.stream;
        exchange.client.is_array = seen.is_array;
        exchange.client.usage_asked = seen.usage_asked;
        exchange.client.choices = seen.choices;
        exchange.client.has_mark = body.starts_with(BYTE_ORDER_MARK);
        Ok(edits)
    }

    /// Refuses what the one backend of a model cannot be asked before the rate limit counts it. On a direct way the
    /// attempt itself comes before that.
    fn rehearse(&mut self, body: &[u8]) -> Result<(), Error> {
        let place = {
            let exchange = self.exchange.borrow();
            let is_routed = |_: &&Direct| {
                !exchange.routed.direct && exchange.client.endpoint != Some(Endpoint::PassThrough)
            };
            let direct = self.config.direct.get(&exchange.client.model).filter(is_routed);
            direct.map(|direct| Place { route: &direct.route, target: &direct.target })
        };
        let Some(place) = place else { return Ok(()) };
        let rehearsed = Attempt::rehearse(&self.config, &self.exchange, place, body);
        self.exchange.borrow_mut().forget_attempts();
        rehearsed
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
        let concerns_us = exchange.client.endpoint.is_some() || local == Some("route_not_found");
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
            let is_kept = name.starts_with("x-ratelimit-") || matches!(*name, "retry-after" | "x-request-id");
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

    /// The client's path, if the attempt's looks like one of another API. Errors of Envoy's own that reach the client past
    /// all filters get the shape of the API that the path is of by then.
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

fn check_size(config: &Config, bytes: u64) -> Result<(), Error> {
    if bytes <= config.body_limit as u64 { Ok(()) } else { Err(too_large(config)) }
}

fn too_large(config: &Config) -> Error {
    let limit = config.body_limit;
    Error::new(Kind::TooLarge, format!("the request body is over the limit of {limit} bytes"))
}

/// What `content-length` says, in bytes: more than 32 bits where `usize` has no more, and more than any size where the
/// digits say so. 0 where it says nothing.
fn announced_size(headers: &Headers) -> u64 {
    let length = headers.get("content-length").unwrap_or_default();
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { length.parse().unwrap_or(u64::MAX) } else { 0 }
}

fn yes_or_no(name: &str, value: &str) -> Result<bool, Error> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::bad_request(format!("the header {name} takes true or false"))),
    }
}

/// Providers have headers of this name too, with values such as `1s`.
fn is_seconds(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}
