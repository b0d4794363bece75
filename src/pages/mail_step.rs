//! The pages to which mails lead. A link only shows a form: scanners of mails open links, and press no
//! button.

use askama::Template;

use super::texts::mail_steps::MailStepTexts;
use super::texts::sign_in::SignInTexts;
use super::{FieldView, Frame, Language, Refusal};

/// What a user does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailStep {
    /// Asks for a mail to choose a new password.
    Forgot,
    /// Chooses a new password.
    Reset,
    /// Confirms the address of the account.
    Verify,
    /// Confirms another address for the account.
    Change,
    /// Returns the account to an earlier address.
    Undo,
    /// Accepts an invitation.
    Invitation,
}

impl MailStep {
    /// Every step that ends with a notice on the sign-in page.
    pub(crate) const FINAL: [Self; 5] = [
        Self::Reset,
        Self::Verify,
        Self::Change,
        Self::Undo,
        Self::Invitation,
    ];

    /// Where the form is sent.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Forgot => "/forgot-password/form",
            Self::Reset => "/reset-password/form",
            Self::Verify => "/verify-email/form",
            Self::Change => "/change-email/form",
            Self::Undo => "/change-email/undo/form",
            Self::Invitation => "/invitations/accept/form",
        }
    }

    /// The query of the sign-in page after the step.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Forgot => "sent",
            Self::Reset => "password-reset",
            Self::Verify => "address-confirmed",
            Self::Change => "address-changed",
            Self::Undo => "address-restored",
            Self::Invitation => "invitation-accepted",
        }
    }

    /// What the page after the step says.
    pub(crate) fn notice(self, language: Language) -> &'static str {
        let t = MailStepTexts::of(language);
        match self {
            Self::Forgot => t.forgot_sent,
            Self::Reset => t.reset_done,
            Self::Verify => t.verify_done,
            Self::Change => t.change_done,
            Self::Undo => t.undo_done,
            Self::Invitation => t.invitation_done,
        }
    }

    /// Whether a code can be typed in place of the link.
    fn has_code(self) -> bool {
        matches!(self, Self::Reset | Self::Verify)
    }

    fn has_password(self) -> bool {
        matches!(self, Self::Reset | Self::Invitation)
    }
}

/// The form of a step.
#[derive(Template)]
#[template(path = "mail_step.html")]
pub(crate) struct MailStepPage {
    frame: Frame,
    t: &'static MailStepTexts,
    s: &'static SignInTexts,
    step: MailStep,
    /// Why the last attempt was refused.
    pub(crate) problem: Option<String>,
    /// What has happened, if there is no problem.
    pub(crate) notice: Option<String>,
    /// The token of the link.
    token: Option<String>,
    email: FieldView,
    code: FieldView,
    name: FieldView,
    password: FieldView,
    min_length: usize,
}

impl MailStepPage {
    /// An empty form, with the token of the link if there is one. A password has at least `min_length`
    /// characters.
    pub(crate) fn new(
        frame: Frame,
        step: MailStep,
        token: Option<String>,
        min_length: usize,
    ) -> Self {
        Self {
            t: MailStepTexts::of(frame.language),
            s: SignInTexts::of(frame.language),
            frame,
            step,
            problem: None,
            notice: None,
            token,
            email: FieldView::default(),
            code: FieldView::default(),
            name: FieldView::default(),
            password: FieldView::default(),
            min_length,
        }
    }

    /// The same after a refusal, with what was typed. A code is typed again.
    pub(crate) fn refused(mut self, refusal: Refusal, email: &str, name: &str) -> Self {
        self.email = refusal.field("email", email);
        self.code = refusal.secret("code");
        self.name = refusal.field("name", name);
        self.password = refusal.secret("password");
        self.problem = Some(refusal.problem);
        self
    }

    fn title(&self) -> &'static str {
        match self.step {
            MailStep::Forgot => self.t.forgot_title,
            MailStep::Reset => self.t.reset_title,
            MailStep::Verify => self.t.verify_title,
            MailStep::Change => self.t.change_title,
            MailStep::Undo => self.t.undo_title,
            MailStep::Invitation => self.t.invitation_title,
        }
    }

    fn lead(&self) -> &'static str {
        match self.step {
            MailStep::Forgot => self.t.forgot_lead,
            MailStep::Reset => self.t.reset_lead,
            MailStep::Verify => self.t.verify_lead,
            MailStep::Change => self.t.change_lead,
            MailStep::Undo => self.t.undo_lead,
            MailStep::Invitation => self.t.invitation_lead,
        }
    }

    fn submit(&self) -> &'static str {
        match self.step {
            MailStep::Forgot => self.t.forgot_submit,
            MailStep::Reset => self.t.reset_submit,
            MailStep::Verify | MailStep::Change => self.t.verify_submit,
            MailStep::Undo => self.t.undo_submit,
            MailStep::Invitation => self.s.sign_up_submit,
        }
    }

    fn has_email(&self) -> bool {
        self.step == MailStep::Forgot || self.has_code()
    }

    fn has_code(&self) -> bool {
        self.token.is_none() && self.step.has_code()
    }

    fn has_name(&self) -> bool {
        self.step == MailStep::Invitation
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
        self.frame.language.count(self.s.password_hint, length)
    }
}
