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
        (
            "DATABASE_URL",
            "postgresql+psycopg2://hush:hush@localhost/hush",
        ),
        ("DATABASE_URL", "sqlite+aiosqlite:///./hush.db"),
        ("DATABASE_URL", "sqlite:///hush.db"),
        ("DATABASE_URL", "sqlite:///hush/"),
        ("DATABASE_URL_FILE", "/nowhere/hush"),
        ("TOKENHOUSE_BIND", "hush"),
        ("TOKENHOUSE_BIND", "8000"),
        ("TOKENHOUSE_METRICS_BIND", "hush:9100"),
        ("TOKENHOUSE_METRICS_BIND", "127.0.0.1:8000"),
        ("TOKENHOUSE_PROFILE", "hush"),
        ("TOKENHOUSE_NAME_MIN_LENGTH", "101"),
        ("TOKENHOUSE_PUBLIC_URL", "hush.example"),
        ("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1,hush"),
        ("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1:8000"),
        ("TOKENHOUSE_TRUSTED_PROXIES", "10.0.0.1,0.0.0.0/0"),
        ("TOKENHOUSE_TRUSTED_PROXIES", "::ffff:0:0/90"),
        ("TOKENHOUSE_GRANTABLE_SCOPES", "hush:\u{e9}"),
        ("TOKENHOUSE_DRAIN_MS", "6s"),
        ("TOKENHOUSE_AUDIT_RETENTION_DAYS", "12h"),
        ("RUST_LOG", "hush=loud"),
        ("tokenhouse_bind", "127.0.0.1:8000"),
        ("TOKENHOUSE_WORKERS", "0"),
        ("TOKENHOUSE_WORKERS", "hush"),
        ("TOKENHOUSE_DOCS", "hush"),
        ("TOKENHOUSE_DATABASE_POOL_SIZE", "0"),
        ("TOKENHOUSE_AUTO_MIGRATE", "hush"),
        ("TOKENHOUSE_REGISTRATION", "hush"),
        ("TOKENHOUSE_REGISTRATION", "domains"),
        ("TOKENHOUSE_TOKEN_LIFETIME", "0"),
        ("TOKENHOUSE_TOKEN_LIFETIME", "-1"),
        ("TOKENHOUSE_TOKEN_LIFETIME", "367d"),
        ("TOKENHOUSE_TOKEN_LIFETIME", "30 hush"),
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
fn pages_without_tls_cause_a_warning() {
    for (url, pages, warnings) in [
        ("https://auth.example", "all", 0),
        ("http://localhost:8000", "all", 0),
        ("http://127.0.0.1:8000", "signin", 0),
        ("http://[::1]:8000", "all", 0),
        ("http://192.168.0.20:3000", "all", 1),
        ("http://box.local", "signin", 1),
        ("http://localhost.example", "all", 1),
        ("http://box.local", "off", 0),
    ] {
        let vars = [("TOKENHOUSE_PUBLIC_URL", url), ("TOKENHOUSE_PAGES", pages)];
        assert_eq!(config(&vars).unwrap().warnings().len(), warnings, "{url}");
    }
}

