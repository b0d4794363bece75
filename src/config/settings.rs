//! The table of settings, from which `.env.example` is generated, and the variables with the same prefix
//! that are not settings.

/// The prefix of our settings. A name with it that is not in the table is an error.
pub(super) const PREFIX: &str = "TOKENHOUSE_";

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name in the environment.
    pub name: &'static str,
    /// The default; empty for none, or as `help` describes.
    pub default: &'static str,
    /// Whether it is a secret, which `NAME_FILE` can read from a file.
    pub secret: bool,
    /// The description, in one line.
    pub help: &'static str,
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        secret: false,
        help,
    }
}

const fn secret(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        secret: true,
        help,
    }
}

/// All settings.
pub const SETTINGS: &[Setting] = &[
    secret(
        "DATABASE_URL",
        "sqlite://tokenhouse.db",
        "The database: sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME",
    ),
    secret(
        "API_KEY_TOKEN",
        "",
        "The static key for the header Token, 8 characters or more; without it, its routes refuse all requests",
    ),
    secret(
        "API_KEY_TOKEN_PREVIOUS",
        "",
        "A second static key, accepted while clients migrate to the new one",
    ),
    plain(
        "RUST_LOG",
        "info,actix_server=warn",
        "The log filter: error, warn, info, debug, trace, or per module",
    ),
    plain(
        "TOKENHOUSE_LOG_FORMAT",
        "text",
        "The log format: text, or json for newline-delimited JSON",
    ),
    plain(
        "TOKENHOUSE_BIND",
        "127.0.0.1:8000",
        "The address and port to listen on",
    ),
    plain(
        "TOKENHOUSE_METRICS_BIND",
        "",
        "Address and port of a separate listener for /metrics without a key; if empty, /metrics requires the static key",
    ),
    plain(
        "TOKENHOUSE_WORKERS",
        "",
        "Number of threads that handle requests; one per core if empty",
    ),
    plain(
        "TOKENHOUSE_DRAIN_MS",
        "1000",
        "Milliseconds to keep serving after SIGTERM while reporting not ready, 0 to 5000",
    ),
    plain(
        "TOKENHOUSE_DOCS",
        "true",
        "Serve /docs, /redoc and /openapi.json",
    ),
    plain(
        "TOKENHOUSE_CORS_ORIGINS",
        "",
        "Origins whose scripts may call the API, separated by commas: https://app.example",
    ),
    plain(
        "TOKENHOUSE_PUBLIC_URL",
        "",
        "The URL of the service for clients: https://auth.example; without it, no OAuth2 metadata",
    ),
    plain(
        "TOKENHOUSE_DATABASE_POOL_SIZE",
        "8",
        "Maximum number of database connections, 1 to 1000",
    ),
    plain(
        "TOKENHOUSE_AUTO_MIGRATE",
        "true",
        "Run pending migrations at the start; if false, run tokenhouse migrate",
    ),
    plain(
        "TOKENHOUSE_SESSION_CACHE_MB",
        "64",
        "Size of the cache of authenticated credentials in megabytes, about 1,500 entries each; 0 disables it",
    ),
    plain(
        "TOKENHOUSE_REGISTRATION",
        "open",
        "Who may register: open, closed, or domains (compared, not verified: any address in them)",
    ),
    plain(
        "TOKENHOUSE_REGISTRATION_DOMAINS",
        "",
        "The e-mail domains for domains, separated by commas",
    ),
    plain(
        "TOKENHOUSE_TOKEN_LIFETIME",
        "86400",
        "Lifetime of a login token in seconds, 1 to 31622400",
    ),
    plain(
        "TOKENHOUSE_BCRYPT_COST",
        "12",
        "The bcrypt cost of new hashes, 4 to 31; hashes of another cost are renewed at sign-in",
    ),
    plain(
        "TOKENHOUSE_BCRYPT_MAX_COST",
        "15",
        "Stored bcrypt hashes of a higher cost are refused without hashing, 4 to 31",
    ),
    plain(
        "TOKENHOUSE_HASH_THREADS",
        "",
        "Number of threads that hash passwords; one per core if empty",
    ),
    plain(
        "TOKENHOUSE_HASH_LOW_PRIORITY",
        "true",
        "Run hash threads at niceness 10; false if other programs keep the cores busy",
    ),
    plain(
        "TOKENHOUSE_HASH_QUEUE_MS",
        "5000",
        "Milliseconds a password may wait for a hash thread; if it would wait longer, the answer is 503",
    ),
    plain(
        "TOKENHOUSE_PASSWORD_MIN_LENGTH",
        "8",
        "Minimum length of a new password in characters, 0 to 72",
    ),
    plain(
        "TOKENHOUSE_PASSWORD_REFUSE_COMMON",
        "true",
        "Refuse new passwords that are easy to guess",
    ),
    plain(
        "TOKENHOUSE_OAUTH_STRICT_STATUS",
        "false",
        "Let /token refuse with RFC 6749's 400 instead of FastAPI's 401 and 422",
    ),
    secret(
        "TOKENHOUSE_AUDIT_KEY",
        "",
        "The key that signs the audit trail, 32 characters or more; if empty, a key in the database does",
    ),
    plain(
        "TOKENHOUSE_AUDIT_RETENTION_DAYS",
        "365",
        "Retention of audit events in days; 0 keeps them forever",
    ),
    plain(
        "TOKENHOUSE_GRANTABLE_SCOPES",
        "",
        "Scopes that administrators may grant without holding them, separated by commas: orders:*",
    ),
    plain(
        "TOKENHOUSE_LIMITS",
        "on",
        "on or off: enforce the six limits below",
    ),
    plain(
        "TOKENHOUSE_LIMIT_ACCOUNT",
        "10",
        "Consecutive wrong passwords before an account is delayed, 1 to 100; each further one doubles the delay, up to 1 h",
    ),
    plain(
        "TOKENHOUSE_LIMIT_ADDRESS",
        "30",
        "Wrong passwords per minute from an address (a /64; ten times that for a /48) before 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_SIGN_INS",
        "30",
        "Sign-ins with the right password per minute to an account, a third more in a burst, before 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_REGISTRATIONS",
        "600",
        "Registrations per hour from an address (a /64; ten times that for a /48) before 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_CHANGES",
        "60",
        "Changes per minute by a user, half of them in a burst, before 429; ten times that for administrators",
    ),
    plain(
        "TOKENHOUSE_LIMIT_KEYS",
        "20",
        "API keys that a user may create per day before 429",
    ),
    plain(
        "TOKENHOUSE_TRUSTED_PROXIES",
        "",
        "Proxies whose X-Forwarded-For is trusted, separated by commas: 10.0.0.0/8, 192.0.2.1",
    ),
];

