//! Random operations on the service. An operation names users and credentials by their position
//! among the existing ones, so that it makes sense after any other operations, and failing sequences
//! can be shrunk.

use proptest::option;
use proptest::prelude::*;

/// Number of accounts per sequence.
pub const SLOTS: usize = 3;

/// The last one is too short to be accepted.
pub const PASSWORDS: [&str; 4] = [
    "umbrella-seven-quartz",
    "Lantern.41.meadow!",
    "\u{fc}ber-drau\u{df}en-9 Uhr",
    "short",
];

/// Index of the rejected password.
pub const TOO_SHORT: usize = 3;

/// Scopes as a set: one bit for each name in [`Scopes::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(pub u8);

impl Scopes {
    pub const NAMES: [&str; 4] = ["orders:read", "introspect", "users:write", "orders"];
    pub const INTROSPECT: Self = Self(0b0010);
    pub const USERS_WRITE: Self = Self(0b0100);
    /// The scopes built into the service.
    pub const OWN: Self = Self(0b0110);
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0b1111);

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn are_within(self, other: Self) -> bool {
        self.without(other) == Self::NONE
    }

    /// The scopes in a text, in any order.
    pub fn parse(text: &str) -> Self {
        let bit = |name: &str| Self::NAMES.iter().position(|other| *other == name);
        let bits = text.split_whitespace().filter_map(bit);
        Self(bits.fold(0, |all, bit| all | 1 << bit))
    }

    /// In the order of [`Self::NAMES`].
    pub fn text(self) -> String {
        let all = Self::NAMES.iter().enumerate();
        let held = all.filter(|(bit, _)| self.0 >> bit & 1 == 1);
        held.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}

/// How a credential is corrupted before it is presented.
#[derive(Clone, Copy, Debug)]
pub enum Corruption {
    FirstRemoved,
    LastRemoved,
    Extended,
    Padded,
    OtherCase,
    LastChanged,
}

/// The credential of a request.
#[derive(Clone, Copy, Debug)]
pub enum Presented {
    Nothing,
    /// The token of an administrator outside the sequence.
    Root,
    StaticKey,
    /// The credential issued this many before the last one.
    Issued(usize),
    Corrupted(usize, Corruption),
}

/// The keys that a password change keeps.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    None,
    All,
    /// The credential issued this many before the last one.
    One(usize),
}

/// What an administrator does to an account.
#[derive(Clone, Copy, Debug)]
pub enum Administration {
    Disable,
    Enable,
    Rename,
    SetScopes(Scopes),
    ChangeScopes { add: Scopes, remove: Scopes },
    SignOut,
    Delete,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Register {
        slot: usize,
        password: usize,
        shouting: bool,
    },
    SignIn {
        slot: usize,
        password: usize,
        shouting: bool,
        scopes: Scopes,
    },
    ReadMe(Presented),
    Verify(Presented, Scopes),
    Introspect {
        by: Presented,
        of: Presented,
    },
    Revoke {
        by: Presented,
        of: Presented,
    },
    Logout(Presented),
    CreateKey {
        by: Presented,
        scopes: Scopes,
        days: Option<i64>,
        /// The current password, if sent.
        current: Option<usize>,
    },
    ListKeys(Presented),
    /// The credential issued this many before the last one, whichever user owns it.
    RevokeKey {
        by: Presented,
        key: usize,
    },
    ReadEvents(Presented),
    ChangeProfile(Presented),
    ChangePassword {
        by: Presented,
        current: usize,
        new: usize,
        keep: Keep,
    },
    DeleteAccount {
        by: Presented,
        current: usize,
    },
    Administer {
        by: Presented,
        slot: usize,
        action: Administration,
    },
    /// Advances the clock by seconds.
    Wait(i64),
}

fn slot() -> impl Strategy<Value = usize> {
    0..SLOTS
}

/// Mostly the initial password of accounts, so that sign-ins succeed.
fn password() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 2 => Just(1), 1 => Just(2)]
}

fn new_password() -> impl Strategy<Value = usize> {
    prop_oneof![8 => Just(0), 3 => Just(1), 1 => Just(2), 1 => Just(TOO_SHORT)]
}

fn scopes() -> impl Strategy<Value = Scopes> {
    (0..=Scopes::ALL.0).prop_map(Scopes)
}