#[test]
fn brand_that_no_page_can_show_is_refused() {
    let long = "x".repeat(41);
    for (name, value) in [
        ("TOKENHOUSE_PAGES", "some"),
        ("TOKENHOUSE_BRAND_NAME", long.as_str()),
        ("TOKENHOUSE_BRAND_NAME", "two\nlines"),
        ("TOKENHOUSE_BRAND_COLOUR", "red"),
        ("TOKENHOUSE_BRAND_COLOUR", "#12345"),
        ("TOKENHOUSE_BRAND_COLOUR", "#12345g"),
        ("TOKENHOUSE_BRAND_COLOUR", "#+12345"),
        ("TOKENHOUSE_BRAND_LOGO", "/nowhere/logo.svg"),
        ("TOKENHOUSE_BRAND_LOGO", "/etc/hostname"),
        ("TOKENHOUSE_BROWSER_LIFETIME", "299"),
        ("TOKENHOUSE_BROWSER_LIFETIME", "367d"),
    ] {
        let errors = config(&[(name, value)]).unwrap_err();
        let names: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
        assert_eq!(names, [name], "{value}");
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
fn three_slashes_of_sqlalchemy_are_explained() {
    let problem = |url: &str| config(&[("DATABASE_URL", url)]).unwrap_err().to_string();
    // The working directory of the test is that of the crate.
    for relative in ["sqlite:///tokenhouse.db", "sqlite:///src/lib.rs"] {
        let problem = problem(relative);
        assert!(problem.contains("write sqlite://FILE"), "{problem}");
    }
    for absolute in [
        "sqlite:////tokenhouse.db",
        "sqlite:///nowhere/tokenhouse.db",
    ] {
        assert!(config(&[("DATABASE_URL", absolute)]).is_ok(), "{absolute}");
    }
    let driver = problem("postgresql+asyncpg://localhost/n");
    assert!(
        driver.contains("write postgresql:// without +asyncpg"),
        "{driver}"
    );
}

#[test]
fn quotes_around_values_are_explained() {
    for (name, value) in [
        ("TOKENHOUSE_DOCS", "\"true\""),
        ("DATABASE_URL", "'sqlite://hush.db'"),
        ("TOKENHOUSE_CORS_ORIGINS", "\"https://hush.example\""),
    ] {
        let problem = config(&[(name, value)]).unwrap_err().to_string();
        assert!(
            problem.ends_with("; remove the quotes around it"),
            "{problem}"
        );
        assert!(!problem.contains("hush"), "{problem}");
    }
}

#[test]
fn times_have_units() {
    let config = config(&[
        ("TOKENHOUSE_TOKEN_LIFETIME", "30d"),
        ("TOKENHOUSE_DRAIN_MS", "2s"),
        ("TOKENHOUSE_HASH_QUEUE_MS", "700"),
        ("TOKENHOUSE_AUDIT_RETENTION_DAYS", "52w"),
    ])
    .unwrap();
    assert_eq!(config.auth.token_lifetime.as_secs(), 30 * 86_400);
    assert_eq!(config.server.drain.as_millis(), 2_000);
    assert_eq!(config.auth.hash_queue.as_millis(), 700);
    assert_eq!(config.auth.audit_retention.unwrap().as_secs(), 364 * 86_400);
}

#[test]
fn proxies_with_mapped_addresses_are_those_of_ipv4() {
    let proxies = "::ffff:10.0.0.1, ::ffff:192.0.2.0/120, 2001:db8::/32";
    let config = config(&[("TOKENHOUSE_TRUSTED_PROXIES", proxies)]).unwrap();
    for (address, is_trusted) in [
        ("10.0.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("192.0.2.77", true),
        ("2001:db8::1", true),
        ("10.0.0.2", false),
        ("192.0.3.1", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(
            config.server.trusted_proxies.contains(address),
            is_trusted,
            "{address}"
        );
    }
}

#[test]
fn profile_changes_defaults_that_have_no_value() {
    let standard = ("TOKENHOUSE_PROFILE", "standard");
    let rules = |vars: &[(&str, &str)]| {
        let auth = config(vars).unwrap().auth;
        (
            auth.profile_rules.name_min_length,
            auth.profile_rules.is_required,
            auth.password_policy.min_length,
            auth.oauth_strict_status,
        )
    };
    assert_eq!(rules(&[]), (5, true, 8, false));
    assert_eq!(rules(&[standard]), (1, false, 15, true));
    let own = [standard, ("TOKENHOUSE_PASSWORD_MIN_LENGTH", "12")];
    assert_eq!(rules(&own), (1, false, 12, true));
    let empty = [standard, ("TOKENHOUSE_PASSWORD_MIN_LENGTH", "")];
    assert_eq!(rules(&empty), (1, false, 15, true));
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
    template(Profile::Tutorial, &[])
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
        let standard = setting
            .standard
            .map(|value| config(&[(setting.name, value)]));
        assert!(
            standard.is_none_or(|given| given.is_ok()),
            "{}",
            setting.name
        );
    }
}
