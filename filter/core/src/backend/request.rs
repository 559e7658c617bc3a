//! The request of one attempt: body, path, headers, signature, in this order.

use std::borrow::Cow;

use super::answer::Question;
use super::headers::AttemptHeaders;
use super::secrets::Secrets;
use super::socket::Socket;
use super::{Attempt, refuse};
use crate::auth::{Credential, KeyHeader, Secret, is_credential_header, query_without_credentials, sigv4};
use crate::chat::Losses;
use crate::codec::multipart;
use crate::codec::splice::{self, Edit};
use crate::config::{Auth, BodyMutation, Config, HeaderMutation, SchemaName, Target};
use crate::edge::Reply;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Result};
use crate::exchange::Exchange;
use crate::headers::{BETA_HEADER, HeaderEdits, Headers};
use crate::kept::Kept;
use crate::wire::anthropic::beta;
use crate::wire::error::malformed;
use crate::wire::job::{Sent, Translation};
use crate::wire::openai::responses::kept;
use crate::wire::openai::sockets::{self, Models};
use crate::wire::schema::{ApiHeader, Mend, STORED, segment};
use crate::wire::{self, ClientApi, Reach, To, Translated, marks, passed, translate};

/// The request as the backend shall have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Changes to the header map that all attempts share.
    pub headers: HeaderEdits,
    /// The new body; `None` leaves the client's.
    pub body: Option<Vec<u8>>,
}

/// Who the gateway is at this moment, as requests must show.
#[derive(Debug)]
pub struct Identity<'a> {
    /// What [`Attempt::credential`] asked for.
    pub credential: Option<&'a Credential>,
    /// Signing keys of earlier requests.
    pub keys: &'a mut sigv4::SigningKeys,
    /// [`Attempt::time_there`], in seconds since 1970.
    pub now: u64,
}

/// What an attempt may set or remove at any backend.
const BODY_HEADERS: &[&str] = &["accept-encoding", "content-length", "content-type"];

/// Whether an attempt at `target` may change the header `name`, which is in lower case.
#[must_use]
pub fn may_change(config: &Config, target: &Target, name: &str) -> bool {
    let HeaderMutation { set, remove } = &target.headers;
    let mut mutated = set.iter().map(|(name, _)| name).chain(remove);
    let mut of_apis = SchemaName::ALL.iter().flat_map(|schema| schema.schema().headers());
    name.starts_with(':')
        || name == "host"
        || is_credential_header(name)
        || config.brings_credentials(name)
        || BODY_HEADERS.contains(&name)
        || of_apis.any(|header| header.name() == name)
        || mutated.any(|mutated| mutated.eq_ignore_ascii_case(name))
}

