//! Somebody who makes changes of every kind until the process is gone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::trail::Trail;
use crate::client::{Connection, Request};
use crate::desk::{Desk, expect, json_request, open, register, sign_in, sign_in_request, text_of};

const PASSWORD: &str = "mulberry-Tram-71";

const JSON: &str = "application/json";

/// See the module.
pub(super) struct Client {
    number: usize,
    admin: String,
    /// How many users it has made.
    users: usize,
    keeper: Keeper,
    comer: Comer,
}

/// A user who makes and revokes keys.
struct Keeper {
    id: i64,
    token: String,
}

/// A user who signs in.
struct Comer {
    id: i64,
    email: String,
    /// The last token that was answered.
    token: String,
    /// Sign-ins that were answered.
    answered: usize,
}

/// How many changes there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) acknowledged: usize,
    pub(super) interrupted: usize,
}

/// The connection of a client, and what it has done over it.
struct Work<'a> {
    connection: Connection,
    /// Set once anything was done.
    begun: &'a AtomicBool,
    done: Done,
}

impl Work<'_> {
    /// Makes a change. Returns the answer; `None` when the process is gone.
    fn make(&mut self, request: &Request) -> Result<Option<Value>, String> {
        match self.connection.send(request) {
            Ok(answer) => {
                let answer = expect(answer, &[200, 201, 204])?;
                self.done.acknowledged += 1;
                self.begun.store(true, Ordering::Relaxed);
                Ok(Some(
                    serde_json::from_slice(&answer.body).unwrap_or_default(),
                ))
            }
            Err(_gone) => {
                self.done.interrupted += 1;
                Ok(None)
            }
        }
    }
}

impl Client {
    pub(super) fn new(desk: &mut Desk, admin: &str, number: usize) -> Result<Self, String> {
        let email = |what| format!("{what}-{}-{number}@example.com", std::process::id());
        let mut person = |email: &str| -> Result<(i64, String), String> {
            let id = register(desk, email, PASSWORD)?;
            let token = sign_in(desk, 0, email, PASSWORD)?.ok_or("a user is out")?;
            Ok((id, token))
        };
        let (id, token) = person(&email("keeper"))?;
        let keeper = Keeper { id, token };
        let email = email("comer");
        let (id, token) = person(&email)?;
        Ok(Self {
            number,
            admin: admin.to_owned(),
            users: 0,
            keeper,
            comer: Comer {
                id,
                email,
                token,
                answered: 1,
            },
        })
    }

    /// Makes changes until the process is gone.
    pub(super) fn change(
        &mut self,
        address: SocketAddr,
        begun: &AtomicBool,
    ) -> Result<Done, String> {
        let Ok(connection) = open(address) else {
            return Ok(Done::default());
        };
        let mut work = Work {
            connection,
            begun,
            done: Done::default(),
        };
        while self.change_all(&mut work)?.is_some() {}
        Ok(work.done)
    }

    /// Every kind of change once; `None` when the process is gone.
    fn change_all(&mut self, work: &mut Work<'_>) -> Result<Option<()>, String> {
        self.users += 1;
        let turn = self.users;
        let body = json!({
            "name": "Ada Lovelace",
            "surname": "",
            "email": format!("user-{}-{}-{turn}@example.com", std::process::id(), self.number),
            "website": "",
            "password": PASSWORD,
        });
        let request = Request::with_body("/register", JSON, &body.to_string());
        let Some(user) = work.make(&request)? else {
            return Ok(None);
        };
        let path = format!("/admin/users/{}", user["id"]);
        let scopes = json!({"scopes_add": format!("turn:{turn}")});
        for body in [
            scopes,
            json!({"disabled": true}),
            json!({"disabled": false}),
        ] {
            let patch = json_request("PATCH", &path, &self.admin, Some(&body));
            if work.make(&patch)?.is_none() {
                return Ok(None);
            }
        }
        if !turn.is_multiple_of(4) {
            let delete = json_request("DELETE", &path, &self.admin, None);
            if work.make(&delete)?.is_none() {
                return Ok(None);
            }
        }
        self.change_key(work)?;
        self.come(work)
    }

    /// Makes a key and revokes it.
    fn change_key(&mut self, work: &mut Work<'_>) -> Result<Option<()>, String> {
        let (path, token) = ("/users/me/keys", &self.keeper.token);
        let create = json_request("POST", path, token, Some(&json!({"name": "a key"})));
        let Some(key) = work.make(&create)? else {
            return Ok(None);
        };
        let path = format!("{path}/{}", key["id"]);
        let revoke = json_request("DELETE", &path, token, None);
        Ok(work.make(&revoke)?.map(drop))
    }

    fn come(&mut self, work: &mut Work<'_>) -> Result<Option<()>, String> {
        let request = sign_in_request(&self.comer.email, PASSWORD);
        let Some(answer) = work.make(&request)? else {
            return Ok(None);
        };
        let token = answer["access_token"].as_str().ok_or("no access token")?;
        token.clone_into(&mut self.comer.token);
        self.comer.answered += 1;
        Ok(Some(()))
    }

    /// Looks whether keys and tokens are those that the trail tells of.
    pub(super) fn compare(&mut self, desk: &mut Desk, trail: &mut Trail) -> Result<(), String> {
        let list = Request::get("/users/me/keys", &self.keeper.token);
        let answer = desk.insist(0, &list, &[200])?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let keys = body["keys"].as_array().ok_or("no list of keys")?;
        let keys = keys.iter().filter_map(|key| key["id"].as_i64()).collect();
        trail.compare_keys(self.keeper.id, &keys);
        for key in keys {
            // One whose revocation was interrupted.
            let path = format!("/users/me/keys/{key}");
            let revoke = Request::new("DELETE", &path, Some(&self.keeper.token), None);
            desk.insist(0, &revoke, &[204])?;
        }
        // A sign-in without an answer has ended the token before it, if it was made.
        let logins = trail.logins(self.comer.id);
        let accepted = desk.acceptances(&self.comer.token)? == 1;
        if accepted != (logins == self.comer.answered) {
            let answered = self.comer.answered;
            trail.differences.push(format!(
                "{logins} sign-ins, {answered} of them answered, and the last token that was \
                 answered is accepted: {accepted}"
            ));
        }
        let again = desk.insist(0, &sign_in_request(&self.comer.email, PASSWORD), &[200])?;
        self.comer.token = text_of(&again, "access_token")?.unwrap_or_default();
        trail.read_on(desk)?;
        self.comer.answered = trail.logins(self.comer.id);
        Ok(())
    }
}
