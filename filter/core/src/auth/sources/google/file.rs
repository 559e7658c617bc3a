//! Google's credentials files: the key of a service account, a user's refresh token, or how to exchange the token of
//! another provider. <https://google.aip.dev/auth/4110>

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SCOPE;
use super::federation::Exchange;
use super::impersonation::{Impersonation, SOURCE_SCOPE};
use super::jwt::{self, Claim};
use crate::auth::credentials::{Fresh, Header, HttpCall, Io};
use crate::auth::sources::hosts::Hosts;
use crate::auth::sources::oauth::{self, Token};
use crate::auth::{FetchError, Secret, SourceError};

/// A key of a Secret, whose value is such a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleFile {
    /// The Secret, as `namespace/name`.
    pub name: String,
    /// The key in it, such as `service_account.json`.
    pub key: String,
    /// How the servers that the file names are called.
    pub hosts: Hosts,
}

/// Where Google gives tokens, if a file does not say it.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const EXCHANGE_URL: &str = "https://sts.googleapis.com/v1/token";

impl GoogleFile {
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let text = io.secret(&self.name, &self.key).await?;
        let file = File::parse(text.expose())?;
        let token = match &file {
            File::Own(account) => account.token(SCOPE, &self.hosts, io).await?,
            File::Impersonated(account, impersonation) => {
                let own = account.token(SOURCE_SCOPE, &self.hosts, io).await?;
                impersonation.token(&own, &self.hosts, io).await?
            }
            File::External(subject, exchange) => {
                let subject = subject.token(&self.hosts, io).await?;
                exchange.token(&subject, &self.hosts, io).await?
            }
        };
        Ok(token.into())
    }

    /// What `text`, such a file, leads to.
    ///
    /// # Errors
    /// When it is none, or of a type that is not supported.
    pub fn needs(text: &str) -> Result<GoogleFileNeeds, SourceError> {
        File::parse(text)?.needs()
    }
}

/// What a credentials file leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleFileNeeds {
    /// The URLs that are called.
    pub urls: Vec<String>,
    /// The file with another provider's token.
    pub file: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum File {
    Own(Account),
    /// Who may act as a service account.
    Impersonated(Account, Impersonation),
    External(Subject, Exchange),
}

/// Who is known to Google's token endpoint.
#[derive(Debug, PartialEq, Eq)]
enum Account {
    Service { email: String, key_id: Option<String>, private_key: Secret, url: String },
    User { client_id: String, client_secret: Secret, refresh_token: Secret, url: String },
}

/// The token of another provider.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    place: Place,
    /// The member that it is in, where it stands in JSON.
    member: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    File(String),
    Url(String, Vec<(String, Secret)>),
}

impl File {
    fn parse(text: &str) -> Result<Self, SourceError> {
        // serde_json's own errors quote what they find, which may be a secret.
        let json: Value = serde_json::from_str(text).map_err(|_| SourceError::BadFile("is no JSON"))?;
        if let Some(domain) = optional(&json, "universe_domain").filter(|domain| domain != "googleapis.com") {
            return Err(SourceError::Unsupported(format!("`universe_domain` {domain}")));
        }
        match member(&json, "type")?.as_str() {
            "impersonated_service_account" => {
                let source =
                    json.get("source_credentials").ok_or(SourceError::MissingInFile("source_credentials"))?;
                let delegates = json.get("delegates").and_then(Value::as_array);
                let texts =
                    |list: &Vec<Value>| list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                let impersonation = Impersonation {
                    url: member(&json, "service_account_impersonation_url")?,
                    delegates: delegates.map(texts).unwrap_or_default(),
                    lifetime: None,
                };
                Ok(File::Impersonated(Account::parse(source)?, impersonation))
            }
            "external_account" => Ok(File::External(Subject::parse(&json)?, exchange(&json)?)),
            _ => Account::parse(&json).map(File::Own),
        }
    }

    fn needs(&self) -> Result<GoogleFileNeeds, SourceError> {
        let (mut urls, mut file) = (Vec::new(), None);
        let impersonation = match self {
            File::Own(account) => {
                urls.push(account.checked_url()?.to_owned());
                None
            }
            File::Impersonated(account, impersonation) => {
                urls.push(account.checked_url()?.to_owned());
                Some(impersonation)
            }
            File::External(subject, exchange) => {
                urls.push(exchange.url.clone());
                match &subject.place {
                    Place::File(path) => file = Some(path.clone()),
                    Place::Url(url, _) => urls.push(url.clone()),
                }
                exchange.impersonation.as_ref()
            }
        };
        urls.extend(impersonation.map(|impersonation| impersonation.url.clone()));
        Ok(GoogleFileNeeds { urls, file })
    }
}

impl Account {
    fn parse(json: &Value) -> Result<Self, SourceError> {
        let secret = |name| member(json, name).map(Secret::new);
        let url = optional(json, "token_uri").unwrap_or_else(|| TOKEN_URL.to_owned());
        match member(json, "type")?.as_str() {
            "service_account" => Ok(Account::Service {
                email: member(json, "client_email")?,
                key_id: optional(json, "private_key_id"),
                private_key: secret("private_key")?,
                url,
            }),
            "authorized_user" => Ok(Account::User {
                client_id: member(json, "client_id")?,
                client_secret: secret("client_secret")?,
                refresh_token: secret("refresh_token")?,
                url,
            }),
            other => Err(SourceError::Unsupported(format!("`type` {other}"))),
        }
    }

