//! Signatures of passkeys: asked for, and checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDateTime;
use secrecy::ExposeSecret;
use webauthn_rs_core::proto::PublicKeyCredential;

use super::ceremony::{LIFETIME, Question};
use super::relying_party::{Reason, read_answer};
use super::{PasskeyAnswer, PasskeyOptions, Signatory, Verdict, methods_of};
use crate::audit::{Action, AuditContext, Event, Events};
use crate::auth::Auth;
use crate::auth::factor_change::FactorChange;
use crate::auth::session::FactorMethods;
use crate::credential::token::{TokenDigest, generate_token};
use crate::error::Error;
use crate::store::{CeremonyPurpose, Passkey, PasskeyUse, User, UserHandles, Writing};

/// A right signature.
#[derive(Clone)]
pub(in crate::auth) struct Signed {
    passkey: Passkey,
    used: PasskeyUse,
}

impl Signatory<'_> {
    fn purpose(self) -> CeremonyPurpose {
        match self {
            Self::User { .. } => CeremonyPurpose::SecondFactor,
            Self::SignedIn { .. } => CeremonyPurpose::Renewal,
            Self::Anyone => CeremonyPurpose::SignIn,
        }
    }

    fn id(self) -> Option<i64> {
        match self {
            Self::User { id, .. } | Self::SignedIn { id, .. } => Some(id),
            Self::Anyone => None,
        }
    }

    fn bound_to(self) -> String {
        match self {
            Self::User { waiting, .. } => waiting.to_owned(),
            Self::SignedIn { session, .. } => format!("session {session}"),
            Self::Anyone => String::new(),
        }
    }

    /// Whether the authenticator has to verify the user, where passkeys may stand alone: nothing else may be
    /// shown beside them.
    fn requires_verification(self, stand_alone: bool) -> bool {
        match self {
            Self::User { .. } => false,
            Self::SignedIn { .. } => stand_alone,
            Self::Anyone => true,
        }
    }
}

impl Signed {
    /// The user who has signed.
    pub(in crate::auth) fn user_id(&self) -> i64 {
        self.passkey.user_id
    }

    /// How the user has authenticated.
    pub(in crate::auth) fn methods(&self) -> FactorMethods {
        methods_of(self.used.backup_eligible, self.used.user_verified)
    }

    /// The same with nothing else. The authenticator has verified the user, so it is more than one factor.
    pub(in crate::auth) fn alone(&self) -> &'static str {
        match self.used.backup_eligible {
            true => "swk user mfa",
            false => "hwk user mfa",
        }
    }

    /// Stores what the authenticator has said, and reports what is unusual about it. Returns whether the user
    /// still has the passkey.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(in crate::auth) fn record(
        &self,
        auth: &Auth,
        tx: &mut Writing<'_>,
        events: &mut Events,
        (by, user): (&AuditContext, &User),
        now: NaiveDateTime,
    ) -> Result<bool, Error> {
        let Self { passkey, used } = self;
        if !passkey.record_use(tx, *used, now)? {
            return Ok(false);
        }
        let counts = used.sign_count > 0 || passkey.sign_count > 0;
        if counts && used.sign_count <= passkey.sign_count {
            let event = Event::new(Action::PasskeyCounter).on_user(user.id);
            let event = event.with("factor", passkey.factor_id);
            let event = event.with("stored", passkey.sign_count);
            events.record(event.with("signed", used.sign_count));
            auth.tell_of_factor(tx, by, user, FactorChange::MaybeCopied)?;
        }
        if used.backup_eligible != passkey.backup_eligible || used.backed_up != passkey.backed_up {
            let event = Event::new(Action::PasskeyBackup).on_user(user.id);
            let event = event.with("factor", passkey.factor_id);
            events.record(event.with("backed_up", used.backed_up));
        }
        Ok(true)
    }
}

