//! The service from outside: requests in, answers out, on both databases.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail the test, and clippy takes only the tests themselves for tests"
)]

mod account;
mod admin_search;
mod admin_users;
mod altered;
mod api_keys;
mod audit;
mod backup;
mod bad_bodies;
mod bad_input;
mod canaries;
mod change_limits;
mod conformance;
mod contention;
mod delegation;
mod durability;
mod env_file;
mod envelope;
mod files;
mod foreign_app;
mod foreign_hashes;
mod forward_auth;
mod guards;
mod harness;
mod history;
mod hostile;
mod import;
mod introspection;
mod introspection_clients;
mod intruder;
mod key_uses;
mod lockout;
mod lost_updates;
mod matrix;
mod metadata;
mod metrics;
mod model;
mod operator;
mod outage;
mod padding;
mod panics;
mod principal_cache;
mod proxies;
mod query_plans;
mod races;
mod redirects;
mod register;
mod remote_app;
mod restore;
mod revocation;
mod rolling;
mod schema_check;
mod scopes;
mod settings;
mod sign_in;
mod smuggling;
mod static_key_guesses;
mod stopping;
mod terminal;
mod throttle;
mod transactions;
mod transport;
mod upkeep;
