//! The guards for an app that has no access to the users' database: they ask a Tokenhouse server
//! what a credential is (`POST /introspect`, RFC 7662).
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
//! The answers are those of the local guards, whose place they take one for one. A server that
//! cannot be reached, answers anything unexpected or refuses the app itself is 503, never
//! "anonymous".
//!
//! **How old an answer may be.** The server is asked at every use unless
//! [`RemoteAuthBuilder::max_staleness`] says otherwise. With it, a credential that was revoked may
//! be accepted for up to that long after the revocation was acknowledged, and so may a user or a
//! scope that was taken away. With the default, 0, none of this is ever accepted.
//!
//! Plain `http` shows every credential to whoever is on the way: use it on the same machine or a
//! network of your own, and `https` (feature `remote-tls`) elsewhere.

mod builder;
mod cache;
mod client;
mod extract;
mod principal;

use std::fmt;
use std::sync::Arc;

pub use builder::{ClientCredential, RemoteAuthBuilder, RemoteAuthError};
pub use extract::{RemoteAuthenticated, RemoteAuthorized};
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
    /// A handle still to be set up, for the server at this URL: `https://auth.example.com`, with a
    /// path if the server stands behind one.
    pub fn builder(url: &str, credential: ClientCredential) -> RemoteAuthBuilder {
        RemoteAuthBuilder::new(url, credential)
    }

    /// Who a credential stands for.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when it is not good for whatever reason, [`Error::Unavailable`] when
    /// the server does not tell.
    async fn find_principal(&self, presented: &[u8]) -> Result<Arc<RemotePrincipal>, Error> {
        let digest = CredentialDigest::parse(presented).ok_or(Error::InvalidToken)?;
        if let Some(principal) = self.0.cache.get(&digest) {
            return Ok(principal);
        }
        // Before the question: the answer is true of some moment after it.
        let asked = self.0.cache.now();
        let principal = self.0.client.introspect(presented).await?;
        let principal = Arc::new(principal.ok_or(Error::InvalidToken)?);
        self.0.cache.insert(digest, asked, &principal);
        Ok(principal)
    }
}

impl fmt::Debug for RemoteAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteAuth").field(&self.0.client).finish()
    }
}