impl Attempt {
    /// Whether the request depends on the client's body. Where the body passes as it is, there is no need to wait for
    /// it.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let is_signed = matches!(self.backend.auth, Some(Auth::AwsSigv4 { .. }));
        if self.endpoint.opens_socket() {
            return false;
        }
        if self.reach == Reach::Raw || self.endpoint.is_of_stored() {
            return is_signed;
        }
        let exchange = self.exchange.borrow();
        let is_mutated = !self.target.body.is_empty() && !self.endpoint.brings_form(&exchange.client.headers);
        let is_renamed = exchange.attempts.request_model != exchange.client.model;
        self.reach != Reach::Same
            || is_signed
            || is_mutated
            || is_renamed
            || exchange.client.has_mark
            || exchange.client.kept.is_some()
            || exchange.client.names_items
            || self.mend(&exchange).is_some()
            || self.takes_marks()
            || self.must_ask_for_usage(&exchange)
    }

    /// Whether marks for a prompt cache are put into a body that is in the backend's own words.
    fn takes_marks(&self) -> bool {
        self.backend.cache_marks
            && self.endpoint == Endpoint::Messages
            && matches!(self.reach, Reach::Same | Reach::Envelope)
    }

    /// What is to be done to the client's body if it passes.
    fn mend(&self, exchange: &Exchange) -> Option<Mend> {
        self.schema.mend(&self.to(exchange, &exchange.client.headers))
    }

    /// A stream says what was used only if it is asked to.
    fn must_ask_for_usage(&self, exchange: &Exchange) -> bool {
        self.endpoint.watch().shape.tells_usage_if_asked()
            && exchange.client.stream
            && !exchange.client.usage_asked
    }

    /// Makes the request. `body` is the client's own, whole; what it is does not matter unless [`Attempt::reads_body`].
    ///
    /// # Errors
    /// The answer for the client when the backend cannot be asked this.
    pub fn request(&mut self, body: &[u8], identity: Identity<'_>) -> std::result::Result<Outgoing, Reply> {
        let made = self.build(body, identity).map_err(|error| refuse(&self.exchange, &error))?;
        self.exchange.borrow_mut().count_sent();
        Ok(made)
    }

    fn build(&mut self, body: &[u8], identity: Identity<'_>) -> Result<Outgoing> {
        let new_body = self.body(body)?;
        let host = self.backend.hosts.get(self.host_index).ok_or_else(|| {
            let (index, backend) = (self.host_index, &self.target.backend);
            let message = format!("the gateway's configuration has no host {index} of the backend {backend}");
            Error::new(Kind::Internal, message)
        })?;
        let mut exchange = self.exchange.borrow_mut();
        let path = self.path(&exchange);
        exchange.attempts.misleads =
            self.reach != Reach::Same && ClientApi::of_path(&path) != exchange.client.api;
        let accepts_gzip = exchange.client.headers.all("accept-encoding").any(names_gzip);
        let brings_form = self.endpoint.brings_form(&exchange.client.headers);
        let mut headers = AttemptHeaders::new(&self.config, &mut exchange);
        headers.set(":path", path.clone());
        headers.set(":authority", host.clone());
        if let Some(new_body) = &new_body {
            headers.set("content-length", new_body.len().to_string());
        }
        let has_body = !self.endpoint.is_of_stored() && !self.endpoint.opens_socket();
        if !brings_form && has_body && self.reach != Reach::Raw {
            headers.ensure("content-type", "application/json");
        }
        if self.endpoint.opens_socket() {
            // Without an extension nothing is compressed, so that messages can be read.
            headers.ensure_none("sec-websocket-extensions");
            headers.ensure_list("sec-websocket-protocol", sockets::keeps_protocol);
        }
        // Usage must be readable: an answer comes plain, or in the one encoding that both the client and this gateway
        // read.
        if matches!(self.reach, Reach::Same | Reach::Raw) && accepts_gzip {
            headers.ensure("accept-encoding", "gzip");
        } else {
            headers.ensure_none("accept-encoding");
        }
        for header in self.schema.headers() {
            match *header {
                ApiHeader::Default(name, value) if headers.original(name).is_none() => {
                    headers.set(name, value)
                }
                ApiHeader::Default(..) => {}
                // The client speaks the backend's API itself.
                ApiHeader::Set(..) | ApiHeader::Remove(_) | ApiHeader::Keep(..)
                    if self.reach == Reach::Raw => {}
                ApiHeader::Set(name, value) => headers.ensure(name, value),
                ApiHeader::Remove(name) => headers.ensure_none(name),
                ApiHeader::Keep(name, keeps) => {
                    let is_asked =
                        |value: &str| self.backend.betas.as_ref().is_none_or(|betas| betas.have(value));
                    headers.ensure_list(name, |value| keeps(self.endpoint, value) && is_asked(value));
                }
            }
        }
        if let (Reach::Raw, Some(betas)) = (self.reach, &self.backend.betas) {
            headers.ensure_list(BETA_HEADER, |feature| betas.have(feature));
        }
        for (name, value) in &self.target.headers.set {
            headers.set(name.to_ascii_lowercase(), value.clone());
        }
        for name in &self.target.headers.remove {
            headers.remove(name.to_ascii_lowercase());
        }
        if let Some(auth) = &self.backend.auth {
            let final_body = new_body.as_deref().unwrap_or(body);
            let signed = Signed { path: &path, host, body: final_body };
            authenticate(&mut headers, auth, &signed, identity)?;
        }
        let headers = headers.into_edits();
        if self.endpoint.opens_socket() {
            let models = Models {
                asked: exchange.client.model.clone(),
                sent: exchange.attempts.request_model.clone(),
            };
            self.socket = Some(Box::new(Socket::new(self.endpoint, models)));
        }
        drop(exchange);
        self.answer.secrets = Secrets::of(&headers);
        Ok(Outgoing { headers, body: new_body })
    }

    /// The body for the backend; `None` when it is the client's own.
    pub(super) fn body(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.endpoint.is_of_stored() || self.endpoint.opens_socket() {
            return Ok(None);
        }
        let marked = self.takes_marks().then(|| marks::marked(body)).flatten();
        let body = marked.as_deref().unwrap_or(body);
        let translated: Option<Vec<u8>> = match self.reach {
            Reach::Same => self.spliced(body)?,
            Reach::Envelope => Some(self.enveloped(body)?),
            Reach::Translate => Some(self.translated(body)?),
            Reach::Raw => return Ok(None),
        };
        let mutation = &self.target.body;
        if mutation.is_empty() || self.endpoint.brings_form(&self.exchange.borrow().client.headers) {
            return Ok(translated.or(marked));
        }
        mutated(translated.as_deref().unwrap_or(body), mutation).map(Some)
    }

    /// The client's body with the model's name at this backend, and with usage asked for.
    fn spliced(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let exchange = self.exchange.borrow();
        let renamed = exchange.attempts.request_model != exchange.client.model;
        if self.endpoint.brings_form(&exchange.client.headers) {
            return if renamed { renamed_form(&exchange, body).map(Some) } else { Ok(None) };
        }
        let model = renamed.then(|| Edit::set_string("model", &exchange.attempts.request_model));
        let usage = self.must_ask_for_usage(&exchange).then_some(Edit::SetInside(
            "stream_options",
            "include_usage",
            Cow::Borrowed(b"true"),
        ));
        let mut losses = Losses::of_request();
        let opened = self.opened(&exchange, body, &mut losses);
        let body = opened.as_deref().unwrap_or(body);
        let mends = self.mend(&exchange).map_or_else(Vec::new, |mend| mend(body, &mut losses));
        let names = exchange.client.kept.iter().flat_map(Kept::edits);
        let edits: Vec<Edit<'_>> = model.into_iter().chain(usage).chain(mends).chain(names).collect();
        let spliced = if edits.is_empty() && !exchange.client.has_mark {
            opened
        } else {
            Some(splice::edit(body, &edits).map_err(malformed)?)
        };
        drop(exchange);
        self.record(losses)?;
        Ok(spliced)
    }

    /// The body with the backend's own names of items, where it has the gateway's.
    fn opened(&self, exchange: &Exchange, body: &[u8], losses: &mut Losses) -> Option<Vec<u8>> {
        let key = self.config.kept_key.as_ref().filter(|_| exchange.client.names_items)?;
        kept::opened(key, &exchange.attempts.backend, body, losses)
    }

    fn enveloped(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let mut losses = Losses::of_request();
        let exchange = self.exchange.borrow();
        let headers = self.readable(&exchange.client.headers, &mut losses);
        let enveloped = self.schema.envelope(&self.to(&exchange, &headers), body, &mut losses)?;
        drop(headers);
        drop(exchange);
        self.record(losses)?;
        Ok(enveloped)
    }

    fn translated(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let translation = self.translation()?;
        let exchange = self.exchange.borrow();
        let mut left_out = Losses::of_request();
        let headers = self.readable(&exchange.client.headers, &mut left_out);
        let to = self.to(&exchange, &headers);
        let (body, mut losses, question) = match translation {
            Translation::Conversation(client, backend) => {
                let Translated { body, request, losses } = translate(client, backend, &to, body)?;
                (body, losses, Question::conversation(request))
            }
            Translation::Job(sides) => {
                let mut losses = Losses::default();
                let Sent { body, question } = sides.ask(&to, body, &mut losses)?;
                (body, losses, Question::Job(question))
            }
        };
        losses.append(left_out, |_| None);
        drop(headers);
        drop(exchange);
        self.record(losses)?;
        self.answer.question = Some(question);
        Ok(body)
    }

    /// Puts what does not reach the backend on the record, or refuses the request for it.
    fn record(&self, losses: Losses) -> Result<()> {
        let mut exchange = self.exchange.borrow_mut();
        if !losses.is_empty() && (self.route.strict || exchange.client.strict) {
            let message = format!(
                "the backend {} has no way for some of this, and nothing may be lost: {}",
                exchange.attempts.backend,
                losses.lines().join("; ")
            );
            return Err(Error::bad_request(message));
        }
        exchange.attempt.losses = losses.to_keep();
        Ok(())
    }

    /// Both sides of the translation.
    pub(super) fn translation(&self) -> Result<Translation> {
        wire::translation(self.endpoint, self.schema)
            .ok_or_else(|| Error::new(Kind::Internal, "there is no translation for this backend"))
    }

    /// The client's headers without what its backend is not to be asked for.
    fn readable<'e>(&self, headers: &'e Headers, losses: &mut Losses) -> Cow<'e, Headers> {
        let Some(betas) = &self.backend.betas else { return Cow::Borrowed(headers) };
        let mut readable = Vec::new();
        for (name, value) in headers.iter() {
            if name != BETA_HEADER {
                readable.push((name, Cow::Borrowed(value)));
                continue;
            }
            let (asked, left): (Vec<&str>, Vec<&str>) =
                beta::named([value]).partition(|feature| betas.have(feature));
            for feature in left {
                losses.add(
                    format_args!("{BETA_HEADER}.{feature}"),
                    "headerValueFilters of the backend leave it out",
                );
            }
            if !asked.is_empty() {
                readable.push((name, Cow::Owned(asked.join(","))));
            }
        }
        Cow::Owned(readable.iter().map(|(name, value)| (*name, value.as_ref())).collect())
    }

    /// Where the request goes.
    fn to<'a>(&'a self, exchange: &'a Exchange, headers: &'a Headers) -> To<'a> {
        To {
            endpoint: self.endpoint,
            schema: &self.backend.schema,
            model: &exchange.attempts.request_model,
            stream: exchange.client.stream,
            default_max_tokens: self.config.default_max_tokens,
            headers,
            auth: self.backend.auth.as_ref(),
            cache_marks: self.backend.cache_marks,
        }
    }

    /// The `:path` at the backend. What a client adds behind its own path means something only to its own API.
    fn path(&self, exchange: &Exchange) -> String {
        let headers = &exchange.client.headers;
        let (asked, query) = headers.path_and_query();
        let mut path = match &self.route.pass_through {
            Some(passing) => passed::path(passing, self.backend.schema.prefix.as_deref(), asked),
            None => wire::path(&self.to(exchange, headers)),
        };
        if let Some(name) = exchange.client.kept.as_ref().and_then(Kept::of_path) {
            path = path.replacen(STORED, &segment(name), 1);
        }
        if let (Reach::Same | Reach::Raw, Some(query)) = (self.reach, query) {
            let mut query = query_without_credentials(query);
            if self.endpoint.opens_socket() {
                let model = &exchange.attempts.request_model;
                query = sockets::query(self.endpoint, &path, &query, model).into();
            }
            add_query(&mut path, &query);
        }
        path
    }
}

