//! The kinds of races.

/// What ends a credential, and what it races with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `POST /logout`
    Logout,
    /// `POST /revoke` with the login token
    RevokeToken,
    /// `POST /revoke` with the API key
    RevokeKey,
    /// `DELETE /users/me/keys/{id}`
    DeleteKey,
    /// `POST /token` once more
    NewerLogin,
    /// `POST /users/me/password`, which ends the key
    PasswordChange,
    /// `PATCH /admin/users/{id}`, disabled
    Disable,
    /// `DELETE /users/me` and `DELETE /admin/users/{id}` in turns
    Delete,
    /// `PATCH /admin/users/{id}`, without the scope that is used
    ScopeTaken,
    /// `DELETE /admin/users/{id}/tokens`
    SignOut,
    /// `tokenhouse user disable`
    CommandLine,
    /// A sign-in and a disable at one moment
    LoginAgainstDisable,
    /// A sign-in and a change of the password at one moment
    LoginAgainstPasswordChange,
    /// A sign-in and a delete at one moment
    LoginAgainstDelete,
    /// The making of a key and a disable at one moment
    KeyAgainstDisable,
    /// The making of a key and a change of the password at one moment
    KeyAgainstPasswordChange,
    /// The making of a key and a delete at one moment
    KeyAgainstDelete,
}

/// What a kind is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contest {
    /// A credential in use, and the end of it.
    Hot,
    /// A credential to be had, and the end of its user's access.
    Barrier(Prize),
}

/// What can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prize {
    Login,
    Key,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Logout,
        Self::RevokeToken,
        Self::RevokeKey,
        Self::DeleteKey,
        Self::NewerLogin,
        Self::PasswordChange,
        Self::Disable,
        Self::Delete,
        Self::ScopeTaken,
        Self::SignOut,
        Self::CommandLine,
        Self::LoginAgainstDisable,
        Self::LoginAgainstPasswordChange,
        Self::LoginAgainstDelete,
        Self::KeyAgainstDisable,
        Self::KeyAgainstPasswordChange,
        Self::KeyAgainstDelete,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::RevokeToken => "revoke-token",
            Self::RevokeKey => "revoke-key",
            Self::DeleteKey => "delete-key",
            Self::NewerLogin => "newer-login",
            Self::PasswordChange => "password-change",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::ScopeTaken => "scope-taken",
            Self::SignOut => "sign-out",
            Self::CommandLine => "command-line",
            Self::LoginAgainstDisable => "login-against-disable",
            Self::LoginAgainstPasswordChange => "login-against-password-change",
            Self::LoginAgainstDelete => "login-against-delete",
            Self::KeyAgainstDisable => "key-against-disable",
            Self::KeyAgainstPasswordChange => "key-against-password-change",
            Self::KeyAgainstDelete => "key-against-delete",
        }
    }

    /// What ends the access: a barrier's other half has a kind of its own.
    pub(super) const fn end(self) -> Self {
        match self {
            Self::LoginAgainstDisable | Self::KeyAgainstDisable => Self::Disable,
            Self::LoginAgainstPasswordChange | Self::KeyAgainstPasswordChange => {
                Self::PasswordChange
            }
            Self::LoginAgainstDelete | Self::KeyAgainstDelete => Self::Delete,
            other => other,
        }
    }

    pub(super) const fn contest(self) -> Contest {
        match self {
            Self::LoginAgainstDisable
            | Self::LoginAgainstPasswordChange
            | Self::LoginAgainstDelete => Contest::Barrier(Prize::Login),
            Self::KeyAgainstDisable | Self::KeyAgainstPasswordChange | Self::KeyAgainstDelete => {
                Contest::Barrier(Prize::Key)
            }
            _ => Contest::Hot,
        }
    }

    /// Which credentials it ends.
    pub(super) const fn ends(self) -> (bool, bool) {
        match self {
            Self::Logout | Self::RevokeToken | Self::NewerLogin => (true, false),
            // The session that changes the password stays.
            Self::RevokeKey | Self::DeleteKey | Self::PasswordChange => (false, true),
            _ => (true, true),
        }
    }
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: std::collections::HashSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
}
