//! Sessions: several for a user, a limit that holds, names of devices, and who ends them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokenhouse::credential::token::{TokenDigest, generate_token};

use crate::harness::{
    Backend, Person, Response, TestApp, TestAppBuilder, TestDatabase, concurrently,
    on_both_databases, send,
};

on_both_databases!(
    limit_holds_under_simultaneous_sign_ins,
    one_session_is_held_by_the_database,
    device_has_one_session,
    any_user_agent_and_name_can_sign_in,
    users_and_administrators_end_sessions,
    sign_in_that_ends_nothing_keeps_other_tokens,
    tokens_of_an_earlier_version_stay_valid,
    recorded_use_wakes_no_cache,
);

fn app(backend: Backend, per_user: &str) -> TestApp {
    with_limit(TestApp::builder(backend), per_user)
}

fn with_limit(app: TestAppBuilder, per_user: &str) -> TestApp {
    app.setting("TOKENHOUSE_SESSIONS_PER_USER", per_user)
        .setting("TOKENHOUSE_LIMIT_SIGN_INS", "1000")
        .setting("TOKENHOUSE_LIMIT_CHANGES", "1000")
        .start()
}

fn sign_in(app: &TestApp, person: &Person, more: &[(&str, &str)]) -> Response {
    let mut form = vec![
        ("username", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    form.extend_from_slice(more);
    app.post("/token").form(&form).send()
}

fn token_of(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    let token = response.json()["access_token"].clone();
    token.as_str().unwrap().to_owned()
}

fn sessions(app: &TestApp, token: &str) -> Vec<Value> {
    let listed = app.get("/users/me/sessions").bearer(token).send();
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.json()["sessions"].as_array().unwrap().clone()
}

fn names(sessions: &[Value]) -> Vec<&str> {
    let names = sessions.iter().map(|session| session["name"].as_str());
    names.map(Option::unwrap).collect()
}

const CLIENTS: usize = 32;

/// The sign-ins of one user at once over two processes, and one more. Returns the statuses of the tokens
/// of the former, and the token of the latter.
fn rush(apps: [&TestApp; 2], alice: &Person, device: &[(&str, &str)]) -> (Vec<u16>, String) {
    let tokens = concurrently(CLIENTS, CLIENTS, |number| {
        token_of(&sign_in(apps[number % 2], alice, device))
    });
    let statuses = tokens
        .iter()
        .map(|token| apps[0].status("/users/me", token));
    let statuses = statuses.collect();
    (statuses, token_of(&sign_in(apps[1], alice, device)))
}

fn limit_holds_under_simultaneous_sign_ins(backend: Backend) {
    let first = app(backend, "3");
    let second = with_limit(first.sibling(), "3");
    let alice = first.register("alice");
    let apps = [&first, &second];
    let (statuses, last) = rush(apps, &alice, &[]);
    let living = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(living, 3, "{statuses:?}");
    assert_eq!(sessions(&second, &last).len(), 3);
    assert!(apps.iter().all(|app| app.status("/users/me", &last) == 200));
    let evicted = first
        .database()
        .count("audit_events WHERE action = 'session.evicted'");
    assert_eq!(evicted, i64::try_from(CLIENTS).unwrap() + 1 - 3);

    let (statuses, last) = rush(apps, &alice, &[("device_id", "7f3c")]);
    let living = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(living, 1, "{statuses:?}");
    let of_device = first
        .database()
        .count("sessions WHERE device_digest IS NOT NULL");
    assert_eq!(of_device, 1);
    assert_eq!(sessions(&first, &last).len(), 3);
}

/// The tutorial's rule: at most one access token for a user.
fn one_session_is_held_by_the_database(backend: Backend) {
    let first = app(backend, "1");
    let second = with_limit(first.sibling(), "1");
    let alice = first.register("alice");
    let (statuses, last) = rush([&first, &second], &alice, &[]);
    let living = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(living, 1, "{statuses:?}");
    assert_eq!(first.database().count("access_tokens"), 1);
    assert_eq!(sessions(&first, &last).len(), 1);
    let evicted = "audit_events WHERE action = 'session.evicted'";
    assert_eq!(first.database().count(evicted), 0);
    assert!(
        !first.database().accepts(
            "INSERT INTO sessions (user_id, slot, kind, name, user_agent, first_ip, last_ip, \
             created_at, last_used_at, expires_at, amr, scopes) SELECT user_id, slot, kind, name, \
             user_agent, first_ip, last_ip, created_at, last_used_at, expires_at, amr, scopes \
             FROM sessions"
        ),
        "a slot is taken"
    );
    // The answer is the tutorial's.
    let answer = sign_in(&first, &alice, &[("device_id", "d")]).json();
    assert_eq!(answer["session_id"], Value::Null, "{answer}");
}

fn device_has_one_session(backend: Backend) {
    let app = app(backend, "5");
    let alice = app.register("alice");
    let phone = token_of(&sign_in(&app, &alice, &[("device_id", "phone")]));
    let laptop = token_of(&sign_in(&app, &alice, &[("device_id", "laptop")]));
    let again = sign_in(
        &app,
        &alice,
        &[("device_id", "phone"), ("device_name", "Ada's phone")],
    );
    let answer = again.json();
    let again = token_of(&again);
    let statuses = [&phone, &laptop, &again].map(|token| app.status("/users/me", token));
    assert_eq!(statuses, [401, 200, 200]);
    let listed = sessions(&app, &again);
    assert_eq!(names(&listed), ["Ada's phone", "a client"]);
    assert_eq!(listed[0]["id"], answer["session_id"]);
    assert_eq!(
        (&listed[0]["current"], &listed[1]["current"]),
        (&json!(true), &json!(false))
    );
    // The id of a device belongs to its user alone.
    let bob = app.register("bob");
    token_of(&sign_in(&app, &bob, &[("device_id", "phone")]));
    assert_eq!(app.status("/users/me", &again), 200);
}

fn any_user_agent_and_name_can_sign_in(backend: Backend) {
    let app = app(backend, "20");
    let alice = app.register("alice");
    let long = "é".repeat(2_000);
    let agents: [Option<&[u8]>; 4] = [
        None,
        Some(b""),
        Some(long.as_bytes()),
        Some(b"Firefox/1 \xff\xfe Linux"),
    ];
    for agent in agents {
        let form = [
            ("username", alice.email.as_str()),
            ("password", alice.password.as_str()),
        ];
        let request = app.post("/token").form(&form);
        let request = match agent {
            Some(agent) => request.header("user-agent", agent),
            None => request,
        };
        assert_eq!(request.send().status, 200, "{agent:?}");
    }
    let odd = [("device_name", "<b>\u{202e}x\n")];
    let token = token_of(&sign_in(&app, &alice, &odd));
    let endless = "n".repeat(5_000);
    token_of(&sign_in(&app, &alice, &[("device_name", &endless)]));
    token_of(&sign_in(&app, &alice, &[("device_name", " \t")]));
    let listed = sessions(&app, &token);
    let mut found = names(&listed);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "<b> x",
            "Firefox on Linux",
            "a client",
            "a client",
            "a client",
            "a client",
            &endless[..100],
        ]
    );
    let longest = listed.iter().map(|one| one["user_agent"].as_str().unwrap());
    assert_eq!(longest.map(|text| text.chars().count()).max(), Some(200));
}

