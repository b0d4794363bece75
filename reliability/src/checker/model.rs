//! The sequential specification of a user: what each step of an operation changes.

use super::state::{Name, Room, Session, State};
use crate::history::Token;

/// Something that takes effect at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Begins a session with this token. When the user has too many, one of the others ends.
    SignIn(Token, Room),
    /// The same with a token that no client has received.
    LostSignIn(Room),
    SignInRefused,
    Accepted(Name),
    Refused(Name),
    /// Gives the token after this one, for the first time or again.
    Refreshed(Name, Token),
    /// Ends the session, if the token is older than the previous one.
    RefreshRefused(Name),
    /// Either of both, with an answer that no client has received.
    LostRefresh(Name),
    /// Ends the session of a token that was accepted before, if it still is.
    SignOut(Name),
    /// Ends this session at the request of a token, which is `None` for a lost answer.
    End(Option<Name>, Token),
    EndRefused(Name, Token),
    /// Ends all sessions but this one, likewise.
    EndOthers(Option<Name>, Token),
    EndAll,
    /// Ends all sessions as well.
    Disable,
    Enable,
}

/// What a step may need, or may have come after: the effect of a step that may never have taken
/// effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The end of this session.
    End(Token),
    /// A new current token of this session.
    Rotation(Token),
    /// The end of several sessions, before a new one begins.
    EndSeveral,
    Disable,
    Enable,
}

impl Need {
    /// Whether the step may as well wait for it until it has to return: what it needs lasts, so another
    /// step may bring it anyway.
    pub(super) fn can_wait(self) -> bool {
        matches!(self, Self::End(_) | Self::Rotation(_))
    }
}

impl Step {
    /// The states that may follow; none when a correct service cannot take this step in `state`.
    pub(super) fn apply(self, state: &State) -> Vec<State> {
        match self {
            Self::SignIn(token, room) => sign_in(state, token, room),
            Self::LostSignIn(room) if room.may_be_full(state) => state.evictions().collect(),
            Self::Refreshed(name, next) => Vec::from_iter(refresh(state, name, next)),
            Self::RefreshRefused(name) if state.accepts(name) => Vec::new(),
            Self::RefreshRefused(name) => vec![state.without(name.session)],
            Self::LostRefresh(name) => match state.find(name.session) {
                Some(session) if session.current == Some(name.token) => {
                    vec![state.with(rotated(session, None))]
                }
                Some(session) if !session.accepts(name.token) => vec![state.without(session.name)],
                _ => vec![state.clone()],
            },
            Self::SignOut(name) if state.accepts(name) => vec![state.without(name.session)],
            Self::End(None, session) => vec![state.without(session)],
            Self::End(Some(by), session) if state.accepts(by) && state.is_live(session) => {
                vec![state.without(session)]
            }
            Self::EndOthers(by, kept) if by.is_none_or(|by| state.accepts(by)) => {
                vec![state.keep(|it| it.name == kept)]
            }
            Self::EndAll => vec![state.keep(|_| false)],
            Self::Disable => vec![State {
                is_disabled: true,
                ..State::NEW
            }],
            Self::Enable => vec![State {
                is_disabled: false,
                ..state.clone()
            }],
            _ if self.is_idle(state) => vec![state.clone()],
            _ => Vec::new(),
        }
    }

    /// Whether it is possible in `state`, and changes neither that state nor any that can follow.
    pub(super) fn is_idle(self, state: &State) -> bool {
        match self {
            Self::SignInRefused => state.is_disabled,
            Self::Accepted(name) => state.accepts(name),
            Self::Refused(name) => !state.accepts(name),
            Self::EndRefused(by, session) => !state.accepts(by) || !state.is_live(session),
            Self::Refreshed(name, next) => {
                let again = Some((Some(name.token), Some(next)));
                again == state.find(name.session).map(|it| (it.previous, it.current))
            }
            // A session that has ended never comes back, and neither does a token that was replaced.
            Self::RefreshRefused(name) => !state.is_live(name.session),
            Self::SignOut(name) => !state.accepts(name),
            _ => false,
        }
    }

    /// A session without which the step is impossible, and which is not live.
    pub(super) fn ended_session(self, state: &State) -> Option<Token> {
        let sessions = match self {
            Self::Accepted(name) | Self::Refreshed(name, _) => [Some(name.session), None],
            Self::End(Some(by), session) => [Some(by.session), Some(session)],
            Self::EndOthers(Some(by), _) => [Some(by.session), None],
            _ => [None, None],
        };
        let mut sessions = sessions.into_iter().flatten();
        sessions.find(|session| !state.is_live(*session))
    }

