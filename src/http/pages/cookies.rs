//! The cookies of the pages.

use actix_web::http::header::{HeaderMap, HeaderValue};
use secrecy::SecretString;

use crate::auth::{DeviceSecret, IssuedToken};
use crate::guards::Site;
use crate::guards::browser::{cookies, find_cookie};
use crate::pages::Language;

/// The cookie with the language that the user has chosen.
const LANGUAGE_COOKIE: &str = "tokenhouse-lang";

/// How long browsers keep that: a year, in seconds.
const LANGUAGE_AGE: u32 = 365 * 86_400;

/// `Set-Cookie` for a new session: for its lifetime if it is kept, otherwise until the window is closed.
pub(super) fn session(site: &Site, issued: &IssuedToken, is_kept: bool) -> Option<HeaderValue> {
    let (name, secret) = (site.cookie_name(), issued.secret.expose());
    let age = is_kept.then(|| issued.lifetime.num_seconds());
    secret_cookie(site, &format!("{name}={secret}"), age)
}

/// `Set-Cookie` that removes the session.
pub(super) fn no_session(site: &Site) -> Option<HeaderValue> {
    secret_cookie(site, &format!("{}=", site.cookie_name()), Some(0))
}

/// `Set-Cookie` for a trusted device. Never one of a whole domain: only the sign-in page reads it.
pub(super) fn device(site: &Site, device: &DeviceSecret) -> Option<HeaderValue> {
    let (name, secret) = (device_cookie(site), device.secret.expose());
    let age = device.lifetime.num_seconds();
    of_host(site, &format!("{name}={secret}"), "", Some(age))
}

/// The secret of a trusted device.
pub(super) fn device_token(headers: &HeaderMap, site: &Site) -> Option<SecretString> {
    let secret = str::from_utf8(find_cookie(headers, device_cookie(site))?).ok()?;
    Some(secret.into())
}

/// The name of the cookie of a trusted device; see [`Site::cookie_name`].
fn device_cookie(site: &Site) -> &'static str {
    match site.is_https() {
        true => "__Host-tokenhouse-device",
        false => "tokenhouse-device",
    }
}

fn secret_cookie(site: &Site, pair: &str, age: Option<i64>) -> Option<HeaderValue> {
    let domain = site.cookie_domain();
    let domain = domain.map_or_else(String::new, |domain| format!("; Domain={domain}"));
    of_host(site, pair, &domain, age)
}

fn of_host(site: &Site, pair: &str, domain: &str, age: Option<i64>) -> Option<HeaderValue> {
    let age = age
        .map(|age| format!("; Max-Age={age}"))
        .unwrap_or_default();
    let (path, secure) = match site.is_https() {
        // What the prefix of its name requires.
        true => ("/", "; Secure"),
        false => (path(site), ""),
    };
    let cookie = format!("{pair}; Path={path}{domain}; HttpOnly; SameSite=Lax{secure}{age}");
    let mut value = HeaderValue::from_str(&cookie).ok()?;
    // Never shown in a log of the headers.
    value.set_sensitive(true);
    Some(value)
}

/// `Set-Cookie` for a language.
pub(super) fn language(site: &Site, language: Language) -> Option<HeaderValue> {
    let secure = if site.is_https() { "; Secure" } else { "" };
    let (code, path) = (language.code(), path(site));
    let cookie = format!(
        "{LANGUAGE_COOKIE}={code}; Path={path}; HttpOnly; SameSite=Lax{secure}; Max-Age={LANGUAGE_AGE}"
    );
    HeaderValue::from_str(&cookie).ok()
}

fn path(site: &Site) -> &str {
    match site.base() {
        "" => "/",
        base => base,
    }
}

/// The language that the user has chosen.
pub(super) fn chosen_language(headers: &HeaderMap) -> Option<Language> {
    let value = cookies(headers, LANGUAGE_COOKIE).next()?;
    Language::of_code(str::from_utf8(value).ok()?)
}
