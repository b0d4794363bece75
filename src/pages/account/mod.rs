//! The pages with which users look after their accounts.

mod delete;
mod events;
mod factors;
mod keys;
mod passkeys;
mod password;
mod profile;
mod sessions;

pub(crate) use delete::DeletePage;
pub(crate) use events::EventsPage;
pub(crate) use factors::{FactorsNotice, FactorsPage, NewFactorPage, RecoveryCodesPage};
pub(crate) use keys::{KeysPage, LIFETIMES, NewKeyView};
pub(crate) use passkeys::NewPasskeyPage;
pub(crate) use password::PasswordPage;
pub(crate) use profile::ProfilePage;
pub(crate) use sessions::{SessionsNotice, SessionsPage};

use super::Frame;
use super::texts::account::AccountTexts;

/// The sections of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Profile,
    Password,
    Factors,
    Sessions,
    Keys,
    Events,
}

impl Section {
    const ALL: [Self; 6] = [
        Self::Profile,
        Self::Password,
        Self::Factors,
        Self::Sessions,
        Self::Keys,
        Self::Events,
    ];

    /// The path of the page.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Profile => "/account",
            Self::Password => "/account/password",
            Self::Factors => "/account/factors",
            Self::Sessions => "/account/sessions",
            Self::Keys => "/account/keys",
            Self::Events => "/account/events",
        }
    }

    fn title(self, t: &AccountTexts) -> &'static str {
        match self {
            Self::Profile => t.profile,
            Self::Password => t.password,
            Self::Factors => t.factors,
            Self::Sessions => t.sessions,
            Self::Keys => t.keys,
            Self::Events => t.events,
        }
    }
}

/// Where a page of the account is, and what it says first.
pub(crate) struct AccountHead {
    pub(crate) section: Section,
    /// Why a form was not accepted.
    pub(crate) problem: Option<String>,
    /// What has happened, if there is no problem.
    pub(crate) notice: Option<&'static str>,
}

impl AccountHead {
    fn new(section: Section) -> Self {
        Self {
            section,
            problem: None,
            notice: None,
        }
    }

    /// The sections that the user may open.
    fn sections(&self, frame: &Frame) -> impl Iterator<Item = Section> {
        let offers_factors = frame.offers_factors;
        let all = Section::ALL.into_iter();
        all.filter(move |section| offers_factors || *section != Section::Factors)
    }
}
