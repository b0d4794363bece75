//! Valid and invalid settings, and that secrets are never printed.

use super::*;

fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::from_vars(
        vars.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn defaults_match_the_contract() {
    let config = config(&[]).unwrap();
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:8000");
    assert_eq!(config.database.url.to_string(), "sqlite://tokenhouse.db");
    assert_eq!(config.auth.token_lifetime.as_secs(), 86_400);
    assert_eq!(u32::from(config.auth.cost), 12);
    assert_eq!(config.auth.registration, Registration::Open);
    assert_eq!(config.auth.password_policy.min_length, 8);
    assert!(config.auth.password_policy.refuse_common && config.server.docs);
    assert!(!config.auth.oauth_strict_status && config.warnings().is_empty());
}

#[test]
fn invalid_values_are_reported_by_name_only() {
    for (name, value) in [
        ("DATABASE_URL", "mysql://hush"),
        ("DATABASE_URL", "sqlite::memory:hush"),
        ("DATABASE_URL", "sqlite://hush?mode=ro"),
        ("DATABASE_URL", "postgres:hush"),
        ("DATABASE_URL_FILE", "/nowhere/hush"),
        ("TOKENHOUSE_BIND", "hush"),
        ("TOKENHOUSE_WORKERS", "0"),
        ("TOKENHOUSE_WORKERS", "hush"),
        ("TOKENHOUSE_DOCS", "hush"),
        ("TOKENHOUSE_DATABASE_POOL_SIZE", "0"),
        ("TOKENHOUSE_AUTO_MIGRATE", "hush"),
        ("TOKENHOUSE_REGISTRATION", "hush"),
        ("TOKENHOUSE_REGISTRATION", "domains"),
        ("TOKENHOUSE_TOKEN_LIFETIME", "0"),
        ("TOKENHOUSE_TOKEN_LIFETIME", "-1"),
        ("TOKENHOUSE_BCRYPT_COST", "3"),
        ("TOKENHOUSE_BCRYPT_COST", "32"),
        ("TOKENHOUSE_BCRYPT_COST", "16"),
        ("TOKENHOUSE_BCRYPT_MAX_COST", "hush"),
        ("TOKENHOUSE_HASH_THREADS", "0"),
        ("TOKENHOUSE_HASH_LOW_PRIORITY", "hush"),
        ("TOKENHOUSE_HASH_QUEUE_MS", "hush"),
        ("TOKENHOUSE_PASSWORD_MIN_LENGTH", "73"),
        ("TOKENHOUSE_PASSWORD_REFUSE_COMMON", "hush"),
        ("TOKENHOUSE_OAUTH_STRICT_STATUS", "hush"),
        ("TOKENHOUSE_LIMITS", "hush"),
        ("TOKENHOUSE_LOG_FORMAT", "hush"),
        ("TOKENHOUSE_BCRYPT_COTS", "hush"),
        ("TOKENHOUSE_BIND_FILE", "hush"),
        ("TOKENHOUSE_PORT", "8000"),
        ("TOKENHOUSE_CORS_ORIGINS", "hush"),
        (
            "TOKENHOUSE_CORS_ORIGINS",
            "https://app.example,https://hush/x",
        ),
        ("TOKENHOUSE_CORS_ORIGINS", "null"),
        ("TOKENHOUSE_CORS_ORIGINS", "*"),
        ("TOKENHOUSE_REGISTRATION_DOMAINS", "hush"),
        (
            "TOKENHOUSE_REGISTRATION_DOMAINS",
            "example.com,@hush.example",
        ),
        ("TOKENHOUSE_REGISTRATION_DOMAINS", "*.hush.example"),
        ("TOKENHOUSE_AUDIT_KEY", ""),
        ("TOKENHOUSE_AUDIT_KEY", "hush"),
        ("API_KEY_TOKEN", ""),
        ("API_KEY_TOKEN", "hush123"),
        ("API_KEY_TOKEN", "hush\nhush"),
        ("API_KEY_TOKEN", " hush-hush"),
        ("API_KEY_TOKEN", "hush-hush\u{7f}"),
        ("API_KEY_TOKEN_PREVIOUS", "hush"),
        ("API_KEY_TOKEN_PREVIOUS", "hush-hush\t"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL_FILE", ""),
    ] {
        let errors = config(&[(name, value)]).expect_err(name);
        let names: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
        assert_eq!(names, [name]);
        let line = errors.to_string();
        assert!(!line.contains("hush") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn secrets_are_read_from_files() {
    let file = std::env::temp_dir().join(format!("tokenhouse-key-{}", std::process::id()));
    std::fs::write(&file, "key-from-a-file\n").unwrap();
    let path = file.to_str().unwrap();
    let from_file = config(&[("API_KEY_TOKEN_FILE", path)]).unwrap();
    assert!(from_file.auth.static_keys.contains(b"key-from-a-file"));
    assert!(!from_file.auth.static_keys.contains(b"key-from-a-file\n"));
    let both = config(&[("API_KEY_TOKEN_FILE", path), ("API_KEY_TOKEN", "other")]);
    assert_eq!(names(&both.unwrap_err()), ["API_KEY_TOKEN"]);
    for nothing in ["", "\n", "\r\n\n"] {
        std::fs::write(&file, nothing).unwrap();
        let empty = config(&[("TOKENHOUSE_AUDIT_KEY_FILE", path)]).unwrap_err();
        assert_eq!(names(&empty), ["TOKENHOUSE_AUDIT_KEY_FILE"]);
    }
    std::fs::remove_file(file).unwrap();
    let endless = config(&[("API_KEY_TOKEN_FILE", "/dev/zero")]).unwrap_err();
    assert_eq!(names(&endless), ["API_KEY_TOKEN_FILE"]);
}

fn names(errors: &ConfigErrors) -> Vec<&str> {
    errors.iter().map(|error| error.name.as_str()).collect()
}

#[test]
fn all_errors_are_reported_at_once() {
    let errors = config(&[
        ("TOKENHOUSE_NO_SUCH", "hush"),
        ("API_KEY_TOKEN", "hush"),
        ("API_KEY_TOKEN_PREVIOUS", "hush"),
        ("TOKENHOUSE_AUDIT_KEY", ""),
        ("TOKENHOUSE_BIND", "hush"),
        ("TOKENHOUSE_BCRYPT_MAX_COST", "5"),
        ("TOKENHOUSE_REGISTRATION", "domains"),
        ("TOKENHOUSE_REGISTRATION_DOMAINS", "hush"),
        ("TOKENHOUSE_CORS_ORIGINS", "hush"),
        ("DATABASE_URL_FILE", "/nowhere/hush"),
    ])
    .unwrap_err();
    let mut found = names(&errors);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "API_KEY_TOKEN",
            "API_KEY_TOKEN_PREVIOUS",
            "DATABASE_URL_FILE",
            "TOKENHOUSE_AUDIT_KEY",
            "TOKENHOUSE_BCRYPT_COST",
            "TOKENHOUSE_BIND",
            "TOKENHOUSE_CORS_ORIGINS",
            "TOKENHOUSE_NO_SUCH",
            "TOKENHOUSE_REGISTRATION_DOMAINS",
        ]
    );
    let text = errors.to_string();
    assert_eq!(text.lines().count(), found.len(), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn platform_variables_are_ignored() {
    let set_by_platforms = [
        ("TOKENHOUSE_SERVICE_HOST", "10.0.0.11"),
        ("TOKENHOUSE_SERVICE_PORT_HTTP", "8000"),
        ("TOKENHOUSE_PORT", "tcp://10.0.0.11:8000"),
        ("TOKENHOUSE_PORT_8000_TCP_ADDR", "10.0.0.11"),
    ];
    let config = config(&set_by_platforms).unwrap();
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:8000");
}

#[test]
fn unencrypted_listeners_cause_a_warning() {
    for (bind, proxies, warnings) in [
        ("127.0.0.1:8000", "", 0),
        ("[::1]:8000", "", 0),
        ("0.0.0.0:8000", "", 1),
        ("192.0.2.1:8000", "", 1),
        ("0.0.0.0:8000", "192.0.2.2", 0),
    ] {
        let vars = [
            ("TOKENHOUSE_BIND", bind),
            ("TOKENHOUSE_TRUSTED_PROXIES", proxies),
        ];
        assert_eq!(config(&vars).unwrap().warnings().len(), warnings, "{bind}");
    }
}

#[test]
fn current_and_previous_static_keys_are_valid() {
    let (new, old) = ("the-new-key", "the-old-key");
    let two = config(&[("API_KEY_TOKEN", new), ("API_KEY_TOKEN_PREVIOUS", old)]).unwrap();
    for (key, accepted) in [(new, true), (old, true), ("the-new-ke", false), ("", false)] {
        assert_eq!(
            two.auth.static_keys.contains(key.as_bytes()),
            accepted,
            "{key}"
        );
    }
    assert_eq!(two.warnings().len(), 1, "both keys are short");
    let none = config(&[]).unwrap();
    assert!(!none.auth.static_keys.contains(b""));
}

#[test]
fn secrets_are_not_printed() {
    let config = config(&[
        (
            "DATABASE_URL",
            "postgres://user:hush%40h@host:5432/name?sslmode=disable&password=hush",
        ),
        ("API_KEY_TOKEN", "hush-hush"),
    ])
    .unwrap();
    let printed = format!("{config:?} {}", config.database.url);
    assert!(!printed.contains("hush"), "{printed}");
    assert!(printed.contains("postgres://host:5432/name"), "{printed}");
}

#[test]
fn sqlite_urls_name_files() {
    for (url, path) in [
        ("sqlite://tokenhouse.db", "tokenhouse.db"),
        ("sqlite:tokenhouse.db", "tokenhouse.db"),
        ("sqlite:///var/lib/tokenhouse.db", "/var/lib/tokenhouse.db"),
        ("sqlite:///./tutorial.db", "tutorial.db"),
    ] {
        let config = config(&[("DATABASE_URL", url)]).unwrap();
        assert_eq!(
            config.database.url.sqlite_path().unwrap().to_str(),
            Some(path),
            "{url}"
        );
    }
}

#[test]
fn registration_can_be_limited_to_domains() {
    let limited = config(&[
        ("TOKENHOUSE_REGISTRATION", "domains"),
        (
            "TOKENHOUSE_REGISTRATION_DOMAINS",
            "Example.com, xn--bcher-kva.example",
        ),
    ])
    .unwrap();
    let domains = ["example.com", "b\u{fc}cher.example"].map(str::to_owned);
    assert_eq!(
        limited.auth.registration,
        Registration::Domains(domains.into())
    );
    let warnings = limited.warnings();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("verifies nothing")),
        "{warnings:?}"
    );
}

/// The contents of `.env.example`: all settings, with descriptions and defaults.
fn env_example() -> String {
    let mut text = String::from(
        "# Settings of Tokenhouse. Copy this file to .env and change what you need; variables of the\n\
         # environment take precedence. Secrets can be read from files: NAME_FILE=/path/to/file.\n\
         #\n\
         # .env is read from the working directory, or from the path of --env-file, unless another user\n\
         # can write to it. A $ is literal. Put a value with blanks, #, quotes or backslashes between\n\
         # single quotes.\n",
    );
    for Setting {
        name,
        default,
        secret,
        help,
    } in SETTINGS
    {
        let secret = if *secret { " (secret)" } else { "" };
        text.push_str(&format!("\n# {help}{secret}\n# {name}={default}\n"));
    }
    text
}

#[test]
fn example_file_matches_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
    if std::env::var_os("UPDATE_ENV_EXAMPLE").is_some() {
        std::fs::write(path, env_example()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert!(
        file == env_example(),
        ".env.example does not match src/config/settings.rs; regenerate it with \
         UPDATE_ENV_EXAMPLE=1 cargo test --lib config"
    );
}

#[test]
fn every_default_is_valid() {
    // An empty secret is an error.
    let can_be_empty = |setting: &&Setting| !setting.secret || !setting.default.is_empty();
    for setting in SETTINGS.iter().filter(can_be_empty) {
        let given = config(&[(setting.name, setting.default)]);
        assert!(given.is_ok(), "{}: {:?}", setting.name, given.err());
    }
}
