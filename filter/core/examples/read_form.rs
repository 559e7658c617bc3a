//! Reads forms as the edge role does: a line of JSON each, `{"type": content type, "body": form}`, both in base64. For
//! the test that compares it with servers (`tests/forms`).

use std::cell::RefCell;
use std::io::{self, BufRead, Write};
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use weir_core::config::Config;
use weir_core::edge::{Edge, Request};
use weir_core::exchange::Exchange;
use weir_core::headers::{Headers, MODEL_HEADER};

#[derive(Deserialize)]
struct Form {
    #[serde(rename = "type")]
    content_type: String,
    body: String,
}

fn main() -> io::Result<()> {
    let config = Arc::new(Config::default());
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let form: Form = serde_json::from_str(&line?)?;
        let bytes = |text: &str| STANDARD.decode(text).map_err(io::Error::other);
        let seen = match read(&config, &bytes(&form.content_type)?, &bytes(&form.body)?) {
            Ok(model) => json!({ "values": [model], "files": 0 }),
            Err(error) => json!({ "values": [], "files": 0, "error": error }),
        };
        writeln!(out, "{seen}")?;
    }
    Ok(())
}

fn read(config: &Arc<Config>, content_type: &[u8], body: &[u8]) -> Result<String, String> {
    let headers: Headers = [
        (":method", b"POST".as_slice()),
        (":path", b"/v1/audio/transcriptions"),
        ("content-type", content_type),
    ]
    .into_iter()
    .collect();
    let mut edge = Edge::new(Arc::clone(config), Rc::new(RefCell::new(Exchange::new(headers, 0))));
    let mut request = edge.request_headers(false);
    if let Request::Hold(_) = request {
        request = edge.request_body(body);
    }
    match request {
        Request::Pass(edits) => {
            edits.get(MODEL_HEADER).flatten().map(str::to_owned).ok_or_else(|| "no model".to_owned())
        }
        Request::Hold(_) => Err("it is held".to_owned()),
        Request::Reply(reply) => Err(String::from_utf8_lossy(&reply.body).into_owned()),
    }
}
