//! How browsers stay signed in at the hosts that a reverse proxy guards.

use url::{Host, Url};

use super::public_suffix::is_public_suffix;
use super::sign_in_hosts::is_within;
use super::values::Values;
use super::{ConfigError, PublicUrl, SignInHosts, origins};

/// The hosts that a reverse proxy guards with `/verify`, and how browsers stay signed in there.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GuardedHosts {
    /// `TOKENHOUSE_SIGNIN_HOSTS`.
    pub hosts: SignInHosts,
    /// `TOKENHOUSE_SIGNIN_COOKIE`.
    pub cookie: SignInCookie,
}

/// The cookie of a browser at a guarded host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignInCookie {
    /// Each host has its own, which counts at no other.
    #[default]
    Handshake,
    /// The service and all hosts share one of this domain: every app there can use it anywhere.
    Domain(String),
}

impl GuardedHosts {
    pub(super) fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let name = "TOKENHOUSE_SIGNIN_HOSTS";
        let hosts = SignInHosts::parse(&values.list(name))
            .map_err(|problem| ConfigError::new(name, problem))?;
        let cookie = cookie(values, &hosts)?;
        Ok(Self { hosts, cookie })
    }
}

fn cookie(values: &Values, hosts: &SignInHosts) -> Result<SignInCookie, ConfigError> {
    const MODE: &str = "TOKENHOUSE_SIGNIN_COOKIE";
    const DOMAIN: &str = "TOKENHOUSE_COOKIE_DOMAIN";
    let domain = values.text(DOMAIN);
    match values.text(MODE).as_str() {
        "handshake" if domain.is_empty() => Ok(SignInCookie::Handshake),
        "handshake" => {
            let problem = format!("is only for {MODE}=domain: set that, or remove this");
            Err(ConfigError::new(DOMAIN, problem))
        }
        "domain" => {
            let public_url = values.public_url()?;
            let domain = parse_domain(&domain)
                .and_then(|domain| check_domain(domain, public_url.as_ref(), hosts));
            domain
                .map(SignInCookie::Domain)
                .map_err(|problem| ConfigError::new(DOMAIN, problem))
        }
        _ => Err(ConfigError::new(MODE, "expected handshake or domain")),
    }
}

fn parse_domain(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str =
        "expected the domain of the shared cookie, such as example.com, without a port or a scheme";
    let url = origins::normalise_http("https", text).and_then(|origin| Url::parse(&origin).ok());
    let url = url.filter(|_| !text.contains(':')).ok_or(EXPECTED)?;
    match url.host() {
        // Browsers refuse a cookie of a public suffix (section 5.3 of RFC 6265).
        Some(Host::Domain(name)) if is_public_suffix(name) => Err(
            "browsers refuse a cookie of a public suffix, under which anyone can register domains",
        ),
        Some(Host::Domain(name)) if name.trim_matches('.') == name => Ok(name.to_owned()),
        _ => Err(EXPECTED),
    }
}

fn check_domain(
    domain: String,
    public_url: Option<&PublicUrl>,
    hosts: &SignInHosts,
) -> Result<String, &'static str> {
    let public_url = public_url.filter(|url| url.is_https());
    let portal = public_url.and_then(|url| Url::parse(url.origin()).ok());
    let is_inside = portal.is_some_and(|url| is_within(url.host_str().unwrap_or(""), &domain));
    if !is_inside {
        return Err("must contain the host of TOKENHOUSE_PUBLIC_URL, which must begin with https");
    }
    if !hosts.are_within(&domain) {
        return Err("must contain every host of TOKENHOUSE_SIGNIN_HOSTS");
    }
    Ok(domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn cookie_of(settings: &[(&str, &str)]) -> Result<SignInCookie, String> {
        let settings = settings.iter();
        let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_vars(settings).map_err(|errors| errors.to_string())?;
        Ok(config.server.pages.guarded.cookie)
    }

    #[test]
    fn shared_cookie_needs_a_domain_of_the_service_and_all_hosts() {
        let with = |public: &str, domain: &str, hosts: &str| {
            cookie_of(&[
                ("TOKENHOUSE_SIGNIN_COOKIE", "domain"),
                ("TOKENHOUSE_PUBLIC_URL", public),
                ("TOKENHOUSE_COOKIE_DOMAIN", domain),
                ("TOKENHOUSE_SIGNIN_HOSTS", hosts),
            ])
        };
        let auth = "https://auth.example.com:9443";
        for (public, domain, hosts) in [
            (auth, "example.com", "app.example.com:8443,.example.com"),
            (auth, "Example.COM", "example.com"),
            ("https://example.com/auth", "example.com", ""),
        ] {
            let expected = Ok(SignInCookie::Domain("example.com".to_owned()));
            assert_eq!(with(public, domain, hosts), expected, "{domain}");
        }
        let internal = with(
            "https://auth.corp.internal",
            "corp.internal",
            ".corp.internal",
        );
        let expected = SignInCookie::Domain("corp.internal".to_owned());
        assert_eq!(internal, Ok(expected));
        for (public, domain, hosts) in [
            (auth, "", ""),
            (auth, "com", ""),
            ("https://auth.example.co.uk", "co.uk", ""),
            ("https://auth.example.co.uk", "co.uk", "app.other.co.uk"),
            ("https://me.github.io", "github.io", ""),
            ("https://co.uk", "co.uk", ""),
            ("https://host.lan", "lan", ""),
            (auth, ".example.com", ""),
            (auth, "example.com.", ""),
            (auth, "example.com:9443", ""),
            (auth, "https://example.com", ""),
            (auth, "192.0.2.1", ""),
            (auth, "other.example", ""),
            (auth, "h.example.com", ""),
            (auth, "example.com", "app.other.example"),
            (auth, "example.com", "badexample.com"),
            ("http://auth.example.com", "example.com", ""),
            ("", "example.com", ""),
        ] {
            let problem = with(public, domain, hosts).unwrap_err();
            assert!(
                problem.contains("TOKENHOUSE_COOKIE_DOMAIN"),
                "{domain}: {problem}"
            );
        }
        assert_eq!(cookie_of(&[]), Ok(SignInCookie::Handshake));
        assert!(cookie_of(&[("TOKENHOUSE_COOKIE_DOMAIN", "example.com")]).is_err());
        assert!(cookie_of(&[("TOKENHOUSE_SIGNIN_COOKIE", "both")]).is_err());
    }
}
