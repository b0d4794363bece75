//! A service for the tests of apps: its database is thrown away, its clock can be moved, and it can be
//! reset. `tokenhouse dev` serves it to other programs, and the module `testing` to tests in Rust.

#[cfg(feature = "cli")]
mod abandoned;
#[cfg(feature = "cli")]
mod amr;
#[cfg(feature = "cli")]
mod control;
#[cfg(feature = "server")]
mod database;
mod folder;
#[cfg(feature = "cli")]
mod mail;
#[cfg(feature = "cli")]
mod refusal;
#[cfg(feature = "cli")]
mod routes;
#[cfg(feature = "server")]
mod service;

#[cfg(feature = "server")]
pub(crate) use database::Databases;
pub(crate) use folder::Folder;
#[cfg(feature = "server")]
pub(crate) use service::{ClockStart, Service};
#[cfg(feature = "cli")]
pub(crate) use {abandoned::remove_abandoned, control::ControlKey, routes::serve};

/// The settings that differ from the defaults of the service: hashes are cheap, and mails reach nobody.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("TOKENHOUSE_BCRYPT_COST", "4"),
    ("TOKENHOUSE_HASH_LOW_PRIORITY", "false"),
    #[cfg(feature = "mail")]
    ("TOKENHOUSE_MAIL", "memory"),
];
