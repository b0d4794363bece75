//! What a guarded host requires of a sign-in, as parameters: those of `/verify`, which the way to the sign-in page
//! keeps.

#[cfg(feature = "pages")]
use crate::auth::{MULTI_FACTOR, StepUp};

/// The parameter with how the user has signed in (RFC 9470).
pub(super) const ACR: &str = "acr";

/// The parameter with how many seconds ago the user has signed in at most.
pub(super) const MAX_AGE: &str = "max_age";

/// The parameters that say this.
#[cfg(feature = "pages")]
pub(super) fn parameters(required: StepUp) -> impl Iterator<Item = (&'static str, String)> {
    let acr = required
        .second_factor
        .then(|| (ACR, MULTI_FACTOR.to_owned()));
    let max_age = required
        .max_age
        .map(|seconds| (MAX_AGE, seconds.to_string()));
    acr.into_iter().chain(max_age)
}

/// What the parameters of our own pages say. A user who alters them is asked for less here, and not admitted there.
#[cfg(feature = "pages")]
pub(super) fn required(acr: Option<&str>, max_age: Option<&str>) -> StepUp {
    StepUp {
        second_factor: acr == Some(MULTI_FACTOR),
        max_age: max_age.and_then(|seconds| seconds.parse().ok()),
    }
}
