//! The texts of the pages, a table for each part: a row for each text, a column for each language. A
//! missing column does not compile.
//!
//! `{name}` is replaced with [`fill`](super::language::fill), and `one|several` and `{n}` with
//! [`Language::count`](super::Language::count). Translations say the same, not the same words.

pub(crate) mod account;
pub(crate) mod common;
pub(crate) mod confirm;
pub(crate) mod console;
pub(crate) mod console_events;
#[cfg(feature = "mail")]
pub(crate) mod console_mail;
pub(crate) mod console_overview;
pub(crate) mod console_system;
pub(crate) mod console_user;
pub(crate) mod events;
pub(crate) mod factors;
pub(crate) mod guarded;
#[cfg(feature = "mail")]
pub(crate) mod mail_steps;
pub(crate) mod passkeys;
pub(crate) mod problems;
pub(crate) mod sign_in;

/// Defines a table of texts: `name: English, German, Spanish, French;`.
macro_rules! texts {
    (
        $(#[$attribute:meta])* $table:ident
        $($name:ident: $english:expr, $german:expr, $spanish:expr, $french:expr;)+
    ) => {
        $(#[$attribute])*
        pub(crate) struct $table {
            $(pub(crate) $name: &'static str,)+
        }

        impl $table {
            const ALL: [Self; 4] = [
                Self { $($name: $english,)+ },
                Self { $($name: $german,)+ },
                Self { $($name: $spanish,)+ },
                Self { $($name: $french,)+ },
            ];

            /// The texts in a language.
            pub(crate) fn of(language: $crate::pages::Language) -> &'static Self {
                let [english, german, spanish, french] = &Self::ALL;
                [english, german, spanish, french][language.column()]
            }

            /// Each text with its name, for tests.
            #[cfg(test)]
            pub(super) fn rows() -> Vec<(&'static str, [&'static str; 4])> {
                vec![$((stringify!($name), [$english, $german, $spanish, $french]),)+]
            }
        }
    };
}
use texts;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(&'static str, [&'static str; 4])> {
        [
            account::AccountTexts::rows(),
            factors::FactorTexts::rows(),
            common::CommonTexts::rows(),
            confirm::ConfirmTexts::rows(),
            events::EventTexts::rows(),
            console::ConsoleTexts::rows(),
            console_events::EventsTexts::rows(),
            #[cfg(feature = "mail")]
            console_mail::MailTexts::rows(),
            console_overview::OverviewTexts::rows(),
            console_system::SystemTexts::rows(),
            console_user::UserTexts::rows(),
            guarded::GuardedTexts::rows(),
            #[cfg(feature = "mail")]
            mail_steps::MailStepTexts::rows(),
            passkeys::PasskeyTexts::rows(),
            problems::ProblemTexts::rows(),
            sign_in::SignInTexts::rows(),
        ]
        .concat()
    }

    fn placeholders(text: &str) -> Vec<&str> {
        let parts = text.split('{').skip(1);
        let mut names: Vec<&str> = parts.filter_map(|part| part.split('}').next()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_language_has_the_same_placeholders_and_plural_forms() {
        let rows = rows();
        assert!(rows.len() > 50, "only {} texts", rows.len());
        for (name, texts) in rows {
            let forms = texts.map(|text| text.split('|').count());
            assert!(
                forms.iter().all(|count| *count == forms[0] && *count <= 2),
                "{name}"
            );
            for text in texts {
                assert_eq!(placeholders(text), placeholders(texts[0]), "{name}: {text}");
                assert!(!text.trim().is_empty() && text.trim() == text, "{name}");
            }
        }
    }
}
