//! Where requests go, and a connection to it.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::TcpStream;

use crate::Outcome;

/// What the body names as model when `--models` spreads the requests over many; the digits are replaced.
const PLACEHOLDER: &[u8] = b"model-00000";
const DIGITS: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// http://ADDRESS:PORT/PATH
    #[arg(long)]
    url: Uri,
    /// File with the body of every request
    #[arg(long)]
    body: std::path::PathBuf,
    /// NAME: VALUE, beside content-type and host
    #[arg(long)]
    header: Vec<String>,
    /// Spread the requests over so many models: the `model-00000` of the body counts up
    #[arg(long, default_value_t = 1)]
    models: u32,
}

/// Where requests go and what they say.
pub(crate) struct Target {
    address: SocketAddr,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// Where in the body the digits of the model begin.
    digits: Option<usize>,
    models: u32,
}

impl Target {
    /// # Errors
    /// A URL without an address, a body that cannot be read, a header that is none.
    pub(crate) fn new(options: &Options) -> Outcome<Self> {
        let authority = options.url.authority().ok_or("the URL has no address")?.as_str();
        let mut headers = vec![
            (HOST, HeaderValue::from_str(authority)?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        for header in &options.header {
            let (name, value) = header.split_once(':').ok_or("a header is NAME: VALUE")?;
            headers.push((HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value.trim())?));
        }
        let body = Bytes::from(std::fs::read(&options.body)?);
        let digits = if options.models > 1 {
            let at = memmem::find(&body, PLACEHOLDER).ok_or("the body names no model-00000")?;
            Some(at.saturating_add(PLACEHOLDER.len()).saturating_sub(DIGITS))
        } else {
            None
        };
        let uri = options.url.path().parse()?;
        Ok(Self { address: authority.parse()?, uri, headers, body, digits, models: options.models })
    }

    /// A connection of its own, served by a task.
    ///
    /// # Errors
    /// Nobody listens, or the connection broke off.
    pub(crate) async fn connect(&self) -> Outcome<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        // A connection that breaks tells so to the request that is on it.
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The request of this number.
    pub(crate) fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body(number)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().extend(self.headers.iter().cloned());
        request
    }

    fn body(&self, number: u64) -> Bytes {
        let Some(digits) = self.digits else { return self.body.clone() };
        // A step that is prime to the number of models visits all of them, and never the next one.
        let model = number.wrapping_mul(7919) % u64::from(self.models);
        let mut body = BytesMut::from(self.body.as_ref());
        let name = format!("{model:05}");
        if let Some(place) = body.get_mut(digits..digits.saturating_add(DIGITS)) {
            place.copy_from_slice(name.as_bytes());
        }
        body.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_all_models() {
        let target = Target {
            address: "127.0.0.1:1".parse().unwrap(),
            uri: Uri::from_static("/"),
            headers: Vec::new(),
            body: Bytes::from_static(br#"{"model":"model-00000"}"#),
            digits: Some(16),
            models: 100,
        };
        let bodies: std::collections::BTreeSet<Bytes> = (0..100).map(|number| target.body(number)).collect();
        assert_eq!(bodies.len(), 100);
        assert!(bodies.contains(&Bytes::from_static(br#"{"model":"model-00099"}"#)));
    }
}