/// Adds the client's query, but for what the path says itself: Azure's `api-version` is the backend's.
fn add_query(path: &mut String, query: &str) {
    let Some(own) = path.split_once('?').map(|(_, own)| own.to_owned()) else {
        if !query.is_empty() {
            path.push('?');
            path.push_str(query);
        }
        return;
    };
    let name = |parameter: &str| parameter.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let is_own = |parameter: &str| own.split('&').any(|own| name(own) == name(parameter));
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty() && !is_own(parameter)) {
        path.push('&');
        path.push_str(parameter);
    }
}

/// True when a value of `accept-encoding` names gzip and does not rule it out (RFC 9110, 12.5.3).
fn names_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").parse::<f32>();
        name.trim().eq_ignore_ascii_case("gzip") && weight != Ok(0.0)
    })
}

fn renamed_form(exchange: &Exchange, body: &[u8]) -> Result<Vec<u8>> {
    let content_type = exchange.client.headers.get("content-type").unwrap_or_default();
    let unusable = |error| Error::bad_request(format!("malformed request: {error}"));
    let form = multipart::scan(content_type, body).map_err(unusable)?;
    let part = form
        .single("model")
        .map_err(unusable)?
        .ok_or_else(|| Error::bad_request("the form has no field model"))?;
    form.replace(part, exchange.attempts.request_model.as_bytes()).map_err(unusable)
}

