//! What passes to a backend as it is, below a prefix of the gateway's paths: what little is to be known of it.

use percent_encoding::percent_decode_str;

use super::glance::{Glance, valid_model};
use super::usage::Watch;
use crate::codec::json;
use crate::config::PassThrough;
use crate::endpoint::{Body, ClientApi, Operation, Path, behind};
use crate::error::{Error, Result};
use crate::headers::Headers;

pub(crate) static OPERATION: Operation = Operation {
    name: "pass_through",
    path: Path::Configured,
    api: ClientApi::OpenAi,
    body: Body::Any,
    glance,
    watch: Watch::NOTHING,
    asks: None,
    refers: None,
};

/// The model is for the books alone: a request without one, or with an odd one, passes as well.
#[expect(clippy::unnecessary_wraps, reason = "other endpoints refuse requests here")]
fn glance(_: &Headers, body: &[u8]) -> std::result::Result<Glance, String> {
    let member = json::scan(body, ["model"]).ok().and_then(|scan| {
        let [model] = scan.members;
        model?.as_str(body).map(|model| model.into_owned())
    });
    let model = member.and_then(|model| valid_model("the field model", &model).ok()).unwrap_or_default();
    Ok(Glance { model, stream: false, is_array: false, usage_asked: false, choices: 1, unstored: false })
}

/// The segments that come before a model's name in the paths of Bedrock, Google and Azure.
const BEFORE_MODELS: [&str; 3] = ["model", "models", "deployments"];

/// The model that a provider's own path names; empty where it names none that is known.
pub(crate) fn model_of_path(path: &str) -> String {
    let mut segments = path.split('/').skip_while(|segment| !BEFORE_MODELS.contains(segment));
    let (list, model) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    // Google's methods stand behind a colon, which Bedrock's names have in them.
    let model = if list == "models" { model.split(':').next().unwrap_or_default() } else { model };
    let decoded = percent_decode_str(model).decode_utf8_lossy();
    valid_model("the model in the path", &decoded).unwrap_or_default()
}

/// Refuses a path that could lead out of its prefix at a server that takes an escaped slash for a slash. Plain dot
/// segments are gone by now.
///
/// # Errors
///
/// 400 for a segment of dots.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    if decoded.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
        return Err(Error::bad_request(format!("the path {path} has a segment of dots")));
    }
    Ok(())
}

/// The path at the backend of a request for the path `asked`. Where the backend's API has a `prefix`, that stands in
/// the place of `/v1`, as it does on every other way to the backend.
pub(crate) fn path(passing: &PassThrough, prefix: Option<&str>, asked: &str) -> String {
    let rest = behind(&passing.prefix, asked).unwrap_or_default();
    let path = match (prefix, behind("/v1", rest)) {
        (Some(prefix), Some(operation)) if passing.path.is_empty() => match prefix.trim_matches('/') {
            "" => operation.to_owned(),
            prefix => format!("/{prefix}{operation}"),
        },
        _ => format!("{}{rest}", passing.path),
    };
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_goes_and_what_stands_for_it_comes() {
        let at = |path: &str, api_prefix, asked: &str| {
            let passing =
                PassThrough { prefix: "/v1/files".to_owned(), path: path.to_owned(), models: vec![] };
            super::path(&passing, api_prefix, asked)
        };
        assert_eq!(at("", None, "/v1/files"), "/");
        assert_eq!(at("", None, "/v1/files/"), "/");
        assert_eq!(at("", None, "/v1/files/v1/x%2Fy"), "/v1/x%2Fy");
        assert_eq!(at("", Some("api/v3"), "/v1/files/v1/x"), "/api/v3/x");
        assert_eq!(at("", Some("/"), "/v1/files/v1/x"), "/x");
        assert_eq!(at("", Some("api/v3"), "/v1/files/v2/x"), "/v2/x");
        assert_eq!(
            at("/openai/v1/files", Some("api"), "/v1/files/f_1/content"),
            "/openai/v1/files/f_1/content"
        );
        assert_eq!(at("/openai/v1/files", None, "/v1/files"), "/openai/v1/files");
    }

    #[test]
    fn the_model_stands_in_many_paths() {
        for (path, model) in [
            (
                "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            ("/model/openai.gpt-oss-20b-1:0/invoke", "openai.gpt-oss-20b-1:0"),
            ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"),
            (
                "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:countTokens",
                "gemini-2.5-pro",
            ),
            ("/openai/deployments/our-gpt/chat/completions", "our-gpt"),
            ("/v1/files/f_1", ""),
            ("/model", ""),
            ("", ""),
        ] {
            assert_eq!(model_of_path(path), model, "{path}");
        }
    }

    #[test]
    fn escaped_dots_lead_nowhere() {
        for path in ["/f/..%2Fchat", "/%2e%2E/x", "/a%5c..%5cb", "/.", "/x/%2e"] {
            assert_eq!(check_path(path).unwrap_err().status(), 400, "{path}");
        }
        for path in ["", "/a..b", "/model/arn%3Aaws%3Abedrock%2Fx/converse", "/...", "/%252e%252e/x"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_body_may_name_the_model_or_not() {
        let model = |body: &str| glance(&Headers::default(), body.as_bytes()).unwrap().model;
        assert_eq!(model(r#"{"model":"gpt-5.1","input_file_id":"f"}"#), "gpt-5.1");
        for none in ["", "[]", "{}", r#"{"model":7}"#, r#"{"model":" a "}"#, r#"{"model":""}"#] {
            assert_eq!(model(none), "", "{none}");
        }
    }
}
