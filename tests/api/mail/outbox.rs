//! The outbox: tries, leases, dead letters, and that it holds nothing secret.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::inbox::PUBLIC_URL;
use super::smtp_server::{Behaviour, SmtpServer};
use crate::harness::{Backend, OWN_SCOPES, TestApp, TestAppBuilder, on_both_databases, wait_until};

on_both_databases!(
    temporary_refusal_is_tried_again_with_the_same_id,
    mail_that_is_cut_off_is_tried_again_and_both_links_work,
    permanent_refusal_is_a_dead_letter_that_can_be_retried,
    stalled_mail_delays_no_other,
    two_processes_send_each_mail_once,
    mails_beyond_the_hourly_limit_wait,
    database_holds_no_usable_link_or_code,
    mail_that_has_lost_its_reason_is_not_sent,
    killed_process_loses_no_mail,
);

const NEW: &str = "another password altogether";

fn app(backend: Backend, server: &SmtpServer) -> TestAppBuilder {
    TestApp::builder(backend)
        .setting("TOKENHOUSE_MAIL", "smtp")
        .setting("TOKENHOUSE_SMTP_URL", &server.url())
        .setting("TOKENHOUSE_MAIL_FROM", "no-reply@auth.example")
        .setting("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL)
        // The mails that tests count are links.
        .setting("TOKENHOUSE_NOTICES", "none")
}

fn forgot(app: &TestApp, email: &str) {
    let body = json!({ "email": email });
    let asked = app.post("/forgot-password").json(&body).send();
    assert_eq!(asked.status, 202, "{asked:?}");
}

fn reset(app: &TestApp, token: &str) -> u16 {
    let body = json!({ "token": token, "password": NEW });
    app.post("/reset-password").json(&body).send().status
}

/// Registers users directly in the database, which is faster.
fn add_users(app: &TestApp, count: usize) {
    let alice = app.register("alice");
    let rows: Vec<String> = (0..count)
        .map(|number| {
            format!(
                "INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)
                 SELECT name, surname, 'u{number}@example.com', 'u{number}@example.com', website,
                     hashed_password, created_at FROM users WHERE email = '{}'",
                alice.email
            )
        })
        .collect();
    app.database().execute(&rows.join(";"));
}

fn temporary_refusal_is_tried_again_with_the_same_id(backend: Backend) {
    let server = SmtpServer::start(|_, before| match before {
        0..4 => Behaviour::RefuseForNow,
        _ => Behaviour::Accept,
    });
    let clock = Clock::manual(Utc::now());
    let app = app(backend, &server)
        .setting("TOKENHOUSE_RESET_LIFETIME", "1d")
        .clock(clock.clone())
        .start();
    let alice = app.register("alice");
    forgot(&app, &alice.email);
    // After 1, 5, 15 and 60 minutes, and not sooner.
    for (tries, minutes) in [(1, 1), (2, 5), (3, 15), (4, 60)] {
        server.wait_for_tries(tries);
        wait_until("the try is recorded", || {
            app.database()
                .count("mail_outbox WHERE lease_until IS NULL")
                == 1
        });
        clock.advance(TimeDelta::minutes(minutes) - TimeDelta::seconds(1));
        thread::sleep(Duration::from_millis(1_500));
        assert_eq!(server.tries(), tries);
        clock.advance(TimeDelta::seconds(1));
    }
    let mail = &server.wait_for(1)[0];
    assert_eq!(reset(&app, &mail.token), 200);
    let sent = app
        .database()
        .texts("SELECT last_reply AS text FROM mail_outbox WHERE attempts = 5");
    assert!(sent[0].contains("queued"), "{sent:?}");
}

fn mail_that_is_cut_off_is_tried_again_and_both_links_work(backend: Backend) {
    let server = SmtpServer::start(|_, before| match before {
        0 => Behaviour::CutOff,
        _ => Behaviour::Accept,
    });
    for used in [0, 1] {
        let clock = Clock::manual(Utc::now());
        let app = app(backend, &server).clock(clock.clone()).start();
        let name = format!("alice{used}");
        let alice = app.register(&name);
        forgot(&app, &alice.email);
        server.wait_for(2 * used + 1);
        wait_until("the try is recorded", || {
            app.database()
                .count("mail_outbox WHERE lease_until IS NULL")
                == 1
        });
        clock.advance(TimeDelta::minutes(1));
        let mails = server.wait_for(2 * used + 2);
        let tries = &mails[2 * used..];
        assert_eq!(tries[0].message_id, tries[1].message_id);
        assert_ne!(tries[0].token, tries[1].token);
        assert_eq!(reset(&app, &tries[used].token), 200);
        assert_eq!(reset(&app, &tries[1 - used].token), 400);
    }
}

fn permanent_refusal_is_a_dead_letter_that_can_be_retried(backend: Backend) {
    let server = SmtpServer::start(|_, before| match before {
        0 => Behaviour::Refuse,
        _ => Behaviour::Accept,
    });
    let app = app(backend, &server).start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let alice = app.register("alice");
    forgot(&app, &alice.email);
    let list = |query: &str| {
        let path = format!("/admin/mail{query}");
        let listed = app.get(&path).bearer(&admin).send();
        assert_eq!(listed.status, 200, "{listed:?}");
        listed.json()["mails"].as_array().unwrap().clone()
    };
    wait_until("the mail has failed", || list("?state=failed").len() == 1);
    let dead = &list("?state=failed")[0];
    assert_eq!(
        (
            &dead["to"],
            &dead["purpose"],
            &dead["user_id"],
            &dead["attempts"]
        ),
        (
            &json!(alice.email),
            &json!("reset-password"),
            &json!(2),
            &json!(1)
        )
    );
    assert!(
        dead["last_reply"].as_str().unwrap().contains("5.1.1"),
        "{dead}"
    );
    assert_eq!(
        (list("?state=waiting"), list("?state=sent")),
        (vec![], vec![])
    );
    let wrong = app.get("/admin/mail?state=lost").bearer(&admin).send();
    assert_eq!(wrong.status, 422);

    let retry = |id: &Value| {
        let path = format!("/admin/mail/{id}/retry");
        app.post(&path).bearer(&admin).send().status
    };
    assert_eq!(retry(&json!(99)), 404);
    assert_eq!(retry(&dead["id"]), 202);
    let mail = &server.wait_for(1)[0];
    assert_eq!(reset(&app, &mail.token), 200);
    wait_until("the mail is sent", || list("?state=sent").len() == 1);
    assert_eq!(retry(&dead["id"]), 404, "sent");
    let metrics = app
        .get("/metrics")
        .header("Token", crate::harness::STATIC_KEY)
        .send();
    for line in [
        "tokenhouse_mails_total{result=\"failed\"} 1",
        "tokenhouse_mails_total{result=\"sent\"} 1",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line}");
    }
}

