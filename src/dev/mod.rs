//! A service for the tests of apps: its database is thrown away, its clock can be moved, and it can be
//! reset. `tokenhouse dev` serves it to other programs, and [`crate::testing`] to tests in Rust.

mod folder;
mod seed;

#[cfg(feature = "server")]
mod control;
#[cfg(feature = "server")]
mod refusal;
#[cfg(feature = "server")]
mod routes;
#[cfg(feature = "server")]
mod service;

pub(crate) use folder::Folder;
#[cfg(feature = "testing")]
pub use seed::PASSWORD;
pub(crate) use seed::SeedUser;

#[cfg(feature = "server")]
pub(crate) use control::{Control, ControlKey};
#[cfg(feature = "server")]
pub(crate) use routes::serve;
#[cfg(feature = "cli")]
pub(crate) use seed::Seed;
#[cfg(feature = "server")]
pub(crate) use seed::parse_object;
#[cfg(feature = "server")]
pub(crate) use service::{ClockStart, Service};

/// The settings that differ from the defaults of the service: hashes are cheap.
pub(crate) const SETTINGS: [(&str, &str); 2] = [
    ("TOKENHOUSE_BCRYPT_COST", "4"),
    ("TOKENHOUSE_HASH_LOW_PRIORITY", "false"),
];
