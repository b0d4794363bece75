//! The page of the sessions.

use super::browser::{Browser, location};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(sessions_are_shown_and_ended);

fn sessions_are_shown_and_ended(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "9")
        .start();
    let ada = app.register("ada");
    let token = ada.sign_in();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
    let mut firefox = Browser::new(&app).with("User-Agent", agent);
    firefox.sign_in(&ada);
    let mut other = Browser::of(&ada);
    let page = firefox.page("/account/sessions");
    assert!(page.contains("Firefox on Linux") && page.contains("This browser"));
    assert_eq!(page.matches("/end\"").count(), 2, "{page}");

    let end = page.split("action=\"").find(|part| part.contains("/end\""));
    let end = end.unwrap().split('"').next().unwrap().to_owned();
    let response = firefox.submit("/account/sessions", &end, &[]);
    assert_eq!(location(&response), "/account/sessions?ended");
    // Pressed twice.
    let response = firefox.submit("/account/sessions", &end, &[]);
    assert_eq!(location(&response), "/account/sessions?ended");
    assert!(
        firefox
            .page("/account/sessions?ended")
            .contains("The session has ended.")
    );
    let alive = |other: &mut Browser| {
        let api = app.get("/users/me").bearer(&token).send().status == 200;
        [other.is_signed_in(), api]
            .into_iter()
            .filter(|is| *is)
            .count()
    };
    assert_eq!(alive(&mut other), 1);
    let response = firefox.submit("/account/sessions", "/account/sessions/end-others", &[]);
    assert_eq!(location(&response), "/account/sessions?others-ended");
    assert_eq!(alive(&mut other), 0);
    assert!(firefox.is_signed_in());
}

/// The id of another user's session ends nothing.
#[test]
fn sessions_of_others_stay() {
    let app = TestApp::start(Backend::Sqlite);
    let mut ada = Browser::of(&app.register("ada"));
    let mut bob = Browser::of(&app.register("bob"));
    let id = app
        .database()
        .texts("SELECT CAST(MAX(id) AS TEXT) AS text FROM sessions");
    let response = ada.submit("/account", &format!("/account/sessions/{}/end", id[0]), &[]);
    assert_eq!(location(&response), "/account/sessions?ended");
    assert!(ada.is_signed_in() && bob.is_signed_in());
}
