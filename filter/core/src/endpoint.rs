//! Client-facing paths: which endpoint a request is for, and what its clients send and expect.

use serde::Serialize;

use crate::headers::Headers;
use crate::kept::Reference;
use crate::wire::api::{Api, ClientCodec};
use crate::wire::glance::{self, Glance};
use crate::wire::job::Asks;
use crate::wire::usage::Watch;
use crate::wire::{anthropic, cohere, gemini, openai, passed};

pub use crate::wire::ClientApi;

/// What there is to know of an endpoint.
#[derive(Debug)]
pub struct Operation {
    /// The name in logs, metrics and the ledger: OpenTelemetry's operation name where it has one.
    pub name: &'static str,
    /// Where it is.
    pub path: Path,
    /// The API whose shapes its clients expect.
    pub api: ClientApi,
    /// What its requests bring.
    pub body: Body,
    /// Finds what the edge must know of a request in its headers and its body, or says what is wrong with them.
    pub glance: fn(&Headers, &[u8]) -> Result<Glance, String>,
    /// How its answers are watched where they pass untranslated.
    pub watch: Watch,
    /// What its requests ask for, where that can be translated.
    pub asks: Option<Asks>,
    /// Finds what a request refers to that its backend keeps, where there can be such: names of that are in its
    /// answers, too.
    pub refers: Option<Refers>,
}

/// Finds, in its headers and its body, what a request refers to.
pub type Refers = fn(&Headers, &[u8]) -> Vec<Reference>;

impl Operation {
    /// The client's side of a conversation, if its requests are one.
    #[must_use]
    pub fn conversation(&self) -> Option<&'static dyn ClientCodec> {
        self.asks.and_then(Asks::conversation)
    }
}

/// The paths of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// This one.
    Exact(&'static str),
    /// This one, which is another endpoint's as well, where a WebSocket is asked for.
    Upgraded(&'static str),
    /// Each of these.
    Any(&'static [&'static str]),
    /// This one, and all below it: the rest is a model's name, slashes included.
    List(&'static str),
    /// The same of both of these.
    Lists([&'static str; 2]),
    /// None that the gateway itself knows: the configuration says which ([`crate::config::PassThrough`]).
    Configured,
    /// Below one of these a model's name, slashes and colons included, and behind a colon what is asked of it.
    Method([&'static str; 2], &'static str),
    /// One name below the first, and the second behind that.
    Named(&'static str, &'static str),
}

impl Path {
    /// The rest of `path`, which is empty where nothing follows, if it is one of these.
    fn rest(self, path: &str) -> Option<&str> {
        match self {
            Path::Exact(exact) => (path == exact).then_some(""),
            Path::Any(paths) => paths.contains(&path).then_some(""),
            Path::List(list) => listed(list, path),
            Path::Lists(lists) => lists.iter().find_map(|list| listed(list, path)),
            Path::Upgraded(_) | Path::Configured => None,
            Path::Method(lists, method) => {
                let asked = path.strip_suffix(method)?.strip_suffix(':')?;
                let model = lists.iter().find_map(|list| asked.strip_prefix(list)?.strip_prefix('/'));
                model.filter(|model| !model.is_empty())
            }
            Path::Named(list, behind) => {
                let name = path.strip_prefix(list)?.strip_prefix('/')?.strip_suffix(behind)?;
                (!name.is_empty() && !name.contains('/')).then_some(name)
            }
        }
    }

    /// A path of these that is `prefix` or below it, or below which `prefix` names a model.
    fn hidden_by(self, prefix: &str) -> Option<&'static str> {
        let covered =
            |paths: &[&'static str]| paths.iter().find(|path| behind(prefix, path).is_some()).copied();
        let meeting = |lists: &[&'static str]| {
            covered(lists).or_else(|| lists.iter().find(|list| listed(list, prefix).is_some()).copied())
        };
        match self {
            Path::Exact(exact) | Path::Upgraded(exact) => covered(&[exact]),
            Path::Any(paths) => covered(paths),
            Path::List(list) | Path::Named(list, _) => meeting(&[list]),
            Path::Lists(lists) | Path::Method(lists, _) => meeting(&lists),
            Path::Configured => None,
        }
    }
}

/// What follows `prefix`, which is whole segments, in `path`: nothing, or what begins with a slash.
#[must_use]
pub fn behind<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The rest of `path`, if it is `list` or below it.
fn listed<'p>(list: &str, path: &'p str) -> Option<&'p str> {
    match path.strip_prefix(list)? {
        "" => Some(""),
        rest => rest.strip_prefix('/').filter(|model| !model.is_empty()),
    }
}

/// What the requests of an endpoint bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: a `GET`, which the gateway answers.
    None,
    /// JSON.
    Json,
    /// `multipart/form-data`.
    Form,
    /// `multipart/form-data`, or JSON where the content type says so.
    FormOrJson,
    /// A WebSocket's frames, in both directions: a `GET` that asks for one.
    Socket,
    /// Nothing that matters: what its path names is at a backend, which takes these methods.
    Stored(&'static [&'static str]),
    /// Anything or nothing, by any method.
    Any,
}

