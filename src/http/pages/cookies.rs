//! The cookies of the pages.

use actix_web::http::header::{HeaderMap, HeaderValue};

use crate::auth::IssuedToken;
use crate::guards::Site;
use crate::guards::browser::cookies;
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

fn secret_cookie(site: &Site, pair: &str, age: Option<i64>) -> Option<HeaderValue> {
    let age = age
        .map(|age| format!("; Max-Age={age}"))
        .unwrap_or_default();
    let (path, secure) = match site.is_https() {
        // What the prefix of its name requires.
        true => ("/", "; Secure"),
        false => (path(site), ""),
    };
    let domain = site.cookie_domain();
    let domain = domain.map_or_else(String::new, |domain| format!("; Domain={domain}"));
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
