//! Requests that say for whom they were forwarded, from a peer that the settings do not name as a proxy.
//! Then all clients behind it have its address, which the operator has to learn of.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::error::Error;
use crate::store::{AuditEvent, EventFilter};

/// Events of it that are read at most.
const MAX_READ: i64 = 100;

/// The peers that this process has told the operator of: one that is likely to be a proxy, and one
/// that is more likely to be a client who made the header up.
#[derive(Default)]
pub(super) struct UnnamedProxies(Mutex<[Told; 2]>);

#[derive(Clone, Copy, Default)]
enum Told {
    #[default]
    Nothing,
    /// Told in the log, and still to be put into the trail.
    Log(IpAddr),
    All,
}

impl UnnamedProxies {
    /// Whether a peer is the first of its kind.
    fn is_first(&self, peer: IpAddr) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = &mut told[usize::from(is_near(peer))];
        let is_first = matches!(told, Told::Nothing);
        if is_first {
            *told = Told::Log(peer);
        }
        is_first
    }

    /// Those that are still to be put into the trail, which are taken to be from now on.
    fn take(&self) -> Vec<IpAddr> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = told.iter_mut().filter_map(|told| match *told {
            Told::Log(peer) => {
                *told = Told::All;
                Some(peer)
            }
            Told::Nothing | Told::All => None,
        });
        waiting.collect()
    }

    /// Puts back what could not be written.
    fn put_back(&self, peer: IpAddr) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told[usize::from(is_near(peer))] = Told::Log(peer);
    }
}

/// Whether a peer is on this machine or in a private network, where proxies are.
pub(crate) fn is_near(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private(),
        IpAddr::V6(peer) => peer.is_loopback() || peer.is_unique_local(),
    }
}

impl Auth {
    /// Notes a request with `X-Forwarded-For` or `Forwarded` from a peer that is no trusted proxy. The
    /// first one is a warning in the log and, a second later, an event in the trail. Never waits.
    pub fn note_unnamed_proxy(&self, peer: IpAddr) {
        self.0.metrics.untrusted_forwards.inc();
        if self.0.unnamed_proxies.is_first(peer) {
            log::warn!(
                "{peer} forwards requests and is not in TOKENHOUSE_TRUSTED_PROXIES, so all clients \
                 behind it have its address in the limits and the audit trail; if it is a proxy of \
                 yours, name it there"
            );
        }
    }

    /// Writes the events of [`Self::note_unnamed_proxy`].
    pub(super) async fn write_unnamed_proxies(&self) -> Result<(), Error> {
        for peer in self.0.unnamed_proxies.take() {
            let origin = Origin::service().at(peer);
            let event = Event::new(Action::ProxyUntrusted);
            if let Err(error) = self.note_event(&origin, event).await {
                self.0.unnamed_proxies.put_back(peer);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The peers that processes have told of within `age`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_unnamed_proxies(&self, age: TimeDelta) -> Result<Vec<IpAddr>, Error> {
        let filter = EventFilter {
            action: Some(Action::ProxyUntrusted.name().to_owned()),
            since: self.0.clock.now().checked_sub_signed(age),
            ..EventFilter::default()
        };
        let filters = [filter];
        let list = move |conn: &mut _| AuditEvent::list(conn, &filters, MAX_READ);
        let events = self.0.store.read(list).await?;
        let mut peers: Vec<IpAddr> = events
            .rows
            .iter()
            .filter_map(|event| event.ip.parse().ok())
            .collect();
        peers.sort();
        peers.dedup();
        Ok(peers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_who_makes_the_header_up_does_not_hide_a_proxy() {
        let (proxies, parse) = (UnnamedProxies::default(), |ip: &str| ip.parse().unwrap());
        assert!(proxies.is_first(parse("203.0.113.9")));
        assert!(!proxies.is_first(parse("2001:db8::1")));
        assert!(proxies.is_first(parse("127.0.0.1")));
        for peer in ["127.0.0.1", "::1", "10.1.2.3", "fd00::1", "203.0.113.9"] {
            assert!(!proxies.is_first(parse(peer)), "{peer}");
        }
        let written = [parse("203.0.113.9"), parse("127.0.0.1")];
        assert_eq!(proxies.take(), written);
        assert!(proxies.take().is_empty());
        proxies.put_back(written[1]);
        assert_eq!(proxies.take(), [written[1]]);
    }
}
