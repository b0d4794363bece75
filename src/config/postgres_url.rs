//! Parses a Postgres URL exactly as libpq does: otherwise a check could apply to a different host
//! than the one that libpq connects to.

use std::borrow::Cow;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

/// The parameters of libpq, and `ssl`, which it accepts for JDBC.
const PARAMETERS: &str = "\
    application_name channel_binding client_encoding connect_timeout dbname \
    fallback_application_name gssdelegation gssencmode gsslib host hostaddr keepalives \
    keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts \
    max_protocol_version min_protocol_version oauth_client_id oauth_client_secret \
    oauth_issuer oauth_scope options passfile password port replication require_auth \
    requirepeer scram_client_key scram_server_key service ssl ssl_max_protocol_version \
    ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey \
    sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni target_session_attrs \
    tcp_user_timeout user";

/// Parameters that are numbers.
const NUMBERS: [&str; 6] = [
    "connect_timeout",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
];

/// Parameters with a few possible values, and these values.
const CHOICES: [(&str, &[&str]); 7] = [
    ("sslmode", &SSL_MODES),
    ("channel_binding", &["disable", "prefer", "require"]),
    ("gssencmode", &["disable", "prefer", "require"]),
    ("load_balance_hosts", &["disable", "random"]),
    ("sslcertmode", &["disable", "allow", "require"]),
    ("sslnegotiation", &["postgres", "direct"]),
    (
        "target_session_attrs",
        &[
            "any",
            "read-write",
            "read-only",
            "primary",
            "standby",
            "prefer-standby",
        ],
    ),
];

/// The values of `sslmode`, starting with the weakest.
const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// The number of modes without protection from attackers in the network.
const OPEN_MODES: usize = 3;

/// Whether this build supports TLS to Postgres.
const HAS_TLS: bool = cfg!(feature = "postgres-tls");

/// The decoded hosts and parameters of a URL.
pub(crate) struct PostgresUrl<'a> {
    hosts: Vec<Cow<'a, str>>,
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> PostgresUrl<'a> {
    /// Parses a URL.
    ///
    /// # Errors
    /// A description of the problem, without the values of the URL.
    pub(crate) fn parse(url: &'a str) -> Result<Self, String> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        // As in libpq, the first of the two decides.
        let rest = match rest.find(['@', '/']) {
            Some(at) if rest[at..].starts_with('@') => {
                decoded(&rest[..at])?;
                &rest[at + 1..]
            }
            _ => rest,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (database, query) = rest.split_once('?').unwrap_or((rest, ""));
        decoded(database)?;
        let hosts = authority.split(',').map(host).collect::<Result<_, _>>()?;
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let parameters = pairs.map(parameter).collect::<Result<_, _>>()?;
        Ok(Self { hosts, parameters })
    }

    /// Whether the URL has parameters.
    pub(crate) fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The effective parameter: the last one with the name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().rev();
        named
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_ref())
    }

    /// The `sslmode`, if the URL has one.
    pub(crate) fn sslmode(&self) -> Option<&str> {
        let from_jdbc = || (self.parameter("ssl")? == "true").then_some("require");
        self.parameter("sslmode").or_else(from_jdbc)
    }

    /// Whether the server is on this machine: a Unix socket or a loopback address. `variable` reads the
    /// environment variables that libpq uses for a URL without a host.
    pub(crate) fn is_local(&self, variable: impl Fn(&str) -> Option<String>) -> bool {
        let named = |name: &str, variable_name: &str| {
            let in_url = self.parameter(name).map(str::to_owned);
            in_url.or_else(|| variable(variable_name))
        };
        let is_named = self.hosts.iter().any(|host| !host.is_empty());
        let in_url = is_named.then(|| self.hosts.join(","));
        let hosts = self.parameter("host").map(str::to_owned).or(in_url);
        let address = named("hostaddr", "PGHOSTADDR");
        match address.or(hosts).or_else(|| variable("PGHOST")) {
            Some(hosts) => hosts.split(',').all(is_local_host),
            // A service file may name any host.
            None => named("service", "PGSERVICE").is_none(),
        }
    }

    /// Refuses unknown parameters, and unencrypted connections over a network unless the URL requests
    /// them.
    ///
    /// # Errors
    /// How to correct the URL.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value) in &self.parameters {
            if !PARAMETERS.split(' ').any(|known| known == name) {
                return Err(match is_word(name) {
                    true => format!("Postgres has no parameter {name}; remove it"),
                    false => "a parameter after the ? has an invalid name".to_owned(),
                });
            }
            check_value(name, value)?;
        }
        let mode = self.sslmode();
        if HAS_TLS || self.is_local(|_variable| None) || mode == Some("disable") {
            return Ok(());
        }
        Err(
            "the server is on another machine, and this build has no TLS to Postgres: use one with \
             the feature postgres-tls, or add ?sslmode=disable to allow an unencrypted connection"
                .to_owned(),
        )
    }

    /// The mode, if it lets attackers in the network read the traffic or impersonate the server.
    pub(crate) fn open_mode(&self) -> Option<&str> {
        let mode = self.sslmode()?;
        let is_open = SSL_MODES[..OPEN_MODES].contains(&mode);
        (is_open && !self.is_local(|_variable| None)).then_some(mode)
    }
}

