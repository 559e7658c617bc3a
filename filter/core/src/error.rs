//! One error for the whole core: what went wrong, whose fault it was, and how it looks in the client's own API.

use std::fmt;

use crate::endpoint::ClientApi;

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. The HTTP status and the error type of either API follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The client's request cannot be understood.
    BadRequest,
    /// The request lacks the credential that its backend is to be shown.
    Unauthenticated,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No endpoint has this path.
    UnknownPath,
    /// No route takes this model.
    UnknownModel,
    /// The request came over a connection that was made to another host name.
    Misdirected,
    /// The request body is over the limit.
    TooLarge,
    /// The request body is in an encoding or a media type the endpoint does not take.
    UnsupportedMedia,
    /// The request is well formed, but asks for what the chosen backend cannot do.
    Unprocessable,
    /// No backend of this schema can serve this endpoint.
    Unsupported,
    /// A budget or a rate limit is used up.
    RateLimited,
    /// The backend sent what its API does not allow.
    BadAnswer,
    /// No backend can be reached, or no credential is there yet.
    Unavailable,
    /// The backend took too long.
    Timeout,
    /// A mistake of the gateway's own.
    Internal,
    /// The backend answered with an error of its own; it carries the HTTP status.
    Provider(u16),
}

/// Whose side an error was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The sender of the request.
    Client,
    /// The backend.
    Upstream,
    /// The gateway or its configuration.
    Gateway,
}

/// An error with a message that may be shown to a client: it names what and where, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    /// The provider's own error type, such as `ThrottlingException`.
    provider_type: Option<String>,
    /// The field of the request that is wrong. The message names it behind [`INVALID`].
    place: Option<String>,
}

/// What the message of an error begins with that has a place.
const INVALID: &str = "invalid request body: ";

impl Error {
    /// An error of `kind`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), provider_type: None, place: None }
    }

    /// The client's request cannot be understood: 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, message)
    }

    /// The request asks for what the backend cannot do: 422.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unprocessable, message)
    }

    /// 422 for the field `place` of the request. `what` follows its name in the message.
    pub(crate) fn unprocessable_at(place: String, what: impl fmt::Display) -> Self {
        Self::at(Kind::Unprocessable, place, what)
    }

    /// 400 for the field `place` of the request, of which its API knows that it cannot be.
    pub(crate) fn bad_request_at(place: String, what: impl fmt::Display) -> Self {
        Self::at(Kind::BadRequest, place, what)
    }

    fn at(kind: Kind, place: String, what: impl fmt::Display) -> Self {
        Self { place: Some(place.clone()), ..Self::new(kind, format!("{INVALID}{place}{what}")) }
    }

    /// The field of the request that is wrong, as its client wrote it.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The same error with another name for its place, where `words` has one.
    #[must_use]
    pub(crate) fn map_place(self, words: impl FnOnce(&str) -> Option<String>) -> Self {
        let Some(place) = &self.place else { return self };
        let what = self.message.strip_prefix(INVALID).and_then(|rest| rest.strip_prefix(place.as_str()));
        match what.zip(words(place)) {
            Some((what, place)) => Self::at(self.kind, place, what),
            None => self,
        }
    }

    /// The backend sent what its API does not allow: 502.
    pub fn bad_answer(message: impl Into<String>) -> Self {
        Self::new(Kind::BadAnswer, message)
    }

    /// An error the backend itself reported, with its HTTP status and its own type where it gave one.
    pub fn provider(status: u16, provider_type: Option<String>, message: impl Into<String>) -> Self {
        Self { kind: Kind::Provider(status), message: message.into(), provider_type, place: None }
    }

    /// The same error in other words, where `words` has others for some.
    #[must_use]
    pub(crate) fn map_words(&self, words: impl Fn(&str) -> Option<String>) -> Self {
        let mut error = self.clone();
        if let Some(message) = words(&self.message) {
            error.message = message;
        }
        if let Some(other) = self.provider_type.as_deref().and_then(words) {
            error.provider_type = Some(other);
        }
        error
    }

    /// The provider's own error type, such as `ThrottlingException`.
    #[must_use]
    pub fn provider_type(&self) -> Option<&str> {
        self.provider_type.as_deref()
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What went wrong, for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whose side it was on.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self.kind {
            Kind::BadRequest
            | Kind::Unauthenticated
            | Kind::MethodNotAllowed
            | Kind::UnknownPath
            | Kind::UnknownModel
            | Kind::Misdirected
            | Kind::TooLarge
            | Kind::UnsupportedMedia
            | Kind::Unprocessable
            | Kind::Unsupported
            | Kind::RateLimited => Fault::Client,
            Kind::Provider(_) | Kind::BadAnswer | Kind::Timeout => Fault::Upstream,
            Kind::Unavailable | Kind::Internal => Fault::Gateway,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            Kind::BadRequest => 400,
            Kind::Unauthenticated => 401,
            Kind::UnknownPath | Kind::UnknownModel => 404,
            Kind::MethodNotAllowed => 405,
            Kind::TooLarge => 413,
            Kind::UnsupportedMedia => 415,
            Kind::Misdirected => 421,
            Kind::Unprocessable | Kind::Unsupported => 422,
            Kind::RateLimited => 429,
            Kind::Internal => 500,
            Kind::BadAnswer => 502,
            Kind::Unavailable => 503,
            Kind::Timeout => 504,
            Kind::Provider(status) => status,
        }
    }

    /// The body of the answer, in the shape `api`'s clients expect.
    #[must_use]
    pub fn body(&self, api: ClientApi) -> Vec<u8> {
        api.api().error(self).to_string().into_bytes()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The error where a worker holds as much as it may hold at a time.
pub(crate) fn no_room() -> Error {
    Error::new(
        Kind::Unavailable,
        "the gateway holds as many unfinished requests and answers as it may; try again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_with_a_place_can_be_told_with_another_name_for_it() {
        let error = Error::unprocessable_at("body".to_owned(), ": no");
        assert_eq!(error.message(), "invalid request body: body: no");
        let renamed = error.clone().map_place(|place| (place == "body").then(|| "the.body".to_owned()));
        assert_eq!(renamed.message(), "invalid request body: the.body: no");
        assert_eq!(error.clone().map_place(|_| None), error);
        let other = Error::unprocessable("body: no");
        assert_eq!(other.clone().map_place(|_| Some("x".to_owned())), other);
    }
}
