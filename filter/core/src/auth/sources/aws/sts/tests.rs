use super::*;
use crate::auth::sources::Url;

const NOW: u64 = 1_440_938_160; // 2015-08-30T12:36:00Z

fn sts(region: &str) -> (Sts, Hosts) {
    let url = format!("https://sts.{region}.amazonaws.com");
    let hosts = Hosts([(Url::parse(&url).unwrap().origin, "weir_sts".to_owned())].into());
    (Sts { url, region: region.to_owned() }, hosts)
}

fn credentials(token: Option<&str>) -> AwsCredentials {
    AwsCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: token.map(Secret::new),
    }
}

fn header<'c>(call: &'c HttpCall, name: &str) -> Option<&'c str> {
    call.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// What botocore 1.44 sends for the same parameters at the same time: body, signed headers and signature.
#[test]
fn requests_are_signed_as_botocore_signs_them() {
    let (sts, hosts) = sts("us-west-2");
    let arn = "arn:aws:iam::123456789012:role/a/b+c=d,e@f";
    let mut call = Call::new("AssumeRole", arn, None);
    call.add("DurationSeconds", "900");
    call.add("ExternalId", "a b/c:d~é");
    let http = sts.request(&call, Some(&credentials(None)), &hosts, NOW).unwrap();
    assert_eq!(
        String::from_utf8(http.body.clone()).unwrap(),
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fa%2Fb%2Bc%3Dd%2Ce%40f\
         &RoleSessionName=weir&DurationSeconds=900&ExternalId=a+b%2Fc%3Ad~%C3%A9"
    );
    assert_eq!((http.method, &*http.authority, &*http.path), ("POST", "sts.us-west-2.amazonaws.com", "/"));
    assert_eq!(header(&http, "content-type"), Some("application/x-www-form-urlencoded; charset=utf-8"));
    assert_eq!(
        header(&http, "authorization"),
        Some(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-west-2/sts/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=9f0bcfbaf1cc444f69b4c9958e4e0aadd8c3b62fb71fc41c592d1aa84cc54ab4"
        )
    );
    let call = Call::new("AssumeRole", "arn:aws:iam::123456789012:role/x", None);
    let http = sts.request(&call, Some(&credentials(Some("the/token+=="))), &hosts, NOW).unwrap();
    let signature = "Signature=5f84033da70c2406d86ea190ec7a8b8f0e846711067d3d750aba05235062c472";
    assert!(header(&http, "authorization").unwrap().ends_with(signature));
    assert_eq!(header(&http, "x-amz-security-token"), Some("the/token+=="));
    assert!(!format!("{http:?}").contains("the/token"));
}

#[test]
fn a_token_of_another_provider_goes_unsigned() {
    let (sts, hosts) = sts("eu-central-1");
    let mut call = Call::new("AssumeRoleWithWebIdentity", "arn:aws:iam::123456789012:role/x", Some("s"));
    call.add("WebIdentityToken", "e.y-J_.a");
    let http = sts.request(&call, None, &hosts, NOW).unwrap();
    assert_eq!(
        String::from_utf8(http.body.clone()).unwrap(),
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fx\
         &RoleSessionName=s&WebIdentityToken=e.y-J_.a"
    );
    assert_eq!(http.headers.len(), 1, "the content type");
}

const ANSWER: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<AssumeRoleResult>\
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/weir</Arn></AssumedRoleUser><Credentials>\
    <AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>hidden</SecretAccessKey><SessionToken>hidden+t==</SessionToken>\
    <Expiration>2015-08-30T12:36:00.5Z</Expiration></Credentials></AssumeRoleResult>\n</AssumeRoleResponse>";

fn read(status: u16, body: &str) -> Result<(AwsCredentials, u64), SourceError> {
    let answer = HttpAnswer { status, body: body.as_bytes().to_vec() };
    parse(&answer, "AssumeRole", &[&Secret::new("hidden-sent")])
}

#[test]
fn an_answer_has_keys_token_and_expiry() {
    let (found, expires_at) = read(200, ANSWER).unwrap();
    assert_eq!(found.access_key_id, "ASIA");
    assert_eq!(found.secret_access_key.expose(), "hidden");
    assert_eq!(found.session_token, Some(Secret::new("hidden+t==")));
    assert_eq!(expires_at, NOW);
}

#[test]
fn errors_say_code_and_message_and_hide_what_was_sent() {
    let error = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>AccessDenied</Code><Message>hidden-sent is not\nauthorized</Message></Error></ErrorResponse>";
    let refused = |status, why: &str| Err(SourceError::Refused(status, why.to_owned()));
    assert_eq!(read(403, error), refused(403, "AccessDenied: *** is notauthorized"));
    assert_eq!(read(503, "Service Unavailable"), refused(503, ""));
    assert_eq!(read(200, error), Err(SourceError::MissingMember("AccessKeyId")));
}

#[test]
fn what_cannot_be_read_is_named_and_not_shown() {
    for (body, error) in [
        ("hidden".to_owned(), SourceError::BadAnswer("is not XML")),
        (String::new(), SourceError::BadAnswer("is not XML")),
        (ANSWER.replace("</AssumeRoleResponse>", ""), SourceError::BadAnswer("is not XML")),
        (ANSWER.replace("AssumeRoleResult", "Other"), SourceError::MissingMember("AccessKeyId")),
        (ANSWER.replace("SessionToken", "x"), SourceError::MissingMember("SessionToken")),
        (ANSWER.replace(">hidden<", ">hidden\nhidden<"), SourceError::UnusableValue("SecretAccessKey")),
        (ANSWER.replace("2015", "hidden"), SourceError::BadAnswer("has an Expiration that is no time")),
        (" ".repeat(MAX_ANSWER) + ANSWER, SourceError::BadAnswer("is larger than 64 KiB")),
    ] {
        let got = read(200, &body).unwrap_err();
        assert_eq!(got, error, "{body}");
        assert!(!format!("{got} {got:?}").contains("hidden"), "{got}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in "(<|>|/|&|;|Credentials|\\PC){0,200}", status: u16) {
        let _ = read(status, &text).map_err(|error| assert!(error.to_string().len() < 2_000));
    }
}
