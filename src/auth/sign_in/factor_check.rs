//! Checks the code of a sign-in: counted before it is compared, and used up once it is right.

use crate::audit::{Action, AuditContext, Event, Events};
use crate::auth::Auth;
use crate::auth::factor_change::FactorChange;
use crate::auth::passkeys::{PasskeyAnswer, Signatory, Signed, Verdict};
use crate::auth::session::FactorMethods;
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::{OtpCode, TOLERANCE_SECONDS, last_step_at};
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::password::StoredHash;
use crate::store::{
    Account, Challenge, Factor, NewTrustedDevice, RecoveryCodes, TrustedDevices, Writing,
};

/// What a user shows besides the password.
#[derive(Clone, Debug)]
pub enum FactorInput {
    /// That of an authenticator app.
    Otp(OtpCode),
    /// A recovery code.
    RecoveryCode(RecoveryCode),
    /// What a browser has signed with a passkey.
    Passkey(PasskeyAnswer),
}

impl FactorInput {
    /// The code in a field that takes both kinds; `None` for a text that is neither.
    pub fn parse(typed: &str) -> Option<Self> {
        let otp = OtpCode::parse(typed).map(Self::Otp);
        otp.or_else(|| RecoveryCode::parse(typed).map(Self::RecoveryCode))
    }
}

/// A right code or signature, and what is used up with it.
enum Right {
    Step { factor: i64, step: i64 },
    RecoveryCode { slot: u8, hash: StoredHash },
    Passkey(Signed),
}

impl Right {
    /// How the user has authenticated.
    fn methods(&self) -> FactorMethods {
        match self {
            Self::Step { .. } | Self::RecoveryCode { .. } => FactorMethods::CODE,
            Self::Passkey(signed) => signed.methods(),
        }
    }
}

/// What a user shows a factor for.
pub(in crate::auth) enum ShownFor {
    /// A sign-in, together with the password.
    SignIn,
    /// A sign-in that has waited for it, and ends.
    Waiting(Waiting),
    /// The session with this id, which goes on.
    Session(i64),
}

impl ShownFor {
    fn action(&self) -> Action {
        match self {
            Self::SignIn | Self::Waiting(_) => Action::Login,
            Self::Session(_) => Action::SessionRenew,
        }
    }

    /// The user who was asked to sign with a passkey; `None` at a sign-in that has not waited.
    fn signatory(&self, id: i64) -> Option<Signatory<'_>> {
        match self {
            Self::SignIn => None,
            Self::Waiting(Waiting { digest, .. }) => Some(Signatory::User {
                id,
                waiting: digest,
            }),
            Self::Session(session) => Some(Signatory::SignedIn {
                id,
                session: *session,
            }),
        }
    }

    fn waiting(self) -> Option<Waiting> {
        match self {
            Self::Waiting(waiting) => Some(waiting),
            Self::SignIn | Self::Session(_) => None,
        }
    }
}

/// The sign-in that a code is for.
#[derive(Clone)]
pub(in crate::auth) struct Waiting {
    /// The digest of its token.
    pub(super) digest: String,
    /// How many codes it takes after this one.
    pub(super) tries_left: i64,
    /// The device that the user wants to have trusted.
    pub(super) device: Option<NewTrustedDevice>,
}

