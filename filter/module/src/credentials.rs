//! How the module gets credentials: secrets from files, what has to be asked for by calls through the proxy's clusters.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
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
    fn fetch(&mut self, name: &str, need: &Need) -> Result<Fetched, FetchError> {
        match need {
            Need::Secret { .. } => secret(self.files, name),
            Need::File(path) => file(path),
            Need::Http(call) => self.call(call).map(|id| Fetched::Later((self.number)(id))),
        }
    }
}

/// What a configuration that has just come may use: what is in files is there for its first request, which need not
/// wait then.
pub(crate) struct FilesAlone<'a>(pub(crate) &'a BTreeMap<String, String>);

impl Fetch for FilesAlone<'_> {
    fn can_fetch(&self, need: &Need) -> bool {
        match need {
            Need::Secret { .. } | Need::File(_) => true,
            Need::Http(_) => false,
        }
    }

    fn fetch(&mut self, name: &str, need: &Need) -> Result<Fetched, FetchError> {
        match need {
            Need::Secret { .. } => secret(self.0, name),
            Need::File(path) => file(path),
            Need::Http(_) => Err(FetchError::NoAnswer),
        }
    }
}

fn secret(files: &BTreeMap<String, String>, name: &str) -> Result<Fetched, FetchError> {
    let path = files.get(name).ok_or(FetchError::NoSecret)?;
    Ok(Fetched::Now(Answer::Secret(read(path)?)))
}

fn file(path: &str) -> Result<Fetched, FetchError> {
    Ok(Fetched::Now(Answer::File(read(path)?)))
}

impl Calls<'_, '_> {
    fn call(&mut self, call: &HttpCall) -> Result<u64, FetchError> {
        let mut headers =
            vec![(":method", call.method), ("host", call.authority.as_str()), (":path", call.path.as_str())];
        headers.extend(call.headers.iter().map(|(name, value)| (&**name, value.as_str())));
        let timeout = Duration::from_secs(Renewal::CALL_TIMEOUT);
        self.main.callout(&call.cluster, &headers, &call.body, timeout).map_err(|error| match error {
            CalloutError::UnknownCluster => FetchError::NoCluster,
            _ => FetchError::NoAnswer,
        })
    }
}

/// Reads on the main thread: such a file is small, and on this machine.
fn read(path: &str) -> Result<Secret, FetchError> {
    let unreadable = |reason: String| FetchError::Unreadable { path: path.to_owned(), reason };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => FetchError::NoFile(path.to_owned()),
        _ => unreadable(error.to_string()),
    })?;
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
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
        assert!(error.ends_with("missing does not exist"), "{error}");
        fs::File::create(path("large")).unwrap().set_len(MAX_SECRET + 1).unwrap();
        assert!(read(&path("large")).unwrap_err().to_string().contains("more than 1048576 bytes"));

        let error = read(dir.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("it is no file"), "{error}");
    }
}
