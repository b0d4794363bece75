//! Debian's `oathtool`, written by others, computes the same codes.

use std::path::PathBuf;
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use test_support::packages;

use super::app::{Authenticator, access_token, builder, confirm, password_with};
use crate::harness::{Backend, text};

/// Finds the program; root installs it.
fn find_program() -> PathBuf {
    let find = || {
        let path = PathBuf::from("/usr/bin/oathtool");
        path.exists().then_some(path)
    };
    let found = packages::find_or_install(find, "oathtool", "oathtool");
    found.unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn oathtool_agrees() {
    let program = find_program();
    let code = |secret: &str, at: DateTime<Utc>| {
        let output = Command::new(&program)
            .args(["--totp", "--base32", "--now"])
            .arg(at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
            .arg(secret)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (builder, clock) = builder(Backend::Sqlite);
    let app = builder.start();
    let ada = app.register("ada");
    let token = ada.sign_in();
    let now = || clock.now().and_utc();
    let begun = app.post("/users/me/factors").bearer(&token);
    let begun = begun.json(&json!({ "kind": "totp" })).send();
    assert_eq!(begun.status, 201, "{begun:?}");
    let secret = text(&begun.json()["secret"]);
    let id = begun.json()["id"].as_i64().unwrap();
    assert_eq!(confirm(&app, &token, id, &code(&secret, now())).status, 200);
    for hours in [1, 7, 24, 1_000] {
        clock.advance(TimeDelta::hours(hours));
        let shown = code(&secret, now());
        assert_eq!(shown, Authenticator::scan(&secret).code(now()));
        access_token(&password_with(&app, &ada, &[("otp", &shown)]));
    }
}
