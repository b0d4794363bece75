//! The settings of a [`RemoteAuth`].

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::cache::Cache;
use super::client::{Client, ClientCredential, RemoteAuthError};
use super::{Inner, RemoteAuth};
use crate::clock::Clock;

/// Longer than the 3 s after which the server itself stops waiting for its database.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default size of the cache, if responses are cached.
const DEFAULT_CACHE_CAPACITY: usize = 10_000;

/// The settings of a new [`RemoteAuth`].
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

    /// The timeout of a request to the server, after which the guards refuse with 503. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a response may be used after its request. A revoked credential, user or scope may be
    /// accepted for that long after the server has acknowledged the revocation; never with 0, which
    /// queries the server at every use. Default: 0.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// The maximum number of cached responses, if the staleness is not 0. Default: 10,000.
    pub fn cache_capacity(mut self, responses: usize) -> Self {
        self.cache_capacity = responses;
        self
    }

    /// The clock that determines the age of responses. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the handle. Sends no request to the server yet.
    ///
    /// # Errors
    /// When the URL or the client credential is invalid, or the HTTP client cannot be created.
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
    use super::*;

    #[test]
    fn introspection_url_is_derived_from_valid_server_urls() {
        for (server, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/introspect"),
            ("http://auth.internal/", "http://auth.internal/introspect"),
            ("http://[::1]/a/b/", "http://[::1]/a/b/introspect"),
        ] {
            assert_eq!(introspection_url(server).unwrap().as_str(), expected);
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
    fn credential_with_line_break_is_refused_when_building() {
        let credential = ClientCredential::api_key("two\nlines");
        let built = RemoteAuth::builder("http://auth.internal", credential).build();
        assert!(matches!(built, Err(RemoteAuthError::Credential)));
    }

    #[test]
    #[cfg(feature = "remote-tls")]
    fn https_is_accepted_with_the_tls_feature() {
        let credential = ClientCredential::api_key("key");
        let built = RemoteAuth::builder("https://auth.internal", credential).build();
        assert!(built.is_ok(), "{built:?}");
    }
}
