//! The pages for browsers as text: templates, their view models, languages and the stylesheet. Nothing
//! here knows a request; the handlers are in `http/pages`, which also says how to add a page.

pub(crate) mod account;
pub(crate) mod assets;
mod colour;
mod confirm;
pub(crate) mod console;
pub(crate) mod enrolment;
mod field;
pub(crate) mod guarded;
mod language;
#[cfg(feature = "mail")]
pub(crate) mod mail_step;
mod message;
mod passkey;
mod plot;
mod problem;
mod seed;
mod session_row;
pub(crate) mod sign_in;
mod texts;
mod time;

pub(crate) use assets::Assets;
pub(crate) use confirm::{ConfirmPage, Demand};
pub(crate) use field::{FieldView, Refusal};
pub(crate) use language::Language;
pub(crate) use message::{Message, MessagePage};
pub(crate) use passkey::{PasskeyQuestion, PasskeySignal, PasskeyView};
pub(crate) use seed::SeedView;
pub(crate) use sign_in::Onward;
pub(crate) use texts::common::CommonTexts;
use texts::console::ConsoleTexts;

use std::sync::Arc;

/// What every page shows around its content.
pub(crate) struct Frame {
    /// The language of the page.
    pub(crate) language: Language,
    /// What the service is called, and its files.
    pub(crate) assets: Arc<Assets>,
    /// The path before all others, without a trailing slash.
    pub(crate) base: String,
    /// Where the page is in other languages: up to the code of the language.
    pub(crate) here: String,
    /// Whether there is more than the pages for signing in and out.
    pub(crate) has_account: bool,
    /// Whether users may add second factors.
    pub(crate) offers_factors: bool,
    /// Who is signed in.
    pub(crate) user: Option<Viewer>,
}

/// The user who looks at a page.
pub(crate) struct Viewer {
    /// The id, which forms repeat: a form of one user must not act as another.
    pub(crate) id: i64,
    /// The name, or the address for a user without one.
    pub(crate) name: String,
    /// The address.
    pub(crate) email: String,
    /// Whether the user may see the console.
    pub(crate) has_console: bool,
}

impl Frame {
    /// The texts of every page.
    pub(crate) fn t(&self) -> &'static CommonTexts {
        CommonTexts::of(self.language)
    }

    /// What the console is called, if the viewer may see it.
    pub(crate) fn console(&self) -> Option<&'static str> {
        let user = self.user.as_ref().filter(|user| user.has_console);
        user.map(|_| ConsoleTexts::of(self.language).console)
    }

    /// What the account is called in the console.
    pub(crate) fn account(&self) -> &'static str {
        ConsoleTexts::of(self.language).my_account
    }

    /// The id of the viewer, for the forms; 0 without one.
    pub(crate) fn user_id(&self) -> i64 {
        self.user.as_ref().map_or(0, |user| user.id)
    }

    /// The address of one of our pages or files, from its path: `/account`.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The same page in another language.
    pub(crate) fn in_language(&self, language: &Language) -> String {
        format!("{}{}", self.here, language.code())
    }

    /// The languages of the pages.
    pub(crate) fn languages(&self) -> &'static [Language] {
        &Language::ALL
    }
}
