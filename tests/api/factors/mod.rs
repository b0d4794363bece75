//! Second factors: authenticator apps, recovery codes, and sign-ins that ask for them.

pub mod app;
mod clock;
mod devices;
mod enrolment;
mod guessing;
mod naming;
mod notices;
mod oathtool;
mod processes;
mod recovery;
mod renewal;
mod required;
mod sign_in;
mod step_up;
