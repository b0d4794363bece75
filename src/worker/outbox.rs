//! Sends the queued mails: several at a time, so that one that takes long delays no other.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use crate::auth::Auth;
use crate::store::OutboxMail;

/// The most mails that are being sent at the same time.
const MAX_UNDER_WAY: usize = 8;

/// How often the queue is checked for mails that are due, or that another process has queued.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the end of the process waits for mails that are being sent. The outcome of others is unknown,
/// so they are sent again with the same id.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The delivery of mails in this process.
pub(super) struct Outbox<'a> {
    auth: &'a Auth,
    /// All that waits for the database or a mail server. Every future must be polled while another one
    /// waits: it may have got the turn to write, for which the other one waits.
    under_way: FuturesUnordered<LocalBoxFuture<'a, Step>>,
    sending: usize,
    is_leasing: bool,
}

/// What has ended.
enum Step {
    Leased(Vec<OutboxMail>),
    Delivered,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(auth: &'a Auth) -> Self {
        Self {
            auth,
            under_way: FuturesUnordered::new(),
            sending: 0,
            is_leasing: false,
        }
    }

    /// Sends mails until it is dropped. Those that are being sent then stay for [`Self::finish`].
    pub(super) async fn run(&mut self) {
        if !self.auth.is_mail_on() {
            return std::future::pending().await;
        }
        let mut is_check_due = true;
        loop {
            let room = MAX_UNDER_WAY.saturating_sub(self.sending);
            if is_check_due && !self.is_leasing && room > 0 {
                self.lease(room);
                is_check_due = false;
            }
            let (due, queued) = (pin!(sleep(CHECK_INTERVAL)), pin!(self.auth.mail_queued()));
            let wake = select(due, queued);
            if self.under_way.is_empty() {
                wake.await;
                is_check_due = true;
                continue;
            }
            match select(wake, self.under_way.next()).await {
                Either::Left(_) => is_check_due = true,
                Either::Right((step, _)) => is_check_due |= self.advance(step),
            }
        }
    }

    fn lease(&mut self, room: usize) {
        let (auth, limit) = (self.auth, i64::try_from(room).unwrap_or(1));
        self.is_leasing = true;
        // The database reports its errors itself.
        let lease = async move { Step::Leased(auth.lease_mails(limit).await.unwrap_or_default()) };
        self.under_way.push(Box::pin(lease));
    }

    /// Begins what follows a step. Returns whether more mails may be due.
    fn advance(&mut self, step: Option<Step>) -> bool {
        match step {
            Some(Step::Leased(mails)) => {
                self.is_leasing = false;
                for mail in mails {
                    let auth = self.auth;
                    self.sending += 1;
                    self.under_way.push(Box::pin(async move {
                        auth.deliver(mail).await;
                        Step::Delivered
                    }));
                }
                false
            }
            Some(Step::Delivered) => {
                self.sending -= 1;
                true
            }
            None => false,
        }
    }

    /// Waits for the mails that are being sent, but not long.
    pub(super) async fn finish(&mut self) {
        let sent = async { while self.under_way.next().await.is_some() {} };
        if timeout(END_TIMEOUT, sent).await.is_err() {
            log::warn!("a mail was being sent at the end, and may arrive twice");
        }
    }
}
