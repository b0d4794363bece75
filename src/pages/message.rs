//! A page that only says something: why there is no other one.

use askama::Template;

use super::Frame;
use super::language::fill;
use super::texts::problems::ProblemTexts;

/// What a page says instead of showing something.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    NotFound,
    Unavailable,
    /// A fault; the id is that of the request in the log.
    Internal(String),
    OtherSite,
    /// The user with this address is signed in.
    OtherUser(String),
    CookieLost,
    NoPublicUrl,
    PlainHttp,
    /// A scope is missing, of the user with this address.
    Forbidden {
        scope: String,
        email: Option<String>,
    },
    /// The page needs a sign-in with a second factor.
    SecondFactor,
    /// The guarded host of this name needs a second factor, and the service has none.
    NoSecondFactors(String),
    Unreadable,
}

#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage {
    frame: Frame,
    title: &'static str,
    text: String,
    /// Whether there is a page to go to.
    leads_on: bool,
}

impl MessagePage {
    /// The page with a message.
    pub(crate) fn new(frame: Frame, message: &Message) -> Self {
        let t = ProblemTexts::of(frame.language);
        let (title, text) = match message {
            Message::NotFound => (t.not_found, t.not_found_text.to_owned()),
            Message::Unavailable => (t.unavailable, t.unavailable_text.to_owned()),
            Message::Internal(id) => (t.internal, fill(t.internal_text, "id", id)),
            Message::OtherSite => (t.other_site, t.other_site_text.to_owned()),
            Message::OtherUser(email) => (t.other_user, fill(t.other_user_text, "email", email)),
            Message::CookieLost => (t.cookie_lost, t.cookie_lost_text.to_owned()),
            Message::NoPublicUrl => (t.no_public_url, t.no_public_url_text.to_owned()),
            Message::PlainHttp => (t.plain_http, t.plain_http_text.to_owned()),
            Message::Forbidden { scope, email } => {
                let text = fill(t.forbidden_text, "scope", scope);
                let who = email
                    .as_ref()
                    .map(|email| fill(t.forbidden_to, "email", email));
                let sentences = who.into_iter().chain([text]).collect::<Vec<_>>();
                (t.forbidden, sentences.join(" "))
            }
            Message::SecondFactor => (t.second_factor, t.second_factor_text.to_owned()),
            Message::NoSecondFactors(host) => {
                (t.second_factor, fill(t.no_second_factors, "host", host))
            }
            Message::Unreadable => (t.unreadable, t.unreadable_text.to_owned()),
        };
        let leads_on = !matches!(message, Message::NoPublicUrl | Message::PlainHttp);
        Self {
            frame,
            title,
            text,
            leads_on,
        }
    }
}
