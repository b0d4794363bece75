//! `tokenhouse healthcheck`, for containers without curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::Config;

/// The timeout of each step of the exchange.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);

/// Queries the readiness of the service that uses these settings.
pub(super) fn run(config: &Config) -> Result<(), String> {
    let address = reachable(config.server.bind);
    let status = query(address).map_err(|error| format!("{address}: {}", error.kind()))?;
    if status == "200" {
        Ok(())
    } else {
        Err(format!("{address}: not ready, status {status}"))
    }
}

/// The loopback address for a service that listens on all addresses.
pub(super) fn reachable(mut bind: SocketAddr) -> SocketAddr {
    match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => bind.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => bind.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    bind
}

/// The HTTP status of `/health/ready`.
pub(super) fn query(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, QUERY_TIMEOUT)?;
    stream.set_read_timeout(Some(QUERY_TIMEOUT))?;
    stream.set_write_timeout(Some(QUERY_TIMEOUT))?;
    write!(
        stream,
        "GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    // Only `HTTP/1.1 200`, which includes the status.
    let mut start = [0_u8; 12];
    stream.read_exact(&mut start)?;
    Ok(String::from_utf8_lossy(&start[9..]).into_owned())
}
