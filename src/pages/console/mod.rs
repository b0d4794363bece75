//! The pages of the administration.

mod apps;
mod event_row;
mod events;
mod health;
#[cfg(feature = "mail")]
mod mail;
mod new_user;
mod overview;
mod settings;
mod user;
mod users;

pub(crate) use apps::AppsPage;
pub(crate) use events::{BadFilter, ChainState, EventFilters, EventsPage};
pub(crate) use health::{HealthChecks, HealthPage};
#[cfg(feature = "mail")]
pub(crate) use mail::{MailNotice, MailPage};
pub(crate) use new_user::{NewUserPage, Typed};
pub(crate) use overview::{OverviewPage, PERIODS};
pub(crate) use settings::SettingsPage;
pub(crate) use user::{UserContent, UserNotice, UserPage};
pub(crate) use users::UsersPage;

use crate::error::Error;
use crate::scope;

use super::language::fill;
use super::problem::problem;
use super::texts::console::ConsoleTexts;
#[cfg(feature = "mail")]
use super::texts::console_mail::MailTexts;
use super::{Frame, Language};

/// The sections of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Users,
    Events,
    Apps,
    #[cfg(feature = "mail")]
    Mail,
    Settings,
    Health,
}

impl Section {
    const ALL: &[Self] = &[
        Self::Overview,
        Self::Users,
        Self::Events,
        Self::Apps,
        #[cfg(feature = "mail")]
        Self::Mail,
        Self::Settings,
        Self::Health,
    ];

    /// The path of the page.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console",
            Self::Users => "/console/users",
            Self::Events => "/console/events",
            Self::Apps => "/console/apps",
            #[cfg(feature = "mail")]
            Self::Mail => "/console/mail",
            Self::Settings => "/console/settings",
            Self::Health => "/console/health",
        }
    }

    fn title(self, frame: &Frame) -> &'static str {
        let t = ConsoleTexts::of(frame.language);
        match self {
            Self::Overview => t.overview,
            Self::Users => t.users,
            Self::Events => t.events,
            Self::Apps => t.apps,
            #[cfg(feature = "mail")]
            Self::Mail => MailTexts::of(frame.language).heading,
            Self::Settings => t.settings,
            Self::Health => t.health,
        }
    }

    /// The scope without which the section is not shown.
    fn scope(self) -> Option<&'static str> {
        match self {
            Self::Overview => None,
            Self::Users | Self::Apps | Self::Settings | Self::Health => Some(scope::USERS_READ),
            #[cfg(feature = "mail")]
            Self::Mail => Some(scope::USERS_READ),
            Self::Events => Some(scope::EVENTS_READ),
        }
    }
}

/// Where a page of the console is, and what it says first.
pub(crate) struct ConsoleHead {
    section: Section,
    sections: Vec<Section>,
    /// Why a form was not accepted.
    pub(crate) problem: Option<String>,
    /// What has happened, if there is no problem.
    pub(crate) notice: Option<&'static str>,
}

impl ConsoleHead {
    /// The head for a user with these scopes.
    pub(crate) fn new(section: Section, scopes: &str) -> Self {
        let is_open = |section: &Section| {
            section
                .scope()
                .is_none_or(|name| scope::contains(scopes, name))
        };
        Self {
            section,
            sections: Section::ALL.iter().copied().filter(is_open).collect(),
            problem: None,
            notice: None,
        }
    }

    fn section(&self) -> Section {
        self.section
    }

    fn sections(&self) -> &[Section] {
        &self.sections
    }
}

/// Why a change of another user was refused: the sentence above the form.
pub(crate) fn console_problem(error: &Error, language: Language) -> String {
    let t = ConsoleTexts::of(language);
    match error {
        Error::LastAdministrator => t.last_administrator.to_owned(),
        Error::InsufficientScope(scope) => fill(t.not_allowed, "scope", scope),
        Error::PreconditionFailed => t.changed_meanwhile.to_owned(),
        error => problem(error, language),
    }
}
