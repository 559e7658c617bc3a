//! OpenAI's APIs that are spoken through a WebSocket: Responses
//! (<https://platform.openai.com/docs/guides/websocket-mode>) and Realtime
//! (<https://platform.openai.com/docs/guides/realtime-websocket>).

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::POST;
use crate::codec::json::{self, Member, ScanError};
use crate::codec::splice::{self, Edit, quoted};
use crate::endpoint::{Body, Endpoint, Operation, Path};
use crate::error::{Error, Result};
use crate::headers::{Headers, MODEL_HEADER};
use crate::wire::glance::{Glance, valid_model};
use crate::wire::schema::VALUE;

pub(crate) static RESPONSES: Operation =
    Operation { name: "responses_socket", path: Path::Upgraded("/v1/responses"), ..SOCKET };

pub(crate) static REALTIME: Operation =
    Operation { name: "realtime", path: Path::Exact("/v1/realtime"), ..SOCKET };

/// What they have in common. What comes through them is read by [`crate::wire::usage::SocketObserver`].
const SOCKET: Operation = Operation { body: Body::Socket, glance, ..POST };

const MODEL: &str = "model";

/// The parameter of Azure's dated versions for the same.
pub(super) const DEPLOYMENT: &str = "deployment";

/// The model is in the query. Responses have it in each message, which comes too late to choose a backend by, and
/// sessions of some kinds have none, so a header may say it as well.
fn glance(headers: &Headers, _: &[u8]) -> std::result::Result<Glance, String> {
    let (_, query) = headers.path_and_query();
    let mut named = parameters(query).filter(|(name, _)| name == MODEL);
    let model = match (named.next(), named.next(), headers.get(MODEL_HEADER)) {
        (Some(_), Some(_), _) => return Err("the query has the parameter model twice".to_owned()),
        (Some((_, parameter)), None, _) => {
            let value = parameter.split_once('=').map_or("", |(_, value)| value).replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8();
            let value = value.map_err(|_| "the parameter model is no UTF-8")?;
            valid_model("the parameter model", &value)?
        }
        (None, _, Some(model)) => valid_model(&format!("the header {MODEL_HEADER}"), model)?,
        (None, _, None) => {
            return Err(format!(
                "a WebSocket is routed before its first message: name the model by the parameter model of the \
                 query, or by the header {MODEL_HEADER}"
            ));
        }
    };
    Ok(Glance { model, stream: false, is_array: false, usage_asked: false, choices: 1, unstored: false })
}

/// The parameters of a query, each with its decoded name in lower case.
fn parameters(query: Option<&str>) -> impl Iterator<Item = (String, &str)> {
    query.into_iter().flat_map(|query| query.split('&')).map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        (percent_decode_str(name).decode_utf8_lossy().trim().to_ascii_lowercase(), parameter)
    })
}

/// The client's query for a backend that is asked for `model`, at `path`: what names a model there names this one.
pub(crate) fn query(endpoint: Endpoint, path: &str, query: &str, model: &str) -> String {
    // OpenAI's Responses have no such parameter, and Azure's dated versions another.
    let own = path.split_once('?').map(|(_, query)| query);
    let has_deployment = parameters(own).any(|(name, _)| name == DEPLOYMENT);
    let is_named = endpoint == Endpoint::Realtime && !has_deployment;
    let renamed = |(name, parameter): (String, &str)| match name.as_str() {
        MODEL if is_named => Some(format!("{MODEL}={}", utf8_percent_encode(model, VALUE))),
        MODEL | DEPLOYMENT => None,
        _ => Some(parameter.to_owned()),
    };
    let kept: Vec<String> = parameters(Some(query)).filter_map(renamed).collect();
    kept.join("&")
}

/// With what the names of subprotocols begin by which browsers, which cannot send headers, bring their key and its
/// account: <https://platform.openai.com/docs/guides/realtime-websocket>.
const CREDENTIAL_PROTOCOLS: [&str; 3] =
    ["openai-insecure-api-key.", "openai-organization.", "openai-project."];

/// Whether a subprotocol is for a backend's eyes.
pub(crate) fn keeps_protocol(protocol: &str) -> bool {
    let begins =
        |prefix: &str| protocol.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    !CREDENTIAL_PROTOCOLS.iter().any(|prefix| begins(prefix))
}

