//! `weir run`: Envoy on the rendered files, with the ratelimit service beside it, from the first line to the last.

mod admin;
mod admin_token;
mod directory;
pub mod exec;
pub mod load;
mod locate;
mod outage;
mod programs;
mod ready;
mod reload;
mod room;
mod signals;
mod supervise;
mod watch;
mod writes;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub use locate::{Found, Missing, Parts, Version};

use crate::plan::{Listener, Plan};
use crate::render::{self, Filter, Form, Options, ServiceAddress};
use admin::Admin;
use directory::RunDirectory;
use load::{Loader, Report};
use outage::Outage;
use reload::{Refused, Reload, Rendered};
use signals::{Signals, Wish};
use supervise::{Program, Supervised};
use writes::Writes;

/// How often the children, the signals and the files are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long before the end of the waiting the filter is told of it: Envoy sees the file at once, the filter looks ten
/// times a second, and the clients must be reached.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The form of the filter. `None`: the native module where it can run, else wasm.
    pub form: Option<Form>,
    /// Instead of the port of the first listener; 0: a free one.
    pub port: Option<u16>,
    /// Port of the admin listener; 0: a free one.
    pub admin_port: u16,
    /// The address that it binds.
    pub admin_bind: IpAddr,
    /// A file with the token that its requests must bring.
    pub admin_token_file: Option<PathBuf>,
    /// The address the listeners bind.
    pub bind: IpAddr,
    /// `host:port` of Redis; with it the ratelimit service counts the budgets.
    pub redis: Option<String>,
    /// One JSON line per request.
    pub access_log: Option<PathBuf>,
    /// Refuse requests while the ratelimit service is down.
    pub rate_limit_fail_closed: bool,
    /// Envoy's worker threads. `None`: one for each core.
    pub concurrency: Option<u32>,
    /// Envoy's log level.
    pub log_level: String,
    /// How long running requests may go on after the signal to stop.
    pub drain_time: Duration,
    /// The `weir` executable: children are started through it, so that none outlives its parent. See [`exec`].
    pub launcher: PathBuf,
}

/// Why `weir run` ended or did not begin.
#[derive(Debug)]
pub enum Failure {
    /// The resources have mistakes: exit code 1.
    Resources(Report),
    /// They are right, but cannot be rendered: exit code 1.
    Render(render::Error),
    /// A part is missing, or something is in the way: exit code 2.
    Environment(String),
}

impl Failure {
    /// 1 for bad resources, 2 for everything that the machine lacks.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Resources(_) | Failure::Render(_) => ExitCode::from(1),
            Failure::Environment(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Resources(report) => report.fmt(f),
            Failure::Render(error) => error.fmt(f),
            Failure::Environment(what) => f.write_str(what),
        }
    }
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        Failure::Environment(missing.to_string())
    }
}

impl From<render::Error> for Failure {
    fn from(error: render::Error) -> Self {
        Failure::Render(error)
    }
}

/// Told where responses are named with a key that nobody else has.
const MADE_KEY: &str = "stored responses are named with a key made for this run: another run, or another proxy, does not \
                        know their names; see the annotation weir.dev/response-key";

/// Says something to whoever runs `weir`.
pub fn say(message: impl fmt::Display) {
    // In one write: Envoy logs to the same place. Nobody may be listening any more, which is no reason to stop serving.
    let _ = io::stderr().write_all(format!("weir: {message}\n").as_bytes());
}

