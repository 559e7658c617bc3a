//! What the two roles know together about one request and its answer.
//!
//! The edge role makes it, each attempt of the backend role reads and fills it, and when the request is over the edge
//! role turns it into the record. Both roles of one request run on the same worker, so it is shared without locks.

use std::borrow::Cow;
use std::cell::RefCell;
use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;

use crate::chat::Losses;
use crate::codec::json_array::JsonArray;
use crate::config::{Config, Route};
use crate::edge::identity;
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::Error;
use crate::headers::{Headers, MODEL_HEADER, Text, USER_HEADER, is_internal};
use crate::kept::Kept;
use crate::limit::{Claim, Standing};
use crate::pulse::Pulse;
use crate::usage::record::{Abandoned, Left, Record, UsageStatus};
use crate::usage::{Counter, Usage, estimated};
use crate::wire::usage::Tokens;

/// The longest name of a model that is taken from an answer into a record, in characters.
const MAX_RESPONSE_MODEL: usize = 200;

/// The longest reason that is kept of an error, in characters: what a provider says may repeat a prompt.
const MAX_REASON: usize = 300;

/// An exchange that both roles hold.
pub type SharedExchange = Rc<RefCell<Exchange>>;

/// How far the answer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answer {
    /// No backend has answered, or the last one with an error.
    #[default]
    None,
    /// A backend's answer is on its way to the client.
    Begun,
    /// A backend's answer has come whole.
    Complete,
}

/// One request and its answer, parted by how long a part lives.
#[derive(Debug)]
pub struct Exchange {
    /// What the client sent and asks for.
    pub client: Client,
    /// Where it goes, and whose it is.
    pub routed: Routed,
    /// What all attempts together have done.
    pub attempts: Attempts,
    /// How far the latest attempt has come. Each begins with a new one.
    pub attempt: Progress,
    /// What it counts in.
    pub books: Books,
    /// The answer is one of the gateway's own and already in the client's shape.
    pub answered_here: bool,
}

/// A request as the client means it.
#[derive(Debug)]
pub struct Client {
    /// The request headers as they came from the client.
    pub headers: Headers,
    /// The endpoint; `None` for plain HTTP.
    pub endpoint: Option<Endpoint>,
    /// The API whose shapes the client expects.
    pub api: ClientApi,
    /// When the request came, in milliseconds since 1970.
    pub started_ms: u64,
    /// The model that the client named.
    pub model: String,
    /// It passes as it is, and not by its model.
    pub passes_without_model: bool,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether the client asked for that as one JSON array.
    pub is_array: bool,
    /// Whether the client asked for usage in its stream (`stream_options.include_usage`).
    pub usage_asked: bool,
    /// How many choices the client asked for (`n`).
    pub choices: u32,
    /// The client wants no answer to what a backend gets less of.
    pub strict: bool,
    /// The client wants to know what was lost.
    pub reports_losses: bool,
    /// The body begins with a byte order mark, which no backend shall see.
    pub has_mark: bool,
    /// The size of the request body, in bytes.
    pub body_size: usize,
    /// What it refers to that one backend keeps: no other is of use.
    pub kept: Option<Kept>,
    /// Items in its body have names that no backend knows ([`crate::kept::Found`]).
    pub names_items: bool,
    /// The client asked that nothing be kept of the answer.
    pub unstored: bool,
}

/// Where a request goes: the same for all attempts.
#[derive(Debug, Default)]
pub struct Routed {
    /// The edge's filter plays the backend role too ([`crate::config::Config::direct`]).
    pub direct: bool,
    /// How long all attempts together may take up to the answer's headers, in milliseconds, where the proxy does not
    /// keep that time.
    pub answer_timeout_ms: Option<u64>,
    /// The name of Envoy's route, once an attempt knows it.
    pub route_name: String,
    /// What the route means.
    pub route: Option<Arc<Route>>,
    /// The user, by the headers that the route says.
    pub user: String,
}

