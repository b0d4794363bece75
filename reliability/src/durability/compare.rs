//! The comparison: is all there that was acknowledged, and nothing of what was ended?

use std::collections::HashMap;

use super::ledger::{Account, Change, Entry, Gained, State, Token, Told, digest};
use super::snapshot::{EventRow, Snapshot};

/// What was found in one comparison or in many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Acknowledged changes that were looked for.
    pub(crate) acknowledged: usize,
    /// Changes that nobody acknowledged and that were done all the same, as they may.
    pub(crate) done_unsaid: usize,
    /// Acknowledged changes that are not there.
    pub(crate) lost: usize,
    /// Credentials that have ended and are there again, and users who are no longer disabled.
    pub(crate) resurrected: usize,
    /// What else is wrong: damage, changes done twice, tables that the audit trail contradicts.
    pub(crate) wrong: usize,
    /// Some of all that, in words.
    pub(crate) examples: Vec<String>,
}

/// How many findings are told in words.
const EXAMPLES: usize = 8;

impl Findings {
    /// Whether nothing is amiss.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.resurrected + self.wrong == 0
    }

    /// Something is wrong that is neither lost nor resurrected.
    pub(crate) fn add_wrong(&mut self, example: String) {
        self.wrong += 1;
        self.tell(example);
    }

    /// Adds what another comparison found. `place` says which one it was.
    pub(crate) fn add(&mut self, other: Self, place: &str) {
        self.acknowledged += other.acknowledged;
        self.done_unsaid += other.done_unsaid;
        self.lost += other.lost;
        self.resurrected += other.resurrected;
        self.wrong += other.wrong;
        for example in other.examples {
            self.tell(if place.is_empty() {
                example
            } else {
                format!("{place}: {example}")
            });
        }
    }

    fn tell(&mut self, example: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }

    fn add_lost(&mut self, example: String) {
        self.lost += 1;
        self.tell(example);
    }

    fn add_resurrected(&mut self, example: String) {
        self.resurrected += 1;
        self.tell(example);
    }
}

/// Compares what clients know with what is there. Remembers which password fits which hash, which
/// takes longest.
#[derive(Default)]
pub(crate) struct Comparison {
    fits: HashMap<(String, String), bool>,
}

