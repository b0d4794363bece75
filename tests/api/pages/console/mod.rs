//! The administration: as an administrator with a browser without JavaScript uses it.

mod access;
mod events;
mod mail;
mod overview;
mod search;
mod second_factor;
mod user;

use super::browser::Browser;
use crate::harness::{Person, TestApp};

/// What a whole administrator holds.
pub const ALL: &str = "users:read users:write events:read";

/// An administrator who may also grant `orders:read`, and a browser in which she is signed in.
pub fn administrator(app: &TestApp) -> (Person, Browser) {
    let admin = app.register_with("admin", &format!("{ALL} orders:read"));
    let browser = Browser::of(&admin);
    (admin, browser)
}

/// The id of a person.
pub fn id_of(app: &TestApp, person: &Person) -> i64 {
    let rows = app.database().texts(&format!(
        "SELECT CAST(id AS TEXT) AS text FROM users WHERE email = '{}'",
        person.email
    ));
    rows[0].parse().unwrap()
}