/// The host of `host:port`.
fn host(text: &str) -> Result<Cow<'_, str>, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(not_encoded)?;
            let port = match after {
                "" => "",
                _ => after.strip_prefix(':').ok_or_else(not_encoded)?,
            };
            (host, port)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || host.contains('@') {
        return Err(not_encoded());
    }
    if !port.is_empty() && !port.parse().is_ok_and(|port: u16| port > 0) {
        return Err("the port: expected 1 to 65535".to_owned());
    }
    decoded(host)
}

fn parameter(pair: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), String> {
    let (name, value) = pair
        .split_once('=')
        .filter(|(_, value)| !value.contains('='))
        .ok_or("after the ?, expected NAME=VALUE, separated by &; write = in a value as %3D")?;
    Ok((decoded(name)?, decoded(value)?))
}

/// Refuses values that libpq refuses when it connects.
fn check_value(name: &str, value: &str) -> Result<(), String> {
    let choices = CHOICES.iter().find(|(other, _)| *other == name);
    if let Some((_, choices)) = choices
        && !choices.contains(&value)
    {
        return Err(format!("{name}: expected one of {}", choices.join(", ")));
    }
    if NUMBERS.contains(&name) && value.trim().parse::<i32>().is_err() {
        return Err(format!("{name}: expected a number"));
    }
    let mut ports = value.split(',').filter(|port| !port.is_empty());
    if name == "port" && !ports.all(|port| port.trim().parse().is_ok_and(|port: u16| port > 0)) {
        return Err("port: expected 1 to 65535".to_owned());
    }
    Ok(())
}

fn decoded(text: &str) -> Result<Cow<'_, str>, String> {
    let mut rest = text.as_bytes().split(|byte| *byte == b'%').skip(1);
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    // libpq refuses %00 too.
    let is_encoded =
        |part: &[u8]| is_hex(part.first()) && is_hex(part.get(1)) && !part.starts_with(b"00");
    if !rest.all(is_encoded) {
        return Err(not_encoded());
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_error| not_encoded())
}

fn not_encoded() -> String {
    "not a URL of Postgres; in a password, write the characters : / ? # [ ] @ % as %3A %2F %3F %23 \
     %5B %5D %40 %25"
        .to_owned()
}

fn is_local_host(host: &str) -> bool {
    let is_socket = host.is_empty() || host.starts_with(['/', '@']);
    let address: Option<IpAddr> = host.parse().ok();
    is_socket
        || host.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|address| address.to_canonical().is_loopback())
}

