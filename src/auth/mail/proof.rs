//! What a client brings back from a mail: the token of the link, or the code with the address.

use pydantic_email::EmailAddress;
use rand::random_range;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::auth::sign_in::REFUSAL_DELAY;
use crate::auth::validation::{Field, check_email};
use crate::credential::mail_token::{MailPurpose, is_mail_token_shaped, normalise_mail_code};
use crate::credential::token::TokenDigest;
use crate::error::{Error, ErrorCollector, FieldError, InvalidField};
use crate::store::MailToken;

/// The token of a link, or a code with the address that it was sent to.
pub struct ProofInput {
    /// The token.
    pub token: Field<Option<SecretString>>,
    /// The address, in any spelling.
    pub email: Field<Option<String>>,
    /// The code, as it was typed.
    pub code: Field<Option<SecretString>>,
}

/// A valid [`ProofInput`].
pub(in crate::auth) enum Proof {
    Token(SecretString),
    Code {
        email: EmailAddress,
        code: SecretString,
    },
}

/// The stored token that a client has proved to have got.
pub(in crate::auth) struct Proven {
    pub(in crate::auth) token: MailToken,
    /// The user whose account it is for.
    pub(in crate::auth) user_id: i64,
}

impl ProofInput {
    /// Checks the fields: there must be a token, or an address and a code.
    pub(in crate::auth) fn check_with(self, errors: &mut ErrorCollector) -> Option<Proof> {
        let token = errors.take(self.token)?;
        if let Some(token) = token {
            return Some(Proof::Token(token));
        }
        let missing = |field| FieldError::new(field, InvalidField::Missing);
        let (email, code) = match (self.email, self.code) {
            (Ok(None), Ok(None)) => {
                errors.take::<()>(Err(missing("token")));
                return None;
            }
            fields => fields,
        };
        let email = email.and_then(|email| check_email(email.ok_or_else(|| missing("email"))?));
        let code = code.and_then(|code| code.ok_or_else(|| missing("code")));
        let (email, code) = (errors.take(email), errors.take(code));
        Some(Proof::Code {
            email: email?,
            code: code?,
        })
    }
}

impl Auth {
    /// Finds the token of a user for this purpose, used or not, by the proof that a client brings. A wrong
    /// one is recorded as a refusal of `action`, and takes as long whether or not there is such a user.
    ///
    /// # Errors
    /// [`Error::BadMailToken`]; [`Error::TooManyAttempts`] when the client's network has tried too many
    /// codes; [`Error::Busy`] and [`Error::Unavailable`].
    pub(in crate::auth) async fn find_proven(
        &self,
        context: &AuditContext,
        purpose: MailPurpose,
        proof: Proof,
        action: Action,
    ) -> Result<Proven, Error> {
        let token = match proof {
            Proof::Token(token) => self.find_by_link(purpose, &token).await?,
            Proof::Code { email, code } => {
                self.find_by_code(context, purpose, &email.key(), &code)
                    .await?
            }
        };
        let proven = token.and_then(|token| {
            let user_id = token.user_id?;
            Some(Proven { token, user_id })
        });
        match proven {
            Some(proven) => Ok(proven),
            None => Err(self.refuse_proof(context, action, None).await?),
        }
    }

    /// Like [`Self::find_proven`], for a proof whose fields were not checked.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; otherwise the same.
    pub(in crate::auth) async fn find_by_proof(
        &self,
        context: &AuditContext,
        purpose: MailPurpose,
        proof: ProofInput,
        action: Action,
    ) -> Result<Proven, Error> {
        let mut errors = ErrorCollector::new();
        match proof.check_with(&mut errors) {
            Some(proof) => self.find_proven(context, purpose, proof, action).await,
            None => Err(errors.into()),
        }
    }

    /// Returns the outcome of a transaction unchanged, and records a link or code that it has refused.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn or_refuse_proof<T>(
        &self,
        context: &AuditContext,
        action: Action,
        user_id: i64,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match outcome {
            Err(Error::BadMailToken) => {
                Err(self.refuse_proof(context, action, Some(user_id)).await?)
            }
            outcome => outcome,
        }
    }

    /// Records that a link or code was refused, and returns the error for it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn refuse_proof(
        &self,
        context: &AuditContext,
        action: Action,
        user_id: Option<i64>,
    ) -> Result<Error, Error> {
        let event = Event::refused(action).with("reason", "mail-token");
        let event = match user_id {
            Some(id) => event.on_user(id),
            None => event,
        };
        self.0.audit.record_denial(context, event).await?;
        Ok(Error::BadMailToken)
    }

    pub(in crate::auth) async fn find_by_link(
        &self,
        purpose: MailPurpose,
        token: &SecretString,
    ) -> Result<Option<MailToken>, Error> {
        let presented = token.expose_secret().as_bytes();
        if !is_mail_token_shaped(presented) {
            return Ok(None);
        }
        let digest = TokenDigest::new(presented).to_hex();
        let find = move |conn: &mut _| MailToken::find(conn, purpose, &digest);
        Ok(self.0.store.read(find).await?)
    }

    async fn find_by_code(
        &self,
        context: &AuditContext,
        purpose: MailPurpose,
        address_key: &str,
        code: &SecretString,
    ) -> Result<Option<MailToken>, Error> {
        let place = self.0.hasher.reserve(context.network())?;
        let throttle = &self.0.throttle;
        let tried = throttle.count_code(context, purpose, address_key).await?;
        let key = address_key.to_owned();
        let find = move |conn: &mut _| MailToken::find_of_address(conn, purpose, &key);
        let found = self.0.store.read(find).await?;
        let now = self.0.clock.now();
        let hash = found.as_ref().and_then(|token| token.code_hash(now));
        let hash = hash.filter(|_| tried.is_allowed);
        // A text that is no code is compared too, so that it takes as long.
        let code = normalise_mail_code(code.expose_secret()).unwrap_or_default();
        drop(place);
        let matches = self
            .0
            .hasher
            .verify(context.network(), &code.into(), hash.as_ref())
            .await?;
        if matches {
            throttle.release_code(tried).await?;
            return Ok(found);
        }
        sleep(random_range(REFUSAL_DELAY)).await;
        Ok(None)
    }
}
