//! A host for the roles. It does what Envoy does around them: one request header map that all attempts share, retries
//! on 5xx and 429, the answer's headers and body in pieces. And it checks on every exchange what must always hold.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use weir_core::auth::{Credential, sigv4};
use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, Identity, Place, may_change};
use weir_core::config::{Backend, Config, Direct, SchemaName};
use weir_core::edge::{Edge, Reply, Request, Response};
use weir_core::endpoint::Endpoint;
use weir_core::exchange::Exchange;
use weir_core::headers::{
    BACKEND_HEADER, CLUSTER_HEADER, FIRST_BACKEND_HEADER, HeaderEdits, Headers, MODEL_HEADER, is_internal,
};

use crate::answer::Answer;
use crate::gateway::{Gateway, Memory, REGION, credential, key_of};
use crate::outcome::{Outcome, Sent, message_of};

pub(crate) const ROUTE: &str = "default/models/rule/0";

/// What the client shows the gateway in several headers: no backend may see it.
const CLIENTS_OWN: &str = "clients-own-credential";

impl Gateway {
    pub(crate) fn post<'g>(&'g self, path: &str, body: impl AsRef<[u8]>) -> Call<'g> {
        let body = body.as_ref().to_vec();
        let length = body.len().to_string();
        let metadata = BTreeMap::new();
        let call = Call { gateway: self, headers: Vec::new(), metadata, body, answers: Vec::new() };
        [
            (":method", "POST"),
            (":path", path),
            (":authority", "gateway.example"),
            (":scheme", "http"),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("authorization", &format!("Bearer {CLIENTS_OWN}")),
            ("x-api-key", CLIENTS_OWN),
            ("api-key", CLIENTS_OWN),
            ("x-aigw-api-key", CLIENTS_OWN),
            ("x-weir-secret-0", CLIENTS_OWN),
            ("x-ai-eg-model", "forged"),
            ("x-request-id", "req-1"),
            ("x-user-id", "ann"),
        ]
        .into_iter()
        .fold(call, |call, (name, value)| call.header(name, value))
    }

    pub(crate) fn get<'g>(&'g self, path: &str) -> Call<'g> {
        self.post(path, "").header(":method", "GET")
    }
}

/// A request, and what the backends it comes to will answer.
pub(crate) struct Call<'g> {
    gateway: &'g Gateway,
    headers: Vec<(String, String)>,
    /// What other filters have set: by namespace and path in it.
    metadata: BTreeMap<(String, String), Vec<u8>>,
    body: Vec<u8>,
    answers: Vec<Answer>,
}

/// The header map of an answer on its way, and the body that follows.
struct Way {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    headers_only: bool,
}

