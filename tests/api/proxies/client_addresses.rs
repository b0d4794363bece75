//! Clients behind a proxy do not share limits, whether or not the proxy is configured as trusted.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::harness::proxy::start_before_cluster;
use crate::harness::{
    Backend, Client, Running, STATIC_KEY, ScratchDir, TestApp, on_both_databases,
};

on_both_databases!(
    flood_behind_a_trusted_proxy_does_not_block_others,
    untrusted_proxy_is_reported_and_blocks_nobody,
);

const ATTACKER: [u8; 4] = [127, 6, 6, 6];
const OTHERS: [[u8; 4]; 3] = [[127, 1, 1, 1], [127, 1, 2, 1], [127, 1, 3, 1]];

/// The settings in a file of `deploy/`, except the listening address and the database.
fn settings_in(unit: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(unit);
    let unit = fs::read_to_string(path).unwrap();
    let lines = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="));
    let settings = lines.filter_map(|line| line.split_once('='));
    settings
        .filter(|(name, _)| !["DATABASE_URL", "TOKENHOUSE_BIND"].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Guesses passwords of unknown users; returns how many requests were limited.
fn flood(client: &Client) -> usize {
    let statuses = (0..160).map(|number| {
        let name = format!("nobody{number}@example.com");
        let form = [("username", name.as_str()), ("password", "wrong password")];
        client.post("/token").form(&form).send().status
    });
    statuses.filter(|status| *status == 429).count()
}

fn sign_in_others(proxy: &Client, app: &TestApp) -> Vec<u16> {
    let sign_in = |(number, address): (usize, &[u8; 4])| {
        let person = app.register(&format!("user{number}"));
        let form = [
            ("username", person.email.as_str()),
            ("password", &person.password),
        ];
        proxy
            .from(*address)
            .post("/token")
            .form(&form)
            .send()
            .status
    };
    OTHERS.iter().enumerate().map(sign_in).collect()
}

fn flood_behind_a_trusted_proxy_does_not_block_others(backend: Backend) {
    let app = TestApp::start(backend);
    let settings = settings_in("systemd/tokenhouse.service");
    assert!(!settings.is_empty());
    let mut command = app.program(&["serve"]);
    command.env("TOKENHOUSE_LIMITS", "on").envs(settings);
    let (_server, client) = Running::serve(command.stderr(Stdio::null()));
    let proxy = start_before_cluster([client.address(); 3]);
    assert!(flood(&proxy.from(ATTACKER)) > 50);
    assert_eq!(sign_in_others(&proxy, &app), [200; 3]);
    for address in ["127.6.6.6", "127.1.1.1", "127.1.2.1", "127.1.3.1"] {
        let rows = format!("audit_events WHERE action = 'login' AND ip = '{address}'");
        assert!(app.database().count(&rows) > 0, "{address}");
    }
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'proxy.untrusted'"),
        0
    );
}

fn untrusted_proxy_is_reported_and_blocks_nobody(backend: Backend) {
    let app = TestApp::start(backend);
    let folder = ScratchDir::new("unnamed");
    let path = folder.join("log");
    let mut command = app.program(&["serve"]);
    command
        .env("TOKENHOUSE_LIMITS", "on")
        .stderr(Stdio::from(fs::File::create(&path).unwrap()));
    let (server, client) = Running::serve(&mut command);
    let proxy = start_before_cluster([client.address(); 3]);
    assert_eq!(flood(&proxy.from(ATTACKER)), 0);
    assert_eq!(sign_in_others(&proxy, &app), [200; 3]);
    // Accounts are still limited, and so are clients without a proxy.
    let alice = app.register("alice");
    let guess = |client: &Client, password: &str| {
        let form = [("username", alice.email.as_str()), ("password", password)];
        client.post("/token").form(&form).send().status
    };
    for _ in 0..10 {
        assert_eq!(guess(&proxy.from(ATTACKER), "wrong password"), 401);
    }
    assert_eq!(guess(&proxy.from(OTHERS[0]), &alice.password), 401);
    assert!(flood(&client.from(ATTACKER)) > 50);

    let metrics = client.get("/metrics").header("Token", STATIC_KEY).send();
    let name = "tokenhouse_untrusted_forwards_total ";
    let counted = metrics.text().split(name).last().unwrap().lines().next();
    assert_eq!(counted, Some("174"));
    server.signal("TERM");
    server.wait();
    let log = fs::read_to_string(&path).unwrap();
    let warnings = log.matches("TOKENHOUSE_TRUSTED_PROXIES").count();
    assert_eq!(warnings, 1, "{log}");
    let rows = "audit_events WHERE action = 'proxy.untrusted' AND ip = '127.0.0.1'";
    assert_eq!(app.database().count(rows), 1);

    let doctor = |trusted: &str| {
        let mut command = app.program(&["doctor"]);
        command.env("TOKENHOUSE_TRUSTED_PROXIES", trusted);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let advice = "set TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1";
    assert!(doctor("").contains(advice), "{}", doctor(""));
    assert!(doctor("192.0.2.1").contains(advice));
    assert!(!doctor("127.0.0.1,::1").contains(advice));
}

/// Every deployment example configures the trusted proxies or explains them.
#[test]
fn every_deployment_example_names_the_proxy() {
    for (file, line) in [
        (
            "systemd/tokenhouse.service",
            "Environment=TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "docker/compose.yaml",
            "TOKENHOUSE_TRUSTED_PROXIES: 172.30.83.1",
        ),
        (
            "nginx/cluster.conf",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        ("nginx/app.conf", "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1"),
        (
            "caddy/Caddyfile",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "traefik/app.yml",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file);
        let example = fs::read_to_string(path).unwrap();
        assert!(example.contains(line), "{file}");
    }
}
