//! The tokens of all users, through which clients share what they receive.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use test_support::Response;

use super::Token;

/// The number of replaced and ended tokens that are kept for each user.
const MAX_ENDED: usize = 6;

/// A token with its secrets, which a history does not hold.
#[derive(Clone, Debug)]
pub(super) struct KnownToken {
    pub(super) name: Token,
    /// The name of the first token of the session.
    pub(super) session: Token,
    pub(super) issued: Arc<Issued>,
}

/// The members of a response with tokens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Issued {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    /// The id of the session, if the response has it.
    pub(super) session_id: Option<i64>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issued(..)")
    }
}

impl Issued {
    /// What a response says; `None` if it brings no token.
    pub(super) fn read(response: &Response) -> Option<Self> {
        let refresh = response.member("refresh_token");
        Some(Self {
            access: response.access_token()?,
            refresh: refresh.and_then(|token| Some(token.as_str()?.to_owned())),
            session_id: response.member("session_id").and_then(|id| id.as_i64()),
        })
    }
}

/// The tokens of all users.
pub(super) struct TokenRegistry {
    users: Vec<Mutex<UserTokens>>,
    names: Mutex<HashMap<Arc<Issued>, Token>>,
}

/// The tokens of a user, as far as the clients know while others change them.
#[derive(Default)]
pub(super) struct UserTokens {
    /// Of each session that may be live: the current token and the one before, the oldest session first.
    pub(super) sessions: Vec<(KnownToken, Option<KnownToken>)>,
    /// The latest last.
    ended: VecDeque<KnownToken>,
}

impl TokenRegistry {
    pub(super) fn new(users: usize) -> Self {
        Self {
            users: (0..users).map(|_| Mutex::default()).collect(),
            names: Mutex::default(),
        }
    }

    /// The name of tokens that a client has received; the same for the same bytes. `session` is `None`
    /// for a new session.
    pub(super) fn name(&self, issued: Issued, session: Option<Token>) -> KnownToken {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Token::try_from(names.len()).unwrap_or(Token::MAX);
        let issued = Arc::new(issued);
        let name = *names.entry(Arc::clone(&issued)).or_insert(next);
        KnownToken {
            name,
            session: session.unwrap_or(name),
            issued,
        }
    }

    pub(super) fn lock(&self, user: u32) -> MutexGuard<'_, UserTokens> {
        let tokens = &self.users[user as usize];
        tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UserTokens {
    /// Adds a session, and returns the others.
    pub(super) fn begin(&mut self, token: &KnownToken) -> Vec<KnownToken> {
        let others = self.current();
        self.sessions.push((token.clone(), None));
        others
    }

    /// The current tokens of all sessions.
    pub(super) fn current(&self) -> Vec<KnownToken> {
        let sessions = self.sessions.iter();
        sessions.map(|(current, _)| current.clone()).collect()
    }

    /// All tokens that may be good.
    pub(super) fn good(&self) -> Vec<KnownToken> {
        let sessions = self.sessions.iter();
        let tokens = sessions.flat_map(|(current, previous)| [Some(current), previous.as_ref()]);
        tokens.flatten().cloned().collect()
    }

    /// The tokens that were replaced or have ended.
    pub(super) fn ended(&self) -> Vec<KnownToken> {
        self.ended.iter().cloned().collect()
    }

    /// Makes `next` the current token of its session, if `token` is. Returns the token that has ended
    /// with that.
    pub(super) fn rotate(&mut self, token: &KnownToken, next: &KnownToken) -> Option<KnownToken> {
        let mut sessions = self.sessions.iter_mut();
        let (current, previous) = sessions.find(|(it, _)| it.name == token.name)?;
        let ended = previous.replace(current.clone());
        *current = next.clone();
        self.add_ended(ended.clone());
        ended
    }

    /// Marks the sessions that `is_ended` as ended, and returns their current tokens.
    pub(super) fn end(&mut self, is_ended: impl Fn(&KnownToken) -> bool) -> Vec<KnownToken> {
        let ended = self
            .sessions
            .extract_if(.., |(current, _)| is_ended(current));
        let ended: Vec<_> = ended.collect();
        for (current, previous) in &ended {
            self.add_ended(previous.iter().chain([current]).cloned());
        }
        ended.into_iter().map(|(current, _)| current).collect()
    }

    fn add_ended(&mut self, ended: impl IntoIterator<Item = KnownToken>) {
        self.ended.extend(ended);
        while self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }
}