impl<'g> Call<'g> {
    /// Sets a header; [`Call::another`] adds one.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Call<'g> {
        self.headers.retain(|(known, _)| known != name);
        self.another(name, value)
    }

    /// Another filter sets `path`, whose parts have dots in between.
    pub(crate) fn metadata(mut self, namespace: &str, path: &str, value: &[u8]) -> Call<'g> {
        self.metadata.insert((namespace.to_owned(), path.to_owned()), value.to_owned());
        self
    }

    pub(crate) fn another(mut self, name: &str, value: &str) -> Call<'g> {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Call<'g> {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn answered_by(mut self, answer: Answer) -> Call<'g> {
        self.answers.push(answer);
        self
    }

    /// Runs the exchange. Where there is one backend it is run on a direct way as well, which must make no difference.
    pub(crate) fn send(self) -> Outcome {
        let outcome = self.run(&self.gateway.store, BTreeMap::new());
        let route = &self.gateway.route;
        // Budgets count, so there is no second run that is the same.
        if let [only] = route.targets.as_slice()
            && self.answers.len() <= 1
            && route.budgets.is_empty()
        {
            let target = format!("0/0/{}", only.backend);
            let direct =
                Direct { route: ROUTE.to_owned(), target, cluster: "direct".to_owned(), only: false };
            let model = outcome.record.original_model.clone();
            let other = self.run(&Memory::default(), [(model, direct)].into());
            assert_eq!(other.in_order(), outcome.clone().in_order());
        }
        outcome
    }

    fn run(&self, store: &Memory, direct: BTreeMap<String, Direct>) -> Outcome {
        let now = self.gateway.now_ms.get();
        let mut config = self.gateway.config.clone();
        config.direct = direct;
        let mut route = self.gateway.route.clone();
        route.attempts = u32::try_from(route.targets.len()).ok();
        config.routes.insert(ROUTE.to_owned(), Arc::new(route));
        let config = Arc::new(config);
        let mut map = self.headers.clone();
        let snapshot: Headers = map.iter().cloned().collect();
        let exchange = Rc::new(RefCell::new(Exchange::new(snapshot, now)));
        let mut edge = Edge::new(Arc::clone(&config), Rc::clone(&exchange));
        let mut sent = Vec::new();

        let refused = self.request(&mut edge, &mut map);
        let (way, local) = match refused {
            Some(reply) => (local_reply(reply), Some("")),
            None => self.attempts(&config, &exchange, store, &mut map, &mut sent),
        };
        let way = respond(&mut edge, way, local);
        let status = way.status;
        let closing = edge.close(status, now, store);
        assert!(!closing.books_failed);
        let exchange = exchange.borrow();
        let outcome = Outcome {
            status,
            headers: way.headers.into_iter().collect(),
            body: way.body,
            sent,
            record: closing.record,
            costs: closing.costs,
            answer: exchange.attempt.answer,
            api: exchange.client.api,
        };
        let breaks = self.answers.last().is_some_and(|answer| answer.breaks);
        if let Some(length) = outcome.headers.get("content-length").filter(|_| !breaks) {
            assert_eq!(length, outcome.body.len().to_string(), "content-length of {outcome:?}");
        }
        serde_json::from_str::<Value>(&outcome.record.to_line()).unwrap();
        outcome
    }

    /// The edge role's part on the way in; `Some` is its answer.
    fn request(&self, edge: &mut Edge, map: &mut Vec<(String, String)>) -> Option<Reply> {
        match edge.request_headers(self.body.is_empty()) {
            Request::Pass(edits) => {
                apply(map, &edits);
                None
            }
            Request::Reply(reply) => Some(reply),
            Request::Hold(edits) => {
                apply(map, &edits);
                let half = self.body.len() / 2;
                if let Some(reply) = edge.request_body_progress(half) {
                    return Some(reply);
                }
                match edge.request_body(&self.body) {
                    Request::Pass(edits) | Request::Hold(edits) => {
                        apply(map, &edits);
                        None
                    }
                    Request::Reply(reply) => Some(reply),
                }
            }
        }
    }

    fn attempts(
        &self,
        config: &Arc<Config>,
        exchange: &Rc<RefCell<Exchange>>,
        store: &Memory,
        map: &mut Vec<(String, String)>,
        sent: &mut Vec<Sent>,
    ) -> (Way, Option<&'static str>) {
        // Envoy has a route to each backend that keeps something, and one to each before the others, and takes it as
        // long as the rule has the backend.
        let named = |header: &str| {
            let value = map.iter().find(|(name, _)| name == header).map(|(_, value)| value.clone());
            self.gateway.route.targets.iter().position(|target| Some(&target.backend) == value.as_ref())
        };
        let (only, first) = (named(BACKEND_HEADER), named(FIRST_BACKEND_HEADER));
        let mut order: Vec<usize> = (0..self.gateway.route.targets.len()).collect();
        order.sort_by_key(|index| Some(*index) != first);
        for (index, answer) in self.answers.iter().enumerate() {
            if self.gateway.route.targets.is_empty() {
                // A plain route: its cluster has no backend role.
                sent.push(Sent { headers: map.iter().cloned().collect(), body: self.body.clone() });
                let way = Way {
                    status: answer.status,
                    headers: answer.headers.clone(),
                    body: answer.body(),
                    headers_only: answer.headers_only,
                };
                return (way, None);
            }
            let last = order.len().saturating_sub(1);
            let target = only.or(order.get(index.min(last)).copied()).unwrap_or_default();
            let backend = self.gateway.route.targets.get(target).map_or("", |target| &target.backend);
            let place = Place { route: ROUTE, target: &format!("{target}/0/{backend}") };
            let now = self.gateway.now_ms.get();
            let mut attempt = match Attempt::begin(config, exchange, place, store, now) {
                Begin::Attempt(attempt) => attempt,
                Begin::Reply(reply) => return (local_reply(reply), Some("")),
            };
            let is_direct = exchange.borrow().routed.direct;
            match self.request_of(&mut attempt, map, target, is_direct) {
                Ok(one) => sent.push(one),
                Err(reply) => return (local_reply(reply), Some("")),
            }
            let way = answer_through(&mut attempt, answer, now);
            let is_retried = way.status >= 500 || way.status == 429;
            if !is_retried || index + 1 == self.answers.len() {
                return (way, None);
            }
        }
        panic!("no answer was given for {:?}", self.headers);
    }

    fn request_of(
        &self,
        attempt: &mut Attempt,
        map: &mut Vec<(String, String)>,
        target: usize,
        is_direct: bool,
    ) -> Result<Sent, Reply> {
        let backend_name = &self.gateway.route.targets[target].backend;
        let backend = &self.gateway.config.backends[backend_name];
        let name = backend_name.strip_prefix("default/").unwrap();
        let metadata = |namespace: &str, path: &[String]| {
            self.metadata.get(&(namespace.to_owned(), path.join("."))).cloned()
        };
        let shown = attempt.brought(metadata)?.or_else(|| {
            let wanted = attempt.credential()?;
            assert_eq!(wanted, name);
            Some(credential(name, backend.schema.name))
        });
        let mut keys = sigv4::SigningKeys::default();
        let now = self.gateway.now_ms.get() / 1000;
        let identity = Identity { credential: shown.as_ref(), keys: &mut keys, now };
        let outgoing = attempt.request(&self.body, identity)?;
        apply(map, &outgoing.headers);
        if is_direct {
            // Envoy's rate limit reads the request after this.
            let target = &self.gateway.route.targets[target];
            for (name, _) in outgoing.headers.iter() {
                assert!(
                    may_change(&self.gateway.config, target, name) || is_internal(name),
                    "{name} is changed"
                );
            }
            // The route has been chosen by these, and takes them away.
            map.retain(|(name, _)| name != MODEL_HEADER && name != CLUSTER_HEADER);
        }
        let body = outgoing.body.unwrap_or_else(|| self.body.clone());
        let sent = Sent { headers: map.iter().cloned().collect(), body };
        check_sent(&sent, name, backend, now);
        Ok(sent)
    }
}

