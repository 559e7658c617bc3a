//! One port: takes requests, keeps them, and plays the answer of a script or of the provider behind it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, Response};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::Answer;
use crate::record::Records;
use crate::script::{Scripts, Shape};
use crate::{anthropic, azure, bedrock, cohere, credentials, google, openai};

/// The largest request body a provider takes, in bytes.
const BODY_LIMIT: usize = 256 * 1024 * 1024;

/// The API a port speaks.
#[derive(Debug)]
pub(crate) enum Provider {
    /// OpenAI's API and its relatives.
    OpenAi(openai::Provider),
    /// OpenAI's API at Azure.
    Azure(azure::Provider),
    /// Anthropic's own API.
    Anthropic(anthropic::Provider),
    /// Bedrock's runtime with Anthropic models.
    Bedrock(bedrock::Provider),
    /// Cohere's chat.
    Cohere(cohere::Provider),
    /// Vertex AI with Gemini and Anthropic models.
    Google(google::Provider),
    /// A container credentials endpoint.
    Credentials(credentials::Provider),
}

/// A port and what stands behind it.
#[derive(Debug)]
pub(crate) struct Port {
    /// The provider's name.
    pub(crate) name: String,
    /// The API it speaks.
    pub(crate) provider: Provider,
    /// Time between two tokens of a stream.
    pub(crate) pace: Duration,
    /// Whether answers are compressed for clients that accept it.
    pub(crate) gzip: bool,
    records: Arc<Records>,
    scripts: Scripts,
}

/// All ports of the process.
pub(crate) type Ports = Arc<[Arc<Port>]>;

/// A request as the providers see it.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The provider's name.
    pub(crate) name: &'a str,
    /// The number of the request on its port, for ids.
    pub(crate) id: u64,
    /// Time between two tokens of a stream.
    pub(crate) pace: Duration,
    /// Length of the answer's text in words, where a script wants another than usual.
    pub(crate) words: Option<usize>,
    /// The method.
    pub(crate) method: &'a Method,
    /// The path as it came, still percent-encoded.
    pub(crate) path: &'a str,
    /// The query without its question mark.
    pub(crate) query: Option<&'a str>,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The body.
    pub(crate) body: &'a Bytes,
}

impl Ask<'_> {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        chrono::Utc::now().timestamp()
    }
}

impl Port {
    /// A port with nothing received yet.
    pub(crate) fn new(name: String, provider: Provider, pace: Duration, gzip: bool) -> Self {
        Self { name, provider, pace, gzip, records: Arc::default(), scripts: Scripts::default() }
    }

    /// Serves until the task is dropped.
    ///
    /// # Errors
    /// What the listening socket reports.
    pub(crate) async fn serve(self: Arc<Self>, all: Ports, listener: TcpListener) -> io::Result<()> {
        let router = Router::new().fallback(handle).with_state((self, all));
        axum::serve(Accept(listener), router.into_make_service_with_connect_info::<Reset>()).await
    }

    async fn default_answer(&self, ask: &Ask<'_>) -> Answer {
        match &self.provider {
            Provider::OpenAi(provider) => provider.answer(ask).await,
            Provider::Azure(provider) => provider.answer(ask),
            Provider::Anthropic(provider) => provider.answer(ask),
            Provider::Bedrock(provider) => provider.answer(ask),
            Provider::Cohere(provider) => provider.answer(ask),
            Provider::Google(provider) => provider.answer(ask),
            Provider::Credentials(provider) => provider.answer(ask),
        }
    }

    fn clear(&self) {
        self.records.clear();
        self.scripts.clear();
    }

