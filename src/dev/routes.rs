//! The control routes of a service for tests. `docs/testing.md` is their reference.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Service;
use super::amr::Amr;
use super::control::{Control, ControlKey};
use super::mail;
use super::refusal::{Input, Refusal};
use crate::auth::{Administrator, Auth, Precondition};
use crate::error::Error;
use crate::http::{get, post, resource};
use crate::mail::MailRefusal;
use crate::seed::SeedUser;
use crate::store::User;
use crate::views::utc;

/// The longest outage of the database, in milliseconds.
const MAX_OUTAGE_MS: u64 = 60_000;

/// What is wrong with a time that the clock cannot show.
const TIME_EXPECTED: &str =
    "Expected a time in the years 1970 to 9000, such as 2026-01-01T00:00:00Z";

/// The number of users that are read at a time.
const PAGE_SIZE: i64 = 500;

/// Serves a service for tests with its control routes: see [`Service::serve`].
///
/// # Errors
/// When the socket cannot be used.
pub(crate) fn serve(
    service: &Service,
    key: ControlKey,
    listener: TcpListener,
) -> std::io::Result<Server> {
    let controlled = service.clone();
    service.serve(listener, move |app| {
        app.app_data(key.clone()).app_data(controlled.clone());
        control_routes(app, &controlled.auth());
    })
}

fn control_routes(app: &mut web::ServiceConfig, auth: &Auth) {
    let metrics = auth.metrics();
    app.service(resource(metrics, "/_dev/users", post(create_user)))
        .service(resource(metrics, "/_dev/sign-in", post(sign_in)))
        .service(resource(
            metrics,
            "/_dev/clock",
            get(read_clock).post(set_clock),
        ))
        .service(resource(
            metrics,
            "/_dev/mail",
            get(mail::list).delete(mail::clear),
        ))
        .service(resource(metrics, "/_dev/reset", post(reset)))
        .service(resource(metrics, "/_dev/fault", post(cause_fault)));
}

/// A user, with the password, which a test may need.
#[derive(Serialize)]
struct CreatedUser<'a> {
    id: i64,
    email: &'a str,
    password: &'a str,
    name: &'a str,
    scopes: &'a str,
    disabled: bool,
}

