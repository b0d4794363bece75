//! The outcome for each user of a source, from what the target knows and from earlier rows of the source.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::ids::{self, Form, IdConflict, NewId};
use super::importer::{
    ImportMode, ImportedToken, ImportedUser, Outcome, TokenOutcome, UserDecision,
};
use super::known::{Holder, Known};
use super::record::SourceId;
use super::scan::Repeated;

/// The imported users of earlier rows, as far as later rows of the source can conflict with them.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// By the address in the form for comparison.
    accounts: HashMap<String, SeenUser>,
    /// The addresses, as displayed, of the users with these ids at the source.
    ids: HashMap<SourceId, String>,
    /// The users with these tokens, by address.
    tokens: HashMap<String, String>,
    usernames: HashSet<String>,
    /// The tokens of later rows that outlive the token of the first row of a user, by address.
    pub(super) better: HashMap<String, ImportedToken>,
}

#[derive(Clone)]
struct SeenUser {
    holder: Holder,
    /// The token that is or will be stored.
    token: Option<ImportedToken>,
    /// Whether that token came from a later row, and has been met there.
    has_met_token: bool,
}

impl Seen {
    /// Adds what a batch has brought.
    pub(super) fn extend(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.ids.extend(other.ids);
        self.tokens.extend(other.tokens);
        self.usernames.extend(other.usernames);
        self.better.extend(other.better);
    }

    /// Sets the ids that stored users have got, by address.
    pub(super) fn set_ids(&mut self, ids: &HashMap<String, i64>) {
        for (address, user) in &mut self.accounts {
            if let Some(id) = ids.get(address) {
                user.holder.id = Some(*id);
            }
        }
    }
}

/// Decides for the users of one batch.
pub(super) struct Decider<'a> {
    pub(super) mode: ImportMode,
    pub(super) repeated: &'a Repeated,
    pub(super) known: &'a Known,
    /// Of earlier batches.
    pub(super) seen: &'a Arc<Seen>,
    /// Of this batch.
    pub(super) new: Seen,
    /// [`Seen::better`] of a prediction: these tokens are stored with the first row of their users. `None`
    /// while they are being found.
    pub(super) better: Option<&'a HashMap<String, ImportedToken>>,
}

