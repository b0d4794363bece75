//! Invitations: an administrator or operator offers an account, and the reader of the address accepts it. That
//! works while registration is closed, and verifies the address.

use chrono::{NaiveDateTime, TimeDelta};
use pydantic_email::EmailAddress;
use secrecy::SecretString;

use super::Auth;
use super::admin::{AdminGrant, Administrator};
use super::mail::{MailRequest, MailedLink};
use super::paging::split_page;
use super::register::insert_user;
use super::validation::{
    Field, RegistrationInput, check_email, check_optional_scopes, check_text, optional,
};
use crate::audit::{Action, AuditContext, Event};
use crate::credential::mail_token::MailPurpose;
use crate::error::{Error, ErrorCollector, FieldError, InvalidField};
use crate::scope;
use crate::store::{
    Account, Invitation, InvitationState, MailToken, NewInvitation, StoreError, TokenOwner, User,
    Writing,
};

/// The longest time for which an invitation can be accepted, in seconds: 30 days.
const MAX_LIFETIME: i64 = 30 * 86_400;

/// The shortest one, in seconds.
const MIN_LIFETIME: i64 = 60;

/// An invitation that an administrator makes.
pub struct InvitationInput {
    /// The address that is invited.
    pub email: Field<String>,
    /// The name of the user, unless they choose another one.
    pub name: Field<Option<String>>,
    /// The scopes of the user, separated by spaces.
    pub scopes: Field<Option<String>>,
    /// For how many seconds it can be accepted; as the settings say if omitted.
    pub expires_in: Field<Option<i64>>,
    /// Whether a mail is sent; it is when omitted. Otherwise the link is returned.
    pub deliver: Field<Option<bool>>,
}

/// An [`InvitationInput`] whose fields are valid.
struct CheckedInvitation {
    email: EmailAddress,
    name: String,
    scopes: String,
    lifetime: Option<TimeDelta>,
    is_mailed: bool,
}

/// A new invitation, and the link to it if no mail is sent.
#[derive(Debug)]
pub struct Invited {
    /// The invitation.
    pub(crate) invitation: Invitation,
    /// The link, with the token.
    pub(crate) url: Option<String>,
}

/// A page of invitations, the last ones first.
#[derive(Debug)]
pub(crate) struct InvitationPage {
    pub(crate) invitations: Vec<Invitation>,
    /// The `before` of the next page; `None` after the last one.
    pub(crate) next: Option<i64>,
}

/// What the reader of the address brings to accept an invitation.
pub struct AcceptanceInput {
    /// The token of the link.
    pub token: Field<SecretString>,
    /// That of the invitation if omitted.
    pub name: Field<Option<String>>,
    /// As in a registration.
    pub surname: Field<String>,
    /// A password within the policy.
    pub password: Field<SecretString>,
}

impl InvitationInput {
    fn check(self) -> Result<CheckedInvitation, Error> {
        let mut errors = ErrorCollector::new();
        let email = errors.take(self.email.and_then(check_email));
        let name = errors.take(optional(self.name, |name| check_text("name", name)));
        let scopes = errors.take(check_optional_scopes("scopes", self.scopes));
        let lifetime = errors.take(optional(self.expires_in, check_lifetime));
        let deliver = errors.take(self.deliver);
        match (email, name, scopes, lifetime, deliver) {
            (Some(email), Some(name), Some(scopes), Some(lifetime), Some(deliver)) => {
                Ok(CheckedInvitation {
                    email,
                    name: name.unwrap_or_default(),
                    scopes: scopes.unwrap_or_default(),
                    lifetime,
                    is_mailed: deliver.unwrap_or(true),
                })
            }
            _ => Err(errors.into()),
        }
    }
}

fn check_lifetime(seconds: i64) -> Field<TimeDelta> {
    let reason = match seconds {
        ..MIN_LIFETIME => InvalidField::TooSmall { min: MIN_LIFETIME },
        MIN_LIFETIME..=MAX_LIFETIME => return Ok(TimeDelta::seconds(seconds)),
        _ => InvalidField::TooLarge { max: MAX_LIFETIME },
    };
    Err(FieldError::new("expires_in", reason).with_value(seconds))
}

