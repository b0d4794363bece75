//! The checker's own tests.
#![expect(clippy::panic, reason = "test code")]

mod brute_force;
mod by_hand;
mod shorthand;
mod simulated;
mod simulation;
