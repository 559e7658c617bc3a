//! The credentials endpoint of a container: EKS Pod Identity and ECS.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use chrono::DateTime;
use serde_json::Value;

use super::{ContainerEndpoint, SourceError};
use crate::auth::credentials::{HttpAnswer, HttpCall};
use crate::auth::{AwsCredentials, Secret};

/// The largest answer that is read, in bytes. Session tokens have some thousands at most.
const MAX_ANSWER: usize = 64 * 1024;

/// How much of an error's text is kept, in characters.
const MAX_REASON: usize = 200;

/// The variable with the name of the file that the authorization token is in. It counts before the other.
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// The call that asks for credentials.
pub(crate) fn call(
    endpoint: &ContainerEndpoint,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<HttpCall, SourceError> {
    let mut headers = vec![("accept", "application/json".to_owned())];
    let variable =
        |name| environment(name).filter(|value| endpoint.token_from_environment && !value.is_empty());
    let authorization_file = variable(TOKEN_FILE);
    if authorization_file.is_none()
        && let Some(token) = variable(TOKEN)
    {
        if !Secret::new(token.as_str()).is_header_text() {
            return Err(SourceError::UnusableValue(TOKEN));
        }
        headers.push(("authorization", token));
    }
    Ok(HttpCall {
        cluster: endpoint.cluster.clone(),
        method: "GET",
        authority: endpoint.authority.clone(),
        path: endpoint.path.clone(),
        headers,
        authorization_file,
        body: Vec::new(),
    })
}

/// The credentials of an answer, and when they expire, in seconds of Unix time.
pub(crate) fn parse(answer: &HttpAnswer) -> Result<(AwsCredentials, u64), SourceError> {
    if answer.body.len() > MAX_ANSWER {
        return Err(SourceError::BadAnswer("is larger than 64 KiB"));
    }
    // serde_json's own errors quote what they find, which may be a secret.
    let json = serde_json::from_slice::<Value>(&answer.body);
    if answer.status != 200 {
        return Err(SourceError::Refused(answer.status, json.as_ref().map(reason).unwrap_or_default()));
    }
    let json = json.map_err(|_| SourceError::BadAnswer("is not JSON"))?;
    let get = |member: &'static str| {
        json.get(member).and_then(Value::as_str).map(str::trim).filter(|value| !value.is_empty())
    };
    let (Some(id), Some(secret)) = (get("AccessKeyId"), get("SecretAccessKey")) else {
        let missing = if get("AccessKeyId").is_none() { "AccessKeyId" } else { "SecretAccessKey" };
        // Errors come with 200 too.
        let why = reason(&json);
        return Err(if why.is_empty() {
            SourceError::MissingMember(missing)
        } else {
            SourceError::Refused(answer.status, why)
        });
    };
    let expires_at = get("Expiration").ok_or(SourceError::MissingMember("Expiration"))?;
    let expires_at = DateTime::parse_from_rfc3339(expires_at)
        .ok()
        .and_then(|time| u64::try_from(time.timestamp()).ok())
        .ok_or(SourceError::BadAnswer("has an Expiration that is no time"))?;
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
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    text.chars().filter(|character| !character.is_control()).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: u16, body: &str) -> Result<(AwsCredentials, u64), SourceError> {
        super::parse(&HttpAnswer { status, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn the_call_is_a_get_of_the_given_path() {
        let environment = [(TOKEN_FILE, "/var/run/token"), (TOKEN, "Basic hidden")];
        let call = call(&endpoint(false), &|name| lookup(&environment, name)).unwrap();
        assert_eq!((call.method, call.path.as_str()), ("GET", "/v1/credentials"));
        assert_eq!((call.cluster.as_str(), call.authority.as_str()), ("aws-container", "169.254.170.23"));
        assert!(call.body.is_empty());
        assert_eq!((call.headers.len(), call.authorization_file), (1, None), "the proxy adds the token");
    }

    #[test]
    fn the_token_is_where_the_environment_says() {
        let call = |environment: &[(&str, &str)]| call(&endpoint(true), &|name| lookup(environment, name));
        let both = call(&[(TOKEN_FILE, "/var/run/token"), (TOKEN, "hidden")]).unwrap();
        assert_eq!((both.headers.len(), both.authorization_file.as_deref()), (1, Some("/var/run/token")));
        let value = call(&[(TOKEN_FILE, ""), (TOKEN, "Basic hidden")]).unwrap();
        assert_eq!(value.headers.last(), Some(&("authorization", "Basic hidden".to_owned())));
        assert_eq!(value.authorization_file, None);
        assert!(!format!("{value:?}").contains("hidden"));
        assert_eq!(call(&[]).unwrap().headers.len(), 1, "ECS needs none for a relative URI");
        assert_eq!(call(&[(TOKEN, "a\nb")]), Err(SourceError::UnusableValue(TOKEN)));
    }

    fn endpoint(token_from_environment: bool) -> ContainerEndpoint {
        ContainerEndpoint {
            cluster: "aws-container".to_owned(),
            authority: "169.254.170.23".to_owned(),
            path: "/v1/credentials".to_owned(),
            token_from_environment,
        }
    }

    fn lookup(environment: &[(&str, &str)], name: &str) -> Option<String> {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
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
        assert_eq!(parse(400, &long), refused(400, &"ä".repeat(MAX_REASON)));
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
}
