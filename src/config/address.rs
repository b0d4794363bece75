//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Parses an address and port. `localhost` is 127.0.0.1; other names are refused, as they may mean several
/// addresses. An address is required: without one, some programs listen on all networks and others only on
/// this machine.
///
/// # Errors
/// What is expected, without the value.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, &'static str> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if text.contains("://") || text.contains('/') {
        return Err(
            "expected an address and port only, such as 127.0.0.1:8000, without http:// and path",
        );
    }
    if text.parse::<Ipv4Addr>().is_ok() || text.starts_with('[') && text.ends_with(']') {
        return Err("the port is missing; expected an address and port such as 127.0.0.1:8000");
    }
    if text.parse::<IpAddr>().is_ok() || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
        return Err("expected an IPv6 address in brackets and a port, such as [::]:8000");
    }
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let Some(port) = Some(port).filter(|_| is_number) else {
        return Err("expected an address and port such as 127.0.0.1:8000");
    };
    let port: u16 = port
        .parse()
        .map_err(|_error| "the port is too large; expected 0 to 65535")?;
    match host.to_ascii_lowercase().as_str() {
        "localhost" => Ok((Ipv4Addr::LOCALHOST, port).into()),
        "" | "*" => Err(
            "the address is missing; expected 127.0.0.1:PORT for clients on this machine, or 0.0.0.0:PORT \
             or [::]:PORT for all networks",
        ),
        _ => {
            Err("expected an IP address and a port such as 127.0.0.1:8000; of names only localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_and_localhost_are_accepted() {
        for (text, address) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::]:8000", "[::]:8000"),
            ("[::1]:8000", "[::1]:8000"),
            ("localhost:8000", "127.0.0.1:8000"),
            ("LocalHost:80", "127.0.0.1:80"),
        ] {
            assert_eq!(parse(text).map(|a| a.to_string()), Ok(address.to_owned()));
        }
    }

    #[test]
    fn other_texts_are_refused_with_what_is_expected() {
        for (text, expected) in [
            ("8000", "the address is missing"),
            (":8000", "the address is missing"),
            ("*:8000", "the address is missing"),
            ("127.0.0.1", "the port is missing"),
            ("[::1]", "the port is missing"),
            ("::1", "in brackets"),
            ("::1:8000", "in brackets"),
            ("localhost", "an address and port"),
            ("localhost:", "an address and port"),
            ("127.0.0.1:http", "an address and port"),
            ("127.0.0.1:+80", "an address and port"),
            ("127.0.0.1:65536", "the port is too large"),
            ("hush.example:8000", "of names only localhost"),
            ("256.0.0.1:8000", "of names only localhost"),
            ("http://127.0.0.1:8000", "without http://"),
            ("127.0.0.1:8000/hush", "without http://"),
            ("hush", "an address and port"),
            ("", "an address and port"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
            assert!(!problem.contains("hush"), "{problem}");
        }
    }
}
