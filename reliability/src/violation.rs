//! A violation, for people.

use std::fmt;

use crate::history::Operation;

/// How many operations are printed at most: the last ones.
const PRINTED: usize = 60;

/// Operations of one user that no correct service could have answered so.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The operation that has no place: all those before it can be put in an order, but not
    /// together with it.
    pub culprit: Operation,
    /// The last changes that were acknowledged before the window, for orientation.
    pub before: Vec<Operation>,
    /// The window: what contradicts it, in the order of their calls.
    pub operations: Vec<Operation>,
    /// Whether the window is a violation whatever the state was before it. Otherwise it starts at
    /// the beginning of the history.
    pub any_start: bool,
    /// How many more operations were taken into account that do not explain it either: those with
    /// unknown outcomes, and those of the window that may as well not have happened.
    pub others: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "user {}: no order of these operations explains the answers{}",
            self.culprit.user,
            if self.any_start {
                ", whatever was before them"
            } else {
                " since the user registered"
            }
        )?;
        if self.others > 0 {
            let count = self.others;
            writeln!(
                f,
                "({count} more, unknown or not needed, do not explain them either)"
            )?;
        }
        let left_out = self.operations.len().saturating_sub(PRINTED);
        if left_out > 0 {
            writeln!(f, "({left_out} more before these)")?;
        }
        writeln!(
            f,
            "{:>13} {:>13}  client  asked      operation",
            "called ms", "answered ms"
        )?;
        for operation in &self.operations[left_out..] {
            self.line(f, operation)?;
        }
        if !self.before.is_empty() {
            writeln!(f, "the last changes that were acknowledged before these:")?;
        }
        for operation in &self.before {
            self.line(f, operation)?;
        }
        Ok(())
    }
}

impl Violation {
    fn line(&self, f: &mut fmt::Formatter<'_>, operation: &Operation) -> fmt::Result {
        let asked = match operation.process {
            Some(process) => format!("process {process}"),
            None => "program".to_owned(),
        };
        let has_no_place = if *operation == self.culprit {
            "   <-- has no place"
        } else {
            ""
        };
        writeln!(
            f,
            "{:>13} {:>13}  {:<6}  {asked:<9}  {operation}{has_no_place}",
            milliseconds(operation.invoked),
            milliseconds(operation.returned),
            format!("c{}", operation.client),
        )
    }
}

fn milliseconds(nanoseconds: u64) -> String {
    let micro = nanoseconds / 1_000;
    format!("{}.{:03}", micro / 1_000, micro % 1_000)
}
