//! The comparison: everything acknowledged is there, and nothing that has ended.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::client::{Account, Entry, Outcome};
use super::snapshot::{EventRow, Snapshot, StoredUser};
use crate::Findings;
use crate::user::{Change, Made, User};

/// Compares what clients know with the content of the database. Remembers which password fits which
/// hash, which takes the most time.
#[derive(Default)]
pub(crate) struct Comparison {
    fits: HashMap<(String, String), bool>,
}

impl Comparison {
    /// Compares. Changes that were acknowledged before the disk journal had the length `limit` have to
    /// be there; later ones and those without an acknowledgement may be.
    pub(crate) fn run<'a>(
        &mut self,
        accounts: impl IntoIterator<Item = &'a Account>,
        snapshot: &Snapshot,
        limit: u64,
    ) -> Findings {
        let mut findings = Findings::default();
        for line in &snapshot.damage {
            findings.add_wrong(format!("damaged: {line}"));
        }
        for account in accounts {
            self.compare_account(account, snapshot, limit, &mut findings);
        }
        findings
    }

    fn compare_account(
        &mut self,
        account: &Account,
        snapshot: &Snapshot,
        limit: u64,
        findings: &mut Findings,
    ) {
        let email = &account.user.email;
        let mut made: Vec<(&Entry, &EventRow)> = Vec::new();
        // The user after the acknowledged changes as well, also those that are lost.
        let mut promised = account.user.clone();
        for entry in &account.entries {
            let events = snapshot.events.get(&entry.request_id);
            let events = events.map_or(&[][..], Vec::as_slice);
            judge_entry(email, entry, events, limit, &made, findings);
            let event = events.first();
            if event.is_some() || entry.is_acknowledged_at(limit) {
                apply(&mut promised, entry, event);
            }
            made.extend(event.map(|event| (entry, event)));
        }
        // A change without a response may have been made after the next one.
        made.sort_by_key(|(_, event)| event.id);
        let mut user = account.user.clone();
        for (entry, event) in &made {
            apply(&mut user, entry, Some(event));
        }

        let stored = snapshot.users.get(email);
        let resurrected = stored.map_or_else(Vec::new, |stored| resurrected(&promised, stored));
        let expected = self.expected(&user, stored);
        if resurrected.is_empty() && stored != expected.as_ref() {
            findings.add_wrong(format!("{email} is {stored:?} instead of {expected:?}"));
        }
        for what in resurrected {
            findings.add_resurrected(format!("{email}: {what}"));
        }
    }

    /// The row that belongs to a user. What the client does not know is as it is stored.
    fn expected(&mut self, user: &User, stored: Option<&StoredUser>) -> Option<StoredUser> {
        if user.is_deleted {
            return None;
        }
        let id = user.id?;
        let hash = stored.map(|stored| stored.hashed_password.clone());
        let hash = hash.filter(|hash| self.fits(&user.password, hash));
        let stored_token = || stored.and_then(|stored| stored.token.clone());
        let token = user.token.as_ref().map(|token| match token {
            Some(token) => digest(token),
            None => stored_token().unwrap_or_else(|| "a token".to_owned()),
        });
        let keys = user.keys.iter().map(|(id, key)| {
            let stored = stored.and_then(|stored| stored.keys.get(id));
            let digest = match &key.secret {
                Some(key) => digest(key),
                None => stored.map_or_else(String::new, |(digest, _)| digest.clone()),
            };
            (*id, (digest, key.is_live))
        });
        Some(StoredUser {
            id,
            hashed_password: hash.unwrap_or_else(|| "another hash".to_owned()),
            scopes: user.scopes.clone(),
            is_disabled: user.is_disabled,
            token,
            keys: keys.collect(),
        })
    }

    fn fits(&mut self, password: &str, hash: &str) -> bool {
        let pair = (password.to_owned(), hash.to_owned());
        let verify = || bcrypt::verify(password, hash).unwrap_or(false);
        *self.fits.entry(pair).or_insert_with(verify)
    }
}

/// What is there although it has ended for good.
fn resurrected(promised: &User, stored: &StoredUser) -> Vec<&'static str> {
    if promised.is_deleted {
        return vec!["deleted and exists"];
    }
    let ended: Vec<String> = promised.ended.iter().map(|it| digest(it)).collect();
    let live = stored.live_digests().filter(|live| ended.contains(live));
    let mut found = vec!["an ended credential is valid again"; live.count()];
    if promised.is_disabled && !stored.is_disabled {
        found.push("enabled again");
    }
    found
}

