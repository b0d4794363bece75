//! The pages for browsers: over HTTP as a browser without JavaScript uses them.

pub mod browser;
mod matrix;
mod profile;
mod sessions;
mod sign_in;
mod site;