/// The setting with this name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Whether this is a variable that a platform sets for a service named `tokenhouse` or `tokenhouse-…`:
/// Kubernetes for every Service in the namespace (`enableServiceLinks`), Docker for `--link`. It has the
/// prefix of our settings but is not a setting.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    // The text before it, as in TOKENHOUSE_METRICS_SERVICE_HOST, is the rest of the service's name.
    let suffix = |suffix: &str| {
        let before = rest.strip_suffix(suffix);
        before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
    };
    // TOKENHOUSE_PORT=9000 comes from an operator, who means TOKENHOUSE_BIND.
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    suffix("SERVICE_HOST")
        || suffix("SERVICE_PORT")
        || has_part(rest, "SERVICE_PORT_")
        || (suffix("PORT") && is_url)
        || is_port_variable(rest)
        || (rest == "NAME" && value.starts_with('/'))
        || rest.starts_with("ENV_")
}

/// Whether the name has a part that begins with `part`, with more text after it.
fn has_part(rest: &str, part: &str) -> bool {
    let starts = rest.starts_with(part) || rest.contains(&format!("_{part}"));
    starts && !rest.ends_with(part)
}

/// `PORT_8000_TCP`, and the same with `_ADDR`, `_PORT` and `_PROTO`.
fn is_port_variable(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    parts.windows(3).enumerate().any(|(start, parts_of)| {
        let [port, number, protocol] = parts_of else {
            return false;
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let after = &parts[start + 3..];
        *port == "PORT"
            && is_number
            && ["TCP", "UDP", "SCTP"].contains(protocol)
            && (after.is_empty() || matches!(after, ["ADDR" | "PORT" | "PROTO"]))
    })
}

#[cfg(test)]
mod tests {
    use super::is_service_link;

    #[test]
    fn platform_variables_differ_from_misspelt_settings() {
        for (name, value) in [
            ("TOKENHOUSE_SERVICE_HOST", "10.0.0.11"),
            ("TOKENHOUSE_SERVICE_PORT", "8000"),
            ("TOKENHOUSE_SERVICE_PORT_HTTP", "8000"),
            ("TOKENHOUSE_SERVICE_PORT_HTTP_METRICS", "8000"),
            ("TOKENHOUSE_PORT", "tcp://10.0.0.11:8000"),
            ("TOKENHOUSE_PORT", "udp://10.0.0.11:8000"),
            ("TOKENHOUSE_PORT_8000_TCP", "tcp://10.0.0.11:8000"),
            ("TOKENHOUSE_PORT_8000_TCP_ADDR", "10.0.0.11"),
            ("TOKENHOUSE_PORT_8000_TCP_PORT", "8000"),
            ("TOKENHOUSE_PORT_8000_TCP_PROTO", "tcp"),
            ("TOKENHOUSE_PORT_53_UDP_ADDR", "10.0.0.11"),
            ("TOKENHOUSE_METRICS_SERVICE_HOST", "10.0.0.12"),
            ("TOKENHOUSE_METRICS_SERVICE_PORT_HTTP", "9100"),
            ("TOKENHOUSE_METRICS_PORT", "tcp://10.0.0.12:9100"),
            ("TOKENHOUSE_METRICS_PORT_9100_TCP_ADDR", "10.0.0.12"),
            ("TOKENHOUSE_NAME", "/web/tokenhouse"),
            ("TOKENHOUSE_ENV_PATH", "/usr/bin"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("TOKENHOUSE_PORT", "8000"),
            ("TOKENHOUSE_PORTS", "tcp://10.0.0.11:8000"),
            ("TOKENHOUSE_REPORT", "tcp://10.0.0.11:8000"),
            ("TOKENHOUSE_HOST", "10.0.0.11"),
            ("TOKENHOUSE_SERVICE", "10.0.0.11"),
            ("TOKENHOUSE_SERVICE_PORT_", "8000"),
            ("TOKENHOUSE_MYSERVICE_HOST", "10.0.0.11"),
            ("TOKENHOUSE_PORT_HTTP_TCP", "8000"),
            ("TOKENHOUSE_PORT_8000_TCP_URL", "8000"),
            ("TOKENHOUSE_NAME", "auth"),
            ("TOKENHOUSE_BCRYPT_COTS", "12"),
            ("PORT_8000_TCP", "8000"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
