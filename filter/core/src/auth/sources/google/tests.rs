//! Google's sources, from what they need to the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::PublicKey;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::signature::Verifier;
use serde_json::{Value, json};
use sha2::Sha256;

use super::super::script::{NOW, Run, answer, file, no_environment, run, secret, token};
use super::*;
use crate::auth::sources::{Hosts, Oidc, Source};
use crate::auth::{Answer, FetchError, Need, Secret};

/// A key that was made for these tests, as Google writes it and as older tools do.
const KEY: &str = include_str!("testdata/key.pem");
const OLD_KEY: &str = include_str!("testdata/key.pkcs1.pem");

const ACCOUNT: &str = "weir@p.iam.gserviceaccount.com";

fn service_account() -> Value {
    json!({
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "key-1",
        "private_key": KEY,
        "client_email": ACCOUNT,
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    })
}

fn user() -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "gcloud",
        "client_secret": "hidden-client",
        "refresh_token": "hidden-refresh",
        "quota_project_id": "p",
    })
}

fn external(source: Value) -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/idp",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": source,
    })
}

const IMPERSONATION: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/weir@p.iam.gserviceaccount.com:generateAccessToken";

/// Fetches with the file `json`, which names all that is called.
fn with_file(json: &Value, mut answers: Vec<Result<Answer, FetchError>>) -> Run {
    let text = json.to_string();
    let urls = GoogleFile::needs(&text).map(|needs| needs.urls).unwrap_or_default();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (name, key) = ("default/google".to_owned(), "service_account.json".to_owned());
    let source = Source::GoogleFile(GoogleFile { name, key, hosts: Hosts::of(&urls).unwrap() });
    answers.insert(0, secret(&text));
    let run = run(&source, no_environment, answers);
    assert!(matches!(&run.needs[0], Need::Secret { key, .. } if key == "service_account.json"));
    run
}