fn users_and_administrators_end_sessions(backend: Backend) {
    let app = app(backend, "10");
    let alice = app.register("alice");
    let mut tokens: Vec<String> = (0..5)
        .map(|number| {
            let name = format!("device {number}");
            token_of(&sign_in(&app, &alice, &[("device_name", &name)]))
        })
        .collect();
    let own = tokens.pop().unwrap();
    let statuses = |tokens: &[String]| -> Vec<u16> {
        let statuses = tokens.iter().map(|token| app.status("/users/me", token));
        statuses.collect()
    };
    let id = |name: &str| {
        let listed = sessions(&app, &own);
        let named = listed.iter().find(|session| session["name"] == name);
        named.unwrap()["id"].as_i64().unwrap()
    };

    // The user: rename, end one.
    let path = format!("/users/me/sessions/{}", id("device 0"));
    let renamed = send(&app, "PATCH", &path, &own, &json!({"name": "phone"}));
    assert_eq!(
        (renamed.status, &renamed.json()["name"]),
        (200, &json!("phone"))
    );
    for bad in [
        json!({"name": ""}),
        json!({"name": 1}),
        json!({}),
        json!({"name": "a", "id": 1}),
    ] {
        assert_eq!(send(&app, "PATCH", &path, &own, &bad).status, 422, "{bad}");
    }
    assert_eq!(app.request("DELETE", &path).bearer(&own).send().status, 204);
    assert_eq!(app.request("DELETE", &path).bearer(&own).send().status, 404);
    assert_eq!(statuses(&tokens), [401, 200, 200, 200]);

    // Nobody ends or renames the session of another user, except an administrator.
    let bob = app.register("bob").sign_in();
    let path = format!("/users/me/sessions/{}", id("device 1"));
    assert_eq!(app.request("DELETE", &path).bearer(&bob).send().status, 404);
    let renaming = send(&app, "PATCH", &path, &bob, &json!({"name": "mine"}));
    assert_eq!(renaming.status, 404);
    let root = app
        .register_with("root", "users:read users:write")
        .sign_in();
    let user = app.id_of(&own);
    let all = format!("/admin/users/{user}/sessions");
    let listed = app.get(&all).bearer(&root).send().json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 4, "{listed}");
    assert_eq!(
        app.get("/admin/users/999/sessions")
            .bearer(&root)
            .send()
            .status,
        404
    );
    let one = format!("{all}/{}", id("device 1"));
    assert_eq!(app.request("DELETE", &one).bearer(&bob).send().status, 403);
    assert_eq!(app.request("DELETE", &one).bearer(&root).send().status, 204);
    assert_eq!(app.request("DELETE", &one).bearer(&root).send().status, 404);
    assert_eq!(statuses(&tokens), [401, 401, 200, 200]);

    // The operator.
    let (code, listed) = app.run(&["session", "list", &alice.email]);
    assert!(code == Some(0) && listed.contains("device 2"), "{listed}");
    let ended = app.run(&["session", "end", &alice.email, &id("device 2").to_string()]);
    assert_eq!(ended.0, Some(0), "{ended:?}");
    assert_eq!(statuses(&tokens), [401, 401, 401, 200]);

    // All others, and all.
    let others = "/users/me/sessions?keep=current";
    assert_eq!(
        app.request("DELETE", "/users/me/sessions?keep=all")
            .bearer(&own)
            .send()
            .status,
        422
    );
    assert_eq!(
        app.request("DELETE", others).bearer(&own).send().status,
        204
    );
    assert_eq!(
        (statuses(&tokens)[3], app.status("/users/me", &own)),
        (401, 200)
    );
    let second = token_of(&sign_in(&app, &alice, &[]));
    let key = app.create_key(&second, "").secret;
    assert_eq!(app.post("/logout?all=true").bearer(&own).send().status, 204);
    assert_eq!(statuses(&[own, second, key]), [401, 401, 200]);
    assert_eq!(app.run(&["audit", "verify"]).0, Some(0));
}

