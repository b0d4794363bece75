//! Invitations.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokenhouse::{Auth, Clock};

use super::inbox::PUBLIC_URL;
use super::{FAILED_MAILS, Inbox};
use crate::harness::{
    Backend, Client, OWN_SCOPES, Response, TestApp, concurrently, on_both_databases, runtime,
};

on_both_databases!(
    invited_user_accepts_once_and_is_verified,
    scopes_are_at_most_those_that_the_administrator_may_grant,
    scopes_that_the_inviter_has_lost_are_not_granted,
    state_is_told_when_it_is_over,
    address_has_one_open_invitation,
    resent_invitation_has_another_link,
    weak_password_leaves_the_invitation,
    of_two_simultaneous_acceptances_one_succeeds,
    invitations_are_listed,
    operator_prints_a_link_while_registration_is_closed,
);

const PASSWORD: &str = "a password of the guest";

fn invite(client: &Client, token: &str, body: &Value) -> Response {
    client
        .post("/admin/invitations")
        .bearer(token)
        .json(body)
        .send()
}

fn accept(client: &Client, token: &str) -> Response {
    let body = json!({ "token": token, "surname": "Guest", "password": PASSWORD });
    client.post("/invitations/accept").json(&body).send()
}

fn show(client: &Client, token: &str) -> Response {
    client.get(format!("/invitations/{token}").as_str()).send()
}

fn token_of(url: &str) -> String {
    let prefix = format!("{PUBLIC_URL}/invitations/accept?t=");
    url.strip_prefix(&prefix)
        .expect("a link to the page")
        .to_owned()
}

/// Invites without a mail, and returns the id and the token of the link.
fn printed(client: &Client, token: &str, body: &Value) -> (i64, String) {
    let mut body = body.clone();
    body["deliver"] = false.into();
    let invited = invite(client, token, &body);
    assert_eq!(invited.status, 201, "{invited:?}");
    let invited = invited.json();
    let url = invited["url"].as_str().expect("a link");
    (invited["id"].as_i64().unwrap(), token_of(url))
}

