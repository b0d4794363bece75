//! What a [`RemoteAuth`] has to know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use secrecy::SecretString;

use super::cache::Cache;
use super::client::Client;
use super::{Inner, RemoteAuth};
use crate::clock::Clock;

/// Longer than the 3 s after which the server itself gives up on its database.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers that are remembered, if any are.
const DEFAULT_CACHE_CAPACITY: usize = 10_000;

/// By what an app shows the server that it may ask. Does not print.
#[derive(Clone)]
pub struct ClientCredential {
    /// The value of the header `Authorization`.
    pub(super) authorization: SecretString,
}

impl ClientCredential {
    /// An API key with the scope `introspect`, sent as `Bearer`. Space around it does not count.
    pub fn api_key(key: &str) -> Self {
        let authorization = format!("Bearer {}", key.trim()).into();
        Self { authorization }
    }

    /// The static key, sent as the password of HTTP Basic (RFC 6749 section 2.3.1). Space around it
    /// does not count.
    pub fn static_key(key: &str) -> Self {
        let password = form_urlencoded::byte_serialize(key.trim().as_bytes());
        let pair: String = ["tokenhouse:"].into_iter().chain(password).collect();
        let authorization = format!("Basic {}", STANDARD.encode(pair)).into();
        Self { authorization }
    }
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCredential(..)")
    }
}

/// Why a [`RemoteAuth`] cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteAuthError {
    /// The URL is not that of a server.
    #[error("the URL of the server has to be http(s)://HOST[:PORT][/PATH]")]
    Url,
    /// The URL says `https`, and this build has no TLS.
    #[error("https needs the cargo feature remote-tls")]
    TlsMissing,
    /// The client credential cannot stand in a header.
    #[error("the client credential has characters that no header takes")]
    Credential,
    /// The HTTP client does not start; says why.
    #[error("the HTTP client does not start: {0}")]
    Client(String),
}

/// A [`RemoteAuth`] still to be set up.
#[derive(Clone, Debug)]
pub struct RemoteAuthBuilder {
    url: String,
    credential: ClientCredential,
    timeout: Duration,
    max_staleness: Duration,
    cache_capacity: usize,
    clock: Clock,
}

impl RemoteAuthBuilder {
    pub(super) fn new(url: &str, credential: ClientCredential) -> Self {
        Self {
            url: url.to_owned(),
            credential,
            timeout: DEFAULT_TIMEOUT,
            max_staleness: Duration::ZERO,
            cache_capacity: DEFAULT_CACHE_CAPACITY,
            clock: Clock::system(),
        }
    }

    /// How long a question may take as a whole before it counts as unanswered: 503. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long after the question an answer still counts. A credential, user or scope that was
    /// taken away may be accepted for up to that long after the server has acknowledged it; never
    /// with 0, which asks the server at every use. Default: 0.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// How many answers are remembered at most, when the staleness is not 0. Default: 10,000.
    pub fn cache_capacity(mut self, answers: usize) -> Self {
        self.cache_capacity = answers;
        self
    }

    /// The clock by which answers age. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Puts the parts together. Asks the server nothing yet.
    ///
    /// # Errors
    /// When the URL or the client credential cannot be used, or the HTTP client does not start.
    pub fn build(self) -> Result<RemoteAuth, RemoteAuthError> {
        let url = introspection_url(&self.url)?;
        let client = Client::new(url, &self.credential, self.timeout)?;
        let cache = Cache::new(self.max_staleness, self.cache_capacity, self.clock);
        Ok(RemoteAuth(Arc::new(Inner { client, cache })))
    }
}

/// `/introspect` below the URL of the server.
fn introspection_url(server: &str) -> Result<Url, RemoteAuthError> {
    let mut url = Url::parse(server).map_err(|_not_a_url| RemoteAuthError::Url)?;
    let has_more = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    if has_more || !matches!(url.scheme(), "http" | "https") {
        return Err(RemoteAuthError::Url);
    }
    if url.scheme() == "https" && !cfg!(feature = "remote-tls") {
        return Err(RemoteAuthError::TlsMissing);
    }
    let path = format!("{}/introspect", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn only_the_url_of_a_server_is_taken() {
        for (server, asked) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/introspect"),
            ("http://auth.internal/", "http://auth.internal/introspect"),
            ("http://[::1]/a/b/", "http://[::1]/a/b/introspect"),
        ] {
            assert_eq!(introspection_url(server).unwrap().as_str(), asked);
        }
        for bad in [
            "",
            "127.0.0.1:8000",
            "localhost:8000",
            "ftp://auth.internal",
            "http://",
            "http://user@auth.internal",
            "http://:password@auth.internal",
            "http://auth.internal/?a=b",
            "http://auth.internal/#a",
        ] {
            let refused = introspection_url(bad);
            assert!(matches!(refused, Err(RemoteAuthError::Url)), "{bad}");
        }
    }

    #[test]
    fn a_client_credential_is_sent_as_the_rfcs_have_it_and_not_printed() {
        let key = ClientCredential::api_key(" tkh_key\n");
        assert_eq!(key.authorization.expose_secret(), "Bearer tkh_key");
        let key = ClientCredential::static_key("a+b: c%\n");
        // tokenhouse:a%2Bb%3A+c%25
        let encoded = "Basic dG9rZW5ob3VzZTphJTJCYiUzQStjJTI1";
        assert_eq!(key.authorization.expose_secret(), encoded);
        let builder = RemoteAuth::builder("http://auth.internal", key);
        for printed in [format!("{builder:?}"), format!("{:?}", builder.build())] {
            assert!(printed.contains("auth.internal"), "{printed}");
            assert!(!printed.contains("Basic"), "{printed}");
        }
    }

    #[test]
    fn a_credential_that_no_header_takes_is_refused_at_the_start() {
        let credential = ClientCredential::api_key("two\nlines");
        let built = RemoteAuth::builder("http://auth.internal", credential).build();
        assert!(matches!(built, Err(RemoteAuthError::Credential)));
    }

    #[test]
    #[cfg(feature = "remote-tls")]
    fn https_is_taken_where_there_is_tls() {
        let credential = ClientCredential::api_key("key");
        let built = RemoteAuth::builder("https://auth.internal", credential).build();
        assert!(built.is_ok(), "{built:?}");
    }
}
