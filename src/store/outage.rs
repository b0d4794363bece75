//! What tests do with a database: they cause outages, in which it is intact but every use of it fails as
//! when it does not answer, and they replace it.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[cfg(any(feature = "cli", feature = "testing"))]
use super::Store;

/// The outages of a store. The default is none.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<Option<Instant>>);

impl Outages {
    /// Whether the database is down.
    pub(super) fn is_down(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(any(feature = "cli", feature = "testing"))]
impl Store {
    /// Allows [`Self::stop_for`] on this handle and on its later clones.
    pub(crate) fn allow_outages(mut self) -> Self {
        self.outages = Some(std::sync::Arc::default());
        self
    }

    /// Returns a function that says whether all clones of this handle are dropped, and all queries ended.
    #[cfg(feature = "server")]
    pub(crate) fn closing(&self) -> impl Fn() -> bool + use<> {
        let permits = std::sync::Arc::downgrade(&self.permits);
        move || permits.strong_count() == 0
    }

    /// Makes every use of the database fail for this long from now, and ends an earlier outage. Does
    /// nothing unless outages are allowed.
    pub(crate) fn stop_for(&self, time: std::time::Duration) {
        if let Some(outages) = &self.outages {
            let mut until = outages.0.lock().unwrap_or_else(PoisonError::into_inner);
            *until = Instant::now().checked_add(time);
        }
    }
}
