//! Variables that platforms set for a service named `tokenhouse` or `tokenhouse-…`: Kubernetes for every
//! Service in the namespace (`enableServiceLinks`), Docker for `--link`. They have the prefix of our
//! settings but are not settings.

use super::settings::PREFIX;

/// Whether this is such a variable.
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
    fn variables_of_platforms_differ_from_misspelt_settings() {
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
