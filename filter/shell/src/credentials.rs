//! Credentials: renewed by whichever worker comes first, shared by all.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_core::auth::{Answer, Credential, Entry, FetchError, Need, Renewal, Step};
use weir_core::config::Config;
use weir_core::store::{Store, Versioned};

/// Counts the changes of shared entries that were made in this process, or in this VM where workers have one each.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// How a host gets what a credential is made of.
pub trait Fetch {
    /// A variable of the process's environment.
    fn environment(&self, name: &str) -> Option<String>;

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
    sources: BTreeMap<String, Source>,
    /// Calls under way, and the credentials they are for.
    calls: HashMap<u64, String>,
    /// The count of changes that `sources` are up to.
    seen: u64,
}

#[derive(Debug)]
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
                key: renewal.shared_key(),
                renewal,
                version: None,
                entry: Entry::default(),
                credential: None,
                logged: None,
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

    /// Looks after every credential of `config`: takes over what other workers fetched, and fetches what is due.
    /// `now` is in seconds since 1970.
    pub fn renew(&mut self, config: &Arc<Config>, host: &mut dyn Fetch, store: &dyn Store, now: u64) {
        self.configure(config, store);
        for (name, source) in &mut self.sources {
            source.refresh(store);
            match source.renewal.poll(&source.entry, now, &|name| host.environment(name)) {
                Step::Wait { .. } => {}
                Step::Store(entry) => {
                    source.store(&entry, store);
                }
                Step::Fetch { claim, need } => {
                    if source.store(&claim, store) {
                        match host.fetch(name, &need) {
                            Ok(Fetched::Later(call)) => {
                                self.calls.insert(call, name.clone());
                            }
                            Ok(Fetched::Now(answer)) => source.finish(Ok(answer), store, now),
                            Err(error) => source.finish(Err(error), store, now),
                        }
                    }
                }
            }
            source.refresh(store);
            let failure = source.entry.failure().map(str::to_owned);
            if failure != source.logged {
                if let Some(reason) = &failure {
                    log::warn!("the credential {name} cannot be had: {reason}");
                }
                source.logged = failure;
            }
        }
    }

    /// The credential that `call` is for, while the call is under way.
    #[must_use]
    pub fn called_for(&self, call: u64) -> Option<&str> {
        self.calls.get(&call).map(String::as_str)
    }

    /// A call of [`Fetch::fetch`] was answered.
    pub fn answered(&mut self, call: u64, answer: Result<Answer, FetchError>, store: &dyn Store, now: u64) {
        let Some(name) = self.calls.remove(&call) else { return };
        if let Some(source) = self.sources.get_mut(&name) {
            source.finish(answer, store, now);
        }
    }
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

    fn finish(&mut self, answer: Result<Answer, FetchError>, store: &dyn Store, now: u64) {
        self.refresh(store);
        if let Step::Store(entry) = self.renewal.answered(&self.entry, answer, now) {
            self.store(&entry, store);
        }
        self.refresh(store);
    }
}
