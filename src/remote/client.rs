//! The question to the server, and whatever can come back.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use secrecy::ExposeSecret;

use super::builder::{ClientCredential, RemoteAuthError};
use super::principal::{self, RemotePrincipal};
use crate::error::Error;

/// The most that the server reads of a form, in bytes. No credential of ours comes near it.
const FORM_LIMIT: usize = 8 << 10;

/// The most that is read of an answer, in bytes: several times the longest that there is.
const ANSWER_LIMIT: usize = 64 << 10;

/// How long a connection is kept that nobody uses: shorter than servers and proxies keep theirs, so
/// that none of them closes it under a question.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// Asks one server, over connections that are used again.
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
            .pool_idle_timeout(IDLE_CONNECTION)
            // Credentials go to the server that was named, and to no other.
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

    /// What the server says of a credential; `None` when it is not good.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for everything but the answer of a server that works and takes our
    /// own credential. The cause is for the log of this app: its clients can do nothing about it.
    pub(super) async fn introspect(
        &self,
        presented: &[u8],
    ) -> Result<Option<RemotePrincipal>, Error> {
        let Some(form) = form_with(presented) else {
            return Ok(None);
        };
        self.ask(form).await.map_err(|problem| {
            log::error!("{}: {problem}", self.url);
            Error::Unavailable
        })
    }

    async fn ask(&self, form: String) -> Result<Option<RemotePrincipal>, Problem> {
        let request = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::OK => Ok(principal::parse(&read(answer).await?)?),
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

/// The form of RFC 7662 section 2.1. `None` for what the server could not read, which is therefore
/// no credential.
fn form_with(presented: &[u8]) -> Option<String> {
    let presented = str::from_utf8(presented).ok()?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", presented)
        .finish();
    (form.len() <= FORM_LIMIT).then_some(form)
}

async fn read(mut answer: Response) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(Problem::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why there is no answer. Names no credential.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Http(String),
    #[error("refuses our client credential with {0}")]
    ClientRefused(StatusCode),
    #[error("answers with {0}")]
    Status(StatusCode),
    #[error("answers more than {ANSWER_LIMIT} bytes")]
    TooLong,
    #[error("is no Tokenhouse server: line {} column {} of its answer", .0.line(), .0.column())]
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

/// TLS with the certificates that the system trusts. The provider is named here, since reqwest's
/// own choice wants one that is installed for the whole process, which is not for a library to do.
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
