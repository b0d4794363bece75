//! Who may use the control routes: the program that started the server, by a key.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::Service;
use super::refusal::Refusal;
use crate::credential::token::TokenDigest;
use crate::error::Error;
use crate::guards::presented;

/// The key of the control routes, as a digest.
#[derive(Clone)]
pub(crate) struct ControlKey {
    digest: TokenDigest,
    /// Whether the holders of the key are several programs that must not disturb each other.
    is_shared: bool,
}

impl ControlKey {
    /// A key. If it is `is_shared`, operations that affect all users of the server are refused.
    pub(crate) fn new(key: &str, is_shared: bool) -> Self {
        let digest = TokenDigest::new(key.as_bytes());
        Self { digest, is_shared }
    }
}

/// A request with the control key, where users present their credentials.
///
/// Refuses with [`Error::NotAuthenticated`] without a key and [`Error::InvalidToken`] with another one.
pub(crate) struct Control {
    pub(crate) service: Service,
    is_shared: bool,
}

impl Control {
    /// Refuses what affects all users of a shared server.
    ///
    /// # Errors
    /// [`Refusal::Shared`]
    pub(crate) fn require_own(&self) -> Result<(), Refusal> {
        if self.is_shared {
            Err(Refusal::Shared)
        } else {
            Ok(())
        }
    }
}

impl FromRequest for Control {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(admit(request))
    }
}

fn admit(request: &HttpRequest) -> Result<Control, Error> {
    let (Some(key), Some(service)) = (
        request.app_data::<ControlKey>(),
        request.app_data::<Service>(),
    ) else {
        return Err(Error::Internal);
    };
    let presented = TokenDigest::new(presented::find(request)?);
    if !key.digest.matches(&presented) {
        return Err(Error::InvalidToken);
    }
    Ok(Control {
        service: service.clone(),
        is_shared: key.is_shared,
    })
}