/// The endpoints, each with what is known of it.
macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident: $operation:expr,)*) => {
        /// One client-facing operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Endpoint {
            $($(#[$doc])* $name,)*
        }

        impl Endpoint {
            /// All of them.
            pub const ALL: &[Endpoint] = &[$(Endpoint::$name,)*];

            /// What there is to know of it.
            #[must_use]
            pub fn operation(self) -> &'static Operation {
                match self {
                    $(Endpoint::$name => &$operation,)*
                }
            }
        }
    };
}

endpoints! {
    /// `POST /v1/chat/completions`
    ChatCompletions: openai::CHAT_COMPLETIONS,
    /// `POST /v1/completions`
    Completions: openai::COMPLETIONS,
    /// `POST /v1/embeddings`
    Embeddings: openai::EMBEDDINGS,
    /// `POST /v1/responses`
    Responses: openai::RESPONSES,
    /// `POST /v1/responses/input_tokens`
    ResponsesInputTokens: openai::RESPONSES_INPUT_TOKENS,
    /// `POST /v1/responses/compact`
    ResponsesCompact: openai::RESPONSES_COMPACT,
    /// `GET` and `DELETE` of `/v1/responses/{id}`
    // Behind those whose paths would be such a name as well.
    StoredResponse: openai::STORED_RESPONSE,
    /// `POST /v1/responses/{id}/cancel`
    StoredResponseCancel: openai::STORED_RESPONSE_CANCEL,
    /// `GET /v1/responses/{id}/input_items`
    StoredResponseInput: openai::STORED_RESPONSE_INPUT,
    /// `GET /v1/responses` as a WebSocket
    ResponsesSocket: openai::sockets::RESPONSES,
    /// `GET /v1/realtime`, a WebSocket
    Realtime: openai::sockets::REALTIME,
    /// `POST /v1/images/generations`
    ImageGenerations: openai::IMAGE_GENERATIONS,
    /// `POST /v1/images/edits`, a multipart form
    ImageEdits: openai::IMAGE_EDITS,
    /// `POST /v1/images/variations`, a multipart form
    ImageVariations: openai::IMAGE_VARIATIONS,
    /// `POST /v1/moderations`
    Moderations: openai::MODERATIONS,
    /// `POST /v1/audio/speech`
    Speech: openai::SPEECH,
    /// `POST /v1/audio/transcriptions`, a multipart form
    Transcriptions: openai::TRANSCRIPTIONS,
    /// `POST /v1/audio/translations`, a multipart form
    Translations: openai::TRANSLATIONS,
    /// `POST /tokenize`, in the shape of vLLM
    Tokenize: openai::TOKENIZE,
    /// `POST /v1beta/models/{id}:generateContent`, and the same below `/v1`
    // Before the lists of models, in which such a name would be one as well.
    GenerateContent: gemini::GENERATE_CONTENT,
    /// `POST /v1beta/models/{id}:streamGenerateContent`, likewise
    StreamGenerateContent: gemini::STREAM_GENERATE_CONTENT,
    /// `POST /v1beta/models/{id}:countTokens`, likewise
    GeminiCountTokens: gemini::COUNT_TOKENS,
    /// `GET /v1/models` and `GET /v1/models/{id}`, answered by the gateway
    Models: openai::MODELS,
    /// `GET /v1beta/models` and `GET /v1beta/models/{id}`, answered by the gateway, and the same below `/v1` to clients
    /// of Google's
    GeminiModels: gemini::MODELS,
    /// `POST /anthropic/v1/messages` and `POST /v1/messages`
    Messages: anthropic::MESSAGES,
    /// `POST /anthropic/v1/messages/count_tokens` and `POST /v1/messages/count_tokens`
    CountTokens: anthropic::COUNT_TOKENS,
    /// `GET /anthropic/v1/models` and `GET /anthropic/v1/models/{id}`, answered by the gateway
    AnthropicModels: anthropic::MODELS,
    /// `POST /cohere/v2/chat`
    CohereChat: cohere::CHAT,
    /// `POST /cohere/v2/rerank`, also without `/cohere`, as `/v1/rerank` and as `/rerank`
    Rerank: cohere::RERANK,
    /// Whatever is below a prefix that the configuration passes to a backend
    PassThrough: passed::OPERATION,
}

