//! What the profiles `tutorial` and `standard` change.

use serde_json::{Value, json};

use crate::harness::{Backend, Client, TestApp, on_both_databases, run_with_input, send};

on_both_databases!(
    standard_profile_requires_only_address_and_password,
    tutorial_profile_requires_all_fields,
    own_settings_override_the_profile,
);

const PASSWORD: &str = "mulberry-Tram-71";

/// Registers with the address, the password and these fields. Returns the status, and the user or the
/// first error.
fn register(client: &Client, email: &str, fields: &Value) -> (u16, Value) {
    let mut form = json!({ "email": email, "password": PASSWORD });
    for (name, value) in fields.as_object().unwrap() {
        form[name] = value.clone();
    }
    let response = client.post("/register").json(&form).send();
    let body = response.json();
    let error = body["detail"][0].clone();
    (response.status, if error.is_null() { body } else { error })
}

fn refused_sign_in(client: &Client) -> u16 {
    let form = [("username", "absent@example.com"), ("password", "wrong")];
    client.post("/token").form(&form).send().status
}

/// The fields that the OpenAPI document requires for a registration, the minimum length of a name, and
/// the description of the password.
fn documented(client: &Client) -> (Value, Value, Value) {
    let document = client.get("/openapi.json").send().json();
    let schemas = &document["components"]["schemas"];
    let own = &schemas["UserCreate"];
    for other in ["AdminUserCreate", "ProfileUpdate", "AdminUserUpdate"] {
        let name = &schemas[other]["properties"]["name"];
        assert_eq!(name["minLength"], own["properties"]["name"]["minLength"]);
    }
    (
        own["required"].clone(),
        own["properties"]["name"]["minLength"].clone(),
        own["properties"]["password"]["description"].clone(),
    )
}

fn standard_profile_requires_only_address_and_password(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_PROFILE", "standard")
        .start();
    let (status, user) = register(&app, "ann@example.com", &json!({}));
    let expected = json!({
        "id": 1, "name": "", "surname": "", "email": "ann@example.com", "website": "",
    });
    assert_eq!((status, user), (201, expected));
    let (status, user) = register(&app, "kim@example.com", &json!({ "name": "K" }));
    assert_eq!((status, &user["name"]), (201, &json!("K")));
    for (fields, kind) in [
        (json!({ "name": "" }), "string_too_short"),
        (json!({ "name": null }), "string_type"),
        (json!({ "surname": 1 }), "string_type"),
        (json!({ "password": "tram-Mulberry7" }), "string_too_short"),
    ] {
        let (status, error) = register(&app, "x@example.com", &fields);
        assert_eq!((status, &error["type"]), (422, &json!(kind)), "{fields}");
    }
    let form = [("username", "ann@example.com"), ("password", PASSWORD)];
    let token = app.post("/token").form(&form).send().json();
    let token = token["access_token"].as_str().unwrap();
    let changed = send(&app, "PATCH", "/users/me", token, &json!({ "name": "A" }));
    assert_eq!(
        (changed.status, &changed.json()["name"]),
        (200, &json!("A"))
    );
    let emptied = send(&app, "PATCH", "/users/me", token, &json!({ "name": "" }));
    assert_eq!(emptied.status, 422);
    assert_eq!(refused_sign_in(&app), 400);

    app.database()
        .execute("UPDATE users SET scopes = 'users:read users:write' WHERE id = 1");
    let form = [("username", "ann@example.com"), ("password", PASSWORD)];
    let admin = app.post("/token").form(&form).send().json();
    let admin = admin["access_token"].as_str().unwrap();
    let new = json!({ "email": "bo@example.com", "password": PASSWORD });
    let created = send(&app, "POST", "/admin/users", admin, &new);
    assert_eq!((created.status, &created.json()["name"]), (201, &json!("")));
    let id = created.json()["id"].to_string();
    let path = format!("/admin/users/{id}");
    let changed = send(&app, "PATCH", &path, admin, &json!({ "name": "B" }));
    assert_eq!(
        (changed.status, &changed.json()["name"]),
        (200, &json!("B"))
    );

    let mut command = app.program(&["user", "create", "cli@example.com"]);
    assert!(run_with_input(&mut command, PASSWORD).status.success());
    let (required, min_length, password) = documented(&app);
    assert_eq!(required, json!(["email", "password"]));
    assert_eq!(min_length, 1);
    assert!(password.as_str().unwrap().starts_with("At least 15 "));
    let printed = app.program(&["openapi"]).output().unwrap();
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, app.get("/openapi.json").send().json());
}

fn tutorial_profile_requires_all_fields(backend: Backend) {
    let app = TestApp::start(backend);
    let all = json!({ "name": "Annie", "surname": "", "website": "" });
    for missing in ["name", "surname", "website"] {
        let mut fields = all.clone();
        fields.as_object_mut().unwrap().remove(missing);
        let (status, error) = register(&app, "ann@example.com", &fields);
        assert_eq!((status, &error["type"]), (422, &json!("missing")));
        assert_eq!(error["loc"], json!(["body", missing]));
    }
    let short = json!({ "name": "Anni", "surname": "", "website": "" });
    let (status, error) = register(&app, "ann@example.com", &short);
    assert_eq!((status, &error["ctx"]), (422, &json!({ "min_length": 5 })));
    assert_eq!(register(&app, "ann@example.com", &all).0, 201);
    assert_eq!(refused_sign_in(&app), 401);

    let mut command = app.program(&["user", "create", "cli@example.com"]);
    let output = run_with_input(&mut command, PASSWORD);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("name"));
    let (required, min_length, password) = documented(&app);
    let all = json!(["name", "surname", "email", "website", "password"]);
    assert_eq!((required, min_length), (all, json!(5)));
    let expected = "At least 8 characters and at most 72 bytes, and not a common one.";
    assert_eq!(password, expected);
}

fn own_settings_override_the_profile(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_PROFILE", "standard")
        .setting("TOKENHOUSE_NAME_MIN_LENGTH", "3")
        .setting("TOKENHOUSE_OAUTH_STRICT_STATUS", "false")
        .setting("TOKENHOUSE_PASSWORD_MIN_LENGTH", "8")
        .start();
    let short = json!({ "name": "Al", "password": "tram-Mulberry7" });
    let (status, error) = register(&app, "al@example.com", &short);
    assert_eq!((status, &error["ctx"]), (422, &json!({ "min_length": 3 })));
    let long = json!({ "name": "Alf", "password": "tram-Mulberry7" });
    assert_eq!(register(&app, "al@example.com", &long).0, 201);
    assert_eq!(refused_sign_in(&app), 401);

    let tutorial = app
        .sibling()
        .setting("TOKENHOUSE_NAME_MIN_LENGTH", "2")
        .setting("TOKENHOUSE_PROFILE", "tutorial")
        .start();
    let name = json!({ "name": "Bo", "surname": "", "website": "" });
    assert_eq!(register(&tutorial, "bo@example.com", &name).0, 201);
}
