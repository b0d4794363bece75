//! The page that asks for the password once more, and for a code, or for a passkey, before a change.

use askama::Template;

use super::language::fill;
use super::texts::confirm::ConfirmTexts;
use super::{FieldView, Frame, PasskeyQuestion, Refusal};
use crate::error::Error;

/// Asks for what proves the user, and repeats a form once it is right.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    frame: Frame,
    t: &'static ConfirmTexts,
    problem: Option<String>,
    path: String,
    /// Where the user goes instead.
    cancel: String,
    fields: Vec<(String, String)>,
    /// What is demanded where the user goes, as a sentence.
    demand: Option<String>,
    asks_for_password: bool,
    confirm: FieldView,
    /// What the code of a second factor is, if it asks for one too.
    code_label: Option<&'static str>,
    code: FieldView,
    /// The form for a passkey, if the user has one.
    passkey: Option<PasskeyQuestion>,
}

impl ConfirmPage {
    /// The page for a user who can show these second factors.
    pub(crate) fn new(frame: Frame, methods: &[&str]) -> Self {
        let t = ConfirmTexts::of(frame.language);
        Self {
            t,
            frame,
            problem: None,
            path: String::new(),
            cancel: String::new(),
            fields: Vec::new(),
            demand: None,
            asks_for_password: true,
            confirm: FieldView::default(),
            code_label: match (methods.contains(&"totp"), methods.is_empty()) {
                (_, true) => None,
                (true, false) => Some(t.your_code),
                (false, false) => Some(t.your_recovery_code),
            },
            code: FieldView::default(),
            passkey: None,
        }
    }

    /// The same before a form with these fields, none of which is a secret, is sent to `path`, or the user goes to
    /// `cancel`.
    pub(crate) fn before(
        mut self,
        fields: Vec<(String, String)>,
        (path, cancel): (String, String),
    ) -> Self {
        self.fields = fields;
        self.path = path;
        self.cancel = cancel;
        self
    }

    /// The same on the way to a guarded host, or a page of ours, that demands this of the sign-in.
    pub(crate) fn on_the_way_to(mut self, host: &str, demand: Demand) -> Self {
        let text = match demand {
            Demand::RecentSignIn => self.t.host_recent,
            Demand::SecondFactor => self.t.host_factor,
            Demand::NewFactor => self.t.host_new_factor,
        };
        self.demand = Some(fill(text, "host", host));
        self.asks_for_password = demand.needs_password();
        if let Some(passkey) = &mut self.passkey {
            passkey.needs_password &= self.asks_for_password;
        }
        self
    }

    /// The same for a user with a passkey.
    pub(crate) fn with_passkey(mut self, passkey: Option<PasskeyQuestion>) -> Self {
        self.passkey = passkey;
        self
    }

    /// The same after what was typed was refused.
    pub(crate) fn refused(mut self, error: &Error) -> Self {
        let refusal = Refusal::new(error, self.frame.language);
        self.confirm = refusal.secret("current_password");
        self.code = refusal.secret("otp");
        self.problem = Some(refusal.problem);
        self
    }

    fn who(&self) -> String {
        let email = self.frame.user.as_ref().map_or("", |user| &user.email);
        fill(self.t.signed_in_as, "email", email)
    }

    fn hint(&self) -> &str {
        if let Some(demand) = &self.demand {
            return demand;
        }
        match (&self.passkey, self.code_label) {
            (Some(passkey), _) if passkey.needs_password => self.t.passkey_hint,
            (Some(_), _) => self.t.lone_passkey_hint,
            (None, Some(_)) => self.t.code_hint,
            (None, None) => self.t.password_hint,
        }
    }
}

/// What a guarded host or a page of ours demands of a signed-in user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// What a sign-in needs, once more.
    RecentSignIn,
    /// Only a second factor: the password was shown before.
    SecondFactor,
    /// The password, to add a second factor after it.
    NewFactor,
}

impl Demand {
    /// Whether the user has to enter the password.
    pub(crate) fn needs_password(self) -> bool {
        self != Self::SecondFactor
    }
}
