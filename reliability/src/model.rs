//! What a correct service does, one thing after the other: the sequential specification of a user.

use crate::history::Token;

/// All that matters about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The token that works. A token that no client knows is as good as none.
    pub(crate) live: Option<Token>,
    pub(crate) disabled: bool,
}

impl State {
    /// A user who has just registered.
    pub(crate) const NEW: Self = Self {
        live: None,
        disabled: false,
    };

    fn accepts(self, token: Token) -> bool {
        self.live == Some(token) && !self.disabled
    }
}

/// Something that happens at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A new token replaces the earlier one; `None` for one that no client has read.
    SignIn(Option<Token>),
    SignInRefused,
    Accepted(Token),
    Refused(Token),
    /// Ends this token, if it is the live one.
    End(Token),
    EndAny,
    /// Ends the live token, too.
    Disable,
    Enable,
}

impl Step {
    /// The state afterwards; `None` when a correct service does not do this in `state`.
    pub(crate) fn apply(self, state: State) -> Option<State> {
        let live = |live| State { live, ..state };
        match self {
            Self::SignIn(token) => (!state.disabled).then(|| live(token)),
            Self::SignInRefused => state.disabled.then_some(state),
            Self::Accepted(token) => state.accepts(token).then_some(state),
            Self::Refused(token) => (!state.accepts(token)).then_some(state),
            Self::End(token) if state.live == Some(token) => Some(live(None)),
            Self::End(_) => Some(state),
            Self::EndAny => Some(live(None)),
            Self::Disable => Some(State {
                live: None,
                disabled: true,
            }),
            Self::Enable => Some(State {
                disabled: false,
                ..state
            }),
        }
    }

    /// Whether it may happen in `state`, and changes neither that nor any state that can follow.
    pub(crate) fn is_idle(self, state: State) -> bool {
        match self {
            // A token that is not live now was ended, and never comes back.
            Self::End(token) => state.live != Some(token),
            _ => self.is_read() && self.apply(state).is_some(),
        }
    }

    /// Whether it leaves every state as it is.
    pub(crate) fn is_read(self) -> bool {
        matches!(
            self,
            Self::SignInRefused | Self::Accepted(_) | Self::Refused(_)
        )
    }

    /// A change that may have come right before this step although the step is possible without
    /// it, since nothing after the step shows more of it: an enable takes back a disable, but for
    /// the token that the disable has ended.
    pub(crate) fn covers(self, state: State) -> Option<Remedy> {
        (self == Self::Enable && state.live.is_some()).then_some(Remedy::Disable)
    }

    /// What would make this step possible in a state in which it is not.
    pub(crate) fn remedies(self, state: State) -> impl Iterator<Item = Remedy> {
        let remedies = match self {
            Self::Refused(token) if state.accepts(token) => {
                [Some(Remedy::End(token)), Some(Remedy::Disable)]
            }
            Self::SignInRefused if !state.disabled => [Some(Remedy::Disable), None],
            Self::SignIn(_) if state.disabled => [Some(Remedy::Enable), None],
            _ => [None, None],
        };
        remedies.into_iter().flatten()
    }
}

/// A change of the state that would help.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remedy {
    /// The token ends.
    End(Token),
    Disable,
    Enable,
}

impl Remedy {
    /// The steps that bring it about, the one to be used up first first: ending this very token
    /// can serve no other purpose.
    pub(crate) fn steps(self) -> impl Iterator<Item = Step> {
        let steps = match self {
            Self::End(token) => [Some(Step::End(token)), Some(Step::EndAny)],
            Self::Disable => [Some(Step::Disable), None],
            Self::Enable => [Some(Step::Enable), None],
        };
        steps.into_iter().flatten()
    }
}