/// Mostly none, which requests all.
fn requested_scopes() -> impl Strategy<Value = Scopes> {
    prop_oneof![2 => Just(Scopes::NONE), 1 => scopes()]
}

fn issued() -> impl Strategy<Value = usize> {
    prop_oneof![5 => 0..4_usize, 2 => 4..24_usize]
}

fn corruption() -> impl Strategy<Value = Corruption> {
    prop_oneof![
        Just(Corruption::FirstRemoved),
        Just(Corruption::LastRemoved),
        Just(Corruption::Extended),
        Just(Corruption::Padded),
        Just(Corruption::OtherCase),
        Just(Corruption::LastChanged),
    ]
}

fn credential() -> impl Strategy<Value = Presented> {
    prop_oneof![
        12 => issued().prop_map(Presented::Issued),
        1 => (issued(), corruption()).prop_map(|(index, corruption)| Presented::Corrupted(index, corruption)),
    ]
}

fn user() -> impl Strategy<Value = Presented> {
    prop_oneof![
        30 => credential(),
        1 => Just(Presented::Nothing),
        1 => Just(Presented::StaticKey),
    ]
}

fn privileged() -> impl Strategy<Value = Presented> {
    prop_oneof![2 => Just(Presented::Root), 3 => user()]
}

fn administration() -> impl Strategy<Value = Administration> {
    prop_oneof![
        2 => Just(Administration::Disable),
        3 => Just(Administration::Enable),
        1 => Just(Administration::Rename),
        4 => scopes().prop_map(Administration::SetScopes),
        6 => (scopes(), requested_scopes())
            .prop_map(|(add, remove)| Administration::ChangeScopes { add, remove }),
        1 => Just(Administration::SignOut),
        1 => Just(Administration::Delete),
    ]
}

fn seconds() -> impl Strategy<Value = i64> {
    const DAY: i64 = 86_400;
    prop_oneof![
        Just(1),
        Just(3_600),
        Just(DAY / 2),
        Just(DAY - 1),
        Just(DAY),
        Just(7 * DAY),
        Just(90 * DAY),
    ]
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![
        2 => Just(Keep::None),
        1 => Just(Keep::All),
        3 => issued().prop_map(Keep::One),
    ]
}

fn days() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        4 => Just(None),
        4 => (1..=366_i64).prop_map(Some),
        1 => prop_oneof![Just(0), Just(-1), Just(367), Just(i64::MAX)].prop_map(Some),
    ]
}

/// Any operation; those that create something are more frequent than those that remove it.
pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (slot(), new_password(), any::<bool>())
            .prop_map(|(slot, password, shouting)| Operation::Register { slot, password, shouting }),
        12 => (slot(), password(), any::<bool>(), requested_scopes()).prop_map(
            |(slot, password, shouting, scopes)|
                Operation::SignIn { slot, password, shouting, scopes }
        ),
        14 => user().prop_map(Operation::ReadMe),
        14 => (user(), requested_scopes()).prop_map(|(by, scopes)| Operation::Verify(by, scopes)),
        18 => (privileged(), credential()).prop_map(|(by, of)| Operation::Introspect { by, of }),
        3 => (user(), credential()).prop_map(|(by, of)| Operation::Revoke { by, of }),
        2 => user().prop_map(Operation::Logout),
        12 => (user(), scopes(), days(), option::weighted(0.3, password())).prop_map(
            |(by, scopes, days, current)| Operation::CreateKey { by, scopes, days, current }
        ),
        4 => user().prop_map(Operation::ListKeys),
        4 => (user(), issued()).prop_map(|(by, key)| Operation::RevokeKey { by, key }),
        4 => user().prop_map(Operation::ReadEvents),
        2 => user().prop_map(Operation::ChangeProfile),
        3 => (user(), password(), new_password(), keep()).prop_map(
            |(by, current, new, keep)| Operation::ChangePassword { by, current, new, keep }
        ),
        1 => (user(), password()).prop_map(|(by, current)| Operation::DeleteAccount { by, current }),
        14 => (privileged(), slot(), administration())
            .prop_map(|(by, slot, action)| Operation::Administer { by, slot, action }),
        3 => seconds().prop_map(Operation::Wait),
    ]
}
