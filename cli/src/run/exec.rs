//! `weir exec-child`: becomes another program that ends when its parent does.
//!
//! Whatever ends `weir`, a SIGKILL too, the kernel then ends its children. The child has to ask for that itself, before
//! it becomes the program: this is the step in between, without unsafe code in a forked process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Becomes `program`, bound to the life of the process `parent`. Returns only when that cannot be, and says why.
#[must_use]
pub fn exec(parent: i32, program: &OsString, args: &[OsString]) -> String {
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return format!("cannot be bound to its parent's life: {error}");
    }
    // It may have ended before the line above.
    if getppid().as_raw() != parent {
        return "the parent has ended".to_owned();
    }
    // Every stream takes two file descriptors, and the usual limit is 1024.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A lower limit still works.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let error = Command::new(program).args(args).exec();
    format!("cannot start {}: {error}", program.to_string_lossy())
}
