//! Registration.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;

use super::return_to::ReturnTo;
use super::sign_in::{begin_session, can_sign_up, go_a_step};
use super::{OwnForm, Page, refused_form, see_other, show};
use crate::auth::{AuditContext, Auth, RegistrationInput, SignIn, SignInStep};
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::guards::MaybeBrowserSession;
use crate::http::body::form::{Fields, FromFields};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::{Error, RequestError};
use crate::pages::sign_in::SignUpPage;
use crate::pages::{Onward, Refusal};

/// What the page sends.
pub(super) struct SignUpForm {
    name: String,
    email: String,
    password: SecretString,
}

impl FromFields for SignUpForm {
    /// A full queue is reported on the page.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            name: fields.text("name"),
            email: fields.text("email"),
            password: fields.text("password").into(),
        })
    }
}

impl SignUpForm {
    fn input(&self) -> RegistrationInput {
        let missing = |field| FieldError::new(field, InvalidField::Missing);
        let filled_in = |field, text: &str| match text.trim() {
            "" => Err(missing(field)),
            text => Ok(text.to_owned()),
        };
        RegistrationInput {
            name: filled_in("name", &self.name),
            // Users may add them to their profile.
            surname: Ok(String::new()),
            website: Ok(String::new()),
            email: filled_in("email", &self.email),
            password: Ok(self.password.clone()),
        }
    }
}

/// The form.
pub(super) async fn form(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: MaybeBrowserSession,
) -> Result<HttpResponse, Error> {
    if session.0.is_some() {
        return Ok(see_other(page.home()).finish());
    }
    if !can_sign_up(&auth, &page) {
        return Err(RequestError::NotFound.into());
    }
    let to = ReturnTo::of(&request, &page).map(|to| to.query());
    show(&empty_form(&auth, &page, to.as_deref()))
}

fn empty_form(auth: &Auth, page: &Page, to: Option<&str>) -> SignUpPage {
    SignUpPage::new(page.frame(), auth.config().password_policy.min_length, to)
}

/// Registers, and signs in.
pub(super) async fn sign_up(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    earlier: MaybeBrowserSession,
    form: OwnForm<SignUpForm>,
) -> Result<HttpResponse, Error> {
    let OwnForm(form) = form;
    let to = ReturnTo::of(&request, &page).map(|to| to.query());
    match register_once(&request, &auth, &context, &form).await {
        Ok(Some(step)) => {
            let onward = Onward {
                to,
                ..Onward::default()
            };
            go_a_step(&auth, &context, &page, earlier, &step, &onward).await
        }
        // The account exists, and the sign-in page says what stands in the way.
        Ok(None) => Ok(see_other(page.link("/signin")).finish()),
        Err(Error::Domain(error)) => refused_form(error, |error| {
            let refusal = Refusal::new(error, page.language());
            let shown = empty_form(&auth, &page, to.as_deref());
            show(&shown.refused(refusal, &form.name, &form.email))
        }),
        Err(error) => Err(error),
    }
}

/// Registers and signs in. If the button was pressed twice, the second request finds the account and
/// signs in as well, as every client that knows the password of an account may. The sign-in counts as every
/// other.
async fn register_once(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    form: &SignUpForm,
) -> Result<Option<SignInStep>, Error> {
    refuse_while_busy(request).await?;
    let taken = match Box::pin(auth.register(context, form.input())).await {
        Ok(_user) => None,
        Err(taken @ DomainError::EmailTaken) => Some(taken),
        Err(error) => return Err(error.into()),
    };
    let sign_in = SignIn::new(&form.email, form.password.clone());
    let begun = begin_session(auth, context, sign_in, false);
    match (begun.await, taken) {
        (Ok(step @ (SignInStep::Done(_) | SignInStep::Enrolment(_))), _) => Ok(Some(step)),
        (_refused, Some(taken)) => Err(taken.into()),
        (_refused, None) => Ok(None),
    }
}