    fn url(&self) -> &str {
        match self {
            Account::Service { url, .. } | Account::User { url, .. } => url,
        }
    }

    /// Its URL, if its key can sign.
    fn checked_url(&self) -> Result<&str, SourceError> {
        if let Account::Service { private_key, .. } = self {
            jwt::key(private_key)?;
        }
        Ok(self.url())
    }

    async fn token(&self, scope: &str, hosts: &Hosts, io: &Io) -> Result<Token, FetchError> {
        let call = hosts.call("POST", self.url())?;
        let (call, sent) = match self {
            Account::Service { email, key_id, private_key, url } => {
                let (key_id, now) = (key_id.as_deref(), io.now());
                let assertion = Claim { email, key_id, scope, audience: url, now }.signed(private_key)?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                let fields = [("grant_type", grant), ("assertion", assertion.expose())];
                (oauth::post(call, &fields), vec![assertion])
            }
            Account::User { client_id, client_secret, refresh_token, .. } => {
                // What a user has agreed to is in the refresh token: a scope could only be less.
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id),
                    ("client_secret", client_secret.expose()),
                    ("refresh_token", refresh_token.expose()),
                ];
                (oauth::post(call, &fields), vec![client_secret.clone(), refresh_token.clone()])
            }
        };
        let sent: Vec<&Secret> = sent.iter().collect();
        oauth::fetch(call, self.url(), &sent, io).await
    }
}

impl Subject {
    fn parse(json: &Value) -> Result<Self, SourceError> {
        let source = json.get("credential_source").ok_or(SourceError::MissingInFile("credential_source"))?;
        for other in ["environment_id", "executable", "certificate"] {
            if source.get(other).is_some() {
                return Err(SourceError::Unsupported(format!("`credential_source.{other}`")));
            }
        }
        let place = match (optional(source, "file"), optional(source, "url")) {
            (Some(path), _) => Place::File(path),
            (None, Some(url)) => {
                let headers = source.get("headers").and_then(Value::as_object).into_iter().flatten();
                let header = |(name, value): (&String, &Value)| {
                    let value = Secret::new(value.as_str()?);
                    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                    (is_name && !name.is_empty() && value.is_header_text())
                        .then(|| (name.to_ascii_lowercase(), value))
                };
                let headers = headers.map(header).collect::<Option<_>>();
                Place::Url(url, headers.ok_or(SourceError::BadFile("has `headers` that cannot be sent"))?)
            }
            (None, None) => return Err(SourceError::MissingInFile("credential_source.file")),
        };
        let format = source.get("format").unwrap_or(&Value::Null);
        let member = match optional(format, "type").as_deref() {
            None | Some("text") => None,
            Some("json") => Some(member(format, "subject_token_field_name")?),
            Some(other) => {
                return Err(SourceError::Unsupported(format!("`credential_source.format` {other}")));
            }
        };
        Ok(Self { place, member })
    }

    async fn token(&self, hosts: &Hosts, io: &Io) -> Result<Secret, FetchError> {
        match &self.place {
            Place::File(path) => Ok(self.read(&io.file(path).await?)?),
            Place::Url(url, headers) => {
                let mut call: HttpCall = hosts.call("GET", url)?;
                let header = |(name, value): &(String, Secret)| -> Header {
                    (name.clone().into(), value.expose().to_owned())
                };
                call.headers.extend(headers.iter().map(header));
                let answer = oauth::ask(call, url, io).await?;
                let text = oauth::text_of(&answer).map_err(|error| error.of(url))?;
                Ok(self.read(&text).map_err(|error| error.of(url))?)
            }
        }
    }

    fn read(&self, text: &Secret) -> Result<Secret, SourceError> {
        let token = match &self.member {
            None => Secret::new(text.expose().trim()),
            Some(member) => {
                let json = serde_json::from_str::<Value>(text.expose()).ok();
                let token = json.as_ref().and_then(|json| json.get(member)?.as_str());
                Secret::new(token.unwrap_or_default())
            }
        };
        if token.is_header_value() { Ok(token) } else { Err(SourceError::UnusableValue("the subject token")) }
    }
}

fn exchange(json: &Value) -> Result<Exchange, SourceError> {
    if json.get("workforce_pool_user_project").is_some() {
        return Err(SourceError::Unsupported("`workforce_pool_user_project`".to_owned()));
    }
    let client = match (optional(json, "client_id"), optional(json, "client_secret")) {
        (Some(id), secret) => Some((id, Secret::new(secret.unwrap_or_default()))),
        (None, _) => None,
    };
    let lifetime =
        json.pointer("/service_account_impersonation/token_lifetime_seconds").and_then(Value::as_u64);
    let impersonation = optional(json, "service_account_impersonation_url").map(|url| Impersonation {
        url,
        delegates: Vec::new(),
        lifetime,
    });
    Ok(Exchange {
        url: optional(json, "token_url").unwrap_or_else(|| EXCHANGE_URL.to_owned()),
        audience: member(json, "audience")?,
        subject_type: member(json, "subject_token_type")?,
        client,
        impersonation,
    })
}

/// A member that must be there.
fn member(json: &Value, name: &'static str) -> Result<String, SourceError> {
    optional(json, name).ok_or(SourceError::MissingInFile(name))
}

fn optional(json: &Value, name: &str) -> Option<String> {
    json.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
