//! Users add authenticator apps, and get recovery codes.

use std::sync::Arc;

use chrono::NaiveDateTime;
use futures_util::future::try_join_all;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::{Enroller, check_level, is_pending, place_of};
use crate::audit::{Action, AuditContext, Event, Events};
use crate::auth::Auth;
use crate::auth::caller::lock_caller;
use crate::auth::factor_change::FactorChange;
use crate::auth::session::{session_name, with_second_factor};
use crate::auth::validation::Field;
use crate::credential::otpauth::{otpauth_uri, qr_svg};
use crate::credential::recovery_code::{RecoveryCode, SLOTS};
use crate::credential::totp::{OtpCode, Seed};
use crate::error::Error;
use crate::store::{
    Credential, Ends, Factor, FactorKind, Principal, RecoveryCodes, Revoking, Sessions,
    TrustedDevices, User, Writing,
};

/// The maximum number of factors of a user.
const MAX_FACTORS: usize = 10;

/// An authenticator app that its user has to confirm, with the seed, which is shown only now.
pub struct NewTotp {
    /// The id of the factor.
    pub id: i64,
    /// The seed, to type it in.
    pub secret: Zeroizing<String>,
    /// The URI, for the device that shows it.
    pub uri: Zeroizing<String>,
    /// The same as a QR code, in SVG.
    pub qr_svg: Zeroizing<String>,
}

/// A factor that counts from now on.
pub struct ConfirmedFactor {
    /// The factor.
    pub id: i64,
    /// The recovery codes, if it is the only one: they are shown only now.
    pub recovery_codes: Option<Vec<RecoveryCode>>,
}

/// A factor that its user has just confirmed.
pub(super) struct NewFactor {
    pub(super) id: i64,
    pub(super) kind: FactorKind,
    /// How the user has authenticated with it now (RFC 8176 section 2).
    pub(super) methods: &'static [&'static str],
    /// The hashes of the recovery codes, if it is the first factor.
    pub(super) hashes: Vec<String>,
    /// Whether the other sessions of the user end.
    pub(super) ends_others: bool,
}

impl NewFactor {
    /// Does in the transaction of the confirmation what follows from it: from now on, the session or the sign-in
    /// of the caller has shown a second factor.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) fn count(
        self,
        auth: &Auth,
        tx: &mut Revoking<'_>,
        events: &mut Events,
        (by, caller, user): (&AuditContext, &Enroller, &User),
        now: NaiveDateTime,
    ) -> Result<(), Error> {
        if !self.hashes.is_empty() {
            RecoveryCodes::replace(tx, user.id, &self.hashes, now)?;
        }
        TrustedDevices::end_of_user(tx, user.id)?;
        match caller {
            Enroller::SignedIn(principal) => {
                if let Credential::LoginToken(token) = &principal.credential {
                    let amr = with_second_factor(&token.session.amr, self.methods);
                    Sessions::set_amr(tx, user.id, token.session.id, &amr)?;
                    if self.ends_others {
                        Sessions::end_others(tx, user.id, token.session.id)?;
                    }
                }
            }
            Enroller::Pending(pending) => {
                pending.pass(tx, now)?;
                if self.ends_others {
                    Sessions::end_of_user(tx, user.id)?;
                }
            }
        }
        auth.0.throttle.clear_factor_tries(tx, user.id)?;
        let event = Event::new(Action::FactorAdd).on_user(user.id);
        events.record(event.with("factor", self.id).with("kind", self.kind.name()));
        auth.tell_of_factor(tx, by, user, FactorChange::Added)
    }
}

/// Checks in the transaction that a user with these factors may add one, and forgets those that were not
/// confirmed in time.
///
/// # Errors
/// [`Error::TooManyFactors`]; [`Error::Unavailable`].
pub(super) fn make_room(
    tx: &mut Writing<'_>,
    user_id: i64,
    factors: &[Factor],
    now: NaiveDateTime,
) -> Result<(), Error> {
    let is_kept = |factor: &&Factor| factor.is_confirmed() || is_pending(factor, now);
    for old in factors.iter().filter(|factor| !is_kept(factor)) {
        Factor::delete(tx, user_id, old.id)?;
    }
    match factors.iter().filter(is_kept).count() >= MAX_FACTORS {
        true => Err(Error::TooManyFactors),
        false => Ok(()),
    }
}

