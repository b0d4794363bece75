//! Refresh tokens: the same refresh gets the same answer, and an old token ends the session.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::harness::{
    Backend, Person, Response, TestApp, concurrently, on_both_databases, send, text,
};

on_both_databases!(
    lost_answer_is_repeated_by_every_process,
    narrower_scope_does_not_last,
    dead_tokens_get_one_answer,
    hint_changes_nothing,
    token_of_earlier_generation_ends_the_session,
    used_answer_that_was_not_stored_ends_the_session,
    requests_under_way_survive_a_rotation,
    session_reaches_its_fixed_end,
    unused_session_ends,
    grace_of_zero_repeats_nothing,
    refreshes_count_against_the_budget_of_changes,
    refresh_that_ends_the_session_counts_once,
    refresh_succeeds_while_sign_ins_are_refused,
);

struct Service {
    app: TestApp,
    clock: Clock,
}

fn service(backend: Backend, settings: &[(&str, &str)]) -> Service {
    let start = DateTime::parse_from_rfc3339("2030-01-01T00:00:00Z").unwrap();
    let clock = Clock::manual(start.to_utc());
    let mut app = TestApp::builder(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "20")
        .setting("TOKENHOUSE_LIMIT_SIGN_INS", "1000");
    for (name, value) in settings {
        app = app.setting(name, value);
    }
    let app = app.start();
    Service { app, clock }
}

fn sign_in(app: &TestApp, person: &Person, scope: &str) -> Value {
    let response = person_token(app, person, scope);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

fn person_token(app: &TestApp, person: &Person, scope: &str) -> Response {
    let form = [
        ("username", person.email.as_str()),
        ("password", person.password.as_str()),
        ("scope", scope),
    ];
    app.post("/token").form(&form).send()
}

fn refresh(app: &TestApp, token: &str) -> Response {
    refresh_for(app, token, None)
}

fn refresh_for(app: &TestApp, token: &str, scope: Option<&str>) -> Response {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(scope.map(|scope| ("scope", scope)));
    app.post("/token").form(&form).send()
}

/// The two tokens of an answer.
fn tokens(answer: &Value) -> (String, String) {
    (
        text(&answer["access_token"]),
        text(&answer["refresh_token"]),
    )
}

fn refreshed(app: &TestApp, token: &str) -> (String, String) {
    let response = refresh(app, token);
    assert_eq!(response.status, 200, "{response:?}");
    tokens(&response.json())
}

fn reuses(app: &TestApp) -> i64 {
    let events = "audit_events WHERE action = 'session.refresh_reuse'";
    app.database().count(events)
}

/// Uses a login token, and waits until the database says so.
fn use_and_record(app: &TestApp, access: &str) {
    assert_eq!(app.status("/users/me", access), 200);
    let started = Instant::now();
    while app.database().count("refresh_tokens WHERE is_received") == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "never recorded"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

fn lost_answer_is_repeated_by_every_process(backend: Backend) {
    let Service { app, clock } = service(backend, &[]);
    let second = app.sibling().clock(clock.clone()).start();
    let alice = app.register("alice");
    let answer = sign_in(&app, &alice, "offline_access");
    assert_eq!(answer["expires_in"], 900);
    assert_eq!(answer["refresh_expires_in"], 2_592_000);
    let (_, first) = tokens(&answer);
    assert_eq!((first.len(), &first[..4]), (84, "tkr_"));
    // At the same time, from two processes.
    let apps = [&app, &second];
    let answers = concurrently(16, 16, |number| refreshed(apps[number % 2], &first));
    let (access, next) = answers[0].clone();
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_ne!(next, first);
    // The answer was lost, and nothing of it was used.
    clock.advance(TimeDelta::hours(2));
    let again = refresh(&second, &first).json();
    assert_eq!(tokens(&again), (access.clone(), next.clone()));
    assert_eq!(again["expires_in"], 0);
    assert_eq!(app.status("/users/me", &access), 401);
    let (access, _) = refreshed(&app, &next);
    assert_eq!(second.status("/users/me", &access), 200);
    assert_eq!(reuses(&app), 0);
    // Nothing that is stored is one of the tokens.
    let files = app.database().files(&[]);
    let holds = |secret: &str| {
        let secret = secret.as_bytes();
        files
            .iter()
            .any(|file| file.windows(secret.len()).any(|window| window == secret))
    };
    assert!(![&first, &next, &access].iter().any(|secret| holds(secret)));
}

fn narrower_scope_does_not_last(backend: Backend) {
    let Service { app, .. } = service(backend, &[]);
    let alice = app.register_with("alice", "a b c");
    let answer = sign_in(&app, &alice, "a b offline_access");
    assert_eq!(answer["scope"], "a b");
    let (_, mut token) = tokens(&answer);
    for (scope, expected) in [
        (Some("a"), "a"),
        (None, "a b"),
        (Some(""), "a b"),
        (Some("b offline_access"), "b"),
    ] {
        let response = refresh_for(&app, &token, scope);
        let answer = response.json();
        assert_eq!((response.status, &answer["scope"]), (200, &json!(expected)));
        (_, token) = tokens(&answer);
    }
    for scope in ["a c", "d", "\u{e9}"] {
        let refused = refresh_for(&app, &token, Some(scope));
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, error), (400, json!("invalid_scope")));
    }
    refreshed(&app, &token);
}

