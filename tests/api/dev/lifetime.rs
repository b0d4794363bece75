//! How `tokenhouse dev` starts and ends, and what it does not touch.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Dev, client_of, is_running, program, refused, seed_file};
use crate::harness::{Client, ScratchDir, concurrently, wait_until};

/// Starts the server as a child of a shell, so that a test can kill its parent.
const CHILD_OF_SHELL: &str = "\"$1\" dev </dev/null & wait";

#[test]
fn first_line_is_the_only_output_and_the_end_of_input_ends_the_server() {
    let mut dev = Dev::spawn(program().env("RUST_LOG", "debug"));
    dev.create("ada@example.com");
    let token = dev.sign_in("ada@example.com");
    concurrently(4, 2_000, |_number| assert_eq!(dev.status(&token), 200));
    let (folder, pid, client) = (dev.folder(), dev.line["pid"].clone(), dev.client);
    assert!(is_running(&pid) && folder.exists());
    assert!(dev.log.bytes().len() > 64 << 10, "more than a pipe holds");
    let (rest, took) = dev.end();
    assert_eq!(rest, "");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(!folder.exists() && client.connect().is_err());
}

#[test]
fn files_are_readable_by_their_owner_only() {
    let dev = Dev::start(&[]);
    dev.command("/_dev/reset", &json!({}));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dev.folder()), 0o700);
    let entries: Vec<_> = fs::read_dir(dev.folder()).unwrap().flatten().collect();
    assert!(entries.len() > 2, "{entries:?}");
    for entry in entries {
        assert_eq!(mode(entry.path()), 0o600, "{entry:?}");
    }
}

