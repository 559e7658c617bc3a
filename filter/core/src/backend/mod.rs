//! The backend role: in each cluster's upstream chain, once per attempt.
//!
//! On the way in it makes the request one of its backend: API, path, headers, body, signature over the final body. On
//! the way back it makes the answer one of the client's API, reads the usage, and turns whatever goes wrong into an
//! error the client can read. It holds an answer back until its first event is known to be no error, so that Envoy can
//! still try the next backend.

mod answer;
mod brought;
mod headers;
mod request;
mod secrets;
mod socket;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::auth::is_credential_header;
use crate::auth::sigv4::clock;
use crate::config::{Auth, Backend, Config, PassThrough, Route, Target};
use crate::edge::Reply;
use crate::endpoint::{Endpoint, behind};
use crate::error::{Error, Kind, Result};
use crate::exchange::SharedExchange;
use crate::headers::Headers;
use crate::limit;
use crate::store::Store;
use crate::wire::{self, Reach, Schema};

pub use answer::{Chunk, Headers as AnswerHeaders, HeldHeaders, Whole};
pub use brought::Metadata;
pub use request::{Identity, Outgoing, may_change};

/// How long an attempt waits for a credential when there is no other backend to go to, in milliseconds.
pub const CREDENTIAL_WAIT_MS: u64 = 10_000;

/// Told when Envoy and the filter are not yet on the same configuration.
const RELOADING: &str = "the gateway is taking over a new configuration; try again";

/// Where an attempt goes to, in Envoy's words.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `xds.route_name`.
    pub route: &'a str,
    /// The endpoint's metadata `weir.target`: `<index of the target>/<index of the host>/<backend>`, and
    /// `@<address>` where the configuration has one ([`Backend::address`]).
    pub target: &'a str,
}

/// What becomes of an attempt.
#[derive(Debug)]
pub enum Begin {
    /// It is worked on.
    Attempt(Box<Attempt>),
    /// It is refused.
    Reply(Reply),
}

/// One attempt at one backend.
#[derive(Debug)]
pub struct Attempt {
    config: Arc<Config>,
    exchange: SharedExchange,
    route: Arc<Route>,
    target: Arc<Target>,
    backend: Arc<Backend>,
    host_index: usize,
    endpoint: Endpoint,
    schema: &'static dyn Schema,
    reach: Reach,
    started_ms: u64,
    answer: answer::State,
    /// What passes through a WebSocket, once it is asked for.
    socket: Option<Box<socket::Socket>>,
}

impl Attempt {
    /// Begins an attempt. The first one of a request is counted in the filter's own budgets, or refused by them.
    ///
    /// Nothing passes untouched: only clusters of models have this role, and what is not made anew here has the
    /// client's credentials in it, or those of an earlier attempt.
    pub fn begin(
        config: &Arc<Config>,
        exchange: &SharedExchange,
        place: Place<'_>,
        store: &dyn Store,
        now_ms: u64,
    ) -> Begin {
        let Some((route_name, route)) = config.route(place.route) else {
            // Envoy takes over the filter's configuration before the routes.
            return Begin::Reply(refuse(exchange, &Error::new(Kind::Unavailable, RELOADING)));
        };
        let Some(endpoint) = exchange.borrow().client.endpoint else {
            // Beside plain routes, a rule that does not ask for a model takes any path.
            let message = "unknown path: the route that takes it is for models, and no endpoint has it";
            return Begin::Reply(refuse(exchange, &Error::new(Kind::UnknownPath, message)));
        };
        let is_taken = match &route.pass_through {
            None => endpoint != Endpoint::PassThrough,
            Some(PassThrough { prefix, .. }) => {
                let exchange = exchange.borrow();
                let (path, _) = exchange.client.headers.path_and_query();
                endpoint == Endpoint::PassThrough && behind(prefix, path).is_some()
            }
        };
        if !is_taken {
            let message = "unknown path: the route that takes it is for other paths";
            return Begin::Reply(refuse(exchange, &Error::new(Kind::UnknownPath, message)));
        }
        if let Some(refusal) = refused_by_time(exchange, route, now_ms) {
            return Begin::Reply(refusal);
        }
        let is_first = {
            let mut exchange = exchange.borrow_mut();
            let is_first = exchange.begin_attempt(now_ms, route.attempt_limit_ms());
            if is_first {
                route_name.clone_into(&mut exchange.routed.route_name);
                if !route.user_headers.is_empty() {
                    let value = |name: &String| Some(shown(config, name, exchange.client.headers.get(name)?));
                    let values: Vec<_> = route.user_headers.iter().filter_map(value).collect();
                    exchange.routed.user = values.join(",");
                }
                exchange.routed.route = Some(Arc::clone(route));
            }
            is_first
        };
        if is_first && let Some(error) = nobody(exchange, route) {
            return Begin::Reply(refuse(exchange, &error));
        }
        if is_first && let Some(refusal) = refused_by_budgets(config, exchange, route, store, now_ms / 1000) {
            exchange.borrow_mut().answered_here = true;
            return Begin::Reply(refusal);
        }
        match Self::new(config, exchange, route, place, endpoint, now_ms) {
            Ok(attempt) => Begin::Attempt(Box::new(attempt)),
            Err(error) => Begin::Reply(refuse(exchange, &error)),
        }
    }