fn dead_tokens_get_one_answer(backend: Backend) {
    let Service { app, .. } = service(backend, &[]);
    let root = app.register_with("root", "users:write").sign_in();
    let dead = |name: &str, end: &dyn Fn(&Person, &str)| {
        let person = app.register(name);
        let (access, token) = tokens(&sign_in(&app, &person, "offline_access"));
        end(&person, &access);
        refresh(&app, &token)
    };
    let mut answers = vec![
        dead("ended", &|_, access| {
            assert_eq!(app.post("/logout").bearer(access).send().status, 204);
        }),
        dead("disabled", &|_, access| {
            let path = format!("/admin/users/{}", app.id_of(access));
            let disabled = send(&app, "PATCH", &path, &root, &json!({"disabled": true}));
            assert_eq!(disabled.status, 200);
        }),
        dead("deleted", &|person, access| {
            let body = json!({"current_password": person.password});
            assert_eq!(send(&app, "DELETE", "/users/me", access, &body).status, 204);
        }),
        dead("changed", &|person, _| {
            let other = person.sign_in();
            let new = "mulberry-Tram-71";
            let body = json!({"current_password": person.password, "new_password": new});
            let changed = send(&app, "POST", "/users/me/password", &other, &body);
            assert_eq!(changed.status, 204);
        }),
    ];
    let bob = app.register("bob");
    let (access, token) = tokens(&sign_in(&app, &bob, "offline_access"));
    answers.push(refresh(&app, "rubbish"));
    let other_end = if token.ends_with('A') { 'B' } else { 'A' };
    answers.push(refresh(&app, &format!("{}{other_end}", &token[..83])));
    answers.push(refresh(&app, &access));
    for answer in &answers {
        assert_eq!((answer.status, answer.text()), (400, answers[0].text()));
        assert_eq!(answer.json()["error"], "invalid_grant");
    }
    let missing = app
        .post("/token")
        .form(&[("grant_type", "refresh_token")])
        .send();
    assert_eq!(missing.status, 422);
    assert_eq!(missing.json()["error"], "invalid_request", "{missing:?}");
    // No attempt counted against the password, and a refresh token authenticates nobody.
    assert_eq!(app.database().count("login_failures WHERE failures > 0"), 0);
    assert_eq!(app.status("/users/me", &token), 401);
    refreshed(&app, &token);
}

fn hint_changes_nothing(backend: Backend) {
    let Service { app, .. } = service(backend, &[]);
    let alice = app.register_with("alice", "introspect");
    let asking = alice.sign_in();
    let introspect = |token: &str, hint: &str| {
        let form = [("token", token), ("token_type_hint", hint)];
        let answer = app.post("/introspect").bearer(&asking).form(&form).send();
        answer.json()["active"].as_bool().unwrap()
    };
    for hint in ["access_token", "refresh_token", "bananas", ""] {
        let (access, token) = tokens(&sign_in(&app, &alice, "offline_access"));
        let key = app.create_key(&asking, "").secret;
        assert!(
            introspect(&access, hint) && introspect(&key, hint),
            "{hint}"
        );
        // It gives no access, so no app may take it for a valid credential.
        assert!(!introspect(&token, hint), "{hint}");
        let revoke = |token: &str| {
            let form = [("token", token), ("token_type_hint", hint)];
            assert_eq!(app.post("/revoke").form(&form).send().status, 200, "{hint}");
        };
        revoke(&access);
        revoke(&key);
        assert_eq!(
            [&access, &key].map(|dead| app.status("/users/me", dead)),
            [401, 401]
        );
        // A revoked login token leaves the session, and a refresh token ends it.
        let (access, token) = refreshed(&app, &token);
        revoke(&token);
        assert_eq!(app.status("/users/me", &access), 401);
        assert_eq!(refresh(&app, &token).status, 400);
    }
    assert_eq!(app.database().count("sessions"), 1);
}

