//! A credential to be had, and the end of its user's access, at one moment.

use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;

use super::Seen;
use super::kind::{Kind, Prize};
use super::stage::{PROCESSES, Stage};
use super::subject::{Asked, Subject};
use crate::client::Request;
use crate::desk::{Desk, expect, sign_in_request, text_of};

/// Microseconds that either side waits at most, so that each comes first now and then.
const HEAD_START: Range<u64> = 0..2_500;

/// The same for who asks for something while a password is changed: that looks at the old one and
/// hashes the new one first.
const HEAD_START_OF_PASSWORDS: Range<u64> = 0..15_000;

/// What came of asking for a credential.
enum Had {
    /// It was issued.
    Issued(String),
    Refused,
    Unknown,
}

/// One round; `None` when one of the two had no answer.
pub(super) fn round(
    stage: &mut Stage,
    subject: &mut Subject,
    kind: Kind,
    prize: Prize,
    number: usize,
) -> Result<Option<Seen>, String> {
    let (ask_at, end_at) = (number % PROCESSES, number / PROCESSES % PROCESSES);
    let request = match prize {
        Prize::Login => sign_in_request(&subject.email, subject.password()),
        Prize::Key => subject.key_request(),
    };
    let end = subject.end(stage, kind.end(), number);
    let (mut asks, mut ends) = (stage.desk(), stage.desk());
    asks.connect(ask_at)?;
    ends.connect(end_at)?;
    let head_start = match kind.end() {
        Kind::PasswordChange => HEAD_START_OF_PASSWORDS,
        _ => HEAD_START,
    };
    let barrier = Barrier::new(2);
    let (had, acknowledged) = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            start(&barrier, head_start);
            have(&mut asks, ask_at, &request, prize)
        });
        start(&barrier, HEAD_START);
        let acknowledged = end.ask(&stage.program, &mut ends, end_at);
        let had = asking.join().unwrap_or_else(|_| Err("a panic".to_owned()));
        (had, acknowledged)
    });
    let (had, acknowledged) = (had?, acknowledged?);
    let seen = match (acknowledged, &had) {
        (Asked::Unknown, _) | (_, Had::Unknown) => None,
        (Asked::Acknowledged, _) => Some(judge(stage, subject, kind, &had)?),
        // The sign-in came first and ended the token with which the end was asked for.
        (Asked::Refused, Had::Issued(token)) if prize == Prize::Login => Some(Seen {
            issued: true,
            stale: PROCESSES - stage.own_desk().acceptances(token)?,
            ..Seen::default()
        }),
        (Asked::Refused, _) => return Err("whoever ends the access is out".to_owned()),
    };
    if kind.end() == Kind::Disable {
        // Whatever came of it, the next round begins with one token and one key.
        subject.enable(stage)?;
        subject.sign_in(stage)?;
        subject.make_key(stage)?;
        forget_other_keys(stage, subject)?;
    } else {
        *subject = stage.subject()?;
    }
    Ok(seen)
}

fn start(barrier: &Barrier, head_start: Range<u64>) {
    let wait = rand::rng().random_range(head_start);
    barrier.wait();
    thread::sleep(Duration::from_micros(wait));
}

fn have(desk: &mut Desk, process: usize, request: &Request, prize: Prize) -> Result<Had, String> {
    let answer = desk.ask(process, request)?;
    let name = match prize {
        Prize::Login => "access_token",
        Prize::Key => "key",
    };
    match answer.status {
        200 | 201 => Ok(text_of(&answer, name)?.map_or(Had::Refused, Had::Issued)),
        401 => Ok(Had::Refused),
        503 => Ok(Had::Unknown),
        _ => expect(answer, &[]).map(|_| Had::Unknown),
    }
}

/// Looks what works now, and must not.
fn judge(stage: &mut Stage, subject: &mut Subject, kind: Kind, had: &Had) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let credentials = subject.credentials(kind.end()).into_iter();
    let mut ended: Vec<String> = credentials.map(str::to_owned).collect();
    if let Had::Issued(secret) = had {
        seen.issued = true;
        if is_issued_before_the_end(stage, subject, kind)? {
            ended.push(secret.clone());
        } else if kind != Kind::KeyAgainstPasswordChange {
            seen.stale += 1;
        }
        // The session that changes the password stays, and may make a key afterwards.
    }
    seen.look(stage, &ended)?;
    if kind.end() == Kind::Disable {
        subject.enable(stage)?;
        seen.look(stage, &ended)?;
        // Nor has a key that was refused left anything behind, which would come to life now.
        subject.sign_in(stage)?;
        seen.after += 1;
        seen.stale += subject.keys(stage)?.len();
    }
    Ok(seen)
}

impl Seen {
    /// Uses credentials that have ended.
    fn look(&mut self, stage: &mut Stage, ended: &[String]) -> Result<(), String> {
        for credential in ended {
            self.after += PROCESSES;
            self.stale += stage.own_desk().acceptances(credential)?;
        }
        Ok(())
    }
}

/// Whether the end stands last in the trail, which has one order for all.
fn is_issued_before_the_end(
    stage: &mut Stage,
    subject: &Subject,
    kind: Kind,
) -> Result<bool, String> {
    let end = match kind.end() {
        Kind::PasswordChange => "password.change",
        Kind::Delete => "user.delete",
        _ => "user.disable",
    };
    let user = format!("user:{}", subject.id);
    let page = stage.administer("GET", "/admin/events?limit=20", None, &[200])?;
    let events = page["events"].as_array().ok_or("no list of events")?;
    let mut last = events.iter().filter(|event: &&Value| {
        let is_by_or_on = event["actor"] == *user || event["target"] == *user;
        let action = &event["action"];
        is_by_or_on && (action == end || action == "login" || action == "key.create")
    });
    Ok(last.next().is_some_and(|event| event["action"] == end))
}

fn forget_other_keys(stage: &mut Stage, subject: &Subject) -> Result<(), String> {
    for id in subject.keys(stage)? {
        if id != subject.key.id {
            let path = format!("/users/me/keys/{id}");
            let request = Request::new("DELETE", &path, Some(&subject.token), None);
            stage.own_desk().insist(0, &request, &[204])?;
        }
    }
    Ok(())
}
