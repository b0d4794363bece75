//! What a handler of a page knows of its request besides the caller.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest};

use super::{Pages, cookies, return_to};
use crate::config::PagesMode;
use crate::error::Error;
use crate::guards::{BrowserError, BrowserSession, Site};
use crate::http::body::form::Fields;
use crate::pages::{Assets, Frame, Language, Viewer};
use crate::scope;

/// The parameter with a language.
pub(super) const LANG: &str = "lang";

/// The parameter, and the field, with one of our pages to which a sign-in leads.
pub(super) const NEXT: &str = "next";

/// The longest path that a sign-in returns to, in bytes.
const MAX_NEXT: usize = 2_048;

/// The site and the language of a request for a page.
pub(crate) struct Page {
    site: Site,
    language: Language,
    assets: Arc<Assets>,
    mode: PagesMode,
    offers_factors: bool,
    here: String,
}

impl Page {
    /// The frame of a page for a browser that is not signed in.
    pub(super) fn frame(&self) -> Frame {
        Frame {
            language: self.language,
            assets: Arc::clone(&self.assets),
            base: self.site.base().to_owned(),
            here: self.here.clone(),
            has_account: self.has_account(),
            offers_factors: self.offers_factors,
            user: None,
        }
    }

    /// The frame of a page for a signed-in user.
    pub(super) fn frame_for(&self, session: &BrowserSession) -> Frame {
        Frame {
            user: Some(viewer(session)),
            ..self.frame()
        }
    }

    /// The language of the page.
    pub(super) fn language(&self) -> Language {
        self.language
    }

    /// How browsers reach the service.
    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// The address of one of our pages, as in `Location`.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.site.base())
    }

    /// The address of the requested page, without its query.
    pub(super) fn address(&self) -> String {
        self.link(self.site.path())
    }

    /// Whether there is more than the pages for signing in and out.
    pub(super) fn has_account(&self) -> bool {
        self.mode == PagesMode::All
    }

    /// Where a sign-in leads without a way back.
    pub(super) fn home(&self) -> String {
        self.link(if self.has_account() {
            "/account"
        } else {
            "/signin"
        })
    }
}

impl FromRequest for Page {
    type Error = BrowserError;
    type Future = Ready<Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(of(request))
    }
}

fn of(request: &HttpRequest) -> Result<Page, BrowserError> {
    let pages = request.app_data::<Pages>().ok_or(Error::Internal)?;
    let site = Site::of(request).map_err(BrowserError::Site)?;
    Ok(Page {
        language: language(request),
        assets: Arc::clone(&pages.assets),
        mode: pages.mode,
        offers_factors: pages.offers_factors,
        here: here(request, &site),
        site,
    })
}

/// The frame of a page that says why there is no other one, perhaps because the site is not known.
pub(super) fn bare_frame(request: &HttpRequest) -> Option<Frame> {
    let pages = request.app_data::<Pages>()?;
    let site = Site::of(request).ok();
    Some(Frame {
        language: language(request),
        assets: Arc::clone(&pages.assets),
        base: site.as_ref().map_or("", Site::base).to_owned(),
        here: match &site {
            Some(site) => here(request, site),
            None => format!("?{LANG}="),
        },
        has_account: false,
        offers_factors: false,
        user: None,
    })
}

fn viewer(session: &BrowserSession) -> Viewer {
    let user = &session.user;
    let name = match user.name.trim() {
        "" => &user.email,
        name => name,
    };
    Viewer {
        id: user.id,
        name: name.to_owned(),
        email: user.email.clone(),
        has_console: [scope::USERS_READ, scope::EVENTS_READ]
            .iter()
            .any(|name| session.has_scope(name)),
    }
}

/// By the query, by the cookie that an earlier query has set, or by the browser's settings.
fn language(request: &HttpRequest) -> Language {
    if let Some(language) = chosen_language(request) {
        return language;
    }
    let stored = cookies::chosen_language(request.headers());
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    stored.unwrap_or_else(|| Language::preferred(accepted.unwrap_or_default()))
}

/// The language that the query names.
pub(super) fn chosen_language(request: &HttpRequest) -> Option<Language> {
    parameter(request, LANG).and_then(|code| Language::of_code(&code))
}

/// The first parameter of the query with this name.
pub(super) fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(request.query_string().as_bytes());
    let found = pairs.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// Whether the query is this word, with which a page says what has happened before it.
pub(super) fn says(request: &HttpRequest, word: &str) -> bool {
    parameter(request, word).is_some()
}

/// The page in another language, up to the code. A page that answers a form is read again without it, but
/// keeps the way back.
fn here(request: &HttpRequest, site: &Site) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let is_form = request.method() == Method::POST;
    let pairs = form_urlencoded::parse(request.query_string().as_bytes());
    query.extend_pairs(pairs.filter(|(key, _)| match is_form {
        true => key == NEXT || return_to::PARAMETERS.contains(&key.as_ref()),
        false => key != LANG,
    }));
    let query = query.finish();
    let separator = if query.is_empty() { "" } else { "&" };
    format!("{}{}?{query}{separator}{LANG}=", site.base(), site.path())
}

/// What a form of a sign-in says about what follows: whether the browser keeps the cookie when it is closed, and
/// where it goes.
pub(super) fn wishes(fields: &mut Fields) -> (bool, Option<String>) {
    let is_kept = fields.text("keep") == "yes";
    (is_kept, own_path(&fields.text(NEXT)).map(str::to_owned))
}

/// The page of ours to which the query of a request leads.
pub(super) fn next_page(request: &HttpRequest) -> Option<String> {
    own_path(&parameter(request, NEXT)?).map(str::to_owned)
}

/// Where a sign-in may return to: one of our own pages, whatever the text is.
fn own_path(text: &str) -> Option<&str> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let is_page = ["/account", "/console"].iter().any(|page| {
        let rest = path.strip_prefix(page);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let is_query = |byte: u8| is_plain(byte) || b"=&%+:@,;!$'()*?".contains(&byte);
    let is_good = is_page
        && text.len() <= MAX_NEXT
        && !path.contains("//")
        && !path.split('/').any(|part| part == "." || part == "..")
        && path.bytes().all(is_plain)
        && query.bytes().all(is_query);
    is_good.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn only_our_own_pages_are_returned_to() {
        for path in [
            "/account",
            "/account/sessions",
            "/account/events?before=12",
            "/console/users?q=a%20b&page=2",
        ] {
            assert_eq!(own_path(path), Some(path));
        }
        for path in [
            "",
            "/",
            "account",
            "/accounts",
            "//evil.example/account",
            "/\\evil.example",
            "/account//evil.example",
            "/account/../signout",
            "/account/.",
            "/account\\x",
            "/account/\u{e9}",
            "/account?x=<script>",
            "/account?a#b",
            "/account\r\nX: y",
            "https://evil.example/account",
            "javascript:alert(1)",
            "/signout",
            "/account/%2e%2e",
        ] {
            assert_eq!(own_path(path), None, "{path}");
        }
        assert_eq!(own_path(&format!("/account?{}", "x".repeat(3_000))), None);
    }
}
