//! What a browser is asked to sign with a passkey, until it does: rows of the table of challenges.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::Writing;
use super::limits::check_texts;
use super::schema::challenges;

/// What the signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CeremonyPurpose {
    /// A user adds a passkey.
    Registration,
    /// The second factor of a sign-in.
    SecondFactor,
    /// A signed-in user authenticates again.
    Renewal,
    /// A sign-in without a password.
    SignIn,
}

impl CeremonyPurpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Registration => "passkey-new",
            Self::SecondFactor => "passkey-second",
            Self::Renewal => "passkey-renewal",
            Self::SignIn => "passkey-first",
        }
    }
}

/// A ceremony that waits for the browser.
pub(crate) struct Ceremony {
    /// `None` if the passkey tells the user.
    pub(crate) user_id: Option<i64>,
    /// Sealed.
    pub(crate) state: String,
}

impl Ceremony {
    /// Stores a ceremony that waits until `expires_at`, under a digest.
    pub(crate) fn insert(
        &self,
        tx: &mut Writing<'_>,
        digest: &str,
        purpose: CeremonyPurpose,
        (now, expires_at): (NaiveDateTime, NaiveDateTime),
    ) -> QueryResult<()> {
        check_texts([digest, &self.state])?;
        diesel::insert_into(challenges::table)
            .values((
                challenges::digest.eq(digest),
                challenges::user_id.eq(self.user_id),
                challenges::purpose.eq(purpose.name()),
                challenges::state.eq(&self.state),
                challenges::tries.eq(0),
                challenges::created_at.eq(now),
                challenges::expires_at.eq(expires_at),
            ))
            .execute(tx.conn())
            .map(drop)
    }

    /// Ends a ceremony, and returns it if it has not expired. Of several concurrent calls, one gets it.
    pub(crate) fn take(
        tx: &mut Writing<'_>,
        digest: &str,
        purpose: CeremonyPurpose,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let this = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq(purpose.name()));
        let taken: Option<(Option<i64>, String, NaiveDateTime)> = diesel::delete(this)
            .returning((
                challenges::user_id,
                challenges::state,
                challenges::expires_at,
            ))
            .get_result(tx.conn())
            .optional()?;
        let live = taken.filter(|(_, _, expires_at)| *expires_at > now);
        Ok(live.map(|(user_id, state, _)| Self { user_id, state }))
    }
}
