//! Verifies AWS Signature Version 4 with AWS's own signer: it signs what arrived with the secret of the key that the
//! request names, and the two signatures must be the same.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

use super::Refusal;
use crate::server::Ask;

/// How far a request's time may be off, in seconds.
const SKEW: i64 = 5 * 60;
/// The service name of Bedrock's signatures, runtime included.
const SERVICE: &str = "bedrock";

/// A key that is accepted.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Its public part.
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret_access_key: String,
    /// The token that must go with it, for temporary credentials.
    #[serde(default)]
    pub(crate) session_token: Option<String>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Checks the signature of a request.
///
/// # Errors
/// The refusal that AWS answers with: a missing signature, an unknown key or token, a wrong scope or time, or a
/// signature that does not fit what arrived.
pub(super) fn verify(ask: &Ask<'_>, region: &str, keys: &[Key], now: DateTime<Utc>) -> Result<(), Refusal> {
    let Some(header) = ask.header("authorization") else {
        return Err(Refusal::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token"));
    };
    let incomplete = |what: &str| {
        Refusal::new(403, "IncompleteSignatureException", format!("Authorization header requires {what}."))
    };
    let fields = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| incomplete("AWS4-HMAC-SHA256"))?;
    let field =
        |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    let credential = field("Credential").ok_or_else(|| incomplete("'Credential' parameter"))?;
    let signed = field("SignedHeaders").ok_or_else(|| incomplete("'SignedHeaders' parameter"))?;
    let given = field("Signature").ok_or_else(|| incomplete("'Signature' parameter"))?;
    let mut scope = credential.split('/');
    let id = scope.next().unwrap_or_default();
    let key = keys.iter().find(|key| key.access_key_id == id).ok_or_else(|| {
        Refusal::new(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
    })?;
    if key.session_token.as_deref() != ask.header("x-amz-security-token") {
        return Err(Refusal::new(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }

    let invalid = |message: String| Refusal::new(403, "InvalidSignatureException", message);
    let stamp = ask.header("x-amz-date").ok_or_else(|| incomplete("existence of an 'X-Amz-Date' header"))?;
    let time = NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ")
        .map_err(|_| incomplete("a valid 'X-Amz-Date'"))?
        .and_utc();
    let rest: Vec<_> = scope.collect();
    if rest != [&time.format("%Y%m%d").to_string(), region, SERVICE, "aws4_request"] {
        return Err(invalid(format!(
            "Credential should be scoped to a valid region and service, not {credential}."
        )));
    }
    if (now - time).num_seconds().abs() > SKEW {
        return Err(invalid(format!("Signature expired or not yet current: {stamp}")));
    }
    let signed: Vec<_> = signed.split(';').collect();
    if !["host", "x-amz-date"].iter().all(|name| signed.contains(name)) {
        return Err(invalid("Host and X-Amz-Date must be signed.".to_owned()));
    }
    // All x-amz-* headers that arrive must be signed.
    let open = ask
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("x-amz-") && !signed.contains(&name.as_str()));
    if let Some(name) = open {
        return Err(invalid(format!(
            "There were headers present in the request which were not signed: {name}"
        )));
    }

    if expected(ask, region, key, time, &signed).as_deref() == Some(given) {
        Ok(())
    } else {
        Err(invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details."
                .to_owned(),
        ))
    }
}

/// The signature AWS's signer makes for what arrived.
fn expected(ask: &Ask<'_>, region: &str, key: &Key, time: DateTime<Utc>, signed: &[&str]) -> Option<String> {
    let token = key.session_token.clone();
    let identity =
        Credentials::new(&key.access_key_id, &key.secret_access_key, token, None, "stand-in").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::Headers;
    settings.excluded_headers = None;
    if signed.contains(&"x-amz-content-sha256") {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let seconds = u64::try_from(time.timestamp()).ok()?;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .settings(settings)
        .build()
        .ok()?
        .into();
    // The signer sets these itself.
    const OWN: [&str; 4] = ["host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
    let headers = ask
        .headers
        .iter()
        .filter(|(name, _)| signed.contains(&name.as_str()) && !OWN.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let query = ask.query.map(|query| format!("?{query}")).unwrap_or_default();
    let uri = format!("http://{}{}{query}", ask.header("host")?, ask.path);
    let request =
        SignableRequest::new(ask.method.as_str(), uri, headers, SignableBody::Bytes(ask.body)).ok()?;
    Some(sign(request, &params).ok()?.signature().to_owned())
}
