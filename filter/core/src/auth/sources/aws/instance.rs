//! The metadata service of an EC2 instance, in its second version: a token first, then with it the name of the
//! instance's role, then the credentials of the role.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>

use super::{Keys, container};
use crate::auth::credentials::{HttpAnswer, Io, Lasts};
use crate::auth::sources::{Hosts, oauth};
use crate::auth::{FetchError, Secret, SourceError};

const TOKEN_PATH: &str = "/latest/api/token";
const ROLES_PATH: &str = "/latest/meta-data/iam/security-credentials/";
/// How long the token is to be good for, in seconds: it is used at once.
const TOKEN_LIFETIME: &str = "60";
/// The longest token and the longest name that are taken, in bytes.
const LONGEST: usize = 4096;

pub(super) async fn keys(url: &str, hosts: &Hosts, io: &Io) -> Result<Keys, FetchError> {
    let base = url.trim_end_matches('/');
    let of = |error: SourceError| FetchError::from(error.of(url));

    let mut call = hosts.call("PUT", &format!("{base}{TOKEN_PATH}"))?;
    call.headers.push(("x-aws-ec2-metadata-token-ttl-seconds".into(), TOKEN_LIFETIME.to_owned()));
    // The call has a body of no bytes, and says so.
    call.headers.push(("content-length".into(), "0".to_owned()));
    let answer = io.http(call).await.map_err(|error| match error {
        // An answer to the first call does not reach further than the instance's hop limit lets it.
        FetchError::NoAnswer => of(SourceError::NoMetadata),
        error => error,
    })?;
    let token = line(&answer, "the metadata token").map_err(of)?;

    let get = async |path: &str| {
        let mut call = hosts.call("GET", &format!("{base}{ROLES_PATH}{path}"))?;
        call.headers.push(("x-aws-ec2-metadata-token".into(), token.expose().to_owned()));
        io.http(call).await
    };
    let answer = get("").await?;
    if answer.status == 404 {
        return Err(of(SourceError::NoRole));
    }
    let role = line(&answer, "the name of the instance's role").map_err(of)?;
    if role.expose().contains(['/', '?', '#']) {
        return Err(of(SourceError::UnusableValue("the name of the instance's role")));
    }
    let (credentials, expires_at) = container::parse(&get(role.expose()).await?, &[&token]).map_err(of)?;
    Ok(Keys { credentials, lasts: Lasts::Until(expires_at) })
}

/// The first line of a good answer: where an instance has several roles the first is taken, as the SDKs do.
fn line(answer: &HttpAnswer, what: &'static str) -> Result<Secret, SourceError> {
    let text = oauth::text_of(answer)?;
    let line = Secret::new(text.expose().trim().lines().next().unwrap_or_default().trim());
    if line.is_header_value() && line.expose().len() <= LONGEST {
        Ok(line)
    } else {
        Err(SourceError::UnusableValue(what))
    }
}