impl Decider<'_> {
    /// The outcome for a user, and for the token. From then on, imported ones count as existing.
    pub(super) fn decide(&mut self, user: &ImportedUser) -> UserDecision {
        let address = user.email.key();
        let outcome = self.decide_user(&address, user);
        let mut decision = UserDecision::new(outcome);
        match &decision.outcome {
            Outcome::Imported(new_id) => {
                let new_id = *new_id;
                self.remember(&address, user, new_id);
                self.decide_username(user, &mut decision);
                self.decide_first_token(&address, user, &mut decision);
                self.decide_others(&address, user, &mut decision);
            }
            Outcome::AlreadyThere { .. } if self.seen_user(&address).is_some() => {
                let token = user.token.as_ref();
                decision.tokens = token
                    .map(|token| self.decide_later_token(&address, token))
                    .into_iter()
                    .collect();
                for other in &user.other_tokens {
                    self.remember_owner(&address, &other.digest);
                    decision.tokens.push(TokenOutcome::Superseded);
                }
            }
            _ => {}
        }
        decision
    }

    fn decide_user(&self, address: &str, user: &ImportedUser) -> Outcome {
        let seen = self.seen_user(address).map(|seen| &seen.holder);
        if let Some(holder) = seen.or_else(|| self.known.accounts.get(address)) {
            return meets(holder, user);
        }
        if self.known.deleted.contains(address) && !self.mode.again {
            return Outcome::DeletedHere;
        }
        match self.decide_id(user) {
            Ok(id) => Outcome::Imported(id),
            Err(_conflict) if self.mode.renumber => Outcome::Imported(NewId::Renumbered),
            Err(conflict) => Outcome::IdNotFree(conflict),
        }
    }

    fn decide_username(&mut self, user: &ImportedUser, decision: &mut UserDecision) {
        let Some(name) = &user.username else {
            return;
        };
        let sets = [
            &self.known.usernames,
            &self.seen.usernames,
            &self.new.usernames,
        ];
        if sets.iter().any(|names| names.contains(name)) {
            decision.is_username_taken = true;
            return;
        }
        if self.repeated.has_username(name) {
            self.new.usernames.insert(name.clone());
        }
        decision.username = Some(name.clone());
    }

    fn decide_id(&self, user: &ImportedUser) -> Result<NewId, IdConflict> {
        let Some(id) = &user.source_id else {
            return Ok(NewId::New);
        };
        let form = ids::form(id)?;
        let holder = match form {
            Form::Id(id) => self.known.ids.get(&id),
            Form::External(id) => self.known.external_ids.get(id),
        };
        let seen = || self.new.ids.get(id).or_else(|| self.seen.ids.get(id));
        if let Some(holder) = holder.or_else(seen) {
            return Err(IdConflict::HeldBy(holder.clone()));
        }
        match form {
            Form::Id(id) if id <= self.known.retired_up_to || self.known.retired.contains(&id) => {
                Err(IdConflict::GivenBefore)
            }
            Form::Id(id) if self.better.is_some() && id > self.repeated.largest_id => {
                Err(IdConflict::Unforeseen)
            }
            Form::Id(id) => Ok(NewId::Kept(id)),
            Form::External(_) => Ok(NewId::External),
        }
    }

    fn remember(&mut self, address: &str, user: &ImportedUser, new_id: NewId) {
        if let Some(id) = &user.source_id
            && new_id != NewId::Renumbered
            && self.repeated.has_id(id)
        {
            self.new.ids.insert(id.clone(), user.email.to_string());
        }
        if !self.repeated.has_address(address) {
            return;
        }
        let holder = Holder {
            email: user.email.to_string(),
            hashed_password: user.hashed_password.clone(),
            names: [&user.name, &user.surname, &user.website].map(String::clone),
            id: match new_id {
                NewId::Kept(id) => Some(id),
                _ => None,
            },
            external_id: user.external_id(new_id).map(str::to_owned),
        };
        let user = SeenUser {
            holder,
            token: None,
            has_met_token: false,
        };
        self.new.accounts.insert(address.to_owned(), user);
    }

    /// The token of the row that imports the user.
    fn decide_first_token(
        &mut self,
        address: &str,
        user: &ImportedUser,
        decision: &mut UserDecision,
    ) {
        let better = self.better.and_then(|better| better.get(address)).cloned();
        if let Some(token) = &user.token {
            match self.refuse_token(address, token) {
                Some(refused) => decision.tokens.push(refused),
                None => {
                    self.remember_owner(address, &token.digest);
                    decision.token = Some(token.clone());
                }
            }
        }
        if let Some(better) = better {
            let own = decision.token.replace(better);
            let superseded = own.map(|_own| TokenOutcome::Superseded);
            decision.tokens.extend(superseded);
        }
        if let Some(token) = decision.token.clone() {
            decision.tokens.push(TokenOutcome::Imported(token.clone()));
            self.remember_owner(address, &token.digest);
            self.update(address, |user| user.token = Some(token));
        }
    }

    /// The token of another row of a user whom this import has stored.
    fn decide_later_token(&mut self, address: &str, token: &ImportedToken) -> TokenOutcome {
        let seen = self.seen_user(address);
        let stored = seen.and_then(|seen| seen.token.clone());
        if stored
            .as_ref()
            .is_some_and(|own| own.digest == token.digest)
        {
            // Stored with the first row, and counted there.
            let has_met = seen.is_some_and(|seen| seen.has_met_token);
            let is_better = self
                .better
                .is_some_and(|better| better.contains_key(address));
            if !is_better || has_met {
                return TokenOutcome::Superseded;
            }
            self.update(address, |user| user.has_met_token = true);
            return TokenOutcome::Counted;
        }
        if let Some(refused) = self.refuse_token(address, token) {
            return refused;
        }
        self.remember_owner(address, &token.digest);
        match stored {
            _ if self.better.is_some() => TokenOutcome::Superseded,
            Some(other) if other.expires_at >= token.expires_at => TokenOutcome::Superseded,
            other => {
                self.new.better.insert(address.to_owned(), token.clone());
                let token = token.clone();
                self.update(address, |user| user.token = Some(token.clone()));
                match other {
                    Some(other) => TokenOutcome::Replaces { token, other },
                    None => TokenOutcome::Imported(token),
                }
            }
        }
    }

    /// Why a token cannot be stored for this user.
    fn refuse_token(&self, address: &str, token: &ImportedToken) -> Option<TokenOutcome> {
        let digest = &token.digest;
        if self.better.is_some() && token.lacks_lifetime {
            return Some(TokenOutcome::LacksLifetime);
        }
        if let Some(owner) = self.owner_of(digest) {
            return (owner != address).then_some(TokenOutcome::OfAnotherUser);
        }
        if self.known.stored_tokens.contains(digest) {
            Some(TokenOutcome::OfAnotherUser)
        } else if self.known.spent_tokens.contains(digest) {
            Some(TokenOutcome::EndedHere)
        } else {
            None
        }
    }

    /// No later user of the source gets this token, not even if this user has a better one.
    fn remember_owner(&mut self, address: &str, digest: &str) {
        if self.repeated.has_token(digest) && self.owner_of(digest).is_none() {
            self.new
                .tokens
                .insert(digest.to_owned(), address.to_owned());
        }
    }

    /// The other tokens of the row that imports the user: as many as the user may have sessions.
    fn decide_others(&mut self, address: &str, user: &ImportedUser, decision: &mut UserDecision) {
        for token in &user.other_tokens {
            // The first session is that of the user's token.
            let has_room = 1 + decision.more_tokens.len() < self.mode.sessions;
            let mut stored = decision.token.iter().chain(&decision.more_tokens);
            if stored.any(|stored| stored.digest == token.digest) {
                // The same token again, which does not end later.
                decision.tokens.push(TokenOutcome::Superseded);
                continue;
            }
            let refused = self.refuse_token(address, token).filter(|_| has_room);
            self.remember_owner(address, &token.digest);
            decision.tokens.push(match refused {
                Some(refused) => refused,
                None if !has_room => TokenOutcome::Superseded,
                None => {
                    decision.more_tokens.push(token.clone());
                    TokenOutcome::Imported(token.clone())
                }
            });
        }
    }

    /// The address of the earlier user of the source who has this token.
    fn owner_of(&self, digest: &str) -> Option<&String> {
        let new = self.new.tokens.get(digest);
        new.or_else(|| self.seen.tokens.get(digest))
    }

    fn seen_user(&self, address: &str) -> Option<&SeenUser> {
        let new = self.new.accounts.get(address);
        new.or_else(|| self.seen.accounts.get(address))
    }

    fn update(&mut self, address: &str, change: impl FnOnce(&mut SeenUser)) {
        if let Some(mut user) = self.seen_user(address).cloned() {
            change(&mut user);
            self.new.accounts.insert(address.to_owned(), user);
        }
    }
}

/// The outcome for a user with the address of an account.
fn meets(holder: &Holder, user: &ImportedUser) -> Outcome {
    let names = [&user.name, &user.surname, &user.website];
    if holder.email != user.email.to_string() {
        return Outcome::SpelledOtherwise(holder.email.clone());
    }
    if holder.hashed_password != user.hashed_password && holder.names.each_ref() != names {
        return Outcome::Taken;
    }
    let has_other_id = match &user.source_id {
        Some(SourceId::Integer(id)) => holder.id != Some(*id),
        Some(SourceId::Text(id)) => holder.external_id.as_ref() != Some(id),
        None => false,
    };
    Outcome::AlreadyThere { has_other_id }
}
