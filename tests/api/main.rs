//! Tests of the service over HTTP and on the command line, on both databases.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail the test, and clippy takes only the tests themselves for tests"
)]

mod account;
mod admin_search;
mod admin_users;
mod api_keys;
mod apps;
mod audit;
mod backup_and_upgrade;
mod bad_input;
mod cli;
mod conformance;
mod credentials;
mod database_files;
mod delegation;
mod dev;
mod doctor;
mod env_file;
mod envelope;
mod factors;
mod foreign_database;
mod foreign_hashes;
mod forward_auth;
mod groups;
mod guards;
mod harness;
mod import;
mod introspection;
mod intruder;
mod logs;
mod lost_updates;
mod mail;
mod matrix;
mod metrics;
mod model;
mod mutated_credentials;
mod output;
mod pages;
mod passkeys;
mod postgres_server;
mod principal_cache;
mod profiles;
mod program;
mod proxies;
mod public_urls;
mod refresh;
mod remote_app;
mod resilience;
mod restore;
mod rolling;
mod schema;
mod secret_leaks;
mod sessions;
mod sign_in;
mod smuggling;
mod terminal;
mod throttle;
mod transactions;
mod user_update;
mod whole_app;
