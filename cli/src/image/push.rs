//! Pushes an image to a registry.

use std::net::IpAddr;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::Image;

/// Longer than a registry takes to say something, shorter than one waits for it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where Docker keeps the credentials of its hub, whose registry has another name.
const HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

/// Where an image goes: `REGISTRY/REPOSITORY:TAG`, all three named.
#[derive(Debug, Clone)]
pub(super) struct Destination(Reference);

impl Destination {
    pub(super) fn tag(&self) -> &str {
        self.0.tag().unwrap_or_default()
    }

    /// With the digest in place of the tag.
    pub(super) fn by_digest(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.0.registry(), self.0.repository())
    }

    /// Whether the registry is this machine, where nobody has TLS.
    fn is_loopback(&self) -> bool {
        let registry = self.0.registry();
        let host = match registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => registry,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "it must be REGISTRY/REPOSITORY:TAG, such as ghcr.io/me/weir:1.0";
        // What is left out here others would fill in: Docker's hub, `library/` and `latest`.
        let (registry, rest) = text.split_once('/').ok_or_else(|| format!("no registry; {form}"))?;
        if !registry.contains(['.', ':']) && registry != "localhost" {
            return Err(format!("{registry:?} is not the address of a registry; {form}"));
        }
        if rest.contains('@') {
            return Err(format!("a digest comes from what is pushed; {form}"));
        }
        if !rest.contains(':') {
            return Err(format!("no tag; {form}"));
        }
        text.parse().map(Self).map_err(|error| format!("{error}; {form}"))
    }
}

/// Pushes what the registry does not have yet; the manifest comes last, so nobody sees half an image.
pub(super) fn push(image: &Image, to: &Destination, insecure: bool) -> Result<(), String> {
    let registry = to.0.registry();
    let credentials = Credentials::of(registry)?;
    // Where two providers are compiled in, which a dependency may bring about, rustls wants to be told. It fails when
    // it was.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = insecure || to.is_loopback();
    let client = Client::new(ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        use_monolithic_push: true,
        connect_timeout: Some(TIMEOUT),
        read_timeout: Some(TIMEOUT),
        user_agent: concat!("weir/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot push: {error}"))?;
    let pushed = runtime.block_on(upload(&client, image, &to.0, &credentials.auth));
    pushed.map_err(|error| explained(&error, &to.0, &credentials, plain))
}

async fn upload(
    client: &Client,
    image: &Image,
    to: &Reference,
    auth: &RegistryAuth,
) -> Result<(), OciDistributionError> {
    client.auth(to, auth, RegistryOperation::Push).await?;
    for blob in [&image.layer, &image.config] {
        // A token for pushing need not be one for looking, so an answer that is not clear counts as no.
        if !client.blob_exists(to, &blob.digest).await.unwrap_or(false) {
            client.push_blob(to, blob.bytes.clone(), &blob.digest).await?;
        }
    }
    let media_type = OCI_IMAGE_MEDIA_TYPE;
    let header = media_type.parse();
    let header =
        header.map_err(|_| OciDistributionError::UnsupportedMediaTypeError(media_type.to_owned()))?;
    client.push_manifest_raw(to, image.manifest.bytes.clone(), header).await?;
    Ok(())
}

/// What Docker's configuration has for a registry.
struct Credentials {
    auth: RegistryAuth,
    /// Said when the registry refuses them; never what they are.
    found: String,
}

impl Credentials {
    fn of(registry: &str) -> Result<Self, String> {
        let server = if registry == HUB.0 { HUB.1 } else { registry };
        let anonymous = |why: &str| {
            Ok(Self { auth: RegistryAuth::Anonymous, found: format!("{why}: `docker login {registry}`") })
        };
        match docker_credential::get_credential(server) {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                let found = format!("the credentials are those of {user:?} in Docker's config.json");
                Ok(Self { auth: RegistryAuth::Basic(user, password), found })
            }
            Ok(DockerCredential::IdentityToken(_)) => Err(format!(
                "Docker's config.json has an identity token for {registry}, which weir cannot use; write the image with -o and push it \
                 with skopeo"
            )),
            Err(
                CredentialRetrievalError::NoCredentialConfigured
                | CredentialRetrievalError::ConfigNotFound
                | CredentialRetrievalError::ConfigReadError,
            ) => anonymous("Docker's config.json has no credentials for it"),
            // What a helper printed may hold the secret.
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                Err(format!("{helper}, which Docker's config.json names for {registry}, gave no credentials"))
            }
            Err(error) => {
                Err(format!("Docker's config.json has no usable credentials for {registry}: {error}"))
            }
        }
    }
}

/// An error in the words of who typed the command. The addresses of uploads are left out: registries put tokens into
/// them.
fn explained(error: &OciDistributionError, to: &Reference, credentials: &Credentials, plain: bool) -> String {
    let registry = to.registry();
    match error {
        OciDistributionError::RequestError(error) if error.status().is_none() => {
            let hint = match plain {
                true => "it is spoken to without TLS, which loopback and --insecure mean",
                false => "a registry without TLS needs --insecure",
            };
            format!("cannot reach the registry {registry}: {}; {hint}", root_of(error))
        }
        error if is_refusal(error) => {
            let repository = to.repository();
            format!("the registry {registry} does not let us push to {repository}; {}", credentials.found)
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let said: Vec<&str> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
            format!("the registry {registry} refuses {to}: {}", said.join("; "))
        }
        OciDistributionError::ServerError { code, message, .. } => {
            format!("the registry {registry} answers {code}: {message}")
        }
        OciDistributionError::RequestError(error) => {
            format!("the registry {registry} answers {}", error.status().unwrap_or_default())
        }
        error => format!("the registry {registry} does not answer as registries do: {error}"),
    }
}

fn is_refusal(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
            true
        }
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        OciDistributionError::RequestError(error) => {
            error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403))
        }
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, OciErrorCode::Unauthorized | OciErrorCode::Denied)),
        _ => false,
    }
}

/// What is at the bottom of an error: `Connection refused` instead of `error sending request`.
fn root_of(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Destination, String> {
        text.parse()
    }

    #[test]
    fn a_destination_has_all_three_parts() {
        let destination = parsed("ghcr.io/me/weir:1.0").unwrap();
        assert_eq!(destination.tag(), "1.0");
        assert_eq!(destination.by_digest("sha256:ab"), "ghcr.io/me/weir@sha256:ab");
        for (text, why) in [
            ("weir:1.0", "no registry"),
            ("me/weir:1.0", "\"me\" is not the address"),
            ("ghcr.io/me/weir", "no tag"),
            ("ghcr.io/me/weir@sha256:ab", "a digest"),
            ("ghcr.io/Me/weir:1.0", "invalid"),
            ("ghcr.io/me/weir:", "invalid"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(why) && error.ends_with("ghcr.io/me/weir:1.0"), "{text}: {error}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        let loopback = |registry: &str| parsed(&format!("{registry}/weir:1")).unwrap().is_loopback();
        assert!(loopback("localhost") && loopback("localhost:5000") && loopback("127.0.0.1:5000"));
        assert!(
            !loopback("ghcr.io") && !loopback("10.0.0.1:5000") && !loopback("127.0.0.1.example.com:5000")
        );
    }
}
