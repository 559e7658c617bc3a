//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use crate::bedrock::Key;
use crate::credentials::Token;
use crate::server::{Port, Provider};
use crate::{anthropic, azure, bedrock, cohere, credentials, google, openai};

/// Stand-in model providers. A port of 0 takes a free one; `NAME http://127.0.0.1:PORT` is printed per provider once it
/// can be reached.
#[derive(Debug, Parser)]
#[command(name = "weir-providers", version)]
pub(crate) struct Options {
    /// The address to listen on; 0.0.0.0 for all, which only a container needs
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// An OpenAI API (may be given several times)
    #[arg(long, value_name = "NAME=PORT")]
    openai: Vec<Place>,
    /// An OpenAI API that refuses what OpenAI itself refuses of chat completions (may be given several times)
    #[arg(long, value_name = "NAME=PORT")]
    strict_openai: Vec<Place>,
    /// An OpenAI API at Azure, which refuses the same (may be given several times)
    #[arg(long, value_name = "[NAME=]PORT")]
    azure: Vec<Place>,
    /// An Anthropic API (may be given several times)
    #[arg(long, value_name = "[NAME=]PORT")]
    anthropic: Vec<Place>,
    /// A Bedrock runtime with Anthropic models (may be given several times)
    #[arg(long, value_name = "[NAME=]PORT")]
    bedrock: Vec<Place>,
    /// Cohere's chat (may be given several times)
    #[arg(long, value_name = "[NAME=]PORT")]
    cohere: Vec<Place>,
    /// A Vertex AI with Gemini and Anthropic models (may be given several times)
    #[arg(long, value_name = "[NAME=]PORT")]
    vertex: Vec<Place>,
    /// A container credentials endpoint, as EKS Pod Identity has; it hands out the first AWS key
    #[arg(long, value_name = "[NAME=]PORT")]
    credentials: Option<Place>,
    /// The key demanded by all OpenAI APIs, or by the one named
    #[arg(long, value_name = "[NAME=]KEY")]
    api_key: Vec<String>,
    /// The key demanded by all Azures
    #[arg(long, value_name = "KEY")]
    azure_key: Option<String>,
    /// The token of Entra ID that they take in its place
    #[arg(long, value_name = "TOKEN")]
    azure_token: Option<String>,
    /// The API key that Bedrock takes in the place of a signature
    #[arg(long, value_name = "KEY")]
    bedrock_api_key: Option<String>,
    /// The key demanded by all Anthropic APIs
    #[arg(long, value_name = "KEY")]
    anthropic_key: Option<String>,
    /// The key demanded by all Coheres
    #[arg(long, value_name = "KEY")]
    cohere_key: Option<String>,
    /// An AWS key that is accepted (may be given several times, each with its secret)
    #[arg(long, value_name = "ID")]
    aws_access_key_id: Vec<String>,
    /// Its secret
    #[arg(long, value_name = "SECRET")]
    aws_secret_access_key: Vec<String>,
    /// Its session token; give none or one per key, empty for a key without
    #[arg(long, value_name = "TOKEN")]
    aws_session_token: Vec<String>,
    /// The region of the Bedrock runtime
    #[arg(long, default_value = "us-west-2")]
    region: String,
    /// The access token demanded by all Vertex AIs
    #[arg(long, value_name = "TOKEN")]
    google_token: Option<String>,
    /// The project whose requests the Vertex AIs take, in the region `us-central1`
    #[arg(long, default_value = "weir-test")]
    google_project: String,
    /// The token a pod must show to the credentials endpoint
    #[arg(long, value_name = "TOKEN", conflicts_with = "credentials_token_file")]
    credentials_token: Option<String>,
    /// A file with that token, read anew for every request
    #[arg(long, value_name = "FILE")]
    credentials_token_file: Option<PathBuf>,
    /// Milliseconds between two tokens of a stream
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
    /// Compresses answers for clients that accept gzip
    #[arg(long)]
    gzip: bool,
}

/// Where a provider is to be found.
#[derive(Debug, Clone)]
struct Place {
    name: Option<String>,
    port: u16,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) =
            text.rsplit_once('=').map_or((None, text), |(name, port)| (Some(name.to_owned()), port));
        if name.as_deref() == Some("") {
            return Err("the name is empty".to_owned());
        }
        Ok(Self { name, port: port.parse().map_err(|_| format!("not a port: {port}"))? })
    }
}