/// What must hold for every request to every backend.
fn check_sent(sent: &Sent, name: &str, backend: &Backend, now: u64) {
    let own = key_of(name);
    for (header, value) in sent.headers.iter() {
        assert!(!value.contains(CLIENTS_OWN), "{header} gives the client's credential to {name}");
        assert!(
            !value.replace(&own, "").contains("key-of-"),
            "{header} gives the credential of another backend to {name}: {value}"
        );
        for prefix in ["x-ai-eg-", "x-aigw-", "x-weir-"] {
            assert!(!header.starts_with(prefix), "{header} is the gateway's own");
        }
    }
    assert_eq!(
        backend.auth.is_some(),
        sent.headers.iter().any(|(_, value)| value.contains(&own)),
        "the credential of {name}"
    );
    assert_eq!(sent.headers.get(":authority"), Some(backend.hosts[0].as_str()));
    if let Some(length) = sent.headers.get("content-length") {
        assert_eq!(length, sent.body.len().to_string());
    }
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name).collect();
    for header in [":path", ":method", ":authority", "content-type", "content-length", "authorization"] {
        assert!(names.iter().filter(|name| **name == header).count() <= 1, "{header} is there twice");
    }
    if backend.schema.name != SchemaName::AWSAnthropic || backend.auth.is_none() {
        return;
    }
    let Credential::Aws(credentials) = credential(name, SchemaName::AWSAnthropic) else { panic!() };
    let signing = sigv4::Signing {
        method: "POST",
        target: sent.path(),
        host: &backend.hosts[0],
        headers: &[("content-type", "application/json")],
        body: &sent.body,
        credentials: &credentials,
        region: REGION,
        service: "bedrock",
        now,
    };
    for (header, value) in sigv4::sign(&signing, &mut sigv4::SigningKeys::default()).iter() {
        assert_eq!(sent.headers.get(header), Some(value), "signed is what is sent");
    }
}

