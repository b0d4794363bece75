//! A disk between SQLite and the files: it writes down what is done to them, and fails when told.

mod journal;
mod replay;
mod shim;

pub(crate) use journal::Journal;
pub(crate) use replay::{Disk, Fate, Syncs};
pub(crate) use shim::{Fault, FaultControl, Shim};
