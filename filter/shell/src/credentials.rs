//! Credentials: renewed by whichever worker comes first, shared by all.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_core::auth::{
    Answer, Credential, Entry, Environment, FetchError, Fetching, Need, Renewal, Secret, Step,
};
use weir_core::config::Config;
use weir_core::store::{Store, Versioned};

/// Counts the changes of shared entries that were made in this process, or in this VM where workers have one each.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// How a host gets what a credential is made of.
pub trait Fetch {
    /// How variables of the process's environment are looked up.
    fn environment(&self) -> Environment {
        |name| std::env::var(name).ok()
    }

    /// False while this cannot be had yet.
    fn can_fetch(&self, _need: &Need) -> bool {
        true
    }

    /// Gets what the credential `name` needs.
    ///
    /// # Errors
    /// Why that cannot even be tried.
    fn fetch(&mut self, name: &str, need: &Need) -> Result<Fetched, FetchError>;
}

/// What [`Fetch::fetch`] came to.
#[derive(Debug)]
pub enum Fetched {
    /// It is there.
    Now(Answer),
    /// It comes later: to be handed to [`Credentials::answered`] under this number.
    Later(u64),
}

/// All credentials as one worker knows them.
#[derive(Debug, Default)]
pub struct Credentials {
    /// The configuration that `sources` are of.
    config: Option<Arc<Config>>,
    /// The configuration whose calls `calls` are.
    caller: Option<Arc<Config>>,
    sources: BTreeMap<String, Source>,
    /// Calls under way.
    calls: HashMap<u64, Call>,
    /// The failures that were logged, by the key of the source.
    logged: HashMap<String, String>,
    /// The count of changes that `sources` are up to.
    seen: u64,
}

/// What a call is for. The same name may mean another source by the time it is answered.
#[derive(Debug)]
struct Call {
    name: String,
    key: String,
    need: Need,
    fetching: Fetching,
}

#[derive(Debug)]
struct Source {
    renewal: Renewal,
    key: String,
    /// The version of the shared entry that `entry` was read from.
    version: Option<u32>,
    entry: Entry,
    credential: Option<Rc<Credential>>,
}

impl Credentials {
    /// Takes over the sources of a configuration, if it is another one; what is known of the same sources stays.
    fn configure(&mut self, config: &Arc<Config>, store: &dyn Store) {
        if self.config.as_ref().is_some_and(|known| Arc::ptr_eq(known, config)) {
            return;
        }
        let mut before = std::mem::take(&mut self.sources);
        for (name, source) in &config.credentials {
            let renewal = Renewal::new(source.clone());
            let known = before.remove(name).filter(|known| known.renewal == renewal);
            let mut source = known.unwrap_or_else(|| Source {
                key: shared_key(&renewal, name),
                renewal,
                version: None,
                entry: Entry::default(),
                credential: None,
            });
            source.refresh(store);
            self.sources.insert(name.clone(), source);
        }
        self.config = Some(Arc::clone(config));
    }

    /// The credential `name` of `config`, or why there is none.
    pub(crate) fn get(
        &mut self,
        name: &str,
        config: &Arc<Config>,
        now: u64,
        store: &dyn Store,
    ) -> Result<Rc<Credential>, String> {
        self.configure(config, store);
        let changes = CHANGES.load(Ordering::Acquire);
        let is_behind = std::mem::replace(&mut self.seen, changes) != changes;
        if is_behind {
            self.sources.values_mut().for_each(|source| source.refresh(store));
        }
        let Some(source) = self.sources.get_mut(name) else {
            return Err("the configuration names no source for it".to_owned());
        };
        if source.credential.is_none() {
            source.refresh(store);
        }
        match source.entry.credential(now) {
            Ok(_) => source.credential.clone().ok_or_else(String::new),
            Err(reason) => Err(reason.to_string()),
        }
    }

    /// The proxy ends the calls of a configuration with it, and says nothing of that. So where another one looks after
    /// the credentials from now on, fetches that were under way may begin anew at once.
    fn let_go_of_calls(&mut self, config: &Arc<Config>, store: &dyn Store) {
        let is_same = self.caller.as_ref().is_some_and(|caller| Arc::ptr_eq(caller, config));
        self.caller = Some(Arc::clone(config));
        if is_same {
            return;
        }
        for call in std::mem::take(&mut self.calls).into_values() {
            if let Some(source) = self.sources.get_mut(&call.name).filter(|source| source.key == call.key) {
                source.refresh(store);
                if let Some(entry) = call.fetching.let_go(&source.entry) {
                    source.store(&entry, store);
                }
            }
        }
    }