    /// Whether it leaves every state unchanged.
    pub(super) fn is_read(self) -> bool {
        matches!(
            self,
            Self::SignInRefused | Self::Accepted(_) | Self::Refused(_) | Self::EndRefused(..)
        )
    }

    /// What makes this step possible in a state in which it is impossible, or may have come before it
    /// and cannot come later: a session that begins with the step would end with the others.
    pub(super) fn needs(self, state: &State) -> Vec<Need> {
        // Two steps may have ended a session: a rotation, and the use of a token before it.
        let end = |session| [Need::Rotation(session), Need::End(session), Need::Disable];
        match self {
            Self::SignIn(..) if state.is_disabled => vec![Need::Enable],
            // A single session ends in any case.
            Self::SignIn(_, room) if room.limit > 1 && !state.live.is_empty() => {
                vec![Need::EndSeveral]
            }
            Self::SignInRefused if !state.is_disabled => vec![Need::Disable],
            Self::Refused(name) | Self::RefreshRefused(name) if state.accepts(name) => {
                end(name.session).to_vec()
            }
            Self::EndRefused(by, session) if !self.is_idle(state) => {
                let either = [end(by.session), end(session)];
                either.into_iter().flatten().collect()
            }
            // The token may have been replaced in between.
            Self::SignOut(name) if state.accepts(name) => vec![Need::Rotation(name.session)],
            // An enable undoes a disable, except for the sessions that the disable has ended.
            Self::Enable if !state.live.is_empty() => vec![Need::Disable],
            _ => Vec::new(),
        }
    }

    /// Whether a step that may never have taken effect serves a need.
    pub(super) fn serves(self, need: Need, state: &State) -> bool {
        match need {
            Need::End(session) => match self {
                Self::EndOthers(_, kept) => kept != session,
                Self::EndAll | Self::LostSignIn(_) => true,
                _ => self.ends_only(session, state),
            },
            Need::Rotation(session) => match self {
                Self::LostRefresh(name) => {
                    let current = state.find(session).and_then(|session| session.current);
                    name.session == session && current == Some(name.token)
                }
                _ => false,
            },
            Need::EndSeveral => matches!(self, Self::EndOthers(..) | Self::EndAll | Self::Disable),
            Need::Disable => self == Self::Disable,
            Need::Enable => self == Self::Enable,
        }
    }

    /// Whether it ends this session and can serve no other purpose, so that it is used up first.
    pub(super) fn ends_only(self, session: Token, state: &State) -> bool {
        match self {
            Self::SignOut(name) => name.session == session && state.accepts(name),
            Self::LostRefresh(name) => name.session == session && !state.accepts(name),
            Self::End(_, ended) => ended == session,
            _ => false,
        }
    }

    /// The same step for all that have the same effect from `state` on.
    pub(super) fn canonical(self, state: &State) -> Self {
        match self {
            Self::EndOthers(_, kept) if !state.is_live(kept) => Self::EndAll,
            _ => self,
        }
    }
}

fn sign_in(state: &State, token: Token, room: Room) -> Vec<State> {
    if state.is_disabled {
        return Vec::new();
    }
    let is_full = state.live.len() >= room.limit;
    let unchanged = (!is_full).then(|| state.clone());
    let evictions = state
        .evictions()
        .filter(|_| is_full || room.may_be_full(state));
    let new = Session {
        name: token,
        previous: None,
        current: Some(token),
    };
    let before = unchanged.into_iter().chain(evictions);
    before.map(|state| state.with(new)).collect()
}

/// The state after a refresh that gives `next`.
fn refresh(state: &State, name: Name, next: Token) -> Option<State> {
    let session = state.find(name.session)?;
    let is_first = session.current == Some(name.token);
    let is_repeated = session.previous == Some(name.token)
        && session.current.is_none_or(|current| current == next);
    if is_first {
        Some(state.with(rotated(session, Some(next))))
    } else {
        is_repeated.then(|| {
            state.with(Session {
                current: Some(next),
                ..session
            })
        })
    }
}

/// A session whose current token is replaced.
fn rotated(session: Session, current: Option<Token>) -> Session {
    Session {
        previous: session.current,
        current,
        ..session
    }
}