impl Auth {
    /// Begins to add an authenticator app. It counts once it is confirmed, and is forgotten otherwise. A user
    /// whose sign-in waits has just entered the password, and need not send it.
    ///
    /// # Errors
    /// [`Error::FactorsOff`]; [`Error::InvalidInput`]; [`Error::TooManyFactors`];
    /// [`Error::SecondFactorRequired`] if the user has another factor that the session has not shown;
    /// [`Error::BadMfaToken`] if the sign-in that waits has ended meanwhile; otherwise the same as [`Auth::create_key`].
    pub async fn begin_totp(
        &self,
        context: &AuditContext,
        enroller: &Enroller,
        name: Field<Option<String>>,
        current_password: Option<SecretString>,
    ) -> Result<NewTotp, Error> {
        let key = self.sealing_keys()?.current().clone();
        let name = session_name(&name?.unwrap_or_default());
        let name = match name.is_empty() {
            true => "Authenticator app".to_owned(),
            false => name,
        };
        let proven = self
            .prove_enroller(context, enroller, current_password)
            .await?;
        let (seed, now) = (Seed::generate()?, self.0.clock.now());
        let (stored_seed, caller) = (seed.clone(), enroller.clone());
        let attempt = proven.attempt();
        let stored = self.add(context, move |tx, _events| {
            let (owner, factors) = caller.lock(tx, now)?;
            proven.confirm_in(tx, now)?;
            make_room(tx, owner.id, &factors, now)?;
            let id = Factor::insert(tx, owner.id, FactorKind::Totp, &name, now)?;
            let sealed = key.seal(&place_of(id), stored_seed.as_bytes())?;
            Factor::set_secret(tx, id, &sealed, key.id())?;
            Ok(id)
        });
        let id = self.decide_proof(attempt, stored.await).await?;
        self.new_totp(&enroller.user().email, id, &seed)
            .ok_or(Error::Internal)
    }

    /// Shows an app to confirm again, after a wrong code: with the seed that the browser has sent back, so that
    /// it appears only where it was seen before. `None` for a text that is no seed.
    #[cfg(feature = "pages")]
    pub(crate) fn show_totp_again(&self, email: &str, id: i64, secret: &str) -> Option<NewTotp> {
        self.new_totp(email, id, &Seed::from_base32(secret)?)
    }

    fn new_totp(&self, email: &str, id: i64, seed: &Seed) -> Option<NewTotp> {
        let uri = otpauth_uri(&self.0.config.factors.issuer, email, seed);
        Some(NewTotp {
            id,
            secret: seed.to_base32(),
            qr_svg: Zeroizing::new(qr_svg(&uri)?),
            uri: Zeroizing::new(uri),
        })
    }

