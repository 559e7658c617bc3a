//! Without a configuration every request is refused: what it would do with one nobody can know.

use weir_core::edge::Reply;
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error, Kind};
use weir_core::headers::Headers;

/// The answer to a request where there is no configuration.
#[must_use]
pub fn refusal(request: &Headers) -> Reply {
    let api = ClientApi::of_path(request.get(":path").unwrap_or_default());
    let message = "this gateway has no configuration that it can read; its log says what is wrong";
    Reply::of_error(&Error::new(Kind::Unavailable, message), api)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_shape_of_the_clients_api() {
        for (path, api) in [
            ("/v1/chat/completions", ClientApi::OpenAi),
            ("/anthropic/v1/messages", ClientApi::Anthropic),
            ("/v1/messages", ClientApi::Anthropic),
            ("/v1beta/models/m:generateContent", ClientApi::Gemini),
            ("/cohere/v2/chat", ClientApi::Cohere),
            ("/anything", ClientApi::OpenAi),
        ] {
            let reply = refusal(&Headers::from([(":path", path)]));
            let message = "this gateway has no configuration that it can read; its log says what is wrong";
            let body = Error::new(Kind::Unavailable, message).body(api);
            assert_eq!((reply.status, reply.body), (503, body), "{path}");
        }
    }
}
