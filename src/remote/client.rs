//! Sends credentials to the server, and handles all its responses. The app authenticates with its own
//! credential.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::principal::{self, RemotePrincipal};
use crate::error::Error;

/// The maximum size of a form that the server accepts, in bytes; far larger than any credential.
const MAX_FORM: usize = 8 << 10;

/// The maximum size of a response, in bytes: several times the longest one.
const MAX_RESPONSE: usize = 64 << 10;

/// How long an idle connection is kept: shorter than with servers and proxies, so that they do not close
/// it during a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Authenticates an app to the server. `Debug` does not show it.
#[derive(Clone)]
pub struct ClientCredential {
    /// The value of the header `Authorization`.
    authorization: SecretString,
}

impl ClientCredential {
    /// An API key with the scope `introspect`, sent as `Bearer`. Surrounding white space is ignored.
    pub fn api_key(key: &str) -> Self {
        let authorization = format!("Bearer {}", key.trim()).into();
        Self { authorization }
    }

    /// The static key, sent as the password of HTTP Basic (RFC 6749 section 2.3.1). Surrounding white
    /// space is ignored.
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

/// Why a [`RemoteAuth`](super::RemoteAuth) cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteAuthError {
    /// The URL is not a valid server URL.
    #[error("the URL of the server must be http(s)://HOST[:PORT][/PATH]")]
    Url,
    /// The URL has the scheme `https`, but this build has no TLS.
    #[error("https needs the cargo feature remote-tls")]
    TlsMissing,
    /// The client credential is not a valid header value.
    #[error("the client credential has characters that are not allowed in a header")]
    Credential,
    /// The HTTP client cannot be created, for this reason.
    #[error("cannot create the HTTP client: {0}")]
    Client(String),
}

/// Sends requests to one server, over persistent connections.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    authorization: HeaderValue,
}

impl Client {
    pub(super) fn new(
        url: Url,
        credential: &ClientCredential,
        timeout: Duration,
    ) -> Result<Self, RemoteAuthError> {
        let authorization = credential.authorization.expose_secret();
        let mut authorization = HeaderValue::from_str(authorization)
            .map_err(|_not_for_a_header| RemoteAuthError::Credential)?;
        authorization.set_sensitive(true);
        let builder = reqwest::Client::builder()
            .user_agent(concat!("tokenhouse/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // Credentials are sent to the configured server only.
            .redirect(Policy::none())
            .no_proxy();
        let http = with_tls(builder)?
            .build()
            .map_err(|error| RemoteAuthError::Client(describe(&error)))?;
        Ok(Self {
            http,
            url,
            authorization,
        })
    }

    /// The principal of a credential; `None` if the credential is invalid.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the server does not work, or refuses our own credential. The cause
    /// is logged: the clients of this app cannot fix it.
    pub(super) async fn introspect(
        &self,
        presented: &[u8],
    ) -> Result<Option<RemotePrincipal>, Error> {
        let Some(form) = form_with(presented) else {
            return Ok(None);
        };
        self.query(form).await.map_err(|problem| {
            log::error!("{}: {problem}", self.url);
            Error::Unavailable
        })
    }

    async fn query(&self, form: String) -> Result<Option<RemotePrincipal>, Problem> {
        let request = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => Ok(principal::parse(&read(response).await?)?),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Problem::ClientRefused(status))
            }
            status => Err(Problem::Status(status)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// The form of RFC 7662 section 2.1. `None` for a text that the server cannot read, which is therefore
/// not a credential.
fn form_with(presented: &[u8]) -> Option<String> {
    let presented = str::from_utf8(presented).ok()?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", presented)
        .finish();
    (form.len() <= MAX_FORM).then_some(form)
}

async fn read(mut response: Response) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_RESPONSE {
            return Err(Problem::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why there is no valid response. Contains no credential.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Http(String),
    #[error("it refuses our client credential with {0}")]
    ClientRefused(StatusCode),
    #[error("it responds with {0}")]
    Status(StatusCode),
    #[error("its response is longer than {MAX_RESPONSE} bytes")]
    TooLong,
    #[error("it is not a Tokenhouse server: line {} column {} of its response", .0.line(), .0.column())]
    NotIntrospection(#[from] serde_json::Error),
}

impl From<reqwest::Error> for Problem {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(describe(&error.without_url()))
    }
}

/// An error of the HTTP client with all its causes.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(not(feature = "remote-tls"))]
fn with_tls(builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, RemoteAuthError> {
    Ok(builder)
}

/// TLS with the certificates that the system trusts. The provider is explicit: reqwest's default requires
/// one that is installed for the whole process, which a library should not do.
#[cfg(feature = "remote-tls")]
fn with_tls(builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, RemoteAuthError> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_platform_verifier())
        .map_err(|error| RemoteAuthError::Client(error.to_string()))?
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RemoteAuth;

    #[test]
    fn client_credential_follows_the_rfcs_and_is_not_printed() {
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
}
