//! The expected response to each operation, and its effect on the [`Model`].

use serde_json::{Value, json};

use super::operation::{Administration, Keep, Operation, Presented, Scopes, TOO_SHORT};
use super::{Caller, Model};

/// The expected response. A success may create something whose id or secret is only known from the
/// response.
pub struct Expected {
    pub status: u16,
    /// The predicted content of the response, if any.
    pub prediction: Option<Value>,
    pub created: Option<Created>,
}

/// A new user or credential.
#[derive(Clone, Copy)]
pub enum Created {
    User {
        slot: usize,
        password: usize,
    },
    Token {
        owner: usize,
        scopes: Scopes,
    },
    Key {
        owner: usize,
        scopes: Scopes,
        days: i64,
    },
}

type Decision = Result<Expected, u16>;

/// Default lifetime of a key in days.
const KEY_DAYS: i64 = 90;

/// Seconds during which a sign-in counts as recent.
const RECENT: i64 = 900;

fn done(status: u16) -> Decision {
    Ok(Expected {
        status,
        prediction: None,
        created: None,
    })
}

fn predicts(prediction: Value) -> Decision {
    Ok(Expected {
        status: 200,
        prediction: Some(prediction),
        created: None,
    })
}

fn creates(status: u16, created: Created) -> Decision {
    Ok(Expected {
        status,
        prediction: None,
        created: Some(created),
    })
}

impl Model {
    /// Executes the operation on the model, and returns the expected response.
    pub fn expect(&mut self, operation: Operation) -> Expected {
        let decision = match operation {
            Operation::Register { slot, password, .. } => self.register(slot, password),
            Operation::SignIn {
                slot,
                password,
                scopes,
                ..
            } => self.sign_in(slot, password, scopes),
            Operation::ReadMe(by) => self.read_me(by),
            Operation::Verify(by, scopes) => self.verify(by, scopes),
            Operation::Introspect { by, of } => self.introspect(by, of),
            Operation::Revoke { by, of } => self.revoke(by, of),
            Operation::Logout(by) => self.logout(by),
            Operation::CreateKey {
                by,
                scopes,
                days,
                current,
            } => self.create_key(by, scopes, days, current),
            Operation::ListKeys(by) => self.list_keys(by),
            Operation::RevokeKey { by, key } => self.revoke_key(by, key),
            Operation::ReadEvents(by) => self.read_events(by),
            Operation::ChangeProfile(by) => self.login_user(by).and_then(|_| done(200)),
            Operation::ChangePassword {
                by,
                current,
                new,
                keep,
            } => self.change_password(by, current, new, keep),
            Operation::DeleteAccount { by, current } => self.delete_account(by, current),
            Operation::Administer { by, slot, action } => self.administer(by, slot, action),
            Operation::Wait(seconds) => {
                self.now += seconds;
                done(0)
            }
        };
        decision.unwrap_or_else(|status| Expected {
            status,
            prediction: None,
            created: None,
        })
    }

    /// The index of the credential issued this many before the last one.
    pub fn index(&self, back: usize) -> Option<usize> {
        let count = self.credentials.len();
        (count > 0).then(|| count - 1 - back % count)
    }

    fn presented_index(&self, presented: Presented) -> Option<usize> {
        match presented {
            Presented::Issued(back) => self.index(back),
            _ => None,
        }
    }

    fn caller_of(&self, presented: Presented) -> Result<Caller, u16> {
        if let Presented::Root = presented {
            return Ok(Caller {
                user: None,
                credential: None,
                scopes: Scopes::ALL,
            });
        }
        self.presented_index(presented)
            .and_then(|index| self.caller(index))
            .ok_or(401)
    }

    /// The user authenticated by a login token.
    fn login_user(&self, presented: Presented) -> Result<usize, u16> {
        let caller = self.caller_of(presented)?;
        match caller.credential {
            Some(index) if self.credentials[index].key.is_none() => {
                Ok(self.credentials[index].owner)
            }
            _ => Err(403),
        }
    }

    fn register(&self, slot: usize, password: usize) -> Decision {
        if password == TOO_SHORT {
            return Err(422);
        }
        if self.user_in_slot(slot).is_some() {
            return Err(409);
        }
        creates(201, Created::User { slot, password })
    }

    fn sign_in(&mut self, slot: usize, password: usize, scopes: Scopes) -> Decision {
        let owner = self.user_in_slot(slot).ok_or(401_u16)?;
        let user = &self.users[owner];
        if user.disabled || user.password != password {
            return Err(401);
        }
        if !scopes.are_within(user.scopes) {
            return Err(400);
        }
        creates(200, Created::Token { owner, scopes })
    }

    fn read_me(&self, by: Presented) -> Decision {
        let caller = self.caller_of(by)?;
        let user = &self.users[caller.user.ok_or(401_u16)?];
        predicts(json!({ "id": user.id, "name": user.name, "email": user.email }))
    }

    fn verify(&self, by: Presented, requested: Scopes) -> Decision {
        let caller = self.caller_of(by)?;
        let index = caller.credential.ok_or(401_u16)?;
        if !requested.are_within(caller.scopes) {
            return Err(403);
        }
        let credential = &self.credentials[index];
        let method = if credential.key.is_some() {
            "key"
        } else {
            "login"
        };
        predicts(json!({
            "id": self.users[credential.owner].id.to_string(),
            "scopes": caller.scopes.text(),
            "method": method,
        }))
    }