#[test]
fn end_of_parent_ends_the_server_that_has_no_input() {
    let mut parent = Command::new("sh")
        .args(["-c", CHILD_OF_SHELL, "sh", env!("CARGO_BIN_EXE_tokenhouse")])
        .env("TMPDIR", std::env::temp_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let database = line["database"].as_str().unwrap().replace("sqlite://", "");
    // It has not ended, although /dev/null has no content.
    assert_eq!(client_of(&line).get("/livez").send().status, 200);
    assert!(fs::exists(&database).unwrap());
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("the server ends", || !is_running(&line["pid"]));
    assert!(!fs::exists(&database).unwrap());
}

#[test]
fn signals_end_the_server_and_remove_its_folder() {
    for name in ["TERM", "INT", "HUP"] {
        let mut dev = Dev::start(&[]);
        let pid = dev.line["pid"].to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
        assert!(dev.process.wait().unwrap().success(), "{name}");
        assert!(!dev.folder().exists(), "{name}");
    }
}

#[test]
fn folder_of_a_killed_server_is_removed_by_the_next_one() {
    let mut killed = Dev::start(&[]);
    let running = Dev::start(&[]);
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    assert!(killed.folder().exists());
    let long_ago = SystemTime::now() - Duration::from_secs(120);
    for folder in [killed.folder(), running.folder()] {
        let lock = File::open(folder.join("lock")).unwrap();
        lock.set_modified(long_ago).unwrap();
    }
    let _next = Dev::start(&[]);
    wait_until("the folder is removed", || !killed.folder().exists());
    assert!(running.folder().exists(), "its server runs");
}

#[test]
fn concurrent_servers_have_different_addresses_and_databases() {
    let servers = concurrently(4, 16, |_number| Dev::start(&[]));
    let distinct = |member: &str| {
        let values = servers.iter().map(|dev| dev.text(member));
        values.collect::<std::collections::BTreeSet<_>>().len()
    };
    for member in ["url", "database", "static_key", "control_key"] {
        assert_eq!(distinct(member), 16, "{member}");
    }
    servers[0].create("ada@example.com");
    let token = servers[0].sign_in("ada@example.com");
    assert_eq!(servers[0].status(&token), 200);
    assert_eq!(servers[1].status(&token), 401);
}

#[test]
fn environment_and_settings_files_are_ignored() {
    let folder = ScratchDir::new("dev");
    let database = folder.join("production.db");
    fs::write(folder.join(".env"), "TOKENHOUSE_BIND=nonsense\n").unwrap();
    let dev = Dev::spawn(
        program()
            .current_dir(&folder)
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .env("TOKENHOUSE_BIND", "192.0.2.1:1")
            .env("TOKENHOUSE_MISSPELT", "1")
            .env("TOKENHOUSE_TOKEN_LIFETIME", "7")
            .env("HTTP_PROXY", "http://127.0.0.1:9"),
    );
    dev.create("ada@example.com");
    let signed_in = dev.command("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
    assert_eq!(signed_in["expires_in"], 86_400);
    assert!(!database.exists());

    let dev = Dev::start(&["--set", "TOKENHOUSE_TOKEN_LIFETIME=7"]);
    dev.create("ada@example.com");
    let signed_in = dev.command("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
    assert_eq!(signed_in["expires_in"], 7);
}

#[test]
fn no_argument_opens_an_existing_database() {
    let folder = ScratchDir::new("dev");
    let database = folder.join("production.db");
    fs::write(&database, "").unwrap();
    let url = format!("sqlite://{}", database.display());
    let file = folder.join("settings");
    fs::write(&file, format!("DATABASE_URL={url}\n")).unwrap();
    let setting = format!("DATABASE_URL={url}");
    let from_file = format!("DATABASE_URL_FILE={}", file.display());
    for arguments in [
        ["--set", &setting],
        ["--set", &from_file],
        ["--database", &url],
        ["--env-file", &file.to_string_lossy()],
    ] {
        let (code, error) = refused(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
    }
    assert_eq!(fs::read(&database).unwrap(), b"");
}

#[test]
fn other_addresses_than_loopback_require_a_control_key() {
    assert_eq!(
        Dev::start(&[]).client.address().ip().to_string(),
        "127.0.0.1"
    );
    let (code, error) = refused(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--control-key"), "{error}");
    let (code, _) = refused(&["--listen", "0.0.0.0:0", "--control-key", "short"]);
    assert_eq!(code, Some(2));
    let (code, _) = refused(&["--set", "TOKENHOUSE_BIND=0.0.0.0:0"]);
    assert_eq!(code, Some(2));

    let key = "a-key-of-the-test-runner";
    let dev = Dev::start(&["--listen", "0.0.0.0:0", "--control-key", key]);
    assert_eq!(dev.text("control_key"), key);
    // Another address of this machine than the announced one.
    let mut address = dev.client.address();
    address.set_ip([127, 0, 0, 2].into());
    let client = Client::new(address);
    let status = |key: &str| client.get("/_dev/clock").bearer(key).send().status;
    assert_eq!((status(key), status("another-key-of-nobody")), (200, 401));
}

/// N13: a name may stand for an address of the other family, where nobody listens.
#[test]
fn url_has_an_address_that_answers_and_never_a_name() {
    let key = "a-key-of-the-test-runner";
    let mut listened = vec![("localhost:0", "http://127.0.0.1:")];
    // Not every machine has IPv6.
    if TcpListener::bind("[::1]:0").is_ok() {
        listened.extend([("[::1]:0", "http://[::1]:"), ("[::]:0", "http://[::1]:")]);
    }
    for (listen, expected) in listened {
        let dev = Dev::start(&["--listen", listen, "--control-key", key]);
        let url = dev.text("url");
        assert!(url.starts_with(expected), "{listen}: {url}");
        assert_eq!(
            dev.client.get("/health/live").send().status,
            200,
            "{listen}"
        );
    }
    let (code, error) = refused(&["--listen", "example.com:0", "--control-key", key]);
    assert_eq!(code, Some(2));
    assert!(error.contains("of names only localhost"), "{error}");
}

#[test]
fn seed_creates_users_and_is_checked() {
    let folder = ScratchDir::new("dev");
    let seed = json!({ "users": [
        { "email": "ada@example.com", "scopes": ["orders:read", "orders:write"] },
        { "email": "bob@example.com", "password": "a-Password-of-Bob-9", "disabled": true },
        { "email": "cid@example.com", "scopes": "orders:read", "name": "Cid Campeador" },
    ]});
    let file = seed_file(&folder, &seed);
    let dev = Dev::start(&["--seed", &file.to_string_lossy()]);
    let signed_in = dev.command("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
    assert_eq!(signed_in["scope"], "orders:read orders:write");
    let me = dev
        .client
        .get("/users/me")
        .bearer(&dev.sign_in("cid@example.com"));
    assert_eq!(me.send().json()["name"], "Cid Campeador");
    let refusal = dev.control("/_dev/sign-in", &json!({ "email": "bob@example.com" }));
    assert_eq!(refusal.status, 409, "disabled");
    drop(dev);

    let file = folder.join("seed.toml");
    let toml = "[[users]]\nemail = \"ada@example.com\"\nscopes = [\"orders:read\"]\n";
    fs::write(&file, toml).unwrap();
    let dev = Dev::start(&["--seed", &file.to_string_lossy()]);
    let signed_in = dev.command("/_dev/sign-in", &json!({ "email": "ada@example.com" }));
    assert_eq!(signed_in["scope"], "orders:read");
    drop(dev);
    fs::write(
        &file,
        "[[users]]\nemail = \"ada@example.com\"\nscopes = 7\n",
    )
    .unwrap();
    let (code, error) = refused(&["--seed", &file.to_string_lossy()]);
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("seed.toml: expected a list") && error.contains("users.scopes"),
        "{error}"
    );

    for (seed, problem) in [
        (json!({ "users": [{ "emial": "a@example.com" }] }), "emial"),
        (
            json!({ "users": [{ "email": "nonsense" }] }),
            "seed.json: users[0] (nonsense): email",
        ),
        (
            json!({ "users": [{ "email": "a@example.com", "password": "short" }] }),
            "a@example.com",
        ),
        (json!([]), "seed.json"),
    ] {
        let file = seed_file(&folder, &seed);
        let (code, error) = refused(&["--seed", &file.to_string_lossy()]);
        assert_eq!(code, Some(2), "{seed}: {error}");
        assert!(error.contains(problem), "{seed}: {error}");
    }
    let (code, _) = refused(&["--seed", "/nonexistent"]);
    assert_eq!(code, Some(2));
}
