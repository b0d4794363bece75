//! The proxies in front of the service, and what they say of who is behind them.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks. Everybody is no proxy: then everybody could choose their
    /// address.
    ///
    /// # Errors
    /// What is expected instead.
    pub(super) fn parse(list: &[String]) -> Result<Self, &'static str> {
        let networks = list.iter().map(|text| {
            let network = text
                .parse::<IpNet>()
                .or_else(|_error| text.parse::<IpAddr>().map(IpNet::from));
            match network {
                Ok(network) if network.prefix_len() > 0 => Ok(network),
                Ok(_) => Err("a network of everybody is no network of proxies"),
                Err(_) => Err("expected addresses and networks such as 10.0.0.0/8, 192.0.2.1"),
            }
        });
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// The address of the client: that of the connection, unless it comes from a proxy. Then it is
    /// the right-most one in `X-Forwarded-For` that no proxy of ours has: each of them has added
    /// the address that it was called from, and what is further left, the client may have made up.
    /// `forwarded` are the values of all such headers in their order.
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
                // What is left of it was not written by a proxy that we know how to read.
                None => break,
            }
        }
        client
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the address of one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, perhaps with a port, as proxies write it.
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
    fn the_right_most_hop_that_is_no_proxy_counts() {
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

    #[test]
    fn everybody_is_no_proxy() {
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
