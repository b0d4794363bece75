//! Apps: programs that own keys without being people.

use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokenhouse::{Auth, Error};

use crate::harness::{
    Backend, Log, OWN_SCOPES, Running, STATIC_KEY, TestApp, on_both_databases, runtime,
};

on_both_databases!(
    app_introspects_with_the_printed_settings,
    app_is_no_person_anywhere,
    app_with_a_scope_passes_where_the_scope_is_required,
    app_revocations_take_effect_everywhere,
    names_and_lifetimes_of_apps_are_checked,
    only_keys_of_apps_have_no_end,
    app_is_not_the_last_administrator,
    restored_copy_revives_no_app_key,
    keys_about_to_end_are_reported_once_a_day,
);

fn introspect(app: &TestApp, client: &str, token: &str) -> (u16, Value) {
    let request = app.post("/introspect").bearer(client);
    let response = request.form(&[("token", token)]).send();
    (response.status, response.json())
}

fn app_introspects_with_the_printed_settings(backend: Backend) {
    let app = TestApp::start(backend);
    let url = "https://auth.example.com";
    let mut create = app.program(&["app", "create", "tasks", "--scope", "introspect"]);
    let output = create.env("TOKENHOUSE_PUBLIC_URL", url).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let [url_line, key_line] = lines[..] else {
        panic!("{printed}");
    };
    assert_eq!(url_line, format!("TOKENHOUSE_URL={url}"));
    let key = key_line.strip_prefix("TOKENHOUSE_CLIENT_KEY=").unwrap();
    assert!(key.starts_with("tkh_") && key.len() == 53, "{printed}");

    let alice = app.register("alice");
    let (status, state) = introspect(&app, key, &alice.sign_in());
    assert_eq!(
        (status, &state["username"]),
        (200, &json!("alice@example.com"))
    );
    assert_eq!(state.get("client_id"), None);
    let (_, state) = introspect(&app, key, key);
    let expected = json!({
        "active": true, "scope": "introspect", "client_id": "tasks", "token_type": "Bearer",
        "name": "tasks", "iat": state["iat"], "sub": state["sub"],
    });
    assert_eq!(state, expected, "no address, and no end");
    let id: i64 = state["sub"].as_str().unwrap().parse().unwrap();
    assert!(id < 0, "{id}");

    let (_, listed) = app.run(&["app", "list"]);
    assert!(listed.starts_with("tasks\t1\ttkh_"), "{listed}");
    let end = format!("\tintrospect\t{id}\n");
    assert!(
        listed.contains("\tnever\t") && listed.ends_with(&end),
        "{listed}"
    );
    let (_, listed) = app.run(&["app", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["key"]["expires_at"], Value::Null);
    assert!(!listed.to_string().contains(key));
    // The trail names the app, not a user.
    let introspected = "audit_events WHERE actor = 'app:tasks' AND credential = 'key:1'";
    let by_app = app
        .database()
        .count(&format!("{introspected} AND action = 'introspect'"));
    assert_eq!(by_app, 1);
    let created = "audit_events WHERE actor LIKE 'operator%' AND target = 'app:tasks'";
    assert_eq!(
        app.database()
            .count(&format!("{created} AND action = 'app.create'")),
        1
    );
}

fn app_is_no_person_anywhere(backend: Backend) {
    let app = TestApp::start(backend);
    let key = app.create_app("tasks", OWN_SCOPES);
    let admin = app.register_with("admin", OWN_SCOPES);
    let token = admin.sign_in();
    let id = introspect(&app, &key, &key).1["sub"]
        .as_str()
        .unwrap()
        .to_owned();

    for path in ["/users/me", "/users/me/events", "/users/me/keys", "/verify"] {
        let response = app.get(path).bearer(&key).send();
        assert_eq!(response.status, 403, "{path}");
        let detail = &response.json()["detail"];
        assert_eq!(detail, "Only a user may do this, not an app", "{path}");
    }
    let listed = app.get("/admin/users").bearer(&token).send().json();
    assert_eq!(listed["users"].as_array().unwrap().len(), 1, "{listed}");
    for search in ["app", "tasks", "a"] {
        let path = format!("/admin/users?search={search}");
        let found = app.get(&path).bearer(&token).send();
        assert!(
            !found.text().contains("tasks"),
            "{search}: {}",
            found.text()
        );
    }
    let (_, listed) = app.run(&["user", "list"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let user = format!("/admin/users/{id}");
    let send = |method: &str, path: &str, body: Value| {
        let request = app.request(method, path).bearer(&token).json(&body);
        request.send().status
    };
    let disable = json!({ "disabled": true });
    assert_eq!(send("GET", &user, Value::Null), 404);
    assert_eq!(send("PATCH", &user, disable), 404);
    assert_eq!(send("DELETE", &user, Value::Null), 404);
    assert_eq!(send("DELETE", &format!("{user}/tokens"), Value::Null), 404);
    for name in ["tasks", "app:tasks", ""] {
        for password in ["!", "", "tasks"] {
            let form = [("username", name), ("password", password)];
            let status = app.post("/token").form(&form).send().status;
            assert!([401, 422].contains(&status), "{name} {password}: {status}");
        }
        for command in [
            &["token", "issue", name][..],
            &["key", "create", name, "--name", "k"],
            &["user", "delete", name],
            &["user", "update", "--surname", "X", "--", &id],
        ] {
            assert_eq!(app.run(command).0, Some(1), "{command:?}");
        }
    }
    // A library that asks whether a credential is a user's hears no.
    let auth = Auth::open(&app.config()).unwrap();
    let checked = runtime().block_on(auth.check_token(key.as_bytes()));
    assert!(matches!(checked, Err(Error::UserRequired)), "{checked:?}");
    assert_eq!(introspect(&app, &key, &key).0, 200, "it still works");
}

fn app_with_a_scope_passes_where_the_scope_is_required(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let key = app.create_app("tasks", "users:read orders:read users:write");
    let verified = app.get("/verify?scope=orders:read").bearer(&key).send();
    assert_eq!(verified.status, 200);
    let headers = ["x-auth-name", "x-auth-email", "x-auth-method"];
    let values = headers.map(|name| verified.header(name).unwrap());
    assert_eq!(values, ["tasks", "", "app"]);
    assert!(verified.header("x-auth-user-id").unwrap().starts_with('-'));
    assert_eq!(app.status("/verify?scope=orders:write", &key), 403);
    assert_eq!(app.status("/admin/users", &key), 200);
    assert_eq!(app.status("/admin/events", &key), 403);
    let patch = |body: Value| {
        let request = app.request("PATCH", "/admin/users/1").bearer(&key);
        request.json(&body).send().status
    };
    assert_eq!(patch(json!({ "disabled": true })), 200);
    assert_eq!(
        patch(json!({ "scopes_add": "x" })),
        403,
        "only people grant scopes"
    );
    let disabled = "audit_events WHERE actor = 'app:tasks' AND action = 'user.disable'";
    assert_eq!(app.database().count(disabled), 1);
}

fn app_revocations_take_effect_everywhere(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let statuses = |key: &str| {
        servers.map(|server| {
            let request = server.post("/introspect").bearer(key);
            request.form(&[("token", "x")]).send().status
        })
    };
    let first = app.create_app("tasks", "introspect");
    let (_, added) = app.run(&["app", "add-key", "tasks", "--expires", "30d", "--json"]);
    let added: Value = serde_json::from_str(&added).unwrap();
    let second = added["TOKENHOUSE_CLIENT_KEY"].as_str().unwrap();
    assert!(added["expires_at"].is_string(), "{added}");
    assert_eq!([statuses(&first), statuses(second)], [[200, 200]; 2]);

    let key_id = added["key_id"].to_string();
    let (code, printed) = app.run(&["app", "revoke", "tasks", "--key", &key_id]);
    assert_eq!(
        (code, printed),
        (Some(0), format!("revoked key {key_id} of tasks\n"))
    );
    assert_eq!(
        [statuses(&first), statuses(second)],
        [[200, 200], [401, 401]]
    );
    // By id, and for good: a new app of this name is another one.
    let id = added["id"].to_string();
    let (code, printed) = app.run(&["app", "revoke", &id]);
    assert_eq!(
        (code, printed.as_str()),
        (Some(0), "revoked tasks and all its keys\n")
    );
    assert_eq!(statuses(&first), [401, 401]);
    let again = app.create_app("tasks", "introspect");
    assert_eq!(
        [statuses(&first), statuses(&again)],
        [[401, 401], [200, 200]]
    );
    let (code, printed) = app.run(&["app", "revoke", &id]);
    assert_eq!(code, Some(1), "{printed}");
    // A client that has the key can end it too.
    let revoke = app.post("/revoke").form(&[("token", &again)]).send();
    assert_eq!((revoke.status, statuses(&again)), (200, [401, 401]));
}

fn names_and_lifetimes_of_apps_are_checked(backend: Backend) {
    let app = TestApp::start(backend);
    let create = |name: &str, more: &[&str]| {
        let arguments = [&["app", "create", name, "--scope", "introspect"], more].concat();
        app.run(&arguments)
    };
    assert_eq!(create("tasks", &[]).0, Some(0));
    let (code, problem) = create("tasks", &[]);
    assert!(
        code == Some(1) && problem.contains("app add-key"),
        "{problem}"
    );
    for name in ["Tasks", "7", "a b", "app:x", "a@example.com", ""] {
        let (code, problem) = create(name, &[]);
        assert!(
            code != Some(0) && problem.lines().count() == 1,
            "{name}: {problem}"
        );
    }
    for expires in ["0d", "3661d", "12h", "-1d", "forever", ""] {
        let (code, problem) = create("other", &["--expires", expires]);
        assert_eq!(code, Some(2), "{expires}: {problem}");
    }
    let scopes = create("other", &["--scope", "not\"one"]);
    assert_eq!(scopes.0, Some(2), "{}", scopes.1);
    assert_eq!(app.run(&["app", "create", "scopeless"]).0, Some(2));
    assert_eq!(app.database().count("users WHERE is_app"), 1);
}

fn only_keys_of_apps_have_no_end(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    app.create_key(&alice.sign_in(), "");
    app.create_app("tasks", "introspect");
    let database = app.database();
    let (key, app_key) = ("user_id > 0", "user_id < 0");
    let endless = "UPDATE api_keys SET expires_at = '9999-12-31 00:00:00' WHERE";
    assert!(!database.accepts(&format!("{endless} {key}")));
    assert!(database.accepts(&format!("{endless} {app_key}")));
    assert!(!database.accepts("UPDATE api_keys SET user_id = 1"));
    assert!(!database.accepts(
        "INSERT INTO api_keys (user_id, name, hint, key_digest, created_at, expires_at)
         VALUES (1, 'k', 'h', 'd', '2026-01-01 00:00:00', '9999-12-31 00:00:00')"
    ));
    for becomes in ["TRUE WHERE id = 1", "FALSE WHERE id < 0"] {
        assert!(!database.accepts(&format!("UPDATE users SET is_app = {becomes}")));
    }
}

fn app_is_not_the_last_administrator(backend: Backend) {
    let app = TestApp::start(backend);
    app.create_app("tasks", "users:write");
    let admin = app.register_with("admin", OWN_SCOPES);
    let request = app
        .request("PATCH", "/admin/users/1")
        .bearer(&admin.sign_in());
    let refused = request.json(&json!({ "disabled": true })).send();
    assert_eq!(refused.status, 409, "{}", refused.text());
}

fn restored_copy_revives_no_app_key(backend: Backend) {
    let app = TestApp::start(backend);
    let key = app.create_app("tasks", "introspect");
    let (code, printed) = app.run(&["after-restore"]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(introspect(&app, &key, "x").0, 401);
    let (_, listed) = app.run(&["app", "list"]);
    assert!(listed.starts_with("tasks\t\t\tno key\t"), "{listed}");
    let (_, added) = app.run(&["app", "add-key", "tasks", "--json"]);
    let added: Value = serde_json::from_str(&added).unwrap();
    let new = added["TOKENHOUSE_CLIENT_KEY"].as_str().unwrap();
    assert_eq!(introspect(&app, new, "x").0, 200);
    // Ids of users continue where they were.
    app.register("alice");
    assert_eq!(app.database().count("users WHERE id > 1000000"), 1);
}

fn keys_about_to_end_are_reported_once_a_day(backend: Backend) {
    let app = TestApp::start(backend);
    // Its own worker has looked by then.
    thread::sleep(Duration::from_millis(1_500));
    let alice = app.register("alice");
    let token = alice.sign_in();
    for _ in 0..3 {
        app.create_key(&token, "");
    }
    for expires in ["9d", "15d", "never"] {
        app.run(&[
            "app",
            "create",
            &format!("app{expires}"),
            "--scope",
            "a",
            "--expires",
            expires,
        ]);
    }
    let soon = chrono::Utc::now() + TimeDelta::hours(30);
    app.database().execute(&format!(
        "UPDATE api_keys SET expires_at = '{}' WHERE id IN (1, 2);
         UPDATE api_keys SET revoked_at = created_at WHERE id = 2",
        soon.format("%Y-%m-%d %H:%M:%S")
    ));
    // Several processes start at the same moment, twice.
    let expected = [
        "key 1 of user 1 ends in 1 day",
        "key 4 of the app app9d ends in 8 days",
    ];
    let mut warnings = Vec::new();
    for _ in 0..2 {
        let mut log = Log::new();
        let servers: Vec<_> = (0..3)
            .map(|_| {
                let mut command = app.program(&["serve"]);
                Running::serve(command.env("RUST_LOG", "warn").stderr(log.writer()))
            })
            .collect();
        for (_, client) in &servers {
            let counted = || {
                let metrics = client.get("/metrics").header("Token", STATIC_KEY).send();
                ["user", "app"].iter().all(|owner| {
                    let line = format!("tokenhouse_{owner}_keys_expiring 1\n");
                    metrics.text().contains(&line)
                })
            };
            let deadline = Instant::now() + Duration::from_secs(60);
            while !counted() {
                assert!(Instant::now() < deadline, "the keys are not counted");
                thread::sleep(Duration::from_millis(200));
            }
        }
        // The warnings follow the count.
        thread::sleep(Duration::from_secs(1));
        for (server, _) in servers {
            server.signal("TERM");
            server.wait();
        }
        let text = String::from_utf8(log.bytes()).unwrap();
        let found = text.lines().filter(|line| line.contains(" ends in "));
        warnings.extend(found.map(str::to_owned));
    }
    warnings.sort();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for text in expected {
        assert!(
            warnings.iter().any(|line| line.ends_with(text)),
            "{warnings:#?}"
        );
    }
    let warned = app.database().count("api_keys WHERE warned_at IS NOT NULL");
    assert_eq!(warned, 2);
    let index = app.database().plan(
        "SELECT id FROM api_keys WHERE revoked_at IS NULL AND expires_at > $1 ORDER BY expires_at",
    );
    assert!(index.join(" ").contains("api_keys_expires_at"), "{index:?}");
}
