//! The way up: ports that must be free, and waiting until everything answers.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::admin::Admin;
use super::signals::Signals;
use super::{Children, Failure};
use crate::plan::Plan;
use crate::render::{Form, Options, ServiceAddress, listener};

/// Envoy waits for names to be resolved before it serves, and a name server that does not answer takes a while.
const ENVOY_PATIENCE: Duration = Duration::from_secs(60);
const SERVICE_PATIENCE: Duration = Duration::from_secs(10);
const REDIS_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// An error when a port is taken. Envoy would not tell: two of them share a port (SO_REUSEPORT), each with some of the
/// connections.
pub(super) fn ports_are_free(plan: &Plan, options: &Options) -> Result<(), Failure> {
    for (index, (port, listeners)) in listener::ports(plan, options)?.iter().enumerate() {
        let remedy = match options.port {
            Some(_) if index == 0 => "choose another with --port",
            None if index == 0 => "choose one with --port",
            _ => "change it in the Gateway",
        };
        let names: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        is_free(options.bind, *port, &names.join(", "), remedy)?;
    }
    is_free(options.admin_bind, options.admin_port, "the admin listener", "choose another with --admin-port")
}

fn is_free(address: IpAddr, port: u16, listener: &str, remedy: &str) -> Result<(), Failure> {
    let why = match TcpListener::bind((address, port)) {
        Ok(_) => return Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::AddrInUse => "another program has it".to_owned(),
            io::ErrorKind::PermissionDenied => "ports below 1024 need special rights".to_owned(),
            _ => error.to_string(),
        },
    };
    Err(Failure::Environment(format!("cannot listen on port {port} for {listener}: {why}; {remedy}")))
}

/// An error when nobody listens at Redis's address: the ratelimit service does not start without it. Later it may come
/// and go.
pub(super) fn redis_answers(address: &str) -> Result<(), Failure> {
    let unreachable = |why: &dyn std::fmt::Display| {
        Failure::Environment(format!(
            "cannot reach Redis at {address}: {why}; --redis must be HOST:PORT of one that runs"
        ))
    };
    let mut last = None;
    for address in address.to_socket_addrs().map_err(|error| unreachable(&error))? {
        match TcpStream::connect_timeout(&address, REDIS_PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| unreachable(&"it has no address"), |error| unreachable(&error)))
}

/// Waits until the ratelimit service takes connections. False when a signal came.
pub(super) fn wait_for_service(
    children: &mut Children,
    options: &Options,
    signals: &mut Signals,
) -> Result<bool, Failure> {
    let Some(ServiceAddress::Unix(socket)) = &options.rate_limit_service else { return Ok(true) };
    let deadline = Instant::now() + SERVICE_PATIENCE;
    while UnixStream::connect(socket).is_err() {
        children.all_running()?;
        if signals.ask_for_end() {
            return Ok(false);
        }
        if Instant::now() > deadline {
            let what =
                format!("the ratelimit service does not answer after {} s", SERVICE_PATIENCE.as_secs());
            return Err(Failure::Environment(what));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}

/// Waits until Envoy serves, and asks for its ports. `None` when a signal came.
pub(super) fn wait_for_envoy(
    children: &mut Children,
    admin: &Admin,
    signals: &mut Signals,
) -> Result<Option<BTreeMap<String, u16>>, Failure> {
    let deadline = Instant::now() + ENVOY_PATIENCE;
    while !admin.is_ready() {
        children.all_running()?;
        if signals.ask_for_end() {
            return Ok(None);
        }
        if Instant::now() > deadline {
            let what = format!("Envoy does not serve after {} s", ENVOY_PATIENCE.as_secs());
            return Err(Failure::Environment(what));
        }
        std::thread::sleep(PAUSE);
    }
    let ports = admin.ports();
    ports.map(Some).map_err(|error| Failure::Environment(format!("cannot ask Envoy for its ports: {error}")))
}

/// An error when Envoy serves without the filter: it refuses one that it cannot run, and answers all requests with an
/// empty error.
pub(super) fn filter_runs(admin: &Admin, form: Form) -> Result<(), Failure> {
    let refused = admin.stats("^extension_config_discovery.*update_rejected$");
    let refused = refused.map_err(|error| {
        Failure::Environment(format!("cannot ask Envoy whether it has loaded the filter: {error}"))
    })?;
    if refused.values().all(|count| count == "0") {
        return Ok(());
    }
    let hint = match form {
        Form::Wasm => "; one that was built without V8 runs the native module alone, --filter module",
        Form::Module => "",
    };
    Err(Failure::Environment(format!("Envoy cannot run the {form}; its warnings above say why{hint}")))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn redis_must_be_reachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        redis_answers(&address).unwrap();
        drop(listener);
        for wrong in [address.as_str(), "redis://127.0.0.1:6379", "127.0.0.1"] {
            let message = redis_answers(wrong).unwrap_err().to_string();
            assert!(message.contains(wrong), "{message}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let taken = TcpListener::bind((address, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let failure =
            is_free(address, port, "default/gateway/http", "choose another with --port").unwrap_err();
        let message = failure.to_string();
        assert!(message.contains(&port.to_string()) && message.contains("--port"), "{message}");
        assert!(matches!(failure, Failure::Environment(_)));
        drop(taken);
        is_free(address, port, "default/gateway/http", "").unwrap();
    }
}
