//! New files for an Envoy that runs: in an order in which nothing refers to what is not there, each step confirmed by
//! Envoy before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::Admin;
use super::say;
use crate::render::{self, BOOTSTRAP, CDS, File, Files, RATELIMIT_ROOT, SDS, SECRETS};

/// How long Envoy may take to say what it thinks of a file.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Clusters that no route names any more stay this long, for requests that chose their route before and are still being
/// repeated.
const RETIREMENT: Duration = Duration::from_secs(60);

/// Why new files were not taken over; the old ones are in their places again.
#[derive(Debug)]
pub(super) enum Refused {
    /// They cannot be; the same ones will not do later either.
    Files(String),
    /// It is not about them: Envoy is being started again or has too much to do, or the disk is full.
    NotNow(String),
}

/// Files for Envoy, and what [`render::security::by_route`] says of their listeners.
pub(super) type Rendered = (Files, BTreeMap<String, bool>);

/// What Envoy runs on, and how it gets something else.
pub(super) struct Reload {
    running: Files,
    dir: PathBuf,
    admin: Admin,
    /// When the clusters that were kept for a while go, and the files of secrets that nothing names any more.
    retire: Option<Instant>,
    secrets: BTreeSet<String>,
    /// [`render::security::by_route`], as it last was of each listener: its filters in Envoy are as they were then.
    by_route: BTreeMap<String, bool>,
}

/// The order in which files are taken over. Clusters and routes name what the filter must know, and a backend's
/// endpoints may be others of a sudden: while they change the filter knows old and new ones, each with what belongs to
/// it, and last it forgets the old. It asks for the secrets of new ones through a cluster, and names clusters itself;
/// so those that are new come first of all.
const STEPS: [Step; 5] =
    [Step::NewClusters, Step::BothConfigurations, Step::Clusters, Step::Routes, Step::Configuration];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    NewClusters,
    BothConfigurations,
    Clusters,
    Routes,
    Configuration,
}

impl Step {
    fn takes(self, path: &str) -> bool {
        match self {
            Step::NewClusters | Step::Clusters => path == CDS,
            Step::BothConfigurations | Step::Configuration => path.starts_with("xds/ecds"),
            Step::Routes => path.starts_with("xds/rds"),
        }
    }
}

impl Reload {
    pub(super) fn new((running, by_route): Rendered, dir: PathBuf, admin: Admin) -> Reload {
        Reload { running, dir, admin, retire: None, secrets: BTreeSet::new(), by_route }
    }

    /// Takes over what differs. Says what it did.
    ///
    /// # Errors
    ///
    /// What Envoy refused, or why it could not be asked.
    pub(super) fn apply(&mut self, (files, by_route): Rendered) -> Result<String, Refused> {
        let begin = Instant::now();
        let changed: Vec<(&str, &File)> =
            files.iter().filter(|(path, file)| self.running.get(path) != Some(*file)).collect();
        let fixed = changed.iter().any(|(path, _)| *path == BOOTSTRAP);
        if let Some(routes) = self.unguarded(&files) {
            return Err(Refused::Files(format!(
                "the listener of {routes} has a SecurityPolicy for the first time, and no place for its filters: that is \
                 taken over by a restart only"
            )));
        }
        // Envoy takes over one file after the other. In between, filters that leave it to the routes would meet routes
        // that leave it to the filters.
        let goes_over = |(listener, now): &(&String, &bool)| {
            self.by_route.get(*listener).is_some_and(|before| before != *now)
        };
        if let Some((listener, _)) = by_route.iter().find(goes_over) {
            return Err(Refused::Files(format!(
                "the SecurityPolicies of {listener} go over from one for all to those of routes, or back: that is taken over \
                 by a restart only"
            )));
        }
        if let Err(why) = self.take(&changed, &files) {
            self.put_back(&changed);
            let new = changed.iter().map(|(path, _)| *path).filter(|path| self.running.get(path).is_none());
            self.secrets.extend(new.filter(|path| is_secret(path)).map(str::to_owned));
            self.retire = Some(Instant::now() + RETIREMENT);
            return Err(why);
        }
        self.by_route.extend(by_route);
        self.forget_routes(&files);
        let mut running = files.clone();
        if let Some(bootstrap) = self.running.get(BOOTSTRAP) {
            running.replace(BOOTSTRAP, bootstrap.clone());
        }
        // Envoy has the places of a policy's filters for as long as it runs, and what is in them.
        let left = self
            .running
            .iter()
            .filter(|(path, _)| files.get(path).is_none() && render::security::is_filter(path));
        left.for_each(|(path, file)| running.replace(path, file.clone()));
        self.running = running;
        if fixed {
            say(
                "the listeners changed (their ports, TLS, buffer limits, timeouts, which there are, or whether they have a \
                 SecurityPolicy); that is taken over by a restart only, the old ones stay until then",
            );
        }
        let paths: Vec<&str> =
            changed.iter().map(|(path, _)| *path).filter(|path| *path != BOOTSTRAP).collect();
        Ok(match paths.as_slice() {
            [] => "reloaded: nothing changed for Envoy".to_owned(),
            paths => {
                format!("reloaded: {} taken over in {} ms", paths.join(", "), begin.elapsed().as_millis())
            }
        })
    }

