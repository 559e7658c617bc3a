//! Whole fetches, as the shell goes through them.

use serde_json::json;

use crate::auth::credentials::{Answer, Entry, Environment, HttpAnswer, HttpCall, Need, Renewal, Step};
use crate::auth::{Credential, FetchError, Secret, Source};

const NOW: u64 = 1_440_938_160; // 2015-08-30T12:36:00Z

/// What the world says, by what is asked of it: a file's path, or method and URL of a call.
type World<'a> = &'a dyn Fn(&str, Option<&HttpCall>) -> Result<Answer, FetchError>;

/// Goes through a fetch to its end: the secret key that it gives or why not, and what was asked for.
fn fetch(
    source: &Source,
    environment: Environment,
    world: World<'_>,
) -> (Result<String, String>, Vec<String>) {
    let renewal = Renewal::new(source.clone());
    let mut step = renewal.poll(&Entry::default(), NOW, environment);
    let mut asked = Vec::new();
    loop {
        match step {
            Step::Store(entry) => {
                let found = entry.credential(NOW).map_err(|error| error.to_string());
                let shown = format!("{entry:?} {:?}", entry.failure());
                assert!(!shown.contains("hidden"), "{shown}");
                let Credential::Aws(keys) = (match found {
                    Ok(found) => found,
                    Err(error) => return (Err(error), asked),
                }) else {
                    panic!("an API key")
                };
                return (Ok(keys.secret_access_key.expose().to_owned()), asked);
            }
            Step::Fetch { claim, need, fetching } => {
                let (what, call) = match need {
                    Need::File(path) => (path, None),
                    Need::Secret { name, .. } => (name, None),
                    Need::Http(call) => {
                        (format!("{} {}{}", call.method, call.authority, call.path), Some(call))
                    }
                };
                let answer = world(&what, call.as_ref());
                asked.push(what);
                step = renewal.answered(&claim, fetching, answer, NOW);
            }
            Step::Wait { .. } => panic!("nothing to wait for"),
        }
    }
}

fn source(source: serde_json::Value) -> Source {
    serde_json::from_value(source).unwrap()
}

fn everything() -> Source {
    source(json!({
        "type": "aws_default",
        "container": {"cluster": "c", "authority": "169.254.170.23", "path": "/v1/credentials", "if_announced": true},
        "sts": {"url": "https://sts.us-east-1.amazonaws.com", "region": "us-east-1"},
        "instance": "http://169.254.169.254",
        "hosts": {"https://sts.us-east-1.amazonaws.com": "s", "http://169.254.169.254": "i"},
    }))
}

fn text(body: &str) -> Result<Answer, FetchError> {
    Ok(Answer::Http(HttpAnswer { status: 200, body: body.as_bytes().to_vec() }))
}

fn role(action: &str, secret: &str) -> Result<Answer, FetchError> {
    text(&format!(
        "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>{secret}\
         </SecretAccessKey><SessionToken>hidden-token</SessionToken><Expiration>2015-08-30T13:36:00Z</Expiration>\
         </Credentials></{action}Result></{action}Response>"
    ))
}

fn json_keys(secret: &str) -> Result<Answer, FetchError> {
    text(&format!(
        r#"{{"AccessKeyId":"ASIA","SecretAccessKey":"{secret}","Token":"hidden-t","Expiration":"2015-08-30T13:36:00Z"}}"#
    ))
}

/// A world with everything in it: profiles `keys`, `role` and `sso`, a pod's token, a container's endpoint, an
/// instance.
fn full(what: &str, call: Option<&HttpCall>) -> Result<Answer, FetchError> {
    match what {
        "/home/.aws/config" => {
            let file =
                "[profile role]\nrole_arn = arn:r\nsource_profile = keys\n[profile sso]\nsso_session = s\n";
            Ok(Answer::File(Secret::new(file)))
        }
        "/home/.aws/credentials" => {
            let file = "[keys]\naws_access_key_id = AKID\naws_secret_access_key = hidden-file\n";
            Ok(Answer::File(Secret::new(file)))
        }
        "/token" => Ok(Answer::File(Secret::new("hidden.jwt\n"))),
        "POST sts.us-east-1.amazonaws.com/" => {
            let call = call.unwrap();
            let body = String::from_utf8(call.body.clone()).unwrap();
            let is_signed = call.headers.iter().any(|(name, _)| name == "authorization");
            if body.starts_with("Action=AssumeRole&") {
                assert!(is_signed && body.contains("RoleArn=arn%3Ar"));
                return role("AssumeRole", "hidden-role");
            }
            assert!(
                !is_signed && body.ends_with("RoleArn=arn%3Ap&RoleSessionName=s&WebIdentityToken=hidden.jwt")
            );
            role("AssumeRoleWithWebIdentity", "hidden-pod")
        }
        "GET 169.254.170.23/v1/credentials" => json_keys("hidden-container"),
        "PUT 169.254.169.254/latest/api/token" => text("hidden-imds"),
        "GET 169.254.169.254/latest/meta-data/iam/security-credentials/" => text("the-role\n"),
        "GET 169.254.169.254/latest/meta-data/iam/security-credentials/the-role" => {
            let token = ("x-aws-ec2-metadata-token".into(), "hidden-imds".to_owned());
            assert!(call.unwrap().headers.contains(&token));
            json_keys("hidden-instance")
        }
        path if call.is_none() => Err(FetchError::NoFile(path.to_owned())),
        _ => Err(FetchError::NoAnswer),
    }
}

