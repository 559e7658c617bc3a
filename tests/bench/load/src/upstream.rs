//! The model server: reads the whole request before it answers, as models do.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::TcpListener;

use crate::stream::Answer;
use crate::{Outcome, answers, say};

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// Time between two events of a paced stream.
const PACE: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen on loopback; 0 takes a free port, which is printed
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Serves until it is ended.
pub(crate) async fn serve(options: Options) -> Outcome<()> {
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?))?;
    let models = Rc::new(Models::new());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let models = models.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| answer(models.clone(), request));
            // A gateway that goes away is no concern of the model's.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(models: Rc<Models>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(response(StatusCode::BAD_REQUEST, JSON, Answer::Whole(None)));
    };
    Ok(models.answer(head.uri.path(), &body.to_bytes()))
}

/// All models, by the name they are called by:
///
/// | name | answer |
/// |---|---|
/// | `sse-N` | an OpenAI stream of N chunks, as fast as it can be written |
/// | `paced` | an OpenAI chunk every 10 ms, without end |
/// | `idle` | one OpenAI chunk, then nothing |
/// | `embeddings` | embeddings of 1 MB |
/// | `claude` | a Claude message as Bedrock's InvokeModel returns it |
/// | `claude-N` | the same streamed in N deltas, as InvokeModelWithResponseStream does |
/// | any other | a chat completion of 1.8 kB |
struct Models {
    chat: Bytes,
    embeddings: Bytes,
    message: Bytes,
    first_word: Bytes,
    streams: RefCell<HashMap<(Stream, usize), Pieces>>,
}

type Pieces = Rc<[Bytes]>;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stream {
    Chat,
    Message,
}

impl Models {
    fn new() -> Self {
        Self {
            chat: answers::chat(),
            embeddings: answers::embeddings(1 << 20),
            message: answers::message(),
            first_word: answers::chat_word(),
            streams: RefCell::default(),
        }
    }

    fn answer(&self, path: &str, body: &[u8]) -> Response<Answer> {
        let model = model_of_path(path).or_else(|| model_of_body(body)).unwrap_or_default();
        let ok = |kind, answer| response(StatusCode::OK, kind, answer);
        match model {
            "embeddings" => ok(JSON, Answer::Whole(Some(self.embeddings.clone()))),
            "paced" => ok(SSE, Answer::paced(PACE)),
            "idle" => ok(SSE, Answer::Idle(Some(self.first_word.clone()))),
            "claude" => ok(JSON, Answer::Whole(Some(self.message.clone()))),
            _ => match length(model) {
                Some((stream, length)) => match self.stream(stream, length) {
                    Ok(pieces) => {
                        ok(if stream == Stream::Chat { SSE } else { EVENT_STREAM }, Answer::fast(pieces))
                    }
                    Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, JSON, Answer::Whole(None)),
                },
                None => ok(JSON, Answer::Whole(Some(self.chat.clone()))),
            },
        }
    }

    fn stream(&self, stream: Stream, length: usize) -> Outcome<Pieces> {
        let key = (stream, length);
        if let Some(made) = self.streams.borrow().get(&key) {
            return Ok(made.clone());
        }
        let pieces: Pieces = match stream {
            Stream::Chat => answers::chat_stream(length).into(),
            Stream::Message => answers::message_stream(length)?.into(),
        };
        self.streams.borrow_mut().insert(key, pieces.clone());
        Ok(pieces)
    }
}

fn length(model: &str) -> Option<(Stream, usize)> {
    let (stream, length) = model.rsplit_once('-')?;
    let stream = match stream {
        "sse" => Stream::Chat,
        "claude" => Stream::Message,
        _ => return None,
    };
    Some((stream, length.parse().ok()?))
}

/// Bedrock: `/model/NAME/invoke`.
fn model_of_path(path: &str) -> Option<&str> {
    Some(path.strip_prefix("/model/")?.split_once('/')?.0)
}

/// The first `"model": "NAME"`. A parser would cost more than all the rest of this server.
fn model_of_body(body: &[u8]) -> Option<&str> {
    let key = memmem::find(body, b"\"model\"")?;
    let rest = body.get(key.checked_add(7)?..)?;
    let open = memchr::memchr(b'"', rest)?;
    let name = rest.get(open.checked_add(1)?..)?;
    std::str::from_utf8(name.get(..memchr::memchr(b'"', name)?)?).ok()
}

fn response(status: StatusCode, kind: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_by_the_path_or_the_body() {
        assert_eq!(model_of_path("/model/claude-500/invoke-with-response-stream"), Some("claude-500"));
        assert_eq!(model_of_path("/v1/chat/completions"), None);
        assert_eq!(model_of_body(br#"{"a": 1, "model" : "sse-20", "b": 2}"#), Some("sse-20"));
        assert_eq!(model_of_body(b"{}"), None);
    }

    #[test]
    fn a_name_says_how_long_the_stream_is() {
        assert!(matches!(length("sse-2000"), Some((Stream::Chat, 2000))));
        assert!(matches!(length("claude-500"), Some((Stream::Message, 500))));
        assert!(length("model-00042").is_none());
        assert!(length("sse-").is_none());
    }
}
