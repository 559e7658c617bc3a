//! Sources for tests, driven through [`Renewal`] as a shell does it.

use serde_json::Value;

use super::Source;
use crate::auth::credentials::Header;
use crate::auth::{
    Answer, Credential, Entry, Environment, FetchError, HttpAnswer, HttpCall, Need, Renewal, Secret, Step,
};

pub(super) const NOW: u64 = 1_440_938_160; // 2015-08-30T12:36:00Z

/// What came of a fetch: what it needed, and the entry that was stored at last.
pub(super) struct Run {
    pub(super) needs: Vec<Need>,
    pub(super) entry: Entry,
}

/// Fetches once, with an answer for each need in its turn.
pub(super) fn run(
    source: &Source,
    environment: Environment,
    answers: Vec<Result<Answer, FetchError>>,
) -> Run {
    let renewal = Renewal::new(source.clone());
    let mut answers = answers.into_iter();
    let mut needs = Vec::new();
    let mut step = renewal.poll(&Entry::default(), NOW, environment);
    loop {
        step = match step {
            Step::Store(entry) => {
                assert_eq!(answers.next(), None, "an answer that nobody asked for");
                let shown = format!("{entry:?} {:?} {needs:?} {source:?}", entry.failure());
                assert!(!shown.contains("hidden"), "{shown}");
                return Run { needs, entry };
            }
            Step::Fetch { claim, need, fetching } => {
                let answer = answers.next().unwrap_or_else(|| panic!("no answer for {need:?}"));
                needs.push(need);
                renewal.answered(&claim, fetching, answer, NOW)
            }
            Step::Wait { .. } => panic!("it waits"),
        };
    }
}

impl Run {
    /// The token, and for how long it is good: until it expires, in seconds.
    pub(super) fn token(&self) -> (&str, u64) {
        let Ok(Credential::ApiKey(token)) = self.entry.credential(NOW) else { panic!("{:?}", self.entry) };
        let is_good = |at: &u64| self.entry.credential(*at).is_ok();
        let (mut low, mut high) = (NOW, NOW + 10 * 24 * 3600);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if is_good(&middle) { low = middle } else { high = middle }
        }
        (token.expose(), high - NOW)
    }

    /// Why there is none.
    pub(super) fn failure(&self) -> &str {
        self.entry.failure().unwrap_or_else(|| panic!("{:?}", self.entry))
    }

    /// The call that was made as the `nth` need.
    pub(super) fn call(&self, nth: usize) -> Call<'_> {
        match &self.needs[nth] {
            Need::Http(call) => Call(call),
            need => panic!("{need:?}"),
        }
    }
}

/// A call, as a server sees it.
pub(super) struct Call<'a>(pub(super) &'a HttpCall);

impl Call<'_> {
    /// Method, cluster and URL without its scheme.
    pub(super) fn line(&self) -> String {
        let HttpCall { method, cluster, authority, path, .. } = self.0;
        format!("{method} {authority}{path} by {cluster}")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.headers.iter();
        headers.find(|(known, _): &&Header| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn body(&self) -> &str {
        std::str::from_utf8(&self.0.body).unwrap()
    }

    /// A field of a form.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        self.body().split('&').find_map(|field| {
            let (known, value) = field.split_once('=')?;
            let value = value.replace('+', " ");
            (known == name)
                .then(|| percent_encoding::percent_decode_str(&value).decode_utf8().unwrap().into_owned())
        })
    }
}

pub(super) fn no_environment(_: &str) -> Option<String> {
    None
}

pub(super) fn secret(text: &str) -> Result<Answer, FetchError> {
    Ok(Answer::Secret(Secret::new(text)))
}

pub(super) fn file(text: &str) -> Result<Answer, FetchError> {
    Ok(Answer::File(Secret::new(text)))
}

pub(super) fn answer(status: u16, body: &Value) -> Result<Answer, FetchError> {
    Ok(Answer::Http(HttpAnswer { status, body: body.to_string().into_bytes() }))
}

/// A token as an endpoint gives it.
pub(super) fn token(value: &str, expires_in: u64) -> Result<Answer, FetchError> {
    answer(200, &serde_json::json!({"access_token": value, "token_type": "Bearer", "expires_in": expires_in}))
}
