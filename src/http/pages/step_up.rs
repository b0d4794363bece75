//! The page on the way to a guarded host, or to a page of ours, for a user whose sign-in is not what that requires: it
//! asks for what is missing, and the session goes on with a new secret. A user without a second factor signs in again,
//! and adds one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use form_urlencoded::Serializer;

use super::fresh::{Asked, Typed, asking, renew};
use super::page::{NEXT, next_page};
use super::return_to::ReturnTo;
use super::sign_in::{begin_session, go_a_step, start_again};
use super::{Page, SignedForm, refused_form, see_other, show, show_as};
use crate::auth::{AuditContext, Auth, BY_PASSWORD, SignIn, StepUp};
use crate::error::Error as DomainError;
use crate::guards::{BrowserSession, MaybeBrowserSession};
use crate::http::body::refuse_while_busy;
use crate::http::request_error::Error;
use crate::pages::{ConfirmPage, Demand, Message, MessagePage, Onward};

/// Where the user is on the way to.
#[derive(Clone, Copy)]
pub(super) enum Goal<'a> {
    /// A guarded host.
    Host(&'a ReturnTo),
    /// A page of ours that needs a scope which a session has only with a second factor.
    Page(&'a str),
}

impl Goal<'_> {
    /// What the sign-in of a user lacks.
    fn missing(self, auth: &Auth, session: &BrowserSession) -> StepUp {
        let required = StepUp {
            second_factor: true,
            max_age: None,
        };
        match self {
            Self::Host(to) => to.missing(auth, session),
            Self::Page(_) => auth.missing_step_up(session, required),
        }
    }

    /// The query that names it.
    fn query(self) -> String {
        match self {
            Self::Host(to) => to.query(),
            Self::Page(path) => Serializer::new(String::new())
                .append_pair(NEXT, path)
                .finish(),
        }
    }

    /// Where the way goes on.
    fn onward(self, page: &Page) -> String {
        match self {
            Self::Host(_) => page.link(&format!("/signin/continue?{}", self.query())),
            Self::Page(path) => page.link(path),
        }
    }

    /// As users know it.
    fn name(self, page: &Page) -> String {
        match self {
            Self::Host(to) => to.host().to_owned(),
            Self::Page(path) => page.link(path.split('?').next().unwrap_or_default()),
        }
    }
}

/// What a sign-in lacks.
enum Missing {
    Nothing,
    /// What the user can show now.
    Shown(Question),
    /// A second factor, which this service does not have.
    Impossible,
}

/// What the page asks for.
struct Question {
    demand: Demand,
    asked: Asked,
    /// The second factors of the user.
    methods: Vec<&'static str>,
}

/// The page before one of ours that needs a second factor. Without one, the sign-in begins again.
pub(super) async fn form(
    request: HttpRequest,
    auth: Auth,
    page: Page,
    session: MaybeBrowserSession,
) -> Result<HttpResponse, Error> {
    let (MaybeBrowserSession(Some(session)), Some(next)) = (session, next_page(&request)) else {
        return Ok(start_again(request, page).await);
    };
    let goal = Goal::Page(&next);
    let asked = ask(&request, &auth, &page, &session, goal).await?;
    Ok(asked.unwrap_or_else(|| see_other(goal.onward(&page)).finish()))
}

/// The page that asks for what the sign-in lacks of what the goal requires; `None` if it lacks nothing.
///
/// # Errors
/// [`DomainError::Unavailable`].
pub(super) async fn ask(
    request: &HttpRequest,
    auth: &Auth,
    page: &Page,
    session: &BrowserSession,
    goal: Goal<'_>,
) -> Result<Option<HttpResponse>, Error> {
    match find_missing(auth, session, goal).await? {
        Missing::Nothing => Ok(None),
        Missing::Shown(question) => {
            let shown = confirm_page(request, auth, (page, session), goal, &question);
            show(&shown.await?).map(Some)
        }
        Missing::Impossible => show_impossible(page, session, goal).map(Some),
    }
}

