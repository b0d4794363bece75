//! Why a [`RemoteAuth`](super::RemoteAuth) cannot be built.

/// Why a [`RemoteAuth`] cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteAuthError {
    /// The URL is not that of a server.
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