/// What the attempts so far have done.
#[derive(Debug, Default)]
pub struct Attempts {
    /// How many were begun.
    pub begun: u32,
    /// How many have made a request of their backend, less those of which something says that it was not sent.
    pub sent: u32,
    /// How many of those before the latest were answered with an error or with a stream that broke, or took too long.
    pub spent: u32,
    /// When the last of them began, in milliseconds since 1970.
    pub started_ms: u64,
    /// Those whose backends were at work when the next one began.
    pub abandoned: Vec<Abandoned>,
    /// Those after which the next backend was asked.
    pub left: Vec<Left>,
    /// `namespace/name` of the backend of the last one.
    pub backend: String,
    /// Which provider's API that one speaks ([`crate::wire::Schema::provider`]).
    pub provider: &'static str,
    /// The model that this backend was asked for.
    pub request_model: String,
    /// Names of the headers that they have changed. They share one header map with each other: the next one puts these
    /// back first.
    pub touched: Vec<Text>,
    /// The path of the last one would be another API's than the client's.
    pub misleads: bool,
}

/// How far an attempt has come, and what it learnt of its answer.
#[derive(Debug, Default)]
pub struct Progress {
    /// How far the answer has come.
    pub answer: Answer,
    /// It has made a request of its backend, and nothing says that it was not sent.
    pub is_sent: bool,
    /// The backend has answered with an error.
    pub has_failed: bool,
    /// Events of its answer came, and the client has none of them: another backend may still answer.
    pub is_held_back: bool,
    /// The status of an answer that the attempt has just let pass, until the edge role sees it. Only one of success:
    /// Envoy may keep any other to itself and try again.
    pub passing: Option<u16>,
    /// What an answer that has no body means. It is given one by the edge role, since an attempt cannot.
    pub headers_only: Option<Error>,
    /// What went wrong, as the client is told.
    pub error: Option<String>,
    /// The model that the backend says it used.
    pub response_model: String,
    /// What the provider reported; through a WebSocket, with what is estimated of answers under way.
    pub usage: Usage,
    /// How much content was seen of the answer, in bytes of UTF-8: for answers whose provider reports nothing.
    pub seen_output_bytes: u64,
    /// When the first content came, in milliseconds since 1970.
    pub first_content_ms: Option<u64>,
    /// What the backend's API could not express, or, of an answer, the client's.
    pub losses: Losses,
    /// The stream of events whose headers the client has, until it has ended.
    pub pulse: Option<Pulse>,
    /// The array that it goes into, where the client asked for one.
    pub array: JsonArray,
}

impl Progress {
    /// See [`Exchange::note`].
    pub(crate) fn note(&mut self, error: &Error) {
        self.error = Some(clipped(error.message().to_owned(), MAX_REASON));
    }

    /// Neither an answer nor an error has come.
    fn is_unanswered(&self) -> bool {
        !self.has_failed && self.answer == Answer::None
    }
}

/// The filter's own budgets, as they are for this request.
#[derive(Debug, Default)]
pub struct Books {
    /// The local budgets that the request counts in.
    pub claims: Vec<Claim>,
    /// When the request was counted in them, in seconds since 1970; `None`: it was not.
    pub counted_at: Option<u64>,
    /// Where the tightest of them stands, for the answer's headers.
    pub standing: Option<Standing>,
}

impl Exchange {
    /// The exchange of a request that has just come.
    #[must_use]
    pub fn new(headers: Headers, started_ms: u64) -> Exchange {
        let path = headers.get(":path").unwrap_or_default();
        let endpoint = Endpoint::of_request(&headers);
        let api = endpoint.map_or_else(|| ClientApi::of_path(path), Endpoint::client_api);
        let user = headers.get(USER_HEADER).unwrap_or_default().to_owned();
        let client = Client {
            headers,
            endpoint,
            api,
            started_ms,
            model: String::new(),
            passes_without_model: false,
            stream: false,
            is_array: false,
            usage_asked: false,
            choices: 1,
            strict: false,
            reports_losses: false,
            has_mark: false,
            body_size: 0,
            kept: None,
            names_items: false,
            unstored: false,
        };
        Exchange {
            client,
            routed: Routed { user, ..Routed::default() },
            attempts: Attempts::default(),
            attempt: Progress::default(),
            books: Books::default(),
            answered_here: false,
        }
    }

    /// The array that a stream goes into, if it is to be one.
    pub(crate) fn array(&mut self) -> Option<&mut JsonArray> {
        self.client.is_array.then_some(&mut self.attempt.array)
    }

