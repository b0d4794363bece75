//! Users add passkeys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};

use super::enrolment::{NewFactor, make_room};
use super::{ConfirmedFactor, Enroller, is_pending};
use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::auth::passkeys::{
    LIFETIME, NewPasskey, Question, digest_of_factor, methods_of, name_of,
};
use crate::auth::session::session_name;
use crate::auth::validation::Field;
use crate::credential::token::NoRandomness;
use crate::error::Error;
use crate::store::{CeremonyPurpose, Ends, Factor, FactorKind, Passkey, UserHandles};

/// The bytes by which an authenticator knows a user (section 14.6.1 of `WebAuthn`): the most that it stores.
const HANDLE_BYTES: usize = 64;

/// What a passkey is called whose user and model have no name for it.
const DEFAULT_NAME: &str = "Passkey";

impl Auth {
    /// Begins to add a passkey. It counts once it is confirmed, and is forgotten
    /// otherwise.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`]; otherwise the same as [`Auth::begin_totp`].
    pub async fn begin_passkey(
        &self,
        context: &AuditContext,
        enroller: &Enroller,
        name: Field<Option<String>>,
        current_password: Option<SecretString>,
    ) -> Result<NewPasskey, Error> {
        self.require_passkeys()?;
        let name = session_name(&name?.unwrap_or_default());
        let proven = self
            .prove_enroller(context, enroller, current_password)
            .await?;
        let new_handle = new_handle()?;
        let (auth, now) = (self.clone(), self.0.clock.now());
        let caller = enroller.clone();
        let attempt = proven.attempt();
        let stored = self.add(context, move |tx, _events| {
            let (owner, factors) = caller.lock(tx, now)?;
            proven.confirm_in(tx, now)?;
            make_room(tx, owner.id, &factors, now)?;
            let handle = UserHandles::get_or_insert(tx, owner.id, new_handle)?;
            let handle = URL_SAFE_NO_PAD.decode(handle);
            let handle = handle.map_err(|_error| Error::Internal)?;
            let known = Passkey::list_of_user(tx, owner.id)?;
            let party = auth.relying_party()?;
            let (public_key, state) = party.ask_for_key(&owner, &handle, &known)?;
            let id = Factor::insert(tx, owner.id, FactorKind::WebAuthn, &name, now)?;
            let question = Question {
                purpose: CeremonyPurpose::Registration,
                user_id: Some(owner.id),
                bound_to: "",
                state: &state,
            };
            auth.store_ceremony(tx, &digest_of_factor(id), &question, now)?;
            Ok(NewPasskey {
                id,
                public_key,
                lifetime: LIFETIME,
            })
        });
        self.decide_proof(attempt, stored.await).await
    }

    /// Confirms a passkey with what the browser has made. From now on sign-ins ask for it, and the session of
    /// the principal has shown it. With `ends_others`, the other sessions end.
    ///
    /// # Errors
    /// [`Error::FactorNotFound`] for one that does not wait; [`Error::BadPasskey`]: then it must be begun
    /// again; otherwise the same as [`Auth::confirm_totp`].
    pub async fn confirm_passkey(
        &self,
        context: &AuditContext,
        enroller: &Enroller,
        id: i64,
        credential: &SecretString,
        ends_others: bool,
    ) -> Result<ConfirmedFactor, Error> {
        let party = self.relying_party()?;
        self.0.throttle.check_changes(context)?;
        let (user_id, now) = (enroller.user().id, self.0.clock.now());
        let list = move |conn: &mut _| Factor::list_of_user(conn, user_id);
        let factors = self.0.store.read(list).await?;
        let is_this =
            |factor: &&Factor| factor.id == id && !factor.is_app() && is_pending(factor, now);
        let factor = factors.iter().find(is_this).ok_or(Error::FactorNotFound)?;
        let digest = digest_of_factor(id);
        let taken = self
            .take_ceremony(&digest, CeremonyPurpose::Registration)
            .await?;
        let checked = match taken {
            Some((owner, _, state)) if owner == Some(user_id) => {
                party.check_key(credential.expose_secret(), &state)
            }
            _ => Err("challenge"),
        };
        let key = match checked {
            Ok(key) => key,
            Err(reason) => return Err(self.refuse_key(context, user_id, reason).await?),
        };
        let name = Some(name_of(&key.aaguid).unwrap_or(DEFAULT_NAME));
        let name = name.filter(|_| factor.name.is_empty());
        let methods = methods_of(key.used.backup_eligible, key.used.user_verified);
        let passkey = Passkey {
            factor_id: id,
            user_id,
            credential_id: key.credential_id,
            credential: key.credential,
            rp_id: party.rp_id().to_owned(),
            aaguid: key.aaguid,
            sign_count: key.used.sign_count,
            backup_eligible: key.used.backup_eligible,
            backed_up: key.used.backed_up,
        };
        let is_first = !factors.iter().any(Factor::is_confirmed);
        let (codes, hashes) = self.first_recovery_codes(context, is_first).await?;
        let new = NewFactor {
            id,
            kind: FactorKind::WebAuthn,
            methods: methods.own,
            hashes,
            ends_others,
        };
        let (auth, caller) = (self.clone(), enroller.clone());
        let by = context.clone();
        let ends = Ends::Users(vec![user_id]);
        let confirmed = self.change(context, ends, move |tx, events| {
            let (user, _factors) = caller.lock(tx, now)?;
            if Passkey::find(tx, &passkey.credential_id)?.is_some() {
                return Err(Error::BadPasskey { is_unknown: false });
            }
            if !passkey.confirm(tx, name, now)? {
                return Err(Error::FactorNotFound);
            }
            new.count(&auth, tx, events, (&by, &caller, &user), now)
        });
        match confirmed.await {
            Err(Error::BadPasskey { .. }) => {
                return Err(self.refuse_key(context, user_id, "known").await?);
            }
            confirmed => confirmed?,
        }
        Ok(ConfirmedFactor {
            id,
            recovery_codes: is_first.then_some(codes),
        })
    }

    /// Records that a new key was refused. Returns the error for the client.
    async fn refuse_key(
        &self,
        context: &AuditContext,
        user_id: i64,
        reason: &'static str,
    ) -> Result<Error, Error> {
        log::warn!("user {user_id}: a new passkey is refused: {reason}");
        let event = Event::refused(Action::FactorAdd).on_user(user_id);
        let event = event.with("reason", reason).with("kind", "webauthn");
        self.0.audit.record_denial(context, event).await?;
        Ok(Error::BadPasskey { is_unknown: false })
    }
}

fn new_handle() -> Result<String, NoRandomness> {
    let mut bytes = [0; HANDLE_BYTES];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_error| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
