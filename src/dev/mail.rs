//! The mails that a service for tests has sent, which stay in its memory.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::control::Control;
use super::refusal::Refusal;
use crate::mail::{Kind, MailFilter, Mailbox, ReceivedMail};
use crate::views::utc;

/// The longest time that a request waits for a mail, in seconds.
const MAX_WAIT: f64 = 60.0;

/// Which mails are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    to: Option<String>,
    purpose: Option<String>,
    /// The id of a mail, after which they were sent.
    after: Option<u64>,
    /// How many seconds to wait for the first one.
    wait: Option<f64>,
}

impl FromRequest for Wanted {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()))
    }
}

fn parse(query: &str) -> Result<Wanted, Refusal> {
    let refused = |problem: String| Refusal::Body(format!("The query: {problem}"));
    let wanted = web::Query::<Wanted>::from_query(query);
    let wanted = wanted
        .map_err(|error| refused(error.to_string()))?
        .into_inner();
    // A misspelt kind would wait for ever.
    if let Some(purpose) = wanted.purpose.as_ref()
        && Kind::of_name(purpose).is_none()
    {
        let kinds = Kind::ALL.map(Kind::name).join(", ");
        return Err(refused(format!("purpose: expected one of {kinds}")));
    }
    if wanted
        .wait
        .is_some_and(|wait| !(0.0..=MAX_WAIT).contains(&wait))
    {
        return Err(refused(format!(
            "wait: expected at most {MAX_WAIT} seconds"
        )));
    }
    Ok(wanted)
}

/// A mail as tests read it.
#[derive(Serialize)]
struct MailRead<'a> {
    id: u64,
    to: &'a str,
    purpose: &'a str,
    locale: &'a str,
    sent_at: String,
    message_id: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
    links: &'a [String],
    codes: &'a [String],
}

impl<'a> MailRead<'a> {
    fn new(mail: &'a ReceivedMail) -> Self {
        Self {
            id: mail.id,
            to: &mail.to,
            purpose: mail.purpose,
            locale: &mail.locale,
            sent_at: utc(mail.sent_at.naive_utc()),
            message_id: &mail.message_id,
            subject: &mail.subject,
            text: &mail.text,
            html: &mail.html,
            links: &mail.links,
            codes: &mail.codes,
        }
    }
}

/// The mails that are wanted, oldest first, and the id of the latest mail of all.
pub(super) async fn list(control: Control, wanted: Wanted) -> Result<HttpResponse, Refusal> {
    let mailbox = mailbox(&control)?;
    let filter = MailFilter {
        to: wanted.to,
        purpose: wanted.purpose,
        after: wanted.after.unwrap_or(0),
    };
    let wait = Duration::from_secs_f64(wanted.wait.unwrap_or(0.0));
    let found = match timeout(wait, mailbox.wait_for(&filter)).await {
        Ok(found) => found,
        Err(_elapsed) => mailbox.find(&filter),
    };
    let mails: Vec<MailRead> = found.iter().map(MailRead::new).collect();
    let latest = Mailbox::latest();
    Ok(HttpResponse::Ok().json(json!({ "mails": mails, "latest": latest })))
}

/// Removes the mails to an address, or all.
pub(super) async fn clear(control: Control, wanted: Wanted) -> Result<HttpResponse, Refusal> {
    if wanted.purpose.is_some() || wanted.after.is_some() || wanted.wait.is_some() {
        let problem = "The query: mails can be removed by their recipient only";
        return Err(Refusal::Body(problem.to_owned()));
    }
    if wanted.to.is_none() {
        control.require_own()?;
    }
    mailbox(&control)?.clear(wanted.to.as_deref());
    Ok(HttpResponse::NoContent().finish())
}

/// The mailbox of the service.
pub(super) fn mailbox(control: &Control) -> Result<Mailbox, Refusal> {
    let auth = control.service.auth();
    let mailbox = auth.mailer().and_then(|mailer| mailer.mailbox()).cloned();
    let problem =
        "The server was started with --set TOKENHOUSE_MAIL=..., so it keeps no mails in memory";
    mailbox.ok_or_else(|| Refusal::Body(problem.to_owned()))
}
