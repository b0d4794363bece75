//! Verifying an address, and what an unverified one means.

use serde_json::{Value, json};
use test_support::TestUser;

use super::inbox::PUBLIC_URL;
use super::{Inbox, Mail};
use crate::harness::{
    Backend, OWN_SCOPES, Response, TestApp, concurrently, on_both_databases, run_with_input,
};
use crate::pages::browser::Browser;

const PASSWORD: &str = "mulberry-Tram-71";

on_both_databases!(
    link_verifies_once_and_says_so_afterwards,
    first_verification_ends_what_was_before,
    session_of_the_user_survives_its_own_verification,
    code_verifies,
    request_tells_nobody_who_has_an_account,
    setting_decides_what_answers_show,
    unverified_user_holds_no_scopes,
    unverified_user_cannot_sign_in,
    domains_require_verification,
    users_whom_administrators_create_are_asked_to_verify,
    another_address_is_unverified,
    two_presses_are_one_event,
    registration_can_tell_nothing,
);

fn verify(app: &TestApp, body: &Value) -> Response {
    app.post("/verify-email").json(body).send()
}

fn by_token(app: &TestApp, token: &str) -> Response {
    verify(app, &json!({ "token": token }))
}

/// Asks for a mail, and waits until it is the one with this number.
fn ask(app: &TestApp, inbox: &Inbox, email: &str, number: usize) -> Mail {
    let body = json!({ "email": email });
    let asked = app.post("/verify-email/request").json(&body).send();
    assert_eq!((asked.status, asked.text()), (202, "null"));
    let mail = inbox.wait_for(number);
    assert_eq!(mail.purpose, "verify-address");
    mail
}

#[track_caller]
fn assert_refused(response: &Response, error: &str) {
    let expected = (400, &Value::from(error));
    assert_eq!(
        (response.status, &response.json()["error"]),
        expected,
        "{response:?}"
    );
}

fn link_verifies_once_and_says_so_afterwards(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    inbox.stays_at(0);
    let old = ask(&app, &inbox, &alice.email, 1);
    let mail = ask(&app, &inbox, "Alice@EXAMPLE.com", 2);
    assert_refused(&by_token(&app, &old.token), "bad_token");
    let verified = by_token(&app, &mail.token);
    assert_eq!(verified.status, 200, "{verified:?}");
    assert_eq!(
        (
            &verified.json()["email"],
            &verified.json()["email_verified"]
        ),
        (&json!(alice.email), &json!(true))
    );
    assert_refused(&by_token(&app, &mail.token), "already_verified");
    for other in [
        "",
        "tke_",
        "a",
        &format!("{}A", mail.token),
        &mail.token[4..],
    ] {
        assert_refused(&by_token(&app, other), "bad_token");
    }
    // Nothing is sent to a verified address.
    let body = json!({ "email": alice.email });
    assert_eq!(
        app.post("/verify-email/request").json(&body).send().status,
        202
    );
    inbox.stays_at(2);
    assert_eq!(app.run(&["user", "verify", &alice.email]).0, Some(0));
    let bob = app.register("bobby");
    assert_eq!(app.run(&["user", "verify", &bob.email]).0, Some(0));
    let count = "users WHERE email_verified_at IS NOT NULL";
    assert_eq!(app.database().count(count), 2);
}

fn first_verification_ends_what_was_before(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    // Somebody registers a stranger's address, and keeps a session and a key.
    let attacker = app.register("victim");
    let token = attacker.sign_in();
    let key = app.create_key(&token, "").secret;
    let other = app.register("other").sign_in();
    let mail = ask(&app, &inbox, &attacker.email, 1);
    // Another user's session does not make it the same person, nor does a key of the account.
    let shown = app.post("/verify-email").bearer(&other);
    let shown = shown.json(&json!({ "token": mail.token })).send();
    assert_eq!(shown.status, 200, "{shown:?}");
    for credential in [&token, &key] {
        assert_eq!(app.status("/users/me", credential), 401);
    }
    assert_eq!(app.status("/users/me", &other), 200);
}

