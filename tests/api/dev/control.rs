//! The control routes of `tokenhouse dev`: users, sign-in, clock, reset, faults.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Dev, seed_file};
use test_support::TestUser;

use crate::harness::{Backend, STATIC_KEY, ScratchDir, TestApp, text, wait_until};
use crate::matrix::policy::{CONTROL_ROUTES, Route};

#[test]
fn control_routes_do_not_exist_in_the_service() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app
        .register_with("alice", "users:read users:write")
        .sign_in();
    let unknown = app.post("/nonsense").send();
    assert_eq!(unknown.status, 404);
    for Route { method, path, .. } in CONTROL_ROUTES {
        for key in [STATIC_KEY, &token] {
            let response = app.request(method, *path).bearer(key).send();
            assert_eq!(
                (response.status, response.text()),
                (404, unknown.text()),
                "{path}"
            );
        }
    }
    let document = app.get("/openapi.json").send();
    assert!(!document.text().contains("/_dev"));
}

#[test]
fn users_are_created_and_sign_in_with_and_without_a_password() {
    let dev = Dev::start(&[]);
    let user = json!({ "email": "ada@example.com", "scopes": ["orders:read", "orders:write"] });
    let created = dev.command("/_dev/users", &user);
    let by_password = dev.client.post("/token").form(&[
        ("username", "ada@example.com"),
        ("password", created["password"].as_str().unwrap()),
    ]);
    let by_password = by_password.send();
    assert_eq!(by_password.status, 200, "{by_password:?}");
    let narrowed = json!({ "email": "ADA@example.com", "scope": "orders:read" });
    let signed_in = dev.command("/_dev/sign-in", &narrowed);
    assert_eq!(signed_in["scope"], "orders:read");
    assert_eq!(signed_in["user_id"], created["id"]);
    let token = text(&signed_in["access_token"]);
    let me = dev.client.get("/users/me").bearer(&token).send();
    assert_eq!(me.json()["email"], "ada@example.com");

    for (path, body, status) in [
        ("/_dev/users", user, 409),
        ("/_dev/users", json!({ "email": "nonsense" }), 422),
        (
            "/_dev/users",
            json!({ "email": "b@example.com", "x": 1 }),
            422,
        ),
        ("/_dev/users", json!({}), 422),
        ("/_dev/sign-in", json!({ "email": "b@example.com" }), 404),
        (
            "/_dev/sign-in",
            json!({ "email": "ada@example.com", "scope": "orders:delete" }),
            400,
        ),
    ] {
        let response = dev.control(path, &body);
        assert_eq!(response.status, status, "{path} {body}: {response:?}");
        assert!(response.member("detail").is_some(), "{path} {body}");
    }
}

#[test]
fn methods_of_a_sign_in_are_those_that_the_test_claims() {
    let dev = Dev::start(&[]);
    dev.create("ada@example.com");
    let methods = |amr: Value| {
        let mut body = json!({ "email": "ada@example.com" });
        body["amr"] = amr;
        let token = dev.command("/_dev/sign-in", &body)["access_token"].clone();
        let request = dev.client.post("/introspect");
        let request = request.header(
            "Authorization",
            format!("Bearer {}", dev.text("static_key")),
        );
        request.form(&[("token", &text(&token))]).send().json()["amr"].clone()
    };
    assert_eq!(
        methods(json!(["pwd", "otp", "mfa"])),
        json!(["mfa", "otp", "pwd"])
    );
    assert_eq!(methods(json!(["hwk", "hwk"])), json!(["hwk"]));
    let body = json!({ "email": "ada@example.com" });
    let token = text(&dev.command("/_dev/sign-in", &body)["access_token"]);
    let sessions = dev.client.get("/users/me/sessions").bearer(&token).send();
    assert_eq!(sessions.json()["sessions"][0]["amr"], "pwd");
    for amr in [
        json!([]),
        json!(["magic"]),
        json!(["PWD"]),
        json!(["pwd otp"]),
        json!("pwd"),
    ] {
        let body = json!({ "email": "ada@example.com", "amr": amr });
        let response = dev.control("/_dev/sign-in", &body);
        assert_eq!(response.status, 422, "{amr}: {response:?}");
    }
}

