//! What the key of a service account signs, to be exchanged for a token.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use serde_json::json;
use sha2::Sha256;

use crate::auth::{Secret, SourceError};

/// For how long the signed claim holds, in seconds: the most that Google takes.
const LIFETIME: u64 = 3600;

/// What is said and signed.
pub(super) struct Claim<'a> {
    /// The service account.
    pub(super) email: &'a str,
    /// Which of its keys signs, if the file says so.
    pub(super) key_id: Option<&'a str>,
    /// What is asked for.
    pub(super) scope: &'a str,
    /// Who is asked: the token endpoint.
    pub(super) audience: &'a str,
    /// In seconds of Unix time.
    pub(super) now: u64,
}

impl Claim<'_> {
    /// The claim as a JSON Web Token, signed with RS256 (RFC 7515, RFC 7518).
    pub(super) fn signed(&self, private_key: &Secret) -> Result<Secret, SourceError> {
        let mut header = json!({"typ": "JWT", "alg": "RS256"});
        if let (Some(key_id), Some(header)) = (self.key_id, header.as_object_mut()) {
            header.insert("kid".to_owned(), key_id.into());
        }
        let claims = json!({
            "iat": self.now,
            "exp": self.now.saturating_add(LIFETIME),
            "iss": self.email,
            "aud": self.audience,
            "scope": self.scope,
        });
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = SigningKey::<Sha256>::new(key(private_key)?)
            .try_sign(signed.as_bytes())
            .map_err(|_| SourceError::BadFile("has a `private_key` that cannot sign"))?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))))
    }
}

/// Reads PEM as Google writes it (PKCS#8), or as older tools do (PKCS#1). What is wrong with a key is not said, since
/// that could show some of it.
pub(super) fn key(pem: &Secret) -> Result<PrivateKey, SourceError> {
    let pem = pem.expose().trim();
    PrivateKey::from_pkcs8_pem(pem)
        .or_else(|_| PrivateKey::from_pkcs1_pem(pem))
        .map_err(|_| SourceError::BadFile("has a `private_key` that is no RSA key in PEM"))
}
