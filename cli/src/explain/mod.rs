//! `weir explain`: what would become of a request, without sending it.
//!
//! The gateway's own core reads the request and makes those of the backends, so what is told is what would happen. Only
//! which rule takes it is found here, as Envoy finds it.

pub mod command;
mod route;
mod text;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use weir_core::auth::sigv4::SigningKeys;
use weir_core::auth::{AwsCredentials, Credential, Secret, is_credential_header};
use weir_core::backend::{Attempt, Begin, Identity, Outgoing, Place};
use weir_core::config::{Auth, AuthKind, Config};
use weir_core::edge::{Edge, Reply, Request};
use weir_core::exchange::{Exchange, SharedExchange};
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::store::{Conflict, Store, Versioned};

use crate::plan::{MatchedRule, Member, Plan};

/// A request to explain.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The host name that the client uses; the first of the Gateways', where empty.
    pub host: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What would become of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What it asks for; `None` for a path that is no endpoint.
    pub endpoint: Option<&'static str>,
    /// The model that it names.
    pub model: String,
    /// Whether it asks for a stream.
    pub stream: bool,
    /// The answer, where no backend is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The rule that takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Where it may go, in the order in which they are tried.
    pub backends: Vec<Backend>,
}

/// An answer of the gateway's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// `namespace/gateway/listener`
    pub listener: String,
    /// Its name in the access log.
    pub name: String,
    /// `namespace/name` of the AIGatewayRoute or HTTPRoute.
    pub resource: String,
    /// Its place among the rules of that, from 0.
    pub rule: usize,
    /// Why it takes the request.
    pub because: Vec<String>,
    /// Budgets and limits that count it.
    pub limits: Vec<String>,
}

/// A backend, and the request that it would get.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backend {
    /// `namespace/name`
    pub name: String,
    /// The API that it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// 0 is tried first.
    pub priority: u32,
    /// Its share among those of the same priority.
    pub weight: u32,
    /// `HOST:PORT` of each of its endpoints.
    pub endpoints: Vec<String>,
    /// The credential that it is shown: where from, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What it would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Made>,
    /// What it would not get of the client's request, and why.
    pub losses: Vec<String>,
    /// The answer to the client, where it cannot be asked this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Answer>,
}

/// A request to a backend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Made {
    /// The path with its query.
    pub path: String,
    /// The model that it asks for.
    pub model: String,
    /// Its headers; of credentials the names alone.
    pub headers: Vec<(String, String)>,
    /// The body: JSON where it is, else its text, or its length.
    pub body: Value,
}

impl Explanation {
    /// Whether a backend can be asked it, or the gateway itself answers it with success.
    #[must_use]
    pub fn is_served(&self) -> bool {
        match &self.answer {
            Some(answer) => answer.status < 400,
            None => self.backends.iter().any(|backend| backend.refused.is_none()),
        }
    }
}

/// Explains `asked`.
#[must_use]
pub fn explain(plan: &Plan, asked: &Asked) -> Explanation {
    let config = Arc::new(uncounted(&plan.filter));
    let (exchange, seen) = read(&config, asked);
    let mut explanation = {
        let exchange = exchange.borrow();
        Explanation {
            endpoint: exchange.client.endpoint.map(|endpoint| endpoint.operation().name),
            model: exchange.client.model.clone(),
            stream: exchange.client.stream,
            answer: None,
            route: None,
            backends: Vec::new(),
        }
    };
    let edits = match seen {
        Seen::Passed(edits) => edits,
        Seen::Answered(reply) => {
            explanation.answer = Some(Answer::from(&reply));
            return explanation;
        }
    };
    let headers = edited(&exchange.borrow().client.headers, &edits);
    let Some((listener, matched)) = route::find(plan, &headers) else {
        explanation.answer =
            Some(Answer { status: 404, body: route::nobody(plan, &explanation.model).into() });
        return explanation;
    };
    explanation.route = Some(route::told(plan, listener, matched));
    let cluster = matched.rule.cluster.and_then(|index| plan.clusters.get(index));
    let members = cluster.map_or(&[][..], |cluster| cluster.members.as_slice());
    let mut places: Vec<(usize, &Member)> = members.iter().enumerate().collect();
    places.sort_by_key(|(_, member)| member.priority);
    let told = |(index, member)| backend(plan, &config, asked, matched, index, member);
    explanation.backends = places.into_iter().map(told).collect();
    explanation
}

/// The configuration without budgets: what is only explained counts in none.
fn uncounted(config: &Config) -> Config {
    let mut config = config.clone();
    config.budgets.clear();
    for route in config.routes.values_mut() {
        Arc::make_mut(route).budgets.clear();
    }
    config
}

/// What the edge role says of a request.
enum Seen {
    Passed(HeaderEdits),
    Answered(Reply),
}