async fn create_user(
    control: Control,
    Input(user): Input<SeedUser>,
) -> Result<HttpResponse, Refusal> {
    let user = user.for_test();
    let created = user.create(&control.service.auth()).await?;
    Ok(HttpResponse::Created().json(CreatedUser {
        id: created.id,
        email: &created.email,
        password: user.password.as_deref().unwrap_or_default(),
        name: &created.name,
        scopes: &created.scopes,
        disabled: created.disabled_at.is_some(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    email: String,
    /// All scopes of the user if it is missing.
    scope: Option<String>,
    #[serde(default)]
    amr: Amr,
}

async fn sign_in(
    control: Control,
    Input(SignIn { email, scope, amr }): Input<SignIn>,
) -> Result<HttpResponse, Refusal> {
    let auth = control.service.auth();
    let user = auth.find_user_id(&email).await?;
    let issued = auth.sign_in_without_password(user, scope, amr.as_text());
    let issued = issued.await?;
    Ok(HttpResponse::Ok().json(json!({
        "access_token": issued.secret.expose(),
        "token_type": "bearer",
        "expires_in": issued.lifetime.num_seconds(),
        "scope": issued.scopes,
        "user_id": user,
    })))
}

async fn read_clock(control: Control) -> HttpResponse {
    clock_state(&control.service)
}

fn clock_state(service: &Service) -> HttpResponse {
    let clock = service.clock();
    HttpResponse::Ok().json(json!({ "now": utc(clock.now()), "ticking": clock.ticks() }))
}

/// Where to move the clock: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// Seconds, negative for a move into the past.
    advance: Option<i64>,
    /// A time in UTC, such as `2026-01-01T00:00:00Z`.
    set: Option<String>,
    /// Whether the clock ticks from then on. It keeps ticking or standing when it is advanced, and
    /// stands when it is set.
    ticking: Option<bool>,
}

async fn set_clock(
    control: Control,
    Input(change): Input<ClockChange>,
) -> Result<HttpResponse, Refusal> {
    let service = &control.service;
    control.require_own()?;
    let clock = service.clock();
    let now = clock.now().and_utc();
    let (at, ticks) = match (change.advance, change.set) {
        (Some(seconds), None) => (
            TimeDelta::try_seconds(seconds).and_then(|step| now.checked_add_signed(step)),
            change.ticking.unwrap_or_else(|| clock.ticks()),
        ),
        (None, Some(at)) => (at.parse().ok(), change.ticking.unwrap_or(false)),
        _ => {
            let problem = "The body needs either advance, in seconds, or set, a time";
            return Err(Refusal::Body(problem.to_owned()));
        }
    };
    let at = at
        .filter(is_in_range)
        .ok_or_else(|| Refusal::Body(TIME_EXPECTED.to_owned()))?;
    service.auth().set_clock(at, ticks).await?;
    Ok(clock_state(service))
}

/// Whether every time that the service computes from this one can be stored.
fn is_in_range(at: &DateTime<Utc>) -> bool {
    (1970..=9000).contains(&at.year())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// Resets only the users with an address in this domain.
    domain: Option<String>,
}

async fn reset(
    control: Control,
    Input(Reset { domain }): Input<Reset>,
) -> Result<HttpResponse, Refusal> {
    let service = &control.service;
    match domain {
        Some(domain) => reset_domain(service, &domain).await?,
        None => {
            control.require_own()?;
            let outcome = service.reset().await;
            outcome.map_err(|error| Refusal::Reset(error.to_string()))?;
        }
    }
    let clock = service.clock();
    Ok(HttpResponse::Ok().json(json!({
        "now": utc(clock.now()),
        "ticking": clock.ticks(),
        "database": service.database(),
    })))
}

/// Deletes the users of a domain, and creates those of the seed again.
async fn reset_domain(service: &Service, domain: &str) -> Result<(), Error> {
    let (auth, operator) = (service.auth(), Administrator::operator());
    let suffix = format!("@{}", domain.to_lowercase());
    let is_in_domain = |email: &str| email.to_lowercase().ends_with(&suffix);
    let mut after = None;
    loop {
        let page = auth
            .list_users(&operator, Some(&suffix), after.as_deref(), PAGE_SIZE)
            .await?;
        let is_of_domain = |user: &&User| !user.is_app && is_in_domain(&user.email);
        for user in page.users.iter().filter(is_of_domain) {
            auth.delete_user(&operator, user.id, Precondition::None)
                .await?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for user in service
        .seed()
        .iter()
        .filter(|user| is_in_domain(&user.email))
    {
        user.create(&auth).await?;
    }
    Ok(())
}

/// What fails: the database for a time, or mails.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    database: Option<DatabaseFault>,
    for_ms: Option<u64>,
    /// The reply that the next mails get: 450 or 550.
    mail: Option<u16>,
    times: Option<u32>,
}

/// How the database fails.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DatabaseFault {
    /// It does not answer.
    Down,
}

async fn cause_fault(
    control: Control,
    Input(fault): Input<Fault>,
) -> Result<HttpResponse, Refusal> {
    control.require_own()?;
    let refused = |problem: String| Err(Refusal::Body(problem));
    match (fault.database, fault.for_ms, fault.mail, fault.times) {
        (Some(DatabaseFault::Down), Some(for_ms), None, None) => {
            if for_ms > MAX_OUTAGE_MS {
                return refused(format!("for_ms must be at most {MAX_OUTAGE_MS}"));
            }
            let store = control.service.auth().store().clone();
            store.stop_for(Duration::from_millis(for_ms));
        }
        (None, None, Some(reply), Some(times)) => {
            let refusal = match reply {
                450 => MailRefusal::Temporary,
                550 => MailRefusal::Permanent,
                _ => return refused("mail must be 450 or 550".to_owned()),
            };
            mail::mailbox(&control)?.refuse_next(refusal, times);
        }
        _ => {
            let expected = "Expected database and for_ms, or mail and times";
            return refused(expected.to_owned());
        }
    }
    Ok(HttpResponse::NoContent().finish())
}
