//! The credentials endpoint of a container: EKS Pod Identity and ECS.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Keys, SourceError};
use crate::auth::credentials::{HttpAnswer, HttpCall, Io, Lasts};
use crate::auth::sources::{hidden, time};
use crate::auth::{AwsCredentials, FetchError, Secret};

/// The largest answer that is read, in bytes. Session tokens have some thousands at most.
const MAX_ANSWER: usize = 64 * 1024;

/// The variable with the name of the file that the authorization token is in. It counts before the other.
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// The endpoint that EKS Pod Identity and ECS give to a container. Its authorization token is a file that rotates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerEndpoint {
    /// The proxy's cluster for it.
    pub cluster: String,
    /// Host and port, for `:authority`.
    pub authority: String,
    /// Path and query of AWS_CONTAINER_CREDENTIALS_FULL_URI.
    pub path: String,
    /// The filter adds the token to the call, from where AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or
    /// AWS_CONTAINER_AUTHORIZATION_TOKEN in the proxy's environment say. Otherwise the cluster does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub token_from_environment: bool,
    /// It is asked only where AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is in the
    /// environment that the filter sees.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_announced: bool,
}

/// Asks the endpoint.
pub(super) async fn keys(endpoint: &ContainerEndpoint, io: &Io) -> Result<Keys, FetchError> {
    let token = if endpoint.token_from_environment { token(io).await? } else { None };
    let sent: Vec<&Secret> = token.iter().collect();
    let (credentials, expires_at) = parse(&io.http(call(endpoint, token.as_ref())).await?, &sent)?;
    Ok(Keys { credentials, lasts: Lasts::Until(expires_at) })
}

/// The authorization token. ECS needs none.
async fn token(io: &Io) -> Result<Option<Secret>, FetchError> {
    let (token, name) = match (io.variable(TOKEN_FILE), io.variable(TOKEN)) {
        (Some(path), _) => (io.file(&path).await?, TOKEN_FILE),
        (None, Some(token)) => (Secret::new(token), TOKEN),
        (None, None) => return Ok(None),
    };
    let token = Secret::new(token.expose().trim());
    if token.is_header_text() { Ok(Some(token)) } else { Err(SourceError::UnusableValue(name).into()) }
}

/// The call that asks for credentials.
fn call(endpoint: &ContainerEndpoint, token: Option<&Secret>) -> HttpCall {
    let mut headers = vec![("accept".into(), "application/json".to_owned())];
    headers.extend(token.map(|token| ("authorization".into(), token.expose().to_owned())));
    HttpCall {
        cluster: endpoint.cluster.clone(),
        method: "GET",
        authority: endpoint.authority.clone(),
        path: endpoint.path.clone(),
        headers,
        body: Vec::new(),
    }
}

/// The credentials of an answer, and when they expire, in seconds of Unix time. What was `sent` as a secret is in no
/// error.
pub(super) fn parse(answer: &HttpAnswer, sent: &[&Secret]) -> Result<(AwsCredentials, u64), SourceError> {
    if answer.body.len() > MAX_ANSWER {
        return Err(SourceError::BadAnswer("is larger than 64 KiB"));
    }
    // serde_json's own errors quote what they find, which may be a secret.
    let json = serde_json::from_slice::<Value>(&answer.body);
    if answer.status != 200 {
        return Err(SourceError::Refused(
            answer.status,
            json.as_ref().map(|json| hidden(&reason(json), sent)).unwrap_or_default(),
        ));
    }
    let json = json.map_err(|_| SourceError::BadAnswer("is not JSON"))?;
    let get = |member: &'static str| {
        json.get(member).and_then(Value::as_str).map(str::trim).filter(|value| !value.is_empty())
    };
    let (Some(id), Some(secret)) = (get("AccessKeyId"), get("SecretAccessKey")) else {
        let missing = if get("AccessKeyId").is_none() { "AccessKeyId" } else { "SecretAccessKey" };
        // Errors come with 200 too.
        let why = hidden(&reason(&json), sent);
        return Err(if why.is_empty() {
            SourceError::MissingMember(missing)
        } else {
            SourceError::Refused(answer.status, why)
        });
    };
    let expires_at = get("Expiration").ok_or(SourceError::MissingMember("Expiration"))?;
    let expires_at = time(expires_at).ok_or(SourceError::BadAnswer("has an Expiration that is no time"))?;
    let credentials = AwsCredentials {
        access_key_id: id.to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: get("Token").map(Secret::new),
    };
    Ok((credentials.check(["AccessKeyId", "SecretAccessKey", "Token"])?, expires_at))
}

