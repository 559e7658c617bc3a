//! Where a plan comes from: the one place that knows of files and `check`.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::check::{self, Environment};
use crate::plan::{ContainerToken, Plan, SecretValue};
use crate::resources::source;

/// A plan, and what is to be said about it.
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// Warnings, and resources that were skipped; a line each.
    pub notes: Vec<String>,
}

/// Why there is no plan: a line for each mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(pub Vec<String>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Resources that can be read again.
pub trait Loader {
    /// A digest of what would be loaded now; it differs when the resources do.
    fn digest(&self) -> Vec<u8>;

    /// Reads and checks the resources.
    ///
    /// # Errors
    ///
    /// All mistakes in them.
    fn load(&self) -> Result<Loaded, Report>;
}

/// The files and folders of `-f`, and what they lead to.
pub struct Files {
    paths: Vec<PathBuf>,
    /// Files that what was loaded takes besides.
    others: RefCell<Vec<PathBuf>>,
}

impl Files {
    /// The files and folders of `-f`.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Files {
        Files { paths, others: RefCell::default() }
    }
}

impl Loader for Files {
    fn digest(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        self.paths.iter().for_each(|path| add(&mut digest, path));
        self.others.borrow().iter().for_each(|path| add(&mut digest, path));
        if let Some(token) = std::env::var_os("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            add(&mut digest, Path::new(&token));
        }
        // Tools for temporary credentials write a new one every hour or so.
        let files = [
            Environment::aws_credentials_path(),
            Environment::aws_config_path(),
            Environment::google_credentials_path(),
        ];
        files.iter().flatten().for_each(|path| add(&mut digest, path));
        digest.finalize().to_vec()
    }

    fn load(&self) -> Result<Loaded, Report> {
        let unreadable =
            |errors: Vec<_>| Report(errors.iter().map(|error| format!("error: {error}")).collect());
        let sources = source::read(&self.paths).map_err(unreadable)?;
        let compiled = check::compile(&sources, &Environment::of_process());
        let notes = check::command::findings(&compiled);
        match compiled.plan {
            Some(mut plan) => {
                read_container_token(&mut plan);
                self.others.replace(plan.files.keys().map(PathBuf::from).collect());
                read_files(&mut plan);
                Ok(Loaded { plan, notes })
            }
            None => Err(Report(notes)),
        }
    }
}

/// Reads the container token. Envoy would read it too, but does not notice a file that is written in place.
fn read_container_token(plan: &mut Plan) {
    let Some(token) = plan.aws_container.as_mut().and_then(|container| container.token.as_mut()) else {
        return;
    };
    if let ContainerToken::File(file) = token
        && let Ok(value) = std::fs::read_to_string(file)
    {
        *token = ContainerToken::Value(SecretValue(value.trim().to_owned()));
    }
}

/// Reads the files that credentials are made of. One that is not there comes later.
fn read_files(plan: &mut Plan) {
    plan.files.retain(|path, value| match std::fs::read_to_string(path) {
        Ok(text) => {
            *value = SecretValue(text);
            true
        }
        Err(_) => false,
    });
}

/// A digest that differs when `digest` does, or the content of a file.
pub(super) fn with_file(digest: Vec<u8>, file: Option<&Path>) -> Vec<u8> {
    let Some(file) = file else { return digest };
    let mut both = Sha256::new_with_prefix(digest);
    add(&mut both, file);
    both.finalize().to_vec()
}

/// Adds a file's content, or that of a folder's files. What cannot be read counts as different from what can.
fn add(digest: &mut Sha256, path: &Path) {
    if path.as_os_str() == "-" {
        return;
    }
    digest.update(path.as_os_str().as_encoded_bytes());
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
        files.sort();
        files.iter().for_each(|file| add(digest, file));
        return;
    }
    match std::fs::read(path) {
        Ok(content) => {
            digest.update([1]);
            digest.update(Sha256::digest(content));
        }
        Err(_) => digest.update([0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_files_folders_and_links_that_are_swapped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        let files = Files::new(vec![file.clone()]);
        let missing = files.digest();
        std::fs::write(&file, "").unwrap();
        let empty = files.digest();
        assert_ne!(missing, empty);
        std::fs::write(&file, "x").unwrap();
        assert_ne!(empty, files.digest());
        std::fs::write(&file, "").unwrap();
        assert_eq!(empty, files.digest());

        let folder = Files::new(vec![dir.path().to_owned()]);
        let before = folder.digest();
        std::fs::write(dir.path().join("b.yaml"), "").unwrap();
        assert_ne!(before, folder.digest());

        // As Kubernetes mounts a ConfigMap.
        let mounted = dir.path().join("mounted");
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            std::fs::create_dir_all(mounted.join(version)).unwrap();
            std::fs::write(mounted.join(version).join("c.yaml"), text).unwrap();
        }
        std::os::unix::fs::symlink("..1", mounted.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/c.yaml", mounted.join("c.yaml")).unwrap();
        let link = Files::new(vec![mounted.join("c.yaml")]);
        let before = link.digest();
        std::os::unix::fs::symlink("..2", mounted.join("..new")).unwrap();
        std::fs::rename(mounted.join("..new"), mounted.join("..data")).unwrap();
        assert_ne!(before, link.digest());
    }
}
