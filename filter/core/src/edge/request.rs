//! The request: what is refused before any backend is asked, and what routes are told of the rest.

use super::{Edge, Reply, Request, identity, models, too_large};
use crate::backend::{Attempt, Place};
use crate::codec::text::BYTE_ORDER_MARK;
use crate::config::{Config, Direct};
use crate::endpoint::{Body, ClientApi, Endpoint, asks_for_socket};
use crate::error::{Error, Kind, no_room};
use crate::headers::{
    BACKEND_HEADER, CLUSTER_HEADER, EXTENSION_PREFIX, FIRST_BACKEND_HEADER, HeaderEdits, Headers,
    MODEL_HEADER, PREFIX_KEY_HEADER, REPORT_LOSSES_HEADER, STRICT_HEADER, is_internal,
};
use crate::kept::Found;
use crate::wire::{ClientCodec, passed};

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

/// With what all of [`STEERING_HEADERS`] begin.
const STEERING_PREFIX: &str = "x-envoy-";

impl Edge {
    /// The request's headers have come; `end` says that it has no body.
    pub fn request_headers(&mut self, end: bool) -> Request {
        let checked = self.check_headers(end);
        // There is no body to wait for, so all that is found there is found here.
        let opened = match checked {
            Ok(Request::Pass(edits)) if self.opens_socket() => {
                self.read(b"").map(|more| Request::Pass(edits.with(more)))
            }
            checked => checked,
        };
        opened.unwrap_or_else(|error| Request::Reply(self.refuse(&error)))
    }

    fn check_headers(&mut self, end: bool) -> Result<Request, Error> {
        let mut edits = HeaderEdits::default();
        identity::check(&self.config, &mut self.exchange.borrow_mut(), &mut edits)?;
        let exchange = &mut *self.exchange.borrow_mut();
        let headers = &exchange.client.headers;
        for (name, value) in headers.beginning_with(EXTENSION_PREFIX).filter(|(name, _)| is_internal(name)) {
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
        for (name, _) in headers.beginning_with(STEERING_PREFIX) {
            if STEERING_HEADERS.contains(&name) {
                edits.remove(name.to_owned());
            }
        }
        let asks_for_socket = asks_for_socket(headers);
        if asks_for_socket && !endpoint.opens_socket() {
            // The proxy takes what follows the headers for a WebSocket's, which is no request's body.
            return Err(Error::bad_request(format!("{path} is for plain requests, not for a WebSocket")));
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
        if body == Body::None {
            let list = endpoint.api().models().ok_or_else(|| {
                Error::new(Kind::UnknownPath, format!("unknown path {path}: this API has no list of models"))
            })?;
            let models = &self.config.models;
            let body = match endpoint.name_in_path(path) {
                Some(name) => models::one(list, models, headers, name)?,
                None => models::all(list, models, headers),
            };
            exchange.answered_here = true;
            return Ok(Request::Reply(Reply::json(body)));
        }
        if body == Body::Socket {
            if !asks_for_socket {
                // A 426 must say to what (RFC 9110, 15.5.22), and Envoy takes that header off.
                return Err(Error::bad_request(format!(
                    "{path} is for a WebSocket: the request must ask for an upgrade to one"
                )));
            }
            return Ok(Request::Pass(edits));
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
        match self.read(body) {
            Ok(edits) => Request::Pass(edits),
            Err(error) => Request::Reply(self.refuse(&error)),
        }
    }

    fn read(&mut self, body: &[u8]) -> Result<HeaderEdits, Error> {
        let edits = self.read_body(body)?;
        self.rehearse(body)?;
        Ok(edits)
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
        let Found { kept, thinker, names_items } = Found::of(&self.config, references.unwrap_or_default())?;
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
            && let Some(prompt) = operation.conversation().and_then(ClientCodec::prompt)
            && let Some(key) = prompt.key(body)
        {
            edits.set(PREFIX_KEY_HEADER, key);
        }
        // Envoy answers itself when a backend breaks off an answer that is held, and nothing can give that another
        // shape. And the cluster of a direct way may speak HTTP/2, which has no upgrades.
        if let Some(direct) = self.config.direct.get(&seen.model)
            && (direct.only
                || !endpoint.opens_socket()
                    && exchange.client.api == ClientApi::default()
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
        match (&kept, thinker) {
            _ if exchange.routed.direct => {}
            (Some(kept), _) => edits.set(BACKEND_HEADER, kept.backend.clone()),
            (None, Some(thinker)) => edits.set(FIRST_BACKEND_HEADER, thinker),
            (None, None) => {}
        }
        exchange.client.kept = kept;
        exchange.client.names_items = names_items;
        exchange.client.unstored = seen.unstored;
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
}

fn check_size(config: &Config, bytes: u64) -> Result<(), Error> {
    if bytes <= config.body_limit as u64 { Ok(()) } else { Err(too_large(config)) }
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
