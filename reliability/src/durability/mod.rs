//! What was acknowledged stays: through kills, power cuts and disks that fail.
//!
//! Clients change users of their own and remember every acknowledgement. Each request has an id,
//! which Tokenhouse writes into the audit trail in the transaction of the change. So the trail says
//! which changes were made, whether they were answered or not; the tables have to be what those
//! changes make, and no acknowledged one may be missing.

pub(crate) mod client;
pub(crate) mod compare;
pub(crate) mod field;
mod io_errors;
mod kills;
pub(crate) mod ledger;
mod normal;
mod power_cut;
pub(crate) mod snapshot;

pub use io_errors::{IoErrors, IoErrorsReport, IoErrorsRow};
pub use kills::{Kills, KillsReport};
pub use power_cut::{PowerCut, PowerCutReport};
