//! The run directory: private, and gone afterwards, also when its owner was killed.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{Failure, say};

const PREFIX: &str = "weir-run-";
const LOCK: &str = "lock";

/// The longest path of a Unix socket is 107 bytes on Linux (unix(7)); the longest name within is `secrets.sock`.
const LONGEST: usize = 107 - "/ratelimit.sock".len();

/// A folder for one run, removed when dropped.
pub(super) struct RunDirectory {
    dir: TempDir,
    /// Held while the run lasts: the kernel lets go of it however the process ends.
    _lock: File,
}

impl RunDirectory {
    /// Makes one for this run, and removes those whose owners were killed: they hold secrets.
    pub(super) fn create() -> Result<RunDirectory, Failure> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() + PREFIX.len() + 7 > LONGEST {
            parent = "/tmp".into();
        }
        remove_abandoned(&parent);
        let make = || -> std::io::Result<RunDirectory> {
            let private = fs::Permissions::from_mode(0o700);
            let dir = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(&parent)?;
            let lock = File::create(dir.path().join(LOCK))?;
            lock.try_lock()?;
            Ok(RunDirectory { dir, _lock: lock })
        };
        make().map_err(|error| {
            Failure::Environment(format!(
                "cannot make a private folder in {}: {error}; $TMPDIR names another place",
                parent.display()
            ))
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // One that is just being made has no lock yet.
        let age = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        if age.is_none_or(|age| age < Duration::from_secs(10)) {
            continue;
        }
        // Others' folders cannot be opened.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            say(format!("cannot remove {}, left behind by an earlier run: {error}", entry.path().display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_gone_afterwards() {
        let directory = RunDirectory::create().unwrap();
        let path = directory.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_nobody_holds_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        let make = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            let lock = File::create(dir.join(LOCK)).unwrap();
            File::open(&dir).unwrap().set_modified(old).unwrap();
            lock
        };
        drop(make("weir-run-abandoned"));
        drop(make("other"));
        let held = make("weir-run-held");
        held.try_lock().unwrap();
        remove_abandoned(parent.path());
        let left = |name: &str| parent.path().join(name).exists();
        assert_eq!([left("weir-run-abandoned"), left("weir-run-held"), left("other")], [false, true, true]);
    }
}
