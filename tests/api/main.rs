//! The service from outside: requests in, answers out, on both databases.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail the test, and clippy takes only the tests themselves for tests"
)]

mod audit;
mod bad_input;
mod conformance;
mod envelope;
mod foreign_app;
mod guards;
mod harness;
mod history;
mod introspection_clients;
mod operator;
mod outage;
mod proxies;
mod query_plans;
mod races;
mod register;
mod remote_app;
mod session_cache;
mod settings;
mod sign_in;
mod throttle;