impl Options {
    /// All providers with the port each is to listen on.
    ///
    /// # Errors
    /// AWS keys that are not complete.
    pub(crate) fn ports(&self) -> Result<Vec<(u16, Port)>, String> {
        let keys = self.aws_keys()?;
        let mut ports = Vec::new();
        let mut add = |place: &Place, default: &str, provider: &dyn Fn(&str) -> Provider| {
            let name = place.name.clone().unwrap_or_else(|| default.to_owned());
            let provider = provider(&name);
            ports.push((
                place.port,
                Port::new(name, provider, Duration::from_millis(self.delay_ms), self.gzip),
            ));
        };
        for place in &self.openai {
            add(place, "openai", &|name| {
                Provider::OpenAi(openai::Provider {
                    key: self.api_key(name),
                    strict: false,
                    responses: openai::Responses::default(),
                    files: openai::Files::default(),
                })
            });
        }
        for place in &self.strict_openai {
            add(place, "openai", &|name| {
                Provider::OpenAi(openai::Provider {
                    key: self.api_key(name),
                    strict: true,
                    responses: openai::Responses::default(),
                    files: openai::Files::default(),
                })
            });
        }
        for place in &self.azure {
            add(place, "azure", &|_| {
                Provider::Azure(azure::Provider {
                    key: self.azure_key.clone(),
                    token: self.azure_token.clone(),
                })
            });
        }
        for place in &self.anthropic {
            add(place, "anthropic", &|_| {
                Provider::Anthropic(anthropic::Provider { key: self.anthropic_key.clone() })
            });
        }
        for place in &self.bedrock {
            add(place, "bedrock", &|_| {
                Provider::Bedrock(bedrock::Provider::new(
                    self.region.clone(),
                    keys.clone(),
                    self.bedrock_api_key.clone(),
                ))
            });
        }
        for place in &self.cohere {
            add(place, "cohere", &|_| Provider::Cohere(cohere::Provider { key: self.cohere_key.clone() }));
        }
        for place in &self.vertex {
            add(place, "vertex", &|_| {
                Provider::Google(google::Provider {
                    token: self.google_token.clone(),
                    project: self.google_project.clone(),
                    region: "us-central1".to_owned(),
                })
            });
        }
        if let Some(place) = &self.credentials {
            let token = self
                .credentials_token
                .clone()
                .map(Token::Text)
                .or_else(|| self.credentials_token_file.clone().map(Token::File));
            let endpoint = credentials::Provider::new(token, keys.first().cloned());
            let name = place.name.clone().unwrap_or_else(|| "credentials".to_owned());
            ports.push((place.port, Port::new(name, Provider::Credentials(endpoint), Duration::ZERO, false)));
        }
        Ok(ports)
    }

    /// The key of one OpenAI API. A key may contain `=` itself, so what stands before it counts as a name only if a
    /// provider is called so.
    fn api_key(&self, name: &str) -> Option<String> {
        let named = |key: &str| {
            let (provider, key) = key.split_once('=')?;
            let known = self
                .openai
                .iter()
                .chain(&self.strict_openai)
                .any(|place| place.name.as_deref() == Some(provider));
            known.then(|| (provider.to_owned(), key.to_owned()))
        };
        let own = self.api_key.iter().filter_map(|key| named(key)).find(|(provider, _)| provider == name);
        own.map(|(_, key)| key).or_else(|| self.api_key.iter().find(|key| named(key).is_none()).cloned())
    }

    fn aws_keys(&self) -> Result<Vec<Key>, String> {
        if self.aws_access_key_id.len() != self.aws_secret_access_key.len() {
            return Err("--aws-access-key-id and --aws-secret-access-key go together".to_owned());
        }
        if !self.aws_session_token.is_empty() && self.aws_session_token.len() != self.aws_access_key_id.len()
        {
            return Err("--aws-session-token: give none or one per key".to_owned());
        }
        let tokens =
            self.aws_session_token.iter().map(|token| Some(token.clone()).filter(|token| !token.is_empty()));
        let keys = self.aws_access_key_id.iter().zip(&self.aws_secret_access_key);
        Ok(keys
            .zip(tokens.chain(std::iter::repeat(None)))
            .map(|((id, secret), token)| Key {
                access_key_id: id.clone(),
                secret_access_key: secret.clone(),
                session_token: token,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_the_provider_it_names() {
        let options =
            ["weir-providers", "--openai", "a=0", "--openai", "b=0", "--api-key", "a=x", "--api-key", "y=="];
        let options = Options::parse_from(options);
        assert_eq!(options.api_key("a").as_deref(), Some("x"));
        assert_eq!(options.api_key("b").as_deref(), Some("y=="));
    }

    #[test]
    fn aws_keys_must_be_whole() {
        assert!(Options::parse_from(["x", "--aws-access-key-id", "A"]).ports().is_err());
    }
}
