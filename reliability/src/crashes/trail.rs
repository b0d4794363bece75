//! The state that the audit trail tells of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::client::Request;
use crate::desk::Desk;

/// What is known of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct User {
    scopes: String,
    disabled: bool,
}

/// See the module.
pub(super) struct Trail {
    admin: String,
    /// The last event that was read.
    last: i64,
    users: BTreeMap<i64, User>,
    keys: BTreeMap<i64, BTreeSet<i64>>,
    logins: BTreeMap<i64, usize>,
    pub(super) differences: Vec<String>,
}

impl Trail {
    pub(super) fn new(admin: &str) -> Self {
        Self {
            admin: admin.to_owned(),
            last: 0,
            users: BTreeMap::new(),
            keys: BTreeMap::new(),
            logins: BTreeMap::new(),
            differences: Vec::new(),
        }
    }

    /// Follows the events since the last time. Returns how many of them tell of changes.
    pub(super) fn read_on(&mut self, desk: &mut Desk) -> Result<usize, String> {
        let mut new = Vec::new();
        let mut next = Some("/admin/events?limit=500".to_owned());
        while let Some(path) = next {
            let page = self.get(desk, &path)?;
            let events = page["events"].as_array().ok_or("no list of events")?;
            let is_new = |event: &&Value| event["id"].as_i64() > Some(self.last);
            let before = new.len();
            new.extend(events.iter().filter(is_new).cloned());
            let is_all = new.len() - before < events.len();
            next = page["next"].as_str().filter(|_| !is_all).map(str::to_owned);
        }
        new.reverse();
        let changes = new.iter().filter(|event| self.follow(event)).count();
        Ok(changes)
    }

    /// Makes the change that an event tells of; false when it tells of none.
    fn follow(&mut self, event: &Value) -> bool {
        let id = event["id"].as_i64().unwrap_or_default();
        if id != self.last + 1 {
            self.differences
                .push(format!("event {id} after {}", self.last));
        }
        self.last = id;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| -> i64 {
            let text = text(value);
            let number = text.split_once(':').map(|(_, number)| number);
            number
                .and_then(|number| number.parse().ok())
                .unwrap_or_default()
        };
        let (actor, target) = (number(&event["actor"]), number(&event["target"]));
        let is_as_told = match (
            text(&event["action"]).as_str(),
            text(&event["result"]).as_str(),
        ) {
            ("register" | "user.create", "ok") => {
                let scopes = text(&event["detail"]["scopes"]);
                let user = User {
                    scopes,
                    disabled: false,
                };
                self.users.insert(target, user).is_none()
            }
            ("user.scopes", "ok") => self.users.get_mut(&target).is_some_and(|user| {
                let before = text(&event["detail"]["before"]);
                let after = text(&event["detail"]["after"]);
                std::mem::replace(&mut user.scopes, after) == before
            }),
            ("user.disable", "ok") => self.set_disabled(target, true),
            ("user.enable", "ok") => self.set_disabled(target, false),
            ("user.delete", "ok") => self.users.remove(&target).is_some(),
            ("key.create", "ok") => self.keys.entry(actor).or_default().insert(target),
            ("key.revoke", "ok") => self.keys.entry(actor).or_default().remove(&target),
            ("login", "ok") => {
                *self.logins.entry(target).or_default() += 1;
                true
            }
            _ => return false,
        };
        if !is_as_told {
            self.differences
                .push(format!("event without a change: {event}"));
        }
        true
    }

    fn set_disabled(&mut self, id: i64, disabled: bool) -> bool {
        let user = self.users.get_mut(&id);
        user.is_some_and(|user| std::mem::replace(&mut user.disabled, disabled) != disabled)
    }

    /// How often a user has signed in.
    pub(super) fn logins(&self, id: i64) -> usize {
        self.logins.get(&id).copied().unwrap_or_default()
    }

    /// Looks whether there are the users that the trail tells of.
    pub(super) fn compare_users(&mut self, desk: &mut Desk) -> Result<(), String> {
        let mut users = BTreeMap::new();
        let mut next = Some("/admin/users?limit=500".to_owned());
        while let Some(path) = next {
            let page = self.get(desk, &path)?;
            for user in page["users"].as_array().ok_or("no list of users")? {
                let id = user["id"].as_i64().unwrap_or_default();
                let scopes = user["scopes"].as_str().unwrap_or_default().to_owned();
                let disabled = !user["disabled_at"].is_null();
                users.insert(id, User { scopes, disabled });
            }
            next = page["next"].as_str().map(str::to_owned);
        }
        let ids: BTreeSet<&i64> = users.keys().chain(self.users.keys()).collect();
        for id in ids {
            let (is, told) = (users.get(id), self.users.get(id));
            if is != told {
                let difference = format!("user {id} is {is:?}, and the trail tells {told:?}");
                self.differences.push(difference);
            }
        }
        Ok(())
    }

    /// Looks whether a user has the keys that the trail tells of.
    pub(super) fn compare_keys(&mut self, user: i64, keys: &BTreeSet<i64>) {
        let told = self.keys.get(&user).cloned().unwrap_or_default();
        if *keys != told {
            let difference = format!("user {user} has keys {keys:?}, and the trail tells {told:?}");
            self.differences.push(difference);
        }
    }

    fn get(&self, desk: &mut Desk, path: &str) -> Result<Value, String> {
        let answer = desk.insist(0, &Request::get(path, &self.admin), &[200])?;
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
    }
}
