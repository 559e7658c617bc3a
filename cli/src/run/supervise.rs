//! Children: started so that they end with `weir`, started again when they crash, heard when they complain.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::say;

/// A child that ran this long has recovered: its next crash is the first again.
const RECOVERED: Duration = Duration::from_secs(60);
/// So many crashes in a row end `weir`, when the child is essential.
const CRASHES: u32 = 3;
/// The pause before the second start; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a child may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lines of a child that are kept, to be shown when it crashes.
const TAIL: usize = 20;
/// Lines of a child that are passed on in [`BURST_TIME`]; one that complains about every request must not fill the
/// disk.
const BURST: u32 = 50;
const BURST_TIME: Duration = Duration::from_secs(10);

/// What to start, and how.
pub(super) struct Program {
    /// What it is called in messages.
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Files to remove before each start.
    pub(super) remove_first: Vec<PathBuf>,
    /// Lines that are nobody's concern.
    pub(super) chatter: fn(&str) -> bool,
    /// Whether `weir` ends when it does not stay up; otherwise it is tried for ever.
    pub(super) essential: bool,
    /// Whether SIGUSR1 has it open its logs anew. Others it would end.
    pub(super) reopens_logs: bool,
    launcher: PathBuf,
}

impl Program {
    pub(super) fn new(name: &'static str, path: PathBuf, launcher: &Path) -> Program {
        Program {
            name,
            path,
            args: vec![],
            environment: vec![],
            remove_first: vec![],
            chatter: |_| false,
            essential: false,
            reopens_logs: false,
            launcher: launcher.to_owned(),
        }
    }

    /// Starts it in a process group of its own, so that Ctrl-C at a terminal reaches `weir` alone, which stops it in
    /// good order. Must be called by a thread that lasts: the kernel binds the child to the thread (prctl(2),
    /// PR_SET_PDEATHSIG).
    fn spawn(&self) -> Result<Child, String> {
        for path in &self.remove_first {
            // It is usually not there.
            let _ = std::fs::remove_file(path);
        }
        Command::new(&self.launcher)
            .args(["exec-child", &std::process::id().to_string()])
            .arg("--")
            .arg(&self.path)
            .args(&self.args)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {} ({}): {error}", self.name, self.path.display()))
    }
}

/// A child that is looked after.
pub(super) struct Supervised {
    program: Program,
    state: State,
    crashes: u32,
    tail: Arc<Mutex<VecDeque<String>>>,
}

enum State {
    Running { child: Child, since: Instant },
    Waiting { until: Instant },
}

impl Supervised {
    pub(super) fn start(program: Program) -> Result<Supervised, String> {
        let tail = Arc::default();
        let state = State::Running { child: start(&program, &tail)?, since: Instant::now() };
        Ok(Supervised { program, state, crashes: 0, tail })
    }

    /// An error, with its last lines, when it has ended.
    pub(super) fn still_running(&mut self) -> Result<(), String> {
        let State::Running { child, .. } = &mut self.state else { return Ok(()) };
        match ended(child) {
            None => Ok(()),
            Some(how) => Err(format!("{} did not start: {how}{}", self.program.name, self.last_lines())),
        }
    }

    /// Starts it again when it has ended; an error when it is essential and keeps ending.
    pub(super) fn look_after(&mut self, now: Instant) -> Result<(), String> {
        match &mut self.state {
            State::Running { child, since } => {
                let Some(how) = ended(child) else { return Ok(()) };
                let lived = now.saturating_duration_since(*since);
                self.crashes = if lived >= RECOVERED { 1 } else { self.crashes + 1 };
                let name = self.program.name;
                if self.program.essential && self.crashes >= CRASHES {
                    return Err(format!(
                        "{name} crashed {CRASHES} times in a row: {how}{}",
                        self.last_lines()
                    ));
                }
                let pause = pause(self.crashes);
                say(format!("{name} ended ({how}); starting it again in {} ms", pause.as_millis()));
                self.state = State::Waiting { until: now + pause };
                Ok(())
            }
            State::Waiting { until } if now >= *until => {
                let child = start(&self.program, &self.tail)?;
                self.state = State::Running { child, since: now };
                Ok(())
            }
            State::Waiting { .. } => Ok(()),
        }
    }

    /// Ends it: politely, then not.
    pub(super) fn stop(&mut self) {
        let State::Running { child, .. } = &mut self.state else { return };
        signal(child, Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if ended(child).is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Has it open its logs anew, if it can.
    pub(super) fn reopen_logs(&self) {
        if let (State::Running { child, .. }, true) = (&self.state, self.program.reopens_logs) {
            signal(child, Signal::SIGUSR1);
        }
    }

    fn last_lines(&self) -> String {
        // The reader may still be at it.
        std::thread::sleep(Duration::from_millis(50));
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = tail.iter().map(String::as_str).collect();
        format!("; its last lines:\n  {}", lines.join("\n  "))
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn pause(crashes: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << crashes.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

fn start(program: &Program, tail: &Arc<Mutex<VecDeque<String>>>) -> Result<Child, String> {
    let mut child = program.spawn()?;
    if let Some(stderr) = child.stderr.take() {
        let (name, chatter, tail) = (program.name, program.chatter, Arc::clone(tail));
        std::thread::spawn(move || pass_on(name, chatter, stderr, &tail));
    }
    Ok(child)
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().ok().flatten()
}

/// Passes on what a child writes, line by line, until it ends.
fn pass_on(name: &str, chatter: fn(&str) -> bool, stderr: ChildStderr, tail: &Mutex<VecDeque<String>>) {
    let mut burst = Burst { since: Instant::now(), lines: 0 };
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() || chatter(&line) {
            continue;
        }
        let (allowed, left_out) = burst.admit(Instant::now());
        if left_out > 0 {
            say(format!("{name}: {left_out} more lines"));
        }
        if allowed {
            say(format!("{name}: {line}"));
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

struct Burst {
    since: Instant,
    lines: u32,
}

impl Burst {
    /// Whether a line may pass, and how many were left out before it that nobody was told of.
    fn admit(&mut self, now: Instant) -> (bool, u32) {
        let mut left_out = 0;
        if now.saturating_duration_since(self.since) >= BURST_TIME {
            left_out = self.lines.saturating_sub(BURST);
            *self = Burst { since: now, lines: 0 };
        }
        self.lines = self.lines.saturating_add(1);
        (self.lines <= BURST, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let pauses: Vec<u128> = [1, 2, 3, 7, 40].map(|crashes| pause(crashes).as_millis()).to_vec();
        assert_eq!(pauses, [200, 400, 800, 10_000, 10_000]);
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let begin = Instant::now();
        let mut burst = Burst { since: begin, lines: 0 };
        let passed = (0..80).filter(|_| burst.admit(begin).0).count();
        assert_eq!(passed, 50);
        assert_eq!(burst.admit(begin + BURST_TIME), (true, 30));
        assert_eq!(burst.admit(begin + BURST_TIME), (true, 0));
    }
}
