//! What there is around this process that resources may refer to. It is read once and passed in, so that checking
//! depends on nothing but its arguments.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::plan::SecretValue;
use crate::resources::Platform;

/// The part of the process's surroundings that resources may refer to.
#[derive(Clone, Default)]
pub struct Environment {
    /// Whose surroundings they are.
    pub platform: Platform,
    /// Environment variables; only those of [`VARIABLES`] are looked at.
    pub variables: BTreeMap<String, String>,
    /// The text of the user's credentials file (`AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`).
    pub aws_credentials_file: Option<SecretValue>,
    /// The text of the user's configuration of AWS (`AWS_CONFIG_FILE`, else `~/.aws/config`).
    pub aws_config_file: Option<SecretValue>,
    /// The text of Google's Application Default Credentials (`GOOGLE_APPLICATION_CREDENTIALS`, else those of gcloud).
    pub google_credentials_file: Option<SecretValue>,
    /// Whether the machine is one of Google's, which have a metadata server.
    pub is_on_google: bool,
    /// The time since 1970, which tells whether certificates are still good. `None`: not known.
    pub now: Option<Duration>,
}

/// The variables that are looked at.
pub const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS",
    "GCE_METADATA_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

impl Environment {
    /// What is known of a pod's surroundings before there is a pod: nothing.
    #[must_use]
    pub fn of_platform(platform: Platform) -> Environment {
        Environment { platform, now: now(), ..Environment::default() }
    }

    /// What this process has.
    #[must_use]
    pub fn of_process() -> Environment {
        let variables = VARIABLES
            .iter()
            .filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value)))
            .collect();
        let read = |path: Option<PathBuf>| std::fs::read_to_string(path?).ok().map(SecretValue);
        Environment {
            variables,
            aws_credentials_file: read(Environment::aws_credentials_path()),
            aws_config_file: read(Environment::aws_config_path()),
            google_credentials_file: read(Environment::google_credentials_path()),
            // As Google's own libraries tell.
            is_on_google: std::fs::read_to_string("/sys/class/dmi/id/product_name")
                .is_ok_and(|name| name.starts_with("Google")),
            now: now(),
            ..Environment::default()
        }
    }

    /// Where the user's credentials file of AWS is to be.
    #[must_use]
    pub fn aws_credentials_path() -> Option<PathBuf> {
        aws_path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    }

    /// Where the user's configuration of AWS is to be.
    #[must_use]
    pub fn aws_config_path() -> Option<PathBuf> {
        aws_path("AWS_CONFIG_FILE", "config")
    }

    /// Where Google's Application Default Credentials are to be.
    #[must_use]
    pub fn google_credentials_path() -> Option<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let of_gcloud =
            || set("CLOUDSDK_CONFIG").or_else(|| Some(std::env::home_dir()?.join(".config").join("gcloud")));
        set("GOOGLE_APPLICATION_CREDENTIALS")
            .or_else(|| Some(of_gcloud()?.join("application_default_credentials.json")))
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The files of AWS's profiles, one behind the other: what both say counts as the latter says it.
    #[must_use]
    pub fn aws_files(&self) -> SecretValue {
        let text = |file: &Option<SecretValue>| file.as_ref().map_or(String::new(), |file| file.0.clone());
        let (config, credentials) = (text(&self.aws_config_file), text(&self.aws_credentials_file));
        SecretValue(format!("{config}\n{credentials}"))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names only: some of the values are secrets.
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("aws_credentials_file", &self.aws_credentials_file)
            .field("aws_config_file", &self.aws_config_file)
            .field("google_credentials_file", &self.google_credentials_file)
            .finish()
    }
}

fn now() -> Option<Duration> {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()
}

/// The file that a variable names, in which `~` is the home directory, or the one that the SDKs look for there.
fn aws_path(variable: &str, usual: &str) -> Option<PathBuf> {
    let home = std::env::home_dir;
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return home().map(|home| home.join(".aws").join(usual));
    };
    match path.strip_prefix("~") {
        Ok(below) => home().map(|home| home.join(below)),
        Err(_) => Some(path),
    }
}
