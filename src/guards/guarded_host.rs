//! A host that a reverse proxy guards, and the cookies that a browser has for it.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;

use super::browser::{BrowserSession, find_cookie, find_session};
use super::site::{Site, guarded_hosts};
use crate::config::{GuardedUrl, SignInCookie};
use crate::credential::Candidates;
use crate::credential::token::{PlainToken, TokenDigest, generate_token, is_token_shaped};
use crate::error::Error;

/// After this many sign-ins at a host in a row, a browser is not sent to another one.
pub(crate) const MAX_ROUNDS: u32 = 3;

/// The time in which they count, in seconds.
const ROUNDS_INTERVAL: i64 = 30;

/// A guarded host, as a browser reaches it.
#[derive(Clone, Debug)]
pub(crate) struct GuardedHost {
    audience: String,
    is_https: bool,
    /// What distinguishes its cookies from those of other ports of the same name.
    suffix: String,
    /// Whether the cookie of our own pages counts there.
    shares_cookie: bool,
    own_cookie: &'static str,
}

impl GuardedHost {
    /// The host of a URL; `None` if it is not in `TOKENHOUSE_SIGNIN_HOSTS`.
    pub(crate) fn of(request: &HttpRequest, site: &Site, url: &GuardedUrl) -> Option<Self> {
        let guarded = guarded_hosts(request).filter(|guarded| guarded.hosts.allows(url))?;
        let portal = GuardedUrl::parse(site.origin());
        // Cookies do not tell ports apart: those of a service on another port would replace ours.
        let has_our_name = portal.is_some_and(|portal| portal.host() == url.host());
        let audience = url.audience();
        let suffix = match url.port() {
            Some(port) => format!("-{port}"),
            None if has_our_name && url.origin() != site.origin() => "-host".to_owned(),
            None => String::new(),
        };
        Some(Self {
            is_https: url.is_https(),
            suffix,
            shares_cookie: url.origin() == site.origin()
                || guarded.cookie != SignInCookie::Handshake,
            own_cookie: site.cookie_name(),
            audience,
        })
    }

    /// The service itself, for a cookie of our own pages.
    pub(crate) fn of_site(site: &Site) -> Self {
        Self {
            audience: String::new(),
            is_https: site.is_https(),
            suffix: String::new(),
            shares_cookie: true,
            own_cookie: site.cookie_name(),
        }
    }

    /// The host, with the port unless that is 443.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// Whether the browser needs no cookie of its own for this host.
    pub(crate) fn shares_cookie(&self) -> bool {
        self.shares_cookie
    }

    /// The session whose cookie the browser has for this host.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    pub(crate) async fn find_session(
        &self,
        request: &HttpRequest,
    ) -> Result<Option<BrowserSession>, Error> {
        let candidates = if self.shares_cookie {
            find_cookie(request.headers(), self.own_cookie).and_then(Candidates::parse_cookie)
        } else {
            let secret = find_cookie(request.headers(), &self.session_cookie());
            secret.and_then(|secret| Candidates::parse_host_cookie(secret, &self.audience))
        };
        match candidates {
            Some(candidates) => find_session(request, candidates).await,
            None => Ok(None),
        }
    }

    fn session_cookie(&self) -> String {
        self.cookie_name("tokenhouse")
    }

    fn cookie_name(&self, name: &str) -> String {
        let prefix = if self.is_https { "__Host-" } else { "" };
        format!("{prefix}{name}{}", self.suffix)
    }

    /// `Set-Cookie` for the session, until the window is closed: a browser that is kept signed in gets
    /// another one by our own cookie.
    pub(crate) fn set_session(&self, secret: &PlainToken) -> Option<HeaderValue> {
        self.set_cookie(&self.session_cookie(), secret.expose())
    }

    /// What the browser knows of its sign-ins at this host.
    pub(crate) fn rounds(&self, request: &HttpRequest) -> Option<Rounds> {
        let value = find_cookie(request.headers(), &self.cookie_name("tokenhouse-signin"))?;
        Rounds::parse(str::from_utf8(value).ok()?)
    }

    /// `Set-Cookie` for that.
    pub(crate) fn set_rounds(&self, rounds: &Rounds) -> Option<HeaderValue> {
        let name = self.cookie_name("tokenhouse-signin");
        self.set_cookie(&name, &rounds.to_text())
    }

    fn set_cookie(&self, name: &str, value: &str) -> Option<HeaderValue> {
        let secure = if self.is_https { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}");
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        // Never shown in a log of the headers.
        value.set_sensitive(true);
        Some(value)
    }
}

