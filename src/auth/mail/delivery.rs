//! The delivery of queued mails: a worker leases a mail, makes its link, sends it, and records what the mail
//! server said.

use std::net::IpAddr;

use chrono::{NaiveDateTime, TimeDelta};
use pydantic_email::{EmailAddress, fold};
use tokio::task::spawn_blocking;

use super::kind::{purpose_of, use_of};
use super::link::MailedLink;
use super::notice::NoticeDetail;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::auth::Auth;
use crate::error::Error;
use crate::mail::{Details, Kind, Letter, Notice, Outcome};
use crate::metrics::MailOutcome;
use crate::store::{
    Account, Invitation, InvitationState, MailToken, OutboxMail, PendingEmail, StoreError,
    TokenOwner, User, Writing,
};

/// How long a worker has a mail to itself: longer than a try may take.
const LEASE: TimeDelta = TimeDelta::seconds(60);

/// The pauses after the first tries; the last one is repeated.
const PAUSES: [TimeDelta; 4] = [
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(15),
    TimeDelta::hours(1),
];

/// The pause when the service itself cannot go on, as while its hash threads are busy.
const OWN_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// A mail that is ready to be sent.
struct Prepared {
    kind: Kind,
    to: String,
    name: String,
    locale: String,
    link: Option<String>,
    code: Option<String>,
    lifetime: Option<TimeDelta>,
    /// Who invites.
    inviter: Option<String>,
}

/// What became of the mail before it was sent.
enum Preparation {
    Ready(Box<Prepared>),
    /// There is nobody to send it to, or no reason any more; or another worker has it.
    Nothing,
}