fn mutated(body: &[u8], mutation: &BodyMutation) -> Result<Vec<u8>> {
    let set =
        mutation.set.iter().map(|(name, value)| Edit::Set(name, Cow::Owned(value.to_string().into_bytes())));
    let remove = mutation.remove.iter().map(|name| Edit::Remove(name));
    let edits: Vec<Edit<'_>> = set.chain(remove).collect();
    splice::edit(body, &edits).map_err(malformed)
}

/// What a signature is over, beside headers and the method.
struct Signed<'a> {
    path: &'a str,
    host: &'a str,
    body: &'a [u8],
}

fn authenticate(
    headers: &mut AttemptHeaders<'_>,
    auth: &Auth,
    signed: &Signed<'_>,
    identity: Identity<'_>,
) -> Result<()> {
    let missing = || Error::new(Kind::Unavailable, "there is no credential for this backend");
    let credential = identity.credential.ok_or_else(missing)?;
    match (auth, credential) {
        (Auth::Bearer { .. } | Auth::Gcp { .. }, Credential::ApiKey(key)) => {
            set_key(headers, KeyHeader::BearerToken, key)
        }
        (Auth::AnthropicKey { .. }, Credential::ApiKey(key)) => {
            set_key(headers, KeyHeader::AnthropicKey, key)
        }
        (Auth::AzureKey { .. }, Credential::ApiKey(key)) => set_key(headers, KeyHeader::AzureKey, key),
        (Auth::AwsSigv4 { region, .. }, Credential::Aws(credentials)) => {
            let content_type = headers.now("content-type").map(str::to_owned);
            let content_type = content_type.as_deref().map(|value| ("content-type", value));
            let method = headers.original(":method").unwrap_or_default().to_owned();
            let signing = sigv4::Signing {
                method: &method,
                target: signed.path,
                host: signed.host,
                headers: content_type.as_slice(),
                body: signed.body,
                credentials,
                region: sigv4::region_of_host(signed.host).unwrap_or(region),
                service: sigv4::service_of_host(signed.host),
                now: identity.now,
            };
            for (name, value) in sigv4::sign(&signing, identity.keys).iter() {
                headers.set(name.to_owned(), value.to_owned());
            }
        }
        _ => return Err(Error::new(Kind::Internal, "the credential of this backend is of another kind")),
    }
    Ok(())
}

fn set_key(headers: &mut AttemptHeaders<'_>, header: KeyHeader, key: &Secret) {
    let (name, value) = header.header(key);
    headers.set(name, value.expose().to_owned());
}
