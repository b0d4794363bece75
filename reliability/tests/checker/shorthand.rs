//! Histories, written down shortly: `login(0..5, 1)` was called at 0 and answered the token 1 at 5.

use std::ops::Range;
use std::time::Duration;

use reliability::checker::{Promise, Verdict, check};
use reliability::history::{Action, History, Operation, Outcome, Token};

pub fn operation(time: Range<u64>, action: Action, outcome: Outcome) -> Operation {
    Operation {
        user: 0,
        client: 0,
        process: Some(0),
        action,
        outcome,
        invoked: time.start,
        returned: time.end,
    }
}

pub fn login(time: Range<u64>, token: Token) -> Operation {
    operation(time, Action::Login(Some(token)), Outcome::Ok)
}

pub fn login_refused(time: Range<u64>) -> Operation {
    operation(time, Action::Login(None), Outcome::Refused)
}

pub fn accepted(time: Range<u64>, token: Token) -> Operation {
    operation(time, Action::Use(token), Outcome::Ok)
}

pub fn refused(time: Range<u64>, token: Token) -> Operation {
    operation(time, Action::Use(token), Outcome::Refused)
}

pub fn logout(time: Range<u64>, token: Token) -> Operation {
    operation(time, Action::Logout(token), Outcome::Ok)
}

pub fn logout_refused(time: Range<u64>, token: Token) -> Operation {
    operation(time, Action::Logout(token), Outcome::Refused)
}

pub fn revoke(time: Range<u64>) -> Operation {
    operation(time, Action::Revoke, Outcome::Ok)
}

pub fn disable(time: Range<u64>) -> Operation {
    operation(time, Action::Disable, Outcome::Ok)
}

pub fn enable(time: Range<u64>) -> Operation {
    operation(time, Action::Enable, Outcome::Ok)
}

/// The same, but nobody knows what became of it.
pub fn unknown(of: Operation) -> Operation {
    let action = match of.action {
        Action::Login(_) => Action::Login(None),
        other => other,
    };
    Operation {
        action,
        outcome: Outcome::Unknown,
        ..of
    }
}

pub fn judge(operations: &[Operation], promise: Promise) -> Verdict {
    let history = History {
        operations: operations.to_vec(),
        unexpected: Vec::new(),
    };
    check(&history, promise, Duration::from_secs(60))
}
