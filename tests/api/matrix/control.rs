//! The control routes of `tokenhouse dev` admit its control key and nothing else, and that key opens
//! nothing else.

use std::collections::BTreeSet;

use super::credential::{self, Form, Kind, Standing};
use super::policy::{CONTROL_ROUTES, ROUTES};
use super::{check, paths_in, with_head};
use crate::dev::Dev;
use crate::harness::{STATIC_KEY, TestApp};

#[test]
fn control_key_alone_opens_the_control_routes_and_only_these() {
    let previous = credential::PREVIOUS_STATIC_KEY;
    let settings = [
        format!("API_KEY_TOKEN={STATIC_KEY}"),
        format!("API_KEY_TOKEN_PREVIOUS={previous}"),
        "TOKENHOUSE_LIMITS=off".to_owned(),
    ];
    let dev = Dev::start(
        &settings
            .each_ref()
            .map(|setting| ["--set", setting])
            .concat(),
    );
    // Another process of the same service makes the credentials: most of them no control route can make.
    let app = TestApp::on_foreign_database(&dev.text("database"));
    let app = app.setting("API_KEY_TOKEN_PREVIOUS", previous).start();
    let (mut kinds, other) = credential::all(&app);
    assert!(kinds.len() > 40, "{}", kinds.len());
    let valid: Vec<&Kind> = kinds.iter().filter(|kind| kind.is_valid()).collect();
    let introspect = |kind: &Kind| {
        let request = dev.client.post("/introspect").bearer(STATIC_KEY);
        request.form(&[("token", &kind.secret)]).send().json()["active"].clone()
    };
    assert!(!valid.is_empty() && valid.iter().all(|kind| introspect(kind) == true));

    let key = |standing| Kind {
        name: "the control key",
        secret: dev.text("control_key"),
        standing,
    };
    kinds.push(key(Standing::ControlKey));
    let controls = with_head(CONTROL_ROUTES);
    let mut mismatches = check(&dev.client, controls.iter(), (&kinds, &other), || {});
    let (others, alone) = (with_head(ROUTES), [key(Standing::Bad)]);
    mismatches.extend(check(&dev.client, others.iter(), (&alone, &other), || {}));
    let cells = (controls.len() * kinds.len() + others.len()) * Form::ALL.len();
    println!("{cells} cells; {} mismatches", mismatches.len());
    assert!(mismatches.is_empty(), "of {cells}: {mismatches:#?}");
}

#[test]
fn every_control_route_has_a_declared_guard() {
    let table = include_str!("../../../src/dev/routes.rs");
    let table: String = table.split_whitespace().collect();
    let paths: BTreeSet<&str> = paths_in(&table).collect();
    let declared: BTreeSet<&str> = CONTROL_ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths, declared);
}