/// The environment of a pod that has everything.
fn everywhere(name: &str) -> Option<String> {
    let value = match name {
        "AWS_ACCESS_KEY_ID" => "AKID",
        "AWS_SECRET_ACCESS_KEY" => "hidden-environment",
        "AWS_PROFILE" => "role",
        "HOME" => "/home",
        "AWS_WEB_IDENTITY_TOKEN_FILE" => "/token",
        "AWS_ROLE_ARN" => "arn:p",
        "AWS_ROLE_SESSION_NAME" => "s",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI" => "http://169.254.170.23/v1/credentials",
        _ => return None,
    };
    Some(value.to_owned())
}

fn but(name: &str, without: &[&str], profile: &str) -> Option<String> {
    let gone = without.iter().any(|prefix| name.starts_with(prefix));
    everywhere(name)
        .filter(|_| !gone)
        .map(|value| if name == "AWS_PROFILE" { profile.to_owned() } else { value })
}

/// As botocore goes: `tests/e2e/test_aws_sources.py` asks it.
#[test]
fn the_first_place_that_has_credentials_counts() {
    const KEYS: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET"];
    const NO_POD: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET", "AWS_WEB"];
    const NO_CONTAINER: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET", "AWS_WEB", "AWS_CONTAINER"];
    let cases: [(&str, Environment, usize); 6] = [
        ("hidden-environment", everywhere, 0),
        ("hidden-role", |name| but(name, KEYS, "role"), 3),
        ("hidden-pod", |name| but(name, KEYS, "keys"), 4),
        ("hidden-file", |name| but(name, NO_POD, "keys"), 2),
        ("hidden-container", |name| but(name, NO_POD, "other"), 3),
        ("hidden-instance", |name| but(name, NO_CONTAINER, "other"), 5),
    ];
    for (expected, environment, steps) in cases {
        let (found, asked) = fetch(&everything(), environment, &full);
        assert_eq!(found.as_deref(), Ok(expected), "{asked:?}");
        assert_eq!(asked.len(), steps, "{asked:?}");
    }
    let sso: Environment = |name| but(name, NO_POD, "sso");
    let error = fetch(&everything(), sso, &full).0.unwrap_err();
    assert!(error.contains("profile sso") && error.contains("sso_session is not supported"), "{error}");
    let nothing: Environment = |name| match name {
        "AWS_EC2_METADATA_DISABLED" => Some("True".to_owned()),
        name => but(name, NO_CONTAINER, "other"),
    };
    let (error, asked) = fetch(&everything(), nothing, &full);
    assert!(error.unwrap_err().starts_with("no AWS credentials: looked for"));
    assert_eq!(asked.len(), 2, "the files");
}

fn nowhere(_: &str) -> Option<String> {
    None
}

