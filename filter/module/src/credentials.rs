//! How the module gets credentials: secrets from files, what has to be asked for by calls through the proxy's clusters.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::time::Duration;

use weir_core::auth::{Answer, FetchError, HttpAnswer, HttpCall, Need, Renewal, Secret};
use weir_shell::{Fetch, Fetched};

use crate::abi::{self, CalloutError, MainThread};

/// The largest file that is taken for a secret, in bytes.
const MAX_SECRET: u64 = 1 << 20;

/// What a renewal on the main thread may use.
pub(crate) struct Calls<'a, 'b> {
    pub(crate) main: &'a mut MainThread<'b>,
    /// See [`weir_core::config::Config::secret_files`].
    pub(crate) files: &'a BTreeMap<String, String>,
    /// The number of a call among those of all configurations, from Envoy's number of it.
    pub(crate) number: &'a dyn Fn(u64) -> u64,
}

impl Fetch for Calls<'_, '_> {
    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn fetch(&mut self, name: &str, need: &Need) -> Result<Fetched, FetchError> {
        match need {
            Need::Secret { .. } => secret(self.files, name),
            Need::Http(call) => self.call(call).map(|id| Fetched::Later((self.number)(id))),
        }
    }
}

/// What a configuration that has just come may use: what is in files is there for its first request, which need not
/// wait then.
pub(crate) struct FilesAlone<'a>(pub(crate) &'a BTreeMap<String, String>);

impl Fetch for FilesAlone<'_> {
    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn can_fetch(&self, need: &Need) -> bool {
        matches!(need, Need::Secret { .. })
    }

    fn fetch(&mut self, name: &str, _need: &Need) -> Result<Fetched, FetchError> {
        secret(self.0, name)
    }
}

fn secret(files: &BTreeMap<String, String>, name: &str) -> Result<Fetched, FetchError> {
    let path = files.get(name).ok_or(FetchError::NoSecret)?;
    Ok(Fetched::Now(Answer::Secret(read(path)?)))
}

impl Calls<'_, '_> {
    fn call(&mut self, call: &HttpCall) -> Result<u64, FetchError> {
        let mut headers =
            vec![(":method", call.method), ("host", call.authority.as_str()), (":path", call.path.as_str())];
        headers.extend(call.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let token = call.authorization_file.as_deref().map(token).transpose()?;
        headers.extend(token.iter().map(|token| ("authorization", token.expose())));
        let timeout = Duration::from_secs(Renewal::CALL_TIMEOUT);
        self.main.callout(&call.cluster, &headers, &call.body, timeout).map_err(|error| match error {
            CalloutError::UnknownCluster => FetchError::NoCluster,
            _ => FetchError::NoAnswer,
        })
    }
}

/// The token in a file, as a header can have it.
fn token(path: &str) -> Result<Secret, FetchError> {
    let token = Secret::new(read(path)?.expose().trim());
    if token.is_header_text() {
        return Ok(token);
    }
    let reason = "what it holds is no token".to_owned();
    Err(FetchError::Unreadable { path: path.to_owned(), reason })
}

/// Reads on the main thread: such a file is small, and on this machine.
fn read(path: &str) -> Result<Secret, FetchError> {
    let unreadable = |reason: String| FetchError::Unreadable { path: path.to_owned(), reason };
    // Opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.is_file() {
        return Err(unreadable("it is no file".to_owned()));
    }
    let file = fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    let read =
        file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if read as u64 > MAX_SECRET {
        return Err(unreadable(format!("it has more than {MAX_SECRET} bytes")));
    }
    // The error of a failed conversion would show the bytes.
    String::from_utf8(bytes).map(Secret::new).map_err(|_| unreadable("it is not UTF-8".to_owned()))
}

/// What came back of a call; `None` where nothing did.
pub(crate) fn answer(answer: Option<abi::Answer<'_>>) -> Result<Answer, FetchError> {
    let answer = answer.ok_or(FetchError::NoAnswer)?;
    Ok(Answer::Http(HttpAnswer { status: answer.status(), body: answer.body.into_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_whole_of_its_file_and_no_error_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("good"), "line 1\nline 2\n").unwrap();
        assert_eq!(read(&path("good")).unwrap().expose(), "line 1\nline 2\n");

        fs::write(path("binary"), b"hidden\xff").unwrap();
        let error = read(&path("binary")).unwrap_err();
        assert!(error.to_string().ends_with("binary cannot be read: it is not UTF-8"), "{error}");
        assert!(!format!("{error:?}").contains("hidden"));

        let error = read(&path("missing")).unwrap_err().to_string();
        assert!(error.contains("missing cannot be read: No such file"), "{error}");
        fs::File::create(path("large")).unwrap().set_len(MAX_SECRET + 1).unwrap();
        assert!(read(&path("large")).unwrap_err().to_string().contains("more than 1048576 bytes"));
        fs::write(path("token"), "a.jwt\n").unwrap();
        assert_eq!(token(&path("token")).unwrap().expose(), "a.jwt");
        fs::write(path("lines"), "hidden\nhidden").unwrap();
        let error = token(&path("lines")).unwrap_err().to_string();
        assert!(error.ends_with("lines cannot be read: what it holds is no token"), "{error}");

        let error = read(dir.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("it is no file"), "{error}");
    }
}
