//! Resetting a forgotten password.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::{Inbox, Mail};
use crate::harness::{Backend, OWN_SCOPES, Response, TestApp, concurrently, on_both_databases};

on_both_databases!(
    link_resets_the_password_once_and_ends_everything,
    code_resets_the_password,
    code_is_dead_after_five_wrong_tries,
    answer_is_the_same_for_every_address,
    link_dies_with_its_reason,
    weak_password_leaves_the_link_good,
    reset_works_while_the_account_is_throttled_and_clears_it,
    address_and_network_get_few_mails,
    keys_stay_by_choice,
    administrator_sends_or_prints_a_link,
    link_expires,
    of_two_simultaneous_resets_one_succeeds,
    without_mail_only_printed_links_work,
);

const NEW: &str = "another password altogether";

fn forgot(app: &TestApp, email: &str) -> Response {
    let body = json!({ "email": email });
    app.post("/forgot-password").json(&body).send()
}

/// Asks for a mail, and waits until it is the one with this number.
fn ask(app: &TestApp, inbox: &Inbox, email: &str, number: usize) -> Mail {
    let asked = forgot(app, email);
    assert_eq!((asked.status, asked.text()), (202, "null"));
    let mail = inbox.wait_for(number);
    assert_eq!(mail.purpose, "reset-password");
    mail
}

fn reset(app: &TestApp, body: &Value) -> Response {
    app.post("/reset-password").json(body).send()
}

fn by_token(app: &TestApp, token: &str, password: &str) -> u16 {
    reset(app, &json!({ "token": token, "password": password })).status
}

#[track_caller]
fn assert_bad_token(response: &Response) {
    assert_eq!(
        (response.status, &response.json()["error"]),
        (400, &"bad_token".into()),
        "{response:?}"
    );
}

fn link_resets_the_password_once_and_ends_everything(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    // In another spelling: the mail goes to the address as stored.
    let mail = ask(&app, &inbox, "ALICE@Example.com", 1);
    assert_eq!(
        (mail.to.as_str(), mail.code.len()),
        ("alice@example.com", 8)
    );
    assert!(mail.text.contains("30 minutes"), "{mail:?}");
    // Neither a look at the link nor a use as another credential spends it.
    for method in ["GET", "HEAD"] {
        let path = format!("/reset-password?t={}", mail.token);
        app.request(method, path.as_str()).send();
    }
    assert_eq!(app.status("/users/me", &mail.token), 401);
    let verify = app
        .post("/verify-email")
        .json(&json!({ "token": mail.token }));
    assert_bad_token(&verify.send());

    let done = reset(&app, &json!({ "token": mail.token, "password": NEW }));
    assert_eq!((done.status, done.text()), (200, "null"));
    for credential in [&token, &key] {
        assert_eq!(app.status("/users/me", credential), 401);
    }
    assert_eq!(alice.try_sign_in(&alice.password, "").status, 401);
    assert_eq!(alice.try_sign_in(NEW, "").status, 200);
    assert_bad_token(&reset(
        &app,
        &json!({ "token": mail.token, "password": NEW }),
    ));
    let code = json!({ "email": alice.email, "code": mail.code, "password": NEW });
    assert_bad_token(&reset(&app, &code));
    let events = app.database().texts(
        "SELECT action || ' ' || result || ' ' || actor || ' ' || credential AS text FROM audit_events
         WHERE action LIKE 'password.reset%' OR action = 'mail.request' ORDER BY id",
    );
    let expected = [
        "mail.request ok anonymous ",
        "password.reset ok user:1 mail",
        "password.reset refused anonymous ",
    ];
    assert_eq!(events[..3], expected, "{events:?}");
}

fn code_resets_the_password(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    let typed = format!("{}-{}", &mail.code[..4], mail.code[4..].to_lowercase());
    let typed = typed.replace('0', "o").replace('1', "l");
    let body = |code: &str| json!({ "email": "Alice@example.com", "code": code, "password": NEW });
    assert_bad_token(&reset(&app, &body("00000000")));
    assert_bad_token(&reset(&app, &body("not a code")));
    assert_eq!(reset(&app, &body(&typed)).status, 200);
    assert_eq!(alice.try_sign_in(NEW, "").status, 200);
    assert_bad_token(&reset(&app, &body(&typed)));
}

fn code_is_dead_after_five_wrong_tries(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    let body = |code: &str| json!({ "email": alice.email, "code": code, "password": NEW });
    for _ in 0..5 {
        assert_bad_token(&reset(&app, &body("ZZZZZZZZ")));
    }
    assert_bad_token(&reset(&app, &body(&mail.code)));
    // A new code has tries of its own.
    clock.advance(TimeDelta::minutes(2));
    let mail = ask(&app, &inbox, &alice.email, 2);
    assert_eq!(reset(&app, &body(&mail.code)).status, 200);
}

