//! The Postgres server of this test process.

use std::sync::OnceLock;

use test_support::PostgresServer;

/// The server, started on first use. It ends with the process.
///
/// # Panics
/// When it cannot start: tests on Postgres then fail, they are never skipped.
pub fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
    match SERVER.get_or_init(PostgresServer::start) {
        Ok(server) => server,
        Err(problem) => panic!("no Postgres to test on: {problem}"),
    }
}
