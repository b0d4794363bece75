//! The mails of `tokenhouse dev`, which stay in its memory.

use serde_json::{Value, json};
use tokenhouse::mail::Kind;
use tokenhouse::testing::TestServer;

use super::Dev;
use crate::harness::{Client, Response, runtime, text, wait_until};

fn mails(dev: &Dev, query: &str) -> Response {
    let path = format!("/_dev/mail?{query}");
    let request = dev.client.get(&path);
    request.bearer(&dev.text("control_key")).send()
}

/// The mails that match, and the id of the latest mail.
fn found(dev: &Dev, query: &str) -> (Vec<Value>, u64) {
    let response = mails(dev, query);
    assert_eq!(response.status, 200, "{query}: {response:?}");
    let body = response.json();
    let mails = body["mails"].as_array().unwrap().clone();
    (mails, body["latest"].as_u64().unwrap())
}

fn forget(dev: &Dev, email: &str) {
    let request = dev.client.post("/forgot-password");
    let response = request.json(&json!({ "email": email })).send();
    assert_eq!(response.status, 202, "{response:?}");
}

#[test]
fn mail_is_found_by_recipient_and_purpose_and_its_link_works_undecoded() {
    let dev = Dev::start(&["--clock", "2026-01-01T00:00:00Z"]);
    dev.create("ada+tag@example.com");
    dev.create("bob@example.com");
    let (none, mark) = found(&dev, "to=ada%2Btag@example.com");
    assert_eq!(none.len(), 0);
    forget(&dev, "bob@example.com");
    forget(&dev, "ADA+tag@example.com");
    let query = format!("to=Ada%2Btag@example.com&purpose=reset-password&wait=10&after={mark}");
    let (mails, latest) = found(&dev, &query);
    let [mail] = &mails[..] else {
        panic!("{mails:?}");
    };
    assert_eq!(mail["to"], "ada+tag@example.com");
    assert_eq!(mail["sent_at"], "2026-01-01T00:00:00.000000Z");
    let (link, code) = (text(&mail["links"][0]), text(&mail["codes"][0]));
    assert!(link.starts_with(&format!("{}/", dev.text("url"))), "{link}");
    for part in ["text", "html"] {
        let part = text(&mail[part]);
        assert!(part.contains(&link) && part.contains(&code), "{part}");
    }
    let (_, token) = link.split_once("?t=").unwrap();
    let password = json!({ "token": token, "password": "another-Tram-72-mulberry" });
    let reset = dev.client.post("/reset-password").json(&password).send();
    assert_eq!(reset.status, 200, "{reset:?}");
    // Nothing after the mark.
    let (later, _) = found(
        &dev,
        &format!("to=ada%2Btag@example.com&purpose=reset-password&after={latest}"),
    );
    assert_eq!(later.len(), 0);
    for query in [
        "purpose=reset-pasword",
        "wait=61",
        "wait=-1",
        "from=x",
        "after=x",
    ] {
        assert_eq!(mails_status(&dev, query), 422, "{query}");
    }
}

fn mails_status(dev: &Dev, query: &str) -> u16 {
    mails(dev, query).status
}

#[test]
fn emptying_one_address_leaves_the_others_and_a_reset_empties_all() {
    let dev = Dev::start(&[]);
    let waiting = |email: &str| found(&dev, &format!("to={email}&purpose=reset-password&wait=10"));
    for email in ["ada@example.com", "bob@example.com"] {
        dev.create(email);
        forget(&dev, email);
        assert_eq!(waiting(email).0.len(), 1);
    }
    let clear = |query: &str| {
        let request = dev.client.request("DELETE", format!("/_dev/mail{query}"));
        request.bearer(&dev.text("control_key")).send().status
    };
    assert_eq!(clear("?to=ada@example.com"), 204);
    assert_eq!(
        found(&dev, "to=ada@example.com&purpose=reset-password")
            .0
            .len(),
        0
    );
    let (kept, latest) = found(&dev, "to=bob@example.com&purpose=reset-password");
    assert_eq!(kept.len(), 1);
    assert_eq!(clear("?purpose=reset-password"), 422);
    dev.command("/_dev/reset", &json!({}));
    let (mails, after_reset) = found(&dev, "");
    assert_eq!(mails.len(), 0);
    assert!(
        after_reset >= latest,
        "an id from before a reset stays usable"
    );
    let shared = Dev::start(&["--shared"]);
    let request = shared.client.request("DELETE", "/_dev/mail");
    let refused = request.bearer(&shared.text("control_key")).send();
    assert_eq!(refused.status, 409);
}

#[test]
fn server_in_the_process_keeps_mails() {
    let (server, runtime) = (TestServer::start().unwrap(), runtime());
    let address = server.url().strip_prefix("http://").unwrap();
    let client = Client::new(address.parse().unwrap());
    runtime
        .block_on(server.user("ada@example.com").create())
        .unwrap();
    let body = json!({ "email": "ada@example.com" });
    assert_eq!(
        client.post("/forgot-password").json(&body).send().status,
        202
    );
    let mail = server.wait_for_mail("ada@example.com", Kind::ResetPassword);
    let mail = runtime.block_on(mail).unwrap();
    assert!(mail.links[0].starts_with(server.url()), "{mail:?}");
    runtime.block_on(server.reset()).unwrap();
    assert_eq!(server.mailbox().unwrap().find(&Default::default()).len(), 0);
}

#[test]
fn next_mails_are_refused_as_by_a_mail_server() {
    let dev = Dev::start(&["--clock", "2026-01-01T00:00:00Z"]);
    let wanted = |email: &str, wait: &str| {
        let query = format!("to={email}&purpose=reset-password&wait={wait}");
        found(&dev, &query).0.len()
    };
    for email in ["ada@example.com", "bob@example.com", "carol@example.com"] {
        dev.create(email);
    }
    let admin = json!({ "email": "admin@example.com", "scopes": "users:read" });
    dev.command("/_dev/users", &admin);
    let token = dev.sign_in("admin@example.com");
    let is_listed = |state: &str, to: &str, reply: &str| {
        let path = format!("/admin/mail?state={state}");
        let listed = dev.client.get(&path).bearer(&token).send().json();
        let mails = listed["mails"].as_array().unwrap();
        let is_it = |mail: &Value| mail["to"] == to && text(&mail["last_reply"]).starts_with(reply);
        mails.iter().any(is_it)
    };
    dev.command("/_dev/fault", &json!({ "mail": 450, "times": 1 }));
    forget(&dev, "ada@example.com");
    wait_until("the mail waits", || {
        is_listed("waiting", "ada@example.com", "450")
    });
    assert_eq!(wanted("ada@example.com", "0"), 0);
    dev.command("/_dev/clock", &json!({ "advance": 60 }));
    assert_eq!(wanted("ada@example.com", "10"), 1);

    dev.command("/_dev/fault", &json!({ "mail": 550, "times": 1 }));
    forget(&dev, "bob@example.com");
    wait_until("the mail has failed", || {
        is_listed("failed", "bob@example.com", "550")
    });
    assert_eq!(wanted("bob@example.com", "0"), 0);
    // Only that one.
    forget(&dev, "carol@example.com");
    assert_eq!(wanted("carol@example.com", "10"), 1);

    for wrong in [
        json!({ "mail": 451, "times": 1 }),
        json!({ "mail": 450 }),
        json!({ "mail": 450, "times": 1, "database": "down", "for_ms": 1 }),
        json!({}),
    ] {
        assert_eq!(dev.control("/_dev/fault", &wrong).status, 422, "{wrong}");
    }
}
