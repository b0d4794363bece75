//! The user of a service, for the tests that decide without the checker.

use reliability::history::Token;

/// A user with sessions.
#[derive(Clone, Default)]
pub(crate) struct User {
    /// Without those that no client knows. The one used last comes last.
    pub(crate) sessions: Vec<Session>,
    pub(crate) is_disabled: bool,
}

/// A session: all its tokens, the current one last. `None` stands for one that no client knows.
#[derive(Clone)]
pub(crate) struct Session(pub(crate) Vec<Option<Token>>);

/// The result of a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// The session has ended, before or because of this.
    Refused,
    /// The new current token.
    First,
    /// The current token again.
    Again(Option<Token>),
}

impl Session {
    fn accepts(&self, token: Token) -> bool {
        self.0.iter().rev().take(2).any(|it| *it == Some(token))
    }
}

impl User {
    pub(crate) fn accepts(&self, token: Token) -> bool {
        self.sessions.iter().any(|session| session.accepts(token))
    }

    /// The place of the live session of a token, however old.
    pub(crate) fn session_of(&self, token: Token) -> Option<usize> {
        let has_token = |session: &Session| session.0.contains(&Some(token));
        self.sessions.iter().position(has_token)
    }

    pub(crate) fn begin(&mut self, token: Option<Token>) {
        self.sessions.push(Session(vec![token]));
    }

    /// Ends the session of a token.
    pub(crate) fn end(&mut self, token: Token) {
        if let Some(place) = self.session_of(token) {
            self.sessions.remove(place);
        }
    }

    /// Ends the sessions except that of this token.
    pub(crate) fn end_others(&mut self, token: Token) {
        self.sessions
            .retain(|session| session.0.contains(&Some(token)));
    }

    pub(crate) fn disable(&mut self) {
        self.sessions.clear();
        self.is_disabled = true;
    }

    /// Uses a refresh token; `new` is the next one, if it has none.
    pub(crate) fn refresh(&mut self, token: Token, new: Option<Token>) -> Refreshed {
        let Some(place) = self.session_of(token) else {
            return Refreshed::Refused;
        };
        let tokens = &mut self.sessions[place].0;
        let since = tokens.iter().rev().position(|it| *it == Some(token));
        match since {
            Some(0) => {
                tokens.push(new);
                Refreshed::First
            }
            Some(1) => {
                let current = tokens.last_mut();
                let known = current.map(|it| {
                    let before = *it;
                    // From now on a client knows it.
                    *it = it.or(new);
                    before
                });
                Refreshed::Again(known.flatten())
            }
            _ => {
                self.sessions.remove(place);
                Refreshed::Refused
            }
        }
    }
}