    /// Looks after every credential of `config`: takes over what other workers fetched, and fetches what is due.
    /// `now` is in seconds since 1970.
    pub fn renew(&mut self, config: &Arc<Config>, host: &mut dyn Fetch, store: &dyn Store, now: u64) {
        self.let_go_of_calls(config, store);
        self.configure(config, store);
        for (name, source) in &mut self.sources {
            source.refresh(store);
            let step = source.renewal.poll(&source.entry, now, host.environment());
            if let Some((call, waiting)) = source.advance(step, name, config, host, store, now) {
                // A call of a fetch before this one was never answered.
                self.calls.retain(|_, call| call.key != source.key);
                self.calls.insert(call, waiting);
            }
            source.refresh(store);
            match source.entry.failure() {
                Some(reason) if self.logged.get(&source.key).is_none_or(|logged| logged != reason) => {
                    log::warn!("the credential {name} cannot be had: {reason}");
                    self.logged.insert(source.key.clone(), reason.to_owned());
                }
                Some(_) => {}
                None => {
                    self.logged.remove(&source.key);
                }
            }
        }
    }

    /// The credential that `call` is for and what is needed of it, while the call is under way.
    #[must_use]
    pub fn called_for(&self, call: u64) -> Option<(&str, &Need)> {
        self.calls.get(&call).map(|call| (call.name.as_str(), &call.need))
    }

    /// A call of [`Fetch::fetch`] was answered.
    pub fn answered(
        &mut self,
        call: u64,
        answer: Result<Answer, FetchError>,
        host: &mut dyn Fetch,
        store: &dyn Store,
        now: u64,
    ) {
        let (Some(call), Some(config)) = (self.calls.remove(&call), &self.config) else { return };
        let Some(source) = self.sources.get_mut(&call.name).filter(|source| source.key == call.key) else {
            return;
        };
        source.refresh(store);
        let step = source.renewal.answered(&source.entry, call.fetching, answer, now);
        if let Some((next, waiting)) = source.advance(step, &call.name, config, host, store, now) {
            self.calls.insert(next, waiting);
        }
        source.refresh(store);
    }
}

/// The key of the shared entry: one for each version of the secret, since its values stand side by side while a proxy
/// takes over another.
pub(crate) fn shared_key(renewal: &Renewal, name: &str) -> String {
    match name.split_once('@') {
        Some((_, version)) => format!("{}@{version}", renewal.shared_key()),
        None => renewal.shared_key(),
    }
}

/// Gets what the credential `name` needs: from the environment where the configuration says so, else by the host.
fn fetch(host: &mut dyn Fetch, config: &Config, name: &str, need: &Need) -> Result<Fetched, FetchError> {
    let Some(variable) = variable(config, name, need) else { return host.fetch(name, need) };
    let value =
        (host.environment())(variable).ok_or_else(|| FetchError::NotInEnvironment(variable.to_owned()))?;
    Ok(Fetched::Now(Answer::Secret(Secret::new(value))))
}

/// The variable that has what the credential `name` needs.
fn variable<'c>(config: &'c Config, name: &str, need: &Need) -> Option<&'c str> {
    config.secret_env.get(name).filter(|_| matches!(need, Need::Secret { .. })).map(String::as_str)
}

impl Source {
    /// Reads what the workers share, if it has changed.
    fn refresh(&mut self, store: &dyn Store) {
        let Some(Versioned { value, version }) = store.get(&self.key) else { return };
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        // An entry that cannot be read was written by another version of the filter: it is fetched anew.
        self.entry = Entry::decode(&value).unwrap_or_default();
        self.credential = self.entry.credential(0).ok().cloned().map(Rc::new);
    }

    /// Stores `entry` unless another worker was faster.
    fn store(&mut self, entry: &Entry, store: &dyn Store) -> bool {
        let is_stored = store.swap(&self.key, &entry.encode(), self.version).is_ok();
        if is_stored {
            CHANGES.fetch_add(1, Ordering::Release);
        }
        is_stored
    }