/// Checks what the user shows, and leads on.
pub(super) async fn confirm(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    page: Page,
    form: SignedForm<Typed>,
) -> Result<HttpResponse, Error> {
    let SignedForm {
        session,
        form: typed,
    } = form;
    let (to, next) = (ReturnTo::of(&request, &page), next_page(&request));
    let goal = match (&to, &next) {
        (Some(to), _) => Goal::Host(to),
        (None, Some(next)) => Goal::Page(next),
        (None, None) => return Ok(see_other(page.home()).finish()),
    };
    let onward = goal.onward(&page);
    let question = match find_missing(&auth, &session, goal).await? {
        // The button was pressed twice.
        Missing::Nothing => return Ok(see_other(onward).finish()),
        Missing::Impossible => return show_impossible(&page, &session, goal),
        Missing::Shown(question) => question,
    };
    let done = match typed.proof(question.asked) {
        Ok(Some(_)) if question.demand == Demand::NewFactor => {
            enrol(&request, &auth, &context, (&page, &session), &typed, goal).await
        }
        Ok(Some(proof)) => {
            let renewed = renew(&request, &page, &session, proof).await;
            renewed.map(|_session| see_other(onward).finish())
        }
        Ok(None) => Err(typed.missing(question.asked).into()),
        Err(malformed) => Err(malformed.into()),
    };
    match done {
        Err(Error::Domain(error)) => {
            let shown = confirm_page(&request, &auth, (&page, &session), goal, &question);
            let shown = shown.await?;
            refused_form(error, |error| show(&shown.refused(error)))
        }
        done => done,
    }
}

async fn find_missing(
    auth: &Auth,
    session: &BrowserSession,
    goal: Goal<'_>,
) -> Result<Missing, DomainError> {
    let missing = goal.missing(auth, session);
    if missing == StepUp::default() {
        return Ok(Missing::Nothing);
    }
    let factors = &auth.config().factors;
    let methods = auth.factor_methods(session.user.id).await?;
    let shown = &session.token().session.amr;
    // A second factor completes a password, but not a session that an operator began.
    let is_old = missing.max_age.is_some() || shown.split(' ').all(|it| it != BY_PASSWORD);
    let demand = match (missing.second_factor, methods.is_empty()) {
        (true, true) if !factors.is_offered() => return Ok(Missing::Impossible),
        (true, true) => Demand::NewFactor,
        (true, false) if !is_old => Demand::SecondFactor,
        _ => Demand::RecentSignIn,
    };
    let asked = Asked {
        password: demand.needs_password(),
        factor: !methods.is_empty(),
        lone_passkey: factors.lone_passkeys().is_some(),
    };
    Ok(Missing::Shown(Question {
        demand,
        asked,
        methods,
    }))
}

async fn confirm_page(
    request: &HttpRequest,
    auth: &Auth,
    (page, session): (&Page, &BrowserSession),
    goal: Goal<'_>,
    question: &Question,
) -> Result<ConfirmPage, DomainError> {
    let frame = page.frame_for(session);
    let shown = asking(request, auth, session, (frame, &question.methods)).await?;
    let path = page.link(&format!("/signin/confirm?{}", goal.query()));
    let shown = shown.before(Vec::new(), (path, page.home()));
    Ok(shown.on_the_way_to(&goal.name(page), question.demand))
}

fn show_impossible(
    page: &Page,
    session: &BrowserSession,
    goal: Goal<'_>,
) -> Result<HttpResponse, Error> {
    let message = Message::NoSecondFactors(goal.name(page));
    let shown = MessagePage::new(page.frame_for(session), &message);
    show_as(StatusCode::FORBIDDEN, &shown)
}

/// Signs in again with the password, to a session that begins once the user has added a second factor.
async fn enrol(
    request: &HttpRequest,
    auth: &Auth,
    context: &AuditContext,
    (page, session): (&Page, &BrowserSession),
    typed: &Typed,
    goal: Goal<'_>,
) -> Result<HttpResponse, Error> {
    refuse_while_busy(request).await?;
    let sign_in = SignIn {
        needs_factor: true,
        ..SignIn::new(&session.user.email, typed.password.clone())
    };
    let onward = Onward {
        is_kept: auth.is_kept_by_browser(session.token()),
        next: match goal {
            Goal::Host(_) => None,
            Goal::Page(path) => Some(path.to_owned()),
        },
        to: match goal {
            Goal::Host(to) => Some(to.query()),
            Goal::Page(_) => None,
        },
    };
    let step = begin_session(auth, context, sign_in, onward.is_kept).await;
    let step = step.map_err(|error| match error {
        // The page has asked for nothing else.
        DomainError::BadCredentials => DomainError::WrongPassword,
        error => error,
    })?;
    let earlier = MaybeBrowserSession(Some(session.clone()));
    go_a_step(auth, context, page, earlier, &step, &onward).await
}
