//! The page of the user's own events.

use askama::Template;
use chrono::NaiveDateTime;

use super::{AccountHead, Section};
use crate::pages::Frame;
use crate::pages::texts::account::AccountTexts;
use crate::pages::texts::events::EventTexts;
use crate::pages::time::{ago, date_time, iso};
use crate::store::AuditEvent;

/// Events by the user and on the account, the newest first.
#[derive(Template)]
#[template(path = "events.html")]
pub(crate) struct EventsPage {
    frame: Frame,
    t: &'static AccountTexts,
    head: AccountHead,
    events: Vec<EventView>,
    is_first: bool,
    next: Option<i64>,
}

/// An event, as its user sees it.
struct EventView {
    what: String,
    is_refused: bool,
    is_by_others: bool,
    when: String,
    at: String,
    time: String,
    from: String,
}

impl EventsPage {
    /// The page at `now`; the next one begins before the event `next`.
    pub(crate) fn new(
        frame: Frame,
        events: &[AuditEvent],
        is_first: bool,
        next: Option<i64>,
        now: NaiveDateTime,
    ) -> Self {
        let (t, language) = (AccountTexts::of(frame.language), frame.language);
        let names = EventTexts::of(language);
        let own = format!("user:{}", frame.user_id());
        let view = |event: &AuditEvent| EventView {
            what: name(names, &event.action)
                .unwrap_or(&event.action)
                .to_owned(),
            is_refused: event.result != "ok",
            is_by_others: event.actor != own && event.actor != "anonymous",
            when: ago(event.at, now, language),
            at: iso(event.at),
            time: date_time(event.at),
            from: event.ip.clone(),
        };
        Self {
            events: events.iter().map(view).collect(),
            frame,
            t,
            head: AccountHead::new(Section::Events),
            is_first,
            next,
        }
    }
}

/// What an action is called; `None` for one that users seldom see.
fn name(t: &EventTexts, action: &str) -> Option<&'static str> {
    Some(match action {
        "register" | "user.create" => t.register,
        "login" => t.login,
        "logout" => t.logout,
        "session.end" => t.session_end,
        "session.rename" => t.session_rename,
        "session.evicted" => t.session_evicted,
        "session.renew" => t.session_renew,
        "device.trust" => t.device_trust,
        "device.end" => t.device_end,
        "session.refresh_reuse" => t.session_refresh_reuse,
        "token.issue" => t.token_issue,
        "token.revoke" => t.token_revoke,
        "key.create" => t.key_create,
        "key.first-use" => t.key_first_use,
        "key.revoke" => t.key_revoke,
        "password.change" => t.password_change,
        "user.update" => t.user_update,
        "user.disable" => t.user_disable,
        "user.enable" => t.user_enable,
        "user.unlock" => t.user_unlock,
        "user.scopes" => t.user_scopes,
        "user.sign-out" => t.user_sign_out,
        "account.throttled" => t.account_throttled,
        "scope.refused" => t.scope_refused,
        _ => return None,
    })
}
