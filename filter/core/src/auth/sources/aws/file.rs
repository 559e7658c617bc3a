//! The AWS credentials file: INI with a section per profile, `[name]`, or `[profile name]` as in the config file.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use std::collections::BTreeMap;

use super::SourceError;
use super::web_identity::Role;
use crate::auth::{AwsCredentials, Secret};

const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";

const ROLE: &str = "role_arn";
const TOKEN_FILE: &str = "web_identity_token_file";

/// Settings that lead to credentials in a way only the SDKs and the AWS command line go: they run programs, or ask
/// people.
const INDIRECT: [&str; 4] = ["credential_process", "sso_session", "sso_start_url", "login_session"];

/// How many profiles an error names, and how much of each name.
const NAMED_PROFILES: usize = 20;
const NAME_LENGTH: usize = 64;

/// The profiles of a file.
pub(super) struct Profiles<'t> {
    /// In the order of the file. A section may come twice, and the last value counts.
    profiles: Vec<Profile<'t>>,
}

/// One of them. `Debug` is left out: it may have keys.
pub(super) struct Profile<'t> {
    pub(super) name: &'t str,
    /// By name, in lower case.
    settings: BTreeMap<String, &'t str>,
}

impl<'t> Profiles<'t> {
    pub(super) fn read(text: &'t str) -> Result<Self, SourceError> {
        let mut profiles: Vec<Profile<'t>> = Vec::new();
        let mut current: Option<usize> = None;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let bad_line = || SourceError::BadLine(index.saturating_add(1));
            let indented = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(section) = line.strip_prefix('[') {
                let name = profile_name(section.split_once(']').ok_or_else(bad_line)?.0);
                let known = profiles.iter().position(|profile| profile.name == name);
                current = Some(known.unwrap_or(profiles.len()));
                if known.is_none() {
                    profiles.push(Profile { name, settings: BTreeMap::new() });
                }
                continue;
            }
            let profile = current.and_then(|current| profiles.get_mut(current)).ok_or_else(bad_line)?;
            match line.split_once('=') {
                Some((name, value)) => {
                    let (name, value) = (name.trim().to_ascii_lowercase(), without_comment(value));
                    if !value.is_empty() {
                        profile.settings.insert(name, value);
                    }
                }
                // What continues a setting of another kind is none of ours.
                None if indented => {}
                None => return Err(bad_line()),
            }
        }
        Ok(Self { profiles })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Profile<'t>> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    pub(super) fn get(&self, name: &str) -> Result<&Profile<'t>, SourceError> {
        self.find(name).ok_or_else(|| {
            let known: Vec<&str> = self.profiles.iter().map(|profile| profile.name).collect();
            SourceError::NoSuchProfile(name.to_owned(), shown(&known))
        })
    }
}

impl<'t> Profile<'t> {
    /// A setting, by its name in lower case, unless it is empty.
    pub(super) fn setting(&self, name: &str) -> Option<&'t str> {
        self.settings.get(name).copied()
    }

    /// Whether it says to assume a role with other credentials.
    pub(super) fn has_role(&self) -> bool {
        self.setting(ROLE).is_some() && self.setting(TOKEN_FILE).is_none()
    }

    /// Whether it has a key, or a half of one.
    pub(super) fn has_keys(&self) -> bool {
        self.setting(ACCESS_KEY_ID).is_some() || self.setting(SECRET_ACCESS_KEY).is_some()
    }

    /// Whether it says anything of where credentials are.
    pub(super) fn leads_somewhere(&self) -> bool {
        self.has_keys()
            || [ROLE, TOKEN_FILE].iter().chain(&INDIRECT).any(|setting| self.setting(setting).is_some())
    }

    /// Its own keys.
    pub(super) fn keys(&self) -> Result<AwsCredentials, SourceError> {
        let (id, secret) = match (self.setting(ACCESS_KEY_ID), self.setting(SECRET_ACCESS_KEY)) {
            (Some(id), Some(secret)) => (id, secret),
            (None, Some(_)) => return Err(self.lacks(ACCESS_KEY_ID)),
            (Some(_), None) => return Err(self.lacks(SECRET_ACCESS_KEY)),
            (None, None) => {
                let indirect = INDIRECT.iter().find(|setting| self.setting(setting).is_some());
                return Err(indirect.map_or_else(|| self.lacks(ACCESS_KEY_ID), |name| self.indirect(name)));
            }
        };
        AwsCredentials {
            access_key_id: id.to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: self.setting(SESSION_TOKEN).map(Secret::new),
        }
        .check([ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN])
    }

    /// Its role.
    pub(super) fn role(&self) -> Result<Role, SourceError> {
        let arn = self.setting(ROLE).ok_or_else(|| self.lacks(ROLE))?.to_owned();
        Ok(Role { arn, session_name: self.setting("role_session_name").map(str::to_owned) })
    }

    /// That it leads to credentials by `setting`, which is not a way that is gone here.
    pub(super) fn indirect(&self, setting: &'static str) -> SourceError {
        SourceError::IndirectProfile(self.name.to_owned(), setting)
    }

    fn lacks(&self, setting: &'static str) -> SourceError {
        SourceError::MissingSetting(self.name.to_owned(), setting)
    }
}

/// `name`, `profile name` and `profile "name"` are one and the same.
fn profile_name(section: &str) -> &str {
    let section = section.trim();
    let name = match section.strip_prefix("profile") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim(),
        _ => section,
    };
    name.trim_matches(['"', '\''])
}

