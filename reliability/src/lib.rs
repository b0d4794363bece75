//! Makes histories of real Tokenhouse processes under faults, and checks that every answer in them
//! fits one order of the operations: that they are linearizable.
//!
//! [`driver::Run`] starts processes on one database, lets clients use them while a nemesis kills
//! and pauses them, and returns a [`history::History`]. [`checker::check`] judges it.

mod bitset;
mod board;
pub mod checker;
mod client;
mod cluster;
pub mod crashes;
mod desk;
mod disk;
pub mod driver;
pub mod durability;
mod explain;
pub mod faults;
mod frontier;
mod guardian;
pub mod history;
pub mod hostile;
mod items;
mod links;
mod model;
mod nemesis;
mod operator;
pub mod postgres;
pub mod races;
mod search;
mod server;
pub mod violation;
mod worker;

pub use guardian::Scratch;
