//! The platform by the standard library.

use std::fs;
use std::process::Command;

pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

pub(crate) fn list(folder: &str) -> Option<Vec<String>> {
    fs::read_dir(folder).ok()?.map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then_some(output.stdout)
}
