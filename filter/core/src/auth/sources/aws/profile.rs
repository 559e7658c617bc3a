//! What a profile leads to: its own keys, or a role that is assumed with the credentials of another place, which may be
//! a role itself. <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use super::environment::from_environment;
use super::file::{Profile, Profiles};
use super::sts::{Call, Sts};
use super::web_identity::{self, Role};
use super::{AwsCalls, Keys, SourceError, container, instance};
use crate::auth::credentials::{Io, Lasts};
use crate::auth::sources::Hosts;
use crate::auth::{AwsCredentials, FetchError};

/// Where a chain of roles begins.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Keys(AwsCredentials),
    Environment,
    Container,
    Instance,
    WebIdentity { token_file: String, role: Role },
}

/// What has to be called, or read, for the credentials that a profile leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsNeeds {
    /// It assumes a role with credentials of another place.
    pub has_role: bool,
    /// AWS STS.
    pub sts: bool,
    /// The endpoint of a container.
    pub container: bool,
    /// The metadata of an EC2 instance.
    pub instance: bool,
    /// Keys in the environment.
    pub environment: bool,
    /// The file with the token of another provider.
    pub token_file: Option<String>,
}

impl AwsNeeds {
    /// What a profile of a credentials file needs.
    ///
    /// # Errors
    /// Why it leads to no credentials.
    pub fn of(file: &str, profile: &str) -> Result<Self, SourceError> {
        let profiles = Profiles::read(file)?;
        let (origin, roles) = chain(&profiles, profile)?;
        let has_role = !roles.is_empty();
        let of_roles = Self { has_role, sts: has_role, ..Self::default() };
        Ok(match origin {
            Origin::Keys(_) => of_roles,
            Origin::Environment => Self { environment: true, ..of_roles },
            Origin::Container => Self { container: true, ..of_roles },
            Origin::Instance => Self { instance: true, ..of_roles },
            Origin::WebIdentity { token_file, .. } => {
                Self { sts: true, token_file: Some(token_file), ..of_roles }
            }
        })
    }

    /// Whether a profile of a credentials file says anything of where credentials are. A file that cannot be read does.
    #[must_use]
    pub fn are_said(file: &str, profile: &str) -> bool {
        Profiles::read(file)
            .map_or(true, |profiles| profiles.find(profile).is_some_and(Profile::leads_somewhere))
    }
}

/// A role that is assumed with credentials.
#[derive(Debug, Default, PartialEq, Eq)]
struct Assumed {
    role: Role,
    external_id: Option<String>,
    duration: Option<String>,
}

/// The credentials that a profile leads to.
pub(super) async fn keys(
    profiles: &Profiles<'_>,
    name: &str,
    calls: &AwsCalls,
    io: &Io,
) -> Result<Keys, FetchError> {
    let (origin, roles) = chain(profiles, name)?;
    let mut keys = match origin {
        Origin::Keys(credentials) => Keys { credentials, lasts: Lasts::UntilReplaced },
        Origin::Environment => {
            let credentials = from_environment(&|name| io.variable(name))?;
            Keys { credentials: credentials.ok_or(SourceError::NothingInEnvironment)?, lasts: Lasts::Forever }
        }
        Origin::Container => {
            let endpoint = calls.container.as_ref().ok_or(SourceError::NoCall("a container's endpoint"))?;
            container::keys(endpoint, io).await?
        }
        Origin::Instance => {
            let url = calls.instance.as_deref().ok_or(SourceError::NoCall("the metadata of EC2"))?;
            instance::keys(url, &calls.hosts, io).await?
        }
        Origin::WebIdentity { token_file, role } => {
            web_identity::keys(&token_file, &role, calls.sts()?, &calls.hosts, io).await?
        }
    };
    for role in roles.iter().rev() {
        keys = role.assume(&keys.credentials, calls.sts()?, &calls.hosts, io).await?;
    }
    Ok(keys)
}

impl Assumed {
    async fn assume(
        &self,
        signer: &AwsCredentials,
        sts: &Sts,
        hosts: &Hosts,
        io: &Io,
    ) -> Result<Keys, FetchError> {
        let mut call = Call::new("AssumeRole", &self.role.arn, self.role.session_name.as_deref());
        let optional = [("DurationSeconds", &self.duration), ("ExternalId", &self.external_id)];
        for (name, value) in optional {
            if let Some(value) = value {
                call.add(name, value);
            }
        }
        let sent: Vec<_> = std::iter::once(&signer.secret_access_key).chain(&signer.session_token).collect();
        sts.call(&call, Some(signer), hosts, &sent, io).await
    }
}