fn token_of_earlier_generation_ends_the_session(backend: Backend) {
    let Service { app, clock } = service(backend, &[]);
    let second = app.sibling().clock(clock).start();
    let alice = app.register("alice");
    let other = alice.sign_in();
    let (_, first) = tokens(&sign_in(&app, &alice, "offline_access"));
    let (_, next) = refreshed(&app, &first);
    let (access, last) = refreshed(&app, &next);
    assert_eq!(second.status("/users/me", &access), 200);
    let refused = refresh(&second, &first);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(reuses(&app), 1);
    assert_eq!(
        [&app, &second].map(|app| app.status("/users/me", &access)),
        [401, 401]
    );
    for dead in [&first, &next, &last] {
        assert_eq!(refresh(&app, dead).status, 400);
    }
    assert_eq!(reuses(&app), 1);
    assert_eq!(app.status("/users/me", &other), 200);
}

/// A renderer on a server uses the new login token, but cannot keep the refresh token.
fn used_answer_that_was_not_stored_ends_the_session(backend: Backend) {
    let Service { app, clock } = service(backend, &[]);
    let alice = app.register("alice");
    let (_, first) = tokens(&sign_in(&app, &alice, "offline_access"));
    let answers = concurrently(5, 5, |_| refreshed(&app, &first));
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    use_and_record(&app, &answers[0].0);
    clock.advance(TimeDelta::seconds(59));
    assert_eq!(refreshed(&app, &first), answers[0], "within the grace");
    assert!(app.database().count("access_tokens") <= 3);
    clock.advance(TimeDelta::minutes(10));
    let refused = refresh(&app, &first);
    assert_eq!(refused.status, 400);
    let description = text(&refused.json()["error_description"]);
    assert!(description.contains("has not stored"), "{description}");
    for _ in 0..5 {
        assert_eq!(refresh(&app, &first).status, 400);
    }
    assert_eq!(reuses(&app), 1);
    assert_eq!(app.run(&["audit", "verify"]).0, Some(0));
}

fn requests_under_way_survive_a_rotation(backend: Backend) {
    let Service { app, .. } = service(backend, &[]);
    let alice = app.register("alice");
    let (mut access, mut token) = tokens(&sign_in(&app, &alice, "offline_access"));
    let mut earlier = String::new();
    for _ in 0..5 {
        let (next_access, next) = refreshed(&app, &token);
        let statuses = [&access, &next_access].map(|access| app.status("/users/me", access));
        assert_eq!(statuses, [200, 200]);
        if !earlier.is_empty() {
            assert_eq!(app.status("/users/me", &earlier), 401);
        }
        (earlier, access, token) = (access, next_access, next);
    }
    assert!(app.database().count("access_tokens") <= 3);
    // Another kind of client has copied the token before the current one.
    let (_, next) = refreshed(&app, &token);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    let thief = app
        .post("/token")
        .header("user-agent", "curl/8")
        .form(&form)
        .send();
    assert_eq!(thief.status, 400);
    assert_eq!((reuses(&app), refresh(&app, &next).status), (1, 400));
}

fn session_reaches_its_fixed_end(backend: Backend) {
    let Service { app, clock } = service(backend, &[("TOKENHOUSE_SESSION_LIFETIME", "3600")]);
    let alice = app.register("alice");
    let (_, mut token) = tokens(&sign_in(&app, &alice, "offline_access"));
    for left in [3_000, 2_400, 1_800, 1_200, 600] {
        clock.advance(TimeDelta::minutes(10));
        let answer = refresh(&app, &token).json();
        assert_eq!(answer["refresh_expires_in"], left);
        assert_eq!(answer["expires_in"], left.min(900));
        (_, token) = tokens(&answer);
    }
    clock.advance(TimeDelta::minutes(10));
    assert_eq!(refresh(&app, &token).status, 400);
    assert_eq!(reuses(&app), 0);
}