fn sign_in(client: &Client, email: &str) -> String {
    let form = [("username", email), ("password", PASSWORD)];
    let signed_in = client.post("/token").form(&form).send();
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    signed_in.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn invited_user_accepts_once_and_is_verified(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_VERIFICATION", "sign-in")
        .start();
    let admin = app.register_with("admin", OWN_SCOPES);
    inbox.wait_for(1);
    assert_eq!(app.run(&["user", "verify", &admin.email]).0, Some(0));
    let token = admin.sign_in();
    let body = json!({ "email": "guest+1@example.com", "name": "Gloria", "scopes": "users:read" });
    let invited = invite(&app, &token, &body);
    assert_eq!(invited.status, 201, "{invited:?}");
    let invited = invited.json();
    assert_eq!(
        (&invited["state"], &invited["url"], &invited["email"]),
        (
            &json!("pending"),
            &Value::Null,
            &json!("guest+1@example.com")
        )
    );
    let mail = inbox.wait_for(2);
    assert_eq!(
        (mail.purpose.as_str(), mail.to.as_str()),
        ("invitation", "guest+1@example.com")
    );
    assert!(mail.text.contains("7 days"), "{mail:?}");
    // A look spends nothing, and the link is no other credential.
    for _ in 0..2 {
        let shown = show(&app, &mail.token);
        assert_eq!(shown.status, 200, "{shown:?}");
        assert_eq!(
            (&shown.json()["email"], &shown.json()["name"]),
            (&json!("guest+1@example.com"), &json!("Gloria"))
        );
    }
    let reset = json!({ "token": mail.token, "password": PASSWORD });
    assert_eq!(app.post("/reset-password").json(&reset).send().status, 400);
    let accepted = accept(&app, &mail.token);
    assert_eq!(accepted.status, 201, "{accepted:?}");
    let user = accepted.json();
    assert_eq!(
        (&user["name"], &user["email"], &user["email_verified"]),
        (
            &json!("Gloria"),
            &json!("guest+1@example.com"),
            &json!(true)
        )
    );
    let again = accept(&app, &mail.token);
    assert_eq!(
        (again.status, &again.json()["state"]),
        (410, &json!("accepted"))
    );
    let guest = sign_in(&app, "guest+1@example.com");
    assert_eq!(app.status("/admin/users", &guest), 200);
    let events = app.database().texts(
        "SELECT action || ' ' || target AS text FROM audit_events
         WHERE action LIKE 'invitation.%' ORDER BY id",
    );
    assert_eq!(events, ["invitation.create ", "invitation.accept user:2"]);
}

fn scopes_are_at_most_those_that_the_administrator_may_grant(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_GRANTABLE_SCOPES", "orders:*")
        .start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let lesser = app.register_with("lesser", "users:write").sign_in();
    let body =
        |email: &str, scopes: &str| json!({ "email": email, "scopes": scopes, "deliver": false });
    let status =
        |token: &str, scopes: &str| invite(&app, token, &body("guest@example.com", scopes)).status;
    assert_eq!(status(&lesser, "users:read"), 403);
    assert_eq!(status(&lesser, "other"), 403);
    assert_eq!(status(&lesser, "bad\"scope"), 422);
    assert_eq!(status(&lesser, "orders:read users:write"), 201);
    // Nor do they act on the invitations of administrators with more authority.
    let (id, _) = printed(
        &app,
        &admin,
        &json!({ "email": "two@example.com", "scopes": "users:read" }),
    );
    let of = |method: &str, path: String| app.request(method, path.as_str());
    let resend = of("POST", format!("/admin/invitations/{id}/resend"));
    assert_eq!(resend.bearer(&lesser).send().status, 403);
    let revoke = of("DELETE", format!("/admin/invitations/{id}"));
    assert_eq!(revoke.bearer(&lesser).send().status, 403);
    let key = app.create_key(&admin, OWN_SCOPES).secret;
    assert_eq!(
        invite(&app, &key, &body("three@example.com", "")).status,
        403
    );
    let nobody = app.register("nobody").sign_in();
    assert_eq!(
        invite(&app, &nobody, &body("three@example.com", "")).status,
        403
    );
}

fn scopes_that_the_inviter_has_lost_are_not_granted(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let invite_by = |name: &str, guest: &str| {
        let admin = app.register_with(name, OWN_SCOPES);
        let body = json!({ "email": guest, "name": "Gloria", "scopes": "users:read" });
        (
            admin.email.clone(),
            printed(&app, &admin.sign_in(), &body).1,
        )
    };
    app.register_with("keeper", OWN_SCOPES);
    let commands: [(&str, &[&str]); 3] = [
        (
            "first",
            &["user", "grant", "--revoke", "EMAIL", "users:read"],
        ),
        ("second", &["user", "disable", "EMAIL"]),
        ("third", &["user", "delete", "EMAIL", "--yes"]),
    ];
    for (name, command) in commands {
        let (email, link) = invite_by(name, &format!("guest-of-{name}@example.com"));
        let replaced: Vec<&str> = command
            .iter()
            .map(|word| {
                if *word == "EMAIL" {
                    email.as_str()
                } else {
                    word
                }
            })
            .collect();
        assert_eq!(app.run(&replaced).0, Some(0), "{name}");
        let refused = accept(&app, &link);
        assert_eq!(
            (refused.status, &refused.json()["state"]),
            (410, &json!("revoked")),
            "{name}"
        );
    }
    assert_eq!(app.database().count("users WHERE email LIKE 'guest%'"), 0);
}

fn state_is_told_when_it_is_over(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let admin = app.register_with("admin", OWN_SCOPES);
    let token = admin.sign_in();
    let (_, short) = printed(
        &app,
        &token,
        &json!({ "email": "one@example.com", "name": "Gloria", "expires_in": 60 }),
    );
    let (id, revoked) = printed(
        &app,
        &token,
        &json!({ "email": "two@example.com", "name": "Gloria" }),
    );
    let revoke = || {
        let request = app.request("DELETE", format!("/admin/invitations/{id}").as_str());
        request.bearer(&token).send().status
    };
    assert_eq!(revoke(), 204);
    assert_eq!(revoke(), 410);
    clock.advance(TimeDelta::seconds(59));
    assert_eq!(show(&app, &short).status, 200);
    clock.advance(TimeDelta::seconds(1));
    for (link, state) in [(&short, "expired"), (&revoked, "revoked")] {
        for response in [show(&app, link), accept(&app, link)] {
            assert_eq!(
                (response.status, &response.json()["state"]),
                (410, &json!(state)),
                "{response:?}"
            );
        }
    }
    let unknown = format!("tke_{}", "A".repeat(43));
    for wrong in ["wrong", unknown.as_str(), &short[4..]] {
        assert_eq!(show(&app, wrong).status, 400, "{wrong}");
        assert_eq!(accept(&app, wrong).status, 400, "{wrong}");
    }
    for expires_in in [json!(59), json!(30 * 86_400 + 1), json!("1d")] {
        let body = json!({ "email": "three@example.com", "expires_in": expires_in });
        assert_eq!(invite(&app, &token, &body).status, 422, "{body}");
    }
}

fn address_has_one_open_invitation(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let admin = app.register_with("admin", OWN_SCOPES);
    let body = json!({ "email": "guest@example.com", "name": "Gloria", "expires_in": 60 });
    let (_, first) = printed(&app, &admin.sign_in(), &body);
    let other = json!({ "email": "GUEST@example.com" });
    assert_eq!(invite(&app, &admin.sign_in(), &other).status, 409);
    let of_user = json!({ "email": admin.email });
    assert_eq!(invite(&app, &admin.sign_in(), &of_user).status, 409);
    clock.advance(TimeDelta::minutes(2));
    let (_, second) = printed(&app, &admin.sign_in(), &body);
    assert_eq!(accept(&app, &first).status, 410);
    assert_eq!(accept(&app, &second).status, 201);
}

fn resent_invitation_has_another_link(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let body = json!({ "email": "guest@example.com", "name": "Gloria" });
    let invited = invite(&app, &admin, &body).json();
    let first = inbox.wait_for(1);
    let path = format!("/admin/invitations/{}/resend", invited["id"]);
    let resent = app.post(&path).bearer(&admin).send();
    assert_eq!((resent.status, resent.text()), (202, "null"));
    let second = inbox.wait_for(2);
    assert_eq!(accept(&app, &first.token).status, 400);
    assert_eq!(accept(&app, &second.token).status, 201);
    assert_eq!(app.post(&path).bearer(&admin).send().status, 410);
    let unknown = app.post("/admin/invitations/99/resend").bearer(&admin);
    assert_eq!(unknown.send().status, 404);
}

fn weak_password_leaves_the_invitation(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let (_, link) = printed(&app, &admin, &json!({ "email": "guest@example.com" }));
    let status = |body: Value| app.post("/invitations/accept").json(&body).send().status;
    for weak in ["short", "password123", "guest@example.com"] {
        let body = json!({ "token": link, "name": "Gloria", "surname": "", "password": weak });
        assert_eq!(status(body), 422, "{weak}");
    }
    // The invitation has no name either.
    let nameless = json!({ "token": link, "surname": "", "password": PASSWORD });
    assert_eq!(status(nameless), 422);
    let body = json!({ "token": link, "name": "Gloria", "surname": "", "password": PASSWORD });
    assert_eq!(status(body), 201);
}

fn of_two_simultaneous_acceptances_one_succeeds(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let (_, link) = printed(
        &app,
        &admin,
        &json!({ "email": "guest@example.com", "name": "Gloria" }),
    );
    let client = *app;
    let mut statuses = concurrently(4, 4, |_| accept(&client, &link).status);
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201, "{statuses:?}");
    let is_over = |status: &u16| [409, 410].contains(status);
    assert!(statuses[1..].iter().all(is_over), "{statuses:?}");
}