/// Follows a profile to where its credentials begin, and collects the roles on the way.
fn chain(profiles: &Profiles<'_>, name: &str) -> Result<(Origin, Vec<Assumed>), SourceError> {
    let mut roles = Vec::new();
    let mut visited: Vec<&str> = Vec::new();
    let mut name = name;
    loop {
        let profile = profiles.get(name)?;
        // A profile may be its own source: then its keys are meant.
        let is_its_own_source = visited.last() == Some(&name);
        if visited.contains(&name) && !is_its_own_source {
            return Err(SourceError::RoleLoop(name.to_owned()));
        }
        let is_source = !visited.is_empty();
        if !profile.has_role() || is_source && profile.has_keys() {
            return Ok((origin(profile)?, roles));
        }
        if is_its_own_source {
            return Err(SourceError::RoleLoop(name.to_owned()));
        }
        visited.push(name);
        if profile.setting("mfa_serial").is_some() {
            return Err(profile.indirect("mfa_serial"));
        }
        roles.push(Assumed {
            role: profile.role()?,
            external_id: profile.setting("external_id").map(str::to_owned),
            duration: profile.setting("duration_seconds").map(str::to_owned),
        });
        match (profile.setting("source_profile"), profile.setting("credential_source")) {
            (Some(source), None) => name = source,
            (None, Some(source)) => {
                let origin = match source.to_ascii_lowercase().as_str() {
                    "environment" => Origin::Environment,
                    "ecscontainer" => Origin::Container,
                    "ec2instancemetadata" => Origin::Instance,
                    _ => return Err(profile.indirect("credential_source")),
                };
                return Ok((origin, roles));
            }
            (None, None) => {
                return Err(SourceError::MissingSetting(profile.name.to_owned(), "source_profile"));
            }
            (Some(_), Some(_)) => return Err(SourceError::TwoSources(profile.name.to_owned())),
        }
    }
}

