//! The scopes of the service's own routes, and what they make of a user.

use std::sync::Arc;

use crate::auth::{Administrator, Origin};
use crate::guards::{Authorized, RequiredScope};
use crate::scope;

/// `users:read`
#[derive(Clone, Copy, Debug)]
pub struct UsersRead;

impl RequiredScope for UsersRead {
    const SCOPE: &'static str = scope::USERS_READ;
}

/// `users:write`
#[derive(Clone, Copy, Debug)]
pub struct UsersWrite;

impl RequiredScope for UsersWrite {
    const SCOPE: &'static str = scope::USERS_WRITE;
}

/// `events:read`
#[derive(Clone, Copy, Debug)]
pub struct EventsRead;

impl RequiredScope for EventsRead {
    const SCOPE: &'static str = scope::EVENTS_READ;
}

impl<S: RequiredScope> Authorized<S> {
    /// The user, as who may see to other people's accounts by this scope.
    pub(crate) fn administrator(&self, origin: Origin) -> Administrator {
        Administrator::new(origin, Arc::clone(self.principal()), S::SCOPE)
    }
}
