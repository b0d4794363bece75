//! N35: mails say how long their links are good, in the words of each language, whatever the zone of the server.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use tokenhouse::Clock;

use super::inbox::{Inbox, PUBLIC_URL};
use super::smtp_server::{Behaviour, SmtpServer};
use crate::harness::{Backend, TestApp, on_both_databases, wait_until};

on_both_databases!(
    lifetime_counts_from_the_mail_that_arrives,
    lifetime_is_told_in_words_in_every_zone,
);

/// Lifetimes in seconds, and what mails call them.
const LIFETIMES: [(&str, [(&str, &str); 4]); 6] = [
    (
        "60",
        words(["1 minute", "1 Minute", "1 minuto", "1 minute"]),
    ),
    (
        "90",
        words(["90 seconds", "90 Sekunden", "90 segundos", "90 secondes"]),
    ),
    ("3600", words(["1 hour", "1 Stunde", "1 hora", "1 heure"])),
    (
        "5400",
        words(["90 minutes", "90 Minuten", "90 minutos", "90 minutes"]),
    ),
    ("86400", words(["1 day", "1 Tag", "1 día", "1 jour"])),
    ("172800", words(["2 days", "2 Tage", "2 días", "2 jours"])),
];

/// Without a change of the clocks, with half hours, and with one.
const ZONES: [&str; 3] = ["UTC", "Asia/Kathmandu", "Europe/Berlin"];

const fn words(texts: [&'static str; 4]) -> [(&'static str, &'static str); 4] {
    let [english, german, spanish, french] = texts;
    [
        ("en", english),
        ("de", german),
        ("es", spanish),
        ("fr", french),
    ]
}

fn lifetime_is_told_in_words_in_every_zone(backend: Backend) {
    // It sends no mails itself.
    let app = TestApp::start(backend);
    for (number, (seconds, words)) in LIFETIMES.into_iter().enumerate() {
        let inbox = Inbox::new();
        let folder = format!("file:{}", inbox.path().display());
        let (_process, server) = app.spawn_server_with(&[
            ("TOKENHOUSE_MAIL", folder.as_str()),
            ("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL),
            ("TOKENHOUSE_VERIFY_LIFETIME", seconds),
            ("TZ", ZONES[number % ZONES.len()]),
        ]);
        for (sent, (language, told)) in words.into_iter().enumerate() {
            let person = app.register(&format!("{language}{seconds}"));
            let body = json!({ "email": person.email });
            let request = server.post("/verify-email/request").json(&body);
            let asked = request.header("Accept-Language", language).send();
            assert_eq!(asked.status, 202, "{asked:?}");
            let mail = inbox.wait_for(sent + 1);
            assert!(mail.text.contains(&format!(" {told}")), "{told}: {mail:?}");
            // No time of day, which is that of some zone.
            let words = mail.text.split_whitespace();
            let clock = |word: &&str| {
                let (hour, minute) = word.split_once(':').unwrap_or_default();
                let is_number = |text: &str| text.parse::<u8>().is_ok();
                is_number(hour) && minute.get(..2).is_some_and(is_number)
            };
            let times: Vec<&str> = words.filter(clock).collect();
            assert!(times.is_empty(), "{times:?} in {mail:?}");
        }
    }
}

fn lifetime_counts_from_the_mail_that_arrives(backend: Backend) {
    let server = SmtpServer::start(|_, before| match before {
        0 => Behaviour::RefuseForNow,
        _ => Behaviour::Accept,
    });
    let clock = Clock::manual(Utc::now());
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_MAIL", "smtp")
        .setting("TOKENHOUSE_SMTP_URL", &server.url())
        .setting("TOKENHOUSE_MAIL_FROM", "no-reply@auth.example")
        .setting("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL)
        .setting("TOKENHOUSE_NOTICES", "none")
        // A mail that comes later than this is not sent any more.
        .setting("TOKENHOUSE_RESET_LIFETIME", "2h")
        .clock(clock.clone())
        .start();
    for (number, minutes, status) in [(1, 119, 200), (2, 120, 400)] {
        let person = app.register(&format!("user{number}"));
        let body = json!({ "email": person.email });
        app.post("/forgot-password").json(&body).send();
        server.wait_for_tries(2 * number - 1);
        wait_until("the try is recorded", || {
            let waiting = "mail_outbox WHERE lease_until IS NULL AND sent_at IS NULL";
            app.database().count(waiting) == 1
        });
        // The mail server takes it an hour later.
        clock.advance(TimeDelta::hours(1));
        let mails = server.wait_for(number);
        let mail = &mails[number - 1];
        assert!(mail.text.contains("2 hours"), "{mail:?}");
        clock.advance(TimeDelta::minutes(minutes));
        let body = json!({ "token": mail.token, "password": "another password altogether" });
        let reset = app.post("/reset-password").json(&body).send();
        assert_eq!(reset.status, status, "{reset:?}");
    }
}