/// A backend's answer as the attempt passes it on, up to its end.
fn answer_through(attempt: &mut Attempt, answer: &Answer, now: u64) -> Way {
    let mut way = Way {
        status: answer.status,
        headers: answer.headers.clone(),
        body: Vec::new(),
        headers_only: answer.headers_only,
    };
    way.edit(&attempt.unwanted_headers(answer.status, &answer.header_map()));
    match attempt.answer_headers(answer.status, &answer.header_map(), answer.headers_only, now) {
        AnswerHeaders::Pass(edits) => {
            way.edit(&edits);
            way.body = answer.body();
        }
        AnswerHeaders::Watch(edits) => {
            way.edit(&edits);
            let last = answer.chunks.len().saturating_sub(1);
            for (index, chunk) in answer.chunks.iter().enumerate() {
                let end = index == last && !answer.breaks;
                match attempt.answer_chunk(chunk, end, now) {
                    Chunk::Pass => way.body.extend_from_slice(chunk),
                    Chunk::Replace(body) => way.body.extend(body),
                    step @ (Chunk::Hold | Chunk::Release(..)) => panic!("the headers have gone: {step:?}"),
                }
            }
        }
        AnswerHeaders::Whole if answer.breaks => {
            // Nothing was released: Envoy answers in the backend's place.
            way = Way { status: 503, headers: Vec::new(), body: Vec::new(), headers_only: true };
        }
        AnswerHeaders::Whole => {
            assert!(!answer.headers_only, "there is no body to wait for");
            let whole = attempt.whole_answer(&answer.body(), now);
            way.edit(&whole.headers);
            way.body = whole.body.unwrap_or_else(|| answer.body());
        }
        AnswerHeaders::Stream => {
            let mut chunks = answer.chunks.clone();
            if !answer.end_with_chunk && !answer.breaks {
                chunks.push(Vec::new());
            }
            let mut released = false;
            let last = chunks.len() - 1;
            for (index, chunk) in chunks.iter().enumerate() {
                let end = index == last && !answer.breaks;
                match attempt.answer_chunk(chunk, end, now) {
                    Chunk::Hold => assert!(!released && !end, "held back after the headers were let go"),
                    Chunk::Release(edits, body) => {
                        assert!(!std::mem::replace(&mut released, true), "released twice");
                        way.edit(&edits);
                        way.body = body;
                    }
                    Chunk::Pass => {
                        assert!(released, "passed on before the headers");
                        way.body.extend_from_slice(chunk);
                    }
                    Chunk::Replace(body) => {
                        assert!(released, "passed on before the headers");
                        way.body.extend(body);
                    }
                }
            }
            if !released {
                assert!(answer.breaks, "never released");
                way = Way { status: 503, headers: Vec::new(), body: Vec::new(), headers_only: true };
            }
        }
    }
    way
}

fn local_reply(reply: Reply) -> Way {
    let length = ("content-length".to_owned(), reply.body.len().to_string());
    let headers = reply.headers.into_iter().chain([length]).collect();
    Way { status: reply.status, headers, body: reply.body, headers_only: false }
}

/// The edge role's part on the way back.
fn respond(edge: &mut Edge, mut way: Way, local: Option<&str>) -> Way {
    let headers: Headers = way.headers.iter().cloned().collect();
    match edge.response_headers(way.status, &headers, local, way.headers_only) {
        Response::Pass(edits) => way.edit(&edits),
        Response::Replace(edits, body) => {
            way.edit(&edits);
            way.body = body;
        }
        Response::Reply(reply) => way = local_reply(reply),
    }
    way
}

/// A reply of Envoy's own, as the client gets it.
pub(crate) fn envoys_own(path: &str, model: &str, reply: (u16, &str), body: &str) -> (u16, Headers, Value) {
    let mut exchange = Exchange::new(Headers::from([(":path", path)]), 0);
    exchange.client.model = model.to_owned();
    let api = exchange.client.api;
    let mut edge = Edge::new(Arc::default(), Rc::new(RefCell::new(exchange)));
    let headers = vec![
        ("content-type".to_owned(), "text/plain".to_owned()),
        ("content-length".to_owned(), body.len().to_string()),
        ("x-ratelimit-reset".to_owned(), "40".to_owned()),
    ];
    let way = Way { status: reply.0, headers, body: body.into(), headers_only: body.is_empty() };
    let way = respond(&mut edge, way, Some(reply.1));
    let json: Value = serde_json::from_slice(&way.body).unwrap();
    message_of(&json, api);
    let headers: Headers = way.headers.into_iter().collect();
    assert_eq!(headers.media_type(), "application/json");
    (way.status, headers, json)
}

impl Way {
    fn edit(&mut self, edits: &HeaderEdits) {
        if let Some(Some(status)) = edits.get(":status") {
            self.status = status.parse().unwrap();
        }
        apply(&mut self.headers, edits);
        self.headers.retain(|(name, _)| name != ":status");
    }
}

fn apply(map: &mut Vec<(String, String)>, edits: &HeaderEdits) {
    for (name, value) in edits.iter() {
        assert_eq!(name, name.to_ascii_lowercase());
        map.retain(|(known, _)| known != name);
        if let Some(value) = value {
            assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
            map.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// True when the endpoint's streams have an end of their own.
pub(crate) fn ends_by_itself(endpoint: Option<Endpoint>) -> bool {
    matches!(
        endpoint,
        Some(
            Endpoint::ChatCompletions
                | Endpoint::Completions
                | Endpoint::Messages
                | Endpoint::Responses
                | Endpoint::StreamGenerateContent
                | Endpoint::CohereChat
        )
    )
}
