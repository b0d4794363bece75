//! The service from outside: requests in, answers out, on both databases.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test, and clippy takes only the tests themselves for tests"
)]

mod conformance;
mod harness;