/// Where the credentials of a profile begin that assumes no role by others.
fn origin(profile: &Profile<'_>) -> Result<Origin, SourceError> {
    match profile.setting("web_identity_token_file") {
        Some(file) => Ok(Origin::WebIdentity { token_file: file.to_owned(), role: profile.role()? }),
        None => profile.keys().map(Origin::Keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
        [default]\nrole_arn = arn:a\nsource_profile = middle\nexternal_id = e\nduration_seconds = 900\n\
        [middle]\nrole_arn = arn:b\nrole_session_name = s\nsource_profile = keys\n\
        [keys]\naws_access_key_id = AKID\naws_secret_access_key = hidden\n\
        [own]\nrole_arn = arn:c\nsource_profile = own\naws_access_key_id = AKOWN\naws_secret_access_key = hidden\n\
        [profile first]\nrole_arn = arn:d\nsource_profile = own\n\
        [pod]\nrole_arn = arn:e\nweb_identity_token_file = /token\n\
        [of pod]\nrole_arn = arn:f\nsource_profile = pod\n\
        [x]\nrole_arn = arn:x\nsource_profile = y\n[y]\nrole_arn = arn:y\nsource_profile = x\n\
        [z]\nrole_arn = arn:z\nsource_profile = z\n\
        [env]\nrole_arn = arn:g\ncredential_source = Environment\n\
        [ecs]\nrole_arn = arn:g\ncredential_source = EcsContainer\n\
        [ec2]\nrole_arn = arn:g\ncredential_source = Ec2InstanceMetadata\n\
        [moon]\nrole_arn = arn:g\ncredential_source = Moon\n\
        [none]\nrole_arn = arn:g\n\
        [two]\nrole_arn = arn:g\ncredential_source = Environment\nsource_profile = keys\n\
        [mfa]\nrole_arn = arn:g\nmfa_serial = m\nsource_profile = keys\n\
        [sso]\nsso_session = s\nsso_account_id = 1\n\
        [of sso]\nrole_arn = arn:g\nsource_profile = sso\n\
        [process]\ncredential_process = /bin/evil\n\
        [login]\nlogin_session = s\n\
        [lost]\nrole_arn = arn:g\nsource_profile = gone\n";

    fn follow(name: &str) -> Result<(Origin, Vec<String>), String> {
        let profiles = Profiles::read(FILE).unwrap();
        let (origin, roles) = chain(&profiles, name).map_err(|error| error.to_string())?;
        Ok((origin, roles.into_iter().map(|role| role.role.arn).collect()))
    }

    fn keys(id: &str) -> Origin {
        let access_key_id = id.to_owned();
        let secret_access_key = crate::auth::Secret::new("hidden");
        Origin::Keys(AwsCredentials { access_key_id, secret_access_key, session_token: None })
    }

    #[test]
    fn a_profile_leads_over_roles_to_where_credentials_begin() {
        let pod = Role { arn: "arn:e".to_owned(), session_name: None };
        let pod = || Origin::WebIdentity { token_file: "/token".to_owned(), role: pod.clone() };
        for (name, origin, roles) in [
            ("keys", keys("AKID"), vec![]),
            ("middle", keys("AKID"), vec!["arn:b"]),
            ("default", keys("AKID"), vec!["arn:a", "arn:b"]),
            ("own", keys("AKOWN"), vec!["arn:c"]),
            // The keys of a source count before its role.
            ("first", keys("AKOWN"), vec!["arn:d"]),
            ("pod", pod(), vec![]),
            ("of pod", pod(), vec!["arn:f"]),
            ("env", Origin::Environment, vec!["arn:g"]),
            ("ecs", Origin::Container, vec!["arn:g"]),
            ("ec2", Origin::Instance, vec!["arn:g"]),
        ] {
            let (found, over) = follow(name).unwrap();
            assert_eq!((found, over), (origin, roles.into_iter().map(str::to_owned).collect()), "{name}");
        }
        let (_, roles) = chain(&Profiles::read(FILE).unwrap(), "default").unwrap();
        let session = |index: usize| roles[index].role.session_name.as_deref();
        assert_eq!((session(0), session(1)), (None, Some("s")));
        let first = (roles[0].external_id.as_deref(), roles[0].duration.as_deref());
        assert_eq!(first, (Some("e"), Some("900")));
    }

    #[test]
    fn what_a_profile_needs_is_known_before() {
        let role = AwsNeeds { has_role: true, sts: true, ..AwsNeeds::default() };
        for (name, needs) in [
            ("keys", AwsNeeds::default()),
            ("default", role.clone()),
            ("env", AwsNeeds { environment: true, ..role.clone() }),
            ("ecs", AwsNeeds { container: true, ..role.clone() }),
            ("ec2", AwsNeeds { instance: true, ..role.clone() }),
            ("pod", AwsNeeds { has_role: false, token_file: Some("/token".to_owned()), ..role.clone() }),
            ("of pod", AwsNeeds { token_file: Some("/token".to_owned()), ..role }),
        ] {
            assert_eq!(AwsNeeds::of(FILE, name), Ok(needs), "{name}");
            assert!(AwsNeeds::are_said(FILE, name));
        }
        assert!(AwsNeeds::are_said(FILE, "sso") && AwsNeeds::are_said("[x", "default"));
        assert!(!AwsNeeds::are_said(FILE, "gone") && !AwsNeeds::are_said("[a]\nregion = r", "a"));
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        for (name, why) in [
            ("x", "profile x of the credentials file assumes a role by way of itself"),
            ("z", "profile z of the credentials file assumes a role by way of itself"),
            ("moon", "credential_source is not supported"),
            ("none", "profile none of the credentials file has no source_profile"),
            ("two", "profile two of the credentials file has both source_profile and credential_source"),
            ("mfa", "mfa_serial is not supported"),
            ("sso", "sso_session is not supported"),
            ("of sso", "profile sso of the credentials file has no keys; sso_session is not supported"),
            ("process", "credential_process is not supported"),
            ("login", "login_session is not supported"),
            ("lost", "has no profile gone, only default, middle"),
        ] {
            let error = follow(name).unwrap_err();
            assert!(error.contains(why) && !error.contains("hidden"), "{name}: {error}");
        }
    }
}