fn session_of_the_user_survives_its_own_verification(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let request = app
        .post("/verify-email/request")
        .bearer(&token)
        .json(&json!({}));
    assert_eq!(request.send().status, 202);
    let mail = inbox.wait_for(1);
    let body = json!({ "token": mail.token });
    let verified = app.post("/verify-email").bearer(&token).json(&body).send();
    assert_eq!(verified.status, 200, "{verified:?}");
    for credential in [&token, &key] {
        assert_eq!(app.status("/users/me", credential), 200);
    }
    // Without an address somebody must be signed in.
    let nobody = app.post("/verify-email/request").json(&json!({})).send();
    assert_eq!(nobody.status, 401);
    let wrong = app
        .post("/verify-email/request")
        .bearer("nonsense")
        .json(&json!({}));
    assert_eq!(wrong.send().status, 401);
}

fn code_verifies(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    let by_code = |email: &str, code: &str| verify(&app, &json!({ "email": email, "code": code }));
    let bob = app.register("bobby");
    assert_refused(&by_code(&bob.email, &mail.code), "bad_token");
    assert_refused(&by_code("nobody@example.com", &mail.code), "bad_token");
    assert_eq!(by_code(&alice.email, &mail.code.to_lowercase()).status, 200);
    for incomplete in [
        json!({}),
        json!({ "email": alice.email }),
        json!({ "code": mail.code }),
    ] {
        assert_eq!(verify(&app, &incomplete).status, 422, "{incomplete}");
    }
}

fn request_tells_nobody_who_has_an_account(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let bob = app.register("bobby");
    assert_eq!(app.run(&["user", "verify", &bob.email]).0, Some(0));
    let answers: Vec<_> = [&alice.email, &bob.email, "nobody@example.com"]
        .map(|email| {
            let body = json!({ "email": email });
            let answer = app.post("/verify-email/request").json(&body).send();
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| {
                !["date", "x-request-id"].contains(&name.to_lowercase().as_str())
            });
            headers.sort();
            (answer.status, headers, answer.body)
        })
        .into();
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    inbox.wait_for(1);
    inbox.stays_at(1);
}

/// What the service tells of a user: `/users/me`, introspection, and forward-auth.
fn shown(app: &TestApp, token: &str) -> [Value; 3] {
    let me = app.get("/users/me").bearer(token).send().json()["email_verified"].clone();
    let form = app.post("/introspect").bearer(crate::harness::STATIC_KEY);
    let state = form.form(&[("token", token)]).send().json();
    let verify = app.get("/verify").bearer(token).send();
    let header = verify.header("x-auth-email-verified");
    [me, state["email_verified"].clone(), json!(header)]
}

fn setting_decides_what_answers_show(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    assert_eq!(shown(&app, &token), [Value::Null, Value::Null, json!("")]);
    let marking = app
        .sibling()
        .setting("TOKENHOUSE_VERIFICATION", "mark")
        .start();
    assert_eq!(
        shown(&marking, &token),
        [json!(false), json!(false), json!("false")]
    );
    // At once, also in a process that has cached the user.
    assert_eq!(app.run(&["user", "verify", &alice.email]).0, Some(0));
    assert_eq!(
        shown(&marking, &token),
        [json!(true), json!(true), json!("true")]
    );
    assert_eq!(shown(&app, &token), [Value::Null, Value::Null, json!("")]);
    let key = app.create_app("reader", "introspect");
    let form = marking
        .post("/introspect")
        .bearer(crate::harness::STATIC_KEY);
    let state = form.form(&[("token", key.as_str())]).send().json();
    assert_eq!(
        (&state["active"], &state["email_verified"]),
        (&json!(true), &Value::Null)
    );
}

