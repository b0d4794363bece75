//! What is done by mail: resetting a password, verifying an address, and the outbox behind it.

mod email_change;
mod inbox;
mod invitations;
mod notices;
mod outbox;
mod pages;
mod reset;
mod smtp_server;
mod verification;

pub use inbox::{Inbox, Mail};