/// Reads and verifies a JSON Web Token.
fn claims(jwt: &str) -> (Value, Value) {
    let key = PublicKey::from(jwt::key(&Secret::new(KEY)).unwrap());
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let signature = Signature::try_from(&*decode(signature)).unwrap();
    VerifyingKey::<Sha256>::new(key).verify(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |part| serde_json::from_slice(&decode(part)).unwrap();
    (json(header), json(claims))
}

#[test]
fn the_key_of_a_service_account_signs_for_a_token() {
    for key in [KEY, OLD_KEY] {
        let mut account = service_account();
        account["private_key"] = key.into();
        let run = with_file(&account, vec![token("ya29.t", 3599)]);
        assert_eq!(run.token(), ("ya29.t", 3599));
        let call = run.call(1);
        assert_eq!(call.line(), "POST oauth2.googleapis.com/token by weir_call_https_oauth2.googleapis.com");
        assert_eq!(call.field("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
        let (header, claims) = claims(&call.field("assertion").unwrap());
        assert_eq!(header, json!({"typ": "JWT", "alg": "RS256", "kid": "key-1"}));
        let expected = json!({
            "iat": NOW, "exp": NOW + 3600, "iss": ACCOUNT, "aud": "https://oauth2.googleapis.com/token",
            "scope": "https://www.googleapis.com/auth/cloud-platform",
        });
        assert_eq!(claims, expected);
    }
}

#[test]
fn a_users_refresh_token_gives_one() {
    let run = with_file(&user(), vec![token("t", 60)]);
    assert_eq!(
        run.call(1).body(),
        "grant_type=refresh_token&client_id=gcloud&client_secret=hidden-client&refresh_token=hidden-refresh"
    );
    assert_eq!(run.token(), ("t", 60));
    let refused = json!({"error": "invalid_grant", "error_description": "hidden-refresh is revoked"});
    assert_eq!(
        with_file(&user(), vec![answer(400, &refused)]).failure(),
        "https://oauth2.googleapis.com: the credentials endpoint answered 400: invalid_grant: *** is revoked"
    );
}

#[test]
fn who_may_act_as_a_service_account_does() {
    let file = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": IMPERSONATION,
        "delegates": ["one"],
        "source_credentials": service_account(),
    });
    let impersonated = json!({"accessToken": "t", "expireTime": "2015-08-30T13:36:00Z"});
    let run = with_file(&file, vec![token("hidden-own", 60), answer(200, &impersonated)]);
    let (_, claims) = claims(&run.call(1).field("assertion").unwrap());
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/iam");
    let call = run.call(2);
    assert!(call.line().starts_with("POST iamcredentials.googleapis.com/v1/projects/-/"), "{}", call.line());
    assert_eq!(call.header("authorization"), Some("Bearer hidden-own"));
    let body: Value = serde_json::from_str(call.body()).unwrap();
    let scope = ["https://www.googleapis.com/auth/cloud-platform"];
    assert_eq!(body, json!({"delegates": ["one"], "scope": scope, "lifetime": "3600s"}));
    assert_eq!(run.token(), ("t", 3600));

    let denied = json!({"error": {"code": 403, "message": "no permission", "status": "PERMISSION_DENIED"}});
    for (status, answered, why) in [
        (403, denied, "answered 403: PERMISSION_DENIED: no permission"),
        (200, json!({"accessToken": "t"}), "has no expireTime"),
        (200, json!({"accessToken": "t", "expireTime": "soon"}), "has an expireTime that is no time"),
        (200, json!({"accessToken": "t", "expireTime": "2015-08-30T12:36:00Z"}), "have expired"),
    ] {
        let run = with_file(&file, vec![token("hidden-own", 60), answer(status, &answered)]);
        assert!(run.failure().starts_with("https://iamcredentials.googleapis.com: "), "{}", run.failure());
        assert!(run.failure().contains(why), "{}", run.failure());
    }
}

#[test]
fn a_token_in_a_file_is_exchanged() {
    let account = external(json!({"file": "/var/run/token"}));
    let run = with_file(&account, vec![file("hidden-subject\n"), token("t", 3600)]);
    assert_eq!(run.needs[1], Need::File("/var/run/token".into()));
    let call = run.call(2);
    assert_eq!(call.line(), "POST sts.googleapis.com/v1/token by weir_call_https_sts.googleapis.com");
    assert_eq!(call.header("authorization"), None);
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("scope", "https://www.googleapis.com/auth/cloud-platform"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", "hidden-subject"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ];
    for (name, value) in expected {
        assert_eq!(call.field(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(run.token(), ("t", 3600));
    for bad in ["", "hidden one\nhidden two"] {
        assert!(with_file(&account, vec![file(bad)]).failure().contains("the subject token"));
    }
}

#[test]
fn a_token_behind_a_url_is_exchanged_and_acts_as_a_service_account() {
    let mut account = external(json!({
        "url": "http://169.254.169.254/metadata/identity/oauth2/token?resource=x",
        "headers": {"Metadata": "True", "X-Key": "hidden-key"},
        "format": {"type": "json", "subject_token_field_name": "access_token"},
    }));
    account["service_account_impersonation_url"] = IMPERSONATION.into();
    account["service_account_impersonation"] = json!({"token_lifetime_seconds": 600});
    account["client_id"] = "client".into();
    account["client_secret"] = "hidden".into();
    let impersonated = json!({"accessToken": "t", "expireTime": "2015-08-30T12:46:00Z"});
    let subject = answer(200, &json!({"access_token": "hidden-subject"}));
    let run = with_file(&account, vec![subject, token("hidden-own", 60), answer(200, &impersonated)]);
    let calls = [run.call(1), run.call(2), run.call(3)];
    assert_eq!(
        calls[0].line(),
        "GET 169.254.169.254/metadata/identity/oauth2/token?resource=x by weir_call_http_169.254.169.254"
    );
    assert_eq!((calls[0].header("metadata"), calls[0].header("x-key")), (Some("True"), Some("hidden-key")));
    assert_eq!(calls[1].header("authorization"), Some("Basic Y2xpZW50OmhpZGRlbg=="));
    assert_eq!(calls[1].field("subject_token").as_deref(), Some("hidden-subject"));
    assert_eq!(calls[1].field("scope").as_deref(), Some("https://www.googleapis.com/auth/iam"));
    assert!(calls[2].body().contains("\"600s\""));
    assert_eq!(run.token(), ("t", 600));

    let refused = with_file(&account, vec![answer(404, &json!("hidden"))]);
    assert_eq!(refused.failure(), "http://169.254.169.254: the credentials endpoint answered 404");
    let other = with_file(&account, vec![answer(200, &json!({"token": "hidden"}))]);
    assert!(other.failure().contains("the subject token"), "{}", other.failure());
}

#[test]
fn a_file_that_cannot_be_used_is_told_by_what_is_wrong() {
    let with = |json: &Value, name: &str, value: Value| {
        let mut json = json.clone();
        json[name] = value;
        json
    };
    let (account, file) = (service_account(), external(json!({"file": "/t"})));
    for (json, why) in [
        (json!("hidden"), "has no `type`"),
        (with(&account, "type", "gdch_service_account".into()), "`type` gdch_service_account"),
        (with(&account, "client_email", Value::Null), "has no `client_email`"),
        (with(&account, "private_key", "hidden".into()), "no RSA key in PEM"),
        (with(&account, "universe_domain", "example.com".into()), "`universe_domain` example.com"),
        (with(&user(), "refresh_token", "".into()), "has no `refresh_token`"),
        (with(&file, "audience", Value::Null), "has no `audience`"),
        (with(&file, "workforce_pool_user_project", "p".into()), "`workforce_pool_user_project`"),
        (external(json!({"executable": {"command": "hidden"}})), "`credential_source.executable`"),
        (external(json!({"environment_id": "aws1"})), "`credential_source.environment_id`"),
        (external(json!({})), "has no `credential_source.file`"),
        (external(json!({"file": "/t", "format": {"type": "json"}})), "has no `subject_token_field_name`"),
        (external(json!({"url": "https://a.b", "headers": {"a": "hidden\r\nx: y"}})), "`headers`"),
    ] {
        let error = GoogleFile::needs(&json.to_string()).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("hidden"), "{error}");
        if json != with(&account, "private_key", "hidden".into()) {
            assert_eq!(with_file(&json, vec![]).failure(), error);
        }
    }
    assert!(GoogleFile::needs("hidden").unwrap_err().to_string().contains("no JSON"));
}

#[test]
fn a_file_leads_to_no_server_that_the_resources_do_not_name() {
    let (name, key) = ("default/google".to_owned(), "service_account.json".to_owned());
    let hosts = Hosts::of(&["https://oauth2.googleapis.com/token"]).unwrap();
    let source = Source::GoogleFile(GoogleFile { name, key, hosts });
    let mut account = service_account();
    account["token_uri"] = "https://evil.example/token".into();
    let run = run(&source, no_environment, vec![secret(&account.to_string())]);
    assert_eq!(run.failure(), "https://evil.example is to be called, which the resources do not name");
}

#[test]
fn a_token_of_openid_connect_is_exchanged() {
    let source = |impersonation_url: Option<&str>| {
        let token_endpoint = Some("https://idp.example/token".to_owned());
        let (name, key) = ("default/idp".to_owned(), "client-secret".to_owned());
        let (issuer, client_id) = ("https://idp.example".to_owned(), "weir".to_owned());
        let oidc = Oidc { issuer, token_endpoint, client_id, name, key, scopes: Vec::new() };
        let hosts =
            ["https://idp.example", "https://sts.googleapis.com", "https://iamcredentials.googleapis.com"];
        Source::GoogleFederation(GoogleFederation {
            oidc,
            audience: "//iam.googleapis.com/x".to_owned(),
            token_url: "https://sts.googleapis.com/v1/token".to_owned(),
            impersonation_url: impersonation_url.map(str::to_owned),
            hosts: Hosts::of(&hosts).unwrap(),
        })
    };
    let own = run(
        &source(None),
        no_environment,
        vec![secret("hidden"), token("hidden-subject", 60), token("t", 3600)],
    );
    assert_eq!(own.call(2).field("audience").as_deref(), Some("//iam.googleapis.com/x"));
    assert_eq!(own.call(2).field("subject_token").as_deref(), Some("hidden-subject"));
    assert_eq!(own.token(), ("t", 3600));

    let impersonated = json!({"accessToken": "t", "expireTime": "2015-08-30T12:46:00Z"});
    let answers = vec![
        secret("hidden"),
        token("hidden-subject", 60),
        token("hidden-own", 3600),
        answer(200, &impersonated),
    ];
    assert_eq!(run(&source(Some(IMPERSONATION)), no_environment, answers).token(), ("t", 600));
}

#[test]
fn the_metadata_server_is_asked_with_its_flavor() {
    let server = "http://169.254.169.254".to_owned();
    let hosts = Hosts::of(&[&server]).unwrap();
    let source = Source::GoogleMetadata(GoogleMetadata { server, hosts });
    let run = run(&source, no_environment, vec![token("t", 1800)]);
    assert_eq!(
        run.call(0).line(),
        "GET 169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token\
         ?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform by weir_call_http_169.254.169.254"
    );
    assert_eq!(run.call(0).header("metadata-flavor"), Some("Google"));
    assert_eq!(run.token(), ("t", 1800));
}

proptest::proptest! {
    #[test]
    fn whatever_a_file_holds_is_read_or_refused(
        kind in proptest::sample::select(vec!["service_account", "authorized_user", "external_account"]),
        member in "[a-z_]{1,20}",
        value in "\\PC{0,60}",
        text in "(\\{|\\[|\"|:|,|[ -~]|\\PC){0,100}",
    ) {
        let _ = GoogleFile::needs(&text);
        for mut json in [service_account(), user(), external(json!({"file": "/t", "url": value}))] {
            json["type"] = kind.into();
            json[&*member] = value.clone().into();
            let _ = GoogleFile::needs(&json.to_string());
        }
    }
}
