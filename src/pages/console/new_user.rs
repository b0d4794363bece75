//! The form for a new user.

use askama::Template;

use crate::error::Error;
use crate::pages::texts::confirm::ConfirmTexts;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::{FieldView, Frame, Refusal};

use super::{ConsoleHead, Section, console_problem};

/// The form for a new user.
#[derive(Template)]
#[template(path = "console/new_user.html")]
pub(crate) struct NewUserPage {
    frame: Frame,
    t: &'static ConsoleTexts,
    c: &'static ConfirmTexts,
    head: ConsoleHead,
    /// Whether the user can sign in only after having verified the address.
    must_verify: bool,
    email: FieldView,
    name: FieldView,
    surname: FieldView,
    website: FieldView,
    scopes: FieldView,
    password: FieldView,
    /// Whether the viewer has to enter the password too.
    needs_confirmation: bool,
    confirm: FieldView,
}

/// What was typed: address, name, surname, website and scopes.
pub(crate) struct Typed<'a> {
    pub(crate) email: &'a str,
    pub(crate) name: &'a str,
    pub(crate) surname: &'a str,
    pub(crate) website: &'a str,
    pub(crate) scopes: &'a str,
}

impl NewUserPage {
    /// An empty form for a viewer with these scopes, who may have to enter the password too. `must_verify`
    /// is whether the new user has to verify the address before the first sign-in.
    pub(crate) fn new(
        frame: Frame,
        scopes: &str,
        needs_confirmation: bool,
        must_verify: bool,
    ) -> Self {
        Self {
            t: ConsoleTexts::of(frame.language),
            c: ConfirmTexts::of(frame.language),
            frame,
            head: ConsoleHead::new(Section::Users, scopes),
            must_verify,
            email: FieldView::default(),
            name: FieldView::default(),
            surname: FieldView::default(),
            website: FieldView::default(),
            scopes: FieldView::default(),
            password: FieldView::default(),
            needs_confirmation,
            confirm: FieldView::default(),
        }
    }

    /// The same after it was refused.
    pub(crate) fn refused(mut self, error: &Error, typed: &Typed<'_>) -> Self {
        let refusal = Refusal::new(error, self.frame.language);
        self.email = refusal.field("email", typed.email);
        self.name = refusal.field("name", typed.name);
        self.surname = refusal.field("surname", typed.surname);
        self.website = refusal.field("website", typed.website);
        self.scopes = refusal.field("scopes", typed.scopes);
        if self.scopes.error.is_some() {
            self.scopes.error = Some(self.t.bad_scopes.to_owned());
        }
        self.password = refusal.secret("password");
        self.head.problem = Some(console_problem(error, self.frame.language));
        self
    }
}