fn answer_is_the_same_for_every_address(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .start();
    let alice = app.register("alice");
    let bob = app.register("bob");
    app.database()
        .execute("UPDATE users SET disabled_at = created_at WHERE email = 'bob@example.com'");
    let unlike = ["date", "x-request-id"];
    let shown = |response: Response| {
        let mut headers = response.headers.clone();
        headers.retain(|(name, _)| !unlike.contains(&name.to_lowercase().as_str()));
        headers.sort();
        (response.status, headers, response.body)
    };
    let known = shown(forgot(&app, &alice.email));
    for email in [
        &bob.email,
        "nobody@example.com",
        "+x@example.com",
        &alice.email,
    ] {
        assert_eq!(shown(forgot(&app, email)), known, "{email}");
    }
    assert_eq!(forgot(&app, "no address").status, 422);
    inbox.wait_for(1);
    inbox.stays_at(1);
    assert_eq!(app.database().count("mail_outbox WHERE sent_at IS NULL"), 0);
}

fn link_dies_with_its_reason(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_NOTICES", "none")
        .clock(clock.clone())
        .start();
    let alice = app.register("alice");
    let mut number = 0;
    let mut link = || {
        number += 1;
        clock.advance(TimeDelta::minutes(20));
        ask(&app, &inbox, &alice.email, number).token
    };
    let first = link();
    // By a new request.
    let second = link();
    assert_eq!(by_token(&app, &first, NEW), 400);
    // By a change of the password, by its owner or an operator.
    let token = alice.sign_in();
    let change = json!({ "current_password": alice.password, "new_password": NEW });
    let change = app.post("/users/me/password").bearer(&token).json(&change);
    assert_eq!(change.send().status, 204);
    assert_eq!(by_token(&app, &second, NEW), 400);
    let third = link();
    let passwd = crate::harness::run_with_input(
        &mut app.program(&["user", "passwd", &alice.email]),
        "a third password of hers",
    );
    assert!(passwd.status.success(), "{passwd:?}");
    assert_eq!(by_token(&app, &third, NEW), 400);
    // By another address.
    let fourth = link();
    let update = [
        "user",
        "update",
        &alice.email,
        "--email",
        "alice@example.org",
    ];
    assert_eq!(app.run(&update).0, Some(0));
    assert_eq!(by_token(&app, &fourth, NEW), 400);
    assert_eq!(
        app.run(&["user", "update", "1", "--email", &alice.email]).0,
        Some(0)
    );
    // While disabled, and after that.
    let fifth = link();
    for command in ["disable", "enable"] {
        assert_eq!(app.run(&["user", command, &alice.email]).0, Some(0));
        assert_eq!(by_token(&app, &fifth, NEW), 400);
    }
    // With the user.
    let sixth = link();
    assert_eq!(
        app.run(&["user", "delete", &alice.email, "--yes"]).0,
        Some(0)
    );
    assert_eq!(by_token(&app, &sixth, NEW), 400);
}

fn weak_password_leaves_the_link_good(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    for weak in ["short", "password123", "alice@example.com"] {
        let refused = reset(&app, &json!({ "token": mail.token, "password": weak }));
        assert_eq!(refused.status, 422, "{weak}");
        assert_eq!(
            refused.json()["detail"][0]["loc"],
            json!(["body", "password"])
        );
    }
    for incomplete in [
        json!({ "password": NEW }),
        json!({ "email": alice.email, "password": NEW }),
        json!({ "code": mail.code, "password": NEW }),
        json!({ "token": mail.token }),
        json!({ "token": 1, "password": NEW }),
    ] {
        assert_eq!(reset(&app, &incomplete).status, 422, "{incomplete}");
    }
    assert_eq!(by_token(&app, &mail.token, NEW), 200);
}

fn reset_works_while_the_account_is_throttled_and_clears_it(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", "3")
        .start();
    let alice = app.register("alice");
    let elsewhere = app.from([127, 0, 0, 9]);
    let stranger = |password: &str| {
        let form = [("username", alice.email.as_str()), ("password", password)];
        elsewhere.post("/token").form(&form).send().status
    };
    for _ in 0..4 {
        assert_eq!(stranger("a wrong password"), 401);
    }
    assert_eq!(stranger(&alice.password), 401, "the account waits");
    let mail = ask(&app, &inbox, &alice.email, 1);
    assert_eq!(by_token(&app, &mail.token, NEW), 200);
    assert_eq!(stranger(NEW), 200);
}