/// What the database stores for a token or key.
fn digest(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn apply(user: &mut User, entry: &Entry, event: Option<&EventRow>) {
    let number = event.and_then(|event| event.target.rsplit_once(':'));
    let unknown = Made {
        id: number.and_then(|(_, number)| number.parse().ok()),
        secret: None,
    };
    match &entry.outcome {
        Outcome::Acknowledged { made, .. } => user.apply(&entry.change, made),
        Outcome::RefusedAsRepeated | Outcome::Unknown => user.apply(&entry.change, &unknown),
    }
}

/// Compares an entry with its events. `made` holds the entries before it that have one.
fn judge_entry(
    email: &str,
    entry: &Entry,
    events: &[EventRow],
    limit: u64,
    made: &[(&Entry, &EventRow)],
    findings: &mut Findings,
) {
    let action = entry.change.action();
    let what = format!("{action} of {email}");
    for event in events {
        if event.action != action {
            findings.add_wrong(format!("{what} is in the trail as {}", event.action));
        }
        if let Change::AddScope(scope) = &entry.change
            && !adds_scope(&event.detail, scope)
        {
            findings.add_wrong(format!("{what} {scope} has the event {}", event.detail));
        }
    }
    if events.len() > 1 {
        findings.add_wrong(format!("{what} was made {} times", events.len()));
    }
    let is_acknowledged = entry.is_acknowledged_at(limit);
    findings.acknowledged += usize::from(is_acknowledged);
    match (&entry.outcome, events.is_empty()) {
        // It was repeated, and nothing was left to do.
        (Outcome::Acknowledged { .. }, true)
            if made
                .last()
                .is_some_and(|(last, _)| last.is_repeated_by(&entry.change)) => {}
        (Outcome::Acknowledged { .. }, true) if is_acknowledged => findings.add_lost(format!(
            "{what} was acknowledged and is not in the audit trail"
        )),
        (Outcome::Unknown, false) => findings.unacknowledged_made += 1,
        (Outcome::RefusedAsRepeated, false) => {
            findings.add_wrong(format!("{what} was refused and made"));
        }
        (Outcome::RefusedAsRepeated, true)
            if !made.iter().any(|(made, _)| made.change.action() == action) =>
        {
            findings.add_wrong(format!("{what} was refused although it had not been made"));
        }
        _ => {}
    }
}

/// Whether the detail of an event says that this scope was added.
fn adds_scope(detail: &str, scope: &str) -> bool {
    let detail: Value = serde_json::from_str(detail).unwrap_or_default();
    let [before, after] = ["before", "after"].map(|name| {
        let scopes = detail[name].as_str().unwrap_or_default();
        let mut scopes: Vec<&str> = scopes.split_whitespace().collect();
        scopes.extend((name == "before").then_some(scope));
        scopes.sort_unstable();
        scopes
    });
    before == after
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const EMAIL: &str = "ada@example.com";
    const OLD: &str = "an old password";
    const NEW: &str = "a new password";

    /// A user with a revoked key, a changed password and a scope who is disabled, and so has no token.
    fn account() -> Account {
        let made = |id: Option<i64>, secret: &str| Made {
            id,
            secret: Some(secret.to_owned()),
        };
        let changes = [
            (Change::Register, made(Some(7), "")),
            (Change::Login, made(None, "first")),
            (Change::CreateKey(""), made(Some(3), "key")),
            (Change::RevokeKey(3), Made::default()),
            (
                Change::Password(NEW.to_owned(), Vec::new()),
                Made::default(),
            ),
            (Change::Login, made(None, "second")),
            (Change::Disable, Made::default()),
            (Change::AddScope("turn:1".to_owned()), Made::default()),
        ];
        let entries = (0_u64..).zip(changes);
        let entries = entries.map(|(mark, (change, made))| Entry {
            request_id: format!("r{mark}"),
            change,
            outcome: Outcome::Acknowledged { made, mark },
        });
        Account {
            user: User::new(EMAIL.to_owned(), OLD.to_owned()),
            entries: entries.collect(),
        }
    }

    /// The database with exactly these changes.
    fn snapshot() -> Snapshot {
        let events = account().entries.into_iter().zip(1..);
        let event = |(entry, id): (Entry, i64)| {
            let row = EventRow {
                id,
                request_id: entry.request_id.clone(),
                action: entry.change.action().to_owned(),
                target: "user:7".to_owned(),
                detail: r#"{"before":"","after":"turn:1"}"#.to_owned(),
            };
            (entry.request_id, vec![row])
        };
        let user = StoredUser {
            id: 7,
            hashed_password: bcrypt::hash(NEW, 4).unwrap(),
            scopes: BTreeSet::from(["turn:1".to_owned()]),
            is_disabled: true,
            token: None,
            keys: BTreeMap::from([(3, (digest("key"), false))]),
        };
        Snapshot {
            users: HashMap::from([(EMAIL.to_owned(), user)]),
            events: events.map(event).collect(),
            damage: Vec::new(),
        }
    }

    fn user(snapshot: &mut Snapshot) -> &mut StoredUser {
        snapshot.users.get_mut(EMAIL).unwrap()
    }

    fn events<'a>(snapshot: &'a mut Snapshot, id: &str) -> &'a mut Vec<EventRow> {
        snapshot.events.get_mut(id).unwrap()
    }

    fn forget_disable(snapshot: &mut Snapshot) {
        snapshot.events.remove("r6");
        user(snapshot).is_disabled = false;
        user(snapshot).token = Some(digest("second"));
    }

    fn forget_all_after_the_key(snapshot: &mut Snapshot) {
        snapshot.events.retain(|id, _| id.as_str() <= "r3");
        *user(snapshot) = StoredUser {
            hashed_password: bcrypt::hash(OLD, 4).unwrap(),
            scopes: BTreeSet::new(),
            is_disabled: false,
            token: Some(digest("first")),
            ..user(snapshot).clone()
        };
    }

    fn revive_key(snapshot: &mut Snapshot) {
        user(snapshot).keys.insert(3, (digest("key"), true));
    }

    /// A change of the content, the length of the disk journal, and how much is then lost, resurrected
    /// and otherwise wrong.
    type Case = (fn(&mut Snapshot), u64, [usize; 3]);

    #[rustfmt::skip]
    const CASES: [Case; 21] = [
        (|_| {}, u64::MAX, [0, 0, 0]),
        // Lost, unless it was acknowledged later.
        (forget_disable, 6, [1, 2, 0]),
        (forget_disable, 5, [0, 0, 0]),
        // Resurrected.
        (revive_key, u64::MAX, [0, 1, 0]),
        (|it| user(it).is_disabled = false, u64::MAX, [0, 1, 0]),
        (|it| user(it).token = Some(digest("first")), u64::MAX, [0, 1, 0]),
        (|it| user(it).token = Some(digest("second")), u64::MAX, [0, 1, 0]),
        // What a lost change had ended.
        (|it| (_, _) = (revive_key(it), it.events.remove("r3")), u64::MAX, [1, 1, 0]),
        (forget_all_after_the_key, u64::MAX, [4, 2, 0]),
        (forget_all_after_the_key, 3, [0, 0, 0]),
        // The tables contradict the trail.
        (|it| user(it).token = Some(digest("other")), u64::MAX, [0, 0, 1]),
        (|it| (_, user(it).token) = (forget_disable(it), None), 5, [0, 0, 1]),
        (|it| user(it).keys.clear(), u64::MAX, [0, 0, 1]),
        (|it| user(it).scopes.clear(), u64::MAX, [0, 0, 1]),
        (|it| user(it).hashed_password.clear(), u64::MAX, [0, 0, 1]),
        (|it| user(it).id = 8, u64::MAX, [0, 0, 1]),
        (|it| it.users.clear(), u64::MAX, [0, 0, 1]),
        (|it| events(it, "r1").extend_from_within(..), u64::MAX, [0, 0, 1]),
        (|it| events(it, "r1")[0].action.clear(), u64::MAX, [0, 0, 1]),
        (|it| events(it, "r7")[0].detail.clear(), u64::MAX, [0, 0, 1]),
        (|it| it.damage.push("page 3".to_owned()), u64::MAX, [0, 0, 1]),
    ];

    fn compare(account: &Account, snapshot: &Snapshot, limit: u64) -> [usize; 3] {
        let found = Comparison::default().run([account], snapshot, limit);
        [found.lost, found.resurrected, found.wrong]
    }

    #[test]
    fn every_difference_is_found() {
        for (number, (change, limit, expected)) in CASES.into_iter().enumerate() {
            let mut snapshot = snapshot();
            change(&mut snapshot);
            let found = compare(&account(), &snapshot, limit);
            assert_eq!(found, expected, "case {number}");
        }
    }

    #[test]
    fn deleted_user_that_exists_is_resurrected() {
        let mut account = account();
        let mut last = account.entries[6].clone();
        (last.request_id, last.change) = ("r8".to_owned(), Change::Delete);
        account.entries.push(last);
        let mut snapshot = snapshot();
        assert_eq!(compare(&account, &snapshot, u64::MAX), [1, 1, 0]);
        let mut event = snapshot.events["r6"][0].clone();
        (event.id, event.action) = (9, "user.delete".to_owned());
        snapshot.events.insert("r8".to_owned(), vec![event]);
        assert_eq!(compare(&account, &snapshot, u64::MAX), [0, 1, 0]);
        snapshot.users.clear();
        assert_eq!(compare(&account, &snapshot, u64::MAX), [0, 0, 0]);
    }
}
