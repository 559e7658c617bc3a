//! Envoy's admin, spoken to over its Unix socket.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read: the statistics of a thousand clusters have some megabytes.
const LARGEST: u64 = 64 << 20;

/// A client that opens a connection for every request, and takes just the HTTP/1.1 that Envoy's admin speaks.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    socket: PathBuf,
}

impl Admin {
    pub(super) fn new(socket: &Path) -> Admin {
        Admin { socket: socket.to_owned() }
    }

    /// Whether Envoy takes requests.
    pub(super) fn is_ready(&self) -> bool {
        self.request("GET", "/ready").is_ok_and(|body| body.trim() == "LIVE")
    }

    /// The ports of the listeners that have one, by name.
    pub(super) fn ports(&self) -> io::Result<BTreeMap<String, u16>> {
        let listeners: Value = serde_json::from_str(&self.request("GET", "/listeners?format=json")?)?;
        let statuses =
            listeners.pointer("/listener_statuses").and_then(Value::as_array).into_iter().flatten();
        let port = |status: &Value| {
            let name = status.get("name")?.as_str()?.to_owned();
            let port = status.pointer("/local_address/socket_address/port_value")?.as_u64()?;
            Some((name, u16::try_from(port).ok()?))
        };
        Ok(statuses.filter_map(port).collect())
    }

    /// The statistics whose names match a regular expression (no `&` in it); texts without their quotes.
    pub(super) fn stats(&self, regex: &str) -> io::Result<BTreeMap<String, String>> {
        let body = self.request("GET", &format!("/stats?filter={regex}"))?;
        let stat = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        };
        Ok(body.lines().filter_map(stat).collect())
    }

    /// Carries out one of Envoy's commands.
    pub(super) fn post(&self, path: &str) -> io::Result<()> {
        self.request("POST", path).map(|_| ())
    }

    fn request(&self, method: &str, path: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: weir\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )?;
        answer(BufReader::new(stream.take(LARGEST)))
    }
}

/// Reads an answer to its end: the connection's, or the last chunk.
fn answer(mut reader: impl BufRead) -> io::Result<String> {
    let status = line(&mut reader)?;
    let mut chunked = false;
    loop {
        let header = line(&mut reader)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = line(&mut reader)?;
            let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            let read = (&mut reader).take(size).read_to_end(&mut body)?;
            if read as u64 != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line(&mut reader)?;
        }
    } else {
        reader.read_to_end(&mut body)?;
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body),
        _ => Err(io::Error::other(format!("Envoy's admin answered {status}: {}", body.trim()))),
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_and_without_chunks() {
        let plain = "HTTP/1.1 200 OK\r\nserver: envoy\r\n\r\nLIVE\n";
        assert_eq!(answer(plain.as_bytes()).unwrap(), "LIVE\n");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na: \r\nc\r\n1\nb: \"two\"\n?\r\n0\r\n\r\n";
        assert_eq!(answer(chunked.as_bytes()).unwrap(), "a: 1\nb: \"two\"\n?");
        let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab";
        assert_eq!(answer(cut.as_bytes()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let refused = "HTTP/1.1 503 Service Unavailable\r\n\r\nPRE_INITIALIZING\n";
        assert!(answer(refused.as_bytes()).unwrap_err().to_string().contains("PRE_INITIALIZING"));
    }
}
