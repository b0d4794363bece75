//! Another address for an account.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::{Inbox, Mail};
use crate::harness::{Backend, Client, Response, TestApp, concurrently, on_both_databases};

on_both_databases!(
    new_address_is_confirmed_and_the_old_one_leads_back,
    nothing_changes_before_the_confirmation,
    password_or_a_recent_sign_in_is_required,
    first_of_two_with_one_new_address_wins,
    simultaneous_confirmations_of_one_address_have_one_winner,
    only_the_capitals_change,
    change_can_be_withdrawn_and_replaced,
    chain_of_changes_leads_back_to_the_first_address,
    links_of_the_old_address_die_with_it,
    old_address_is_reserved_while_it_can_be_returned_to,
    unverified_address_is_not_told_and_gets_no_way_back,
    change_by_the_operator_is_told_and_cannot_be_undone,
    taken_address_is_not_told_where_registration_does_not_tell,
    address_gets_few_mails,
);

fn change(client: &Client, token: &str, body: &Value) -> Response {
    client
        .post("/users/me/email")
        .bearer(token)
        .json(body)
        .send()
}

/// Asks for another address, and waits until its mail is the one with this number.
fn ask(app: &TestApp, inbox: &Inbox, token: &str, email: &str, number: usize) -> Mail {
    let asked = change(app, token, &json!({ "email": email }));
    assert_eq!(asked.status, 202, "{asked:?}");
    assert_eq!(
        asked.json(),
        json!({ "pending_email": email, "expires_in": 3600 })
    );
    let mail = inbox.wait_for(number);
    assert_eq!(
        (mail.purpose.as_str(), mail.to.as_str()),
        ("confirm-change", email)
    );
    mail
}

fn confirm(client: &Client, token: &str) -> Response {
    let body = json!({ "token": token });
    client.post("/change-email").json(&body).send()
}

fn undo(client: &Client, token: &str) -> Response {
    let body = json!({ "token": token });
    client.post("/change-email/undo").json(&body).send()
}

fn email_of(client: &Client, token: &str) -> String {
    let me = client.get("/users/me").bearer(token).send();
    me.json()["email"].as_str().unwrap().to_owned()
}

fn new_address_is_confirmed_and_the_old_one_leads_back(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let mail = ask(&app, &inbox, &token, "alice@example.org", 1);
    let confirmed = confirm(&app, &mail.token);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let user = confirmed.json();
    assert_eq!(
        (&user["email"], &user["email_verified"]),
        (&json!("alice@example.org"), &json!(true))
    );
    assert_eq!(confirm(&app, &mail.token).status, 400);
    assert_eq!(email_of(&app, &token), "alice@example.org");
    let notice = inbox.wait_for(2);
    assert_eq!(
        (notice.purpose.as_str(), notice.to.as_str()),
        ("address-changed", "alice@example.com")
    );
    assert!(notice.text.contains("alice@example.org"), "{notice:?}");
    // A link for one purpose is good for no other.
    for path in ["/reset-password", "/verify-email", "/change-email"] {
        let body = match path {
            "/reset-password" => json!({ "token": notice.token, "password": "another password" }),
            _ => json!({ "token": notice.token }),
        };
        assert_eq!(app.post(path).json(&body).send().status, 400, "{path}");
    }
    let undone = undo(&app, &notice.token);
    assert_eq!(
        (undone.status, &undone.json()["email"]),
        (200, &json!("alice@example.com"))
    );
    for credential in [&token, &key] {
        assert_eq!(app.status("/users/me", credential), 401);
    }
    let reset = inbox.wait_for(3);
    assert_eq!(
        (reset.purpose.as_str(), reset.to.as_str()),
        ("reset-password", "alice@example.com")
    );
    assert_eq!(undo(&app, &notice.token).status, 400);
    assert_eq!(email_of(&app, &alice.sign_in()), "alice@example.com");
}

fn nothing_changes_before_the_confirmation(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "7d")
        .clock(clock.clone())
        .start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let mail = ask(&app, &inbox, &token, "carol@example.com", 1);
    assert_eq!(email_of(&app, &token), alice.email);
    // It reserves nothing.
    app.register("carol");
    let refused = confirm(&app, &mail.token);
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(confirm(&app, &mail.token).status, 400, "no longer pending");
    assert_eq!(email_of(&app, &token), alice.email);
    let taken = change(
        &app,
        &alice.sign_in(),
        &json!({ "email": "CAROL@example.com" }),
    );
    assert_eq!(taken.status, 409);
    clock.advance(TimeDelta::seconds(1));
    let mail = ask(&app, &inbox, &alice.sign_in(), "alice@example.org", 2);
    clock.advance(TimeDelta::hours(1));
    assert_eq!(confirm(&app, &mail.token).status, 400, "expired");
    inbox.stays_at(2);
}

