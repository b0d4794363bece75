//! What `tests/` and `reliability/` share: processes that are cleaned up even when the test process
//! is killed, a Postgres server, Tokenhouse processes, an HTTP client and test users.

pub mod account;
pub mod client;
pub mod guardian;
pub mod packages;
pub mod postgres;
pub mod response;
pub mod server;
pub mod user;

pub use account::{Account, is_root};
pub use client::{Client, Connection, Request};
pub use guardian::{Guardian, ScratchDir, database_folder, free_port, scratch_folder};
pub use postgres::PostgresServer;
pub use response::Response;
pub use server::{Program, Server};
pub use user::{Key, Person, TestUser};
