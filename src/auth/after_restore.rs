//! Prepares a database that was restored from a copy for use.

use super::{Administrator, Auth};
use crate::audit::{Action, Event, Events};
use crate::error::Error;
use crate::store::{ApiKey, AuditHead, Revoking, Sequence, Sessions, TrustedDevices};

/// How far ids skip ahead: more than can have been assigned since the copy was made.
const ID_DISTANCE: i64 = 1_000_000;

/// How a database was restored.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Whether the API keys stay valid.
    pub keep_keys: bool,
    /// The number of problems in the copy's audit trail that the operator has accepted.
    pub accepted_problems: usize,
    /// The last ids that the replaced database assigned.
    pub replaced_sequences: Vec<Sequence>,
    /// The id and the digest of the last event of the replaced database.
    pub replaced_mark: Option<(i64, String)>,
}

/// The outcome of a restore.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The id and the digest of the last event of the copy.
    pub mark: (i64, String),
    /// The number of deleted login tokens.
    pub tokens: usize,
    /// The number of revoked API keys.
    pub keys: usize,
    /// The next id of each table.
    pub next_ids: Vec<Sequence>,
}

impl Auth {
    /// Ends the credentials that the copy revives, and skips ids so that none is assigned twice:
    /// since the copy was made, users may have revoked credentials, and ids may have been assigned.
    /// Records this with the last events of both trails.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; then nothing is changed.
    pub async fn after_restore(
        &self,
        operator: &Administrator,
        restore: Restore,
    ) -> Result<Restored, Error> {
        let (auth, context) = (self.clone(), operator.context.clone());
        let work = move |tx: &mut Revoking<'_>| {
            let mark = AuditHead::find(tx)?
                .map_or((0, String::new()), |head| (head.last_id, head.last_digest));
            let next_ids = Sequence::skip_ahead(tx, &restore.replaced_sequences, ID_DISTANCE)?;
            let tokens = Sessions::end_all(tx)?;
            let keys = match restore.keep_keys {
                true => 0,
                false => ApiKey::revoke_all(tx, auth.0.clock.now())?,
            };
            let restored = Restored {
                mark,
                tokens,
                keys,
                next_ids,
            };
            // They count again in the copy, although they may have been used since.
            super::mail_tokens::end_everyones(tx)?;
            TrustedDevices::end_all(tx)?;
            let mut events = Events::default();
            events.record(event(&restore, &restored));
            auth.0.audit.append(tx, &context, events)?;
            Ok(restored)
        };
        self.0.store.rewriting(work).await
    }
}

fn event(restore: &Restore, restored: &Restored) -> Event {
    let text = |(id, digest): &(i64, String)| format!("{id}:{digest}");
    let mut event = Event::new(Action::Restore)
        .with("copy", text(&restored.mark))
        .with("tokens", restored.tokens)
        .with("keys", restored.keys)
        .with("keep_keys", restore.keep_keys);
    if let Some(mark) = &restore.replaced_mark {
        event = event.with("replaced", text(mark));
    }
    if restore.accepted_problems > 0 {
        event = event.with("accepted_problems", restore.accepted_problems);
    }
    for next in &restored.next_ids {
        event = event.with(&format!("next_{}", next.table), next.id);
    }
    event
}