fn password_or_a_recent_sign_in_is_required(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    clock.advance(TimeDelta::minutes(16));
    let new = "alice@example.org";
    let status = |credential: &str, body: Value| change(&app, credential, &body).status;
    assert_eq!(status(&token, json!({ "email": new })), 403);
    assert_eq!(
        status(&token, json!({ "email": new, "password": "wrong" })),
        403
    );
    assert_eq!(
        status(&key, json!({ "email": new, "password": alice.password })),
        403
    );
    assert_eq!(
        status(
            &token,
            json!({ "email": "none", "password": alice.password })
        ),
        422
    );
    assert_eq!(
        status(&token, json!({ "email": new, "password": alice.password })),
        202
    );
    inbox.wait_for(1);
}

fn first_of_two_with_one_new_address_wins(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let [alice, bob] = ["alice", "bobby"].map(|name| app.register(name).sign_in());
    let first = ask(&app, &inbox, &alice, "new@example.com", 1);
    let second = ask(&app, &inbox, &bob, "new@example.com", 2);
    assert_eq!(confirm(&app, &first.token).status, 200);
    assert_eq!(confirm(&app, &second.token).status, 409);
    assert_eq!(confirm(&app, &second.token).status, 400);
    assert_eq!(email_of(&app, &bob), "bobby@example.com");
    let pending = "users WHERE pending_email IS NOT NULL OR pending_email_key IS NOT NULL";
    assert_eq!(app.database().count(pending), 0);
}

fn simultaneous_confirmations_of_one_address_have_one_winner(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let names = ["alice", "bobby", "carol", "david"];
    let links: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let token = app.register(name).sign_in();
            ask(&app, &inbox, &token, "new@example.com", index + 1).token
        })
        .collect();
    let client = *app;
    let mut statuses = concurrently(4, 4, |number| confirm(&client, &links[number]).status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
    let count = |what: &str| app.database().count(what);
    assert_eq!(count("users WHERE email = 'new@example.com'"), 1);
    assert_eq!(count("users WHERE pending_email_key IS NOT NULL"), 0);
}

fn only_the_capitals_change(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "mark")
        .start();
    let alice = app.register("alice");
    let bob = app.register("bobby");
    inbox.wait_for(2);
    assert_eq!(app.run(&["user", "verify", &alice.email]).0, Some(0));
    let token = alice.sign_in();
    let done = change(&app, &token, &json!({ "email": "Alice@example.com" }));
    let user = done.json();
    assert_eq!(
        (done.status, &user["email"], &user["email_verified"]),
        (200, &json!("Alice@example.com"), &json!(true))
    );
    let taken = change(
        &app,
        &bob.sign_in(),
        &json!({ "email": "ALICE@example.com" }),
    );
    assert_eq!(taken.status, 409);
    inbox.stays_at(2);
    alice.sign_in();
}

fn change_can_be_withdrawn_and_replaced(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let token = app.register("alice").sign_in();
    let withdraw = || {
        let request = app.request("DELETE", "/users/me/email").bearer(&token);
        request.send().status
    };
    assert_eq!(withdraw(), 204, "nothing is pending");
    let first = ask(&app, &inbox, &token, "one@example.org", 1);
    let second = ask(&app, &inbox, &token, "two@example.org", 2);
    assert_eq!(confirm(&app, &first.token).status, 400, "replaced");
    assert_eq!(withdraw(), 204);
    assert_eq!(confirm(&app, &second.token).status, 400, "withdrawn");
    assert_eq!(email_of(&app, &token), "alice@example.com");
}

fn chain_of_changes_leads_back_to_the_first_address(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let one = ask(&app, &inbox, &token, "one@evil.example.com", 1);
    assert_eq!(confirm(&app, &one.token).status, 200);
    let of_alice = inbox.wait_for(2);
    let two = ask(&app, &inbox, &token, "two@evil.example.com", 3);
    assert_eq!(confirm(&app, &two.token).status, 200);
    let of_thief = inbox.wait_for(4);
    assert_eq!(of_thief.to, "one@evil.example.com");
    // A mail to one of the boxes that still waits stays when the other one is sent.
    let database = app.database();
    database.execute(
        "UPDATE mail_outbox SET sent_at = NULL, next_at = '2999-01-01 00:00:00'
         WHERE to_address = 'one@evil.example.com' AND purpose = 'address-changed'",
    );
    let three = ask(&app, &inbox, &token, "three@evil.example.com", 5);
    assert_eq!(confirm(&app, &three.token).status, 200);
    assert_eq!(inbox.wait_for(6).to, "two@evil.example.com");
    let waiting = "mail_outbox WHERE sent_at IS NULL AND purpose = 'address-changed'";
    assert_eq!(database.count(waiting), 1);
    // The owner of the first box gets the account back, and the link to the second box dies with that.
    assert_eq!(undo(&app, &of_alice.token).status, 200);
    assert_eq!(undo(&app, &of_thief.token).status, 400);
    assert_eq!(database.count(waiting), 0);
    assert_eq!(email_of(&app, &alice.sign_in()), "alice@example.com");
}

