//! The table of settings: what the code knows is what `.env.example` and the README list.

/// What every setting of our own begins with; such a name that is not in the table is a mistake.
pub(super) const PREFIX: &str = "TOKENHOUSE_";

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the environment.
    pub name: &'static str,
    /// Its value when it is not set; empty stands for "none", or for what `help` says.
    pub default: &'static str,
    /// Whether it is a secret, so that `NAME_FILE` may name a file that holds it.
    pub secret: bool,
    /// What it does, in one line.
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

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    secret(
        "DATABASE_URL",
        "sqlite://tokenhouse.db",
        "Where users and tokens are kept: sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME",
    ),
    secret(
        "API_KEY_TOKEN",
        "",
        "The static key for the header Token, 8 characters or more; without one, its routes refuse",
    ),
    secret(
        "API_KEY_TOKEN_PREVIOUS",
        "",
        "A second static key that is accepted too, while clients move to the new one",
    ),
    plain(
        "RUST_LOG",
        "info,actix_server=warn",
        "What is logged: error, warn, info, debug, trace, or per module",
    ),
    plain(
        "TOKENHOUSE_LOG_FORMAT",
        "text",
        "text for people, json for one JSON object a line",
    ),
    plain(
        "TOKENHOUSE_BIND",
        "127.0.0.1:8000",
        "The address and port to listen on",
    ),
    plain(
        "TOKENHOUSE_METRICS_BIND",
        "",
        "An address and port of its own for /metrics, without a key; by the static key when empty",
    ),
    plain(
        "TOKENHOUSE_WORKERS",
        "",
        "Threads that handle requests; one per core when empty",
    ),
    plain(
        "TOKENHOUSE_DRAIN_MS",
        "1000",
        "Milliseconds it goes on after SIGTERM, no more ready, so that others take over; 0 to 5000",
    ),
    plain(
        "TOKENHOUSE_DOCS",
        "true",
        "Whether /docs, /redoc and /openapi.json are served",
    ),
    plain(
        "TOKENHOUSE_CORS_ORIGINS",
        "",
        "Origins whose scripts may call the API, separated by commas: https://app.example",
    ),
    plain(
        "TOKENHOUSE_PUBLIC_URL",
        "",
        "Where clients find the service: https://auth.example; without it, no OAuth2 metadata",
    ),
    plain(
        "TOKENHOUSE_DATABASE_POOL_SIZE",
        "8",
        "Database connections at most, 1 to 1000",
    ),
    plain(
        "TOKENHOUSE_AUTO_MIGRATE",
        "true",
        "Whether the start brings the tables up to date; otherwise run tokenhouse migrate",
    ),
    plain(
        "TOKENHOUSE_SESSION_CACHE_MB",
        "64",
        "Megabytes of memory for the sessions in use, some 1,500 each; 0 keeps none in memory",
    ),
    plain(
        "TOKENHOUSE_REGISTRATION",
        "open",
        "Who may register: open, closed, or domains (compared, not verified: any address in them)",
    ),
    plain(
        "TOKENHOUSE_REGISTRATION_DOMAINS",
        "",
        "With domains: the e-mail domains of addresses that may register, separated by commas",
    ),
    plain(
        "TOKENHOUSE_TOKEN_LIFETIME",
        "86400",
        "Seconds a login token lives, 1 to 31622400",
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
        "Whether /token refuses with RFC 6749's 400 in place of FastAPI's 401 and 422",
    ),
    secret(
        "TOKENHOUSE_AUDIT_KEY",
        "",
        "What the audit trail is chained with, 32 characters or more; a key in the database if empty",
    ),
    plain(
        "TOKENHOUSE_AUDIT_RETENTION_DAYS",
        "365",
        "Days that audit events are kept; 0 keeps them for ever",
    ),
    plain(
        "TOKENHOUSE_GRANTABLE_SCOPES",
        "",
        "Scopes that administrators may grant without holding them, separated by commas: orders:*",
    ),
    plain(
        "TOKENHOUSE_LIMITS",
        "on",
        "on or off: throttling as a whole, that is the six limits below",
    ),
    plain(
        "TOKENHOUSE_LIMIT_ACCOUNT",
        "10",
        "Wrong passwords in a row for an account before it waits, 1 to 100; each one more doubles it, to 1 h",
    ),
    plain(
        "TOKENHOUSE_LIMIT_ADDRESS",
        "30",
        "Wrong passwords in a minute from an address (a /64; a /48 has ten times that); past that, 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_SIGN_INS",
        "30",
        "Sign-ins with the right password in a minute to an account, a third more at once; past that, 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_REGISTRATIONS",
        "600",
        "Registrations in an hour from an address (a /64; a /48 has ten times that); past that, 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_CHANGES",
        "60",
        "Changes in a minute by a user, half of them at once; ten times that for administrators; else 429",
    ),
    plain(
        "TOKENHOUSE_LIMIT_KEYS",
        "20",
        "API keys that a user may make in a day; past that, 429",
    ),
    plain(
        "TOKENHOUSE_TRUSTED_PROXIES",
        "",
        "Proxies whose X-Forwarded-For is believed: 10.0.0.0/8, 192.0.2.1, separated by commas",
    ),
];

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