/// By these, whatever they say, Google's clients are told apart where its API has a path that another has too.
const GOOGLES: [&str; 2] = ["x-goog-api-client", "x-goog-api-key"];

impl Endpoint {
    /// The endpoint of a request. `None` for a path that is none's.
    #[must_use]
    pub fn of_request(headers: &Headers) -> Option<Endpoint> {
        let endpoint = Endpoint::of_path(headers.get(":path")?)?;
        let is_googles = || GOOGLES.iter().any(|name| headers.get(name).is_some());
        Some(match endpoint {
            Endpoint::Models if is_googles() => Endpoint::GeminiModels,
            // Only such a request can become a WebSocket (RFC 6455, 4.1).
            _ if headers.get(":method") == Some("GET") && asks_for_socket(headers) => {
                endpoint.upgraded().unwrap_or(endpoint)
            }
            _ => endpoint,
        })
    }

    /// The endpoint of the same path for those who ask for a WebSocket.
    fn upgraded(self) -> Option<Endpoint> {
        let Path::Exact(path) = self.operation().path else { return None };
        let is_it = |endpoint: &&Endpoint| endpoint.operation().path == Path::Upgraded(path);
        Endpoint::ALL.iter().find(is_it).copied()
    }

    /// The endpoint of a `:path`; the query string does not count. `None` for any other path.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Endpoint> {
        let path =
            memchr::memchr2(b'?', b'#', path.as_bytes()).and_then(|end| path.get(..end)).unwrap_or(path);
        Endpoint::ALL.iter().find(|endpoint| endpoint.operation().path.rest(path).is_some()).copied()
    }

    /// An endpoint that requests would not reach if all below `prefix` went elsewhere, and its path.
    #[must_use]
    pub fn hidden_by(prefix: &str) -> Option<(Endpoint, &'static str)> {
        let find = |endpoint: &Endpoint| Some((*endpoint, endpoint.operation().path.hidden_by(prefix)?));
        Endpoint::ALL.iter().find_map(find)
    }

    /// The name of the model, or of the response, that a path of this endpoint, without its query, asks about, as it
    /// stands there: it may be percent-encoded.
    #[must_use]
    pub fn name_in_path(self, path: &str) -> Option<&str> {
        self.operation().path.rest(path).filter(|model| !model.is_empty())
    }

    /// The API whose shapes this endpoint's clients expect.
    #[must_use]
    pub fn client_api(self) -> ClientApi {
        self.operation().api
    }

    /// The same as its conventions.
    #[must_use]
    pub fn api(self) -> &'static dyn Api {
        self.client_api().api()
    }

    /// The methods that the endpoint takes; none where it takes any.
    #[must_use]
    pub fn methods(self) -> &'static [&'static str] {
        match self.operation().body {
            Body::None | Body::Socket => &["GET"],
            Body::Json | Body::Form | Body::FormOrJson => &["POST"],
            Body::Stored(methods) => methods,
            Body::Any => &[],
        }
    }

    /// True where the path says all there is to a request.
    #[must_use]
    pub fn is_of_stored(self) -> bool {
        matches!(self.operation().body, Body::Stored(_))
    }

    /// True where its requests become WebSockets.
    #[must_use]
    pub fn opens_socket(self) -> bool {
        self.operation().body == Body::Socket
    }

    /// True when the body of a request with these headers is `multipart/form-data`, not JSON.
    #[must_use]
    pub fn brings_form(self, headers: &Headers) -> bool {
        match self.operation().body {
            Body::Form => true,
            Body::FormOrJson => !glance::is_json(headers),
            Body::Json | Body::None | Body::Socket | Body::Stored(_) | Body::Any => false,
        }
    }

    /// How its answers are watched where they pass untranslated.
    #[must_use]
    pub fn watch(self) -> &'static Watch {
        &self.operation().watch
    }
}

