//! Errors in the providers' words: as answers, as events in a stream, as AWS exceptions.

mod words;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::codec::json::ScanError;
use crate::endpoint::ClientApi;
use crate::error::Error;

use words::status_of_type;
pub(super) use words::{NO_ROOM, anthropics_word, is_prompt_too_long, openais_word};

/// The longest message that is passed on, in bytes. A backend's error page may be anything.
const MAX_MESSAGE: usize = 4096;

/// The longest error answer that is parsed, in bytes.
const MAX_PARSED: usize = 256 * 1024;

/// An answer whose status says that it is an error.
#[derive(Debug, Clone, Copy)]
pub struct ErrorAnswer<'a> {
    /// The HTTP status, which the client gets too.
    pub status: u16,
    /// The header `content-type`.
    pub content_type: Option<&'a str>,
    /// The header `x-amzn-errortype`.
    pub error_type: Option<&'a str>,
    /// The body, decompressed.
    pub body: &'a [u8],
}

/// Reads an error answer. It cannot fail: what is not understood is the message, and `foreign` its type.
#[must_use]
pub fn decode_error(foreign: &str, answer: &ErrorAnswer<'_>) -> Error {
    // Many gateways on the way label their JSON as text, so JSON is what parses.
    let is_html = answer.content_type.is_some_and(|media| media.starts_with("text/html"));
    let may_be_json = !is_html && answer.body.len() <= MAX_PARSED;
    // `ThrottlingException:http://internal.amazon.com/coral/...`: what follows the colon is not the type.
    let header = answer
        .error_type
        .and_then(|kind| kind.split(':').next())
        .map(str::trim)
        .filter(|kind| !kind.is_empty())
        .map(str::to_owned);
    let said = if may_be_json { parsed(answer.body).and_then(of_value) } else { None };
    match said {
        Some(Said { kind, message, .. }) => Error::provider(answer.status, header.or(kind), message),
        None => {
            let body = String::from_utf8_lossy(answer.body.get(..MAX_MESSAGE).unwrap_or(answer.body));
            let message = match body.trim() {
                "" => format!("the backend answered with status {} and an empty body", answer.status),
                text => text.to_owned(),
            };
            let kind = header.unwrap_or_else(|| foreign.to_owned());
            Error::provider(answer.status, Some(kind), message)
        }
    }
}

/// Whether a body is an error of `api`'s own, so that its clients can read all that it says.
#[must_use]
pub fn is_error_of(api: ClientApi, body: &[u8]) -> bool {
    if body.len() > MAX_PARSED {
        return false;
    }
    parsed(body).is_some_and(|body| api.api().is_error(&body))
}

/// Whether a body has an error with a type and a message.
pub(super) fn has_type_and_message(body: &Value) -> bool {
    let is_text = |pointer| body.pointer(pointer).is_some_and(Value::is_string);
    is_text("/error/type") && is_text("/error/message")
}

/// 400: a body in which nothing can be found.
pub(crate) fn malformed(error: ScanError) -> Error {
    Error::bad_request(format!("malformed request: {error}"))
}

/// Reads an exception frame of an AWS event stream: its `:exception-type` (or `:error-code`) and its payload.
#[must_use]
pub fn decode_exception(exception_type: &str, payload: &[u8]) -> Error {
    let said: Option<Said> = parsed(payload).and_then(of_value);
    let status = said.as_ref().and_then(|said| said.status).unwrap_or_else(|| status_of_type(exception_type));
    let message =
        said.map_or_else(|| format!("the backend's stream ended with {exception_type}"), |said| said.message);
    Error::provider(status, Some(exception_type.to_owned()), message)
}

/// JSON as providers send it, see [`scan_answer`](crate::codec::json::scan_answer).
fn parsed(body: &[u8]) -> Option<Value> {
    let value = serde_json::from_slice(body).ok();
    value.or_else(|| serde_json::from_slice(&with_numbers_of_python(body)?).ok())
}

/// The same JSON with `null` for the numbers that Python writes and JSON does not have. `None` if there are none.
fn with_numbers_of_python(body: &[u8]) -> Option<Vec<u8>> {
    const NUMBERS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut made = Vec::with_capacity(body.len());
    let (mut rest, mut in_string, mut is_another) = (body, false, false);
    while let Some((byte, behind)) = rest.split_first() {
        let number = NUMBERS.iter().filter(|_| !in_string).find_map(|number| rest.strip_prefix(*number));
        if let Some(behind) = number {
            made.extend_from_slice(b"null");
            (rest, is_another) = (behind, true);
            continue;
        }
        made.push(*byte);
        rest = behind;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                let Some((escaped, behind)) = rest.split_first() else { break };
                made.push(*escaped);
                rest = behind;
            }
            _ => {}
        }
    }
    is_another.then_some(made)
}

