//! Random sequences of requests, each answered as an abstract model of the service predicts, on SQLite
//! and on Postgres. When a response differs, the sequence is reduced to a minimal one and printed with
//! the seed that reproduces it.
//!
//! `TOKENHOUSE_TEST_MODEL_OPERATIONS` is the number of operations per database (default 1,500),
//! `TOKENHOUSE_TEST_MODEL_SEED` the seed.

mod driver;
mod operation;
mod rules;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use chrono::DateTime;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::{Value, json};
use tokenhouse::Clock;

use self::driver::{Driver, Root};
use self::operation::{Operation, Scopes, operation};
use crate::harness::{Backend, OWN_SCOPES, TestApp, on_both_databases, size};

on_both_databases!(responses_match_the_model,);

/// Maximum number of operations in a sequence.
const MAX_SEQUENCE_LENGTH: usize = 200;

fn responses_match_the_model(backend: Backend) {
    let operations = size("TOKENHOUSE_TEST_MODEL_OPERATIONS", 1_500);
    let seed = size("TOKENHOUSE_TEST_MODEL_SEED", 1);
    let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let scopes = format!("{OWN_SCOPES} orders orders:read");
    let root = RefCell::new(Root::new(app.register_with("root", &scopes), &clock));
    let (sequences, executed) = (Cell::new(0), Cell::new(0));
    let statuses = RefCell::new(BTreeSet::new());

    let run = |sequence: Vec<Operation>| -> Result<(), TestCaseError> {
        sequences.set(sequences.get() + 1);
        let mut root = root.borrow_mut();
        let mut driver = Driver::new(*app, &clock, &mut root, sequences.get());
        for operation in &sequence {
            driver.step(*operation)?;
        }
        executed.set(executed.get() + sequence.len() + driver.check_all_credentials()?);
        statuses.borrow_mut().append(&mut driver.statuses);
        Ok(())
    };
    let config = Config {
        // The average sequence is half as long as the longest.
        cases: u32::try_from((2 * operations).div_ceil(MAX_SEQUENCE_LENGTH)).unwrap(),
        rng_seed: RngSeed::Fixed(seed as u64),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        ..Config::default()
    };
    match TestRunner::new(config).run(&vec(operation(), 1..=MAX_SEQUENCE_LENGTH), run) {
        Ok(()) => {}
        Err(TestError::Fail(divergence, sequence)) => panic!(
            "{backend:?}, TOKENHOUSE_TEST_MODEL_SEED={seed}: {divergence}\nafter {}",
            sequence
                .iter()
                .map(|operation| format!("\n    {operation:?}"))
                .collect::<String>()
        ),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    let executed = executed.get();
    assert!(executed >= operations, "only {executed}");
    let every_status = [200, 201, 204, 400, 401, 403, 404, 409, 422];
    assert_eq!(statuses.take(), every_status.into());
    println!("{backend:?}: {executed} operations with seed {seed}, no divergence");
}

/// Lifetime of a login token in seconds.
pub const LIFETIME: i64 = 86_400;

const DAY: i64 = 86_400;

pub struct User {
    pub id: i64,
    pub slot: usize,
    pub name: String,
    pub email: String,
    pub password: usize,
    pub scopes: Scopes,
    pub disabled: bool,
    pub deleted: bool,
}

pub struct Credential {
    pub owner: usize,
    /// The id, for an API key.
    pub key: Option<i64>,
    pub scopes: Scopes,
    pub issued: i64,
    pub expires: i64,
    pub revoked: bool,
}

/// An authenticated caller.
#[derive(Clone, Copy)]
pub struct Caller {
    /// `None` for the administrator outside the sequence.
    pub user: Option<usize>,
    pub credential: Option<usize>,
    /// The scopes that both user and credential have.
    pub scopes: Scopes,
}

/// All users and credentials, including deleted and revoked ones.
pub struct Model {
    pub now: i64,
    pub users: Vec<User>,
    pub credentials: Vec<Credential>,
}

impl Model {
    pub fn new(now: i64) -> Self {
        Self {
            now,
            users: Vec::new(),
            credentials: Vec::new(),
        }
    }

    /// The current user of this account.
    pub fn user_in_slot(&self, slot: usize) -> Option<usize> {
        let mut users = self.users.iter();
        users.position(|user| user.slot == slot && !user.deleted)
    }

    /// The caller authenticated by this credential.
    pub fn caller(&self, index: usize) -> Option<Caller> {
        let credential = &self.credentials[index];
        let user = &self.users[credential.owner];
        let is_valid =
            !user.deleted && !user.disabled && !credential.revoked && self.now < credential.expires;
        is_valid.then(|| Caller {
            user: Some(credential.owner),
            credential: Some(index),
            scopes: user.scopes.and(credential.scopes),
        })
    }

    /// The introspection response for a credential.
    pub fn introspection(&self, index: usize) -> Value {
        let Some(caller) = self.caller(index) else {
            return json!({ "active": false });
        };
        let credential = &self.credentials[index];
        let user = &self.users[credential.owner];
        let mut described = json!({
            "active": true,
            "scope": caller.scopes.text(),
            "username": user.email,
            "token_type": "Bearer",
            "exp": credential.expires,
            "iat": credential.issued,
            "sub": user.id.to_string(),
            "name": user.name,
        });
        if credential.key.is_none() {
            described["auth_time"] = json!(credential.issued);
            described["amr"] = json!(["pwd"]);
        }
        described
    }

    /// Issues a login token that replaces the earlier one. Without scopes, it gets all of the user's.
    pub fn issue_token(&mut self, owner: usize, requested: Scopes) {
        self.revoke_token_of(owner);
        let scopes = match requested {
            Scopes::NONE => self.users[owner].scopes,
            requested => requested,
        };
        self.issue(owner, None, scopes, LIFETIME);
    }

    pub fn issue_key(&mut self, owner: usize, id: i64, scopes: Scopes, days: i64) {
        self.issue(owner, Some(id), scopes, days * DAY);
    }

    fn issue(&mut self, owner: usize, key: Option<i64>, scopes: Scopes, lifetime: i64) {
        self.credentials.push(Credential {
            owner,
            key,
            scopes,
            issued: self.now,
            expires: self.now + lifetime,
            revoked: false,
        });
    }

    pub fn revoke_token_of(&mut self, owner: usize) {
        self.revoke_where(|credential| credential.owner == owner && credential.key.is_none());
    }

    pub fn revoke_where(&mut self, selects: impl Fn(&Credential) -> bool) {
        for credential in self
            .credentials
            .iter_mut()
            .filter(|credential| selects(credential))
        {
            credential.revoked = true;
        }
    }

    /// The unrevoked keys of a user, oldest first.
    pub fn keys_of(&self, owner: usize) -> Vec<(i64, String)> {
        let credentials = self.credentials.iter();
        credentials
            .filter(|credential| credential.owner == owner && !credential.revoked)
            .filter_map(|credential| Some((credential.key?, credential.scopes.text())))
            .collect()
    }

    /// Whether the caller may change a user's scopes from `before` to `after`: only held scopes can
    /// be granted.
    pub fn may_grant(caller: Caller, before: Scopes, after: Scopes) -> bool {
        after.without(before).are_within(caller.scopes)
    }

    /// Whether the caller uses an API key.
    pub fn is_by_key(&self, caller: Caller) -> bool {
        caller
            .credential
            .is_some_and(|index| self.credentials[index].key.is_some())
    }
}