/// What a browser keeps of its sign-ins at a guarded host: a nonce, so that a code counts only in the browser
/// that began, and how many sign-ins followed each other. A user who changes the number only sees another
/// page.
#[derive(Clone)]
pub(crate) struct Rounds {
    nonce: String,
    count: u32,
    /// When the first of them ended, in seconds since 1970; `0` before that.
    since: i64,
}

impl Rounds {
    /// The beginning.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails.
    pub(crate) fn begin() -> Result<Self, Error> {
        Ok(Self {
            nonce: generate_token()?.expose().to_owned(),
            count: 0,
            since: 0,
        })
    }

    /// The nonce as the sign-in page sees it.
    pub(crate) fn nonce_digest(&self) -> String {
        TokenDigest::new(self.nonce.as_bytes()).to_hex()
    }

    /// Whether the browser has done this many in a short time. `now` is in seconds since 1970.
    pub(crate) fn are_in_vain(&self, now: i64, max: u32) -> bool {
        self.count >= max && self.is_recent(now)
    }

    /// The beginning for our own pages: with a host and the nonce there instead of a nonce.
    pub(crate) fn begin_at(host: &str, nonce: &str) -> Self {
        Self {
            nonce: in_place_of_nonce(host, nonce),
            count: 0,
            since: 0,
        }
    }

    /// The same number for another nonce at a host; `None` if the number is that of another host.
    pub(crate) fn at(self, host: &str, nonce: &str) -> Option<Self> {
        let other = in_place_of_nonce(host, nonce);
        let is_host = self.nonce.get(..HOST_DIGITS) == other.get(..HOST_DIGITS);
        is_host.then_some(Self {
            nonce: other,
            ..self
        })
    }

    /// Whether this host and this nonce are meant.
    pub(crate) fn are_at(&self, host: &str, nonce: &str) -> bool {
        self.nonce == in_place_of_nonce(host, nonce)
    }

    /// After another sign-in.
    pub(crate) fn counted(self, now: i64) -> Self {
        match self.is_recent(now) {
            true => Self {
                count: self.count.saturating_add(1),
                ..self
            },
            false => Self {
                count: 1,
                since: now,
                ..self
            },
        }
    }

    fn is_recent(&self, now: i64) -> bool {
        (0..ROUNDS_INTERVAL).contains(&now.saturating_sub(self.since))
    }

    fn to_text(&self) -> String {
        format!("{}.{}.{}", self.nonce, self.count, self.since)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let rounds = Self {
            nonce: parts.next()?.to_owned(),
            count: parts.next()?.parse().ok()?,
            since: parts.next()?.parse().ok()?,
        };
        let is_whole = parts.next().is_none() && is_token_shaped(rounds.nonce.as_bytes());
        is_whole.then_some(rounds)
    }
}

/// How many digits of the digest of a host are in place of a nonce.
const HOST_DIGITS: usize = 21;

/// A host and the nonce there, in the form of a nonce.
fn in_place_of_nonce(host: &str, nonce: &str) -> String {
    let digits = |text: &str| TokenDigest::new(text.as_bytes()).to_hex();
    let (host, nonce) = (digits(host), digits(nonce));
    host.chars()
        .take(HOST_DIGITS)
        .chain(nonce.chars().take(43 - HOST_DIGITS))
        .collect()
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds")
            .field("count", &self.count)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_sign_ins_within_half_a_minute_are_in_vain() {
        let mut rounds = Rounds::begin().unwrap();
        for at in [1_000, 1_010, 1_020] {
            assert!(!rounds.are_in_vain(at, 3));
            rounds = Rounds::parse(&rounds.counted(at).to_text()).unwrap();
        }
        assert!(rounds.are_in_vain(1_020, 3) && rounds.are_in_vain(1_029, 3));
        assert!(!rounds.are_in_vain(1_030, 3) && !rounds.are_in_vain(999, 3));
        assert!(!rounds.counted(1_030).are_in_vain(1_030, 3));
        let here = Rounds::begin_at("app.example", "1").counted(1_000);
        assert!(here.are_at("app.example", "1") && !here.are_at("app.example", "2"));
        assert!(here.clone().at("other.example", "1").is_none());
        let next = here.at("app.example", "2").unwrap().counted(1_001);
        assert!(next.are_in_vain(1_001, 2) && Rounds::parse(&next.to_text()).is_some());
        for text in ["", "a.1.2", "..", "\u{e9}"] {
            assert!(Rounds::parse(text).is_none(), "{text}");
        }
    }
}