/// What an error's JSON says.
struct Said {
    kind: Option<String>,
    message: String,
    status: Option<u16>,
}

/// The shapes in use: `{"error": {..}}` (OpenAI, Anthropic, Google), `{"error": ".."}`, `{"message": ".."}` (AWS,
/// Cohere, older vLLM) and `{"detail": ".."}` (FastAPI).
fn of_value(mut value: Value) -> Option<Said> {
    // Google has a list of one where a stream was asked for.
    if let Value::Array(list) = &mut value
        && list.len() == 1
    {
        value = list.pop()?;
    }
    let Value::Object(mut outer) = value else { return None };
    let mut error = match outer.remove("error") {
        Some(Value::Object(error)) => error,
        Some(Value::String(message)) => {
            return Some(Said { kind: None, message: bounded(message), status: None });
        }
        _ => outer,
    };
    let message = ["message", "Message", "detail"].into_iter().find_map(|key| match error.remove(key) {
        Some(Value::String(message)) => Some(message),
        _ => None,
    });
    let status = ["code", "status_code", "status", "originalStatusCode"].into_iter().find_map(|key| {
        match error.get(key)? {
            Value::Number(code) => code.as_u64(),
            Value::String(code) => code.parse().ok(),
            _ => None,
        }
    });
    let kind = ["type", "__type", "status", "code"].into_iter().find_map(|key| match error.get(key) {
        Some(Value::String(kind)) if kind != "error" && kind.parse::<u16>().is_err() => {
            // AWS puts the shape's namespace before it: `com.amazon.coral.validate#ValidationException`.
            Some(kind.rsplit('#').next().unwrap_or(kind).to_owned())
        }
        _ => None,
    });
    if message.is_none() && kind.is_none() {
        return None;
    }
    let mut message = message.or_else(|| kind.clone()).unwrap_or_default();
    // Google's say there which field is wrong, or which quota is used up:
    // <https://cloud.google.com/apis/design/errors>.
    let is_googles = error.get("status").is_some_and(Value::is_string);
    let details = error.get("details").filter(|_| is_googles);
    if let Some(details) = details.filter(|details| details.as_array().is_some_and(|list| !list.is_empty())) {
        message = format!("Error: {message}\nDetails: {details}");
    }
    let status =
        status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
    Some(Said { kind, message: bounded(message), status })
}

fn bounded(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    message
}

/// Prepared once: most data is short, and preparing takes longer than searching.
static ERROR: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"error\""));

