//! The comparison: everything acknowledged is there, and nothing that has ended.

use std::collections::HashMap;

use serde_json::Value;

use super::ledger::{Account, Change, Entry, Outcome, Returned, State, Token, digest};
use super::snapshot::{EventRow, Snapshot};
use crate::Findings;

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
        let mut made: Vec<(&Entry, &EventRow)> = Vec::new();
        for entry in &account.entries {
            let events = snapshot.events.get(&entry.request_id);
            let events = events.map_or(&[][..], Vec::as_slice);
            judge_entry(account, entry, events, limit, &made, findings);
            made.extend(events.first().map(|event| (entry, event)));
        }
        // A change without a response may have been made after the next one.
        made.sort_by_key(|(_, event)| event.id);
        let mut state = State::before(account);
        for (entry, event) in &made {
            apply(&mut state, entry, Some(event));
        }
        let ended = Ended::new(account, &made, limit);
        self.compare_tables(account, &state, &ended, snapshot, findings);
    }

    /// Compares the tables with the changes in the audit trail.
    fn compare_tables(
        &mut self,
        account: &Account,
        state: &State,
        ended: &Ended,
        snapshot: &Snapshot,
        findings: &mut Findings,
    ) {
        let email = &account.email;
        let row = snapshot.users.get(email);
        let (id, row) = match (state.id, row) {
            (_, Some(_)) if state.is_deleted || ended.is_deleted => {
                return findings.add_resurrected(format!("{email} is deleted and exists"));
            }
            (_, None) if state.is_deleted => return,
            (Some(id), Some(row)) => (id, row),
            (Some(_), None) => {
                return findings.add_lost(format!("{email} is registered and does not exist"));
            }
            (None, Some(_)) => {
                return findings.add_wrong(format!("{email} exists without an event"));
            }
            (None, None) => return,
        };
        if row.id != id {
            findings.add_wrong(format!("{email} is user {} instead of {id}", row.id));
        }
        if !self.fits(&state.password, &row.hashed_password) {
            findings.add_lost(format!("{email} has another password"));
        }
        if row.scope_set() != state.scopes {
            let (row, scopes) = (&row.scopes, &state.scopes);
            findings.add_lost(format!(
                "{email} has the scopes {row:?} instead of {scopes:?}"
            ));
        }
        match (state.is_disabled || ended.is_disabled, row.disabled == 1) {
            (true, false) => findings.add_resurrected(format!("{email} is enabled again")),
            (false, true) => findings.add_lost(format!("{email} is disabled again")),
            _ => {}
        }
        compare_token(email, state, snapshot.tokens.get(&id), ended, findings);
        compare_keys(email, state, id, snapshot, ended, findings);
    }

    fn fits(&mut self, password: &str, hash: &str) -> bool {
        let pair = (password.to_owned(), hash.to_owned());
        let verify = || bcrypt::verify(password, hash).unwrap_or(false);
        *self.fits.entry(pair).or_insert_with(verify)
    }
}

/// What has ended for good, by the acknowledged changes as well, also those that are lost.
struct Ended {
    digests: Vec<String>,
    is_disabled: bool,
    is_deleted: bool,
}

impl Ended {
    fn new(account: &Account, made: &[(&Entry, &EventRow)], limit: u64) -> Self {
        let mut state = State::before(account);
        for entry in &account.entries {
            let is_same = |(other, _): &&(&Entry, _)| other.request_id == entry.request_id;
            let event = made.iter().find(is_same).map(|(_, event)| *event);
            if event.is_some() || entry.is_acknowledged_at(limit) {
                apply(&mut state, entry, event);
            }
        }
        Self {
            digests: state.ended.iter().map(|secret| digest(secret)).collect(),
            is_disabled: state.is_disabled,
            is_deleted: state.is_deleted,
        }
    }
}

fn apply(state: &mut State, entry: &Entry, event: Option<&EventRow>) {
    let returned = match &entry.outcome {
        Outcome::Acknowledged { returned, .. } => returned,
        Outcome::RefusedAsRepeated | Outcome::Unknown => &Returned::Nothing,
    };
    let number = event.and_then(|event| event.target.rsplit_once(':'));
    let target = number.and_then(|(_, number)| number.parse().ok());
    state.apply(&entry.change, returned, target);
}

