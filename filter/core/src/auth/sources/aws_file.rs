//! The AWS credentials file: INI with a section per profile, `[name]`, or `[profile name]` as in the config file.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use super::{AwsProfile, SourceError};
use crate::auth::credentials::{Fresh, Io, Lasts};
use crate::auth::{AwsCredentials, Credential, FetchError, Secret};

const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";

/// Settings that lead to credentials in a way only the SDKs and the AWS command line go.
const INDIRECT: [&str; 6] = [
    "role_arn",
    "credential_process",
    "credential_source",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
];

/// How many profiles an error names, and how much of each name.
const NAMED_PROFILES: usize = 20;
const NAME_LENGTH: usize = 64;

/// Reads the file, which is the value of a Secret.
pub(super) async fn fetch(profile: &AwsProfile, io: &Io) -> Result<Fresh, FetchError> {
    let text = io.secret(&profile.name, &profile.key).await?;
    let credential = Credential::Aws(parse(text.expose(), &profile.profile)?);
    Ok(Fresh { credential, lasts: Lasts::UntilReplaced })
}

/// The credentials of one profile.
pub(super) fn parse(text: &str, profile: &str) -> Result<AwsCredentials, SourceError> {
    let mut known: Vec<&str> = Vec::new();
    let mut current = None;
    let (mut id, mut secret, mut token, mut indirect) = (None, None, None, None);

    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let bad_line = || SourceError::BadLine(index.saturating_add(1));
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let name = profile_name(section.split_once(']').ok_or_else(bad_line)?.0);
            if !known.contains(&name) {
                known.push(name);
            }
            current = Some(name);
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            // What continues a setting of another kind is none of ours.
            if indented && current.is_some() {
                continue;
            }
            return Err(bad_line());
        };
        if current.ok_or_else(bad_line)? != profile {
            continue;
        }
        let (name, value) = (name.trim().to_ascii_lowercase(), without_comment(value));
        match name.as_str() {
            _ if value.is_empty() => {}
            ACCESS_KEY_ID => id = Some(value),
            SECRET_ACCESS_KEY => secret = Some(value),
            SESSION_TOKEN => token = Some(value),
            name => indirect = indirect.or_else(|| INDIRECT.into_iter().find(|known| *known == name)),
        }
    }

    if !known.contains(&profile) {
        return Err(SourceError::NoSuchProfile(profile.to_owned(), shown(&known)));
    }
    let (id, secret) = match (id, secret, indirect) {
        (Some(id), Some(secret), _) => (id, secret),
        (None, None, Some(setting)) => return Err(SourceError::IndirectProfile(profile.to_owned(), setting)),
        (None, _, _) => return Err(SourceError::MissingSetting(profile.to_owned(), ACCESS_KEY_ID)),
        (_, None, _) => return Err(SourceError::MissingSetting(profile.to_owned(), SECRET_ACCESS_KEY)),
    };
    AwsCredentials {
        access_key_id: id.to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: token.map(Secret::new),
    }
    .check([ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN])
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
        role_arn = arn:aws:iam::1:role/x\n\
        [half]\n\
        aws_secret_access_key = hidden\n\
        [other half]\n\
        aws_access_key_id = AKIHALF\n\
        aws_secret_access_key =\n\
        [empty]";

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
            (FILE, "two words", SourceError::IndirectProfile("two words".into(), "role_arn")),
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
}
