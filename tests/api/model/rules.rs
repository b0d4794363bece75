//! What has to be answered to an operation, and what it changes on the [`Page`].

use serde_json::{Value, json};

use super::operation::{Administration, Keep, Operation, Scopes, Shown, TOO_SHORT};
use super::page::{Caller, Page};

/// What has to be answered. On success something may have been made whose id or secret only the
/// answer tells.
pub struct Expected {
    pub status: u16,
    /// What the answer has to tell, where it tells something.
    pub told: Option<Value>,
    pub made: Option<Made>,
}

/// Something new.
#[derive(Clone, Copy)]
pub enum Made {
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

/// Days that a key lives unless the request says how many.
const KEY_DAYS: i64 = 90;

/// Seconds within which a sign-in is recent.
const RECENT: i64 = 900;

fn done(status: u16) -> Decision {
    Ok(Expected {
        status,
        told: None,
        made: None,
    })
}

fn tells(told: Value) -> Decision {
    Ok(Expected {
        status: 200,
        told: Some(told),
        made: None,
    })
}

fn makes(status: u16, made: Made) -> Decision {
    Ok(Expected {
        status,
        told: None,
        made: Some(made),
    })
}

impl Page {
    /// Carries the operation out, and says what has to be answered.
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
            Operation::ChangeProfile(by) => self.signed_in(by).and_then(|_| done(200)),
            Operation::ChangePassword {
                by,
                current,
                new,
                keep,
            } => self.change_password(by, current, new, keep),
            Operation::DeleteAccount { by, current } => self.delete_account(by, current),
            Operation::Administer { by, slot, what } => self.administer(by, slot, what),
            Operation::Wait(seconds) => {
                self.now += seconds;
                done(0)
            }
        };
        decision.unwrap_or_else(|status| Expected {
            status,
            told: None,
            made: None,
        })
    }

    /// The credential issued so many before the last one.
    pub fn place(&self, back: usize) -> Option<usize> {
        let count = self.credentials.len();
        (count > 0).then(|| count - 1 - back % count)
    }

    fn place_shown(&self, shown: Shown) -> Option<usize> {
        match shown {
            Shown::Issued(back) => self.place(back),
            _ => None,
        }
    }

    fn who(&self, shown: Shown) -> Result<Caller, u16> {
        if let Shown::Root = shown {
            return Ok(Caller {
                user: None,
                credential: None,
                scopes: Scopes::ALL,
            });
        }
        self.place_shown(shown)
            .and_then(|place| self.caller(place))
            .ok_or(401)
    }

    /// The user who shows a login token.
    fn signed_in(&self, shown: Shown) -> Result<usize, u16> {
        let caller = self.who(shown)?;
        match caller.credential {
            Some(place) if self.credentials[place].key.is_none() => {
                Ok(self.credentials[place].owner)
            }
            _ => Err(403),
        }
    }

    fn register(&self, slot: usize, password: usize) -> Decision {
        if password == TOO_SHORT {
            return Err(422);
        }
        if self.of_slot(slot).is_some() {
            return Err(409);
        }
        makes(201, Made::User { slot, password })
    }

    fn sign_in(&mut self, slot: usize, password: usize, scopes: Scopes) -> Decision {
        let owner = self.of_slot(slot).ok_or(401_u16)?;
        let user = &self.users[owner];
        if user.disabled || user.password != password {
            return Err(401);
        }
        if !scopes.are_within(user.scopes) {
            return Err(400);
        }
        makes(200, Made::Token { owner, scopes })
    }

    fn read_me(&self, by: Shown) -> Decision {
        let caller = self.who(by)?;
        let user = &self.users[caller.user.ok_or(401_u16)?];
        tells(json!({ "id": user.id, "name": user.name, "email": user.email }))
    }

    fn verify(&self, by: Shown, wanted: Scopes) -> Decision {
        let caller = self.who(by)?;
        let place = caller.credential.ok_or(401_u16)?;
        if !wanted.are_within(caller.scopes) {
            return Err(403);
        }
        let credential = &self.credentials[place];
        let method = if credential.key.is_some() {
            "key"
        } else {
            "login"
        };
        tells(json!({
            "id": self.users[credential.owner].id.to_string(),
            "scopes": caller.scopes.text(),
            "method": method,
        }))
    }

    fn introspect(&self, by: Shown, of: Shown) -> Decision {
        let is_service = matches!(by, Shown::StaticKey);
        if !is_service && !Scopes::INTROSPECT.are_within(self.who(by)?.scopes) {
            return Err(403);
        }
        tells(match self.place_shown(of) {
            Some(place) => self.introspection(place),
            None => json!({ "active": false }),
        })
    }

    /// For whoever has the credential, unless who asks says who they are: then only for its owner.
    fn revoke(&mut self, by: Shown, of: Shown) -> Decision {
        let caller = match by {
            Shown::Nothing => None,
            shown => Some(self.who(shown)?),
        };
        if let Some(place) = self.place_shown(of) {
            let credential = &mut self.credentials[place];
            if caller.is_none_or(|caller| caller.user == Some(credential.owner)) {
                credential.ended = true;
            }
        }
        done(200)
    }

    fn logout(&mut self, by: Shown) -> Decision {
        let owner = self.signed_in(by)?;
        self.end_token_of(owner);
        done(204)
    }

    fn create_key(
        &self,
        by: Shown,
        scopes: Scopes,
        days: Option<i64>,
        current: Option<usize>,
    ) -> Decision {
        let owner = self.signed_in(by)?;
        let days = days.unwrap_or(KEY_DAYS);
        if !(1..=366).contains(&days) {
            return Err(422);
        }
        let caller = self.who(by)?;
        let signed_in_at = caller
            .credential
            .map(|place| self.credentials[place].issued);
        let is_proved = match current {
            Some(password) => self.users[owner].password == password,
            None => signed_in_at.is_some_and(|at| self.now - at <= RECENT),
        };
        if !is_proved {
            return Err(403);
        }
        if !scopes.are_within(caller.scopes) {
            return Err(422);
        }
        makes(
            201,
            Made::Key {
                owner,
                scopes,
                days,
            },
        )
    }

    fn list_keys(&self, by: Shown) -> Decision {
        let owner = self.signed_in(by)?;
        tells(json!(self.keys_of(owner)))
    }

    fn revoke_key(&mut self, by: Shown, key: usize) -> Decision {
        let owner = self.signed_in(by)?;
        let place = self.place(key).ok_or(404_u16)?;
        let key = &mut self.credentials[place];
        if key.key.is_none() || key.owner != owner || key.ended {
            return Err(404);
        }
        key.ended = true;
        done(204)
    }

    /// A key without scopes is not for this.
    fn read_events(&self, by: Shown) -> Decision {
        let caller = self.who(by)?;
        if self.is_by_key(caller) && caller.scopes == Scopes::NONE {
            return Err(403);
        }
        done(200)
    }

    fn change_password(&mut self, by: Shown, current: usize, new: usize, keep: Keep) -> Decision {
        let owner = self.signed_in(by)?;
        if new == TOO_SHORT {
            return Err(422);
        }
        let user = &mut self.users[owner];
        if user.password != current {
            return Err(403);
        }
        user.password = new;
        // The session that asks for it stays, and a user has no other.
        let kept = match keep {
            Keep::None => None,
            Keep::All => return done(204),
            Keep::One(back) => self.place(back),
        };
        let kept = kept.and_then(|place| self.credentials[place].key);
        self.end_all(|credential| {
            credential.owner == owner && credential.key.is_some() && credential.key != kept
        });
        done(204)
    }

    fn delete_account(&mut self, by: Shown, current: usize) -> Decision {
        let owner = self.signed_in(by)?;
        let user = &mut self.users[owner];
        if user.password != current {
            return Err(403);
        }
        user.deleted = true;
        done(204)
    }

    fn administer(&mut self, by: Shown, slot: usize, what: Administration) -> Decision {
        let caller = self.who(by)?;
        if !Scopes::USERS_WRITE.are_within(caller.scopes) {
            return Err(403);
        }
        let is_for_people = matches!(
            what,
            Administration::Rename
                | Administration::SetScopes(_)
                | Administration::ChangeScopes { .. }
                | Administration::Delete
        );
        if let Administration::ChangeScopes { add, remove } = what
            && add.and(remove) != Scopes::NONE
        {
            return Err(422);
        }
        if is_for_people && self.is_by_key(caller) {
            return Err(403);
        }
        let place = self.of_slot(slot).ok_or(404_u16)?;
        let user = &mut self.users[place];
        if !user.scopes.and(Scopes::OWN).are_within(caller.scopes) {
            return Err(403);
        }
        let scopes = match what {
            Administration::SetScopes(scopes) => scopes,
            Administration::ChangeScopes { add, remove } => user.scopes.with(add).without(remove),
            _ => user.scopes,
        };
        if !Self::may_give(caller, user.scopes, scopes) {
            return Err(403);
        }
        user.scopes = scopes;
        match what {
            Administration::Rename
            | Administration::SetScopes(_)
            | Administration::ChangeScopes { .. } => {}
            Administration::Disable => {
                user.disabled = true;
                self.end_all(|credential| credential.owner == place);
            }
            Administration::Enable => user.disabled = false,
            Administration::Delete => {
                user.deleted = true;
                return done(204);
            }
            Administration::SignOut => {
                self.end_all(|credential| credential.owner == place);
                return done(204);
            }
        }
        let user = &self.users[place];
        tells(json!({ "id": user.id, "scopes": user.scopes.text(), "disabled": user.disabled }))
    }
}