/// The code and message of an error, whichever of the two ways of writing them it has.
fn reason(json: &Value) -> String {
    let get = |names: [&str; 2]| names.iter().find_map(|name| json.get(name).and_then(Value::as_str));
    let parts = [get(["code", "Code"]), get(["message", "Message"])];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: u16, body: &str) -> Result<(AwsCredentials, u64), SourceError> {
        super::parse(&HttpAnswer { status, body: body.as_bytes().to_vec() }, &[])
    }

    #[test]
    fn an_answer_has_keys_token_and_expiry() {
        let body = r#"{"RoleArn":"arn","AccessKeyId":"ASIA","SecretAccessKey":"hidden","Token":"t==",
            "Expiration":"2015-08-30T12:36:00Z","AccountId":"1"}"#;
        let (credentials, expires_at) = parse(200, body).unwrap();
        assert_eq!(credentials.access_key_id, "ASIA");
        assert_eq!(credentials.secret_access_key.expose(), "hidden");
        assert_eq!(credentials.session_token, Some(Secret::new("t==")));
        assert_eq!(expires_at, 1_440_938_160);
        let (_, with_offset) = parse(200, &body.replace("12:36:00Z", "14:36:00.9+02:00")).unwrap();
        assert_eq!(with_offset, 1_440_938_160);
    }

    #[test]
    fn errors_say_code_and_message() {
        let refused = |status, why: &str| Err(SourceError::Refused(status, why.to_owned()));
        assert_eq!(
            parse(400, r#"{"code":"InvalidToken","message":"token\n expired"}"#),
            refused(400, "InvalidToken: token expired")
        );
        assert_eq!(
            parse(200, r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#),
            refused(200, "AssumeRoleUnauthorizedAccess")
        );
        assert_eq!(parse(500, "oops"), refused(500, ""));
        assert_eq!(parse(403, r#"{"message":5}"#), refused(403, ""));
        let long = format!(r#"{{"message":"{}"}}"#, "ä".repeat(1000));
        assert_eq!(parse(400, &long), refused(400, &"ä".repeat(crate::auth::sources::MAX_REASON)));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_not_shown() {
        let good = r#"{"AccessKeyId":"ASIA","SecretAccessKey":"hidden","Token":"t","Expiration":"2015-08-30T12:36:00Z"}"#;
        for (body, error) in [
            ("hidden".to_owned(), SourceError::BadAnswer("is not JSON")),
            (String::new(), SourceError::BadAnswer("is not JSON")),
            ("[]".to_owned(), SourceError::MissingMember("AccessKeyId")),
            (good.replace("AccessKeyId", "x"), SourceError::MissingMember("AccessKeyId")),
            (good.replace("\"hidden\"", "5"), SourceError::MissingMember("SecretAccessKey")),
            (good.replace("\"hidden\"", "\"hidden\\r\\nx\""), SourceError::UnusableValue("SecretAccessKey")),
            (good.replace("Expiration", "x"), SourceError::MissingMember("Expiration")),
            (good.replace("2015", "hidden"), SourceError::BadAnswer("has an Expiration that is no time")),
            (good.replace("2015", "1915"), SourceError::BadAnswer("has an Expiration that is no time")),
            (" ".repeat(MAX_ANSWER) + good, SourceError::BadAnswer("is larger than 64 KiB")),
        ] {
            let got = parse(200, &body).unwrap_err();
            assert_eq!(got, error, "{body}");
            assert!(!format!("{got} {got:?}").contains("hidden"), "{got}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "(\\{|\\}|\"|:|[ -~]|\\PC){0,200}", status: u16) {
            let _ = parse(status, &text).map_err(|error| assert!(error.to_string().len() < 2_000));
        }
    }
}
