//! New files for an Envoy that runs: in an order in which nothing refers to what is not there, each step confirmed by Envoy before
//! the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::admin::Admin;
use super::say;
use crate::render::{self, BOOTSTRAP, CDS, File, Files, RATELIMIT_ROOT, SDS, SECRETS};

/// How long Envoy may take to say what it thinks of a file.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Clusters that no route names any more stay this long, for requests that chose their route before and are still being repeated.
const RETIREMENT: Duration = Duration::from_secs(60);

/// Why new files were not taken over; the old ones are in their places again.
#[derive(Debug)]
pub(super) enum Refused {
    /// They cannot be; the same ones will not do later either.
    Files(String),
    /// It is not about them: Envoy is being started again or has too much to do, or the disk is full.
    NotNow(String),
}

/// What Envoy runs on, and how it gets something else.
pub(super) struct Reload {
    running: Files,
    dir: PathBuf,
    admin: Admin,
    /// When the clusters that were kept for a while go.
    retire: Option<Instant>,
}

/// Kinds of files in the order in which they are taken over: a route names clusters, and both name what the filter must know. While
/// routes are old the filter knows what they name, too, and last it forgets that.
const STEPS: [&str; 4] = ["xds/cds", ECDS, "xds/rds", ECDS];
const ECDS: &str = "xds/ecds";

impl Reload {
    pub(super) fn new(running: Files, dir: PathBuf, admin: Admin) -> Reload {
        Reload { running, dir, admin, retire: None }
    }

    /// Takes over what differs. Says what it did.
    ///
    /// # Errors
    ///
    /// What Envoy refused, or why it could not be asked.
    pub(super) fn apply(&mut self, files: Files) -> Result<String, Refused> {
        let begin = Instant::now();
        let changed: Vec<(&str, &File)> =
            files.iter().filter(|(path, file)| self.running.get(path) != Some(*file)).collect();
        let fixed = changed.iter().any(|(path, _)| *path == BOOTSTRAP);
        if let Err(why) = self.take(&changed, &files) {
            self.put_back(&changed);
            return Err(why);
        }
        self.forget_routes(&files);
        let mut running = files.clone();
        if let Some(bootstrap) = self.running.get(BOOTSTRAP) {
            running.replace(BOOTSTRAP, bootstrap.clone());
        }
        self.running = running;
        if fixed {
            say(
                "the listeners changed (their ports, buffer limits, timeouts, or which there are); that is taken over by a restart \
                 only, the old ones stay until then",
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

    /// Removes clusters whose time is over.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.retire.is_some_and(|at| now >= at) {
            self.retire = None;
            if let Some(clusters) = self.running.get(CDS)
                && let Err(error) = clusters.write(&self.dir.join(CDS))
            {
                say(format!("cannot remove clusters that are not used any more: {error}"));
            }
        }
    }

    fn take(&mut self, changed: &[(&str, &File)], files: &Files) -> Result<(), Refused> {
        // Envoy, the filter and the ratelimit service watch these; none of them says that it has seen them.
        let quiet = |path: &str| [SDS, SECRETS, RATELIMIT_ROOT].iter().any(|folder| path.starts_with(folder));
        for (path, file) in changed.iter().filter(|(path, _)| quiet(path)) {
            self.write(path, file)?;
        }

        let mut written: BTreeMap<&str, File> = BTreeMap::new();
        for (index, step) in STEPS.into_iter().enumerate() {
            let routes_are_new = index + 1 == STEPS.len();
            let mut expected = BTreeMap::new();
            let before = self.refusals()?;
            for (path, file) in changed.iter().filter(|(path, _)| path.starts_with(step)) {
                let between = match *path {
                    CDS => self.with_running_clusters(file),
                    _ if step == ECDS && !routes_are_new => {
                        self.running.get(path).and_then(|old| render::between(old, file))
                    }
                    _ => None,
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
        if files.get(CDS) != self.running.get(CDS) {
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
        clusters
            .extend(running.into_iter().filter(|c| c.get("name").is_some_and(|name| !names.contains(name))));
        let content = json!({"version_info": format!("{}+", version(new)), "resources": clusters});
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

    /// Waits until all versions are in use and no cluster waits for its addresses; an error when Envoy refused something.
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
                refused.iter().find(|(name, count)| refused_before.get(*name) != Some(count))
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