/// The models of a socket.
#[derive(Debug)]
pub(crate) struct Models {
    /// The one that the client asked for: its route, its limits and its backend are of this.
    pub(crate) asked: String,
    /// The backend's name for it.
    pub(crate) sent: String,
}

/// The event that asks for an answer.
const CREATE: &str = "response.create";

/// Where an event has an object with a model in it: `session.update`, and Realtime's `response.create`.
const INNER: [&str; 2] = ["session", "response"];

impl Models {
    /// A client's message as its backend shall have it; `None` where that is as it came.
    ///
    /// # Errors
    ///
    /// For a message that names another model, or may: only what is read can be let pass.
    pub(crate) fn renamed(&self, endpoint: Endpoint, message: &[u8]) -> Result<Option<Vec<u8>>> {
        let unreadable = |error: ScanError| Error::bad_request(format!("malformed message: {error}"));
        let [kind, model, session, response] =
            json::scan_to_the_letter(message, ["type", MODEL, INNER[0], INNER[1]])
                .map_err(unreadable)?
                .members;
        let mut edits = Vec::new();
        let creates = || kind.as_ref().and_then(|kind| kind.as_str(message)).as_deref() == Some(CREATE);
        match model.filter(|model| !model.is_null(message)) {
            Some(model) if self.is_other(MODEL, &model, message)? => {
                edits.push(Edit::set_string(MODEL, &self.sent));
            }
            // Of Responses: the server would choose one.
            None if endpoint == Endpoint::ResponsesSocket && creates() => {
                edits.push(Edit::set_string(MODEL, &self.sent));
            }
            Some(_) | None => {}
        }
        for (name, object) in INNER.into_iter().zip([session, response]) {
            let raw = object.as_ref().map_or(&b""[..], |object| object.raw(message));
            if !raw.starts_with(b"{") {
                continue;
            }
            let [model] = json::scan_to_the_letter(raw, [MODEL]).map_err(unreadable)?.members;
            let place = || format!("{name}.{MODEL}");
            if let Some(model) = model.filter(|model| !model.is_null(raw))
                && self.is_other(&place(), &model, raw)?
            {
                edits.push(Edit::SetInside(name, MODEL, Cow::Owned(quoted(&self.sent))));
            }
        }
        if edits.is_empty() { Ok(None) } else { splice::edit(message, &edits).map(Some).map_err(unreadable) }
    }