impl Auth {
    /// Invites the reader of an address: by mail, or by a link that the administrator passes on. The user will
    /// have at most the scopes that the administrator may grant. An invitation to the address that has expired
    /// is replaced.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::EmailTaken`]; [`Error::InvitationOpen`] if
    /// one to this address can be accepted; [`Error::MailOff`] and [`Error::NoPublicUrl`];
    /// [`Error::InsufficientScope`] for a scope that the administrator may not grant;
    /// [`Error::LoginTokenRequired`] for an API key; [`Error::InvalidToken`] when the administrator's
    /// credential has become invalid in the meantime; [`Error::Unavailable`].
    pub async fn invite(
        &self,
        admin: &Administrator,
        input: InvitationInput,
    ) -> Result<Invited, Error> {
        admin.check_is_not_key()?;
        let input = input.check()?;
        let link = match input.is_mailed {
            true => {
                self.require_mail()?;
                None
            }
            false => Some(MailedLink::generate(MailPurpose::Invite)?),
        };
        let url = link.as_ref().map(|link| link.url(self)).transpose()?;
        let now = self.0.clock.now();
        let lifetime = input
            .lifetime
            .unwrap_or(self.0.config.flows.invite_lifetime);
        let new = NewInvitation {
            email: input.email.to_string(),
            email_key: input.email.key(),
            name: input.name,
            scopes: input.scopes,
            invited_by: admin.grant.as_ref().map(|grant| grant.principal.user.id),
            created_at: now,
            expires_at: now + lifetime,
        };
        let (auth, grant, context) = (self.clone(), admin.grant.clone(), admin.context.clone());
        let invited = self.add(&admin.context, move |tx, events| {
            auth.check_can_invite(tx, grant.as_ref(), &new.scopes, now)?;
            if Account::find_by_email_key(tx, &new.email_key)?.is_some() {
                return Err(Error::EmailTaken);
            }
            if let Some(open) = Invitation::find_open(tx, &new.email_key)? {
                if open.state(now) == InvitationState::Pending {
                    return Err(Error::InvitationOpen);
                }
                Invitation::revoke(tx, open.id, now)?;
            }
            let invitation = new
                .insert(tx)
                .map_err(|error| match StoreError::from(error) {
                    StoreError::Conflict => Error::InvitationOpen,
                    error => error.into(),
                })?;
            match link {
                Some(link) => {
                    let address = (&*invitation.email, &*invitation.email_key);
                    let owner = TokenOwner::Invitation(invitation.id);
                    let link = link.good_for(lifetime);
                    link.store(tx, &auth, owner, address, false)?;
                }
                None => auth.queue_mail(tx, &context, MailRequest::invitation(&invitation))?,
            }
            events.record(about(Action::InvitationCreate, &invitation));
            Ok(invitation)
        });
        let invitation = self.record_if_denied(admin, invited.await).await?;
        self.wake_mail();
        Ok(Invited { invitation, url })
    }

    /// Locks the administrator, and checks that these scopes may be granted.
    fn check_can_invite(
        &self,
        tx: &mut Writing<'_>,
        grant: Option<&AdminGrant>,
        scopes: &str,
        now: NaiveDateTime,
    ) -> Result<(), Error> {
        match grant {
            Some(grant) => {
                let caller = grant.lock(tx, now)?;
                grant.check_can_grant(&caller, &self.0.config.grantable_scopes, "", scopes)
            }
            None => Ok(()),
        }
    }