/// A value ends where a comment begins: at a `#` or `;` after a space.
fn without_comment(value: &str) -> &str {
    [" #", " ;", "\t#", "\t;"]
        .iter()
        .fold(value, |value, mark| value.split_once(mark).map_or(value, |(value, _)| value))
        .trim()
}

fn shown(known: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = known
        .iter()
        .take(NAMED_PROFILES)
        .map(|name| name.chars().filter(|character| !character.is_control()).take(NAME_LENGTH).collect())
        .collect();
    if known.len() > NAMED_PROFILES {
        names.push("...".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}# comment\r\n\
        [default]\r\n\
        aws_access_key_id = AKIDEFAULT\r\n\
        aws_secret_access_key=hidden/a+b=c ; why\r\n\
        region = us-east-1\r\n\
        s3 =\r\n  max_concurrent_requests = 20\r\n  nothing\r\n\
        \r\n\
        [ profile dev ]\r\n\
        AWS_Access_Key_Id=AKIDEV\r\n\
        \taws_secret_access_key = hidden#dev\r\n\
        aws_session_token = hidden-token==\r\n\
        [profile \"two words\"]\n\
        credential_process = /bin/x\n\
        [half]\n\
        aws_secret_access_key = hidden\n\
        [other half]\n\
        aws_access_key_id = AKIHALF\n\
        aws_secret_access_key =\n\
        [empty]";

    fn parse(text: &str, profile: &str) -> Result<AwsCredentials, SourceError> {
        Profiles::read(text)?.get(profile)?.keys()
    }

    fn keys(profile: &str) -> (String, String, Option<String>) {
        let found = parse(FILE, profile).unwrap();
        let token = found.session_token.map(|token| token.expose().to_owned());
        (found.access_key_id, found.secret_access_key.expose().to_owned(), token)
    }

    #[test]
    fn a_profile_has_its_own_keys() {
        assert_eq!(keys("default"), ("AKIDEFAULT".into(), "hidden/a+b=c".into(), None));
        assert_eq!(keys("dev"), ("AKIDEV".into(), "hidden#dev".into(), Some("hidden-token==".into())));
    }

    #[test]
    fn a_section_may_come_twice_and_the_last_value_counts() {
        let text = "[a]\naws_access_key_id=1\naws_secret_access_key=2\n[b]\naws_access_key_id=9\n[profile a]\naws_access_key_id=3";
        let found = parse(text, "a").unwrap();
        assert_eq!((found.access_key_id.as_str(), found.secret_access_key.expose()), ("3", "2"));
    }

    #[test]
    fn a_missing_profile_is_answered_with_those_that_exist() {
        let error = parse(FILE, "prod").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the credentials file has no profile prod, only default, dev, two words, half, other half, empty"
        );
        assert_eq!(
            parse("", "default").unwrap_err().to_string(),
            "the credentials file has no profile default, nor any other"
        );
        let many: String = (0..1000).map(|index| format!("[{index}{}]\n", "x".repeat(1000))).collect();
        assert!(parse(&many, "default").unwrap_err().to_string().len() < 2000);
    }

    #[test]
    fn every_mistake_is_named_and_no_value_shown() {
        for (text, profile, error) in [
            (FILE, "half", SourceError::MissingSetting("half".into(), ACCESS_KEY_ID)),
            (FILE, "other half", SourceError::MissingSetting("other half".into(), SECRET_ACCESS_KEY)),
            (FILE, "empty", SourceError::MissingSetting("empty".into(), ACCESS_KEY_ID)),
            (FILE, "two words", SourceError::IndirectProfile("two words".into(), "credential_process")),
            ("aws_access_key_id = hidden\n[default]", "default", SourceError::BadLine(1)),
            ("[default]\nhidden", "default", SourceError::BadLine(2)),
            ("\n\n[default\nhidden", "default", SourceError::BadLine(3)),
            ("  hidden", "default", SourceError::BadLine(1)),
            (
                "[default]\naws_access_key_id=AK\naws_secret_access_key=hidden hidden",
                "default",
                SourceError::UnusableValue(SECRET_ACCESS_KEY),
            ),
        ] {
            let got = parse(text, profile).unwrap_err();
            assert_eq!(got, error);
            assert!(!format!("{got} {got:?}").contains("hidden"), "{got}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused_and_errors_are_short(text in "(\\[|\\]|=|\n|[ -~]|\\PC){0,200}") {
            let _ = parse(&text, "default").map_err(|error| assert!(error.to_string().len() < 10_000));
        }

        #[test]
        fn a_written_profile_is_read_back(
            id in "[A-Z0-9]{1,20}",
            secret in "[A-Za-z0-9/+=]{1,60}",
            token in proptest::option::of("[A-Za-z0-9/+=]{1,100}"),
            profile in "[A-Za-z0-9_.-]{1,20}",
            section in proptest::sample::select(vec!["[N]", "[profile N]", " [ profile \"N\" ] # x"]),
            end in proptest::sample::select(vec!["\n", "\r\n", "  \n", " # comment\n"]),
        ) {
            let section = section.replace('N', &profile);
            let mut text = format!(
                "[a b]\naws_access_key_id=other\n{section}\n\
                 aws_access_key_id = {id}{end}aws_secret_access_key={secret}{end}"
            );
            if let Some(token) = &token {
                text.push_str(&format!("aws_session_token =\t{token}{end}"));
            }
            let read = parse(&text, &profile);
            let written = AwsCredentials {
                access_key_id: id,
                secret_access_key: Secret::new(secret),
                session_token: token.map(Secret::new),
            };
            proptest::prop_assert_eq!(read, Ok(written));
        }
    }
}