    /// What tests ask of the stand-in itself; not recorded.
    fn control(&self, all: &[Arc<Self>], method: &Method, path: &str, body: &Bytes) -> Answer {
        let done = || Answer::json(200, &json!({"ok": true}));
        let refused = |error: String| Answer::json(400, &json!({"error": error}));
        match (method.as_str(), path) {
            ("DELETE", "/_own") => {
                self.clear();
                done()
            }
            ("DELETE", "/_all") => {
                all.iter().for_each(|port| port.clear());
                done()
            }
            ("GET", "/_requests") => Answer::json(200, &self.records.list()),
            ("DELETE", "/_requests") => {
                self.records.clear();
                done()
            }
            ("POST", "/_script") => match serde_json::from_slice(body) {
                Ok(script) => {
                    self.scripts.add(script);
                    done()
                }
                Err(error) => refused(error.to_string()),
            },
            ("GET", "/_script") => Answer::json(200, &json!({"left": self.scripts.left()})),
            ("DELETE", "/_script") => {
                self.scripts.clear();
                done()
            }
            ("PUT", "/_keys" | "/_credentials") => {
                let value: Value = match serde_json::from_slice(body) {
                    Ok(value) => value,
                    Err(error) => return refused(error.to_string()),
                };
                let set = match &self.provider {
                    Provider::Bedrock(provider) => provider.set_keys(value),
                    Provider::Credentials(provider) => provider.set(value),
                    _ => Err("this provider has no such control".to_owned()),
                };
                set.map_or_else(refused, |()| done())
            }
            _ => Answer::json(404, &json!({"error": "no such control"})),
        }
    }
}

async fn handle(
    State((port, all)): State<(Arc<Port>, Ports)>,
    ConnectInfo(reset): ConnectInfo<Reset>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    // The client left while it was sending: nobody is there to answer.
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else { return Response::new(Body::empty()) };
    let path = head.uri.path();
    if path.starts_with("/_") {
        let answer = port.control(&all, &head.method, path, &body);
        let (_, watch) = Arc::new(Records::default()).add("", "", &head.headers, b"");
        return answer.play(reset, watch).await;
    }
    let target = head.uri.path_and_query().map_or(path, |target| target.as_str());
    let (id, watch) = port.records.add(head.method.as_str(), target, &head.headers, &body);
    let ask = |shape: Shape| Ask {
        name: &port.name,
        id,
        pace: shape.delay_ms.map_or(port.pace, Duration::from_millis),
        words: shape.words,
        method: &head.method,
        path,
        query: head.uri.query(),
        headers: &head.headers,
        body: &body,
    };
    let answer = match port.scripts.take(path) {
        Some(script) => {
            let own = match script.shape() {
                Some(shape) => Some(port.default_answer(&ask(shape)).await),
                None => None,
            };
            script.answer(own).unwrap_or_else(|error| Answer::json(500, &json!({"script": error})))
        }
        None => {
            let answer = port.default_answer(&ask(Shape::default())).await;
            let accepted =
                ask(Shape::default()).header("accept-encoding").is_some_and(|value| value.contains("gzip"));
            if port.gzip && accepted {
                answer.gzip().unwrap_or_else(|error| Answer::json(500, &json!({"gzip": error.to_string()})))
            } else {
                answer
            }
        }
    };
    answer.play(reset, watch).await
}

/// Lets an answer reset the connection it is sent on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reset(Arc<AtomicBool>);

impl Reset {
    /// From here on nothing is written any more and the connection closes with a TCP RST.
    pub(crate) fn arm(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn armed(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connected<IncomingStream<'_, Accept>> for Reset {
    fn connect_info(stream: IncomingStream<'_, Accept>) -> Self {
        stream.io().reset.clone()
    }
}

/// A listener whose connections can be reset.
#[derive(Debug)]
pub(crate) struct Accept(TcpListener);

impl Listener for Accept {
    type Io = Socket;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Every chunk goes out as its own packet, as a model server's tokens do.
        let _ = stream.set_nodelay(true);
        (Socket { stream, reset: Reset::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A connection that can be reset.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    reset: Reset,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.armed().is_err() {
            // Closing with a linger time of zero sends RST instead of FIN.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reset.armed()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.reset.armed()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reset.armed()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reset.armed()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