/// Whether a request asks to become a WebSocket. Envoy takes the header off those that cannot.
#[must_use]
pub fn asks_for_socket(headers: &Headers) -> bool {
    let mut protocols = headers.all("upgrade").flat_map(|value| value.split(','));
    protocols.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_would_hide_an_endpoint_is_told() {
        for (prefix, hidden) in [
            ("/v1", Some("/v1/chat/completions")),
            ("/v1/chat/completions", Some("/v1/chat/completions")),
            ("/cohere", Some("/cohere/v2/chat")),
            ("/anthropic/v1", Some("/anthropic/v1/messages")),
            ("/v1/models/org", Some("/v1beta/models")),
            ("/v1beta", Some("/v1beta/models")),
            ("/tokenize", Some("/tokenize")),
            ("/v1/responses/r_1", Some("/v1/responses")),
            ("/v1/files", None),
            ("/v1/batches", None),
            ("/v1/messages/batches", None),
            ("/v", None),
            ("/bedrock", None),
        ] {
            let found = Endpoint::hidden_by(prefix).map(|(_, path)| path);
            assert_eq!(found.is_some(), hidden.is_some(), "{prefix}: {found:?}");
            if !prefix.contains("models") {
                assert_eq!(found, hidden, "{prefix}");
            }
        }
        assert_eq!(behind("/a", "/a/b"), Some("/b"));
        assert_eq!(behind("/a", "/a"), Some(""));
        assert_eq!(behind("/a", "/ab"), None);
    }

    #[test]
    fn no_two_endpoints_share_a_path_and_each_path_says_its_api() {
        for endpoint in Endpoint::ALL {
            let paths = match endpoint.operation().path {
                Path::Exact(path) | Path::List(path) => vec![path.to_owned()],
                Path::Any(paths) => paths.iter().map(|path| (*path).to_owned()).collect(),
                Path::Lists([newer, _]) => vec![newer.to_owned()],
                Path::Method([newer, _], method) => vec![format!("{newer}/org/m:1:{method}")],
                Path::Named(list, behind) => vec![format!("{list}/resp_1{behind}")],
                Path::Upgraded(_) | Path::Configured => vec![],
            };
            for path in paths {
                let path = path.as_str();
                assert_eq!(Endpoint::of_path(path), Some(*endpoint));
                assert_eq!(Endpoint::of_path(&format!("{path}?a=/b#c")), Some(*endpoint));
                assert_eq!(ClientApi::of_path(path), endpoint.client_api(), "{path}");
            }
        }
        assert_eq!(Endpoint::of_path("/v1/models/org/name"), Some(Endpoint::Models));
        assert_eq!(Endpoint::Models.name_in_path("/v1/models/org/name"), Some("org/name"));
        assert_eq!(Endpoint::Models.name_in_path("/v1/models"), None);
        for list in ["/v1beta/models", "/v1/models"] {
            let path = format!("{list}/org/a.b-v1:0:generateContent");
            assert_eq!(Endpoint::of_path(&path), Some(Endpoint::GenerateContent));
            assert_eq!(Endpoint::GenerateContent.name_in_path(&path), Some("org/a.b-v1:0"));
        }
        assert_eq!(
            Endpoint::of_path("/v1beta/models/a:streamGenerateContent?alt=sse"),
            Some(Endpoint::StreamGenerateContent)
        );
        assert_eq!(Endpoint::of_path("/v1beta/models/:generateContent"), Some(Endpoint::GeminiModels));
        assert_eq!(Endpoint::of_path("/v1beta/modelsx:generateContent"), None);
        let googles = |path| Endpoint::of_request(&Headers::from([(":path", path), ("x-goog-api-key", "k")]));
        assert_eq!(googles("/v1/models/org/name?x"), Some(Endpoint::GeminiModels));
        assert_eq!(Endpoint::GeminiModels.name_in_path("/v1/models/org/name"), Some("org/name"));
        assert_eq!(googles("/v1/chat/completions"), Some(Endpoint::ChatCompletions));
        let asked = |method, path, upgrade| {
            Endpoint::of_request(&Headers::from([(":method", method), (":path", path), ("upgrade", upgrade)]))
        };
        let upgraded = |path, upgrade| asked("GET", path, upgrade);
        assert_eq!(asked("POST", "/v1/responses", "websocket"), Some(Endpoint::Responses));
        assert_eq!(upgraded("/v1/responses?model=m", "WebSocket"), Some(Endpoint::ResponsesSocket));
        assert_eq!(upgraded("/v1/responses", "h2c"), Some(Endpoint::Responses));
        assert_eq!(upgraded("/v1/responses/a", "websocket"), Some(Endpoint::StoredResponse));
        assert_eq!(upgraded("/v1/realtime", "h2c, websocket"), Some(Endpoint::Realtime));
        assert_eq!(Endpoint::StoredResponseCancel.name_in_path("/v1/responses/a/cancel"), Some("a"));
        for path in
            ["/v1/responses/", "/v1/responses/a/", "/v1/responses//cancel", "/v1/responses/a/b/cancel"]
        {
            assert_eq!(Endpoint::of_path(path), None, "{path}");
        }
        for path in ["/v1/models/", "/v1/modelsx", "/v1/chat/completions/", "/v1", ""] {
            assert_eq!(Endpoint::of_path(path), None, "{path}");
        }
    }
}
