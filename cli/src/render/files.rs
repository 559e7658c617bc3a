//! The rendered files: content by path, and how they are written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde_json::Value;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it, all of it text.
    pub content: String,
    /// Whether only its owner may read it.
    pub secret: bool,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secret {
            true => f.write_str("File(redacted)"),
            false => f.debug_tuple("File").field(&self.content).finish(),
        }
    }
}

/// Files by path relative to the folder they belong in, in order of path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, File>);

impl Files {
    /// Adds a file.
    pub fn insert(&mut self, path: impl Into<String>, content: &Value) {
        self.0.insert(path.into(), File { content: written(content), secret: false });
    }

    /// Adds a file that is no JSON.
    pub fn insert_text(&mut self, path: impl Into<String>, content: String) {
        self.0.insert(path.into(), File { content, secret: false });
    }

    /// Adds a file that only its owner may read.
    pub fn insert_secret(&mut self, path: impl Into<String>, content: &Value) {
        self.0.insert(path.into(), File { content: written(content), secret: true });
    }

    /// Adds a file that only its owner may read and that is no JSON.
    pub fn insert_secret_text(&mut self, path: impl Into<String>, content: String) {
        self.0.insert(path.into(), File { content, secret: true });
    }

    /// Puts a file in the place of another.
    pub fn replace(&mut self, path: impl Into<String>, file: File) {
        self.0.insert(path.into(), file);
    }

    /// The file at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }

    /// Keeps the files whose path `wanted` wants.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|path, _| wanted(path));
    }

    /// All files in order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Writes all files below `dir`, each moved into its place whole.
    ///
    /// # Errors
    ///
    /// As the file system has them.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        self.iter().try_for_each(|(path, file)| file.write(&dir.join(path)))
    }
}

/// With line breaks for people, unless it is more than people read.
fn written(content: &Value) -> String {
    const READABLE: usize = 256 << 10;
    let compact = content.to_string();
    if compact.len() > READABLE { compact } else { format!("{content:#}\n") }
}

impl File {
    /// Writes the file and moves it into its place, so that a reader sees the old or the new one and never a part. The
    /// folder is made when it is missing; one that holds secrets is its owner's alone.
    ///
    /// # Errors
    ///
    /// As the file system has them.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mode = if self.secret { 0o600 } else { 0o644 };
        if let Some(parent) = path.parent() {
            let mode = if self.secret { 0o700 } else { 0o755 };
            fs::DirBuilder::new().recursive(true).mode(mode).create(parent)?;
        }
        // Beside the target, for the move must not cross file systems; hidden, so that a reader of `*.json` passes it
        // by.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.new"));
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        let written = file.write_all(self.content.as_bytes());
        drop(file);
        written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
            // On a disk that is full a part of it would be in the way of the next attempt, too.
            let _ = fs::remove_file(&temporary);
        })
    }
}
