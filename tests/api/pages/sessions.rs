//! The page of the sessions.

use super::browser::{Browser, location, title};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(sessions_are_shown_and_ended, session_gets_another_name);

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

fn session_gets_another_name(backend: Backend) {
    let app = TestApp::start(backend);
    let mut ada = Browser::of(&app.register("ada"));
    let mut bob = Browser::of(&app.register("bob"));
    let own = "SELECT CAST(MIN(id) AS TEXT) AS text FROM sessions";
    let id = app.database().texts(own).remove(0);
    let path = format!("/account/sessions/{id}/rename");
    let renamed = ada.submit(
        "/account/sessions",
        &path,
        &[("name", " My <b>laptop</b> ")],
    );
    assert_eq!(location(&renamed), "/account/sessions?renamed");
    let page = ada.page("/account/sessions?renamed");
    assert!(page.contains("The session has its new name."), "{page}");
    assert!(
        page.contains("<bdi>My &#60;b&#62;laptop&#60;/b&#62;</bdi>"),
        "{page}"
    );
    assert!(ada.is_signed_in());

    let refused = ada.submit("/account/sessions", &path, &[("name", "  ")]);
    assert_eq!(refused.status, 422);
    let text = refused.text();
    assert!(text.contains(r#"aria-invalid="true""#), "{text}");
    assert!(
        text.contains("<details class=\"sure rename\" open>"),
        "{text}"
    );
    assert!(title(text).starts_with("Error: "), "{text}");
    // The session of another user keeps its name, and its id tells nothing.
    let other = bob.submit("/account/sessions", &path, &[("name", "Bob's")]);
    assert_eq!(location(&other), "/account/sessions");
    assert!(ada.page("/account/sessions").contains("laptop"));
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'session.rename' AND result = 'ok'"),
        1
    );
}