fn unverified_user_holds_no_scopes(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "scopes")
        .start();
    let alice = app.register_with("alice", OWN_SCOPES);
    let mail = inbox.wait_for(1);
    // The answer names what was granted (RFC 6749 section 5.1).
    let signed_in = alice.try_sign_in(&alice.password, "offline_access").json();
    assert_eq!(signed_in["scope"], "");
    let refresh = |refresh_token: &Value| {
        let token = refresh_token.as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        app.post("/token").form(&form).send().json()
    };
    let refreshed = refresh(&signed_in["refresh_token"]);
    assert_eq!(refreshed["scope"], "");
    assert_eq!(refresh(&signed_in["refresh_token"])["scope"], "");
    let token = refreshed["access_token"].as_str().unwrap().to_owned();
    let key = app.create_key(&token, "users:read").secret;
    for credential in [&token, &key] {
        assert_eq!(app.status("/users/me", credential), 200);
        assert_eq!(app.status("/admin/users", credential), 403);
        assert_eq!(app.status("/verify?scope=users:read", credential), 403);
        let form = app.post("/introspect").bearer(crate::harness::STATIC_KEY);
        let state = form.form(&[("token", credential.as_str())]).send().json();
        assert_eq!(
            (&state["active"], &state["scope"]),
            (&json!(true), &json!(""))
        );
    }
    let body = json!({ "token": mail.token });
    let verified = app.post("/verify-email").bearer(&token).json(&body).send();
    assert_eq!(verified.status, 200);
    for credential in [&token, &key] {
        assert_eq!(app.status("/admin/users", credential), 200);
    }
    let scope = &refresh(&refreshed["refresh_token"])["scope"];
    assert_eq!(scope, OWN_SCOPES);
    assert_eq!(
        &alice.try_sign_in(&alice.password, "").json()["scope"],
        scope
    );
    // Apps have no address.
    let reader = app.create_app("reader", "users:read");
    assert_eq!(app.status("/admin/users", &reader), 200);
}

fn unverified_user_cannot_sign_in(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "sign-in")
        .start();
    let alice = app.register_with("alice", OWN_SCOPES);
    let mail = inbox.wait_for(1);
    let refused = alice.try_sign_in(&alice.password, "");
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (403, &json!("email_not_verified"))
    );
    // Who does not know the password learns nothing.
    assert_eq!(alice.try_sign_in("a wrong password", "").status, 401);
    assert_eq!(by_token(&app, &mail.token).status, 200);
    assert_eq!(alice.try_sign_in(&alice.password, "").status, 200);
    let reasons = app.database().texts(
        "SELECT detail AS text FROM audit_events WHERE action = 'login' AND result = 'refused'
         ORDER BY id LIMIT 1",
    );
    assert_eq!(reasons, [r#"{"reason":"unverified"}"#]);
    // Administrators are told what the person whom they create has to do.
    let form = Browser::of(&alice).page("/console/users/new");
    assert!(form.contains("gets a mail to confirm"), "{form}");
}

fn users_whom_administrators_create_are_asked_to_verify(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "mark")
        .start();
    let admin = app.register_with("admin", OWN_SCOPES);
    inbox.wait_for(1);
    let user = json!({
        "name": "Grace Hopper", "surname": "", "website": "", "email": "json@example.com",
        "password": PASSWORD,
    });
    let token = admin.sign_in();
    let created = app.post("/admin/users").bearer(&token).json(&user).send();
    assert_eq!(created.status, 201, "{created:?}");
    let by_json = inbox.wait_for(2);

    let fields = [
        ("name", "Grace Hopper"),
        ("email", "page@example.com"),
        ("password", PASSWORD),
    ];
    let mut browser = Browser::of(&admin);
    let created = browser.submit("/console/users/new", "/console/users", &fields);
    assert_eq!(created.status, 303, "{created:?}");
    let by_page = inbox.wait_for(3);

    let email = "shell@example.com";
    let mut command = app.program(&["user", "create", email, "--name", "Grace Hopper"]);
    command
        .env(
            "TOKENHOUSE_MAIL",
            format!("file:{}", inbox.path().display()),
        )
        .env("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL)
        .env("TOKENHOUSE_VERIFICATION", "mark");
    let created = run_with_input(&mut command, PASSWORD);
    assert!(created.status.success(), "{created:?}");
    let by_command = inbox.wait_for(4);

    for (mail, name) in [(by_json, "json"), (by_page, "page"), (by_command, "shell")] {
        assert_eq!(mail.purpose, "verify-address");
        assert_eq!(mail.to, format!("{name}@example.com"));
        assert_eq!(by_token(&app, &mail.token).status, 200);
    }
}

fn domains_require_verification(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_REGISTRATION", "domains")
        .setting("TOKENHOUSE_REGISTRATION_DOMAINS", "example.com")
        .start();
    let ceo = app.register("ceo");
    assert_eq!(ceo.try_sign_in(&ceo.password, "").status, 403);
    let mail = inbox.wait_for(1);
    assert_eq!(by_token(&app, &mail.token).status, 200);
    let token = ceo.sign_in();
    assert_eq!(
        shown(&app, &token),
        [json!(true), json!(true), json!("true")]
    );
}

fn another_address_is_unverified(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "mark")
        .start();
    let alice = app.register("alice");
    let mail = inbox.wait_for(1);
    let token = alice.sign_in();
    let update = |new: &str| {
        assert_eq!(app.run(&["user", "update", "1", "--email", new]).0, Some(0));
    };
    assert_eq!(app.run(&["user", "verify", &alice.email]).0, Some(0));
    // The same address in other capitals stays verified.
    update("ALICE@example.com");
    assert_eq!(shown(&app, &token)[0], json!(true));
    update("alice@example.org");
    assert_eq!(shown(&app, &token)[0], json!(false));
    assert_refused(&by_token(&app, &mail.token), "bad_token");
}

