//! The way back from a sign-in to a guarded host.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use form_urlencoded::Serializer;

use super::Page;
use super::page::parameter;
use crate::auth::{AuditContext, Auth, CodeRequest, Principal, StepUp};
use crate::config::GuardedUrl;
use crate::credential::token::TokenDigest;
use crate::error::Error as DomainError;
use crate::guards::{BrowserSession, GuardedHost, MAX_ROUNDS, Rounds};
use crate::http::guarded_browser::now;
use crate::http::log_limit::log_setting;
use crate::http::step_up_query::{ACR, MAX_AGE, parameters, required};

/// The parameter with the URL, which is absolute.
const URL: &str = "rd";

/// The parameter with the digest of the nonce that the browser has at the host.
const NONCE: &str = "n";

/// The names of the parameters of a way back, which a form keeps.
pub(super) const PARAMETERS: [&str; 4] = [URL, NONCE, ACR, MAX_AGE];

/// Where the browser gets its cookie for a guarded host.
const CALLBACK: &str = "/.tokenhouse/callback";

/// After this many returns in a short time a browser does not return again, if each has another nonce: the host
/// does not get the cookie with it. More than [`MAX_ROUNDS`], as tabs that a browser opens at the same time may
/// have different ones.
const MAX_NONCES: u32 = 5;

/// A URL at a guarded host to which a sign-in may lead.
pub(super) struct ReturnTo {
    url: GuardedUrl,
    host: GuardedHost,
    /// `None` if the browser has not begun there.
    nonce: Option<String>,
    /// What the host requires of the sign-in.
    required: StepUp,
}

/// Where a browser goes after its sign-in.
pub(super) enum Lead {
    /// To this URL, with a cookie that counts the returns.
    Onward(String, Option<HeaderValue>),
    /// Nowhere: it has returned again and again.
    Stopped,
}

/// A return of a browser to a host.
enum Return {
    /// Counted in this cookie.
    Counted(HeaderValue),
    /// It does not count here.
    NotCounted,
    /// There were too many in a short time.
    InVain,
}

impl ReturnTo {
    /// The way back that the query names. Leads nowhere but to hosts in `TOKENHOUSE_SIGNIN_HOSTS`, and tells
    /// the operator which entry is missing.
    pub(super) fn of(request: &HttpRequest, page: &Page) -> Option<Self> {
        let text = parameter(request, URL).filter(|text| !text.is_empty())?;
        let Some(url) = GuardedUrl::parse(&text) else {
            log_setting(
                request,
                format_args!(
                    "a sign-in does not lead back: the parameter {URL} is no URL of https, or of http \
                     on this machine"
                ),
            );
            return None;
        };
        let Some(host) = GuardedHost::of(request, page.site(), &url) else {
            log_missing_host(request, &url);
            return None;
        };
        let nonce = parameter(request, NONCE);
        let is_digest = |nonce: &String| TokenDigest::from_hex(nonce).is_some();
        let (acr, max_age) = (parameter(request, ACR), parameter(request, MAX_AGE));
        Some(Self {
            url,
            host,
            nonce: nonce.filter(is_digest),
            required: required(acr.as_deref(), max_age.as_deref()),
        })
    }

    /// The URL.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The host as users know it.
    pub(super) fn host(&self) -> &str {
        self.host.audience()
    }

    /// Whether the host requires a second factor.
    pub(super) fn needs_factor(&self) -> bool {
        self.required.second_factor
    }

    /// What the sign-in of a user lacks of what the host requires.
    pub(super) fn missing(&self, auth: &Auth, principal: &Principal) -> StepUp {
        auth.missing_step_up(principal, self.required)
    }

    /// The query that names this way back.
    pub(super) fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair(URL, self.url.as_str());
        query.extend_pairs(self.nonce.as_ref().map(|nonce| (NONCE, nonce)));
        query.extend_pairs(parameters(self.required));
        query.finish()
    }

    /// Where a browser that is signed in goes: to the URL if its cookie counts there, or if it has not begun
    /// there; otherwise to get a cookie for the host.
    ///
    /// # Errors
    /// [`DomainError::InvalidToken`] when the session has ended; [`DomainError::Internal`];
    /// [`DomainError::Unavailable`].
    pub(super) async fn lead(
        &self,
        request: &HttpRequest,
        auth: &Auth,
        context: &AuditContext,
        page: &Page,
        session: &BrowserSession,
    ) -> Result<Lead, DomainError> {
        let cookie = match self.count(request, page, now(auth))? {
            Return::Counted(cookie) => Some(cookie),
            Return::NotCounted => None,
            Return::InVain => return Ok(Lead::Stopped),
        };
        let nonce = self.nonce.clone().filter(|_| !self.host.shares_cookie());
        let Some(nonce_digest) = nonce else {
            return Ok(Lead::Onward(self.url.as_str().to_owned(), cookie));
        };
        let code = CodeRequest {
            audience: self.host.audience().to_owned(),
            nonce_digest,
            return_url: self.url.as_str().to_owned(),
        };
        let issued = auth.issue_sign_in_code(context, session.principal(), code);
        match issued.await {
            Ok(code) => {
                let path = format!("{CALLBACK}?code={}", code.expose());
                Ok(Lead::Onward(self.url.with_path(&path), cookie))
            }
            Err(DomainError::TooManyAttempts { .. }) => Ok(Lead::Stopped),
            Err(error) => Err(error),
        }
    }

    /// Counts the returns of this browser to the host, in a cookie of our own.
    fn count(&self, request: &HttpRequest, page: &Page, now: i64) -> Result<Return, DomainError> {
        let shares_cookie = self.host.shares_cookie();
        let (nonce, max) = match &self.nonce {
            Some(nonce) if !shares_cookie => (nonce.as_str(), MAX_NONCES),
            _ if shares_cookie => ("", MAX_ROUNDS),
            _ => return Ok(Return::NotCounted),
        };
        let (here, host) = (GuardedHost::of_site(page.site()), self.host.audience());
        let known = here.rounds(request);
        if !shares_cookie
            && known
                .as_ref()
                .is_some_and(|known| known.are_at(host, nonce))
        {
            // The host counts these itself.
            return Ok(Return::NotCounted);
        }
        let known = known.and_then(|known| known.at(host, nonce));
        let rounds = known.unwrap_or_else(|| Rounds::begin_at(host, nonce));
        if rounds.are_in_vain(now, max) {
            return Ok(Return::InVain);
        }
        let cookie = here.set_rounds(&rounds.counted(now));
        cookie.map(Return::Counted).ok_or(DomainError::Internal)
    }
}

/// Tells the operator which entry of `TOKENHOUSE_SIGNIN_HOSTS` is missing.
pub(super) fn log_missing_host(request: &HttpRequest, url: &GuardedUrl) {
    log_setting(
        request,
        format_args!(
            "a sign-in does not lead back to {host}: add {host} to TOKENHOUSE_SIGNIN_HOSTS if it may",
            host = url.audience()
        ),
    );
}