    /// The routes of a listener that runs without places for the filters that it is to have. They would let everybody
    /// in.
    fn unguarded<'f>(&self, files: &'f Files) -> Option<&'f str> {
        let is_new = |path: &str| files.get(path).is_some() && self.running.get(path).is_none();
        let mut routes = files.iter().map(|(path, _)| path).filter(|path| self.running.get(path).is_some());
        routes.find(|path| render::security::mark(path).is_some_and(|mark| is_new(&mark)))
    }

    /// Removes clusters whose time is over.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.retire.is_some_and(|at| now >= at) {
            self.retire = None;
            if let Some(clusters) = self.running.get(CDS)
                && let Err(error) = clusters.write(&self.dir.join(CDS))
            {
                say(format!("cannot remove clusters that are not used any more: {error}"));
            }
            for path in std::mem::take(&mut self.secrets) {
                if self.running.get(&path).is_none()
                    && let Err(error) = std::fs::remove_file(self.dir.join(&path))
                {
                    say(format!("cannot remove {path}, a secret that is not used any more: {error}"));
                }
            }
        }
    }

    /// Has the filter end the streams that still run. It does so within some tenths of a second, and needs no answer.
    pub(super) fn end_streams(&self) {
        for (path, file) in self.running.iter().filter(|(path, _)| Step::Configuration.takes(path)) {
            if let Some(file) = render::stopping(file)
                && let Err(why) = self.write(path, &file)
            {
                say(why);
            }
        }
    }

    fn take(&mut self, changed: &[(&str, &File)], files: &Files) -> Result<(), Refused> {
        // Envoy, the filter and the ratelimit service watch these; none of them says that it has seen them.
        let quiet = |path: &str| is_secret(path) || path.starts_with(RATELIMIT_ROOT);
        for (path, file) in changed.iter().filter(|(path, _)| quiet(path)) {
            self.write(path, file)?;
        }

        let mut written: BTreeMap<&str, File> = BTreeMap::new();
        for step in STEPS {
            let mut expected = BTreeMap::new();
            let before = self.refusals()?;
            for (path, file) in changed.iter().filter(|(path, _)| step.takes(path)) {
                let between = match step {
                    Step::NewClusters => match self.with_new_clusters(file) {
                        Some(more) => Some(more),
                        None => continue,
                    },
                    Step::Clusters => self.with_running_clusters(file),
                    Step::BothConfigurations => {
                        self.running.get(path).and_then(|old| render::between(old, file))
                    }
                    Step::Routes | Step::Configuration => None,
                };
                let file = between.as_ref().unwrap_or(file);
                if written.get(path) != Some(file) {
                    self.write(path, file)?;
                    expected.insert((*path).to_owned(), version(file));
                    written.insert(path, file.clone());
                }
            }
            self.wait_until_taken(&expected, &before)?;
        }
        let gone = self.running.iter().map(|(path, _)| path).filter(|path| files.get(path).is_none());
        let secrets = gone.filter(|path| is_secret(path)).map(str::to_owned);
        self.secrets.extend(secrets);
        if files.get(CDS) != self.running.get(CDS) || !self.secrets.is_empty() {
            self.retire = Some(Instant::now() + RETIREMENT);
        }
        Ok(())
    }

    fn write(&self, path: &str, file: &File) -> Result<(), Refused> {
        file.write(&self.dir.join(path))
            .map_err(|error| Refused::NotNow(format!("cannot write {path}: {error}")))
    }

    fn put_back(&self, changed: &[(&str, &File)]) {
        for path in changed.iter().map(|(path, _)| *path).filter(|path| *path != BOOTSTRAP) {
            if let Some(old) = self.running.get(path)
                && let Err(why) = self.write(path, old)
            {
                say(why);
            }
        }
    }

    /// The new clusters, and those that run and are not among them.
    fn with_running_clusters(&self, new: &File) -> Option<File> {
        let mut clusters = resources(new)?;
        let names: Vec<Value> = clusters.iter().filter_map(|cluster| cluster.get("name").cloned()).collect();
        let running = resources(self.running.get(CDS)?)?;
        if let Some(secrets) = running.iter().find(|cluster| is_secrets(cluster)) {
            clusters.iter_mut().for_each(|new| render::both_secrets(new, secrets));
        }
        clusters
            .extend(running.into_iter().filter(|c| c.get("name").is_some_and(|name| !names.contains(name))));
        let content = json!({"version_info": format!("{}+", version(new)), "resources": clusters});
        Some(File { content: content.to_string(), secret: new.secret })
    }

    /// The running clusters as they are, those whose names are new, and the secrets of both. `None` when that is
    /// nothing.
    fn with_new_clusters(&self, new: &File) -> Option<File> {
        let running = resources(self.running.get(CDS)?)?;
        let mut clusters = running.clone();
        let names: BTreeSet<&str> = running.iter().filter_map(name).collect();
        let (known, added): (Vec<Value>, Vec<Value>) = resources(new)?
            .into_iter()
            .partition(|cluster| name(cluster).is_some_and(|name| names.contains(name)));
        for mut new in known.into_iter().filter(is_secrets) {
            if let Some(secrets) = clusters.iter_mut().find(|cluster| is_secrets(cluster)) {
                render::both_secrets(&mut new, secrets);
                *secrets = new;
            }
        }
        clusters.extend(added);
        if clusters == running {
            return None;
        }
        let content = json!({"version_info": format!("{}-", version(new)), "resources": clusters});
        Some(File { content: content.to_string(), secret: new.secret })
    }

    /// A listener that is gone from the resources still runs: without its routes.
    fn forget_routes(&self, files: &Files) {
        for (path, file) in self.running.iter() {
            if !path.starts_with("xds/rds") || files.get(path).is_some() {
                continue;
            }
            let Some(mut routes) = resources(file) else { continue };
            for configuration in &mut routes {
                if let Some(hosts) = configuration.get_mut("virtual_hosts") {
                    *hosts = json!([]);
                }
            }
            let content = json!({"version_info": "gone", "resources": routes}).to_string();
            if let Err(why) = self.write(path, &File { content, secret: false }) {
                say(why);
            }
        }
    }

    /// Waits until all versions are in use and no cluster waits for its addresses; an error when Envoy refused
    /// something.
    fn wait_until_taken(
        &self,
        expected: &BTreeMap<String, String>,
        refused_before: &BTreeMap<String, String>,
    ) -> Result<(), Refused> {
        if expected.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let refused = self.refusals()?;
            if let Some((name, _)) =
                refused.iter().find(|(name, count)| is_another(refused_before.get(*name), count))
            {
                let subscription =
                    name.rsplit_once('.').map_or(name.as_str(), |(subscription, _)| subscription);
                let why = format!("Envoy refused {subscription}; its warning above says why");
                return Err(Refused::Files(why));
            }
            let used = self.stats("version_text$")?;
            let taken = expected.values().all(|version| used.values().any(|text| text == version));
            let warm = self.stats("^cluster_manager.warming_clusters$")?.values().all(|count| count == "0");
            if taken && warm {
                return Ok(());
            }
            if Instant::now() > deadline {
                if taken {
                    // A name that nobody resolves: as when Envoy starts, the others must not wait for it.
                    return Ok(());
                }
                let paths: Vec<&str> = expected.keys().map(String::as_str).collect();
                let paths = paths.join(", ");
                let why = format!("Envoy did not take {paths} within {} s", PATIENCE.as_secs());
                return Err(Refused::NotNow(why));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn refusals(&self) -> Result<BTreeMap<String, String>, Refused> {
        self.stats("update_rejected$|update_failure$").map(|mut stats| {
            // Those of clusters are about names that could not be resolved.
            stats.retain(|name, _| !name.starts_with("cluster."));
            stats
        })
    }

    fn stats(&self, regex: &str) -> Result<BTreeMap<String, String>, Refused> {
        self.admin
            .stats(regex)
            .map_err(|error| Refused::NotNow(format!("cannot ask Envoy what it has: {error}")))
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Files(why) | Refused::NotNow(why) => f.write_str(why),
        }
    }
}

