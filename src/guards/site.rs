//! Where browsers reach the service: its origin, and the path before all others.

use actix_web::{HttpRequest, web};

use super::local::local_origin;
use crate::config::{GuardedHosts, PublicUrl, SignInCookie};

/// The service as a browser reaches it: by `TOKENHOUSE_PUBLIC_URL`, or directly on the same machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Scheme, host and port, as in the header `Origin`.
    origin: String,
    /// The path before all others without a trailing slash: `/auth`, or empty.
    base: String,
    /// The path of the requested page after that.
    path: String,
    /// The domain of the cookie, if all guarded hosts share it.
    domain: Option<String>,
}

/// The path of a page as in the route table, in the `app_data` of its route. Its presence makes a route
/// a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRoute(pub(crate) &'static str);

impl PageRoute {
    /// The length of the path of the scope that the route is in, in an app of another program.
    fn scope(self, request: &HttpRequest) -> usize {
        let whole = request.match_pattern().map_or(0, |pattern| pattern.len());
        whole.saturating_sub(self.0.len())
    }
}

/// Why browsers cannot sign in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteProblem {
    /// The service does not know its own URL.
    NoPublicUrl,
    /// The URL is of http and not of this machine, so browsers drop a `Secure` cookie.
    PlainHttp,
}

impl Site {
    /// The service as this request reaches it. Nothing but `TOKENHOUSE_PUBLIC_URL` decides for a client
    /// on another machine: a client or a proxy can write any header.
    ///
    /// # Errors
    /// If no browser can sign in there.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, SiteProblem> {
        let public = request.app_data::<web::Data<Option<PublicUrl>>>();
        let route = request.app_data::<PageRoute>();
        let scope = route.map_or(0, |route| route.scope(request));
        let (scope, path) = request
            .path()
            .split_at_checked(scope)
            .unwrap_or(("", request.path()));
        match public.and_then(|url| url.get_ref().as_ref()) {
            Some(url) if url.is_https() || url.is_loopback() => Ok(Self {
                origin: url.origin().to_owned(),
                base: url.path().to_owned(),
                path: path.to_owned(),
                domain: cookie_domain(request),
            }),
            Some(_) => Err(SiteProblem::PlainHttp),
            None => Ok(Self {
                origin: local_origin(request).ok_or(SiteProblem::NoPublicUrl)?,
                base: scope.to_owned(),
                path: path.to_owned(),
                domain: None,
            }),
        }
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The path before all others, without a trailing slash.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The path of the requested page, without what comes before all paths.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether browsers reach the service by TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// The name of the cookie with the session. The prefix makes browsers refuse one that another host
    /// or an unencrypted page sets (RFC 6265bis section 4.1.3.2); one of a whole domain, only the latter.
    pub(crate) fn cookie_name(&self) -> &'static str {
        match (self.is_https(), &self.domain) {
            (true, None) => "__Host-tokenhouse",
            (true, Some(_)) => "__Secure-tokenhouse",
            (false, _) => "tokenhouse",
        }
    }

    /// The domain of the cookie with the session, if all guarded hosts share it.
    pub(crate) fn cookie_domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }
}

/// The hosts that a reverse proxy guards; none in an app of another program.
pub(crate) fn guarded_hosts(request: &HttpRequest) -> Option<&GuardedHosts> {
    let hosts = request.app_data::<web::Data<GuardedHosts>>();
    hosts.map(|hosts| hosts.get_ref())
}

fn cookie_domain(request: &HttpRequest) -> Option<String> {
    match &guarded_hosts(request)?.cookie {
        SignInCookie::Domain(domain) => Some(domain.clone()),
        SignInCookie::Handshake => None,
    }
}
