//! The pages for browsers: over HTTP as a browser without JavaScript uses them.

pub mod browser;
mod console;
mod events;
mod factors;
mod guarded;
mod keys;
mod matrix;
mod password;
mod profile;
mod sessions;
mod sign_in;
mod sign_up;
mod site;
