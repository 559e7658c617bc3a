//! AWS's Security Token Service, which gives credentials of roles.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{Keys, xml};
use crate::auth::credentials::{HttpAnswer, HttpCall, Io, Lasts};
use crate::auth::sigv4::{self, Signing, SigningKeys};
use crate::auth::sources::{Hosts, SourceError, hidden, oauth, time};
use crate::auth::{AwsCredentials, FetchError, Secret};

/// The one version of its API.
const VERSION: &str = "2011-06-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// What AWS's logs call a session that has no other name.
const SESSION_NAME: &str = "weir";
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The service, of one region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sts {
    /// Its URL, such as `https://sts.us-east-1.amazonaws.com`.
    pub url: String,
    /// The region that requests are signed for.
    pub region: String,
}

/// A call of an action. Its values may be secrets.
pub(super) struct Call<'a> {
    action: &'static str,
    parameters: Vec<(&'static str, &'a str)>,
}

impl<'a> Call<'a> {
    pub(super) fn new(action: &'static str, role_arn: &'a str, session_name: Option<&'a str>) -> Self {
        let parameters = vec![
            ("Action", action),
            ("Version", VERSION),
            ("RoleArn", role_arn),
            ("RoleSessionName", session_name.unwrap_or(SESSION_NAME)),
        ];
        Self { action, parameters }
    }

    pub(super) fn add(&mut self, name: &'static str, value: &'a str) {
        self.parameters.push((name, value));
    }
}

impl Sts {
    /// The credentials that a call gives, signed by `signer` or not at all. What was `sent` as a secret is in no error.
    pub(super) async fn call(
        &self,
        call: &Call<'_>,
        signer: Option<&AwsCredentials>,
        hosts: &Hosts,
        sent: &[&Secret],
        io: &Io,
    ) -> Result<Keys, FetchError> {
        let answer = io.http(self.request(call, signer, hosts, io.now())?).await?;
        let (credentials, expires_at) =
            parse(&answer, call.action, sent).map_err(|error| error.of(&self.url))?;
        Ok(Keys { credentials, lasts: Lasts::Until(expires_at) })
    }

    fn request(
        &self,
        call: &Call<'_>,
        signer: Option<&AwsCredentials>,
        hosts: &Hosts,
        now: u64,
    ) -> Result<HttpCall, SourceError> {
        let mut http = hosts.call("POST", &self.url)?;
        http.body = oauth::form(&call.parameters).into_bytes();
        http.headers.push(("content-type".into(), CONTENT_TYPE.to_owned()));
        if let Some(credentials) = signer {
            let signing = Signing {
                method: http.method,
                target: &http.path,
                host: &http.authority,
                headers: &[("content-type", CONTENT_TYPE)],
                body: &http.body,
                credentials,
                region: &self.region,
                service: "sts",
                now,
            };
            let signed = sigv4::sign(&signing, &mut SigningKeys::default());
            http.headers.extend(signed.iter().map(|(name, value)| (name.into(), value.to_owned())));
        }
        Ok(http)
    }
}

/// The credentials of an answer, and when they expire, in seconds of Unix time.
fn parse(answer: &HttpAnswer, action: &str, sent: &[&Secret]) -> Result<(AwsCredentials, u64), SourceError> {
    if answer.body.len() > MAX_ANSWER {
        return Err(SourceError::BadAnswer("is larger than 64 KiB"));
    }
    let document = std::str::from_utf8(&answer.body).ok().and_then(xml::Document::read);
    if answer.status != 200 {
        let part = |name: &str| document.as_ref()?.text(&["ErrorResponse", "Error", name]);
        let parts: Vec<&str> = [part("Code"), part("Message")].into_iter().flatten().collect();
        return Err(SourceError::Refused(answer.status, hidden(&parts.join(": "), sent)));
    }
    let document = document.ok_or(SourceError::BadAnswer("is not XML"))?;
    let (response, result) = (format!("{action}Response"), format!("{action}Result"));
    let get = |name: &'static str| {
        let text = document.text(&[&response, &result, "Credentials", name]).map(str::trim);
        text.filter(|text| !text.is_empty()).ok_or(SourceError::MissingMember(name))
    };
    let credentials = AwsCredentials {
        access_key_id: get("AccessKeyId")?.to_owned(),
        secret_access_key: Secret::new(get("SecretAccessKey")?),
        session_token: Some(Secret::new(get("SessionToken")?)),
    };
    let expires_at =
        time(get("Expiration")?).ok_or(SourceError::BadAnswer("has an Expiration that is no time"))?;
    Ok((credentials.check(["AccessKeyId", "SecretAccessKey", "SessionToken"])?, expires_at))
}