fn invitations_are_listed(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let admin = app.register_with("admin", OWN_SCOPES);
    let token = admin.sign_in();
    for (number, expires_in) in [60, 6_000, 6_000].into_iter().enumerate() {
        let email = format!("guest{number}@example.com");
        printed(
            &app,
            &token,
            &json!({ "email": email, "expires_in": expires_in }),
        );
    }
    clock.advance(TimeDelta::minutes(2));
    let list = |query: &str| {
        let path = format!("/admin/invitations{query}");
        let response = app.get(path.as_str()).bearer(&token).send();
        assert_eq!(response.status, 200, "{response:?}");
        let body = response.json();
        let invitations = body["invitations"].as_array().unwrap().iter();
        let ids: Vec<i64> = invitations.map(|one| one["id"].as_i64().unwrap()).collect();
        (ids, body["next"].clone())
    };
    assert_eq!(list(""), (vec![3, 2, 1], Value::Null));
    assert_eq!(list("?state=pending").0, [3, 2]);
    assert_eq!(list("?state=expired").0, [1]);
    assert_eq!(list("?state=accepted").0, [] as [i64; 0]);
    let (ids, next) = list("?limit=2");
    assert_eq!(ids, [3, 2]);
    let next = next.as_str().unwrap().split_once('?').unwrap().1.to_owned();
    assert_eq!(list(&format!("?{next}")).0, [1]);
    assert_eq!(
        app.get("/admin/invitations?state=none")
            .bearer(&token)
            .send()
            .status,
        422
    );

    // What is long over is deleted: by its own age, or with its invitation.
    app.database().execute(FAILED_MAILS);
    let long_ago = "'2020-01-01 00:00:00'";
    app.database().execute(&format!(
        "UPDATE invitations SET expires_at = {long_ago} WHERE id < 3;
         UPDATE mail_tokens SET expires_at = {long_ago} WHERE invitation_id = 3;
         UPDATE mail_outbox SET failed_at = {long_ago} WHERE message_id = 'first'"
    ));
    assert_eq!(app.database().count("mail_tokens"), 3);
    let auth = Auth::open(&app.config()).unwrap();
    runtime().block_on(auth.prune_mails()).unwrap();
    assert_eq!(list("").0, [3]);
    assert_eq!(app.database().count("mail_tokens"), 0);
    assert_eq!(app.database().count("mail_outbox"), 1);
}

fn operator_prints_a_link_while_registration_is_closed(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_REGISTRATION", "closed")
        .start();
    let run = |arguments: &[&str]| {
        let mut command = app.program(arguments);
        let output = command
            .env("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let command = [
        "user",
        "invite",
        "guest@example.com",
        "--name",
        "Gloria",
        "--scope",
        "users:write",
    ];
    let link = token_of(run(&command).trim());
    assert_eq!(accept(&app, &link).status, 201);
    let guest = sign_in(&app, "guest@example.com");
    let user = app
        .request("DELETE", "/admin/users/99")
        .bearer(&guest)
        .send();
    assert_eq!(user.status, 404, "the scope is there");
    // Mail is off.
    let mailed = invite(&app, &guest, &json!({ "email": "other@example.com" }));
    assert_eq!(mailed.status, 404, "{mailed:?}");
}
