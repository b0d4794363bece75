//! Variables with the prefix of our settings that are not settings: those that platforms set, and
//! misspelt ones.

use super::settings::{self, PREFIX, SETTINGS};

/// Names of other programs' settings for the address.
const FOR_THE_ADDRESS: [&str; 5] = ["PORT", "HOST", "ADDRESS", "LISTEN", "BIND_ADDRESS"];

/// Whether the name begins with our prefix. A name in lower case is misspelt: variables of the
/// environment are case-sensitive.
pub(super) fn has_prefix(name: &str) -> bool {
    let start = name.get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The secret whose file this variable names.
pub(super) fn secret_of_file(name: &str) -> Option<&'static str> {
    let setting = name.strip_suffix("_FILE").and_then(settings::find)?;
    setting.secret.then_some(setting.name)
}

/// Whether a variable with this name is a setting, or was meant as one.
pub(super) fn is_ours(name: &str) -> bool {
    has_prefix(name) || settings::find(name).is_some() || secret_of_file(name).is_some()
}

/// What is wrong with a name that has our prefix but is no setting.
pub(super) fn problem_of_unknown(name: &str) -> String {
    let plain = name.strip_suffix("_FILE").and_then(settings::find);
    if let Some(setting) = plain {
        let name = setting.name;
        return format!("only secrets can be read from a file; set {name} instead");
    }
    let meant = meant_by(&name.to_ascii_uppercase());
    let question = meant.map(|meant| format!("did you mean {meant}? "));
    let question = question.unwrap_or_default();
    format!("no setting has this name; {question}tokenhouse config list shows all settings")
}

/// The name that a misspelt one most resembles.
fn meant_by(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    if FOR_THE_ADDRESS.contains(&rest) {
        return Some(format!("{PREFIX}BIND"));
    }
    let names = SETTINGS.iter().flat_map(|setting| {
        let file = setting.secret.then(|| format!("{}_FILE", setting.name));
        std::iter::once(setting.name.to_owned()).chain(file)
    });
    let distances = names.map(|name| {
        let known = name.strip_prefix(PREFIX).unwrap_or(&name);
        (strsim::osa_distance(rest, known), name)
    });
    let (distance, name) = distances.min()?;
    (distance <= rest.len() / 4).then_some(name)
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
    use super::{is_service_link, problem_of_unknown};

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

    #[test]
    fn misspelt_names_have_a_suggestion() {
        for (name, meant) in [
            ("TOKENHOUSE_TOKEN_LIFETME", "TOKENHOUSE_TOKEN_LIFETIME"),
            ("TOKENHOUSE_BCRYPT_COTS", "TOKENHOUSE_BCRYPT_COST"),
            ("TOKENHOUSE_CORS_ORIGIN", "TOKENHOUSE_CORS_ORIGINS"),
            ("TOKENHOUSE_PUBLICURL", "TOKENHOUSE_PUBLIC_URL"),
            ("TOKENHOUSE_LIMIT_KEY", "TOKENHOUSE_LIMIT_KEYS"),
            ("TOKENHOUSE_BIMD", "TOKENHOUSE_BIND"),
            ("TOKENHOUSE_PORT", "TOKENHOUSE_BIND"),
            ("TOKENHOUSE_HOST", "TOKENHOUSE_BIND"),
            ("tokenhouse_bind", "TOKENHOUSE_BIND"),
            ("TOKENHOUSE_DATABASE_URL", "DATABASE_URL"),
            ("TOKENHOUSE_API_KEY_TOKEN", "API_KEY_TOKEN"),
            ("TOKENHOUSE_AUDITKEY_FILE", "TOKENHOUSE_AUDIT_KEY_FILE"),
        ] {
            let problem = problem_of_unknown(name);
            let question = format!("did you mean {meant}?");
            assert!(problem.contains(&question), "{name}: {problem}");
        }
        for name in ["TOKENHOUSE_", "TOKENHOUSE_X", "TOKENHOUSE_COLOUR_SCHEME"] {
            let problem = problem_of_unknown(name);
            assert!(!problem.contains("did you mean"), "{name}: {problem}");
            assert!(problem.contains("tokenhouse config list"), "{problem}");
        }
        let plain = problem_of_unknown("TOKENHOUSE_BIND_FILE");
        assert!(plain.contains("set TOKENHOUSE_BIND instead"), "{plain}");
    }
}