/// Whether an error may show the name: no secret has this form.
fn is_word(name: &str) -> bool {
    (1..=30).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::PostgresUrl;

    fn is_local(url: &str) -> bool {
        PostgresUrl::parse(url).unwrap().is_local(|_| None)
    }

    #[test]
    fn local_servers_are_recognised() {
        for url in [
            "postgres:///name",
            "postgres://localhost/name",
            "postgres://user:p%40ss@127.0.0.1:5432/name",
            "postgres://user@[::1]/name",
            "postgres://%2Fvar%2Frun%2Fpostgresql/name",
            "postgres:///name?host=/var/run/postgresql",
            "postgres://127.0.0.1,localhost:5433/name",
            "postgres://db.example/name?host=127.0.0.1",
            "postgres://db.example/name?hostaddr=127.0.0.1",
            "postgres://user:a?b@localhost/name",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "postgres://db.example/name",
            "postgres://user:pass@10.0.0.1:5432/name",
            "postgres://localhost,db.example/name",
            "postgres://localhost/name?host=db.example",
            "postgres://localhost/name?%68ost=db.example",
            "postgres://localhost/name?hostaddr=10.0.0.1",
            "postgres://user@[2001:db8::1]/name",
            "postgres:///name?service=elsewhere",
            "postgres://localhost.example/name",
            "postgres://user@localhost:x@db.example/name?",
        ] {
            assert!(PostgresUrl::parse(url).is_err() || !is_local(url), "{url}");
        }
    }

    #[test]
    fn environment_applies_to_urls_without_host() {
        let elsewhere = |name: &str| (name == "PGHOST").then(|| "db.example".to_owned());
        let is_local = |url| PostgresUrl::parse(url).unwrap().is_local(elsewhere);
        assert!(!is_local("postgres:///name"));
        assert!(is_local("postgres://localhost/name"));
        let address = |name: &str| (name == "PGHOSTADDR").then(|| "10.0.0.1".to_owned());
        let url = PostgresUrl::parse("postgres://localhost/name").unwrap();
        assert!(!url.is_local(address));
    }

    #[test]
    fn last_of_two_parameters_counts() {
        let url = "postgres://h/n?sslmode=verify-full&%73slmode=disable";
        assert_eq!(PostgresUrl::parse(url).unwrap().sslmode(), Some("disable"));
    }

    #[test]
    fn errors_name_the_problem_without_values() {
        for (url, message) in [
            (
                "postgres://localhost/n?pgbouncer=true",
                "no parameter pgbouncer",
            ),
            ("postgres://localhost/n?schema=hush", "no parameter schema"),
            ("postgres://localhost/n?HUSH=hush", "an invalid name"),
            ("postgres://localhost/n?hush", "NAME=VALUE"),
            ("postgres://localhost/n?options=a=hush", "%3D"),
            (
                "postgres://localhost/n?sslmode=hush",
                "sslmode: expected one of",
            ),
            ("postgres://user:hu/sh@localhost/n", "%2F"),
            ("postgres://user:hu@sh@localhost/n", "%40"),
            ("postgres://user:x@hush%zz/n", "%25"),
            ("postgres://user:hu%sh@localhost/n", "%25"),
            ("postgres://user:hush%00@localhost/n", "%25"),
            ("postgres://localhost/hush%", "%25"),
            ("postgres://localhost:99999/hush", "1 to 65535"),
            ("postgres://localhost/n?port=hush", "1 to 65535"),
            (
                "postgres://localhost/n?connect_timeout=hush",
                "connect_timeout: expected a number",
            ),
            (
                "postgres://localhost/n?target_session_attrs=hush",
                "target_session_attrs: expected one of any",
            ),
        ] {
            let outcome = PostgresUrl::parse(url).and_then(|url| url.check());
            let problem = outcome.unwrap_err();
            assert!(problem.contains(message), "{url}: {problem}");
            assert!(!problem.to_lowercase().contains("hush"), "{problem}");
        }
    }

    #[cfg(not(feature = "postgres-tls"))]
    #[test]
    fn unencrypted_connections_require_sslmode_disable() {
        fn check(url: &str) -> Result<(), String> {
            PostgresUrl::parse(url)?.check()
        }
        let local = "postgres://localhost/name";
        assert_eq!(check(local), Ok(()));
        let clear = "postgres://db.example/name?sslmode=disable";
        assert_eq!(check(clear), Ok(()));
        for mode in [
            "",
            "?sslmode=prefer",
            "?sslmode=allow",
            "?sslmode=verify-full",
        ] {
            let problem = check(&format!("postgres://db.example/name{mode}")).unwrap_err();
            assert!(problem.contains("?sslmode=disable"), "{problem}");
        }
    }

    #[test]
    fn open_modes_are_reported_for_remote_servers() {
        let mode = |url| {
            PostgresUrl::parse(url)
                .unwrap()
                .open_mode()
                .map(str::to_owned)
        };
        let open = "postgres://db.example/name?sslmode=prefer";
        assert_eq!(mode(open).as_deref(), Some("prefer"));
        assert_eq!(mode("postgres://localhost/name?sslmode=disable"), None);
        assert_eq!(mode("postgres://db.example/name?sslmode=verify-full"), None);
        assert_eq!(mode("postgres://db.example/name"), None);
    }
}
