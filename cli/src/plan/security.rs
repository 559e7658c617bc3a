//! What a SecurityPolicy asks for: who a request is from, and whether it may pass.

use std::time::Duration;

use super::{Member, PathMatch, SecretValue, ValueMatch};

/// A SecurityPolicy that applies to some rule or listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Security {
    /// `namespace/name`
    pub name: String,
    /// Who a request is from.
    pub authentication: Authentication,
    /// Whether it may pass.
    pub authorization: Option<Authorization>,
    /// Which pages may have a browser send requests.
    pub cors: Option<Cors>,
}

/// Who a request is from. All that are there must be satisfied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Authentication {
    /// A service says it.
    pub ext_auth: Option<ExtAuth>,
    /// Keys say it.
    pub api_key: Option<ApiKeyAuth>,
    /// Names and passwords say it.
    pub basic: Option<BasicAuth>,
    /// Signed tokens say it.
    pub jwt: Option<Jwt>,
}

impl Authentication {
    /// The headers that say who a request is from, in lower case.
    pub fn identity_headers(&self) -> impl Iterator<Item = &str> {
        let ext_auth = self.ext_auth.iter().flat_map(|it| &it.headers_to_backend);
        let api_key = self.api_key.iter().filter_map(|it| it.client_header.as_ref());
        let basic = self.basic.iter().filter_map(|it| it.user_header.as_ref());
        let providers = self.jwt.iter().flat_map(|it| &it.providers);
        let claims = providers.flat_map(|it| &it.claim_headers).map(|claim| &claim.header);
        ext_auth.chain(api_key).chain(basic).chain(claims).map(String::as_str)
    }

    /// The services that it asks.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        let jwks =
            self.jwt.iter().flat_map(|jwt| &jwt.providers).filter_map(|provider| match &provider.keys {
                Jwks::Remote { service, .. } => Some(service),
                Jwks::Here(_) => None,
            });
        self.ext_auth.iter().map(|it| &it.service).chain(jwks)
    }
}

/// A service that Envoy itself calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The name of its cluster.
    pub cluster: String,
    /// Where it is.
    pub members: Vec<Member>,
    /// Whether it speaks HTTP/2, as gRPC does.
    pub is_grpc: bool,
}

/// A service says it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtAuth {
    /// Who is asked.
    pub service: Service,
    /// `host:port` of it.
    pub authority: String,
    /// What stands before the path of the request, where the service speaks HTTP.
    pub path: String,
    /// What it gets of the client's headers; what Envoy gives it by itself when empty.
    pub headers_to_service: Vec<String>,
    /// Headers of its answer that the request gets, in lower case.
    pub headers_to_backend: Vec<String>,
    /// So many bytes of the body go to it; a larger one is a 413. `None`: nothing of it does.
    pub body: Option<u32>,
    /// How long it may take.
    pub timeout: Duration,
    /// Requests pass when it cannot be asked.
    pub fail_open: bool,
    /// The status when it cannot be asked. `None`: 403.
    pub status_on_error: Option<u16>,
    /// The route is chosen anew once it has answered.
    pub recompute_route: bool,
}

/// Keys say it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKeyAuth {
    /// Clients, and the key of each; no two have the same.
    pub clients: Vec<(String, SecretValue)>,
    /// Where requests have their key: the first place that has one counts.
    pub sources: Vec<KeySource>,
    /// The header that says which client it is, in lower case.
    pub client_header: Option<String>,
    /// Whether the policy says that the key goes no further.
    pub sanitize: bool,
}

/// A place of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "they hold its name")]
pub enum KeySource {
    Header(String),
    Parameter(String),
    Cookie(String),
}

/// Names and passwords say it.
#[derive(Debug, Clone, PartialEq)]
pub struct BasicAuth {
    /// In htpasswd's format, as SHA-1.
    pub users: SecretValue,
    /// The header that says which user it is, in lower case.
    pub user_header: Option<String>,
}

/// Signed tokens say it.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    /// A token of one of these is enough.
    pub providers: Vec<JwtProvider>,
    /// What else is.
    pub without: WithoutToken,
}

/// What becomes of requests without a good token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutToken {
    /// They are refused.
    Refused,
    /// They pass, unless they have a bad one.
    Passes,
    /// They pass, whatever they have.
    AnyPasses,
}

/// Whose tokens are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtProvider {
    /// Unique in the policy.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: Option<String>,
    /// One of these must be in `aud`; anything when empty.
    pub audiences: Vec<String>,
    /// Its keys.
    pub keys: Jwks,
    /// What of a token becomes a header.
    pub claim_headers: Vec<ClaimHeader>,
    /// The route is chosen anew once these headers are there.
    pub recompute_route: bool,
    /// Headers that have a token, and what stands before it there.
    pub headers: Vec<(String, String)>,
    /// Cookies that have one.
    pub cookies: Vec<String>,
    /// Parameters of the query that have one.
    pub parameters: Vec<String>,
}

/// The keys of a provider.
#[derive(Debug, Clone, PartialEq)]
pub enum Jwks {
    /// A JSON Web Key Set.
    Here(String),
    /// Where one is.
    Remote {
        /// Its URI.
        uri: String,
        /// Who is asked for it.
        service: Service,
        /// How long it is used.
        cache: Duration,
        /// The pause after a failure. `None`: Envoy's 1 s.
        pause: Option<Duration>,
    },
}

/// What of a token becomes a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// Its name, in lower case.
    pub header: String,
    /// The claim.
    pub claim: String,
}

/// Whether a request may pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Authorization {
    /// The first that matches decides.
    pub rules: Vec<AuthorizationRule>,
    /// When none does.
    pub allows_others: bool,
}

impl Authorization {
    /// The headers that its rules look at, in lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| &rule.headers).map(|(name, _)| name.as_str())
    }

    /// Whether a rule looks at the path.
    #[must_use]
    pub fn sees_path(&self) -> bool {
        self.rules.iter().any(|rule| rule.path.is_some())
    }
}

/// All that a rule says must be so.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthorizationRule {
    /// For people.
    pub name: String,
    /// What is done with the request.
    pub allows: bool,
    /// One of these methods; any when empty.
    pub methods: Vec<String>,
    /// This path.
    pub path: Option<PathMatch>,
    /// One of these networks, each an address and the length of its prefix; any when empty.
    pub networks: Vec<(String, u8)>,
    /// A token that says this.
    pub token: Option<Token>,
    /// Each of these headers, in lower case, with one of its values.
    pub headers: Vec<(String, Vec<String>)>,
}

/// What a token must say.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Whose it must be.
    pub provider: String,
    /// All of these scopes.
    pub scopes: Vec<String>,
    /// All of these claims.
    pub claims: Vec<Claim>,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The names on the way to it.
    pub path: Vec<String>,
    /// Whether it is a list, in which one of the values must be.
    pub is_list: bool,
    /// One of these.
    pub values: Vec<String>,
}

/// Which pages may have a browser send requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// Their origins.
    pub origins: Vec<ValueMatch>,
    /// With these methods.
    pub methods: Vec<String>,
    /// With these headers.
    pub headers: Vec<String>,
    /// Headers of answers that a page may read.
    pub exposed: Vec<String>,
    /// How long a browser need not ask again.
    pub max_age: Option<Duration>,
    /// With cookies and the like.
    pub credentials: bool,
}