#[test]
fn clock_stands_when_it_is_set_and_every_time_is_exact() {
    let dev = Dev::start(&["--clock", "2026-01-01T00:00:00Z"]);
    let at_start = dev
        .client
        .get("/_dev/clock")
        .bearer(&dev.text("control_key"));
    let at_start = at_start.send().json();
    assert_eq!(
        at_start,
        json!({ "now": "2026-01-01T00:00:00.000000Z", "ticking": false })
    );
    dev.command("/_dev/clock", &json!({ "set": "2020-02-29T12:00:00Z" }));
    let user = json!({ "email": "ada@example.com", "scopes": "users:read" });
    dev.command("/_dev/users", &user);
    let token = dev.sign_in("ada@example.com");
    let created = dev.client.get("/admin/users").bearer(&token).send().json();
    assert_eq!(
        created["users"][0]["created_at"],
        "2020-02-29T12:00:00.000000Z"
    );
    let key = json!({ "name": "test", "expires_in_days": 1 });
    let key = dev
        .client
        .post("/users/me/keys")
        .bearer(&token)
        .json(&key)
        .send()
        .json();
    assert_eq!(key["expires_at"], "2020-03-01T12:00:00.000000Z");

    dev.command("/_dev/clock", &json!({ "advance": 86_399 }));
    assert_eq!(dev.status(&token), 200);
    let now = dev.command("/_dev/clock", &json!({ "advance": 1 }));
    assert_eq!(now["now"], "2020-03-01T12:00:00.000000Z");
    assert_eq!(dev.status(&token), 401, "it has expired to the second");

    let ticking = json!({ "set": "2030-01-01T00:00:00Z", "ticking": true });
    dev.command("/_dev/clock", &ticking);
    let read = || dev.command("/_dev/clock", &json!({ "advance": 0 }));
    wait_until("time passes", || {
        read()["now"].as_str() > Some("2030-01-01T00:00:00.01Z")
    });
    for body in [
        json!({}),
        json!({ "advance": 1, "set": "2020-01-01T00:00:00Z" }),
        json!({ "advance": i64::MAX }),
        json!({ "set": "1969-01-01T00:00:00Z" }),
        json!({ "set": "tomorrow" }),
    ] {
        assert_eq!(dev.control("/_dev/clock", &body).status, 422, "{body}");
    }
}

#[test]
fn going_back_revives_nothing() {
    let dev = Dev::start(&["--clock", "2026-01-01T00:00:00Z"]);
    dev.create("ada@example.com");
    dev.create("bob@example.com");
    let expired = dev.sign_in("ada@example.com");
    let key = json!({ "name": "test", "expires_in_days": 1 });
    let key = dev
        .client
        .post("/users/me/keys")
        .bearer(&expired)
        .json(&key)
        .send()
        .json();
    let key = text(&key["key"]);
    assert_eq!((dev.status(&expired), dev.status(&key)), (200, 200));
    // Two months: more than the clock of a service is trusted to have made.
    dev.command("/_dev/clock", &json!({ "advance": 60 * 86_400 }));
    let live = dev.sign_in("bob@example.com");
    assert_eq!((dev.status(&expired), dev.status(&key)), (401, 401));
    dev.command("/_dev/clock", &json!({ "set": "2026-01-01T00:00:01Z" }));
    assert_eq!((dev.status(&expired), dev.status(&key)), (401, 401));
    assert_eq!(dev.status(&live), 200);
    let again = dev.command("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
    assert_eq!(again["expires_in"], 86_400);
    assert_eq!(dev.status(&text(&again["access_token"])), 200);
}

#[test]
fn going_back_does_not_revive_unused_sessions() {
    let dev = Dev::start(&["--set", "TOKENHOUSE_SESSION_IDLE=600"]);
    dev.create("ada@example.com");
    dev.create("bob@example.com");
    let unused = dev.sign_in("ada@example.com");
    assert_eq!(dev.status(&unused), 200);
    dev.command("/_dev/clock", &json!({ "advance": 3_600 }));
    assert_eq!(dev.status(&unused), 401);
    let used = dev.sign_in("bob@example.com");
    dev.command("/_dev/clock", &json!({ "advance": -3_600 }));
    assert_eq!((dev.status(&unused), dev.status(&used)), (401, 200));
}

#[test]
fn reset_restores_seed_clock_and_limits() {
    let folder = ScratchDir::new("dev");
    let seed = json!({ "users": [{ "email": "ada@example.com" }] });
    let file = seed_file(&folder, &seed);
    let dev = Dev::start(&[
        "--seed",
        &file.to_string_lossy(),
        "--clock",
        "2026-01-01T00:00:00Z",
        "--set",
        "TOKENHOUSE_LIMIT_REGISTRATIONS=1",
    ]);
    for round in 0..3 {
        dev.command("/_dev/clock", &json!({ "set": "2020-01-01T00:00:00Z" }));
        let (old, person) = (dev.sign_in("ada@example.com"), TestUser::new("alice"));
        assert_eq!(dev.status(&old), 200, "{round}");
        let register = |name: &str| {
            let request = dev.client.post("/register");
            request
                .json(&TestUser::new(name).registration())
                .send()
                .status
        };
        assert_eq!((register("alice"), register("bob")), (201, 429), "{round}");

        let state = dev.command("/_dev/reset", &json!({}));
        assert_eq!(state["now"], "2026-01-01T00:00:00.000000Z", "{round}");
        assert_eq!(dev.status(&old), 401, "{round}");
        let gone = dev.control("/_dev/sign-in", &json!({ "email": person.email }));
        assert_eq!(gone.status, 404, "{round}");
        assert_eq!(dev.status(&dev.sign_in("ada@example.com")), 200, "{round}");
    }
}

#[test]
fn requests_during_resets_are_answered() {
    let folder = ScratchDir::new("dev");
    let seed = json!({ "users": [{ "email": "ada@example.com" }] });
    let file = seed_file(&folder, &seed);
    let dev = Dev::start(&["--seed", &file.to_string_lossy()]);
    let end = Instant::now() + Duration::from_secs(1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < end {
                    let signed_in =
                        dev.control("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
                    assert!([200, 503].contains(&signed_in.status), "{signed_in:?}");
                }
            });
        }
        while Instant::now() < end {
            dev.command("/_dev/reset", &json!({}));
        }
    });
    assert_eq!(dev.status(&dev.sign_in("ada@example.com")), 200);
    // The databases of earlier generations are removed soon.
    wait_until("old files are removed", || {
        let files = std::fs::read_dir(dev.folder()).unwrap().flatten();
        let databases = files.filter(|file| file.file_name().to_string_lossy().ends_with(".db"));
        databases.count() <= 2
    });
}

