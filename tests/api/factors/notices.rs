//! Users are told of every change of their second factors by mail.

use chrono::TimeDelta;
use serde_json::json;

use super::app::{access_token, clock, enrol, mfa_token, password, recovery_code, with_settings};
use crate::harness::{Backend, on_both_databases, send};
use crate::mail::Inbox;

on_both_databases!(user_is_told_of_every_change);

fn user_is_told_of_every_change(backend: Backend) {
    let (inbox, clock) = (Inbox::new(), clock());
    let notices = "factor-added, factor-removed, recovery-codes-made, recovery-code-used";
    let app = with_settings(inbox.app(backend))
        .setting("TOKENHOUSE_NOTICES", notices)
        .clock(clock.clone())
        .start();
    let ada = enrol(&app, &clock, "ada");
    let told = |count: usize, purpose: &str| {
        let mail = inbox.wait_for(count);
        let about = (mail.purpose.as_str(), mail.to.as_str(), mail.token.as_str());
        assert_eq!(about, (purpose, "ada@example.com", ""));
        assert!(mail.text.contains("127.0.0.1"), "{mail:?}");
    };
    told(1, "factor-added");
    let waiting = mfa_token(&password(&app, &ada.person));
    access_token(&recovery_code(&app, &waiting, &ada.recovery_codes[3]));
    told(2, "recovery-code-used");
    clock.advance(TimeDelta::seconds(30));
    let made = send(
        &app,
        "POST",
        "/users/me/recovery-codes",
        &ada.token,
        &json!({}),
    );
    assert_eq!(made.status, 200, "{made:?}");
    told(3, "recovery-codes-made");
    clock.advance(TimeDelta::seconds(30));
    let path = format!("/users/me/factors/{}", ada.factor);
    assert_eq!(
        send(&app, "DELETE", &path, &ada.token, &json!({})).status,
        204
    );
    told(4, "factor-removed");
}
