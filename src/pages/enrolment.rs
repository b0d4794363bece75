//! The pages of a sign-in whose user has to add an authenticator app first.

use askama::Template;

use super::texts::factors::FactorTexts;
use super::texts::sign_in::SignInTexts;
use super::{FieldView, Frame, Refusal, SeedView};

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
    is_kept: bool,
    next: Option<String>,
    /// The query of the form, with the URL of another host to go to.
    query: String,
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
    /// The page with this app.
    pub(crate) fn new(frame: Frame, app: Option<WaitingApp>) -> Self {
        Self {
            t: SignInTexts::of(frame.language),
            f: FactorTexts::of(frame.language),
            frame,
            problem: None,
            app,
            code: FieldView::default(),
            is_kept: false,
            next: None,
            query: String::new(),
        }
    }

    /// The same page for a user who wants to see another one, or comes from a guarded host.
    pub(crate) fn leading(
        mut self,
        is_kept: bool,
        next: Option<String>,
        query: Option<&str>,
    ) -> Self {
        self.is_kept = is_kept;
        self.next = next;
        self.query = query.map_or_else(String::new, |query| format!("?{query}"));
        self
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.code = refusal.secret("otp");
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