impl Auth {
    /// Leases at most `limit` mails that are due; none while the service has sent its mails of this hour.
    /// None is leased by another worker.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn lease_mails(&self, limit: i64) -> Result<Vec<OutboxMail>, Error> {
        let now = self.0.clock.now();
        if self.are_mails_paused(now) {
            return Ok(Vec::new());
        }
        let store = &self.0.store;
        let find = move |conn: &mut _| OutboxMail::find_due(conn, now, limit);
        let mut leased = Vec::new();
        for id in store.read(find).await? {
            // One row for each transaction, so that no two wait for each other.
            let lease = move |tx: &mut Writing<'_>| {
                Ok::<_, StoreError>(OutboxMail::lease(tx, id, now, now + LEASE)?)
            };
            leased.extend(store.writing(lease).await?);
        }
        Ok(leased)
    }

    /// Sends a leased mail, and records what became of it. An error of the database is in the log: the mail
    /// is tried again when the lease has ended.
    pub(crate) async fn deliver(&self, mail: OutboxMail) {
        if let Err(error) = self.try_to_deliver(&mail).await {
            log::warn!("mail {}: the try is not recorded: {error}", mail.id);
        }
    }

    async fn try_to_deliver(&self, mail: &OutboxMail) -> Result<(), Error> {
        let now = self.0.clock.now();
        let kind = Kind::of_name(&mail.purpose);
        let Some(kind) = kind.filter(|kind| now < self.end_of_use(mail, *kind)) else {
            let reply = mail.last_reply.clone();
            return self.record_failure(mail, reply).await;
        };
        let per_hour = self.0.config.flows.mails_per_hour;
        if let Some(wait) = self.0.throttle.take_sending(per_hour).await? {
            self.pause_mails(now + wait);
            return self.return_mail(mail, TimeDelta::zero()).await;
        }
        let link = match purpose_of(kind) {
            // Also for an address that no user has: the work must not tell which ones there are.
            Some(purpose) => match self.generate_link(purpose).await {
                Ok(link) => Some(link),
                Err(_busy) => return self.return_mail(mail, OWN_PAUSE).await,
            },
            None => None,
        };
        let prepared = match self.prepare(mail, kind, link).await? {
            Preparation::Ready(prepared) => prepared,
            Preparation::Nothing => {
                return self.0.throttle.release_sending(per_hour).await;
            }
        };
        let outcome = self.send(mail, *prepared).await;
        self.record_outcome(mail, kind, outcome).await
    }

    /// When the mail is of no use any more, UTC.
    fn end_of_use(&self, mail: &OutboxMail, kind: Kind) -> NaiveDateTime {
        mail.queued_at + use_of(kind, &self.0.config.flows)
    }

    /// Finds out to whom the mail goes, and stores its link in place of earlier ones.
    async fn prepare(
        &self,
        mail: &OutboxMail,
        kind: Kind,
        link: Option<MailedLink>,
    ) -> Result<Preparation, Error> {
        let (auth, mail) = (self.clone(), mail.clone());
        let context = requester(&mail);
        let prepare = move |tx: &mut Writing<'_>, events: &mut Events| {
            if kind == Kind::Invitation {
                return auth.prepare_invitation(tx, &mail, link);
            }
            let user_id = match mail.user_id {
                Some(id) => Some(id),
                None => find_user(tx, &mail.to_address)?,
            };
            let user = match user_id {
                Some(id) => User::lock(tx, id)?,
                None => None,
            };
            let user = user.filter(|user| user.disabled_at.is_none());
            let Some(user) = user else {
                return auth.prepare_for_stranger(tx, &mail, kind);
            };
            let Some(to) = addressee(tx, &mail, kind, &user)? else {
                mail.discard(tx)?;
                return Ok(Preparation::Nothing);
            };
            let locale = match mail.locale.as_str() {
                "" => User::locale(tx, user.id)?,
                locale => locale.to_owned(),
            };
            if !mail.address_to(tx, Some(user.id), &to, &locale)? {
                return Ok(Preparation::Nothing);
            }
            let is_first = mail.attempts <= 1;
            if is_first && mail.user_id.is_none() {
                let event = Event::new(Action::MailRequest).on_user(user.id);
                events.record(event.with("mail", kind.name()));
            }
            let link = auth.link_for(tx, kind, &user, &to, link)?;
            if let Some(link) = &link {
                // Notices about other changes of the address go to other boxes.
                if kind != Kind::Notice(Notice::AddressChanged) {
                    let same = [kind.name()];
                    OutboxMail::discard_of_user(tx, user.id, &same, Some(mail.id))?;
                }
                link.store(
                    tx,
                    &auth,
                    TokenOwner::User(user.id),
                    (&to, &fold(&to)),
                    !is_first,
                )?;
            }
            auth.ready(kind, (user.name, to), locale, (link.as_ref(), None))
        };
        self.0.audit.writing(&context, prepare).await
    }

    /// A mail that a client has asked for, to an address that no user has, or only one who is disabled.
    fn prepare_for_stranger(
        &self,
        tx: &mut Writing<'_>,
        mail: &OutboxMail,
        kind: Kind,
    ) -> Result<Preparation, Error> {
        let tells = self.0.config.flows.mails_unknown && kind == Kind::ResetPassword;
        if mail.user_id.is_some() || !tells {
            mail.discard(tx)?;
            return Ok(Preparation::Nothing);
        }
        if !mail.address_to(tx, None, &mail.to_address, &mail.locale)? {
            return Ok(Preparation::Nothing);
        }
        Ok(Preparation::Ready(Box::new(Prepared {
            kind: Kind::UnknownAccount,
            to: mail.to_address.clone(),
            name: String::new(),
            locale: mail.locale.clone(),
            link: None,
            code: None,
            lifetime: None,
            inviter: None,
        })))
    }

    /// Stores the link of an invitation that can be accepted.
    fn prepare_invitation(
        &self,
        tx: &mut Writing<'_>,
        mail: &OutboxMail,
        link: Option<MailedLink>,
    ) -> Result<Preparation, Error> {
        let now = self.0.clock.now();
        let invitation = match mail.invitation_id {
            Some(id) => Invitation::lock(tx, id)?,
            None => None,
        };
        let invitation = invitation.filter(|it| it.state(now) == InvitationState::Pending);
        let (Some(invitation), Some(link)) = (invitation, link) else {
            mail.discard(tx)?;
            return Ok(Preparation::Nothing);
        };
        if !mail.address_to(tx, None, &invitation.email, &mail.locale)? {
            return Ok(Preparation::Nothing);
        }
        let is_first = mail.attempts <= 1;
        // The time in the queue does not count, so the mail tells the lifetime that was chosen.
        let lifetime = match is_first {
            true => whole_minutes(invitation.expires_at - mail.queued_at),
            false => invitation.expires_at - now,
        };
        let link = link.good_for(lifetime);
        let address = (&*invitation.email, &*invitation.email_key);
        let owner = TokenOwner::Invitation(invitation.id);
        let expires_at = link.store(tx, self, owner, address, !is_first)?;
        Invitation::set_expiry(tx, invitation.id, expires_at)?;
        let inviter = match invitation.invited_by {
            Some(id) => User::find(tx, id)?.map(name_of),
            None => None,
        };
        let to = (invitation.name, invitation.email);
        self.ready(
            Kind::Invitation,
            to,
            mail.locale.clone(),
            (Some(&link), inviter),
        )
    }

    /// The link that the mail has. A notice about another address has one only if the change can be undone.
    fn link_for(
        &self,
        tx: &mut Writing<'_>,
        kind: Kind,
        user: &User,
        to: &str,
        link: Option<MailedLink>,
    ) -> Result<Option<MailedLink>, StoreError> {
        if kind == Kind::Notice(Notice::AddressChanged)
            && !MailToken::can_undo(tx, user.id, &fold(to), self.0.clock.now())?
        {
            return Ok(None);
        }
        Ok(link)
    }

    fn ready(
        &self,
        kind: Kind,
        (name, to): (String, String),
        locale: String,
        (link, inviter): (Option<&MailedLink>, Option<String>),
    ) -> Result<Preparation, Error> {
        let url = match (link, kind) {
            (Some(link), _) => Some(link.url(self)?),
            (None, Kind::Notice(notice)) => self.remedy(notice),
            (None, _) => None,
        };
        Ok(Preparation::Ready(Box::new(Prepared {
            kind,
            to,
            name,
            locale,
            link: url,
            code: link.and_then(MailedLink::code).map(str::to_owned),
            lifetime: link.map(|link| link.lifetime(self)),
            inviter,
        })))
    }

    /// Hands the mail to the mail server, on a thread that may wait for it.
    async fn send(&self, mail: &OutboxMail, prepared: Prepared) -> Outcome {
        let Some(mailer) = self.mailer().cloned() else {
            return Outcome::Temporary("mail is off".to_owned());
        };
        let now = self.0.clock.now().and_utc();
        let (message_id, ip) = (mail.message_id.clone(), mail.ip.parse().ok());
        let code_lifetime = Some(self.0.config.flows.code_lifetime);
        let queued_at = mail.queued_at.and_utc();
        let told = NoticeDetail::parse(&mail.detail);
        let sending = spawn_blocking(move || {
            let details = Details {
                time: Some(queued_at),
                ip,
                inviter: prepared.inviter.as_deref(),
                device: told.device.as_deref(),
                key: told.key.as_deref(),
                new_address: told.new_address.as_deref(),
                ..Details::default()
            };
            let letter = Letter {
                kind: prepared.kind,
                to: &prepared.to,
                name: &prepared.name,
                locale: &prepared.locale,
                message_id: &message_id,
                link: prepared.link.as_deref(),
                code: prepared.code.as_deref(),
                lifetime: prepared.lifetime,
                code_lifetime: code_lifetime.filter(|_| prepared.code.is_some()),
                details,
            };
            mailer.send(&letter, now)
        });
        let panicked = |_error| Outcome::Temporary("the mail could not be made".to_owned());
        sending.await.unwrap_or_else(panicked)
    }

    async fn record_outcome(
        &self,
        mail: &OutboxMail,
        kind: Kind,
        outcome: Outcome,
    ) -> Result<(), Error> {
        let (id, purpose) = (mail.id, &mail.purpose);
        match outcome {
            Outcome::Accepted(reply) => {
                self.0.metrics.mail(MailOutcome::Sent);
                let (mail, now) = (mail.clone(), self.0.clock.now());
                let record = move |tx: &mut Writing<'_>| {
                    Ok::<_, StoreError>(mail.record_sent(tx, now, &reply)?)
                };
                Ok(self.0.store.writing(record).await?)
            }
            Outcome::Temporary(reply) | Outcome::Unknown(reply) => {
                let next_at = self.next_try(mail);
                if next_at >= self.end_of_use(mail, kind) {
                    return self.record_failure(mail, reply).await;
                }
                log::info!("mail {id} ({purpose}): will be tried again: {reply}");
                self.0.metrics.mail(MailOutcome::Retried);
                let mail = mail.clone();
                let record = move |tx: &mut Writing<'_>| {
                    Ok::<_, StoreError>(mail.postpone(tx, next_at, &reply)?)
                };
                Ok(self.0.store.writing(record).await?)
            }
            Outcome::Permanent(reply) => self.record_failure(mail, reply).await,
        }
    }

    /// When the next try is due.
    fn next_try(&self, mail: &OutboxMail) -> NaiveDateTime {
        let tries = usize::try_from(mail.attempts).unwrap_or(0);
        let place = tries.saturating_sub(1).min(PAUSES.len() - 1);
        self.0.clock.now() + PAUSES[place]
    }

    async fn record_failure(&self, mail: &OutboxMail, reply: String) -> Result<(), Error> {
        log::warn!("mail {} ({}): failed: {reply}", mail.id, mail.purpose);
        self.0.metrics.mail(MailOutcome::Failed);
        let (mail, now) = (mail.clone(), self.0.clock.now());
        let record =
            move |tx: &mut Writing<'_>| Ok::<_, StoreError>(mail.record_failed(tx, now, &reply)?);
        Ok(self.0.store.writing(record).await?)
    }

    /// Gives the mail back, to be tried after a pause.
    async fn return_mail(&self, mail: &OutboxMail, pause: TimeDelta) -> Result<(), Error> {
        let (mail, next_at) = (mail.clone(), self.0.clock.now() + pause);
        let give =
            move |tx: &mut Writing<'_>| Ok::<_, StoreError>(mail.return_untried(tx, next_at)?);
        Ok(self.0.store.writing(give).await?)
    }
}

