//! Forwarded requests from a peer that the settings do not name as a proxy. All clients behind it
//! share its address, so the operator must be warned.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;

use super::{Action, AuditContext, AuditTrail, Event};
use crate::error::Error;
use crate::store::{AuditEvent, EventFilter};

/// Maximum number of events that are read.
const MAX_READ: i64 = 100;

/// The peers that this process has reported: one that is likely a proxy, and one that is more likely a
/// client with a forged header.
#[derive(Default)]
pub(super) struct UnnamedProxies(Mutex<[Report; 2]>);

#[derive(Clone, Copy, Default)]
enum Report {
    #[default]
    None,
    /// Logged, and not yet in the trail.
    Logged(IpAddr),
    Recorded,
}

impl UnnamedProxies {
    /// Returns whether a peer is the first of its kind, and marks it as logged.
    fn is_first(&self, peer: IpAddr) -> bool {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let report = &mut reports[usize::from(is_near(peer))];
        let is_first = matches!(report, Report::None);
        if is_first {
            *report = Report::Logged(peer);
        }
        is_first
    }

    /// Takes the peers that are not yet in the trail.
    fn take(&self) -> Vec<IpAddr> {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = reports.iter_mut().filter_map(|report| match *report {
            Report::Logged(peer) => {
                *report = Report::Recorded;
                Some(peer)
            }
            Report::None | Report::Recorded => None,
        });
        waiting.collect()
    }

    /// Puts back a peer that could not be written.
    fn put_back(&self, peer: IpAddr) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports[usize::from(is_near(peer))] = Report::Logged(peer);
    }
}

/// Whether a peer is on this machine or in a private network, where proxies usually are.
pub(crate) fn is_near(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private(),
        IpAddr::V6(peer) => peer.is_loopback() || peer.is_unique_local(),
    }
}

impl AuditTrail {
    /// Reports a forwarded request from a peer that is not a trusted proxy. The first one causes a
    /// warning in the log, and an event at the next flush. Never waits.
    pub(crate) fn record_unnamed_proxy(&self, peer: IpAddr) {
        if self.0.unnamed_proxies.is_first(peer) {
            log::warn!(
                "{peer} forwards requests and is not in TOKENHOUSE_TRUSTED_PROXIES, so all clients \
                 behind it have its address in the limits and the audit trail; if it is a proxy of \
                 yours, name it there"
            );
        }
    }

    /// Writes the events of [`Self::record_unnamed_proxy`].
    pub(crate) async fn flush_unnamed_proxies(&self) -> Result<(), Error> {
        for peer in self.0.unnamed_proxies.take() {
            let context = AuditContext::service().at(peer);
            let event = Event::new(Action::ProxyUntrusted);
            if let Err(error) = self.record(&context, event).await {
                self.0.unnamed_proxies.put_back(peer);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lists the peers that processes have reported within `age`.
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
    fn clients_with_forged_headers_do_not_hide_a_proxy() {
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