    /// Lists the invitations in this state, or all: at most `limit`, before the id `before`. Records that they
    /// were read.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the caller has used up its budget; [`Error::Unavailable`].
    pub(crate) async fn list_invitations(
        &self,
        admin: &Administrator,
        state: Option<InvitationState>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<InvitationPage, Error> {
        let event = Event::new(Action::InvitationRead).with("limit", limit);
        self.record(&admin.context, event).await?;
        let (now, before) = (self.0.clock.now(), before.unwrap_or(i64::MAX));
        let list = move |conn: &mut _| Invitation::list(conn, state, now, before, limit + 1);
        let (invitations, has_more) = split_page(self.0.store.read(list).await?, limit);
        let next = invitations.last().filter(|_| has_more).map(|last| last.id);
        Ok(InvitationPage { invitations, next })
    }

    /// Mails an invitation again, with another link, from now on for as long as the settings say.
    ///
    /// # Errors
    /// [`Error::InvitationNotFound`]; [`Error::InvitationOver`] if it was accepted or revoked; otherwise the
    /// same as [`Self::invite`].
    pub(crate) async fn resend_invitation(
        &self,
        admin: &Administrator,
        id: i64,
    ) -> Result<(), Error> {
        self.require_mail()?;
        let (auth, context) = (self.clone(), admin.context.clone());
        let now = self.0.clock.now();
        let resent = self.change_invitation(admin, id, move |tx, invitation| {
            if Account::find_by_email_key(tx, &invitation.email_key)?.is_some() {
                return Err(Error::EmailTaken);
            }
            Invitation::set_expiry(tx, id, now + auth.0.config.flows.invite_lifetime)?;
            MailToken::end_of_invitation(tx, id)?;
            auth.queue_mail(tx, &context, MailRequest::invitation(invitation))?;
            Ok(Action::InvitationResend)
        });
        resent.await?;
        self.wake_mail();
        Ok(())
    }

    /// Revokes an invitation.
    ///
    /// # Errors
    /// The same as [`Self::resend_invitation`].
    pub(crate) async fn revoke_invitation(
        &self,
        admin: &Administrator,
        id: i64,
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        let revoked = self.change_invitation(admin, id, move |tx, _invitation| {
            Invitation::revoke(tx, id, now)?;
            Ok(Action::InvitationRevoke)
        });
        revoked.await
    }

    /// Changes an open invitation, whose mail that waits is dropped. The administrator must be able to grant
    /// its scopes: nobody acts on the invitations of administrators with more authority.
    async fn change_invitation(
        &self,
        admin: &Administrator,
        id: i64,
        work: impl FnOnce(&mut Writing<'_>, &Invitation) -> Result<Action, Error> + Send + 'static,
    ) -> Result<(), Error> {
        admin.check_is_not_key()?;
        let (auth, grant, now) = (self.clone(), admin.grant.clone(), self.0.clock.now());
        let find = move |conn: &mut _| Invitation::find(conn, id);
        let found = self.0.store.read(find).await?;
        let scopes = found.ok_or(Error::InvitationNotFound)?.scopes;
        let changed = self.add(&admin.context, move |tx, events| {
            // Users are locked before invitations.
            auth.check_can_invite(tx, grant.as_ref(), &scopes, now)?;
            let invitation = Invitation::lock(tx, id)?.ok_or(Error::InvitationNotFound)?;
            match invitation.state(now) {
                InvitationState::Pending | InvitationState::Expired => {}
                state => return Err(Error::InvitationOver(state.name())),
            }
            crate::store::OutboxMail::discard_of_invitation(tx, id)?;
            let action = work(tx, &invitation)?;
            events.record(about(action, &invitation));
            Ok(())
        });
        self.record_if_denied(admin, changed.await).await
    }

    /// The invitation of a link, if it can be accepted. Spends nothing.
    ///
    /// # Errors
    /// [`Error::BadMailToken`]; [`Error::InvitationOver`] with its state; [`Error::Unavailable`].
    pub(crate) async fn find_invitation(
        &self,
        context: &AuditContext,
        token: &SecretString,
    ) -> Result<Invitation, Error> {
        let (_, invitation) = self.find_invited(context, token).await?;
        Ok(invitation)
    }

    async fn find_invited(
        &self,
        context: &AuditContext,
        token: &SecretString,
    ) -> Result<(MailToken, Invitation), Error> {
        let token = self.find_by_link(MailPurpose::Invite, token).await?;
        let id = token.as_ref().and_then(|token| token.invitation_id);
        let invitation = match id {
            Some(id) => {
                let find = move |conn: &mut _| Invitation::find(conn, id);
                self.0.store.read(find).await?
            }
            None => None,
        };
        let Some((token, invitation)) = token.zip(invitation) else {
            let action = Action::InvitationAccept;
            return Err(self.refuse_proof(context, action, None).await?);
        };
        match invitation.state(self.0.clock.now()) {
            InvitationState::Pending => Ok((token, invitation)),
            state => Err(Error::InvitationOver(state.name())),
        }
    }

    /// Creates the account of an invitation, whose address is verified by that. Does not sign in. Fails if the
    /// administrator who has invited could not create it now.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field: then the invitation stays; [`Error::BadMailToken`];
    /// [`Error::InvitationOver`] with its state; [`Error::EmailTaken`]; [`Error::Busy`] and
    /// [`Error::Unavailable`].
    pub async fn accept_invitation(
        &self,
        context: &AuditContext,
        input: AcceptanceInput,
    ) -> Result<User, Error> {
        let (token, invitation) = self.find_invited(context, &input.token?).await?;
        let (id, invited_by) = (invitation.id, invitation.invited_by);
        let name = invitation.name;
        let registration = RegistrationInput {
            name: match input.name {
                Ok(None) if name.is_empty() => Err(FieldError::new("name", InvalidField::Missing)),
                chosen => chosen.map(|chosen| chosen.unwrap_or(name)),
            },
            surname: input.surname,
            email: Ok(invitation.email),
            website: Ok(String::new()),
            password: input.password,
        };
        let checked = registration.check(&self.0.config)?;
        let now = self.0.clock.now();
        let mut user = self
            .prepare_user(context, checked, invitation.scopes)
            .await?;
        user.email_verified_at = Some(now);
        let auth = self.clone();
        let accepted = self.add(context, move |tx, events| {
            // Users are locked before invitations.
            let may_invite = match invited_by {
                Some(inviter) => auth.may_still_invite(tx, inviter, &user.scopes)?,
                None => true,
            };
            let invitation = Invitation::lock(tx, id)?.ok_or(Error::BadMailToken)?;
            let state = match invitation.state(now) {
                // It was made by another user who was deleted since.
                _ if invitation.invited_by != invited_by => InvitationState::Revoked,
                InvitationState::Pending if !may_invite => InvitationState::Revoked,
                state => state,
            };
            if state != InvitationState::Pending {
                return Err(Error::InvitationOver(state.name()));
            }
            if !token.spend(tx, now)? {
                return Err(Error::BadMailToken);
            }
            let user = insert_user(tx, &user)?;
            Invitation::accept(tx, id, now)?;
            events.record(about(Action::InvitationAccept, &invitation).on_user(user.id));
            Ok(user)
        });
        match accepted.await {
            Err(Error::BadMailToken) => Err(self
                .refuse_proof(context, Action::InvitationAccept, None)
                .await?),
            accepted => accepted,
        }
    }

    /// Locks an administrator, and returns whether they could create a user with these scopes.
    fn may_still_invite(
        &self,
        tx: &mut Writing<'_>,
        inviter: i64,
        scopes: &str,
    ) -> Result<bool, Error> {
        let inviter = User::lock(tx, inviter)?.filter(|user| user.disabled_at.is_none());
        let Some(inviter) = inviter else {
            return Ok(false);
        };
        let grantable = &self.0.config.grantable_scopes;
        let can_grant =
            |name: &str| scope::contains(&inviter.scopes, name) || grantable.matches(name);
        let administers = scope::contains(&inviter.scopes, scope::USERS_WRITE);
        Ok(administers && scope::names(scopes).all(can_grant))
    }
}

fn about(action: Action, invitation: &Invitation) -> Event {
    let event = Event::new(action).with("invitation", invitation.id);
    let event = event.with("email", invitation.email.as_str());
    event.with("scopes", invitation.scopes.as_str())
}
