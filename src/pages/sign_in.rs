//! The pages for signing in and out.

use askama::Template;

use super::language::fill;
use super::texts::guarded::GuardedTexts;
use super::texts::sign_in::SignInTexts;
use super::{FieldView, Frame, PasskeySignal, PasskeyView, Refusal};

/// The form with address and password, on one page for password managers.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    t: &'static SignInTexts,
    /// Why the last attempt was refused.
    pub(crate) problem: Option<String>,
    /// What has happened, if there is no problem.
    pub(crate) notice: Option<String>,
    pub(crate) email: FieldView,
    pub(crate) password: FieldView,
    pub(crate) is_kept: bool,
    /// Where to go afterwards; a path of ours.
    pub(crate) next: Option<String>,
    /// The query of the form, with the URL of another host to go to.
    query: String,
    /// Whether everybody may create an account.
    pub(crate) can_sign_up: bool,
    /// Whether a mail helps a user who has forgotten the password.
    pub(crate) can_reset: bool,
    /// The form for a passkey in place of the password.
    pub(crate) passkey: Option<PasskeyView>,
    /// What the browser is told of the passkey that it has sent.
    pub(crate) signal: Option<PasskeySignal>,
}

impl SignInPage {
    /// An empty form.
    pub(crate) fn new(frame: Frame) -> Self {
        Self {
            t: SignInTexts::of(frame.language),
            frame,
            problem: None,
            notice: None,
            email: FieldView::default(),
            password: FieldView::default(),
            is_kept: false,
            next: None,
            query: String::new(),
            can_sign_up: false,
            can_reset: false,
            passkey: None,
            signal: None,
        }
    }

    /// Browsers offer passkeys in the field if its autocompletion says so.
    fn email_attributes(&self) -> String {
        let offers = if self.passkey.is_some() {
            " webauthn"
        } else {
            ""
        };
        format!(
            "autocomplete='username{offers}' inputmode='email' autocapitalize='none' spellcheck='false' \
             required maxlength='320'"
        )
    }

    /// The same form after a sign-out.
    pub(crate) fn after_sign_out(mut self) -> Self {
        self.notice = Some(self.t.signed_out.to_owned());
        self
    }

    /// The same form after the account was deleted.
    pub(crate) fn after_deletion(mut self) -> Self {
        self.notice = Some(self.t.deleted.to_owned());
        self
    }

    /// The same form for a user who wanted to see another page.
    pub(crate) fn before(mut self, next: Option<String>) -> Self {
        if next.is_some() && self.notice.is_none() {
            self.notice = Some(self.t.is_required.to_owned());
        }
        self.next = next;
        self
    }

    /// The same form for a user who comes from a guarded host.
    pub(crate) fn before_host(mut self, host: &str, query: &str) -> Self {
        if self.notice.is_none() {
            let text = GuardedTexts::of(self.frame.language).before_host;
            self.notice = Some(fill(text, "host", host));
        }
        self.query = format!("?{query}");
        self
    }
}

/// What follows a sign-in, which the forms of its later steps repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Onward {
    /// Whether the browser keeps the cookie when it is closed.
    pub(crate) is_kept: bool,
    /// Where it goes; a path of ours.
    pub(crate) next: Option<String>,
    /// The query with the guarded host to which it goes instead.
    pub(crate) to: Option<String>,
}

impl Onward {
    /// The end of a path that leads to a step.
    pub(super) fn query(&self) -> String {
        let to = self.to.as_ref();
        to.map_or_else(String::new, |query| format!("?{query}"))
    }
}

/// The form with the code of a second factor, after the right password.
#[derive(Template)]
#[template(path = "second_factor.html")]
pub(crate) struct SecondFactorPage {
    frame: Frame,
    t: &'static SignInTexts,
    problem: Option<String>,
    /// What the form repeats: the sign-in, which the code continues.
    token: String,
    code: FieldView,
    onward: Onward,
    /// For how long the browser can be trusted, as a sentence.
    trust_hint: Option<String>,
    is_remembered: bool,
    /// Whether the sign-in takes no code any more.
    is_over: bool,
    /// The form for a passkey, if the user has one.
    passkey: Option<PasskeyView>,
}

impl SecondFactorPage {
    /// The form of the sign-in with this token, in a browser that can be trusted for some days.
    pub(crate) fn new(
        frame: Frame,
        token: &str,
        onward: &Onward,
        trusted_days: Option<u64>,
    ) -> Self {
        let t = SignInTexts::of(frame.language);
        let language = frame.language;
        Self {
            t,
            frame,
            problem: None,
            token: token.to_owned(),
            code: FieldView::default(),
            onward: onward.clone(),
            trust_hint: trusted_days.map(|days| language.count(t.remember_hint, days)),
            is_remembered: false,
            is_over: false,
            passkey: None,
        }
    }

    /// The same form for a user with a passkey.
    pub(crate) fn with_passkey(mut self, passkey: Option<PasskeyView>) -> Self {
        self.passkey = passkey;
        self
    }

    /// The same form with the box for trust in the browser as the user left it.
    pub(crate) fn remembering(mut self, is_remembered: bool) -> Self {
        self.is_remembered = is_remembered;
        self
    }

    /// The same after a code that was refused.
    pub(crate) fn refused(mut self, refusal: Refusal, is_over: bool) -> Self {
        self.code = refusal.secret("code");
        self.problem = Some(refusal.problem);
        self.is_over = is_over;
        self
    }
}

/// Says who is signed in, where there is nothing else to show.
#[derive(Template)]
#[template(path = "signed_in.html")]
pub(crate) struct SignedInPage {
    frame: Frame,
    t: &'static SignInTexts,
    /// What the browser is told of the passkeys of the user.
    signal: Option<PasskeySignal>,
}

impl SignedInPage {
    /// The page for the user of the frame.
    pub(crate) fn new(frame: Frame, signal: Option<PasskeySignal>) -> Self {
        let t = SignInTexts::of(frame.language);
        Self { frame, t, signal }
    }

    fn text(&self) -> String {
        let email = self.frame.user.as_ref().map_or("", |user| &user.email);
        fill(self.t.already, "email", email)
    }
}

/// The form for a new account.
#[derive(Template)]
#[template(path = "sign_up.html")]
pub(crate) struct SignUpPage {
    frame: Frame,
    t: &'static SignInTexts,
    problem: Option<String>,
    name: FieldView,
    email: FieldView,
    password: FieldView,
    min_length: usize,
    /// The query of the form, with the URL of another host to go to.
    query: String,
}

impl SignUpPage {
    /// An empty form; a password has at least `min_length` characters. The query names a guarded host.
    pub(crate) fn new(frame: Frame, min_length: usize, query: Option<&str>) -> Self {
        Self {
            t: SignInTexts::of(frame.language),
            frame,
            problem: None,
            name: FieldView::default(),
            email: FieldView::default(),
            password: FieldView::default(),
            min_length,
            query: query.map_or_else(String::new, |query| format!("?{query}")),
        }
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal, name: &str, email: &str) -> Self {
        self.name = refusal.field("name", name);
        self.email = refusal.field("email", email);
        self.password = refusal.secret("password");
        self.problem = Some(refusal.problem);
        self
    }

    /// With the hint, which gives way to an error.
    fn password_attributes(&self) -> &'static str {
        match self.password.error {
            None => "autocomplete='new-password' required aria-describedby='password-hint'",
            Some(_) => "autocomplete='new-password' required",
        }
    }

    fn password_hint(&self) -> String {
        let length = self.min_length as u64;
        self.frame.language.count(self.t.password_hint, length)
    }
}