#[test]
fn a_role_is_given_for_the_token_of_a_file() {
    let irsa = source(json!({
        "type": "aws_web_identity",
        "token": {"file": "/token"},
        "role_arn": "arn:p",
        "session_name": "s",
        "sts": {"url": "https://sts.us-east-1.amazonaws.com", "region": "us-east-1"},
        "hosts": {"https://sts.us-east-1.amazonaws.com": "s"},
    }));
    assert_eq!(fetch(&irsa, nowhere, &full).0.as_deref(), Ok("hidden-pod"));
    for (file, why) in [
        (Err(FetchError::NoFile("/token".to_owned())), "/token does not exist"),
        (Ok(Answer::File(Secret::new(" \n"))), "/token cannot be read: it is empty"),
        (Ok(Answer::File(Secret::new("hidden hidden"))), "/token cannot be read: what it holds is no token"),
    ] {
        let world = |_: &str, _: Option<&HttpCall>| file.clone();
        assert_eq!(fetch(&irsa, nowhere, &world).0, Err(why.to_owned()));
    }
    let refused = |what: &str, call: Option<&HttpCall>| {
        match call {
        None => full(what, call),
        Some(_) => Ok(Answer::Http(HttpAnswer {
            status: 400,
            body: b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>not hidden.jwt</Message></Error>\
                    </ErrorResponse>"
                .to_vec(),
        })),
    }
    };
    assert_eq!(
        fetch(&irsa, nowhere, &refused).0.unwrap_err(),
        "https://sts.us-east-1.amazonaws.com: the credentials endpoint answered 400: InvalidIdentityToken: not ***"
    );
}

#[test]
fn a_role_is_given_for_the_token_of_a_provider() {
    let oidc = source(json!({
        "type": "aws_web_identity",
        "token": {"oidc": {
            "issuer": "https://issuer.example", "client_id": "weir", "name": "default/client", "key": "client-secret",
        }},
        "role_arn": "arn:p",
        "session_name": "s",
        "sts": {"url": "https://sts.us-east-1.amazonaws.com", "region": "us-east-1"},
        "hosts": {"https://sts.us-east-1.amazonaws.com": "s", "https://issuer.example": "o"},
    }));
    let world = |what: &str, call: Option<&HttpCall>| match what {
        "default/client" => Ok(Answer::Secret(Secret::new("hidden-secret"))),
        "GET issuer.example/.well-known/openid-configuration" => {
            text(r#"{"issuer":"https://issuer.example","token_endpoint":"https://issuer.example/token"}"#)
        }
        "POST issuer.example/token" => {
            text(r#"{"access_token":"hidden.jwt","token_type":"Bearer","expires_in":300}"#)
        }
        what => full(what, call),
    };
    let (found, asked) = fetch(&oidc, nowhere, &world);
    assert_eq!(found.as_deref(), Ok("hidden-pod"), "{asked:?}");
    assert_eq!(asked.len(), 4, "{asked:?}");
}

#[test]
fn the_instance_says_what_is_wrong() {
    let instance = source(json!({
        "type": "aws_default", "instance": "http://169.254.169.254/", "hosts": {"http://169.254.169.254": "i"},
    }));
    let status = |status| Ok(Answer::Http(HttpAnswer { status, body: b"hidden".to_vec() }));
    for (at, answer, why) in [
        (0, Err(FetchError::NoAnswer), "hop limit must be 2"),
        (0, status(403), "answered 403"),
        (0, text("two hidden words"), "the metadata token has a space"),
        (1, status(404), "the EC2 instance has no role"),
        (1, text("../hidden"), "the name of the instance's role has"),
        (2, text("hidden"), "is not JSON"),
        (2, text(r#"{"Code":"Failed","Message":"for hidden-imds"}"#), "answered 200: Failed: for ***"),
    ] {
        let count = std::cell::Cell::new(0);
        let world = |what: &str, call: Option<&HttpCall>| {
            if count.replace(count.get() + 1) == at { answer.clone() } else { full(what, call) }
        };
        let error = fetch(&instance, nowhere, &world).0.unwrap_err();
        assert!(error.starts_with("http://169.254.169.254: ") && error.contains(why), "{error}");
    }
}

#[test]
fn a_profile_with_a_role_needs_to_know_where_to_ask() {
    let file = |more: serde_json::Value| {
        let mut fields = json!({"type": "aws_file", "name": "default/aws", "profile": "role"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        source(fields)
    };
    let world = |what: &str, call: Option<&HttpCall>| match what {
        "default/aws" => Ok(Answer::Secret(Secret::new(
            "[role]\nrole_arn = arn:r\nsource_profile = keys\n\
             [keys]\naws_access_key_id = AKID\naws_secret_access_key = hidden-file\n",
        ))),
        what => full(what, call),
    };
    let with = file(json!({"calls": {
        "sts": {"url": "https://sts.us-east-1.amazonaws.com", "region": "us-east-1"},
        "hosts": {"https://sts.us-east-1.amazonaws.com": "s"},
    }}));
    assert_eq!(fetch(&with, nowhere, &world).0.as_deref(), Ok("hidden-role"));
    let error = fetch(&file(json!({})), nowhere, &world).0.unwrap_err();
    assert_eq!(error, "AWS STS is to be asked, which the configuration does not name");
}