fn address_and_network_get_few_mails(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .clock(clock.clone())
        .start();
    let alice = app.register("alice");
    ask(&app, &inbox, &alice.email, 1);
    let second = forgot(&app, &alice.email);
    assert_eq!((second.status, second.text()), (202, "null"));
    for minute in 2..=5 {
        clock.advance(TimeDelta::seconds(61));
        ask(&app, &inbox, &alice.email, minute);
    }
    clock.advance(TimeDelta::seconds(61));
    assert_eq!(forgot(&app, &alice.email).status, 202);
    inbox.stays_at(5);
    // One network asks for 30 mails an hour, whoever gets them.
    for number in 0..40 {
        let unknown = format!("nobody{number}@example.com");
        assert_eq!(forgot(&app, &unknown).status, 202);
    }
    let bob = app.register("bobby");
    assert_eq!(forgot(&app, &bob.email).status, 202);
    inbox.stays_at(5);
    let body = json!({ "email": bob.email });
    let elsewhere = app.from([127, 0, 0, 9]);
    assert_eq!(
        elsewhere.post("/forgot-password").json(&body).send().status,
        202
    );
    inbox.wait_for(6);
    let refused = app.database().texts(
        "SELECT DISTINCT detail AS text FROM audit_events
         WHERE action = 'mail.request' AND result = 'refused' AND detail LIKE '%reason%'",
    );
    assert_eq!(refused, [r#"{"reason":"throttled"}"#]);
}

fn keys_stay_by_choice(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let mail = ask(&app, &inbox, &alice.email, 1);
    let body = json!({ "token": mail.token, "password": NEW, "end_keys": false });
    assert_eq!(reset(&app, &body).status, 200);
    assert_eq!(app.status("/users/me", &token), 401);
    assert_eq!(app.status("/users/me", &key), 200);
}

fn administrator_sends_or_prints_a_link(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let send = |credential: &str, body: Value| {
        let request = app.post("/admin/users/1/reset").bearer(credential);
        request.json(&body).send()
    };
    let sent = send(&admin, json!({}));
    assert_eq!((sent.status, sent.text()), (202, "null"));
    let mailed = inbox.wait_for(1).token;
    let printed = send(&admin, json!({ "deliver": false }));
    assert_eq!(printed.status, 201, "{printed:?}");
    let url = printed.json()["url"].as_str().unwrap().to_owned();
    let prefix = format!("{}/reset-password?t=", super::inbox::PUBLIC_URL);
    let token = url.strip_prefix(&prefix).expect("it leads to the page");
    assert_eq!(by_token(&app, &mailed, NEW), 400, "replaced");
    assert_eq!(by_token(&app, token, NEW), 200);
    assert_eq!(alice.try_sign_in(NEW, "").status, 200);
    // Nobody makes a link for a user with more authority, and no key makes one.
    let key = app.create_key(&admin, OWN_SCOPES).secret;
    assert_eq!(send(&key, json!({})).status, 403);
    let lesser = app.register_with("lesser", "users:write").sign_in();
    let upwards = app.post("/admin/users/2/reset").bearer(&lesser);
    assert_eq!(
        upwards.json(&json!({ "deliver": false })).send().status,
        403
    );
    assert_eq!(
        send(&alice.client.register("carol").sign_in(), json!({})).status,
        403
    );
    let nobody = app.post("/admin/users/99/reset").bearer(&admin);
    assert_eq!(nobody.json(&json!({})).send().status, 404);
}

fn link_expires(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_RESET_LIFETIME", "30m")
        .clock(clock.clone())
        .start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    clock.advance(TimeDelta::minutes(10));
    let code = json!({ "email": alice.email, "code": mail.code, "password": NEW });
    assert_bad_token(&reset(&app, &code));
    clock.advance(TimeDelta::seconds(20 * 60 - 1));
    let weak = reset(
        &app,
        &json!({ "token": mail.token, "password": "password123" }),
    );
    assert_eq!(weak.status, 422, "still good");
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(by_token(&app, &mail.token, NEW), 400);
}

fn of_two_simultaneous_resets_one_succeeds(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let mail = ask(&app, &inbox, &alice.email, 1);
    let client = *app;
    let statuses = concurrently(4, 4, |number| {
        let password = format!("password number {number}");
        let body = json!({ "token": mail.token, "password": password });
        client.post("/reset-password").json(&body).send().status
    });
    let done = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(done, 1, "{statuses:?}");
}

fn without_mail_only_printed_links_work(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    assert_eq!(forgot(&app, &alice.email).status, 404);
    let (code, problem) = app.run(&["user", "reset-link", &alice.email]);
    assert_eq!(code, Some(1));
    assert!(problem.contains("TOKENHOUSE_PUBLIC_URL"), "{problem}");
    let mut command = app.program(&["user", "reset-link", &alice.email]);
    let output = command
        .env("TOKENHOUSE_PUBLIC_URL", "https://x.example/auth")
        .output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    let token = printed
        .trim()
        .strip_prefix("https://x.example/auth/reset-password?t=");
    assert_eq!(by_token(&app, token.expect(&printed), NEW), 200);
    assert_eq!(alice.try_sign_in(NEW, "").status, 200);
}
