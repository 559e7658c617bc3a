//! AWS credentials in the environment.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html>

use super::SourceError;
use crate::auth::{AwsCredentials, Secret};

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

/// The credentials in the environment, or `None` when neither half of the pair is there. A variable that is set
/// to nothing is not there.
pub(super) fn from_environment(
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<AwsCredentials>, SourceError> {
    let get = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let (access_key_id, secret_access_key) = match (get(ACCESS_KEY_ID), get(SECRET_ACCESS_KEY)) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(SourceError::HalfInEnvironment(SECRET_ACCESS_KEY)),
        (None, Some(_)) => return Err(SourceError::HalfInEnvironment(ACCESS_KEY_ID)),
    };
    let credentials = AwsCredentials {
        access_key_id,
        secret_access_key: Secret::new(secret_access_key),
        session_token: get(SESSION_TOKEN).map(Secret::new),
    };
    credentials.check([ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN]).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Option<AwsCredentials>, SourceError> {
        from_environment(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_pair_is_enough_and_the_token_is_optional() {
        let pair = [(ACCESS_KEY_ID, "AKID"), (SECRET_ACCESS_KEY, " hidden\n")];
        let credentials = from(&pair).unwrap().unwrap();
        assert_eq!(credentials.access_key_id, "AKID");
        assert_eq!(credentials.secret_access_key.expose(), "hidden");
        assert_eq!(credentials.session_token, None);
        let [id, secret] = pair;
        let with_token = from(&[id, secret, (SESSION_TOKEN, "token")]).unwrap().unwrap();
        assert_eq!(with_token.session_token, Some(Secret::new("token")));
        assert_eq!(from(&[id, secret, (SESSION_TOKEN, "")]), Ok(Some(credentials)));
    }

    #[test]
    fn nothing_is_nothing_and_half_a_pair_a_mistake() {
        assert_eq!(from(&[]), Ok(None));
        assert_eq!(from(&[(ACCESS_KEY_ID, ""), (SECRET_ACCESS_KEY, " ")]), Ok(None));
        assert_eq!(from(&[(ACCESS_KEY_ID, "AKID")]), Err(SourceError::HalfInEnvironment(SECRET_ACCESS_KEY)));
        let error = from(&[(SECRET_ACCESS_KEY, "hidden")]).unwrap_err();
        assert_eq!(error, SourceError::HalfInEnvironment(ACCESS_KEY_ID));
        assert!(!format!("{error} {error:?}").contains("hidden"));
    }

    #[test]
    fn a_value_that_fits_no_header_is_refused() {
        for (variables, part) in [
            ([(ACCESS_KEY_ID, "A\nB"), (SECRET_ACCESS_KEY, "hidden"), (SESSION_TOKEN, "t")], ACCESS_KEY_ID),
            (
                [(ACCESS_KEY_ID, "A"), (SECRET_ACCESS_KEY, "hidden hidden"), (SESSION_TOKEN, "t")],
                SECRET_ACCESS_KEY,
            ),
            ([(ACCESS_KEY_ID, "A"), (SECRET_ACCESS_KEY, "hidden"), (SESSION_TOKEN, "t\rt")], SESSION_TOKEN),
        ] {
            let error = from(&variables).unwrap_err();
            assert_eq!(error, SourceError::UnusableValue(part));
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
}
