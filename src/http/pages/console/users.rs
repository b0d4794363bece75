//! The list of the users, and new ones.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::forms::AdminForm;
use super::guard::Reader;
use super::user::to_user;
use crate::auth::{AuditContext, Auth, Field, RegistrationInput};
use crate::error::{Error as DomainError, FieldError, InvalidField};
use crate::http::body::form::{Fields, FromFields};
use crate::http::extractors::{UsersRead, UsersWrite};
use crate::http::pages::page::{parameter, says};
use crate::http::pages::{Page, refused_form, show};
use crate::http::request_error::{Error, RequestError};
use crate::pages::Refusal;
use crate::pages::console::{NewUserPage, Typed, UserNotice, UsersPage};

/// The number of users on a page.
const PAGE_SIZE: i64 = 50;

/// The query of the list after a user was deleted.
pub(super) const DELETED: &str = "deleted";

/// The users, or those whose name or address contains a text.
pub(super) async fn list(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    reader: Reader<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let search = parameter(&request, "q").unwrap_or_default();
    let search = search.trim();
    let after = parameter(&request, "after");
    let admin = reader.administrator(context);
    let scopes = reader.scopes();
    let shown = UsersPage::new(page.frame_for(&reader), &scopes, search);
    let found = auth.list_users(&admin, Some(search), after.as_deref(), PAGE_SIZE);
    match found.await {
        Ok(found) => {
            let shown = shown.with(&found.users, after.is_none(), found.next.as_deref());
            show(&match says(&request, DELETED) {
                true => shown.deleted(),
                false => shown,
            })
        }
        Err(error @ DomainError::InvalidInput(_)) => refused_form(error, |error| {
            let refusal = Refusal::new(error, page.language());
            show(&shown.refused(&refusal))
        }),
        Err(error) => Err(error.into()),
    }
}

/// What the form for a new user sends.
pub(super) struct NewUserForm {
    email: String,
    name: String,
    surname: String,
    website: String,
    scopes: String,
    password: SecretString,
}

impl FromFields for NewUserForm {
    /// A full queue is reported on the page, which keeps what was typed.
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        Ok(Self {
            email: fields.text("email").trim().to_owned(),
            name: fields.text("name").trim().to_owned(),
            surname: fields.text("surname").trim().to_owned(),
            website: fields.text("website").trim().to_owned(),
            scopes: fields.text("scopes"),
            password: fields.text("password").into(),
        })
    }
}

impl NewUserForm {
    fn typed(&self) -> Typed<'_> {
        Typed {
            email: &self.email,
            name: &self.name,
            surname: &self.surname,
            website: &self.website,
            scopes: &self.scopes,
        }
    }

    fn registration(&self) -> RegistrationInput {
        let required = |field, text: &String| -> Field<String> {
            match text.is_empty() {
                true => Err(FieldError::new(field, InvalidField::Missing)),
                false => Ok(text.clone()),
            }
        };
        RegistrationInput {
            name: required("name", &self.name),
            surname: Ok(self.surname.clone()),
            email: required("email", &self.email),
            website: Ok(self.website.clone()),
            password: match self.password.expose_secret() {
                "" => Err(FieldError::new("password", InvalidField::Missing)),
                _ => Ok(self.password.clone()),
            },
        }
    }
}

/// The form for a new user.
pub(super) async fn new(
    auth: Auth,
    page: Page,
    reader: Reader<UsersWrite>,
) -> Result<HttpResponse, Error> {
    let needs_password = !auth.is_recently_signed_in(&reader);
    let frame = page.frame_for(&reader);
    let must_verify = auth.requires_verified_address();
    show(&NewUserPage::new(
        frame,
        &reader.scopes(),
        needs_password,
        must_verify,
    ))
}

/// Creates a user. If the button was pressed twice, the second form leads to the user of the first.
pub(super) async fn create(
    auth: Auth,
    page: Page,
    form: AdminForm<NewUserForm>,
) -> Result<HttpResponse, Error> {
    let AdminForm {
        session,
        admin,
        form,
    } = form;
    let scopes = Ok(Some(form.scopes.clone()));
    let created = Box::pin(auth.create_user(&admin, form.registration(), scopes)).await;
    let error = match created {
        Ok(user) => return Ok(to_user(&page, user.id, UserNotice::Created)),
        Err(DomainError::EmailTaken) => match auth.find_created_twin(&admin, &form.email).await? {
            Some(id) => return Ok(to_user(&page, id, UserNotice::Created)),
            None => DomainError::EmailTaken,
        },
        Err(error) => error,
    };
    refused_form(error, |error| {
        let frame = page.frame_for(&session);
        let must_verify = auth.requires_verified_address();
        let shown = NewUserPage::new(frame, &session.scopes(), false, must_verify);
        show(&shown.refused(error, &form.typed()))
    })
}
