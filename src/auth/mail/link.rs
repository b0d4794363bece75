//! Links and codes: made when they are sent or printed, stored as digests.

use std::fmt;

use chrono::{NaiveDateTime, TimeDelta};

use super::kind::{has_code, lifetime_of};
use crate::auth::Auth;
use crate::credential::mail_token::{MailPurpose, generate_mail_code, generate_mail_token};
use crate::credential::token::PlainToken;
use crate::error::Error;
use crate::network::Network;
use crate::password::HashError;
use crate::store::{NewMailToken, StoreError, TokenOwner, Writing};

/// A link that an administrator or operator passes on, in place of a mail.
pub struct PrintedLink {
    /// The link, with the token.
    pub url: String,
    /// UTC; the link is refused from then on.
    pub expires_at: NaiveDateTime,
}

impl fmt::Debug for PrintedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrintedLink")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A link, and in some mails a code, before it is stored.
pub(in crate::auth) struct MailedLink {
    purpose: MailPurpose,
    token: PlainToken,
    code: Option<(PlainToken, String)>,
    /// How long it is good, if the settings do not say that.
    lifetime: Option<TimeDelta>,
}

impl MailedLink {
    /// A link without a code.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails.
    pub(in crate::auth) fn generate(purpose: MailPurpose) -> Result<Self, Error> {
        Ok(Self {
            purpose,
            token: generate_mail_token()?,
            code: None,
            lifetime: None,
        })
    }

    /// The same link, which is good for this long.
    pub(in crate::auth) fn good_for(self, lifetime: TimeDelta) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    /// The code, if there is one.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|(code, _)| code.expose())
    }

    /// Stores the link for an address in place of the one that counts now; see [`NewMailToken::store`].
    /// Returns when it expires.
    pub(in crate::auth) fn store(
        &self,
        tx: &mut Writing<'_>,
        auth: &Auth,
        owner: TokenOwner,
        address: (&str, &str),
        keeps_previous: bool,
    ) -> Result<NaiveDateTime, StoreError> {
        let (now, flows) = (auth.0.clock.now(), &auth.0.config.flows);
        let expires_at = now + self.lifetime(auth);
        let digest = self.token.digest().to_hex();
        let times = (now, expires_at);
        let mut new = NewMailToken::new(owner, self.purpose, address, digest, times);
        if let Some((_, hash)) = &self.code {
            new = new.with_code(hash.clone(), now + flows.code_lifetime);
            auth.0.throttle.begin_code(tx, self.purpose, address.1)?;
        }
        new.store(tx, keeps_previous)?;
        Ok(expires_at)
    }

    /// How long the link is good.
    pub(super) fn lifetime(&self, auth: &Auth) -> TimeDelta {
        let flows = &auth.0.config.flows;
        self.lifetime
            .unwrap_or_else(|| lifetime_of(self.purpose, flows))
    }

    /// The link.
    ///
    /// # Errors
    /// [`Error::NoPublicUrl`] if the settings do not say how clients reach the service.
    pub(in crate::auth) fn url(&self, auth: &Auth) -> Result<String, Error> {
        let public_url = auth.0.config.public_url.as_ref();
        let public_url = public_url.ok_or(Error::NoPublicUrl)?;
        let (page, token) = (self.purpose.page(), self.token.expose());
        Ok(format!("{public_url}{page}?t={token}"))
    }
}

impl Auth {
    /// Generates a link and, for the purposes that have one, a code with its hash.
    ///
    /// # Errors
    /// [`Error::Busy`] if the queue of passwords to hash is full; [`Error::Internal`].
    pub(super) async fn generate_link(&self, purpose: MailPurpose) -> Result<MailedLink, Error> {
        let mut link = MailedLink::generate(purpose)?;
        if !has_code(purpose) {
            return Ok(link);
        }
        let code = generate_mail_code()?;
        let secret = code.expose().to_owned().into();
        let hash = self.0.hasher.hash(Network::default(), &secret).await;
        let hash = hash.map_err(|error| match error {
            HashError::Busy(busy) => Error::Busy(busy),
            HashError::Password(_) => Error::Internal,
        })?;
        link.code = Some((code, hash));
        Ok(link)
    }
}