    /// Does what the renewal says, as far as that goes at once: the call to wait for, if there is one.
    fn advance(
        &mut self,
        mut step: Step,
        name: &str,
        config: &Config,
        host: &mut dyn Fetch,
        store: &dyn Store,
        now: u64,
    ) -> Option<(u64, Call)> {
        loop {
            let (claim, need, fetching) = match step {
                Step::Wait { .. } => return None,
                Step::Store(entry) => {
                    self.store(&entry, store);
                    return None;
                }
                Step::Fetch { claim, need, fetching } => (claim, need, fetching),
            };
            if !host.can_fetch(&need) && variable(config, name, &need).is_none() {
                let released = self.entry.released();
                if released != self.entry {
                    self.store(&released, store);
                }
                return None;
            }
            if !self.store(&claim, store) {
                return None;
            }
            let answer = match fetch(host, config, name, &need) {
                Ok(Fetched::Later(call)) => {
                    let (name, key) = (name.to_owned(), self.key.clone());
                    return Some((call, Call { name, key, need, fetching }));
                }
                Ok(Fetched::Now(answer)) => Ok(answer),
                Err(error) => Err(error),
            };
            self.refresh(store);
            step = self.renewal.answered(&self.entry, fetching, answer, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::memory::Memory;
    use weir_core::auth::{HttpAnswer, Source};

    /// Answers later, with ascending numbers.
    #[derive(Default)]
    struct Later(u64);

    impl Fetch for Later {
        fn fetch(&mut self, _name: &str, _need: &Need) -> Result<Fetched, FetchError> {
            self.0 += 1;
            Ok(Fetched::Later(self.0))
        }
    }

    fn config(name: &str, source: serde_json::Value) -> Arc<Config> {
        let source: Source = serde_json::from_value(source).unwrap();
        Arc::new(Config { credentials: BTreeMap::from([(name.to_owned(), source)]), ..Config::default() })
    }

    fn secret(of: &str) -> serde_json::Value {
        serde_json::to_value(Source::Secret { name: of.to_owned(), key: "apiKey".to_owned() }).unwrap()
    }

    fn value(text: &str) -> Result<Answer, FetchError> {
        Ok(Answer::Secret(weir_core::auth::Secret::new(text)))
    }

    #[test]
    fn an_answer_is_for_the_source_that_was_asked_and_no_other_of_that_name() {
        let (store, mut host, mut credentials) =
            (Memory::default(), Later::default(), Credentials::default());
        let (old, new) = (config("key", secret("default/old")), config("key", secret("default/new")));
        credentials.renew(&old, &mut host, &store, 1);
        assert_eq!(credentials.called_for(1).unwrap().0, "key");
        credentials.renew(&new, &mut host, &store, 1);
        assert_eq!(credentials.called_for(2).unwrap().0, "key");

        credentials.answered(1, value("old-key"), &mut host, &store, 1);
        assert!(credentials.get("key", &new, 1, &store).is_err(), "that was another source's");
        credentials.answered(2, value("new-key"), &mut host, &store, 1);
        assert!(credentials.get("key", &new, 1, &store).is_ok());
        assert!(credentials.called_for(2).is_none());
        credentials.answered(2, value("again"), &mut host, &store, 1);
        assert!(matches!(
            &*credentials.get("key", &new, 1, &store).unwrap(),
            Credential::ApiKey(key) if key.expose() == "new-key"
        ));
    }

    #[test]
    fn a_configuration_that_is_gone_leaves_no_claim() {
        let (store, mut host, mut credentials) =
            (Memory::default(), Later::default(), Credentials::default());
        let (old, new) = (config("key", secret("default/s")), config("key", secret("default/s")));
        credentials.renew(&old, &mut host, &store, 1);
        credentials.renew(&old, &mut host, &store, 1);
        assert_eq!(host.0, 1, "one fetch is enough");
        // A request that began with it asks still, and ends no call.
        assert!(credentials.get("key", &old, 1, &store).is_err());
        credentials.renew(&new, &mut host, &store, 1);
        assert!(credentials.get("key", &old, 1, &store).is_err());
        assert_eq!(
            (host.0, credentials.called_for(1).is_some()),
            (2, false),
            "nobody answers the first any more"
        );
        credentials.answered(2, value("key"), &mut host, &store, 1);
        assert!(credentials.get("key", &new, 1, &store).is_ok());
    }

    /// Shows one variable, and can fetch nothing yet.
    struct Environment;

    impl Fetch for Environment {
        fn environment(&self) -> weir_core::auth::Environment {
            |name| (name == "WEIR_KEY").then(|| "from-the-environment\n".to_owned())
        }

        fn can_fetch(&self, _need: &Need) -> bool {
            false
        }

        fn fetch(&mut self, _name: &str, _need: &Need) -> Result<Fetched, FetchError> {
            Err(FetchError::NoSecret)
        }
    }

    #[test]
    fn a_secret_may_be_in_the_environment() {
        let get = |variable: &str| {
            let mut config = Arc::unwrap_or_clone(config("key", secret("default/s")));
            config.secret_env.insert("key".to_owned(), variable.to_owned());
            let (config, store, mut credentials) =
                (Arc::new(config), Memory::default(), Credentials::default());
            credentials.renew(&config, &mut Environment, &store, 1);
            credentials.get("key", &config, 1, &store)
        };
        assert!(matches!(
            &*get("WEIR_KEY").unwrap(),
            Credential::ApiKey(key) if key.expose() == "from-the-environment"
        ));
        assert!(get("OTHER").unwrap_err().contains("OTHER is not in the environment"));
    }

    #[test]
    fn what_cannot_be_fetched_yet_is_fetched_later() {
        let (store, mut credentials) = (Memory::default(), Credentials::default());
        let config = config("key", secret("default/s"));
        credentials.renew(&config, &mut Environment, &store, 1);
        credentials.renew(&config, &mut Later::default(), &store, 1);
        assert_eq!(credentials.called_for(1).unwrap().0, "key");
    }

    #[test]
    fn what_another_worker_got_is_seen() {
        let (store, mut host) = (Memory::default(), Later::default());
        let (mut mine, mut others) = (Credentials::default(), Credentials::default());
        let config = config("key", secret("default/s"));
        assert!(mine.get("key", &config, 1, &store).is_err());
        others.renew(&config, &mut host, &store, 1);
        others.answered(1, value("v"), &mut host, &store, 1);
        assert!(mine.get("key", &config, 1, &store).is_ok());
        let other_kind = Ok(Answer::Http(HttpAnswer { status: 200, body: Vec::new() }));
        others.answered(1, other_kind, &mut host, &store, 1);
        assert!(mine.get("key", &config, 1, &store).is_ok(), "nobody asked for that");
    }
}
