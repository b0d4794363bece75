//! The guards for routes that need more than any sign-in (RFC 9470).

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::{SignedIn, auth};
use crate::auth::{Principal, StepUp};
use crate::error::Error;

/// A user who has signed in with a second factor. Derefs to a [`Principal`].
///
/// Refuses as [`SignedIn`] does, and with 401 and the challenge `insufficient_user_authentication` a session
/// without a second factor.
#[derive(Clone, Debug)]
pub struct SecondFactor(pub SignedIn);

/// A user who has signed in at most `SECONDS` ago: `Fresh<300>`. Derefs to a [`Principal`].
///
/// Refuses as [`SignedIn`] does, and with 401 and the challenge `insufficient_user_authentication` an older
/// sign-in.
#[derive(Clone, Debug)]
pub struct Fresh<const SECONDS: u32>(pub SignedIn);

impl Deref for SecondFactor {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl<const SECONDS: u32> Deref for Fresh<SECONDS> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for SecondFactor {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let required = StepUp {
            second_factor: true,
            max_age: None,
        };
        let caller = stepped_up(request, payload, required);
        Box::pin(async move { caller.await.map(Self) })
    }
}

impl<const SECONDS: u32> FromRequest for Fresh<SECONDS> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let required = StepUp {
            second_factor: false,
            max_age: Some(SECONDS),
        };
        let caller = stepped_up(request, payload, required);
        Box::pin(async move { caller.await.map(Self) })
    }
}

/// The caller, if the sign-in is as required.
fn stepped_up(
    request: &HttpRequest,
    payload: &mut Payload,
    required: StepUp,
) -> impl Future<Output = Result<SignedIn, Error>> + use<> {
    let caller = SignedIn::from_request(request, payload);
    let request = request.clone();
    async move {
        let caller = caller.await?;
        auth(&request)?.check_step_up(&caller, required)?;
        Ok(caller)
    }
}