/// An additional session fences nothing, and a password change ends all others.
fn sign_in_that_ends_nothing_keeps_other_tokens(backend: Backend) {
    let app = app(backend, "20");
    let second = with_limit(app.sibling(), "20");
    let alice = app.register("alice");
    let tokens: Vec<String> = (0..20).map(|_| alice.sign_in()).collect();
    assert!(
        tokens
            .iter()
            .all(|token| second.status("/users/me", token) == 200)
    );
    let evicting = alice.sign_in();
    let statuses: Vec<u16> = tokens
        .iter()
        .map(|token| second.status("/users/me", token))
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(statuses[0], 401, "the one that was unused longest");
    let change = json!({"current_password": alice.password, "new_password": "mulberry-Tram-71"});
    let changed = send(&app, "POST", "/users/me/password", &evicting, &change);
    assert_eq!(changed.status, 204, "{changed:?}");
    assert!(
        tokens
            .iter()
            .all(|token| second.status("/users/me", token) == 401)
    );
    assert_eq!(second.status("/users/me", &evicting), 200);
}

/// The statements of the migrations before there were sessions.
fn earlier_migrations(backend: Backend) -> String {
    let folder = match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(folder);
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.as_str() < "2026-11-29-000050")
        .collect();
    names.sort_unstable();
    let mut statements =
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY \
         NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);"
            .to_owned();
    for name in names {
        let (number, _) = name.split_once('_').unwrap();
        statements += &fs::read_to_string(folder.join(&name).join("up.sql")).unwrap();
        statements += &format!(
            "; INSERT INTO __diesel_schema_migrations (version) VALUES ('{}');",
            number.replace('-', "")
        );
    }
    statements
}