/// Serves until a signal comes.
///
/// # Errors
///
/// See [`Failure`]; everything that was started is stopped by then.
pub fn run(loader: &dyn Loader, wishes: &Wishes) -> Result<(), Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::Environment(format!("cannot listen to signals: {error}")))?;
    let digest = || load::with_file(loader.digest(), wishes.admin_token_file.as_deref());
    let mut watch = watch::Watch::new(digest());
    let loaded = loader.load().map_err(Failure::Resources)?;
    loaded.notes.iter().for_each(say);
    let environment = |name: &str| std::env::var_os(name);
    let directory = RunDirectory::create()?;
    let wanted = locate::Wanted {
        form: wishes.form,
        rate_limit_service: wishes.redis.is_some(),
        folder: directory.path(),
    };
    let parts = locate::parts(&environment, &wishes.launcher, &wanted)?;
    let mut options = options(own_filter(&parts.filter.filter, &directory)?, wishes, directory.path())?;
    let salt = render::Salt::new();
    options.salt = Some(salt.map_err(|error| Failure::Environment(format!("no random numbers: {error}")))?);
    say(format!("running on Envoy {} with the {}", locate::shown(parts.version), introduced(&parts.filter)));
    if loaded.plan.filter.kept_key.is_none()
        && loaded.plan.filter.backends.keys().any(|name| render::kept::keeps(&loaded.plan, name))
    {
        say(MADE_KEY);
    }
    ready::ports_are_free(&loaded.plan, &options)?;

    let (files, _) = rendered(&loaded.plan, &options)?;
    let written = files.write(directory.path());
    written.map_err(|error| {
        Failure::Environment(format!("cannot write {}: {error}", directory.path().display()))
    })?;

    let admin = Admin::new(&directory.path().join(render::ADMIN_SOCKET));
    let mut children = Children::default();
    if let Some(redis) = &wishes.redis {
        ready::redis_answers(redis)?;
        children.start(programs::rate_limit_service(&parts, wishes, redis, &options))?;
        if !ready::wait_for_service(&mut children, &options, &mut signals)? {
            return Ok(());
        }
    }
    children.start(programs::envoy(&parts, wishes, &options))?;
    let Some(ports) = ready::wait_for_envoy(&mut children, &admin, &mut signals)? else {
        return Ok(());
    };
    ready::filter_runs(&admin, options.filter.form)?;
    // Ports that Envoy chose stay: it takes them again when it is started again.
    let first = loaded.plan.listeners.first().map_or("", |listener| &listener.name);
    options.port = wishes.port.and(ports.get(first).copied());
    options.admin_port = ports.get("weir_admin").copied().unwrap_or(options.admin_port);
    let running = rendered(&loaded.plan, &options)?;
    if let Some(bootstrap) = running.0.get(render::BOOTSTRAP) {
        let written = bootstrap.write(&directory.path().join(render::BOOTSTRAP));
        written.map_err(|error| Failure::Environment(format!("cannot write Envoy's bootstrap: {error}")))?;
    }

    // Whoever waits for this may change things at once.
    announce(&loaded.plan, &ports, wishes);

    let mut outage = wishes.redis.as_ref().map(|_| Outage::new(admin.clone()));
    let mut writes = wishes.access_log.as_ref().map(|_| Writes::new(admin.clone()));
    let mut reload = Reload::new(running, directory.path().to_owned(), admin.clone());
    loop {
        match signals.wish() {
            Some(Wish::End) => break,
            Some(Wish::Reopen) => children.reopen_logs(),
            None => {}
        }
        children.look_after(Instant::now())?;
        reload.tick(Instant::now());
        if let Some(outage) = &mut outage {
            outage.tick(Instant::now());
        }
        if let Some(writes) = &mut writes {
            writes.tick(Instant::now());
        }
        if watch.changed(digest) {
            match take_over(loader, wishes, &mut options, &mut reload) {
                Err(Refused::NotNow(_)) => say(format!("trying again in {} s", watch.again().as_secs())),
                Err(Refused::Files(_)) | Ok(()) => watch.done(),
            }
        }
        std::thread::sleep(TICK);
    }
    drain(&admin, &loaded.plan, wishes, &mut signals, &reload);
    Ok(())
}