/// Shows the edge role the request.
fn read(config: &Arc<Config>, asked: &Asked) -> (SharedExchange, Seen) {
    let length = asked.body.len().to_string();
    let mut headers =
        vec![(":method", asked.method.as_str()), (":path", &asked.path), (":authority", &asked.host)];
    if !asked.body.is_empty() {
        headers.push(("content-length", &length));
    }
    let given = asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let has_type = asked.headers.iter().any(|(name, _)| name == "content-type");
    let json = (!asked.body.is_empty() && !has_type).then_some(("content-type", "application/json"));
    let headers: Headers = headers.into_iter().chain(json).chain(given).collect();
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
    let mut edge = Edge::new(Arc::clone(config), Rc::clone(&exchange));
    let seen = match edge.request_headers(asked.body.is_empty()) {
        Request::Pass(edits) => Seen::Passed(edits),
        Request::Reply(reply) => Seen::Answered(reply),
        Request::Hold(edits) => match edge.request_body(&asked.body) {
            Request::Pass(more) | Request::Hold(more) => Seen::Passed(edits.with(more)),
            Request::Reply(reply) => Seen::Answered(reply),
        },
    };
    (exchange, seen)
}

fn edited(headers: &Headers, edits: &HeaderEdits) -> Headers {
    let kept = headers.iter().filter(|(name, _)| edits.get(name).is_none());
    let set = edits.iter().filter_map(|(name, value)| Some((name, value?)));
    kept.chain(set).collect()
}

/// The backend at a place of a rule.
fn backend(
    plan: &Plan,
    config: &Arc<Config>,
    asked: &Asked,
    matched: &MatchedRule,
    index: usize,
    member: &Member,
) -> Backend {
    let known = config.backends.get(&member.backend);
    let mut told = Backend {
        name: member.backend.clone(),
        schema: known.map(|backend| format!("{:?}", backend.schema.name)),
        priority: member.priority,
        weight: member.weight,
        endpoints: member
            .endpoints
            .iter()
            .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port))
            .collect(),
        credential: known.and_then(|backend| backend.auth.as_ref()).map(|auth| credential(plan, auth)),
        request: None,
        losses: Vec::new(),
        refused: None,
    };
    if !matched.rule.ai {
        return told;
    }
    let (exchange, _) = read(config, asked);
    let target = format!("{index}/0/{}", member.backend);
    let place = Place { route: &matched.rule.name, target: &target };
    let made = match Attempt::begin(config, &exchange, place, &Nothing, 0) {
        Begin::Reply(reply) => Err(reply),
        Begin::Attempt(mut attempt) => {
            let credential = known.and_then(|backend| backend.auth.as_ref()).map(stand_in);
            let identity =
                Identity { credential: credential.as_ref(), keys: &mut SigningKeys::default(), now: 0 };
            attempt.request(&asked.body, identity)
        }
    };
    let exchange = exchange.borrow();
    told.losses = exchange.attempt.losses.iter().map(ToString::to_string).collect();
    match made {
        Ok(made) => told.request = Some(Made::of(&exchange, made, &asked.body)),
        Err(reply) => told.refused = Some(Answer::from(&reply)),
    }
    told
}

fn credential(plan: &Plan, auth: &Auth) -> String {
    let name = auth.credential();
    let source = plan.filter.credentials.get(name).and_then(|source| serde_json::to_value(source).ok());
    let member = |member: &str| source.as_ref()?.get(member)?.as_str().map(str::to_owned);
    let from = member("type").map(|kind| format!(", {kind}")).unwrap_or_default();
    let secret = member("name").map(|name| format!(" of Secret {name}")).unwrap_or_default();
    format!("{name}{from}{secret}")
}

/// Something in the place of a credential, which is not fetched for this.
fn stand_in(auth: &Auth) -> Credential {
    match auth.kind() {
        AuthKind::AwsSigv4 => Credential::Aws(AwsCredentials {
            access_key_id: "none".to_owned(),
            secret_access_key: Secret::new("none"),
            session_token: None,
        }),
        AuthKind::Bearer | AuthKind::AnthropicKey | AuthKind::AzureKey | AuthKind::Gcp => {
            Credential::ApiKey(Secret::new("none"))
        }
    }
}

impl Made {
    fn of(exchange: &Exchange, made: Outgoing, body: &[u8]) -> Made {
        let headers = edited(&exchange.client.headers, &made.headers);
        let shown = headers.iter().filter(|(name, _)| !name.starts_with(':'));
        Made {
            path: headers.get(":path").unwrap_or_default().to_owned(),
            model: exchange.attempts.request_model.clone(),
            headers: shown
                .map(|(name, value)| {
                    let value = if is_credential_header(name) { "(credential)" } else { value };
                    (name.to_owned(), value.to_owned())
                })
                .collect(),
            body: shown_body(made.body.as_deref().unwrap_or(body)),
        }
    }
}

fn shown_body(body: &[u8]) -> Value {
    if let Ok(json) = serde_json::from_slice(body) {
        return json;
    }
    match std::str::from_utf8(body) {
        Ok(text) => text.into(),
        Err(_) => format!("({} bytes)", body.len()).into(),
    }
}

impl From<&Reply> for Answer {
    fn from(reply: &Reply) -> Answer {
        Answer { status: reply.status, body: shown_body(&reply.body) }
    }
}

/// Shared data of nobody.
struct Nothing;

impl Store for Nothing {
    fn get(&self, _key: &str) -> Option<Versioned> {
        None
    }

    fn swap(&self, _key: &str, _value: &[u8], _version: Option<u32>) -> Result<(), Conflict> {
        Err(Conflict)
    }
}
