//! Where resources come from: files, directories, standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The text of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How it was named, for messages.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A file that could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// How it was named.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// The largest file that is read: 64 MiB, some hundred thousand resources.
const LARGEST: u64 = 64 << 20;

/// Reads the arguments of `-f`: files, directories (their `*.yaml` and `*.yml`, sorted by name), `-` for standard
/// input. A file that is named twice is read once.
///
/// # Errors
/// Everything that could not be read, not only the first.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Vec<Unreadable>> {
    let mut sources: Vec<Source> = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        let files = match expand(path) {
            Ok(files) => files,
            Err(error) => {
                unreadable.push(refuse(path, &error));
                continue;
            }
        };
        for file in files {
            let name = file.display().to_string();
            if sources.iter().any(|source| source.name == name) {
                continue;
            }
            match read_one(&file) {
                Ok(text) => sources.push(Source { name: display_name(&file), text }),
                Err(error) => unreadable.push(refuse(&file, &error)),
            }
        }
    }
    if unreadable.is_empty() { Ok(sources) } else { Err(unreadable) }
}

/// The files that would be read, so that they can be watched.
///
/// # Errors
/// A directory that cannot be listed, or that holds no YAML.
pub fn expand(path: &Path) -> io::Result<Vec<PathBuf>> {
    if is_stdin(path) || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(io::Error::other("the directory has no *.yaml or *.yml; name the files themselves"));
    }
    files.sort();
    Ok(files)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn display_name(path: &Path) -> String {
    if is_stdin(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// Standard input, which can be read once and is needed again at every reload.
fn stdin() -> io::Result<&'static [u8]> {
    static READ: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(READ.get_or_init(|| bytes))
}

fn read_one(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if is_stdin(path) {
        bytes.extend_from_slice(stdin()?);
    } else {
        fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 64 MiB; split it into several files"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        io::Error::other(format!("not UTF-8 from byte {offset} on; save it as UTF-8"))
    })
}

fn refuse(path: &Path, error: &io::Error) -> Unreadable {
    Unreadable { name: display_name(path), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_its_yaml_in_order_and_each_file_once() {
        let directory = std::env::temp_dir().join(format!("weir-source-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [("b.yaml", "b: 1"), ("a.yml", "a: 1"), ("notes.txt", "no")] {
            fs::write(directory.join(name), text).unwrap();
        }
        let sources = read(&[directory.clone(), directory.join("b.yaml")]).unwrap();
        let texts: Vec<_> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a: 1", "b: 1"]);

        let unreadable = read(&[directory.join("c.yaml"), directory.join("d.yaml")]).unwrap_err();
        assert_eq!(unreadable.len(), 2);
        fs::remove_dir_all(&directory).unwrap();
    }
}
