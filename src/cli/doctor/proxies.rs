//! Proxies that the settings do not name.

use chrono::TimeDelta;

use super::{Finding, Level, finding};
use crate::auth::{Auth, is_near};
use crate::config::Config;

/// How far back it is looked for.
const AGE: TimeDelta = TimeDelta::days(7);

/// Whether requests came by way of a proxy that is not trusted, as services have put it into the trail.
pub(super) fn unnamed(config: &Config) -> Option<Finding> {
    let auth = Auth::open(config).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    let peers = runtime.block_on(auth.list_unnamed_proxies(AGE)).ok()?;
    let trusted = &config.server.trusted_proxies;
    // With proxies named, one more of the outside is a client who made the header up.
    let unnamed = peers
        .into_iter()
        .filter(|peer| !trusted.contains(*peer))
        .find(|peer| trusted.is_empty() || is_near(*peer))?;
    let says = format!(
        "{unnamed} forwards requests and is not named, so all clients behind it have its address in \
         the limits and the audit trail: set TOKENHOUSE_TRUSTED_PROXIES={unnamed} if it is a proxy \
         of yours"
    );
    Some(finding(Level::Warning, "proxies", says))
}