    fn introspect(&self, by: Presented, of: Presented) -> Decision {
        let is_service = matches!(by, Presented::StaticKey);
        if !is_service && !Scopes::INTROSPECT.are_within(self.caller_of(by)?.scopes) {
            return Err(403);
        }
        predicts(match self.presented_index(of) {
            Some(index) => self.introspection(index),
            None => json!({ "active": false }),
        })
    }

    /// Anonymous callers may revoke any credential they have; authenticated ones only their own.
    fn revoke(&mut self, by: Presented, of: Presented) -> Decision {
        let caller = match by {
            Presented::Nothing => None,
            presented => Some(self.caller_of(presented)?),
        };
        if let Some(index) = self.presented_index(of) {
            let credential = &mut self.credentials[index];
            if caller.is_none_or(|caller| caller.user == Some(credential.owner)) {
                credential.revoked = true;
            }
        }
        done(200)
    }

    fn logout(&mut self, by: Presented) -> Decision {
        let owner = self.login_user(by)?;
        self.revoke_token_of(owner);
        done(204)
    }

    fn create_key(
        &self,
        by: Presented,
        scopes: Scopes,
        days: Option<i64>,
        current: Option<usize>,
    ) -> Decision {
        let owner = self.login_user(by)?;
        let days = days.unwrap_or(KEY_DAYS);
        if !(1..=366).contains(&days) {
            return Err(422);
        }
        let caller = self.caller_of(by)?;
        let signed_in_at = caller
            .credential
            .map(|index| self.credentials[index].issued);
        let is_confirmed = match current {
            Some(password) => self.users[owner].password == password,
            None => signed_in_at.is_some_and(|at| self.now - at <= RECENT),
        };
        if !is_confirmed {
            return Err(403);
        }
        if !scopes.are_within(caller.scopes) {
            return Err(422);
        }
        creates(
            201,
            Created::Key {
                owner,
                scopes,
                days,
            },
        )
    }

    fn list_keys(&self, by: Presented) -> Decision {
        let owner = self.login_user(by)?;
        predicts(json!(self.keys_of(owner)))
    }

    fn revoke_key(&mut self, by: Presented, key: usize) -> Decision {
        let owner = self.login_user(by)?;
        let index = self.index(key).ok_or(404_u16)?;
        let key = &mut self.credentials[index];
        if key.key.is_none() || key.owner != owner || key.revoked {
            return Err(404);
        }
        key.revoked = true;
        done(204)
    }

    /// Keys without scopes are rejected.
    fn read_events(&self, by: Presented) -> Decision {
        let caller = self.caller_of(by)?;
        if self.is_by_key(caller) && caller.scopes == Scopes::NONE {
            return Err(403);
        }
        done(200)
    }

    fn change_password(
        &mut self,
        by: Presented,
        current: usize,
        new: usize,
        keep: Keep,
    ) -> Decision {
        let owner = self.login_user(by)?;
        if new == TOO_SHORT {
            return Err(422);
        }
        let user = &mut self.users[owner];
        if user.password != current {
            return Err(403);
        }
        user.password = new;
        // The token that makes the request stays valid; the user has no other.
        let kept = match keep {
            Keep::None => None,
            Keep::All => return done(204),
            Keep::One(back) => self.index(back),
        };
        let kept = kept.and_then(|index| self.credentials[index].key);
        self.revoke_where(|credential| {
            credential.owner == owner && credential.key.is_some() && credential.key != kept
        });
        done(204)
    }

    fn delete_account(&mut self, by: Presented, current: usize) -> Decision {
        let owner = self.login_user(by)?;
        let user = &mut self.users[owner];
        if user.password != current {
            return Err(403);
        }
        user.deleted = true;
        done(204)
    }

    fn administer(&mut self, by: Presented, slot: usize, action: Administration) -> Decision {
        let caller = self.caller_of(by)?;
        if !Scopes::USERS_WRITE.are_within(caller.scopes) {
            return Err(403);
        }
        let requires_login = matches!(
            action,
            Administration::Rename
                | Administration::SetScopes(_)
                | Administration::ChangeScopes { .. }
                | Administration::Delete
        );
        if let Administration::ChangeScopes { add, remove } = action
            && add.and(remove) != Scopes::NONE
        {
            return Err(422);
        }
        if requires_login && self.is_by_key(caller) {
            return Err(403);
        }
        let index = self.user_in_slot(slot).ok_or(404_u16)?;
        let user = &mut self.users[index];
        if !user.scopes.and(Scopes::OWN).are_within(caller.scopes) {
            return Err(403);
        }
        let scopes = match action {
            Administration::SetScopes(scopes) => scopes,
            Administration::ChangeScopes { add, remove } => user.scopes.with(add).without(remove),
            _ => user.scopes,
        };
        if !Self::may_grant(caller, user.scopes, scopes) {
            return Err(403);
        }
        user.scopes = scopes;
        match action {
            Administration::Rename
            | Administration::SetScopes(_)
            | Administration::ChangeScopes { .. } => {}
            Administration::Disable => {
                user.disabled = true;
                self.revoke_where(|credential| credential.owner == index);
            }
            Administration::Enable => user.disabled = false,
            Administration::Delete => {
                user.deleted = true;
                return done(204);
            }
            Administration::SignOut => {
                self.revoke_where(|credential| credential.owner == index);
                return done(204);
            }
        }
        let user = &self.users[index];
        predicts(json!({ "id": user.id, "scopes": user.scopes.text(), "disabled": user.disabled }))
    }
}
