//! The table of settings, from which `.env.example` is generated.

/// The prefix of our settings. A name with it that is not in the table is an error.
pub(super) const PREFIX: &str = "TOKENHOUSE_";

/// The setting that chooses between the defaults.
pub(super) const PROFILE: &str = "TOKENHOUSE_PROFILE";

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name in the environment.
    pub name: &'static str,
    /// The default; empty for none, or as `help` describes.
    pub default: &'static str,
    /// The default in the profile `standard`, if it differs.
    pub standard: Option<&'static str>,
    /// Whether it is a secret, which `NAME_FILE` can read from a file.
    pub secret: bool,
    /// The description, in one line.
    pub help: &'static str,
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        standard: None,
        secret: false,
        help,
    }
}

const fn secret(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        standard: None,
        secret: true,
        help,
    }
}

/// A setting whose default depends on the profile.
const fn profiled(
    name: &'static str,
    default: &'static str,
    standard: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        standard: Some(standard),
        ..plain(name, default, help)
    }
}

/// All settings.
pub const SETTINGS: &[Setting] = &[
    plain(
        PROFILE,
        "tutorial",
        "The defaults: tutorial, which answers as the tutorial does, or standard, for a new service",
    ),
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
        "TOKENHOUSE_ACCESS_LOG",
        "false",
        "Log a line for each request, with its route, status, duration and address",
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
        "Time to keep serving after SIGTERM while reporting not ready: 2s or a number of milliseconds; at most 5s",
    ),
    plain(
        "TOKENHOUSE_DOCS",
        "true",
        "Serve /docs, /redoc and /openapi.json",
    ),
    plain(
        "TOKENHOUSE_PAGES",
        "all",
        "The pages for browsers: all, signin (only signing in and out) or off",
    ),
    plain(
        "TOKENHOUSE_SIGNIN_HOSTS",
        "",
        "Hosts behind /verify?redirect to which a sign-in may lead, separated by commas: app.example.com, wiki.example.com:8443, or .example.com for all names below it",
    ),
    plain(
        "TOKENHOUSE_SIGNIN_COOKIE",
        "handshake",
        "The cookie at those hosts: handshake (each has its own, which opens no other), or domain (all of one domain share one)",
    ),
    plain(
        "TOKENHOUSE_COOKIE_DOMAIN",
        "",
        "The domain of the shared cookie, such as example.com: the public URL and all hosts for a sign-in are in it",
    ),
    plain(
        "TOKENHOUSE_BRAND_NAME",
        "Tokenhouse",
        "What the pages call the service, at most 40 characters",
    ),
    plain(
        "TOKENHOUSE_BRAND_LOGO",
        "",
        "A square picture beside the name: a file .svg or .png of at most 64 KiB",
    ),
    plain(
        "TOKENHOUSE_BRAND_COLOUR",
        "#1f6f5c",
        "The colour of buttons and links; lighter or darker where they would be hard to read",
    ),
    plain(
        "TOKENHOUSE_CORS_ORIGINS",
        "",
        "Origins whose scripts may call the API, separated by commas: https://app.example",
    ),
    plain(
        "TOKENHOUSE_PUBLIC_URL",
        "",
        "The URL of the service for clients, with the path if there is one: https://auth.example; without it, no OAuth2 metadata, and pages only on the machine itself",
    ),
    plain(
        "TOKENHOUSE_MAIL",
        "off",
        "Where mails go: off (none are sent), smtp, or for development log or file:FOLDER",
    ),
    secret(
        "TOKENHOUSE_SMTP_URL",
        "",
        "The mail server for smtp: smtps://USER:PASSWORD@HOST, or smtp://USER:PASSWORD@HOST:587 with STARTTLS; ?tls=required, opportunistic or none, and ?tls-host=NAME if the certificate has another name",
    ),
    plain(
        "TOKENHOUSE_MAIL_FROM",
        "",
        "The sender of mails, required with smtp: Example <no-reply@example.com>; without a name, that of the brand",
    ),
    plain(
        "TOKENHOUSE_MAIL_REPLY_TO",
        "",
        "The address for answers to mails: Support <support@example.com>; that of the sender if empty",
    ),
    plain(
        "TOKENHOUSE_MAIL_TEMPLATES",
        "",
        "A folder with templates of mails, which replace the built-in ones of the same name",
    ),
    plain(
        "TOKENHOUSE_MAIL_LOCALES",
        "en,de,es,fr",
        "The languages of mails, separated by commas; the first one is for users of any other language",
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
        "Who may register: open, closed, or domains (verified with TOKENHOUSE_MAIL; compared without it: any address in them)",
    ),
    plain(
        "TOKENHOUSE_REGISTRATION_DOMAINS",
        "",
        "The e-mail domains for domains, separated by commas",
    ),
    plain(
        "TOKENHOUSE_REGISTER_ANSWER",
        "tutorial",
        "What /register tells: tutorial (the user, or that the address is taken), or uniform (nothing: a mail does, so that nobody learns who has an account)",
    ),
    plain(
        "TOKENHOUSE_VERIFICATION",
        "off",
        "What an unverified address means: off (nothing), mark (it is shown), scopes (no scopes) or sign-in (no sign-in, as always with mail and domains)",
    ),
    plain(
        "TOKENHOUSE_MAIL_PER_HOUR",
        "1000",
        "Mails per hour; others wait",
    ),
    plain(
        "TOKENHOUSE_MAIL_UNKNOWN",
        "false",
        "Answer by mail who wants to reset a password and has no account",
    ),
    plain(
        "TOKENHOUSE_NOTICES",
        "all",
        "What users are told of by mail: all, none or some of password-changed, address-changed, key-created, new-device, refresh-reuse, factor-added, factor-removed, recovery-codes-made, recovery-code-used and passkey-copied, separated by commas",
    ),
    plain(
        "TOKENHOUSE_RESET_LIFETIME",
        "1800",
        "How long a link to reset the password is good: 30m or a number of seconds; at most 1d",
    ),
    plain(
        "TOKENHOUSE_VERIFY_LIFETIME",
        "86400",
        "How long a link to verify the address is good: 24h or a number of seconds; at most 30d",
    ),
    plain(
        "TOKENHOUSE_CHANGE_LIFETIME",
        "3600",
        "How long a link to confirm another address is good: 1h or a number of seconds; at most 1d",
    ),
    plain(
        "TOKENHOUSE_INVITE_LIFETIME",
        "604800",
        "How long an invitation can be accepted: 7d or a number of seconds; at most 30d",
    ),
    plain(
        "TOKENHOUSE_CODE_LIFETIME",
        "600",
        "How long the code in a mail is good, which can be typed instead: 10m or a number of seconds; at most 1h",
    ),
    plain(
        "TOKENHOUSE_TOKEN_LIFETIME",
        "86400",
        "Lifetime of a login token: 30d, 12h, 15m or a number of seconds; at most 366d",
    ),
    profiled(
        "TOKENHOUSE_SESSIONS_PER_USER",
        "1",
        "20",
        "Sessions that a user may have, 1 to 100; beyond that, the one that was unused longest ends",
    ),
    plain(
        "TOKENHOUSE_SESSION_IDLE",
        "",
        "The longest pause between two uses of a session, to which up to three minutes are added: 12h, 30d or a number of seconds, at least 300; any if empty",
    ),
    plain(
        "TOKENHOUSE_BROWSER_LIFETIME",
        "43200",
        "How long a browser stays signed in: 12h or a number of seconds, 300 to 366d; without a use for 2 h it ends earlier, and with \"keep me signed in\" it lasts 30d",
    ),
    plain(
        "TOKENHOUSE_SESSION_LIFETIME",
        "2592000",
        "Lifetime of a session with a refresh token: 30d, 12h or a number of seconds; at most 366d; another one lives as long as its login token",
    ),
    plain(
        "TOKENHOUSE_REFRESH",
        "asked",
        "Sign-ins that get a refresh token: asked (those with the scope offline_access), off or always",
    ),
    plain(
        "TOKENHOUSE_REFRESH_ACCESS_LIFETIME",
        "900",
        "Lifetime of a login token in a session with a refresh token: 15m or a number of seconds; at most 366d",
    ),
    plain(
        "TOKENHOUSE_REFRESH_GRACE",
        "60",
        "Time in which a used refresh token gets the same answer again: a number of seconds, at most 3600; 0 never repeats an answer, even a lost one",
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
        "Time a password may wait for a hash thread: 5s or a number of milliseconds; if it would wait longer, the answer is 503",
    ),
    profiled(
        "TOKENHOUSE_NAME_MIN_LENGTH",
        "5",
        "1",
        "Minimum length of a user's name in characters, 0 to 100; profile standard does not require a name",
    ),
    profiled(
        "TOKENHOUSE_PASSWORD_MIN_LENGTH",
        "8",
        "15",
        "Minimum length of a new password in characters, 0 to 72",
    ),
    plain(
        "TOKENHOUSE_PASSWORD_REFUSE_COMMON",
        "true",
        "Refuse new passwords that are easy to guess",
    ),
    profiled(
        "TOKENHOUSE_OAUTH_STRICT_STATUS",
        "false",
        "true",
        "Let /token refuse with RFC 6749's 400 instead of FastAPI's 401 and 422",
    ),
    plain(
        "TOKENHOUSE_MFA",
        "optional",
        "Second factors: optional (users may add one, and their sign-ins ask for it), required (who has none adds one at the next sign-in) or off (no sign-in asks)",
    ),
    plain(
        "TOKENHOUSE_MFA_SCOPES",
        "",
        "Scopes that a session has only with a second factor, separated by commas: users:write, users:read, events:read",
    ),
    plain(
        "TOKENHOUSE_DEVICE_LIFETIME",
        "2592000",
        "How long a device is trusted on which a user has entered a code and asked for that, so that sign-ins there need only the password: 30d or a number of seconds; at most 365d, 0 for never",
    ),
    secret(
        "TOKENHOUSE_SECRET_KEY",
        "",
        "The key that seals the seeds of authenticator apps, 32 characters or more; without it, users cannot add one",
    ),
    secret(
        "TOKENHOUSE_SECRET_KEY_PREVIOUS",
        "",
        "The key before it, which still opens what it has sealed",
    ),
    plain(
        "TOKENHOUSE_OTP_IN_PASSWORD",
        "false",
        "For clients with two fields: if a user has a second factor, the last six digits of the password are the code",
    ),
    plain(
        "TOKENHOUSE_PASSKEYS",
        "off",
        "Passkeys: off, second (after the password) or first (also without a password); needs TOKENHOUSE_PUBLIC_URL",
    ),
    plain(
        "TOKENHOUSE_PASSKEY_RP_ID",
        "",
        "The domain that passkeys are made for; if empty, that of TOKENHOUSE_PUBLIC_URL. A change makes all worthless",
    ),
    plain(
        "TOKENHOUSE_PASSKEY_ORIGINS",
        "",
        "Other origins on which passkeys work, separated by commas: https://app.example",
    ),
    secret(
        "TOKENHOUSE_AUDIT_KEY",
        "",
        "The key that signs the audit trail, 32 characters or more; if empty, a key in the database does",
    ),
    plain(
        "TOKENHOUSE_AUDIT_RETENTION_DAYS",
        "365",
        "Retention of audit events: 52w or a number of days; 0 keeps them forever",
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