    /// Whether the request can be made one of its backend, where the proxy counts it before an attempt can say so.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn rehearse(
        config: &Arc<Config>,
        exchange: &SharedExchange,
        place: Place<'_>,
        body: &[u8],
    ) -> Result<()> {
        let Some((_, route)) = config.route(place.route).filter(|(_, route)| route.counted_ahead) else {
            return Ok(());
        };
        let Some(endpoint) = exchange.borrow().client.endpoint else { return Ok(()) };
        if let Some(error) = nobody(exchange, route) {
            return Err(error);
        }
        let mut attempt = Self::new(config, exchange, route, place, endpoint, 0)?;
        if attempt.reads_body() { attempt.body(body).map(drop) } else { Ok(()) }
    }

    fn new(
        config: &Arc<Config>,
        exchange: &SharedExchange,
        route: &Arc<Route>,
        place: Place<'_>,
        endpoint: Endpoint,
        now_ms: u64,
    ) -> Result<Attempt> {
        let unknown = || {
            let message =
                format!("the gateway's configuration has no target {} in {}", place.target, place.route);
            Error::new(Kind::Internal, message)
        };
        let mut parts = place.target.splitn(3, '/');
        let (Some(target), Some(host), Some(place)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unknown());
        };
        let (name, address) = named(place);
        let target_index: usize = target.parse().map_err(|_| unknown())?;
        let host_index: usize = host.parse().map_err(|_| unknown())?;
        // Envoy takes over clusters, routes and the filter's configuration one after the other. In between, a backend
        // may stand in another place, or none: then its endpoint must not get the credential of the one in its place.
        // And it may be at another address: what is for the one, its credential first of all, must not reach the other.
        let is_it = |target: &&Arc<Target>| {
            let backend = config.backends.get(&target.backend);
            named(&target.backend).0 == name
                && backend.is_none_or(|backend| backend.address.as_deref() == address)
        };
        let target = route.targets.get(target_index).filter(is_it);
        let target = target
            .or_else(|| route.targets.iter().find(is_it))
            .ok_or_else(|| Error::new(Kind::Unavailable, RELOADING))?;
        let backend = config.backends.get(&target.backend).ok_or_else(unknown)?;
        {
            let mut exchange = exchange.borrow_mut();
            // Where the route has no way to the backend that keeps it, the request is on that to all of them.
            if let Some(kept) = exchange.client.kept.as_ref().filter(|kept| kept.backend != name) {
                return Err(kept.gone());
            }
            name.clone_into(&mut exchange.attempts.backend);
            exchange.attempts.provider = backend.schema.name.schema().provider();
            exchange.attempts.request_model =
                target.model.clone().unwrap_or_else(|| exchange.client.model.clone());
        }
        let name = backend.schema.name;
        let (schema, reach) = (name.schema(), wire::reach(endpoint, name)?);
        Ok(Attempt {
            config: Arc::clone(config),
            exchange: Rc::clone(exchange),
            route: Arc::clone(route),
            target: Arc::clone(target),
            backend: Arc::clone(backend),
            host_index,
            endpoint,
            schema,
            reach,
            started_ms: now_ms,
            answer: answer::State::default(),
            socket: None,
        })
    }

    /// The credential that the request needs, if any: a key into [`Config::credentials`].
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        self.backend.auth.as_ref().map(Auth::credential)
    }

    /// What time it is where the request's signature is checked, when here it is `now`; both in seconds of Unix time.
    #[must_use]
    pub fn time_there(&self, now: u64, store: &dyn Store) -> u64 {
        self.signed_for().map_or(now, |host| clock::time_at(host, now, store))
    }

    /// Takes over what a refusal says of that time, for the next request: by how many seconds it is ahead of `now`,
    /// where that is new. The time is only asked for where it matters.
    pub fn learn_time(
        &self,
        status: u16,
        headers: &Headers,
        now: impl FnOnce() -> u64,
        store: &dyn Store,
    ) -> Option<i64> {
        let host = self.signed_for().filter(|_| status >= 400)?;
        clock::learn(host, status, headers, now(), store)
    }

    /// The host that checks the request's signature, where it has one.
    fn signed_for(&self) -> Option<&str> {
        match self.backend.auth.as_ref()? {
            Auth::AwsSigv4 { .. } => self.backend.hosts.get(self.host_index).map(String::as_str),
            Auth::Bearer { .. } | Auth::AnthropicKey { .. } | Auth::AzureKey { .. } | Auth::Gcp { .. } => {
                None
            }
        }
    }

    /// The error of an attempt that waits for its credential in vain, once it has waited long enough. With another
    /// backend still to go to it waits until Envoy's timeout of the attempt moves it there.
    #[must_use]
    pub fn credential_overdue(&self, reason: &str, now_ms: u64) -> Option<Reply> {
        let waited = now_ms.saturating_sub(self.started_ms);
        let places = {
            let exchange = self.exchange.borrow();
            let untried = self.route.targets.len().saturating_sub(exchange.attempts.begun as usize);
            if exchange.client.kept.is_some() { 0 } else { untried }
        };
        if places > 0 || waited < CREDENTIAL_WAIT_MS {
            return None;
        }
        let name = self.exchange.borrow().attempts.backend.clone();
        let message = format!("there is no credential for the backend {name} yet: {reason}");
        Some(refuse(&self.exchange, &Error::new(Kind::Unavailable, message)))
    }

    /// How long the answer's headers may still take at `now_ms`, in milliseconds, where the filter keeps that time.
    #[must_use]
    pub fn patience(&self, now_ms: u64) -> Option<u64> {
        let timeout = self.exchange.borrow().routed.answer_timeout_ms?;
        Some(timeout.saturating_sub(now_ms.saturating_sub(self.started_ms)))
    }

    /// The answer in the place of one that did not come in time.
    #[must_use]
    pub fn overdue(&self) -> Reply {
        refuse(&self.exchange, &too_late())
    }
}

