//! What is done by mail: resetting a password, verifying an address, and the outbox behind it.

mod addresses;
mod email_change;
mod inbox;
mod invitations;
mod lifetimes;
mod notices;
mod outbox;
mod pages;
mod reset;
mod smtp_server;
mod verification;

pub use inbox::{Inbox, Mail};

/// Mails 1 and 2, which have failed: for links to reset passwords, in a database without mails.
pub const FAILED_MAILS: &str = "INSERT INTO mail_outbox
        (purpose, to_address, locale, ip, message_id, queued_at, next_at, failed_at, attempts, last_reply)
    VALUES
        ('reset-password', 'alice@example.com', '', '', 'first', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP,
            CURRENT_TIMESTAMP, 1, '550 5.1.1 <no> \u{202e}such mailbox'),
        ('reset-password', 'second@example.com', '', '', 'second', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP,
            CURRENT_TIMESTAMP, 1, '550 5.7.1 relay denied')";
