//! SigV4 against what others hold to be right: AWS's own test suite, vector by vector, and the signer of AWS's SDK
//! for Rust on random requests. The suite is not kept here: it is part of the published source of `aws-sigv4`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test; clippy.toml knows only functions marked as one"
)]

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[macro_use]
extern crate weir_test_platform;

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use proptest::prelude::*;
use serde_json::Value;
use weir_core::auth::sigv4::{
    self, AmzDate, CanonicalRequest, PathNormalization, Request, Scope, Signing, SigningKey, SigningKeys,
    StringToSign,
};
use weir_core::auth::{AwsCredentials, Secret};

/// How many directories the suite has in aws-sigv4 1.6.4.
const VECTORS: usize = 40;

/// The suite's directory in the source of the dependency.
fn suite() -> PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--format-version", "1", "--manifest-path", manifest];
    let metadata = weir_test_platform::output(env!("CARGO"), &arguments).expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "aws-sigv4")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("aws-sigv4 is a dev-dependency");
    Path::new(manifest).parent().expect("a folder").join("aws-signing-test-suite/v4")
}

fn text(path: &Path) -> Option<String> {
    String::from_utf8(weir_test_platform::read(path)?).ok()
}

/// A request file: the request line, headers as far as an empty line, and the body.
struct Parsed {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn parse(text: &str) -> Parsed {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let target = target.strip_suffix(" HTTP/1.1").unwrap_or(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with(' ') {
            // A header folded over several lines: each fold stands for a space.
            let value = &mut headers.last_mut().unwrap().1;
            value.push(' ');
            value.push_str(line.trim());
        } else {
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Parsed {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.to_owned(),
    }
}

/// What the suite says beside the request.
struct Context {
    credentials: AwsCredentials,
    region: String,
    service: String,
    now: u64,
    normalization: PathNormalization,
    sign_body: bool,
    omit_session_token: bool,
}

impl Context {
    fn read(directory: &Path) -> Option<Self> {
        let text = text(&directory.join("context.json"))?;
        let json: Value = serde_json::from_str(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let credentials = &json["credentials"];
        let timestamp = chrono::DateTime::parse_from_rfc3339(json["timestamp"].as_str().unwrap()).unwrap();
        Some(Self {
            credentials: AwsCredentials {
                access_key_id: text(&credentials["access_key_id"]),
                secret_access_key: Secret::new(text(&credentials["secret_access_key"])),
                session_token: credentials["token"].as_str().map(Secret::new),
            },
            region: text(&json["region"]),
            service: text(&json["service"]),
            now: timestamp.timestamp().try_into().unwrap(),
            normalization: if json["normalize"].as_bool().unwrap() {
                PathNormalization::Normalize
            } else {
                PathNormalization::AsSent
            },
            sign_body: json["sign_body"].as_bool().unwrap(),
            omit_session_token: json["omit_session_token"].as_bool().unwrap_or(false),
        })
    }

    /// The two vectors of the suite's older form have no context of their own. `double-encode-path` was signed
    /// with the SDK's well-known test credentials, `double-url-encode` with those of all the others.
    fn of_older_form(name: &str, canonical: bool) -> Self {
        let (id, secret, region, service, now) = match name {
            // 2021-05-11T15:40:45Z in the canonical request, but 2015-08-30T12:36:00Z in the signed one.
            "double-encode-path" => (
                "ANOTREAL",
                "notrealrnrELgWzOk3IfjzDKtFBhDby",
                "us-east-1",
                "service",
                if canonical { 1_620_747_645 } else { 1_440_938_160 },
            ),
            "double-url-encode" => (
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                "us-east-2",
                "lambda",
                1_620_747_645,
            ),
            _ => panic!("{name} has no context.json"),
        };
        Self {
            credentials: AwsCredentials {
                access_key_id: id.to_owned(),
                secret_access_key: Secret::new(secret),
                session_token: None,
            },
            region: region.to_owned(),
            service: service.to_owned(),
            now,
            normalization: PathNormalization::Normalize,
            sign_body: false,
            omit_session_token: false,
        }
    }
}

/// Canonical request, string to sign, signature and authorization header of a vector.
fn sign_vector(request: &Parsed, context: &Context) -> [String; 4] {
    let date = AmzDate::from_unix(context.now);
    let body_hash;
    let mut headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !name.eq_ignore_ascii_case("x-amz-date"))
        .collect();
    headers.push(("X-Amz-Date", date.date_time()));
    if let Some(token) = context.credentials.session_token.as_ref().filter(|_| !context.omit_session_token) {
        headers.push(("X-Amz-Security-Token", token.expose()));
    }
    if context.sign_body {
        use sha2::Digest as _;
        body_hash = hex::encode(sha2::Sha256::digest(&request.body));
        headers.push(("x-amz-content-sha256", &body_hash));
    }
    let request = Request {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &headers,
        body: request.body.as_bytes(),
    };
    let canonical = CanonicalRequest::new(&request, context.normalization);
    let scope = Scope { date: &date, region: &context.region, service: &context.service };
    let string_to_sign = StringToSign::new(&scope, &canonical);
    let signature = SigningKey::derive(&context.credentials.secret_access_key, &scope).sign(&string_to_sign);
    let authorization =
        sigv4::authorization(&context.credentials.access_key_id, &scope, &canonical, signature);
    [
        canonical.as_str().to_owned(),
        string_to_sign.as_str().to_owned(),
        signature.to_string(),
        authorization.expose().to_owned(),
    ]
}

fn authorization_of(text: &str) -> String {
    let found = parse(text).headers.into_iter().find(|(name, _)| name == "Authorization");
    found.expect("a signed request").1.trim().to_owned()
}

#[test]
fn every_vector_of_the_suite() {
    let suite = suite();
    let mut directories = weir_test_platform::list(&suite).unwrap_or_else(|| panic!("{}", suite.display()));
    directories.retain(|directory| weir_test_platform::list(directory).is_some());
    let (mut vectors, mut strings, mut signatures) = (0, 0, 0);
    for directory in directories {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let read = |file: &str| text(&directory.join(file));
        let mut request = parse(&read("request.txt").expect("a request"));
        if name == "get-space-normalized" {
            // Escaped in request.txt for a parser that takes no spaces. What was signed is the path as
            // header-signed-request.txt has it.
            request.path = parse(&read("header-signed-request.txt").unwrap()).path;
            assert_eq!(request.path, "/example space/");
        }
        let context =
            |canonical| Context::read(&directory).unwrap_or_else(|| Context::of_older_form(name, canonical));

        let [canonical, string_to_sign, signature, _] = sign_vector(&request, &context(true));
        assert_eq!(canonical, read("header-canonical-request.txt").expect("a canonical request"), "{name}");
        if let Some(expected) = read("header-string-to-sign.txt") {
            assert_eq!(string_to_sign, expected.trim_end(), "{name}");
            strings += 1;
        }
        if let Some(expected) = read("header-signature.txt") {
            assert_eq!(signature, expected.trim_end(), "{name}");
            signatures += 1;
        }
        let [_, _, _, authorization] = sign_vector(&request, &context(false));
        let expected = authorization_of(&read("header-signed-request.txt").expect("a signed request"));
        assert_eq!(authorization, expected, "{name}");
        vectors += 1;
    }
    assert!(vectors >= VECTORS, "only {vectors} vectors in {}", suite.display());
    // The two of the older form lack a file or two.
    assert!(
        strings >= VECTORS - 1 && signatures >= VECTORS - 2,
        "{strings} strings, {signatures} signatures"
    );
}

/// The headers that AWS's own signer sets.
fn signed_by_sdk(signing: &Signing<'_>) -> Vec<(String, String)> {
    let identity = aws_credential_types::Credentials::new(
        &signing.credentials.access_key_id,
        signing.credentials.secret_access_key.expose(),
        signing.credentials.session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "test",
    )
    .into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(signing.region)
        .name(signing.service)
        .time(UNIX_EPOCH + Duration::from_secs(signing.now))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let url = format!("https://{}{}", signing.host, signing.target);
    let headers = signing.headers.iter().copied();
    let request =
        SignableRequest::new(signing.method, url, headers, SignableBody::Bytes(signing.body)).unwrap();
    let (instructions, _) = aws_sigv4::http_request::sign(request, &params).unwrap().into_parts();
    let mut headers: Vec<(String, String)> =
        instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    headers.sort();
    headers
}

/// Models as they stand in a path: an id with its raw colon, an ARN with its encoded slash, and others.
fn model() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("anthropic.claude-3-haiku-20240307-v1:0".to_owned()),
        Just("us.anthropic.claude-3-haiku-20240307-v1%3A0".to_owned()),
        Just("arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fx".to_owned()),
        Just("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fabc".to_owned()),
        "[a-zA-Z0-9._~:@!$'()*,;=-]([a-zA-Z0-9._~:-]|%[0-9A-F]{2}){0,30}",
        Just("..".to_owned()),
        Just("a//./b".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_sdk_signs_the_same(
        model in model(),
        operation in prop_oneof![
            Just("invoke"), Just("invoke-with-response-stream"), Just("converse"), Just("."), Just("..")
        ],
        query in prop_oneof![
            Just(String::new()),
            "\\?[a-c]{1,2}(=([A-Za-z0-9~._+-]|%[2-7][0-9a-fA-F]){0,6})?(&[a-c]{1,2}(=[A-Za-z0-9/:]{0,6})?){0,3}",
        ],
        content_type in prop_oneof![
            Just(None), Just(Some("application/json")), Just(Some(" text/plain;  charset=utf-8 "))
        ],
        target_header in proptest::option::of("[!-~]([ -~]{0,20}[!-~])?"),
        token in proptest::option::of("[A-Za-z0-9+/=]{1,300}"),
        secret in "[A-Za-z0-9+/]{1,100}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        now in 0_u64..4_102_444_800,
    ) {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: token.map(Secret::new),
        };
        let mut headers = Vec::new();
        headers.extend(content_type.map(|value| ("Content-Type", value)));
        headers.extend(target_header.as_deref().map(|value| ("x-amz-target", value)));
        let signing = Signing {
            method: "POST",
            target: &format!("/model/{model}/{operation}{query}"),
            host: "bedrock-runtime.us-east-1.amazonaws.com",
            headers: &headers,
            body: &body,
            credentials: &credentials,
            region: "us-east-1",
            service: "bedrock",
            now,
        };
        let signed = sigv4::sign(&signing, &mut SigningKeys::default());
        let mut ours: Vec<(String, String)> =
            signed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        ours.sort();
        prop_assert_eq!(ours, signed_by_sdk(&signing));
    }
}