/// The id of the user with this address.
fn find_user(tx: &mut Writing<'_>, address: &str) -> Result<Option<i64>, StoreError> {
    let Ok(email) = EmailAddress::parse(address) else {
        return Ok(None);
    };
    let account = Account::find_by_email_key(tx, &email.key())?;
    Ok(account.map(|account| account.user.id))
}

/// A lifetime, rounded up: the mail was queued a little after the lifetime had begun.
fn whole_minutes(lifetime: TimeDelta) -> TimeDelta {
    let begun = i64::from(lifetime.subsec_nanos() > 0);
    let seconds = (lifetime.num_seconds() + begun).max(0).cast_unsigned();
    TimeDelta::minutes(seconds.div_ceil(60).cast_signed())
}

/// How a user is called: by the address without a name.
fn name_of(user: User) -> String {
    match user.name.is_empty() {
        true => user.email,
        false => user.name,
    }
}

/// Where a mail about a user goes; `None` if it has lost its reason.
fn addressee(
    tx: &mut Writing<'_>,
    mail: &OutboxMail,
    kind: Kind,
    user: &User,
) -> Result<Option<String>, StoreError> {
    Ok(match kind {
        Kind::VerifyAddress if user.email_verified_at.is_some() => None,
        Kind::ConfirmChange => PendingEmail::find(tx, user.id)?
            .map(|pending| pending.email)
            .filter(|email| *email == mail.to_address),
        // To the address when it happened: the one of now may be that of a thief.
        Kind::Notice(_) => Some(mail.to_address.clone()),
        _ => Some(user.email.clone()),
    })
}

/// The client that has asked for the mail.
fn requester(mail: &OutboxMail) -> AuditContext {
    let address: Option<IpAddr> = mail.ip.parse().ok();
    AuditContext::client(address, b"", "")
}