fn name(cluster: &Value) -> Option<&str> {
    cluster.get("name")?.as_str()
}

/// Whether it is the cluster that the filter asks for its secrets.
fn is_secrets(cluster: &Value) -> bool {
    name(cluster) == Some(render::SECRETS_CLUSTER)
}

fn is_secret(path: &str) -> bool {
    [SDS, SECRETS].iter().any(|folder| path.starts_with(folder))
}

/// Whether a count has changed. Envoy shows one only once there is something to count for: what was not there before
/// was 0.
fn is_another(before: Option<&String>, now: &str) -> bool {
    before.map_or("0", String::as_str) != now
}

fn parsed(file: &File) -> Option<Value> {
    serde_json::from_str(&file.content).ok()
}

fn resources(file: &File) -> Option<Vec<Value>> {
    parsed(file)?.get("resources")?.as_array().cloned()
}

fn version(file: &File) -> String {
    let version = parsed(file).and_then(|response| Some(response.get("version_info")?.as_str()?.to_owned()));
    version.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_appears_with_nothing_in_it_is_no_refusal() {
        let count = |text: &str| Some(text.to_owned());
        for (before, now, another) in
            [(None, "0", false), (None, "1", true), (count("0"), "0", false), (count("1"), "2", true)]
        {
            assert_eq!(is_another(before.as_ref(), now), another, "{before:?} {now}");
        }
    }
}