fn stalled_mail_delays_no_other(backend: Backend) {
    let server = SmtpServer::start(|to, _| match to {
        "u0@example.com" => Behaviour::Stall,
        _ => Behaviour::Accept,
    });
    let app = app(backend, &server).start();
    add_users(&app, 12);
    forgot(&app, "u0@example.com");
    server.wait_for(1);
    let start = Instant::now();
    for number in 1..12 {
        forgot(&app, &format!("u{number}@example.com"));
    }
    server.wait_for(12);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

fn two_processes_send_each_mail_once(backend: Backend) {
    const MAILS: usize = 60;
    let server = SmtpServer::start(|_, _| Behaviour::Accept);
    let app = app(backend, &server).start();
    add_users(&app, MAILS);
    let (_process, other) = app.spawn_server();
    for number in 0..MAILS {
        let client = if number % 2 == 0 { *app } else { other };
        let body = json!({ "email": format!("u{number}@example.com") });
        assert_eq!(
            client.post("/forgot-password").json(&body).send().status,
            202
        );
    }
    server.wait_for(MAILS);
    thread::sleep(Duration::from_millis(2_500));
    let mails = server.arrived();
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!((mails.len(), ids.len()), (MAILS, MAILS));
    for mail in mails.iter().step_by(10) {
        assert_eq!(reset(&app, &mail.token), 200);
    }
}

fn mails_beyond_the_hourly_limit_wait(backend: Backend) {
    let server = SmtpServer::start(|_, _| Behaviour::Accept);
    let clock = Clock::manual(Utc::now());
    let app = app(backend, &server)
        .setting("TOKENHOUSE_MAIL_PER_HOUR", "3")
        .setting("TOKENHOUSE_RESET_LIFETIME", "1d")
        .clock(clock.clone())
        .start();
    add_users(&app, 5);
    for number in 0..5 {
        forgot(&app, &format!("u{number}@example.com"));
    }
    server.wait_for(3);
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!(server.arrived().len(), 3);
    // An address that no user has takes nothing from the limit.
    forgot(&app, "nobody@example.com");
    clock.advance(TimeDelta::minutes(20));
    server.wait_for(4);
    clock.advance(TimeDelta::minutes(20));
    let last = server.wait_for(5).pop().unwrap();
    assert_eq!(reset(&app, &last.token), 200);
}

/// The files of the database with its log, or a dump. Another process reads the files: if this one closed
/// them, it would lose the locks of the service in it.
fn copies_of(app: &TestApp) -> Vec<Vec<u8>> {
    let url = app.database().url();
    let Some(path) = url.strip_prefix("sqlite://") else {
        return app.database().files(&[]);
    };
    let read = Command::new("sh")
        .args(["-c", "cat \"$0\"*", path])
        .output();
    let read = read.expect("a shell starts");
    assert!(
        read.status.success() && read.stdout.len() > 10_000,
        "{path}"
    );
    vec![read.stdout]
}

fn database_holds_no_usable_link_or_code(backend: Backend) {
    let server = SmtpServer::start(|_, before| match before {
        0 => Behaviour::CutOff,
        _ => Behaviour::Accept,
    });
    let clock = Clock::manual(Utc::now());
    let app = app(backend, &server).clock(clock.clone()).start();
    let alice = app.register("alice");
    forgot(&app, &alice.email);
    let mut copies = copies_of(&app);
    server.wait_for(1);
    copies.extend(copies_of(&app));
    wait_until("the try is recorded", || {
        app.database()
            .count("mail_outbox WHERE lease_until IS NULL")
            == 1
    });
    clock.advance(TimeDelta::minutes(1));
    let mails = server.wait_for(2);
    copies.extend(copies_of(&app));
    assert_eq!(reset(&app, &mails[1].token), 200);
    copies.extend(copies_of(&app));
    for mail in &mails {
        for secret in [&mail.token, &mail.token[4..].to_owned(), &mail.code] {
            assert!(secret.len() >= 8, "{mail:?}");
            let is_in = |copy: &Vec<u8>| {
                let mut windows = copy.windows(secret.len());
                windows.any(|window| window == secret.as_bytes())
            };
            assert!(!copies.iter().any(is_in), "{secret}");
        }
    }
    // What is there opens nothing.
    let stored = app.database().texts(
        "SELECT digest AS text FROM mail_tokens UNION ALL
         SELECT previous_digest AS text FROM mail_tokens WHERE previous_digest IS NOT NULL",
    );
    assert_eq!(stored.len(), 2);
    for digest in stored {
        for presented in [digest.clone(), format!("tke_{}", &digest[..43])] {
            assert_eq!(reset(&app, &presented), 400);
        }
    }
    let hashes = app
        .database()
        .texts("SELECT code_hash AS text FROM mail_tokens");
    assert!(
        hashes.iter().all(|hash| hash.starts_with("$2b$")),
        "{hashes:?}"
    );
}

fn mail_that_has_lost_its_reason_is_not_sent(backend: Backend) {
    let server = SmtpServer::start(|_, _| Behaviour::RefuseForNow);
    let clock = Clock::manual(Utc::now());
    let app = app(backend, &server).clock(clock.clone()).start();
    let alice = app.register("alice");
    forgot(&app, &alice.email);
    server.wait_for_tries(1);
    wait_until("the try is recorded", || {
        app.database()
            .count("mail_outbox WHERE lease_until IS NULL")
            == 1
    });
    let passwd =
        crate::harness::run_with_input(&mut app.program(&["user", "passwd", &alice.email]), NEW);
    assert!(passwd.status.success(), "{passwd:?}");
    assert_eq!(app.database().count("mail_outbox"), 0);
    // A later request takes the place of an earlier one.
    forgot(&app, &alice.email);
    server.wait_for_tries(2);
    forgot(&app, &alice.email);
    server.wait_for_tries(3);
    wait_until("one mail waits", || {
        app.database().count("mail_outbox") == 1
    });
    // What is never accepted fails when it is of no use any more.
    clock.advance(TimeDelta::minutes(31));
    wait_until("the mail has failed", || {
        app.database()
            .count("mail_outbox WHERE failed_at IS NOT NULL")
            == 1
    });
    assert_eq!(server.tries(), 3);
}

fn killed_process_loses_no_mail(backend: Backend) {
    const MAILS: usize = 40;
    let server = SmtpServer::start(|_, _| Behaviour::Accept);
    let clock = Clock::manual(Utc::now() + TimeDelta::minutes(5));
    let setup = TestApp::start(backend);
    add_users(&setup, MAILS);
    let later = app(backend, &server).on_database_of(&setup).clock(clock);
    let settings = [
        ("TOKENHOUSE_MAIL", "smtp".to_owned()),
        ("TOKENHOUSE_SMTP_URL", server.url()),
        ("TOKENHOUSE_MAIL_FROM", "no-reply@auth.example".to_owned()),
        ("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL.to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let (process, client) = setup.spawn_server_with(&settings);
    for number in 0..MAILS {
        let body = json!({ "email": format!("u{number}@example.com") });
        assert_eq!(
            client.post("/forgot-password").json(&body).send().status,
            202
        );
    }
    // In the middle of it: dropping it kills it.
    server.wait_for(MAILS / 4);
    drop(process);
    // Its leases have ended for a process five minutes later.
    let _app = later.start();
    wait_until("all mails are sent", || {
        setup.database().count("mail_outbox WHERE sent_at IS NULL") == 0
    });
    let mails = server.arrived();
    let recipients: BTreeSet<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(recipients.len(), MAILS);
    // A mail that arrives twice has one id.
    assert_eq!(ids.len(), MAILS, "{} mails", mails.len());
}
