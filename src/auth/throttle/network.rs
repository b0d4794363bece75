//! What one client is taken to have all of, and what is near it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::budget::Rate;
use crate::network::Network;

/// How many times the budget of a /64 a /48 has: providers give whole ones to their customers, so that
/// one client may have 65,536 networks of 64 bits.
const WIDE_SHARE: u32 = 10;

/// The budget of an address or network for attempts of one kind.
#[derive(Clone, Debug)]
pub(super) struct AddressBudget {
    /// The kind of attempt and the network: what is counted, and what is remembered as turned away.
    pub(super) name: String,
    pub(super) rate: Rate,
}

impl AddressBudget {
    /// The budgets that an attempt from this address is taken out of: that of the address, or with
    /// IPv6 that of its /64 and that of its /48, in this order.
    pub(super) fn all(kind: &str, address: Option<IpAddr>, rate: Rate) -> Vec<Self> {
        let own = Self {
            name: format!("{kind} {}", network(address)),
            rate,
        };
        let wide = match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => Some(Self {
                name: format!("{kind} {}", masked_v6(address, 48)),
                rate: rate.times(WIDE_SHARE),
            }),
            _ => None,
        };
        [Some(own), wide].into_iter().flatten().collect()
    }
}

/// What one client is taken to have all of, as text; see [`Network`].
pub(in crate::auth) fn network(address: Option<IpAddr>) -> String {
    Network::of(address).to_string()
}

/// The network in which a client is likely to stay when its address changes: a /24, or with IPv6 a
/// /48. `None` without an address.
pub(super) fn neighbourhood(address: Option<IpAddr>) -> Option<String> {
    Some(match address?.to_canonical() {
        IpAddr::V4(address) => {
            let network = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8));
            format!("{network}/24")
        }
        IpAddr::V6(address) => masked_v6(address, 48),
    })
}

/// The first address of what one client is taken to have all of, as in [`network`].
pub(in crate::auth) fn client_of(address: Option<IpAddr>) -> Option<IpAddr> {
    Some(first_of(address?, 64))
}

/// The first address of the network that a client may have all of: an address, or with IPv6 a /48.
pub(in crate::auth) fn around(address: Option<IpAddr>) -> Option<IpAddr> {
    Some(first_of(address?, 48))
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
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_address_has_one_budget_and_with_ipv6_two() {
        let rate = Rate {
            most: 30,
            at_once: 20,
            period: TimeDelta::minutes(1),
        };
        let budgets = |address: &str| {
            let address = address.parse().unwrap();
            let budgets = AddressBudget::all("sign-in", Some(address), rate);
            let budgets = budgets.into_iter();
            let told = budgets.map(|budget| (budget.name, budget.rate.most, budget.rate.at_once));
            told.collect::<Vec<_>>()
        };
        let v4 = ("sign-in 192.0.2.7".to_owned(), 30, 20);
        assert_eq!(budgets("192.0.2.7"), std::slice::from_ref(&v4));
        assert_eq!(budgets("::ffff:192.0.2.7"), [v4]);
        assert_eq!(
            budgets("2001:db8:1:2:3:4:5:6"),
            [
                ("sign-in 2001:db8:1:2::/64".to_owned(), 30, 20),
                ("sign-in 2001:db8:1::/48".to_owned(), 300, 200),
            ]
        );
    }

    #[test]
    fn what_is_near_is_a_24_or_a_48() {
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
