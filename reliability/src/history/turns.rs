//! What a client does in one turn.

use rand::RngExt;
use rand::seq::IndexedRandom;
use test_support::Request;

use super::context::Sent;
use super::tokens::{Issued, KnownToken};
use super::worker::{Worker, test_user};
use super::{Action, Outcome};

impl Worker<'_> {
    /// Uses a token that may be good, or one that was replaced or has ended.
    pub(super) fn use_any_token(&mut self, user: u32) {
        let (good, ended) = {
            let tokens = self.context.tokens.lock(user);
            (tokens.good(), tokens.ended())
        };
        let is_good = ended.is_empty() || self.rng.random();
        let tokens = if is_good && !good.is_empty() {
            good
        } else {
            ended
        };
        if let Some(token) = tokens.choose(&mut self.rng) {
            let process = self.any_process();
            self.use_token(user, token, process);
        }
    }

    pub(super) fn use_token(&mut self, user: u32, token: &KnownToken, process: usize) {
        let request = Request::get("/users/me").bearer(&token.issued.access);
        let sent = self.send(process, &request);
        let action = Action::Use(token.name);
        if self.record_request(user, process, action, sent) == Some(Outcome::Refused) {
            // A sign-in may have made room for its session.
            let mut tokens = self.context.tokens.lock(user);
            tokens.end(|current| current.name == token.name);
        }
    }

    pub(super) fn sign_in(&mut self, user: u32) {
        let process = self.any_process();
        // Every other session has a refresh token.
        let scope = if self.rng.random() {
            "offline_access"
        } else {
            ""
        };
        let request = test_user(user).sign_in_request_for(scope);
        let sent = self.send(process, &request);
        let token = issued(sent.as_ref()).map(|issued| self.context.tokens.name(issued, None));
        let action = Action::Login(token.as_ref().map(|token| token.name));
        if self.record_request(user, process, action, sent) == Some(Outcome::Ok)
            && let Some(token) = token
        {
            let others = self.context.tokens.lock(user).begin(&token);
            self.use_everywhere(user, others.iter().chain([&token]));
        }
    }

    /// Refreshes a session, mostly for the first time, and now and then loses the answer.
    pub(super) fn refresh(&mut self, user: u32) {
        let (good, ended) = {
            let tokens = self.context.tokens.lock(user);
            (tokens.good(), tokens.ended())
        };
        // One that was replaced long before ends its session.
        let is_old = self.rng.random_ratio(1, 10);
        let mut tokens = if is_old { ended } else { good };
        tokens.retain(|token| token.issued.refresh.is_some());
        let Some(token) = tokens.choose(&mut self.rng).cloned() else {
            return;
        };
        let presented = token.issued.refresh.clone().unwrap_or_default();
        let process = self.any_process();
        let mut sent = self.send(process, &Request::refresh(&presented));
        if self.rng.random_ratio(1, 8) {
            sent = sent.map(|(_lost, time)| (None, time));
        }
        let next = issued(sent.as_ref());
        let next = next.map(|issued| self.context.tokens.name(issued, Some(token.session)));
        let action = Action::Refresh(token.name, next.as_ref().map(|next| next.name));
        match (self.record_request(user, process, action, sent), next) {
            (Some(Outcome::Ok), Some(next)) => {
                let ended = self.context.tokens.lock(user).rotate(&token, &next);
                self.use_everywhere(user, ended.iter().chain([&token, &next]));
            }
            (Some(Outcome::Refused), _) => self.mark_ended(user, |it| it.session == token.session),
            _ => {}
        }
    }

    pub(super) fn sign_out(&mut self, user: u32) {
        let Some(token) = self.any_current(user) else {
            return;
        };
        let process = self.any_process();
        let request = Request::post("/logout").bearer(&token.issued.access);
        let sent = self.send(process, &request);
        let action = Action::Logout(token.name);
        if self.record_request(user, process, action, sent) == Some(Outcome::Ok) {
            self.mark_ended(user, |it| it.session == token.session);
        }
    }

    /// Ends a session by another one, or by itself.
    pub(super) fn end_session(&mut self, user: u32) {
        let (Some(by), Some(token)) = (self.any_current(user), self.any_current(user)) else {
            return;
        };
        // Where a user has one session, a response need not tell its id.
        let Some(id) = token.issued.session_id else {
            return;
        };
        let process = self.any_process();
        let path = format!("/users/me/sessions/{id}");
        let request = Request::new("DELETE", path).bearer(&by.issued.access);
        let sent = self.send(process, &request);
        let action = Action::End(by.name, token.name);
        if self.record_request(user, process, action, sent) == Some(Outcome::Ok) {
            self.mark_ended(user, |it| it.session == token.session);
            if by.session != token.session {
                self.use_everywhere(user, [&by]);
            }
        }
    }

    pub(super) fn end_others(&mut self, user: u32) {
        let Some(by) = self.any_current(user) else {
            return;
        };
        let others = self.current(user);
        let process = self.any_process();
        let path = "/users/me/sessions?keep=current";
        let request = Request::new("DELETE", path).bearer(&by.issued.access);
        let sent = self.send(process, &request);
        let action = Action::EndOthers(by.name);
        if self.record_request(user, process, action, sent) == Some(Outcome::Ok) {
            let is_other = |it: &KnownToken| it.session != by.session;
            self.mark_ended(user, |it| is_other(it) && is_among(&others, it));
            self.use_everywhere(user, [&by]);
        }
    }

    fn current(&self, user: u32) -> Vec<KnownToken> {
        self.context.tokens.lock(user).current()
    }

    fn any_current(&mut self, user: u32) -> Option<KnownToken> {
        self.current(user).choose(&mut self.rng).cloned()
    }

    /// Marks sessions as ended, and uses their tokens everywhere.
    fn mark_ended(&mut self, user: u32, is_ended: impl Fn(&KnownToken) -> bool) {
        let ended = self.context.tokens.lock(user).end(is_ended);
        self.use_everywhere(user, &ended);
    }

    pub(super) fn revoke(&mut self, user: u32) {
        self.end_all(user, Action::Revoke);
    }

    /// Runs a command that ends the sessions.
    fn end_all(&mut self, user: u32, command: Action) {
        let before = self.current(user);
        if self.command(user, command) == Outcome::Ok {
            self.mark_ended(user, |it| is_among(&before, it));
        }
    }

    /// Disables the user, and mostly enables them again: the sessions stay ended.
    pub(super) fn disable(&mut self, user: u32) {
        self.end_all(user, Action::Disable);
        if self.rng.random_ratio(4, 5) {
            self.enable(user);
        }
    }

    pub(super) fn enable(&mut self, user: u32) {
        if self.command(user, Action::Enable) == Outcome::Ok {
            let current = self.current(user);
            self.use_everywhere(user, &current);
        }
    }
}

/// The tokens of the response, if there is one.
fn issued(sent: Option<&Sent>) -> Option<Issued> {
    let (response, _) = sent?;
    Issued::read(response.as_ref()?)
}

/// Whether the session of a token is among those of others.
fn is_among(others: &[KnownToken], token: &KnownToken) -> bool {
    others.iter().any(|other| other.session == token.session)
}