/// What Envoy runs on here.
fn rendered(plan: &Plan, options: &Options) -> Result<Rendered, render::Error> {
    let mut files = render::envoy(plan, options)?;
    render::bound(&mut files, &room::of_this_machine());
    Ok((files, render::security::by_route(plan)))
}

/// A copy of the filter for this run: Envoy reads the file again at every reload, and must not find another version in
/// its place.
fn own_filter(found: &Filter, directory: &RunDirectory) -> Result<Filter, Failure> {
    let copy = directory.path().join(found.form.file_name());
    let copied = std::fs::copy(&found.file, &copy);
    copied.map_err(|error| Failure::Environment(format!("cannot copy {}: {error}", found.file.display())))?;
    Ok(Filter { form: found.form, file: copy })
}

/// Which filter it is, and why not the native module, which is the faster one.
fn introduced(found: &Found) -> String {
    let Filter { form, file } = &found.filter;
    let why = found.why_not_native.as_ref().map(|why| format!(" ({why})"));
    format!("{form} {}{}", file.display(), why.unwrap_or_default())
}

/// Takes over changed resources, or says why not. The running configuration stays until Envoy has accepted the new one.
fn take_over(
    loader: &dyn Loader,
    wishes: &Wishes,
    options: &mut Options,
    reload: &mut Reload,
) -> Result<(), Refused> {
    let mut rendered = || {
        options.admin_token = admin_token::read(wishes).map_err(|failure| failure.to_string())?;
        let loaded = loader.load().map_err(|report| report.to_string())?;
        loaded.notes.iter().for_each(say);
        self::rendered(&loaded.plan, options).map_err(|error| error.to_string())
    };
    let taken = rendered().map_err(Refused::Files).and_then(|files| reload.apply(files));
    match taken {
        Ok(what) => say(what),
        Err(why) => {
            say(format!("{why}\nweir: kept the running configuration"));
            return Err(why);
        }
    }
    Ok(())
}

fn options(filter: Filter, wishes: &Wishes, directory: &Path) -> Result<Options, Failure> {
    let socket = || ServiceAddress::Unix(directory.join("ratelimit.sock"));
    Ok(Options {
        dir: directory.to_owned(),
        filter,
        bind: wishes.bind,
        port: wishes.port,
        admin_port: wishes.admin_port,
        admin_bind: wishes.admin_bind,
        admin_token: admin_token::read(wishes)?,
        rate_limit_service: wishes.redis.as_ref().map(|_| socket()),
        rate_limit_fail_closed: wishes.rate_limit_fail_closed,
        access_log: wishes.access_log.as_deref().map(absolute).transpose()?,
        system_ca: locate::system_ca(),
        salt: None,
    })
}

/// The file of the filter in one of its forms, where `weir run` would take it from.
///
/// # Errors
///
/// It is not there.
pub fn filter_file(form: Form, launcher: &Path) -> Result<PathBuf, Failure> {
    Ok(locate::file(form, &|name| std::env::var_os(name), launcher)?)
}

/// What `weir render` renders with.
///
/// # Errors
///
/// A part is missing, or the environment says something that cannot be.
pub fn render_options(
    wishes: &Wishes,
    directory: &Path,
    service: Option<ServiceAddress>,
) -> Result<Options, Failure> {
    let environment = |name: &str| std::env::var_os(name);
    let found = locate::filter_to_render(&environment, &wishes.launcher, wishes.form)?;
    let (form, file) = (found.filter.form, &found.filter.file);
    // A wasm filter is named by its path, a module by a folder and a name.
    if form == Form::Module && file.file_name().is_none_or(|name| name != form.file_name()) {
        let (file, name) = (file.display(), form.file_name());
        return Err(Failure::Environment(format!(
            "$WEIR_MODULE is {file}; Envoy only takes a file named {name}"
        )));
    }
    say(format!("rendering for the {}", introduced(&found)));
    if let Some((name, value)) = found.filter.environment() {
        say(format!(
            "Envoy needs {name}={} in its environment (written to {})",
            value.display(),
            render::ENVIRONMENT
        ));
    }
    let options = options(found.filter, wishes, &absolute(directory)?)?;
    Ok(Options { rate_limit_service: service, ..options })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::Environment(format!("{}: {error}", path.display())))
}