impl Auth {
    /// Asks a browser for a signature, by a user with passkeys or by anyone.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`]; [`Error::FactorNotFound`] for a user without a passkey; [`Error::Internal`] if the
    /// random generator fails; [`Error::Unavailable`].
    pub(in crate::auth) async fn ask_for_signature(
        &self,
        signatory: Signatory<'_>,
    ) -> Result<PasskeyOptions, Error> {
        let known = match signatory.id() {
            Some(id) => {
                let list = move |conn: &mut _| Passkey::list_of_user(conn, id);
                let known = self.0.store.read(list).await?;
                if known.is_empty() {
                    return Err(Error::FactorNotFound);
                }
                known
            }
            None => Vec::new(),
        };
        let party = self.relying_party()?;
        let is_verified = signatory.requires_verification(party.stands_alone());
        let (public_key, state) = party.ask_for_signature(&known, is_verified)?;
        let challenge_id = generate_token()?;
        let digest = challenge_id.digest().to_hex();
        let (auth, now) = (self.clone(), self.0.clock.now());
        let (purpose, user_id) = (signatory.purpose(), signatory.id());
        let bound_to = signatory.bound_to();
        let store = move |tx: &mut Writing<'_>| {
            let question = Question {
                purpose,
                user_id,
                bound_to: &bound_to,
                state: &state,
            };
            auth.store_ceremony(tx, &digest, &question, now)
        };
        self.0.store.writing(store).await?;
        Ok(PasskeyOptions {
            challenge_id,
            public_key,
            lifetime: LIFETIME,
        })
    }

    /// The handle of a user and the ids of the passkeys, as browsers are told of them; `None` for a user who has
    /// never begun to add one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    #[cfg(feature = "pages")]
    pub(crate) async fn accepted_passkeys(
        &self,
        user_id: i64,
    ) -> Result<Option<(String, Vec<String>)>, Error> {
        let find = move |conn: &mut _| {
            let handle = UserHandles::find(conn, user_id)?;
            let passkeys = Passkey::list_of_user(conn, user_id)?;
            let ids = passkeys.into_iter().map(|passkey| passkey.credential_id);
            Ok(handle.map(|handle| (handle, ids.collect())))
        };
        Ok(self.0.store.read(find).await?)
    }

    /// How many passkeys users have, and how many of them are made for another domain than that of the settings,
    /// so that nobody can use them.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`]; [`Error::Unavailable`].
    #[cfg(feature = "cli")]
    pub(crate) async fn count_orphaned_passkeys(&self) -> Result<(i64, i64), Error> {
        let rp_id = self.relying_party()?.rp_id().to_owned();
        let count = move |conn: &mut _| Passkey::count_of_other_domains(conn, &rp_id);
        Ok(self.0.store.read(count).await?)
    }

    /// Checks what a browser has signed. What it was asked counts for this once.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`]; [`Error::Unavailable`]: a database that does not answer says nothing about a
    /// passkey.
    pub(in crate::auth) async fn check_signature(
        &self,
        signatory: Signatory<'_>,
        answer: &PasskeyAnswer,
    ) -> Result<Verdict, Error> {
        let party = self.relying_party()?;
        let wrong = |reason| Verdict::Wrong {
            reason,
            user_id: signatory.id(),
            is_unknown: false,
        };
        let id = answer.challenge_id.expose_secret();
        let digest = TokenDigest::new(id.as_bytes()).to_hex();
        let taken = self.take_ceremony(&digest, signatory.purpose()).await?;
        let Some((user_id, bound_to, state)) = taken else {
            return Ok(wrong("challenge"));
        };
        if user_id != signatory.id() || bound_to != signatory.bound_to() {
            return Ok(wrong("challenge"));
        }
        let answer = match read_answer(answer.credential.expose_secret()) {
            Ok(answer) => answer,
            Err(reason) => return Ok(wrong(reason)),
        };
        let key = URL_SAFE_NO_PAD.encode(&answer.raw_id);
        let find = move |conn: &mut _| {
            let Some(passkey) = Passkey::find(conn, &key)? else {
                return Ok(None);
            };
            let handle = UserHandles::find(conn, passkey.user_id)?;
            Ok(Some((passkey, handle)))
        };
        let Some((passkey, handle)) = self.0.store.read(find).await? else {
            return Ok(Verdict::Wrong {
                reason: "unknown",
                user_id: signatory.id(),
                is_unknown: true,
            });
        };
        let checked = check_owner(signatory, &answer, &passkey, handle.as_deref())
            .and_then(|()| party.check_signature(&answer, &state, &passkey));
        Ok(match checked {
            Ok(used) => Verdict::Right(Signed { passkey, used }),
            Err(reason) => Verdict::Wrong {
                reason,
                user_id: Some(passkey.user_id),
                is_unknown: false,
            },
        })
    }
}

/// Checks that a passkey is that of the user who is asked (section 7.2.6 of `WebAuthn`).
fn check_owner(
    signatory: Signatory<'_>,
    answer: &PublicKeyCredential,
    passkey: &Passkey,
    handle: Option<&str>,
) -> Result<(), Reason> {
    if signatory.id().is_some_and(|id| id != passkey.user_id) {
        return Err("other-user");
    }
    let said = answer.response.user_handle.as_ref();
    let said = said.map(|handle| URL_SAFE_NO_PAD.encode(handle));
    // A key that is not discoverable need not know the user.
    if handle.is_none()
        || (said.as_deref() != handle && (said.is_some() || signatory.id().is_none()))
    {
        return Err("other-user");
    }
    Ok(())
}