fn unused_session_ends(backend: Backend) {
    let settings = [
        ("TOKENHOUSE_SESSION_IDLE", "600"),
        ("TOKENHOUSE_REFRESH_ACCESS_LIFETIME", "86400"),
    ];
    let Service { app, clock } = service(backend, &settings);
    let second = app.sibling().clock(clock.clone()).start();
    let alice = app.register("alice");
    let plain = alice.sign_in();
    let (access, token) = tokens(&sign_in(&app, &alice, "offline_access"));
    // Used every nine minutes, by turns on two processes.
    for turn in 0..4 {
        clock.advance(TimeDelta::minutes(9));
        let server = [&app, &second][turn % 2];
        let statuses = [&plain, &access].map(|token| server.status("/users/me", token));
        assert_eq!(statuses, [200, 200], "{turn}");
        let at = clock.now().to_string();
        let recorded = format!("sessions WHERE last_used_at >= '{}'", &at[..19]);
        let started = Instant::now();
        while app.database().count(&recorded) < 2 {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "never recorded"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
    clock.advance(TimeDelta::minutes(14));
    for server in [&app, &second] {
        let statuses = [&plain, &access].map(|token| server.status("/users/me", token));
        assert_eq!(statuses, [401, 401]);
    }
    assert_eq!(refresh(&app, &token).status, 400);
    let listed = app.get("/users/me/sessions").bearer(&alice.sign_in());
    let listed = listed.send().json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
}

fn grace_of_zero_repeats_nothing(backend: Backend) {
    let Service { app, .. } = service(backend, &[("TOKENHOUSE_REFRESH_GRACE", "0")]);
    let alice = app.register("alice");
    let (_, first) = tokens(&sign_in(&app, &alice, "offline_access"));
    let (_, next) = refreshed(&app, &first);
    assert_eq!(refresh(&app, &first).status, 400);
    assert_eq!((reuses(&app), refresh(&app, &next).status), (1, 400));
}

fn refreshes_count_against_the_budget_of_changes(backend: Backend) {
    let settings = [
        ("TOKENHOUSE_LIMITS", "on"),
        ("TOKENHOUSE_LIMIT_CHANGES", "4"),
    ];
    let Service { app, clock } = service(backend, &settings);
    let alice = app.register("alice");
    let (_, mut token) = tokens(&sign_in(&app, &alice, "offline_access"));
    let refused = (0..20).find_map(|_| {
        let response = refresh(&app, &token);
        if response.status == 200 {
            (_, token) = tokens(&response.json());
        }
        (response.status != 200).then_some(response)
    });
    let refused = refused.expect("no refresh is refused");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    // That spends nothing.
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(refresh(&app, &token).status, 200);
}

/// Although it is attempted twice: without the claim to end credentials, and with it.
fn refresh_that_ends_the_session_counts_once(backend: Backend) {
    // Half of the changes of a minute are at hand at once.
    let Service { app, .. } = service(
        backend,
        &[
            ("TOKENHOUSE_LIMITS", "on"),
            ("TOKENHOUSE_LIMIT_CHANGES", "6"),
        ],
    );
    let alice = app.register("alice");
    let (_, first) = tokens(&sign_in(&app, &alice, "offline_access"));
    let (_, second) = refreshed(&app, &first);
    refreshed(&app, &second);
    let reuse = refresh(&app, &first);
    assert_eq!(reuse.status, 400, "{reuse:?}");
    assert_eq!(reuses(&app), 1);
}

fn refresh_succeeds_while_sign_ins_are_refused(backend: Backend) {
    let Service { app, clock } = service(backend, &[]);
    let alice = app.register("alice");
    let (_, mut token) = tokens(&sign_in(&app, &alice, "offline_access"));
    let slow = app.sibling().clock(clock.clone());
    let slow = slow.setting("TOKENHOUSE_BCRYPT_COST", "12");
    let slow = slow.setting("TOKENHOUSE_HASH_QUEUE_MS", "1").start();
    let form = [("username", "nobody@example.com"), ("password", "wrong")];
    let refused = thread::scope(|scope| {
        let sign_ins: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| slow.post("/token").form(&form).send().status))
            .collect();
        while sign_ins.iter().any(|sign_in| !sign_in.is_finished()) {
            (_, token) = refreshed(&slow, &token);
        }
        let statuses = sign_ins.into_iter().map(|sign_in| sign_in.join().unwrap());
        statuses.filter(|status| *status == 503).count()
    });
    assert!(refused > 0, "no sign-in is refused");
}

#[test]
fn refresh_is_as_the_settings_say() {
    let off = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_REFRESH", "off")
        .start();
    let alice = off.register("alice");
    let answer = sign_in(&off, &alice, "offline_access");
    assert_eq!(answer["refresh_token"], Value::Null);
    assert_eq!(refresh(&off, "tkr_x").status, 422);
    let metadata = "/.well-known/oauth-authorization-server";
    let grants = |app: &TestApp| app.get(metadata).send().json()["grant_types_supported"].clone();
    assert_eq!(grants(&off), json!(["password"]));

    let always = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_REFRESH", "always")
        .start();
    let alice = always.register("alice");
    let (access, token) = tokens(&sign_in(&always, &alice, ""));
    assert_eq!(grants(&always), json!(["password", "refresh_token"]));
    refreshed(&always, &token);
    // An outage spends nothing.
    let (_, token) = tokens(&sign_in(&always, &alice, ""));
    always.database().make_unavailable();
    let refused = refresh(&always, &token);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some());
    always.database().make_available();
    refreshed(&always, &token);
    // With one session for each user, the second sign-in has ended the first.
    assert_eq!(always.status("/users/me", &access), 401);
}
