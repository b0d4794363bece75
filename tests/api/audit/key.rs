//! The keys of the chain: one in the database, and one in the settings that takes over from it.

use super::{Auditor, some_life};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    the_key_of_the_settings_takes_over,
    another_key_than_the_right_one_is_found,
    a_trail_made_anew_with_a_key_in_the_database_is_found,
);

const KEY: &str = "an audit key of more than 32 characters";

const OTHER: &str = "another key of more than 32 characters!";

fn the_key_of_the_settings_takes_over(backend: Backend) {
    let app = TestApp::start(backend);
    some_life(&app);
    let before = app.database().count("audit_events");
    let keyed = app.beside().setting("TOKENHOUSE_AUDIT_KEY", KEY).start();
    keyed.register("carol").sign_in();
    let verification = Auditor::new(&app, Some(KEY)).verify();
    assert_eq!(verification.problems, []);
    assert_eq!(verification.key_changes, [before + 1]);
    assert_eq!(verification.events, before as u64 + 3);
    // Without it, what it has signed cannot be checked.
    let found = Auditor::new(&app, None).problems();
    assert!(
        found[0].starts_with(&format!("event {} was altered", before + 1)),
        "{found:?}"
    );
}

fn another_key_than_the_right_one_is_found(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_AUDIT_KEY", KEY)
        .start();
    some_life(&app);
    assert_eq!(Auditor::new(&app, Some(KEY)).problems(), [""; 0]);
    assert_eq!(app.database().count("instance_secrets"), 0);
    for key in [Some(OTHER), None] {
        let found = Auditor::new(&app, key).problems();
        let rows = usize::try_from(app.database().count("audit_events")).unwrap();
        assert_eq!(found.len(), rows + 1, "{found:?}");
        assert!(found[0].starts_with("event 1 was altered"), "{found:?}");
    }
    // Who writes with another one is found too, with the right one.
    let rows = app.database().count("audit_events");
    let other = app.beside().setting("TOKENHOUSE_AUDIT_KEY", OTHER).start();
    other.register("carol");
    let found = Auditor::new(&app, Some(KEY)).problems();
    assert!(
        found[0].starts_with(&format!("event {} was altered", rows + 1)),
        "{found:?}"
    );
}

/// Who may write into the tables may also put a key there, and knows it.
fn a_trail_made_anew_with_a_key_in_the_database_is_found(backend: Backend) {
    let keyed = || {
        TestApp::builder(backend)
            .setting("TOKENHOUSE_AUDIT_KEY", KEY)
            .start()
    };
    let app = keyed();
    some_life(&app);
    // Good rows and a good head, by the key in the database.
    super::drop_triggers(&app);
    app.database().execute(
        "DELETE FROM audit_events;
         UPDATE audit_head SET last_id = 0, last_digest = '', digest = ''",
    );
    let forger = app.beside().start();
    forger.register("mallory");
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0], "well forged");
    let found = Auditor::new(&app, Some(KEY)).problems();
    assert_eq!(
        found,
        ["the head of the trail was altered, or was made with another key"]
    );
    // When the service goes on, it says where.
    app.register("carol");
    let verification = Auditor::new(&app, Some(KEY)).verify();
    assert_eq!(verification.key_changes, [2]);
}
