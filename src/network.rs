//! The networks around an address: the one that a single client may own, and the one that it is likely
//! to stay in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address, or the 64 bits that an IPv6 network has: what one client may own. All requests
/// without an address, such as those of the command line, share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(Option<IpAddr>);

impl Network {
    /// The network of an address. IPv4 addresses that are mapped into IPv6 are IPv4 addresses.
    pub fn new(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| first_of(address, 64)))
    }

    /// The first address of the network; `None` without one.
    pub(crate) fn address(self) -> Option<IpAddr> {
        self.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(IpAddr::V4(address)) => address.fmt(f),
            Some(IpAddr::V6(address)) => write!(f, "{address}/64"),
        }
    }
}

/// The first address of the largest network that a client may own: an address, or with IPv6 a /48,
/// which providers assign to their customers.
pub(crate) fn widest(address: Option<IpAddr>) -> Option<IpAddr> {
    Some(first_of(address?, 48))
}

/// The /48 around an IPv6 address; `None` for IPv4.
pub(crate) fn wide_v6(address: Option<IpAddr>) -> Option<String> {
    match address?.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(masked_v6(address, 48)),
    }
}

/// The network in which a client is likely to stay when its address changes: a /24, or with IPv6 a
/// /48. `None` without an address.
pub(crate) fn neighbourhood(address: Option<IpAddr>) -> Option<String> {
    Some(match address?.to_canonical() {
        IpAddr::V4(address) => {
            let network = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8));
            format!("{network}/24")
        }
        IpAddr::V6(address) => masked_v6(address, 48),
    })
}

fn first_of(address: IpAddr, prefix_v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => first_v6(address, prefix_v6).into(),
    }
}

fn masked_v6(address: Ipv6Addr, prefix: u32) -> String {
    format!("{}/{prefix}", first_v6(address, prefix))
}

fn first_v6(address: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_64_bits_in_ipv6_and_one_address_in_ipv4() {
        for (address, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            let network = Network::new(Some(address.parse().unwrap()));
            assert_eq!(network.to_string(), shown);
        }
        assert_eq!(Network::new(None).to_string(), "");
    }

    #[test]
    fn neighbourhoods_are_a_24_or_a_48() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("::ffff:192.0.2.255", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            let found = neighbourhood(Some(address.parse().unwrap()));
            assert_eq!(found.as_deref(), Some(expected));
        }
        assert_eq!(neighbourhood(None), None);
    }
}