    /// A header of the request as the gateway's own rules see it: the client's, and the model that the edge role found.
    /// Several values are joined as Envoy joins them for its rate limit.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        if name == MODEL_HEADER {
            // What passes is not routed by its model, so the proxy's limits do not see one.
            if self.client.passes_without_model {
                return None;
            }
            return Some(Cow::Borrowed(&self.client.model));
        }
        let mut values = self.client.headers.all(name);
        let first = values.next()?;
        let rest: Vec<&str> = values.collect();
        if rest.is_empty() {
            return Some(Cow::Borrowed(first));
        }
        Some(Cow::Owned(format!("{first},{}", rest.join(","))))
    }

    /// Takes over who the request is from, where filters behind the edge role have found it out: `now` are the headers
    /// that it has by now. The client's own were taken off, and so was what proves it: a key in a header or in the
    /// query was for those filters, and is no backend's.
    pub fn learn_identity(&mut self, config: &Config, now: &Headers) {
        if self.attempts.begun > 0 {
            return;
        }
        // Internal ones were taken off by the edge role, for the backend role.
        let is_left = |(name, _): &(&str, &str)| now.get(name).is_some() || is_internal(name);
        self.client.headers = self.client.headers.iter().filter(is_left).collect();
        if let Some(path) = now.get(":path") {
            self.client.headers.replace(":path", path);
        }
        for name in &config.late_identity {
            if let Some(value) = now.get(name) {
                let value = identity::bounded(value);
                self.client.headers.set(name, &value);
                if name == USER_HEADER {
                    self.routed.user = value.into_owned();
                }
            }
        }
    }

    /// Another attempt begins, at `now_ms`. Whether it is the first. Each may take `limit_ms`.
    pub(crate) fn begin_attempt(&mut self, now_ms: u64, limit_ms: Option<u64>) -> bool {
        let is_overdue = limit_ms.is_some_and(|limit| self.is_overdue(now_ms, limit));
        let is_at_work = is_overdue || self.attempt.is_held_back;
        let input_tokens = if is_at_work && self.attempt.is_sent { self.abandon() } else { None };
        if is_at_work || self.attempt.has_failed {
            self.attempts.spent = self.attempts.spent.saturating_add(1);
            self.attempts.left.push(Left {
                backend: self.attempts.backend.clone(),
                provider: self.attempts.provider,
                request_model: self.attempts.request_model.clone(),
                input_tokens,
                error: self.attempt.error.take(),
            });
        }
        self.attempt = Progress::default();
        self.attempts.started_ms = now_ms;
        self.attempts.begun = self.attempts.begun.saturating_add(1);
        self.attempts.begun == 1
    }

    /// Whether the latest attempt has had all the time that one may take, and no answer.
    pub(crate) fn is_overdue(&self, now_ms: u64, limit_ms: u64) -> bool {
        let waited = now_ms.saturating_sub(self.attempts.started_ms);
        self.attempts.begun > 0 && self.attempt.is_unanswered() && waited >= limit_ms
    }

    /// Whether no other attempt follows, whatever comes of the latest.
    pub(crate) fn is_last(&self, route: &Route) -> bool {
        let Attempts { begun, spent, .. } = self.attempts;
        let is_last_of = |attempts: u32| {
            spent.saturating_add(1) >= attempts || begun >= attempts.saturating_add(route.spare_attempts)
        };
        self.routed.direct || self.client.kept.is_some() || route.attempts.is_some_and(is_last_of)
    }

    /// Nobody waits for the latest attempt any longer, but its backend is at work. The tokens of its input.
    fn abandon(&mut self) -> Option<u64> {
        self.attempt.answer = Answer::Begun;
        let (usage, _) = self.settle();
        self.attempts.abandoned.push(Abandoned {
            backend: self.attempts.backend.clone(),
            request_model: self.attempts.request_model.clone(),
            input_tokens: usage.input(),
        });
        usage.input()
    }

    /// The client is told of `error`, or would be if no other attempt followed.
    pub(crate) fn note(&mut self, error: &Error) {
        self.attempt.note(error);
    }

    /// The attempt has made a request of its backend. From here on it counts: what is refused before is none.
    pub(crate) fn count_sent(&mut self) {
        self.attempt.is_sent = true;
        self.attempts.sent = self.attempts.sent.saturating_add(1);
    }

    /// The request of the latest attempt was not sent after all.
    pub(crate) fn count_unsent(&mut self) {
        if take(&mut self.attempt.is_sent) {
            self.attempts.sent = self.attempts.sent.saturating_sub(1);
        }
    }

    /// Forgets that attempts were made, since nothing was sent.
    pub(crate) fn forget_attempts(&mut self) {
        self.attempts = Attempts::default();
        self.attempt = Progress::default();
        self.books.standing = None;
    }

    /// Where nobody waited for the backend any longer (`status`: 504, or 0 if the client left), it is at work all the
    /// same, and what it reads is paid for. So is what one has read whose stream broke before the client had any of it.
    pub fn count_abandoned(&mut self, status: u16) {
        let has_begun = self.attempt.is_held_back;
        let is_at_work = has_begun || matches!(status, 0 | 504) && self.attempt.is_unanswered();
        if is_at_work && self.attempt.is_sent {
            self.attempt.answer = Answer::Begun;
        }
    }

    /// The usage to charge, and how far it can be trusted.
    #[must_use]
    pub fn settle(&self) -> (Usage, UsageStatus) {
        let (has_tokens, has_output) = match self.client.endpoint.map(|endpoint| endpoint.watch().tokens) {
            None | Some(Tokens::None) => (false, false),
            // What comes back from embedding is numbers.
            Some(Tokens::Input) => (true, false),
            Some(Tokens::InputAndOutput) => (true, true),
        };
        let seen_output = if has_output { estimated(self.attempt.seen_output_bytes) } else { 0 };
        let mut usage =
            if has_tokens { self.attempt.usage.deduced(seen_output > 0) } else { self.attempt.usage };
        let is_missing = has_tokens && (usage.input().is_none() || has_output && usage.output().is_none());
        let status = match self.attempt.answer {
            Answer::None => return (Usage::default(), UsageStatus::None),
            _ if !has_tokens && usage.is_empty() => return (usage, UsageStatus::None),
            Answer::Complete if !is_missing => return (usage, UsageStatus::Complete),
            Answer::Begun => UsageStatus::Partial,
            Answer::Complete => UsageStatus::Estimated,
        };
        if !has_tokens {
            return (usage, status);
        }
        let input = usage.input().unwrap_or_else(|| estimated(self.client.body_size as u64));
        usage.set(Counter::Input, Some(input));
        let mut sum = input;
        if has_output {
            let output = usage.output().unwrap_or(0).max(seen_output);
            usage.set(Counter::Output, Some(output));
            sum = sum.saturating_add(output);
        }
        usage.set(Counter::Total, Some(usage.total().unwrap_or(0).max(sum)));
        (usage, status)
    }

    /// The record of the exchange, which ended at `now_ms` with the given HTTP status. What it says of the exchange
    /// moves over: there is one record of each.
    #[must_use]
    pub fn take_record(&mut self, status: u16, now_ms: u64) -> Record {
        let (usage, usage_status) = self.settle();
        let started_ms = self.client.started_ms;
        let since_start = |then: u64| then.saturating_sub(started_ms);
        let mut record = Record {
            time_ms: started_ms,
            request_id: self.client.headers.get("x-request-id").unwrap_or_default().to_owned(),
            user: take(&mut self.routed.user),
            endpoint: self.client.endpoint.map_or("", |endpoint| endpoint.operation().name),
            original_model: take(&mut self.client.model),
            request_model: take(&mut self.attempts.request_model),
            response_model: clipped(take(&mut self.attempt.response_model), MAX_RESPONSE_MODEL),
            backend: take(&mut self.attempts.backend),
            provider: self.attempts.provider,
            route: take(&mut self.routed.route_name),
            stream: self.client.stream,
            attempts: self.attempts.sent,
            status,
            usage: Usage::default(),
            usage_status: UsageStatus::None,
            abandoned: take(&mut self.attempts.abandoned),
            left: take(&mut self.attempts.left),
            error: self.attempt.error.take(),
            labels: Vec::new(),
            losses: take(&mut self.attempt.losses).lines(),
            ttft_ms: self.attempt.first_content_ms.map(since_start),
            duration_ms: since_start(now_ms),
        };
        record.set_usage(&usage, usage_status);
        record
    }
}

fn clipped(mut text: String, characters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests;