/// A backend's name, and its address where that is said.
fn named(backend: &str) -> (&str, Option<&str>) {
    backend.split_once('@').map_or((backend, None), |(name, address)| (name, Some(address)))
}

/// The value of a user header as the access log and the ledger may show it: a budget may be per key, and a key is
/// nobody's to read there. Its digest still tells users apart.
fn shown<'a>(config: &Config, name: &str, value: &'a str) -> Cow<'a, str> {
    /// Of the 64 hexadecimal digits.
    const DIGITS: usize = 16;
    if !is_credential_header(name) && !config.brings_credentials(name) {
        return value.into();
    }
    let digest = hex::encode(Sha256::digest(value));
    format!("sha256:{}", digest.get(..DIGITS).unwrap_or_default()).into()
}

/// `error` as an answer of the gateway's own.
fn refuse(exchange: &SharedExchange, error: &Error) -> Reply {
    let mut exchange = exchange.borrow_mut();
    exchange.answered_here = true;
    exchange.note(error);
    Reply::of_error(error, exchange.client.api)
}

/// The error of a request that does not say whose it is, where its route asks for that. A value without anything in it
/// is nobody's.
fn nobody(exchange: &SharedExchange, route: &Route) -> Option<Error> {
    if !route.requires_identity {
        return None;
    }
    let exchange = exchange.borrow();
    let is_missing =
        |name: &&String| exchange.client.headers.get(name).is_none_or(|value| value.trim().is_empty());
    let missing = route.user_headers.iter().find(is_missing)?;
    Some(Error::bad_request(format!(
        "the header {missing} is missing: the budgets of this model tell users apart by it"
    )))
}

/// Refuses another attempt if the one before had all the time there is, and it was the last that may take it. Envoy
/// counts its timeouts among the resets and tries again after either; but after a timeout the backend is still at work,
/// and would be paid twice.
fn refused_by_time(exchange: &SharedExchange, route: &Route, now_ms: u64) -> Option<Reply> {
    let limit = route.attempt_limit_ms()?;
    let is_over = {
        let exchange = exchange.borrow();
        let has_one_place = route.targets.len() == 1 || exchange.client.kept.is_some();
        let is_last = has_one_place || route.spare_attempts > 0 && exchange.is_last(route);
        is_last && exchange.is_overdue(now_ms, limit)
    };
    is_over.then(|| refuse(exchange, &too_late()))
}

fn too_late() -> Error {
    Error::new(Kind::Timeout, "the backend did not answer in time")
}

fn refused_by_budgets(
    config: &Config,
    exchange: &SharedExchange,
    route: &Route,
    store: &dyn Store,
    now: u64,
) -> Option<Reply> {
    if route.budgets.is_empty() {
        return None;
    }
    let mut exchange = exchange.borrow_mut();
    let exchange = &mut *exchange;
    exchange.books.claims = route
        .budgets
        .iter()
        .filter_map(|index| config.budgets.get(*index))
        .filter_map(|budget| limit::claim(budget, &exchange.routed.route_name, |name| exchange.header(name)))
        .collect();
    let standings = limit::look(store, &exchange.books.claims, now);
    // The one that refuses, else the one with the least left: that is what the client should know of.
    let tightest = standings.into_iter().min_by_key(|standing| (!standing.over, standing.remaining))?;
    exchange.books.standing = Some(tightest);
    if !tightest.over {
        exchange.books.counted_at = Some(now);
        return None;
    }
    let message = format!(
        "rate limit reached for the model {}: the budget of this window is used up",
        exchange.client.model
    );
    let error = Error::new(Kind::RateLimited, message);
    exchange.note(&error);
    let mut reply = Reply::of_error(&error, exchange.client.api);
    let headers = tightest.headers().into_iter().chain([("retry-after", tightest.reset.to_string())]);
    reply.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
    Some(reply)
}
