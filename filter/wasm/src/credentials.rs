//! How a wasm filter gets credentials: by HTTP calls, since it can neither open files nor connections.

use std::time::Duration;

use proxy_wasm::hostcalls;
use weir_core::auth::{
    Answer, FetchError, HttpAnswer, HttpCall, Need, Renewal, decode_secret_header, secret_header,
};
use weir_core::headers::Headers;
use weir_shell::{Credentials, Fetch, Fetched};

use crate::host;
use crate::store::SharedData;

/// The cluster behind which the private listener is, see [`crate::filters::Secrets`].
const SECRETS_CLUSTER: &str = "weir_secrets";

/// Calls through the proxy's clusters.
pub(crate) struct Calls {
    /// While a VM starts it can make none.
    pub(crate) started: bool,
}

impl Fetch for Calls {
    fn can_fetch(&self, _need: &Need) -> bool {
        self.started
    }

    fn fetch(&mut self, name: &str, need: &Need) -> Result<Fetched, FetchError> {
        match need {
            Need::Http(http) => call(http),
            Need::File(path) => brought(path).map_err(|_| {
                let reason = "the proxy brings no files to its wasm filter: use the native module".to_owned();
                FetchError::Unreadable { path: path.clone(), reason }
            }),
            Need::Secret { .. } => brought(name),
        }
    }
}

/// Asks for the secret, or for what the file holds, of this name.
fn brought(name: &str) -> Result<Fetched, FetchError> {
    call(&HttpCall {
        cluster: SECRETS_CLUSTER.to_owned(),
        method: "GET",
        authority: "secrets".to_owned(),
        path: format!("/{}", secret_header(name)),
        headers: Vec::new(),
        body: Vec::new(),
    })
}

fn call(http: &HttpCall) -> Result<Fetched, FetchError> {
    let mut headers = vec![
        (":method", http.method),
        (":authority", http.authority.as_str()),
        (":path", http.path.as_str()),
    ];
    headers.extend(http.headers.iter().map(|(name, value)| (&**name, value.as_str())));
    let body = (!http.body.is_empty()).then_some(http.body.as_slice());
    let timeout = Duration::from_secs(Renewal::CALL_TIMEOUT);
    hostcalls::dispatch_http_call(&http.cluster, headers, body, Vec::new(), timeout)
        .map(|token| Fetched::Later(u64::from(token)))
        .map_err(|_| FetchError::NoAnswer)
}

/// A call was answered.
pub(crate) fn answered(credentials: &mut Credentials, token: u32, headers: &Headers, body: Vec<u8>) {
    let call = u64::from(token);
    let Some((name, need)) = credentials.called_for(call) else { return };
    let status = headers.get(":status").and_then(|status| status.parse().ok());
    let answer = status.ok_or(FetchError::NoAnswer).and_then(|status| match need {
        Need::Secret { .. } | Need::File(_) if status != 200 => Err(FetchError::NoAnswer),
        Need::Secret { .. } => {
            let value = headers.get(&secret_header(name)).ok_or(FetchError::NoSecret)?;
            Ok(Answer::Secret(decode_secret_header(value)?))
        }
        Need::File(path) => {
            let value = headers.get(&secret_header(path)).ok_or_else(|| FetchError::NoFile(path.clone()))?;
            Ok(Answer::File(decode_secret_header(value)?))
        }
        Need::Http(_) => Ok(Answer::Http(HttpAnswer { status, body })),
    });
    let now = host::now_ms() / 1000;
    credentials.answered(call, answer, &mut Calls { started: true }, &SharedData, now);
}
