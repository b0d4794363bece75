//! The guards for apps without access to the users' database: they introspect credentials at a Tokenhouse
//! server (`POST /introspect`, RFC 7662).
//!
//! ```no_run
//! use actix_web::{App, HttpServer, get};
//! use tokenhouse::remote::{ClientCredential, RemoteAuth, RemoteAuthenticated};
//!
//! #[get("/hello")]
//! async fn hello(caller: RemoteAuthenticated) -> String {
//!     format!("Hello, {}!", caller.user.name)
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let key = std::env::var("TOKENHOUSE_CLIENT_KEY")?;
//!     let auth =
//!         RemoteAuth::builder("http://127.0.0.1:8000", ClientCredential::api_key(&key)).build()?;
//!     HttpServer::new(move || App::new().app_data(auth.clone()).service(hello))
//!         .bind("127.0.0.1:9000")?
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! They respond like the local guards, which they replace one for one. When the server cannot be reached,
//! responds unexpectedly or refuses the app itself, they refuse with 503; the caller never counts as
//! anonymous.
//!
//! **Staleness.** The server is queried at every use unless [`RemoteAuthBuilder::max_staleness`] is set.
//! With it, a revoked credential may be accepted for that long after the revocation was acknowledged, and
//! so may a revoked scope or a deleted user. With the default, 0, they never are.
//!
//! Plain `http` exposes every credential to attackers in the network: use it on the same machine or in a
//! private network, and `https` (feature `remote-tls`) elsewhere.

mod builder;
mod cache;
mod client;
mod extract;
mod principal;

use std::fmt;
use std::sync::Arc;

pub use builder::RemoteAuthBuilder;
pub use client::{ClientCredential, RemoteAuthError};
pub use extract::{RemoteAuthenticated, RemoteAuthorized, RemoteMaybeAuthenticated};
pub use principal::{RemotePrincipal, RemoteUser};

use cache::Cache;
use client::Client;

use crate::credential::CredentialDigest;
use crate::error::Error;

/// A handle to a Tokenhouse server.
///
/// Cheap to clone. Give one clone to each `App` with `.app_data(auth.clone())`, and
/// [`RemoteAuthenticated`] and [`RemoteAuthorized`] find it there.
#[derive(Clone)]
pub struct RemoteAuth(Arc<Inner>);

struct Inner {
    client: Client,
    cache: Cache,
}

impl RemoteAuth {
    /// The settings of a handle for the server at this URL: `https://auth.example.com`, with a path if a
    /// proxy adds one.
    pub fn builder(url: &str, credential: ClientCredential) -> RemoteAuthBuilder {
        RemoteAuthBuilder::new(url, credential)
    }

    /// The principal of a credential.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when it is invalid, [`Error::Unavailable`] when the server gives no valid
    /// response.
    async fn find_principal(&self, presented: &[u8]) -> Result<Arc<RemotePrincipal>, Error> {
        let digest = CredentialDigest::parse(presented).ok_or(Error::InvalidToken)?;
        if let Some(principal) = self.0.cache.get(&digest) {
            return Ok(principal);
        }
        // Before the request: the response describes a later moment.
        let requested_at = self.0.cache.now();
        let principal = self.0.client.introspect(presented).await?;
        let principal = Arc::new(principal.ok_or(Error::InvalidToken)?);
        self.0.cache.insert(digest, requested_at, &principal);
        Ok(principal)
    }
}

impl fmt::Debug for RemoteAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteAuth").field(&self.0.client).finish()
    }
}
