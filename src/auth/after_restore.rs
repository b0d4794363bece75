//! What has to be done to a database that was put back from a copy, before it is used.

use super::{Administrator, Auth};
use crate::audit::{Action, Event, Events};
use crate::error::Error;
use crate::store::{AccessToken, ApiKey, AuditHead, Revoking, Sequence};

/// How far ids jump: more than may have been assigned since the copy was made.
const ID_DISTANCE: i64 = 1_000_000;

/// How a database was put back.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Whether API keys stay good.
    pub keep_keys: bool,
    /// How many problems the trail of the copy has that the operator has accepted.
    pub accepted_problems: usize,
    /// The last ids that the replaced database has given out.
    pub replaced_sequences: Vec<Sequence>,
    /// The id and the digest of the last event of the replaced database.
    pub replaced_mark: Option<(i64, String)>,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The id and the digest of the last event of the copy.
    pub mark: (i64, String),
    /// Login tokens that were ended.
    pub tokens: usize,
    /// API keys that were ended.
    pub keys: usize,
    /// For each table the next id.
    pub next_ids: Vec<Sequence>,
}

impl Auth {
    /// Ends what the copy revives, and sees to it that no id is given out for the second time:
    /// after the copy was made, users may have revoked credentials, and ids may have been assigned. Records it
    /// with the ends of both trails.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; nothing is changed then.
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
            let tokens = AccessToken::delete_all(tx)?;
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
