//! What a browser is asked, until it answers: sealed in the database, for five minutes and one answer.

use chrono::{NaiveDateTime, TimeDelta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::auth::Auth;
use crate::credential::sealed::SealingKeys;
use crate::credential::token::TokenDigest;
use crate::error::Error;
use crate::store::{Ceremony, CeremonyPurpose, Writing};

/// How long a browser may take.
pub(in crate::auth) const LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed<S> {
    /// What the answer must belong to, besides: the digest of the token of a sign-in that waits; empty if
    /// nothing.
    bound_to: String,
    state: S,
}

/// What to ask, and of whom.
pub(in crate::auth) struct Question<'a, S> {
    pub(in crate::auth) purpose: CeremonyPurpose,
    pub(in crate::auth) user_id: Option<i64>,
    pub(in crate::auth) bound_to: &'a str,
    pub(in crate::auth) state: &'a S,
}

impl Auth {
    /// Stores what a browser is asked, under a digest.
    ///
    /// # Errors
    /// [`Error::FactorsOff`] without a key to seal it; [`Error::Internal`] if the random generator fails;
    /// [`Error::Unavailable`].
    pub(in crate::auth) fn store_ceremony<S: Serialize>(
        &self,
        tx: &mut Writing<'_>,
        digest: &str,
        question: &Question<'_, S>,
        now: NaiveDateTime,
    ) -> Result<(), Error> {
        let sealed = Sealed {
            bound_to: question.bound_to.to_owned(),
            state: question.state,
        };
        let plain = serde_json::to_vec(&sealed).map_err(|_error| Error::Internal)?;
        let key = self.ceremony_keys()?.current();
        let ceremony = Ceremony {
            user_id: question.user_id,
            state: format!("{}.{}", key.id(), key.seal(&place_of(digest), &plain)?),
        };
        Ok(ceremony.insert(tx, digest, question.purpose, (now, now + LIFETIME))?)
    }

    /// Ends a ceremony, and returns what was asked, of whom, and what the answer is bound to. `None` if it is
    /// unknown, answered or too old.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(in crate::auth) async fn take_ceremony<S: DeserializeOwned>(
        &self,
        digest: &str,
        purpose: CeremonyPurpose,
    ) -> Result<Option<(Option<i64>, String, S)>, Error> {
        let (owned, now) = (digest.to_owned(), self.0.clock.now());
        let take =
            move |tx: &mut Writing<'_>| Ok::<_, Error>(Ceremony::take(tx, &owned, purpose, now)?);
        let Some(Ceremony { user_id, state }) = self.0.store.writing(take).await? else {
            return Ok(None);
        };
        let keys = self.ceremony_keys()?;
        let opened = state
            .split_once('.')
            .and_then(|(key_id, sealed)| keys.open(key_id, &place_of(digest), sealed));
        let sealed: Option<Sealed<S>> =
            opened.and_then(|plain| serde_json::from_slice(&plain).ok());
        Ok(sealed.map(|sealed| (user_id, sealed.bound_to, sealed.state)))
    }

    fn ceremony_keys(&self) -> Result<&SealingKeys, Error> {
        let keys = self.0.config.factors.keys.as_ref();
        keys.ok_or(Error::FactorsOff)
    }
}

/// Under what the ceremony of a new passkey is stored: its browser names only the factor.
pub(in crate::auth) fn digest_of_factor(id: i64) -> String {
    TokenDigest::new(format!("passkey of factor {id}").as_bytes()).to_hex()
}

fn place_of(digest: &str) -> String {
    format!("ceremony {digest}")
}