    /// Confirms an authenticator app with its current code, which counts only here. From now on sign-ins ask
    /// for it, and the session of the principal has shown it; a sign-in that waits for it can be finished
    /// ([`Auth::finish_enrolment`]). With `ends_others`, the other sessions end.
    ///
    /// # Errors
    /// [`Error::FactorNotFound`] for one that does not wait; [`Error::WrongCode`];
    /// [`Error::SecondFactorRequired`] and [`Error::BadMfaToken`] as in [`Auth::begin_totp`]; [`Error::InvalidToken`] when the
    /// credential has become invalid in the meantime; [`Error::TooManyAttempts`]; [`Error::Busy`] and
    /// [`Error::Unavailable`].
    pub async fn confirm_totp(
        &self,
        context: &AuditContext,
        enroller: &Enroller,
        id: i64,
        code: &OtpCode,
        ends_others: bool,
    ) -> Result<ConfirmedFactor, Error> {
        self.sealing_keys()?;
        self.0.throttle.check_changes(context)?;
        let (user_id, now) = (enroller.user().id, self.0.clock.now());
        let list = move |conn: &mut _| Factor::list_of_user(conn, user_id);
        let factors = self.0.store.read(list).await?;
        let is_this =
            |factor: &&Factor| factor.id == id && factor.is_app() && is_pending(factor, now);
        let factor = factors.iter().find(is_this).ok_or(Error::FactorNotFound)?;
        let seed = self.open_seed(factor).ok_or(Error::FactorsOff)?;
        let Some(step) = seed.find_step(code, self.0.clock.machine_time()) else {
            let event = Event::refused(Action::FactorAdd).on_user(user_id);
            let event = event.with("reason", "wrong-code");
            self.0.audit.record_denial(context, event).await?;
            return Err(Error::WrongCode { tries_left: None });
        };
        let is_first = !factors.iter().any(Factor::is_confirmed);
        let (codes, hashes) = self.first_recovery_codes(context, is_first).await?;
        let new = NewFactor {
            id,
            kind: FactorKind::Totp,
            methods: &["otp"],
            hashes,
            ends_others,
        };
        let (auth, caller) = (self.clone(), enroller.clone());
        let by = context.clone();
        let ends = Ends::Users(vec![user_id]);
        let confirmed = self.change(context, ends, move |tx, events| {
            let (user, _factors) = caller.lock(tx, now)?;
            if !Factor::confirm(tx, user.id, id, step, now)? {
                return Err(Error::FactorNotFound);
            }
            new.count(&auth, tx, events, (&by, &caller, &user), now)
        });
        confirmed.await?;
        Ok(ConfirmedFactor {
            id,
            recovery_codes: is_first.then_some(codes),
        })
    }

    /// Makes new recovery codes for the principal's user. Those from before count no more.
    ///
    /// # Errors
    /// [`Error::FactorNotFound`] for a user without a second factor; otherwise the same as
    /// [`Auth::begin_totp`].
    pub async fn replace_recovery_codes(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        current_password: Option<SecretString>,
    ) -> Result<Vec<RecoveryCode>, Error> {
        let action = Action::RecoveryCodes;
        let proven = self
            .prove_owner(context, principal, current_password, action)
            .await?;
        let attempt = proven.attempt();
        let made = match self.new_recovery_codes(context).await {
            Ok((codes, hashes)) => {
                let (auth, caller) = (self.clone(), Arc::clone(principal));
                let now = self.0.clock.now();
                let by = context.clone();
                let stored = self.add(context, move |tx, events| {
                    let user = lock_caller(tx, &caller, now)?;
                    proven.confirm_in(tx, now)?;
                    let factors = check_level(tx, &caller)?;
                    if !factors.iter().any(Factor::is_confirmed) {
                        return Err(Error::FactorNotFound);
                    }
                    RecoveryCodes::replace(tx, user.id, &hashes, now)?;
                    events.record(Event::new(action).on_user(user.id));
                    auth.tell_of_factor(tx, &by, &user, FactorChange::NewCodes)?;
                    Ok(())
                });
                stored.await.map(|()| codes)
            }
            Err(error) => Err(error),
        };
        self.decide_proof(attempt, made).await
    }

    /// Recovery codes for a user who has no factor until now, with the hashes to store; otherwise none.
    ///
    /// # Errors
    /// [`Error::Busy`]; [`Error::Internal`] if the random generator fails.
    pub(super) async fn first_recovery_codes(
        &self,
        context: &AuditContext,
        is_first: bool,
    ) -> Result<(Vec<RecoveryCode>, Vec<String>), Error> {
        match is_first {
            true => self.new_recovery_codes(context).await,
            false => Ok((Vec::new(), Vec::new())),
        }
    }

    /// A code for each slot, with the hashes to store.
    async fn new_recovery_codes(
        &self,
        context: &AuditContext,
    ) -> Result<(Vec<RecoveryCode>, Vec<String>), Error> {
        let codes: Vec<RecoveryCode> = (0..SLOTS)
            .map(RecoveryCode::generate)
            .collect::<Result<_, _>>()?;
        let secrets: Vec<SecretString> = codes.iter().map(RecoveryCode::secret).collect();
        let hash = secrets
            .iter()
            .map(|secret| self.hash_password(context, secret));
        let hashes = try_join_all(hash).await?;
        Ok((codes, hashes))
    }
}