fn two_presses_are_one_event(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    let client = *app;
    let body = json!({ "token": mail.token });
    let mut statuses = concurrently(4, 4, |_| {
        let pressed = client.post("/verify-email").json(&body).send();
        let error = pressed.json()["error"].as_str().map(str::to_owned);
        (pressed.status, error)
    });
    statuses.sort();
    assert_eq!(statuses[0], (200, None));
    let already = (400, Some("already_verified".to_owned()));
    assert!(
        statuses[1..].iter().all(|status| *status == already),
        "{statuses:?}"
    );
    let events = "audit_events WHERE action = 'email.verify' AND result = 'ok'";
    assert_eq!(app.database().count(events), 1);
}

fn registration_can_tell_nothing(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_REGISTER_ANSWER", "uniform")
        .start();
    let register = |name: &str| {
        let user = TestUser::new(name);
        let answer = app.post("/register").json(&user.registration()).send();
        let mut headers = answer.headers.clone();
        headers
            .retain(|(name, _)| !["date", "x-request-id"].contains(&name.to_lowercase().as_str()));
        headers.sort();
        (answer.status, headers, answer.text().to_owned())
    };
    let new = register("alice");
    assert_eq!((new.0, new.2.as_str()), (202, "null"));
    let mail = inbox.wait_for(1);
    assert_eq!(mail.purpose, "verify-address");
    assert_eq!(register("alice"), new);
    let mail = inbox.wait_for(2);
    assert_eq!(
        (mail.purpose.as_str(), mail.token.as_str()),
        ("address-taken", "")
    );
    assert_eq!(app.database().count("users"), 1);
    let weak = json!({ "name": "Alice Example", "surname": "", "website": "",
        "email": "alice@example.com", "password": "short" });
    assert_eq!(app.post("/register").json(&weak).send().status, 422);
    // Two at the same moment are one user.
    let client = *app;
    let bob = TestUser::new("bobby").registration();
    let statuses = concurrently(4, 4, |_| client.post("/register").json(&bob).send().status);
    assert_eq!(statuses, [202; 4]);
    assert_eq!(app.database().count("users"), 2);
}