    /// Whether the model of a message is the backend's by another name. One that it echoes is its own already.
    fn is_other(&self, place: &str, model: &Member, body: &[u8]) -> Result<bool> {
        match model.as_str(body) {
            Some(model) if model == self.sent => Ok(false),
            Some(model) if model == self.asked => Ok(true),
            _ => Err(Error::bad_request(format!(
                "the field {place} must be {}, the model that this WebSocket was opened for",
                self.asked
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_in_the_query_or_in_a_header() {
        let model = |path: &str, header: Option<&str>| {
            let headers = [(":path", path)].into_iter().chain(header.map(|header| (MODEL_HEADER, header)));
            glance(&headers.collect(), b"").map(|glance| glance.model)
        };
        assert_eq!(model("/v1/realtime?x=1&model=org%2Fm%2B+1", Some("n")), Ok("org/m+ 1".to_owned()));
        assert_eq!(model("/v1/realtime?intent=transcription", Some("n")), Ok("n".to_owned()));
        for (path, header, word) in [
            ("/v1/realtime", None, MODEL_HEADER),
            ("/v1/realtime?model=", Some("n"), "empty"),
            ("/v1/realtime?model", None, "empty"),
            ("/v1/realtime?model=m&%6dodel=n", None, "twice"),
            ("/v1/realtime?model=%ff", None, "UTF-8"),
            ("/v1/realtime?model=%0a", None, "control"),
            ("/v1/realtime", Some(" n"), "spaces"),
        ] {
            let error = model(path, header).unwrap_err();
            assert!(error.contains(word), "{path}: {error}");
        }
    }

    #[test]
    fn the_query_names_the_backends_model_and_is_else_kept() {
        let of = |endpoint, path: &str, asked: &str| query(endpoint, path, asked, "org/m&1");
        let asked = "call_id=c%20d&MODEL=x&a&deployment=d";
        assert_eq!(of(Endpoint::Realtime, "/v1/realtime", asked), "call_id=c%20d&model=org%2Fm%261&a");
        assert_eq!(of(Endpoint::Realtime, "/v1/realtime", "intent=transcription"), "intent=transcription");
        assert_eq!(of(Endpoint::Realtime, "/openai/realtime?deployment=x", asked), "call_id=c%20d&a");
        for path in
            ["/deployment=x/v1/realtime", "/v1/realtime?of=deployment=x", "/v1/realtime?no-deployment=x"]
        {
            assert_eq!(of(Endpoint::Realtime, path, "a"), "a", "{path}");
            assert_eq!(of(Endpoint::Realtime, path, "model=m"), "model=org%2Fm%261", "{path}");
        }
        assert_eq!(of(Endpoint::ResponsesSocket, "/v1/responses", "model=m"), "");
    }

    #[test]
    fn a_key_in_a_subprotocol_stays_here() {
        assert!(
            keeps_protocol("realtime") && keeps_protocol("openai-beta.realtime-v1") && keeps_protocol("")
        );
        assert!(!keeps_protocol("OpenAI-insecure-api-key.sk-1") && !keeps_protocol("openai-project.p"));
    }

    fn renamed(endpoint: Endpoint, message: &str) -> Result<String> {
        let models = Models { asked: "fast".to_owned(), sent: "org/\"fast\"".to_owned() };
        let renamed = models.renamed(endpoint, message.as_bytes())?;
        Ok(renamed.map_or_else(|| "same".to_owned(), |renamed| String::from_utf8(renamed).unwrap()))
    }

    #[test]
    fn a_message_names_the_backends_model() {
        for (message, expected) in [
            (
                r#"{"type":"response.create" , "model" : "fast"}"#,
                r#"{"type":"response.create" , "model" : "org/\"fast\""}"#,
            ),
            (r#"{"type":"response.create"}"#, r#"{"type":"response.create","model":"org/\"fast\""}"#),
            (r#"{"type":"response.create","model":"org/\"fast\""}"#, "same"),
            (r#"{"type":"response.cancel","model":null}"#, "same"),
            (
                r#"{"type":"session.update","session":{"a":[],"model":"fast"}}"#,
                r#"{"type":"session.update","session":{"a":[],"model":"org/\"fast\""}}"#,
            ),
            (
                r#"{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"whisper-1"}}}}}"#,
                "same",
            ),
            (r#"{"response":{"model":null},"session":"fast"}"#, "same"),
        ] {
            assert_eq!(renamed(Endpoint::ResponsesSocket, message).as_deref(), Ok(expected), "{message}");
        }
        assert_eq!(renamed(Endpoint::Realtime, r#"{"type":"response.create"}"#).as_deref(), Ok("same"));
    }

    #[test]
    fn no_message_gets_round_the_model_of_the_socket() {
        for message in [
            r#"{"type":"response.create","model":"dear"}"#,
            r#"{"model":"fast","model":"dear"}"#,
            r#"{"model":"fast","Model":"dear"}"#,
            r#"{"Model":"dear"}"#,
            r#"{"MOD\u0045L":"dear"}"#,
            r#"{"Type":"response.create"}"#,
            r#"{"Session":{"model":"dear"}}"#,
            r#"{"session":{"Model":"dear"}}"#,
            r#"{"re\u017fponse":{"model":"dear"}}"#,
            r#"{"response":{"mOdel":"dear"}}"#,
            r#"{"mod\u0065l":"dear"}"#,
            r#"{"model":["dear"]}"#,
            r#"{"session":{"model":"dear"}}"#,
            r#"{"session":{"model":"fast","model":"dear"}}"#,
            r#"{"session":{},"session":{"model":"dear"}}"#,
            r#"{"response":{"model":"dear"}}"#,
            r#"{"model":"dear","x":NaN}"#,
            r#"[{"model":"dear"}]"#,
            "",
        ] {
            let error = renamed(Endpoint::ResponsesSocket, message).unwrap_err();
            assert_eq!(error.status(), 400, "{message}");
        }
    }
}
