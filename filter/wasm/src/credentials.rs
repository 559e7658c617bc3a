//! Credentials: renewed by whichever worker comes first, shared by all.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use weir_core::auth::{
    Answer, Credential, Entry, FetchError, HttpAnswer, HttpCall, Need, Renewal, Step, decode_secret_header,
    secret_header,
};
use weir_core::config::Config;
use weir_core::headers::Headers;
use weir_core::store::{Store, Versioned};

use crate::store::SharedData;
use crate::{host, worker};

/// The cluster behind which the private listener is, see [`crate::secrets`].
const SECRETS_CLUSTER: &str = "weir_secrets";

/// The worker's view of all credentials.
#[derive(Default)]
pub(crate) struct Credentials {
    sources: BTreeMap<String, Source>,
    /// Calls under way: token -> name.
    calls: HashMap<u32, String>,
}

struct Source {
    renewal: Renewal,
    key: String,
    /// The version of the shared entry that `entry` was read from.
    version: Option<u32>,
    entry: Entry,
    credential: Option<Rc<Credential>>,
    /// The last failure that was logged.
    logged: Option<String>,
}

impl Credentials {
    /// Takes over the sources of a new configuration; what is known of the same sources stays.
    pub(crate) fn configure(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.sources);
        for (name, source) in &config.credentials {
            let renewal = Renewal::new(source.clone());
            let known = before.remove(name).filter(|known| known.renewal == renewal);
            let fresh = || Source {
                key: renewal.shared_key(),
                renewal: renewal.clone(),
                version: None,
                entry: Entry::default(),
                credential: None,
                logged: None,
            };
            self.sources.insert(name.clone(), known.unwrap_or_else(fresh));
        }
    }

    /// The credential `name`, or why there is none.
    pub(crate) fn get(&mut self, name: &str, now: u64) -> Result<Rc<Credential>, String> {
        let Some(source) = self.sources.get_mut(name) else {
            return Err("the configuration names no source for it".to_owned());
        };
        if source.credential.is_none() {
            source.refresh();
        }
        match source.entry.credential(now) {
            Ok(_) => source.credential.clone().ok_or_else(String::new),
            Err(reason) => Err(reason.to_string()),
        }
    }
}

impl Source {
    /// Reads what the workers share, if it has changed.
    fn refresh(&mut self) {
        let Some(Versioned { value, version }) = SharedData.get(&self.key) else { return };
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        // An entry that cannot be read was written by another version of the filter: it is fetched anew.
        self.entry = Entry::decode(&value).unwrap_or_default();
        self.credential = self.entry.credential(0).ok().cloned().map(Rc::new);
    }

    /// Stores `entry` unless another worker was faster.
    fn store(&mut self, entry: &Entry) -> bool {
        SharedData.swap(&self.key, &entry.encode(), self.version).is_ok()
    }
}

/// Looks after every credential: takes over what other workers fetched, and fetches what is due.
pub(crate) fn renew() {
    let now = host::now_ms() / 1000;
    worker::with_credentials(|credentials| {
        let Credentials { sources, calls } = credentials;
        for (name, source) in sources {
            source.refresh();
            match source.renewal.poll(&source.entry, now, &|name| std::env::var(name).ok()) {
                Step::Wait { .. } => {}
                Step::Store(entry) => {
                    source.store(&entry);
                }
                Step::Fetch { claim, need } => {
                    if source.store(&claim) {
                        match call(name, &need) {
                            Ok(token) => {
                                calls.insert(token, name.clone());
                            }
                            Err(error) => finish(source, Err(error), now),
                        }
                    }
                }
            }
            source.refresh();
            let failure = source.entry.failure().map(str::to_owned);
            if failure != source.logged {
                if let Some(reason) = &failure {
                    log::warn!("the credential {name} cannot be had: {reason}");
                }
                source.logged = failure;
            }
        }
    });
}

/// A call of [`renew`] was answered.
pub(crate) fn answered(token: u32, headers: &Headers, body: Vec<u8>) {
    let now = host::now_ms() / 1000;
    worker::with_credentials(|credentials| {
        let Some(name) = credentials.calls.remove(&token) else { return };
        let Some(source) = credentials.sources.get_mut(&name) else { return };
        let answer = if let Some(status) = headers.get(":status").and_then(|status| status.parse().ok()) {
            match headers.get(&secret_header(&name)) {
                Some(value) => decode_secret_header(value).map(Answer::Secret).map_err(FetchError::from),
                None => Ok(Answer::Http(HttpAnswer { status, body })),
            }
        } else {
            Err(FetchError::NoAnswer)
        };
        source.refresh();
        finish(source, answer, now);
        source.refresh();
    });
}

fn finish(source: &mut Source, answer: Result<Answer, FetchError>, now: u64) {
    source.refresh();
    if let Step::Store(entry) = source.renewal.answered(&source.entry, answer, now) {
        source.store(&entry);
    }
}

fn call(name: &str, need: &Need) -> Result<u32, FetchError> {
    let secrets;
    let http = match need {
        Need::Http(call) => call,
        Need::Secret { .. } => {
            secrets = HttpCall {
                cluster: SECRETS_CLUSTER.to_owned(),
                method: "GET",
                authority: "secrets".to_owned(),
                path: format!("/{}", secret_header(name)),
                headers: Vec::new(),
                body: Vec::new(),
            };
            &secrets
        }
    };
    let mut headers = vec![
        (":method", http.method),
        (":authority", http.authority.as_str()),
        (":path", http.path.as_str()),
    ];
    headers.extend(http.headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = (!http.body.is_empty()).then_some(http.body.as_slice());
    let timeout = Duration::from_secs(Renewal::CALL_TIMEOUT);
    hostcalls::dispatch_http_call(&http.cluster, headers, body, Vec::new(), timeout)
        .map_err(|_| FetchError::NoAnswer)
}