/// The error that the data of one event, or a 200's body, is; `None` for everything else.
///
/// OpenAI-shaped `{"error": {..}}`, Anthropic's and the Responses API's `{"type": "error", ..}`, the Responses API's
/// `response.failed`.
#[must_use]
pub fn event_error(data: &[u8]) -> Option<Error> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        object: Option<Cow<'a, str>>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        response: Option<&'a RawValue>,
    }
    // The word is in every error; most data is neither an error nor contains it.
    ERROR.find(data)?;
    let Ok(outer) = serde_json::from_slice::<Outer<'_>>(data) else {
        return event_error(&with_numbers_of_python(data)?);
    };
    let is = |name: &Option<Cow<'_, str>>, what: &str| name.as_deref() == Some(what);
    let error = outer.error.filter(|error| !matches!(error.get(), "\"\"" | "false" | "{}" | "[]"));
    let json = match (error, outer.response) {
        (Some(_), _) => data,
        (None, _) if is(&outer.kind, "error") || is(&outer.object, "error") => data,
        (None, Some(response)) if is(&outer.kind, "response.failed") => response.get().as_bytes(),
        _ => return None,
    };
    let said = parsed(json).and_then(of_value).unwrap_or_else(|| Said {
        kind: None,
        message: "the backend reported an error without a message".to_owned(),
        status: None,
    });
    let status = said.status.unwrap_or_else(|| status_of_type(said.kind.as_deref().unwrap_or_default()));
    Some(Error::provider(status, said.kind, said.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn answer<'a>(status: u16, error_type: Option<&'a str>, body: &'a str) -> ErrorAnswer<'a> {
        ErrorAnswer { status, content_type: Some("application/json"), error_type, body: body.as_bytes() }
    }

    fn shown(error: &Error) -> Value {
        let mut body: Value = serde_json::from_slice(&error.body(ClientApi::OpenAi)).unwrap();
        body["error"].take()
    }

    fn shown_type(error: &Error) -> String {
        shown(error)["type"].as_str().unwrap().to_owned()
    }

    /// Servers in Python write them; serde does not read them.
    #[test]
    fn an_error_is_one_whatever_numbers_are_in_it() {
        for number in ["NaN", "Infinity", "-Infinity"] {
            let body =
                format!(r#"{{"error":{{"message":"a \"NaN\"","type":"rate_limit_error","x":[{number}]}}}}"#);
            let error = event_error(body.as_bytes()).unwrap();
            assert_eq!((error.status(), error.message()), (429, "a \"NaN\""));
            assert!(is_error_of(ClientApi::OpenAi, body.as_bytes()));
            let error = decode_error("OpenAIBackendError", &answer(500, None, &body));
            assert_eq!(error.message(), "a \"NaN\"");
        }
        assert!(event_error(br#"{"error":null,"x":NaN}"#).is_none());
        assert!(event_error(br#"{"error":{"message":"cut"#).is_none());
        assert!(event_error(br#"{"error":{"message":"cut\"#).is_none());
    }

    #[test]
    fn the_type_of_a_bedrock_error_is_in_its_header() {
        let header = Some("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/");
        let error =
            decode_error("AWSBedrockBackendError", &answer(429, header, r#"{"message":"slow down"}"#));
        let shown = shown(&error);
        assert_eq!(error.status(), 429);
        assert_eq!(shown["type"], "ThrottlingException");
        assert_eq!(shown["code"], "429");
        assert_eq!(shown["message"], "slow down");

        let error = decode_error("AWSBedrockBackendError", &answer(503, header, ""));
        assert_eq!(shown_type(&error), "ThrottlingException");

        let body = r#"{"__type":"com.amazon.coral#ValidationException","Message":"no"}"#;
        let error = decode_error("AWSBedrockBackendError", &answer(400, None, body));
        assert_eq!(error, Error::provider(400, Some("ValidationException".to_owned()), "no"));
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_the_words_that_agents_know() {
        let bedrocks = r#"{"message":"The model returned the following errors: Input is too long for requested model."}"#;
        let error =
            decode_error("AWSBedrockBackendError", &answer(400, Some("ValidationException"), bedrocks));
        assert_eq!(shown(&error)["code"], "context_length_exceeded");
        let anthropics: Value = serde_json::from_slice(&error.body(ClientApi::Anthropic)).unwrap();
        assert_eq!(anthropics["error"]["type"], "invalid_request_error");
        let message = anthropics["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("prompt is too long: The model returned"), "{message}");

        let geminis = r#"{"error":{"code":400,"message":"The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#;
        let error = decode_error("GCPVertexAIBackendError", &answer(400, None, geminis));
        assert_eq!(shown(&error)["code"], "context_length_exceeded");

        for words in [
            "This model's maximum context length is 8192 tokens. However, you requested 9216 tokens (8192 in the messages, 1024 in the completion).",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "too many tokens: total number of tokens (prompt and prediction) cannot exceed 4096 - received 6354.",
        ] {
            let body: Value =
                serde_json::from_slice(&Error::provider(400, None, words).body(ClientApi::Anthropic))
                    .unwrap();
            assert_eq!(body["error"]["message"], format!("prompt is too long: {words}"));
        }

        for words in [
            "prompt is too long: 227255 tokens > 200000 maximum",
            "The model returned the following errors: input length and `max_tokens` exceed context limit: 186433 + 20000 > 200000, decrease input length or `max_tokens` and try again",
        ] {
            let claudes = Error::provider(400, None, words);
            let body: Value = serde_json::from_slice(&claudes.body(ClientApi::Anthropic)).unwrap();
            assert_eq!(body["error"]["message"], words);
            assert_eq!(shown(&claudes)["code"], "context_length_exceeded");
        }
        for other in [
            Error::provider(400, None, "tools.0.name is too long"),
            Error::provider(500, None, "prompt is too long"),
            Error::bad_request("prompt is too long"),
        ] {
            assert_ne!(shown(&other)["code"], "context_length_exceeded", "{other:?}");
        }
    }

    #[test]
    fn clients_are_told_types_of_their_own_api() {
        for (status, provider, anthropic, openai) in [
            (500, Some("server_error"), "api_error", "server_error"),
            (500, Some("api_error"), "api_error", "server_error"),
            (500, None, "api_error", "server_error"),
            (429, Some("insufficient_quota"), "billing_error", "insufficient_quota"),
            (402, Some("billing_error"), "billing_error", "insufficient_quota"),
            (429, Some("rate_limit_exceeded"), "rate_limit_error", "rate_limit_exceeded"),
            (429, Some("tokens"), "rate_limit_error", "tokens"),
            (529, Some("overloaded_error"), "overloaded_error", "overloaded_error"),
            (400, Some("invalid_request_error"), "invalid_request_error", "invalid_request_error"),
            (400, Some("ValidationException"), "invalid_request_error", "ValidationException"),
            (404, Some(""), "not_found_error", ""),
        ] {
            let error = Error::provider(status, provider.map(str::to_owned), "m");
            let told = |api| {
                let body: Value = serde_json::from_slice(&error.body(api)).unwrap();
                body["error"]["type"].as_str().unwrap().to_owned()
            };
            assert_eq!(told(ClientApi::Anthropic), anthropic, "{provider:?}");
            assert_eq!(told(ClientApi::OpenAi), openai, "{provider:?}");
        }
    }

    #[test]
    fn provider_errors_keep_status_type_and_message() {
        for (shape, body, kind, message) in [
            (
                "GCPVertexAIBackendError",
                r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT","details":[{"a":1}]}}]"#,
                "INVALID_ARGUMENT",
                "Error: bad\nDetails: [{\"a\":1}]",
            ),
            (
                "GCPVertexAIBackendError",
                r#"{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT","details":[]}}"#,
                "INVALID_ARGUMENT",
                "bad",
            ),
            (
                "AnthropicBackendError",
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
                "overloaded_error",
                "Overloaded",
            ),
            (
                "OpenAIBackendError",
                r#"{"error":{"message":"no such model","type":"invalid_request_error","code":"model_not_found"}}"#,
                "invalid_request_error",
                "no such model",
            ),
            (
                "OpenAIBackendError",
                r#"{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}"#,
                "INVALID_ARGUMENT",
                "bad",
            ),
        ] {
            let error = decode_error(shape, &answer(418, None, body));
            assert_eq!(error, Error::provider(418, Some(kind.to_owned()), message));
        }
    }

    #[test]
    fn what_is_no_error_of_the_api_is_passed_on_as_text() {
        let html = ErrorAnswer {
            status: 503,
            content_type: Some("text/plain"),
            error_type: None,
            body: b"overload",
        };
        let error = decode_error("OpenAIBackendError", &html);
        assert_eq!(error, Error::provider(503, Some("OpenAIBackendError".to_owned()), "overload"));

        let long = vec![b'x'; 1 << 20];
        let error = decode_error("AWSBedrockBackendError", &ErrorAnswer { body: &long, ..html });
        assert_eq!(error.message().len(), MAX_MESSAGE);
        let error = decode_error("AnthropicBackendError", &ErrorAnswer { body: b" ", ..html });
        assert_eq!(error.message(), "the backend answered with status 503 and an empty body");
    }

    #[test]
    fn an_error_of_an_api_is_told_from_those_of_others() {
        let anthropic = r#"{"type":"error","error":{"type":"t","message":"m"},"request_id":"r"}"#;
        let openai = r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#;
        let aws = r#"{"message":"m"}"#;
        for (api, own) in
            [(ClientApi::Anthropic, anthropic), (ClientApi::OpenAi, openai), (ClientApi::Cohere, aws)]
        {
            for body in
                [anthropic, openai, aws, r#"{"error":"m"}"#, r#"{"error":{"message":"m"}}"#, "[]", "<"]
            {
                assert_eq!(is_error_of(api, body.as_bytes()), body == own, "{api:?}: {body}");
            }
        }
    }

    #[test]
    fn exceptions_in_a_stream_get_the_status_they_stand_for() {
        let error = decode_exception("throttlingException", br#"{"message":"Too many tokens"}"#);
        assert_eq!(error, Error::provider(429, Some("throttlingException".to_owned()), "Too many tokens"));
        let error =
            decode_exception("modelStreamErrorException", br#"{"message":"m","originalStatusCode":424}"#);
        assert_eq!(error.status(), 424);
        assert_eq!(decode_exception("somethingNew", b"\xff").kind(), Kind::Provider(500));
    }

    #[test]
    fn an_event_is_an_error_only_if_it_says_so_itself() {
        for (data, status) in [
            (r#"{"error":{"message":"x","type":"server_error","code":503}}"#, 503),
            (r#"{"error":{"message":"x","type":"rate_limit_exceeded","code":"rate_limit_exceeded"}}"#, 429),
            (r#"{"error":"out of memory"}"#, 500),
            (r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#, 400),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, 529),
            (r#"{"type":"error","code":"server_error","message":"x","param":null,"sequence_number":1}"#, 500),
            (
                r#"{"type":"response.failed","response":{"id":"r","error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
                429,
            ),
        ] {
            assert_eq!(event_error(data.as_bytes()).map(|error| error.status()), Some(status), "{data}");
        }
        for data in [
            r#"{"id":"c","error":null,"choices":[{"delta":{"content":"an \"error\""}}]}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"{\"error\":1}"}}"#,
            r#"{"type":"response.created","response":{"error":null}}"#,
            r#"{"choices":[],"x":"error"}"#,
            r#"{"choices":[],"error":""}"#,
            r#"{"choices":[],"error":{}}"#,
            "[DONE]",
            r#"{"error""#,
        ] {
            assert_eq!(event_error(data.as_bytes()), None, "{data}");
        }
    }
}