fn links_of_the_old_address_die_with_it(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let body = json!({ "email": alice.email });
    assert_eq!(app.post("/forgot-password").json(&body).send().status, 202);
    let reset = inbox.wait_for(1);
    assert_eq!(
        app.post("/verify-email/request").json(&body).send().status,
        202
    );
    let verify = inbox.wait_for(2);
    let mail = ask(&app, &inbox, &token, "alice@example.org", 3);
    assert_eq!(confirm(&app, &mail.token).status, 200);
    for (path, token) in [
        ("/reset-password", &reset.token),
        ("/verify-email", &verify.token),
    ] {
        let body = json!({ "token": token, "password": "another password altogether" });
        assert_eq!(app.post(path).json(&body).send().status, 400, "{path}");
    }
}

fn register(app: &TestApp, email: &str) -> Response {
    let body = json!({
        "name": "Mallory", "surname": "", "website": "", "email": email,
        "password": "correct horse battery",
    });
    app.post("/register").json(&body).send()
}

fn old_address_is_reserved_while_it_can_be_returned_to(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let bob = app.register("bobby").sign_in();
    let mail = ask(&app, &inbox, &alice.sign_in(), "thief@example.com", 1);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(confirm(&app, &mail.token).status, 200);
    // At once, not only when the mail is sent.
    assert_eq!(register(&app, &alice.email).status, 409);
    let notice = inbox.wait_for(2);
    assert_eq!(
        change(&app, &bob, &json!({ "email": alice.email })).status,
        409
    );
    assert_eq!(notice.purpose, "address-changed");
    clock.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!(register(&app, "ALICE@example.com").status, 409);
    clock.advance(TimeDelta::seconds(2));
    assert_eq!(undo(&app, &notice.token).status, 400, "expired");
    assert_eq!(register(&app, &alice.email).status, 201);
}

fn unverified_address_is_not_told_and_gets_no_way_back(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "mark")
        .start();
    // With a slip of the pen: the box is a stranger's.
    let alice = app.register("alice");
    inbox.wait_for(1);
    let mail = ask(&app, &inbox, &alice.sign_in(), "alicia@example.com", 2);
    let confirmed = confirm(&app, &mail.token);
    assert_eq!(
        (confirmed.status, &confirmed.json()["email_verified"]),
        (200, &json!(true))
    );
    inbox.stays_at(2);
    assert_eq!(
        app.database().count("mail_tokens WHERE purpose = 'undo'"),
        0
    );
}

fn change_by_the_operator_is_told_and_cannot_be_undone(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let mail = ask(&app, &inbox, &token, "thief@example.com", 1);
    assert_eq!(confirm(&app, &mail.token).status, 200);
    let of_alice = inbox.wait_for(2);
    let pending = ask(&app, &inbox, &token, "second@example.com", 3);
    let update = ["user", "update", "1", "--email", "alice@example.org"];
    let mut command = app.program(&update);
    command
        .env(
            "TOKENHOUSE_MAIL",
            format!("file:{}", inbox.path().display()),
        )
        .env("TOKENHOUSE_PUBLIC_URL", super::inbox::PUBLIC_URL);
    assert!(command.output().unwrap().status.success());
    let notice = inbox.wait_for(4);
    assert_eq!(
        (
            notice.purpose.as_str(),
            notice.to.as_str(),
            notice.token.as_str()
        ),
        ("address-changed", "thief@example.com", "")
    );
    assert_eq!(confirm(&app, &pending.token).status, 400);
    assert_eq!(undo(&app, &of_alice.token).status, 400);
    assert_eq!(email_of(&app, &token), "alice@example.org");
}

fn taken_address_is_not_told_where_registration_does_not_tell(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_REGISTER_ANSWER", "uniform")
        .start();
    for email in ["alice@example.com", "bobby@example.com"] {
        assert_eq!(register(&app, email).status, 202);
    }
    inbox.wait_for(2);
    let form = [
        ("username", "alice@example.com"),
        ("password", "correct horse battery"),
    ];
    let signed_in = app.post("/token").form(&form).send().json();
    let token = signed_in["access_token"].as_str().unwrap().to_owned();
    let mail = ask(&app, &inbox, &token, "bobby@example.com", 3);
    assert_eq!(confirm(&app, &mail.token).status, 409);
    assert_eq!(email_of(&app, &token), "alice@example.com");
}

fn address_gets_few_mails(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .start();
    let token = app.register("alice").sign_in();
    ask(&app, &inbox, &token, "new@example.com", 1);
    let second = change(&app, &token, &json!({ "email": "new@example.com" }));
    assert_eq!(second.status, 429, "{second:?}");
    assert_eq!(second.header("retry-after").as_deref(), Some("60"));
    inbox.stays_at(1);
}
