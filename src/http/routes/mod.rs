//! The handlers, a file for each thing they are about.

pub(super) mod docs;
pub(super) mod guarded;
pub(super) mod health;
pub(super) mod logout;
pub(super) mod register;
pub(super) mod token;
pub(super) mod users_me;
