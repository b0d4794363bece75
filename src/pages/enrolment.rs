//! The pages of a sign-in whose user has to add a second factor first.

use askama::Template;
use serde_json::Value;

use super::texts::factors::FactorTexts;
use super::texts::sign_in::SignInTexts;
use super::{FieldView, Frame, Onward, PasskeyView, Refusal, SeedView};

/// The picture to scan, and the form with the first code.
#[derive(Template)]
#[template(path = "enrolment.html")]
pub(crate) struct EnrolmentPage {
    frame: Frame,
    t: &'static SignInTexts,
    f: &'static FactorTexts,
    problem: Option<String>,
    /// `None` if the sign-in cannot go on.
    app: Option<WaitingApp>,
    code: FieldView,
    onward: Onward,
    /// The button for a passkey in place of the app.
    passkey: Option<PasskeyView>,
}

/// What the form repeats.
pub(crate) struct WaitingApp {
    /// The token of the sign-in.
    pub(crate) token: String,
    /// The id of the factor.
    pub(crate) id: i64,
    /// What the user scans.
    pub(crate) seed: SeedView,
}

impl EnrolmentPage {
    /// The page with this app, where passkeys may be on.
    pub(crate) fn new(
        frame: Frame,
        app: Option<WaitingApp>,
        passkey: Option<PasskeyView>,
        onward: &Onward,
    ) -> Self {
        Self {
            t: SignInTexts::of(frame.language),
            f: FactorTexts::of(frame.language),
            frame,
            problem: None,
            app,
            code: FieldView::default(),
            onward: onward.clone(),
            passkey,
        }
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.code = refusal.secret("otp");
        self.problem = Some(refusal.problem);
        self
    }
}

/// The page on which a browser makes a passkey for the sign-in.
#[derive(Template)]
#[template(path = "enrolment_passkey.html")]
pub(crate) struct PasskeyEnrolmentPage {
    frame: Frame,
    t: &'static SignInTexts,
    problem: Option<String>,
    passkey: PasskeyView,
    token: String,
    id: i64,
    /// What the browser is asked, as JSON.
    options: String,
    onward: Onward,
}

impl PasskeyEnrolmentPage {
    /// The page of the sign-in with this token, and of the factor with this id.
    pub(crate) fn new(
        frame: Frame,
        passkey: PasskeyView,
        token: &str,
        (id, options): (i64, &Value),
        onward: &Onward,
    ) -> Self {
        Self {
            t: SignInTexts::of(frame.language),
            frame,
            problem: None,
            passkey,
            token: token.to_owned(),
            id,
            options: options.to_string(),
            onward: onward.clone(),
        }
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.problem = Some(refusal.problem);
        self
    }
}

/// The first recovery codes, shown only once, to a user who is signed in now.
#[derive(Template)]
#[template(path = "first_codes.html")]
pub(crate) struct FirstCodesPage {
    frame: Frame,
    f: &'static FactorTexts,
    codes: Vec<String>,
    /// Where the user goes next.
    onward: String,
}

impl FirstCodesPage {
    /// The page with these codes.
    pub(crate) fn new(frame: Frame, codes: Vec<String>, onward: String) -> Self {
        Self {
            f: FactorTexts::of(frame.language),
            frame,
            codes,
            onward,
        }
    }
}