/// The two lines that scripts wait for; nothing else goes to standard output.
fn announce(plan: &Plan, ports: &BTreeMap<String, u16>, wishes: &Wishes) {
    let host = in_url(wishes.bind);
    let place = |listener: &Listener, port: u16| {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{port}")
    };
    // Envoy knows the listeners of a port by the name of the first.
    let at = plan.ports().into_iter().filter_map(|(_, listeners)| {
        let port = *ports.get(&listeners.first()?.name)?;
        Some(listeners.into_iter().map(move |listener| (listener, port)))
    });
    let mut listeners = at.flatten();
    let mut out = io::stdout().lock();
    if let Some((listener, port)) = listeners.next() {
        let _ = writeln!(out, "listening on {}", place(listener, port));
    }
    if let Some(port) = ports.get("weir_admin") {
        let _ = writeln!(out, "admin on http://{}:{port}", in_url(wishes.admin_bind));
    }
    let _ = out.flush();
    for (listener, port) in listeners {
        let named = listener.hostname.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
        say(format!("{} on {}{named}", listener.name, place(listener, port)));
    }
}

fn in_url(address: IpAddr) -> String {
    match address {
        address if address.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Takes no new connections and waits for the requests that are running. A second signal ends the waiting. Streams that
/// last longer are ended with an error of their client's API, which has its time within that of the waiting.
fn drain(admin: &Admin, plan: &Plan, wishes: &Wishes, signals: &mut Signals, reload: &Reload) {
    let active = || {
        let stats = admin.stats("downstream_rq_active$").unwrap_or_default();
        let of_listeners = |(name, _): &(&String, &String)| {
            plan.listeners.iter().any(|listener| name.contains(listener.name.as_str()))
        };
        let counts = stats.iter().filter(of_listeners);
        counts.filter_map(|(_, value)| value.parse::<u64>().ok()).sum::<u64>()
    };
    let running = active();
    if running == 0 {
        return;
    }
    say(format!("stopping: {running} requests are running, waiting up to {} s", wishes.drain_time.as_secs()));
    if let Err(error) = admin.post("/drain_listeners") {
        say(format!("cannot drain the listeners: {error}"));
    }
    let last_words = LAST_WORDS.min(wishes.drain_time / 2);
    let wait = |signals: &mut Signals, time: Duration| {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline && active() > 0 && !signals.ask_for_end() {
            std::thread::sleep(TICK);
        }
        active() > 0
    };
    if wait(signals, wishes.drain_time.saturating_sub(last_words)) {
        reload.end_streams();
        wait(signals, last_words);
    }
}

/// What was started, stopped in reverse order whatever happens.
#[derive(Default)]
struct Children(Vec<Supervised>);

impl Children {
    fn start(&mut self, program: Program) -> Result<(), Failure> {
        self.0.push(Supervised::start(program).map_err(Failure::Environment)?);
        Ok(())
    }

    /// Restarts what crashed. An error when one that is essential crashes again and again.
    fn look_after(&mut self, now: Instant) -> Result<(), Failure> {
        self.0.iter_mut().try_for_each(|child| child.look_after(now)).map_err(Failure::Environment)
    }

    /// Has those that write logs open them anew.
    fn reopen_logs(&self) {
        self.0.iter().for_each(Supervised::reopen_logs);
    }

    /// An error when one of them has ended: what it said last.
    fn all_running(&mut self) -> Result<(), Failure> {
        self.0.iter_mut().try_for_each(Supervised::still_running).map_err(Failure::Environment)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        while let Some(mut child) = self.0.pop() {
            child.stop();
        }
    }
}