fn tokens_of_an_earlier_version_stay_valid(backend: Backend) {
    let app = app(backend, "5");
    let database = TestDatabase::empty(backend);
    let (token, expired) = (generate_token().unwrap(), generate_token().unwrap());
    let digest = |token: &str| TokenDigest::new(token.as_bytes()).to_hex();
    database.execute(&format!(
        "{}
         INSERT INTO users (id, name, surname, email, email_key, website, hashed_password, created_at)
         VALUES (7, 'alice Example', '', 'a@example.com', 'a@example.com', '', '!', '2026-01-01 00:00:00'),
                (8, 'bob Example', '', 'b@example.com', 'b@example.com', '', '!', '2026-01-01 00:00:00');
         INSERT INTO access_tokens
             (user_id, access_token, expiration_date, scopes, created_at, authenticated_at)
         VALUES (7, '{}', '2999-01-01 00:00:00', '', '2026-01-01 00:00:00', '2026-01-01 00:00:00'),
                (8, '{}', '2026-01-02 00:00:00', '', '2026-01-01 00:00:00', NULL)",
        earlier_migrations(backend),
        digest(token.expose()),
        digest(expired.expose())
    ));
    let url = database.url();
    let (_server, client) = app.spawn_server_with(&[("DATABASE_URL", &url)]);
    assert_eq!(client.status("/users/me", token.expose()), 200);
    assert_eq!(client.status("/users/me", expired.expose()), 401);
    let listed = client
        .get("/users/me/sessions")
        .bearer(token.expose())
        .send();
    let listed = listed.json();
    assert_eq!(
        listed["sessions"][0]["name"], "before the upgrade",
        "{listed}"
    );
    assert_eq!(listed["sessions"][0]["amr"], "pwd");
    let mut doctor = app.program(&["doctor"]);
    let report = doctor.env("DATABASE_URL", &url).output().unwrap().stdout;
    let report = String::from_utf8(report).unwrap();
    let problems = report
        .lines()
        .filter(|line| line.starts_with("problem\ttables"));
    // The text above is not diesel's.
    let others: Vec<&str> = problems
        .filter(|line| !line.contains("__diesel_schema_migrations"))
        .collect();
    assert_eq!(others, [""; 0]);
    assert_eq!(
        client.post("/logout").bearer(token.expose()).send().status,
        204
    );
    assert_eq!(client.status("/users/me", token.expose()), 401);
}

fn recorded_use_wakes_no_cache(backend: Backend) {
    let app = app(backend, "5");
    let token = app.register("alice").sign_in();
    let column = match backend {
        Backend::Sqlite => "access_token",
        Backend::Postgres => "credential",
    };
    let digest = TokenDigest::new(token.as_bytes()).to_hex();
    let logged = || {
        let of_token = format!("session_changes WHERE {column} = '{digest}'");
        app.database().count(&of_token)
    };
    app.database().execute(
        "UPDATE sessions SET last_used_at = '2999-01-01 00:00:00', last_ip = '', name = 'n', \
         user_agent = ''",
    );
    assert_eq!(logged(), 0);
    app.database().execute("UPDATE sessions SET amr = 'otp'");
    assert_eq!(logged(), 1);
}
