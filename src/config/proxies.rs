//! Trusted proxies, and the client addresses in their headers.

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses addresses and networks. Refuses a network of all addresses, which would let every client
    /// choose its address.
    ///
    /// # Errors
    /// The number of the invalid entry, counted from 1, and what is expected, but not the entry itself.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        let networks = (1..).zip(list).map(|(number, text)| {
            parse_network(text).map_err(|problem| format!("entry {number}: {problem}"))
        });
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// The client's address: the address of the connection, unless a trusted proxy opened it. In
    /// that case, it is the rightmost address in `X-Forwarded-For` that is not a trusted proxy:
    /// each proxy appends the address of its peer, and the client may have forged everything to the
    /// left. `forwarded` are the values of all these headers, in order.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = forwarded
            .rev()
            .flat_map(|value| value.rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.contains(client) {
                break;
            }
            match parse_hop(hop) {
                Some(address) => client = address,
                // Addresses to the left of it are not trustworthy.
                None => break,
            }
        }
        client
    }

    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the address of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address or a network. One in the form of IPv4 addresses inside IPv6 is that of IPv4, because
/// clients' addresses are compared in that form.
fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let network: Option<IpNet> = text.parse().ok();
    let network = network.or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok());
    let network = match network {
        Some(IpNet::V6(v6)) => {
            match v6.addr().to_ipv4_mapped() {
                Some(v4) => {
                    let length = v6.prefix_len().checked_sub(96);
                    let mapped = length.and_then(|length| Ipv4Net::new(v4, length).ok());
                    Some(mapped.ok_or("a network with IPv4 addresses inside IPv6 has a prefix of 96 or more")?.into())
                }
                None => Some(IpNet::V6(v6)),
            }
        }
        network => network,
    };
    match network {
        Some(network) if network.prefix_len() > 0 => Ok(network),
        Some(_) => Err("a prefix of length 0 would trust every client"),
        None if text.parse::<SocketAddr>().is_ok() => {
            Err("remove the port; a proxy is recognised by its address")
        }
        None => {
            Err("expected an IP address or a network, such as 192.0.2.1 or 10.0.0.0/8, not a name")
        }
    }
}

/// An address, optionally with a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?.trim();
    let address = text
        .parse()
        .or_else(|_error| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let list: Vec<_> = trusted.split_whitespace().map(str::to_owned).collect();
        let proxies = TrustedProxies::parse(&list).unwrap();
        let headers = forwarded.iter().map(|value| value.as_bytes());
        proxies.client(peer.parse().unwrap(), headers).to_string()
    }

    #[test]
    fn rightmost_untrusted_address_is_the_client() {
        let trusted = "10.0.0.0/8 2001:db8::1 192.0.2.7";
        for (peer, forwarded, expected) in [
            ("198.51.100.1", &["203.0.113.9"][..], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (
                "10.0.0.1",
                &["1.1.1.1", "203.0.113.9, 10.2.3.4"],
                "203.0.113.9",
            ),
            ("10.0.0.1", &["203.0.113.9", "10.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &["10.9.9.9, 192.0.2.7"], "10.9.9.9"),
            ("10.0.0.1", &["203.0.113.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("2001:db8::1", &["[2001:db8::99]:80"], "2001:db8::99"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(
                client(trusted, peer, forwarded),
                expected,
                "{peer} {forwarded:?}"
            );
        }
        assert_eq!(client("", "10.0.0.1", &["203.0.113.9"]), "10.0.0.1");
    }

    /// Whether this is one of the proxies 10.0.0.0/8, 192.0.2.7 and `2001:db8::/32`, by its text.
    fn is_proxy(address: &str) -> bool {
        ["10.", "2001:db8:"]
            .iter()
            .any(|start| address.starts_with(start))
            || address == "192.0.2.7"
    }

    /// Hops, and their addresses.
    const HOPS: [(&str, Option<&str>); 14] = [
        ("10.0.0.1", Some("10.0.0.1")),
        (" 10.255.0.9 ", Some("10.255.0.9")),
        ("192.0.2.7:443", Some("192.0.2.7")),
        ("::ffff:10.1.1.1", Some("10.1.1.1")),
        ("2001:db8::5", Some("2001:db8::5")),
        ("192.0.2.8", Some("192.0.2.8")),
        ("11.0.0.1", Some("11.0.0.1")),
        ("203.0.113.9:4711", Some("203.0.113.9")),
        ("::ffff:203.0.113.9", Some("203.0.113.9")),
        ("[2001:db9::1]:80", Some("2001:db9::1")),
        ("", None),
        ("unknown", None),
        ("10.0.0.1 10.0.0.2", None),
        ("\u{e9}", None),
    ];

    #[test]
    fn random_lists_match_a_simple_model() {
        let trusted = "10.0.0.0/8 192.0.2.7 2001:db8::/32";
        let any_hop = || HOPS[rand::random_range(0..HOPS.len())];
        for _ in 0..10_000 {
            let (peer, Some(peer_address)) = HOPS[[0, 3, 4, 5, 6, 8][rand::random_range(0..6)]]
            else {
                unreachable!("those are addresses");
            };
            let headers: Vec<Vec<_>> = (0..rand::random_range(0..4))
                .map(|_| (0..rand::random_range(1..4)).map(|_| any_hop()).collect())
                .collect();
            let mut expected = peer_address;
            let mut chain: Vec<_> = headers.concat();
            while is_proxy(expected) {
                match chain.pop() {
                    Some((_, Some(address))) => expected = address,
                    _ => break,
                }
            }
            let lines: Vec<String> = headers
                .iter()
                .map(|hops| {
                    hops.iter()
                        .map(|(hop, _)| *hop)
                        .collect::<Vec<_>>()
                        .join(",")
                })
                .collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(client(trusted, peer, &lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn invalid_and_universal_networks_are_refused() {
        for wrong in [
            "0.0.0.0/0",
            "::/0",
            "proxy.example",
            "10.0.0.0/33",
            "10.0.0.1/",
        ] {
            assert!(
                TrustedProxies::parse(&[wrong.to_owned()]).is_err(),
                "{wrong}"
            );
        }
    }
}