impl Auth {
    /// Checks the code or signature of a user whose password was verified or who is signed in, and uses it up: it
    /// counts once, whatever is done at the same time. Returns how the user has authenticated.
    ///
    /// # Errors
    /// [`Error::WrongCode`], also for a code that was used; [`Error::TooManyAttempts`];
    /// [`Error::BadMfaToken`] if the sign-in has ended, or the password was changed in the meantime;
    /// [`Error::Busy`] and [`Error::Unavailable`].
    pub(in crate::auth) async fn pass_factor(
        &self,
        context: &AuditContext,
        account: &Account,
        input: &FactorInput,
        shown_for: ShownFor,
    ) -> Result<FactorMethods, Error> {
        let user_id = account.user.id;
        let taken = self.0.throttle.take_factor_try(context, user_id).await;
        let compared = match taken {
            Ok(()) => {
                let signatory = shown_for.signatory(user_id);
                self.compare(context, user_id, input, signatory).await
            }
            Err(error) => Err(error),
        };
        let action = shown_for.action();
        let waiting = shown_for.waiting();
        let right = match compared {
            Ok(right) => right,
            Err(error) => {
                if let Some(Waiting { digest, .. }) = waiting {
                    let back = move |tx: &mut Writing<'_>| {
                        Ok::<_, Error>(Challenge::return_try(tx, &digest)?)
                    };
                    self.0.store.writing(back).await?;
                }
                return Err(error);
            }
        };
        let tries_left = waiting.as_ref().map(|waiting| waiting.tries_left);
        let passed = match right {
            Some(right) => {
                let methods = right.methods();
                let used = self.use_up(context, account, right, waiting).await;
                used.map(|()| methods)
            }
            None => Err(Error::WrongCode { tries_left }),
        };
        if let Err(Error::WrongCode { .. }) = passed {
            self.refuse_code(context, user_id, input, action).await?;
            return Err(Error::WrongCode { tries_left });
        }
        passed
    }

    /// What a code is right for; `None` if for nothing. Apps go by the time of the day, and so does this: the time
    /// of the service may be ahead of it for a while, after the clock was.
    async fn compare(
        &self,
        context: &AuditContext,
        user_id: i64,
        input: &FactorInput,
        signatory: Option<Signatory<'_>>,
    ) -> Result<Option<Right>, Error> {
        match input {
            FactorInput::Otp(code) => {
                let now = self.0.clock.machine_time();
                let factors = self.confirmed_factors(user_id).await?;
                Ok(factors.iter().find_map(|factor| {
                    let step = self.open_seed(factor)?.find_step(code, now)?;
                    Some(Right::Step {
                        factor: factor.id,
                        step,
                    })
                }))
            }
            FactorInput::RecoveryCode(code) => {
                let slot = code.slot();
                let find = move |conn: &mut _| RecoveryCodes::find(conn, user_id, slot);
                let hash = self.0.store.read(find).await?;
                let secret = code.secret();
                let matches = self
                    .0
                    .hasher
                    .verify(context.network(), &secret, hash.as_ref());
                let matches = matches.await?;
                let hash = hash.filter(|_| matches);
                Ok(hash.map(|hash| Right::RecoveryCode { slot, hash }))
            }
            FactorInput::Passkey(answer) => {
                let Some(signatory) = signatory else {
                    return Ok(None);
                };
                match self.check_signature(signatory, answer).await? {
                    Verdict::Right(signed) => Ok(Some(Right::Passkey(signed))),
                    Verdict::Wrong { reason, .. } => {
                        log::warn!("user {user_id}: a passkey is refused: {reason}");
                        Ok(None)
                    }
                }
            }
        }
    }

    async fn confirmed_factors(&self, user_id: i64) -> Result<Vec<Factor>, Error> {
        let list = move |conn: &mut _| Factor::list_confirmed(conn, user_id);
        Ok(self.0.store.read(list).await?)
    }

    /// Uses up a right code in one transaction, and forgets the wrong ones before it.
    async fn use_up(
        &self,
        context: &AuditContext,
        account: &Account,
        right: Right,
        waiting: Option<Waiting>,
    ) -> Result<(), Error> {
        let (auth, account, now) = (self.clone(), account.clone(), self.0.clock.now());
        let furthest = last_step_at(self.0.clock.machine_time());
        let context = context.by_password(account.user.id);
        let by = context.clone();
        let work = move |tx: &mut Writing<'_>, events: &mut Events| {
            let user = &account.user;
            // First, as in every transaction that locks the row of a user.
            if !account.lock_if_unchanged(tx)? {
                return Err(Error::BadMfaToken);
            }
            if let Some(Waiting { digest, .. }) = &waiting
                && !Challenge::end(tx, digest)?
            {
                return Err(Error::BadMfaToken);
            }
            let is_unused = match &right {
                Right::Step { factor, step } => {
                    Factor::use_step(tx, *factor, *step, furthest, now)?
                }
                Right::RecoveryCode { slot, hash } => {
                    RecoveryCodes::spend(tx, user.id, *slot, hash, now)?
                }
                Right::Passkey(signed) => signed.record(&auth, tx, events, (&by, user), now)?,
            };
            if !is_unused {
                return Err(Error::WrongCode { tries_left: None });
            }
            auth.0.throttle.clear_factor_tries(tx, user.id)?;
            if let Right::RecoveryCode { .. } = right {
                let left = RecoveryCodes::left(tx, user.id)?.map_or(0, |codes| codes.left);
                let event = Event::new(Action::RecoveryCodeUse).on_user(user.id);
                events.record(event.with("left", left));
                auth.tell_of_factor(tx, &by, user, FactorChange::CodeUsed)?;
            }
            if let Some(device) = waiting.and_then(|waiting| waiting.device) {
                let id = TrustedDevices::insert(tx, &device)?;
                let event = Event::new(Action::DeviceTrust).on_user(user.id);
                events.record(event.with("device", id));
            }
            Ok(())
        };
        self.0.audit.writing(&context, work).await
    }

    /// Records a wrong code. If it would be right at another time, the event and the log say so, because a
    /// wrong clock locks out everybody at once; the client learns nothing of that.
    async fn refuse_code(
        &self,
        context: &AuditContext,
        user_id: i64,
        input: &FactorInput,
        action: Action,
    ) -> Result<(), Error> {
        let outcome = SignInOutcome::WrongCode;
        self.0.metrics.sign_in(outcome);
        let event = Event::refused(action).on_user(user_id);
        let event = event.with("reason", outcome.reason());
        let away = match input {
            FactorInput::Otp(code) => self.seconds_away(user_id, code).await?,
            FactorInput::RecoveryCode(_) | FactorInput::Passkey(_) => None,
        };
        let event = match away {
            Some(seconds) => {
                if seconds.abs() > TOLERANCE_SECONDS {
                    log::warn!(
                        "user {user_id}: the code fits {seconds} seconds away; the clock of the app or of this \
                         machine is wrong"
                    );
                } else {
                    log::warn!("user {user_id}: the code was used, or one after it");
                }
                event.with("seconds_away", seconds)
            }
            None => event,
        };
        let context = context.by_password(user_id);
        self.0.audit.record_denial(&context, event).await
    }

    async fn seconds_away(&self, user_id: i64, code: &OtpCode) -> Result<Option<i64>, Error> {
        let now = self.0.clock.machine_time();
        let factors = self.confirmed_factors(user_id).await?;
        Ok(factors
            .iter()
            .find_map(|factor| self.open_seed(factor)?.seconds_away(code, now)))
    }
}
