//! The state of a user: their sessions with the tokens that are good.

use crate::history::Token;

/// A token of a history, and the session that it belongs to, which has the name of its first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) session: Token,
    pub(super) token: Token,
}

/// A live session that some client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    /// The name of its first token.
    pub(super) name: Token,
    /// The token that the current one has replaced. Its login token is accepted, and its refresh token
    /// gives the current one again.
    pub(super) previous: Option<Token>,
    /// `None` for a token that no client has received yet.
    pub(super) current: Option<Token>,
}

impl Session {
    pub(super) fn accepts(self, token: Token) -> bool {
        [self.previous, self.current].contains(&Some(token))
    }
}

/// The state of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// In the order of their names; none while the user is disabled.
    pub(super) live: Vec<Session>,
    pub(super) is_disabled: bool,
}

impl State {
    /// A user who has just registered.
    pub(super) const NEW: Self = Self {
        live: Vec::new(),
        is_disabled: false,
    };

    pub(super) fn find(&self, session: Token) -> Option<Session> {
        self.live.iter().copied().find(|it| it.name == session)
    }

    pub(super) fn is_live(&self, session: Token) -> bool {
        self.find(session).is_some()
    }

    pub(super) fn accepts(&self, name: Name) -> bool {
        let session = self.find(name.session);
        session.is_some_and(|session| session.accepts(name.token))
    }

    pub(super) fn keep(&self, is_kept: impl Fn(&Session) -> bool) -> Self {
        Self {
            live: self.live.iter().copied().filter(is_kept).collect(),
            ..*self
        }
    }

    pub(super) fn without(&self, session: Token) -> Self {
        self.keep(|it| it.name != session)
    }

    /// With this session, in place of the one with the same name.
    pub(super) fn with(&self, session: Session) -> Self {
        let mut changed = self.without(session.name);
        let place = changed.live.partition_point(|it| it.name < session.name);
        changed.live.insert(place, session);
        changed
    }

    /// The states after one session has ended to make room.
    pub(super) fn evictions(&self) -> impl Iterator<Item = Self> {
        self.live.iter().map(|session| self.without(session.name))
    }
}

/// What a sign-in knows of the room for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The number of sessions that a user may have.
    pub(super) limit: usize,
    /// The largest number of live sessions that no client knows: those of sign-ins without a response.
    pub(super) unknown: usize,
}

impl Room {
    pub(super) fn may_be_full(self, state: &State) -> bool {
        state.live.len() + self.unknown >= self.limit
    }
}