#[test]
fn outage_of_the_database_is_503_and_passes() {
    let dev = Dev::start(&[]);
    dev.create("ada@example.com");
    let token = dev.sign_in("ada@example.com");
    assert_eq!(dev.status(&token), 200);
    dev.command(
        "/_dev/fault",
        &json!({ "database": "down", "for_ms": 60_000 }),
    );
    let down = dev.client.get("/users/me").bearer(&token).send();
    assert_eq!(down.status, 503, "also from memory");
    assert!(down.header("Retry-After").is_some());
    assert_eq!(dev.client.get("/health/ready").send().status, 503);
    assert_eq!(dev.client.get("/health/live").send().status, 200);
    let sign_in = dev.control("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
    assert_eq!(sign_in.status, 503);
    dev.command("/_dev/fault", &json!({ "database": "down", "for_ms": 100 }));
    wait_until("it answers again", || dev.status(&token) == 200);

    dev.command(
        "/_dev/fault",
        &json!({ "database": "down", "for_ms": 60_000 }),
    );
    dev.command("/_dev/reset", &json!({}));
    assert_eq!(dev.client.get("/health/ready").send().status, 200);
    let too_long = json!({ "database": "down", "for_ms": 3_600_000 });
    assert_eq!(dev.control("/_dev/fault", &too_long).status, 422);
}

#[test]
fn shared_server_refuses_what_affects_others_and_resets_one_domain() {
    let folder = ScratchDir::new("dev");
    let seed = json!({ "users": [{ "email": "ada@w1.example.com", "scopes": "users:write" }] });
    let file = seed_file(&folder, &seed);
    let dev = Dev::start(&["--shared", "--seed", &file.to_string_lossy()]);
    dev.create("bob@w1.example.com");
    dev.create("bob@w2.example.com");
    dev.create("bob@not-w1.example.com");
    let tokens = [
        "ada@w1.example.com",
        "bob@w2.example.com",
        "bob@not-w1.example.com",
    ]
    .map(|email| dev.sign_in(email));
    for (path, body) in [
        ("/_dev/reset", json!({})),
        ("/_dev/clock", json!({ "advance": 1 })),
        ("/_dev/fault", json!({ "database": "down", "for_ms": 1 })),
    ] {
        let response = dev.control(path, &body);
        assert_eq!(response.status, 409, "{path}");
        assert!(response.text().contains("shared"), "{path}: {response:?}");
    }
    assert_eq!(
        tokens.each_ref().map(|token| dev.status(token)),
        [200, 200, 200]
    );
    dev.command("/_dev/reset", &json!({ "domain": "W1.example.com" }));
    assert_eq!(
        tokens.each_ref().map(|token| dev.status(token)),
        [401, 200, 200]
    );
    assert_eq!(dev.status(&dev.sign_in("ada@w1.example.com")), 200);
    let gone = dev.control("/_dev/sign-in", &json!({ "email": "bob@w1.example.com" }));
    assert_eq!(gone.status, 404);
}