/// Compares an entry with its events. `made` holds the entries before it that have one.
fn judge_entry(
    account: &Account,
    entry: &Entry,
    events: &[EventRow],
    limit: u64,
    made: &[(&Entry, &EventRow)],
    findings: &mut Findings,
) {
    let action = entry.change.action();
    let what = format!("{action} of {}", account.email);
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
            if made.last().is_some_and(|(last, _)| {
                last.outcome == Outcome::Unknown && last.change == entry.change
            }) => {}
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
        scopes.join(" ")
    });
    before == after
}

fn compare_token(
    email: &str,
    state: &State,
    row: Option<&String>,
    ended: &Ended,
    findings: &mut Findings,
) {
    match (&state.token, row) {
        (_, Some(row)) if ended.digests.contains(row) => {
            findings.add_resurrected(format!("an ended token of {email} is there again"));
        }
        (Token::Known(token), Some(row)) if digest(token) == *row => {}
        (Token::None, None) | (Token::Unknown, Some(_)) => {}
        (Token::None, Some(_)) => {
            findings.add_wrong(format!("{email} has a token without an event"));
        }
        (Token::Known(_) | Token::Unknown, _) => {
            findings.add_lost(format!("the token of {email} is missing"));
        }
    }
}

fn compare_keys(
    email: &str,
    state: &State,
    user_id: i64,
    snapshot: &Snapshot,
    ended: &Ended,
    findings: &mut Findings,
) {
    let rows = || snapshot.keys.iter().filter(|row| row.user_id == user_id);
    for (id, key) in &state.keys {
        let Some(row) = rows().find(|row| row.id == *id) else {
            findings.add_lost(format!("key {id} of {email} is missing"));
            continue;
        };
        let is_same = |key: &String| digest(key) == row.key_digest;
        let has_ended = ended.digests.contains(&row.key_digest);
        match (key.is_live && !has_ended, row.live == 1) {
            _ if !key.key.as_ref().is_none_or(is_same) => {
                findings.add_wrong(format!("key {id} of {email} is another one"));
            }
            (false, true) => {
                findings.add_resurrected(format!("key {id} of {email} is valid again"));
            }
            (true, false) => findings.add_lost(format!("key {id} of {email} is revoked")),
            _ => {}
        }
    }
    if let Some(row) = rows().find(|row| !state.keys.contains_key(&row.id)) {
        findings.add_wrong(format!("key {} of {email} has no event", row.id));
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{KeyRow, UserRow};
    use super::*;

    const EMAIL: &str = "ada@example.com";
    const OLD: &str = "an old password";
    const NEW: &str = "a new password";

    /// A user with a revoked key, a changed password and a scope who is disabled, and so has no token.
    fn account() -> Account {
        let token = |name: &str| Returned::Token(name.to_owned());
        let password = Change::Password(NEW.to_owned(), Vec::new());
        let changes = [
            (Change::Register, Returned::User(7)),
            (Change::Login, token("first")),
            (Change::CreateKey, Returned::Key(3, "key".to_owned())),
            (Change::RevokeKey(3), Returned::Nothing),
            (password, Returned::Nothing),
            (Change::Login, token("second")),
            (Change::Disable, Returned::Nothing),
            (Change::AddScope("turn:1".to_owned()), Returned::Nothing),
        ];
        let entries = (0_u64..).zip(changes);
        let entries = entries.map(|(mark, (change, returned))| Entry {
            request_id: format!("r{mark}"),
            change,
            outcome: Outcome::Acknowledged { returned, mark },
        });
        Account {
            email: EMAIL.to_owned(),
            password: OLD.to_owned(),
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
        let user = UserRow {
            id: 7,
            email: EMAIL.to_owned(),
            hashed_password: bcrypt::hash(NEW, 4).unwrap(),
            scopes: "turn:1".to_owned(),
            disabled: 1,
        };
        let key = KeyRow {
            id: 3,
            user_id: 7,
            key_digest: digest("key"),
            live: 0,
        };
        Snapshot {
            users: HashMap::from([(EMAIL.to_owned(), user)]),
            tokens: HashMap::new(),
            keys: vec![key],
            events: events.map(event).collect(),
            damage: Vec::new(),
        }
    }

    fn user(snapshot: &mut Snapshot) -> &mut UserRow {
        snapshot.users.get_mut(EMAIL).unwrap()
    }

    fn forget_disable(snapshot: &mut Snapshot) {
        snapshot.events.remove("r6");
        user(snapshot).disabled = 0;
        snapshot.tokens.insert(7, digest("second"));
    }

    fn forget_disable_and_token(snapshot: &mut Snapshot) {
        forget_disable(snapshot);
        snapshot.tokens.clear();
    }

    fn forget_all_after_the_key(snapshot: &mut Snapshot) {
        snapshot.events.retain(|id, _| id.as_str() <= "r3");
        snapshot.tokens.insert(7, digest("first"));
        let user = user(snapshot);
        user.hashed_password = bcrypt::hash(OLD, 4).unwrap();
        user.disabled = 0;
        user.scopes.clear();
    }

    /// A change of the content, the length of the disk journal, and how much is then lost, resurrected
    /// and otherwise wrong.
    type Case = (fn(&mut Snapshot), u64, [usize; 3]);

    #[rustfmt::skip]
    const CASES: [Case; 19] = [
        (|_| {}, u64::MAX, [0, 0, 0]),
        // Lost, unless it was acknowledged later.
        (forget_disable, 6, [1, 2, 0]),
        (forget_disable, 5, [0, 0, 0]),
        (forget_disable_and_token, 5, [1, 0, 0]),
        // Resurrected.
        (|it| it.keys[0].live = 1, u64::MAX, [0, 1, 0]),
        (|it| user(it).disabled = 0, u64::MAX, [0, 1, 0]),
        (|it| _ = it.tokens.insert(7, digest("first")), u64::MAX, [0, 1, 0]),
        (|it| _ = it.tokens.insert(7, digest("second")), u64::MAX, [0, 1, 0]),
        // What a lost change had ended.
        (|it| (it.keys[0].live, _) = (1, it.events.remove("r3")), u64::MAX, [1, 1, 0]),
        (forget_all_after_the_key, u64::MAX, [4, 2, 0]),
        (forget_all_after_the_key, 3, [0, 0, 0]),
        // The tables contradict the trail.
        (|it| _ = it.tokens.insert(7, digest("other")), u64::MAX, [0, 0, 1]),
        (|it| it.keys.clear(), u64::MAX, [1, 0, 0]),
        (|it| it.users.clear(), u64::MAX, [1, 0, 0]),
        (|it| user(it).scopes.clear(), u64::MAX, [1, 0, 0]),
        (|it| _ = it.events.get_mut("r1").map(|it| it.push(it[0].clone())), u64::MAX, [0, 0, 1]),
        (|it| _ = it.events.get_mut("r1").map(|it| it[0].action.clear()), u64::MAX, [0, 0, 1]),
        (|it| _ = it.events.get_mut("r7").map(|it| it[0].detail.clear()), u64::MAX, [0, 0, 1]),
        (|it| it.damage.push("page 3".to_owned()), u64::MAX, [0, 0, 1]),
    ];

    #[test]
    fn every_difference_is_found() {
        for (number, (change, limit, expected)) in CASES.into_iter().enumerate() {
            let mut snapshot = snapshot();
            change(&mut snapshot);
            let found = Comparison::default().run([&account()], &snapshot, limit);
            let counts = [found.lost, found.resurrected, found.wrong];
            assert_eq!(counts, expected, "case {number}: {found}");
        }
    }

    #[test]
    fn deleted_user_that_exists_is_resurrected() {
        let mut account = account();
        let mut last = account.entries[6].clone();
        (last.request_id, last.change) = ("r8".to_owned(), Change::Delete);
        account.entries.push(last);
        let counts = |snapshot: &Snapshot| {
            let found = Comparison::default().run([&account], snapshot, u64::MAX);
            [found.lost, found.resurrected, found.wrong]
        };
        let mut snapshot = snapshot();
        assert_eq!(counts(&snapshot), [1, 1, 0]);
        let mut event = snapshot.events["r6"][0].clone();
        (event.id, event.action) = (9, "user.delete".to_owned());
        snapshot.events.insert("r8".to_owned(), vec![event]);
        assert_eq!(counts(&snapshot), [0, 1, 0]);
        snapshot.users.clear();
        assert_eq!(counts(&snapshot), [0, 0, 0]);
    }
}
