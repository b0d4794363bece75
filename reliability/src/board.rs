//! Where clients tell each other which tokens there are.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::history::Token;

/// How many ended tokens of a user are remembered.
const REMEMBERED: usize = 6;

/// A token, with the secret that a history does not hold.
#[derive(Clone, Debug)]
pub(crate) struct KnownToken {
    pub(crate) name: Token,
    pub(crate) secret: Arc<str>,
}

/// What the clients know of all users.
pub(crate) struct Board {
    users: Vec<Mutex<Known>>,
    names: AtomicU32,
}

/// The tokens of a user, as far as anybody can tell while others are at it too.
#[derive(Default)]
struct Known {
    current: Option<KnownToken>,
    /// The latest last.
    ended: VecDeque<KnownToken>,
}

impl Board {
    pub(crate) fn new(users: usize) -> Self {
        Self {
            users: (0..users).map(|_| Mutex::default()).collect(),
            names: AtomicU32::new(0),
        }
    }

    /// Gives a new token its name.
    pub(crate) fn name(&self, secret: &str) -> KnownToken {
        KnownToken {
            name: self.names.fetch_add(1, Ordering::Relaxed),
            secret: secret.into(),
        }
    }

    /// Makes `token` the user's current one, and returns the one that it replaces.
    pub(crate) fn replace(&self, user: u32, token: &KnownToken) -> Option<KnownToken> {
        let mut known = self.lock(user);
        let replaced = known.current.replace(token.clone());
        known.remember(replaced.as_ref());
        replaced
    }

    /// Takes the user's current token for ended, if it is still this one.
    pub(crate) fn end(&self, user: u32, token: &KnownToken) {
        let mut known = self.lock(user);
        let is_current = |current: &mut KnownToken| current.name == token.name;
        let ended = known.current.take_if(is_current);
        known.remember(ended.as_ref());
    }

    pub(crate) fn current(&self, user: u32) -> Option<KnownToken> {
        self.lock(user).current.clone()
    }

    /// The tokens that have ended, the latest first.
    pub(crate) fn ended(&self, user: u32) -> Vec<KnownToken> {
        self.lock(user).ended.iter().rev().cloned().collect()
    }

    fn lock(&self, user: u32) -> MutexGuard<'_, Known> {
        let known = &self.users[user as usize];
        known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, ended: Option<&KnownToken>) {
        self.ended.extend(ended.cloned());
        if self.ended.len() > REMEMBERED {
            self.ended.pop_front();
        }
    }
}
