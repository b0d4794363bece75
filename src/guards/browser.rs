//! The guards of the pages: a browser that is signed in by its cookie, and a form that one of our own
//! pages has sent. No other guard reads the cookie, so no API route has to fear requests that another
//! site makes a browser send.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use futures_util::future::LocalBoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::auth;
use super::site::{Site, SiteProblem};
use crate::auth::{Credential, Principal};
use crate::credential::Candidates;
use crate::error::Error;
use crate::store::AccessToken;

/// What browsers say about the page that a request comes from (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is escaped in a parameter with a path.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

/// Why a page is not shown. `http/pages` makes a page of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    /// The browser is not signed in.
    #[error("a sign-in is required")]
    SignInRequired {
        /// Where to sign in, as in the header `Location`.
        location: String,
    },
    /// The form was not sent by one of our pages.
    #[error("the form comes from another site")]
    OtherSite,
    /// The form belongs to a user who is not signed in any more.
    #[error("the form belongs to another user")]
    OtherUser {
        /// The address of the user who is.
        email: String,
    },
    /// The browser has not kept the cookie of the sign-in.
    #[error("the browser has not kept the cookie")]
    CookieLost,
    /// Browsers cannot sign in at this address.
    #[error("browsers cannot sign in here")]
    Site(SiteProblem),
    /// The credential cannot be checked.
    #[error(transparent)]
    Domain(#[from] Error),
}

impl ResponseError for BrowserError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignInRequired { .. } => StatusCode::SEE_OTHER,
            Self::OtherSite | Self::CookieLost | Self::Site(_) => StatusCode::FORBIDDEN,
            Self::OtherUser { .. } => StatusCode::CONFLICT,
            Self::Domain(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::SignInRequired { location } => {
                response.insert_header((header::LOCATION, location.as_str()));
            }
            Self::Domain(error) => error.add_headers(&mut response),
            _ => {}
        }
        response.finish()
    }
}

impl FromRequest for Site {
    type Error = BrowserError;
    type Future = Ready<Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Self::of(request).map_err(BrowserError::Site))
    }
}

/// A browser that is signed in. Derefs to a [`Principal`].
///
/// Sends other browsers to the sign-in page, which returns to this page. Refuses with 503 when the
/// database does not respond.
#[derive(Clone, Debug)]
pub(crate) struct BrowserSession {
    principal: Arc<Principal>,
    token: AccessToken,
}

impl BrowserSession {
    /// The session of a principal whose credential is the secret of a cookie.
    pub(crate) fn of(principal: Arc<Principal>) -> Option<Self> {
        match &principal.credential {
            Credential::LoginToken(token) if !principal.is_app() => Some(Self {
                token: token.clone(),
                principal,
            }),
            _ => None,
        }
    }

    /// The user and the secret of the cookie, as stored.
    pub(crate) fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The secret of the cookie, as stored.
    pub(crate) fn token(&self) -> &AccessToken {
        &self.token
    }
}

impl Deref for BrowserSession {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl FromRequest for BrowserSession {
    type Error = BrowserError;
    type Future = LocalBoxFuture<'static, Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let found = MaybeBrowserSession::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let MaybeBrowserSession(found) = found.await?;
            match found {
                Some(session) => Ok(session),
                None => Err(BrowserError::SignInRequired {
                    location: sign_in_location(&request)?,
                }),
            }
        })
    }
}

/// A browser that is signed in or not. Refuses with 503 when the database does not respond.
#[derive(Clone, Debug)]
pub(crate) struct MaybeBrowserSession(pub(crate) Option<BrowserSession>);

impl FromRequest for MaybeBrowserSession {
    type Error = BrowserError;
    type Future = LocalBoxFuture<'static, Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let site = Site::of(&request).map_err(BrowserError::Site)?;
            let secret = find_cookie(request.headers(), site.cookie_name());
            let Some(candidates) = secret.and_then(Candidates::parse_cookie) else {
                return Ok(Self(None));
            };
            Ok(Self(find_session(&request, candidates).await?))
        })
    }
}

/// The session of a cookie; `None` without a valid one.
///
/// # Errors
/// [`Error::Unavailable`]
pub(crate) async fn find_session(
    request: &HttpRequest,
    candidates: Candidates,
) -> Result<Option<BrowserSession>, Error> {
    let auth = auth(request)?;
    let found = match auth.recall_principal(&candidates) {
        Some(outcome) => outcome,
        None => auth.find_principal(candidates).await,
    };
    match found {
        Ok(principal) => Ok(BrowserSession::of(principal)),
        Err(Error::InvalidToken) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The sign-in page, with the way back to a page that was only read.
pub(crate) fn sign_in_location(request: &HttpRequest) -> Result<String, BrowserError> {
    location_before(request, "/signin")
}

/// One of our pages on the way to the requested one, with the way back if that was only read.
pub(crate) fn location_before(request: &HttpRequest, page: &str) -> Result<String, BrowserError> {
    let site = Site::of(request).map_err(BrowserError::Site)?;
    let base = site.base();
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(format!("{base}{page}"));
    }
    let path = match request.query_string() {
        "" => site.path().to_owned(),
        query => format!("{}?{query}", site.path()),
    };
    let next = utf8_percent_encode(&path, PARAMETER);
    Ok(format!("{base}{page}?next={next}"))
}

/// The value of the cookie with this name; `None` if there are two different ones, as the browser has one of
/// them from another host.
pub(crate) fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = cookies(headers, name);
    let first = values.next();
    first.filter(|first| values.all(|other| other == *first))
}

/// The values of the cookies with this name, in the order of the browser.
pub(crate) fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(header::COOKIE)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        })
}

/// A request that one of our own pages has sent, or that only reads.
///
/// `Sec-Fetch-Site` decides where a browser sends it, as no script can set it. Without it, as on
/// unencrypted pages, `Origin` must be our own. Refuses with 403.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SameOrigin;

impl FromRequest for SameOrigin {
    type Error = BrowserError;
    type Future = Ready<Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let is_own = Site::of(request).map(|site| is_same_origin(request, &site));
        ready(match is_own {
            Ok(true) => Ok(Self),
            Ok(false) => Err(BrowserError::OtherSite),
            Err(problem) => Err(BrowserError::Site(problem)),
        })
    }
}

fn is_same_origin(request: &HttpRequest, site: &Site) -> bool {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return true;
    }
    let all = |name: &HeaderName, expected: &str| {
        let mut values = request.headers().get_all(name).peekable();
        values.peek().is_some() && values.all(|value| value == expected)
    };
    if request.headers().contains_key(SEC_FETCH_SITE) {
        return all(&SEC_FETCH_SITE, "same-origin");
    }
    all(&header::ORIGIN, site.origin())
}