impl Comparison {
    /// Compares. What was acknowledged before the journal of the disk had come to `limit` has to
    /// be there; what was acknowledged later, or not at all, may be.
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
            self.account(account, snapshot, limit, &mut findings);
        }
        findings
    }

    fn account(
        &mut self,
        account: &Account,
        snapshot: &Snapshot,
        limit: u64,
        findings: &mut Findings,
    ) {
        let mut done: Vec<(&Entry, &EventRow)> = Vec::new();
        for entry in &account.entries {
            let events = snapshot.events.get(&entry.request_id);
            let events = events.map_or(&[][..], Vec::as_slice);
            judge_entry(account, entry, events, limit, &done, findings);
            done.extend(events.first().map(|event| (entry, event)));
        }
        // What had no answer may have been done after what came next.
        done.sort_by_key(|(_, event)| event.id);
        let state = fold(account, &done);
        let ended = ended(account, &done, limit);
        self.tables(account, &state, &ended, snapshot, findings);
    }

    /// Whether the tables say the same as the audit trail.
    fn tables(
        &mut self,
        account: &Account,
        state: &State,
        ended: &Ended,
        snapshot: &Snapshot,
        findings: &mut Findings,
    ) {
        let email = &account.email;
        let row = snapshot.users.get(email);
        let (Some(id), Some(row)) = (state.id, row) else {
            match (state.id, row) {
                (Some(_), None) => findings.add_lost(format!("{email} is registered and gone")),
                (None, Some(_)) => {
                    findings.add_wrong(format!("{email} is there without an event"));
                }
                _ => {}
            }
            return;
        };
        if row.id != id {
            findings.add_wrong(format!("{email} is user {} and not {id}", row.id));
        }
        if !self.fits(&state.password, &row.hashed_password) {
            findings.add_lost(format!("{email} has another password"));
        }
        match (state.disabled || ended.disabled, row.disabled == 1) {
            (true, false) => findings.add_resurrected(format!("{email} is not disabled any more")),
            (false, true) => findings.add_lost(format!("{email} is not enabled any more")),
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

/// What has ended for good: acknowledged changes say so, also those that are lost.
struct Ended {
    digests: Vec<String>,
    disabled: bool,
}

fn ended(account: &Account, done: &[(&Entry, &EventRow)], limit: u64) -> Ended {
    let mut state = State::before(account);
    for entry in &account.entries {
        let event = done
            .iter()
            .find(|(other, _)| other.request_id == entry.request_id);
        if event.is_some() || entry.is_acknowledged_at(limit) {
            apply(&mut state, entry, event.map(|(_, event)| *event));
        }
    }
    Ended {
        digests: state.ended.iter().map(|secret| digest(secret)).collect(),
        disabled: state.disabled,
    }
}

/// What the changes that were made come to.
fn fold(account: &Account, done: &[(&Entry, &EventRow)]) -> State {
    let mut state = State::before(account);
    for (entry, event) in done {
        apply(&mut state, entry, Some(event));
    }
    state
}

fn apply(state: &mut State, entry: &Entry, event: Option<&EventRow>) {
    let nothing = Gained::Nothing;
    let gained = match &entry.told {
        Told::Done { gained, .. } => gained,
        Told::DoneBefore | Told::Nothing => &nothing,
    };
    let number = event.and_then(|event| event.target.rsplit_once(':'));
    let target = number.and_then(|(_, number)| number.parse().ok());
    state.apply(&entry.change, gained, target);
}

fn judge_entry(
    account: &Account,
    entry: &Entry,
    events: &[EventRow],
    limit: u64,
    done: &[(&Entry, &EventRow)],
    findings: &mut Findings,
) {
    let what = format!("{} of {}", entry.change.action(), account.email);
    if let Some(event) = events.iter().find(|e| e.action != entry.change.action()) {
        findings.add_wrong(format!("{what} is in the trail as {}", event.action));
    }
    if events.len() > 1 {
        findings.add_wrong(format!("{what} was done {} times", events.len()));
    }
    let is_acknowledged = entry.is_acknowledged_at(limit);
    findings.acknowledged += usize::from(is_acknowledged);
    match (&entry.told, events.is_empty()) {
        // Asked for again, and there was nothing left to do.
        (Told::Done { .. }, true)
            if done.last().is_some_and(|(last, _)| {
                last.told == Told::Nothing && last.change == entry.change
            }) => {}
        (Told::Done { .. }, true) if is_acknowledged => findings.add_lost(format!(
            "{what} was acknowledged and is not in the audit trail"
        )),
        (Told::Nothing, false) => findings.done_unsaid += 1,
        (Told::DoneBefore, false) => findings.add_wrong(format!("{what} was refused and done")),
        (Told::DoneBefore, true) => {
            let is_same = |change: &Change| change.action() == entry.change.action();
            if !done.iter().any(|(earlier, _)| is_same(&earlier.change)) {
                findings.add_wrong(format!("{what} was refused though it had not been done"));
            }
        }
        _ => {}
    }
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
            findings.add_resurrected(format!("a token of {email} has ended and is there again"));
        }
        (Token::Known(token), Some(row)) if digest(token) == *row => {}
        (Token::None, None) | (Token::Unknown, Some(_)) => {}
        (Token::None, Some(_)) => {
            findings.add_wrong(format!("{email} has a token without an event"));
        }
        (Token::Known(_) | Token::Unknown, _) => {
            findings.add_lost(format!("the token of {email} is not there"));
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
        let is_it = |secret: &String, row: &str| digest(secret) == row;
        match rows().find(|row| row.id == *id) {
            None => findings.add_lost(format!("key {id} of {email} is not there")),
            Some(row) => {
                let is_same = key
                    .key
                    .as_ref()
                    .is_none_or(|key| is_it(key, &row.key_digest));
                let has_ended = ended.digests.contains(&row.key_digest);
                match (key.live && !has_ended, row.live == 1) {
                    _ if !is_same => findings.add_wrong(format!("key {id} is another one")),
                    (false, true) => {
                        findings.add_resurrected(format!("key {id} of {email} is revoked no more"));
                    }
                    (true, false) => findings.add_lost(format!("key {id} of {email} is revoked")),
                    _ => {}
                }
            }
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

    fn entry(number: usize, change: Change, gained: Gained) -> Entry {
        let mark = number as u64;
        Entry {
            request_id: format!("r{number}"),
            change,
            told: Told::Done { gained, mark },
        }
    }

    /// A user with a key revoked, a password changed, disabled, and so without a token.
    fn account() -> Account {
        let token = |name: &str| Gained::Token(name.to_owned());
        let changes = [
            (Change::Register, Gained::User(7)),
            (Change::Login, token("first")),
            (Change::CreateKey, Gained::Key(3, "key".to_owned())),
            (Change::RevokeKey(3), Gained::Nothing),
            (
                Change::Password(NEW.to_owned(), Vec::new()),
                Gained::Nothing,
            ),
            (Change::Login, token("second")),
            (Change::Disable, Gained::Nothing),
        ];
        let entries = changes.into_iter().enumerate();
        Account {
            email: EMAIL.to_owned(),
            password: OLD.to_owned(),
            entries: entries.map(|(n, (c, g))| entry(n, c, g)).collect(),
        }
    }

    /// What has to be there then.
    fn snapshot() -> Snapshot {
        let events = account().entries.into_iter().zip(1..);
        let event = |(entry, id): (Entry, i64)| {
            let row = EventRow {
                id,
                request_id: entry.request_id.clone(),
                action: entry.change.action().to_owned(),
                target: "user:7".to_owned(),
            };
            (entry.request_id, vec![row])
        };
        let user = UserRow {
            id: 7,
            email: EMAIL.to_owned(),
            hashed_password: bcrypt::hash(NEW, 4).unwrap(),
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

    /// How many are lost, resurrected, and wrong otherwise, after a change to what is there.
    fn counts(limit: u64, change: impl FnOnce(&mut Snapshot)) -> [usize; 3] {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        let found = Comparison::default().run([&account()], &snapshot, limit);
        [found.lost, found.resurrected, found.wrong]
    }

    #[test]
    fn what_is_as_it_was_acknowledged_is_fine() {
        assert_eq!(counts(u64::MAX, |_| {}), [0, 0, 0]);
    }

    #[test]
    fn a_change_that_is_gone_is_lost_if_it_was_acknowledged_by_then() {
        let before_the_disable = |snapshot: &mut Snapshot| {
            snapshot.events.remove("r6");
            snapshot.users.get_mut(EMAIL).unwrap().disabled = 0;
            snapshot.tokens.insert(7, digest("second"));
        };
        assert_eq!(counts(6, before_the_disable), [1, 2, 0]);
        assert_eq!(counts(5, before_the_disable), [0, 0, 0]);
        let without_the_token = |snapshot: &mut Snapshot| {
            before_the_disable(snapshot);
            snapshot.tokens.clear();
        };
        assert_eq!(counts(5, without_the_token), [1, 0, 0]);
    }

    #[test]
    fn what_has_ended_and_is_there_again_is_resurrected() {
        let counts = |change: fn(&mut Snapshot)| counts(u64::MAX, change);
        assert_eq!(counts(|there| there.keys[0].live = 1), [0, 1, 0]);
        let enable = |there: &mut Snapshot| there.users.get_mut(EMAIL).unwrap().disabled = 0;
        assert_eq!(counts(enable), [0, 1, 0]);
        let first = |there: &mut Snapshot| _ = there.tokens.insert(7, digest("first"));
        assert_eq!(counts(first), [0, 1, 0]);
        let second = |there: &mut Snapshot| _ = there.tokens.insert(7, digest("second"));
        assert_eq!(counts(second), [0, 1, 0]);
    }

    #[test]
    fn what_a_lost_change_had_ended_is_lost_and_resurrected() {
        let before_the_revocation = |there: &mut Snapshot| {
            there.events.remove("r3");
            there.keys[0].live = 1;
        };
        assert_eq!(counts(u64::MAX, before_the_revocation), [1, 1, 0]);
        let before_the_sign_in = |there: &mut Snapshot| {
            there.events.retain(|id, _| id.as_str() <= "r3");
            there.tokens.insert(7, digest("first"));
            let user = there.users.get_mut(EMAIL).unwrap();
            user.hashed_password = bcrypt::hash(OLD, 4).unwrap();
            user.disabled = 0;
        };
        assert_eq!(counts(u64::MAX, before_the_sign_in), [3, 2, 0]);
        assert_eq!(counts(3, before_the_sign_in), [0, 0, 0]);
    }

    #[test]
    fn tables_that_the_trail_contradicts_are_found() {
        let counts = |change: fn(&mut Snapshot)| counts(u64::MAX, change);
        let other = |there: &mut Snapshot| _ = there.tokens.insert(7, digest("other"));
        assert_eq!(counts(other), [0, 0, 1]);
        assert_eq!(counts(|there| there.keys.clear()), [1, 0, 0]);
        assert_eq!(counts(|there| there.users.clear()), [1, 0, 0]);
        let old_password = |there: &mut Snapshot| {
            there.users.get_mut(EMAIL).unwrap().hashed_password = bcrypt::hash(OLD, 4).unwrap();
        };
        assert_eq!(counts(old_password), [1, 0, 0]);
        let twice = |there: &mut Snapshot| {
            let events = there.events.get_mut("r1").unwrap();
            events.push(events[0].clone());
        };
        assert_eq!(counts(twice), [0, 0, 1]);
        assert_eq!(
            counts(|there| there.damage.push("page 3".to_owned())),
            [0, 0, 1]
        );
    }
}
