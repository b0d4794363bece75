//! What can be asked of the service, drawn at random. An operation names users and credentials by
//! their place among those there are, so that it means something after any other operations, and a
//! sequence that fails can be cut down to what it fails by.

use proptest::option;
use proptest::prelude::*;

/// Accounts that a sequence is about.
pub const SLOTS: usize = 3;

/// The last of them is too short to be taken.
pub const PASSWORDS: [&str; 4] = [
    "umbrella-seven-quartz",
    "Lantern.41.meadow!",
    "\u{fc}ber-drau\u{df}en-9 Uhr",
    "short",
];

/// The place of the password that is refused.
pub const TOO_SHORT: usize = 3;

/// Scopes as a set: a bit for each name in [`Scopes::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(pub u8);

impl Scopes {
    pub const NAMES: [&str; 4] = ["orders:read", "introspect", "users:write", "orders"];
    pub const INTROSPECT: Self = Self(0b0010);
    pub const USERS_WRITE: Self = Self(0b0100);
    /// Those that mean something to the service itself.
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

    /// Those that a text names, whatever their order.
    pub fn of(text: &str) -> Self {
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

/// How a credential is spoilt before it is shown.
#[derive(Clone, Copy, Debug)]
pub enum Spoilt {
    FirstLeftOut,
    LastLeftOut,
    Longer,
    Padded,
    OtherCase,
    LastChanged,
}

/// What is shown to the service.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    Nothing,
    /// The token of an administrator outside the sequence.
    Root,
    StaticKey,
    /// The credential issued so many before the last one.
    Issued(usize),
    Altered(usize, Spoilt),
}

/// The keys that a change of the password leaves.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    None,
    All,
    /// The credential issued so many before the last one.
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

/// What one request asks for.
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
    ReadMe(Shown),
    Verify(Shown, Scopes),
    Introspect {
        by: Shown,
        of: Shown,
    },
    Revoke {
        by: Shown,
        of: Shown,
    },
    Logout(Shown),
    CreateKey {
        by: Shown,
        scopes: Scopes,
        days: Option<i64>,
        /// The password, when it is sent.
        current: Option<usize>,
    },
    ListKeys(Shown),
    /// Of the credentials issued so many before the last one, wherever it belongs.
    RevokeKey {
        by: Shown,
        key: usize,
    },
    ReadEvents(Shown),
    ChangeProfile(Shown),
    ChangePassword {
        by: Shown,
        current: usize,
        new: usize,
        keep: Keep,
    },
    DeleteAccount {
        by: Shown,
        current: usize,
    },
    Administer {
        by: Shown,
        slot: usize,
        what: Administration,
    },
    /// Seconds go by.
    Wait(i64),
}

fn slot() -> impl Strategy<Value = usize> {
    0..SLOTS
}

/// Mostly the one that accounts begin with, so that sign-ins succeed.
fn password() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 2 => Just(1), 1 => Just(2)]
}

fn new_password() -> impl Strategy<Value = usize> {
    prop_oneof![8 => Just(0), 3 => Just(1), 1 => Just(2), 1 => Just(TOO_SHORT)]
}

fn scopes() -> impl Strategy<Value = Scopes> {
    (0..=Scopes::ALL.0).prop_map(Scopes)
}

/// Mostly none, which asks for all.
fn wanted() -> impl Strategy<Value = Scopes> {
    prop_oneof![2 => Just(Scopes::NONE), 1 => scopes()]
}

fn issued() -> impl Strategy<Value = usize> {
    prop_oneof![5 => 0..4_usize, 2 => 4..24_usize]
}

fn spoilt() -> impl Strategy<Value = Spoilt> {
    prop_oneof![
        Just(Spoilt::FirstLeftOut),
        Just(Spoilt::LastLeftOut),
        Just(Spoilt::Longer),
        Just(Spoilt::Padded),
        Just(Spoilt::OtherCase),
        Just(Spoilt::LastChanged),
    ]
}

fn credential() -> impl Strategy<Value = Shown> {
    prop_oneof![
        12 => issued().prop_map(Shown::Issued),
        1 => (issued(), spoilt()).prop_map(|(place, spoilt)| Shown::Altered(place, spoilt)),
    ]
}

fn user() -> impl Strategy<Value = Shown> {
    prop_oneof![
        30 => credential(),
        1 => Just(Shown::Nothing),
        1 => Just(Shown::StaticKey),
    ]
}

fn mighty() -> impl Strategy<Value = Shown> {
    prop_oneof![2 => Just(Shown::Root), 3 => user()]
}

fn administration() -> impl Strategy<Value = Administration> {
    prop_oneof![
        2 => Just(Administration::Disable),
        3 => Just(Administration::Enable),
        1 => Just(Administration::Rename),
        4 => scopes().prop_map(Administration::SetScopes),
        6 => (scopes(), wanted())
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

/// Any operation, the ones that make something more often than those that end it.
pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (slot(), new_password(), any::<bool>())
            .prop_map(|(slot, password, shouting)| Operation::Register { slot, password, shouting }),
        12 => (slot(), password(), any::<bool>(), wanted()).prop_map(
            |(slot, password, shouting, scopes)|
                Operation::SignIn { slot, password, shouting, scopes }
        ),
        14 => user().prop_map(Operation::ReadMe),
        14 => (user(), wanted()).prop_map(|(by, scopes)| Operation::Verify(by, scopes)),
        18 => (mighty(), credential()).prop_map(|(by, of)| Operation::Introspect { by, of }),
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
        14 => (mighty(), slot(), administration())
            .prop_map(|(by, slot, what)| Operation::Administer { by, slot, what }),
        3 => seconds().prop_map(Operation::Wait),
    ]
}
