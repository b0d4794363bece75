//! What makes the trail a chain: every row's digest goes over the row and the digest before it, and
//! the head's over where the trail begins and ends. Without the key none can be made.

use crate::credential::keyed_digest::DigestKey;
use crate::store::{AuditEvent, AuditHead};

/// The digest that an event has to have.
pub(super) fn digest_of_event(key: &DigestKey, event: &AuditEvent) -> String {
    let (id, micros) = (
        event.id.to_string(),
        event.at.and_utc().timestamp_micros().to_string(),
    );
    let mut fields = vec![
        "event",
        &event.previous_digest,
        id.as_str(),
        &micros,
        &event.actor,
        &event.credential,
        &event.level,
        &event.action,
        &event.target,
        &event.result,
        &event.ip,
        &event.user_agent,
        &event.request_id,
        &event.detail,
    ];
    // Younger than the others: rows from before have none, and their digests stay as they are.
    if !event.client_request_id.is_empty() {
        fields.push(&event.client_request_id);
    }
    key.digest(&fields)
}

/// The digest that a head has to have.
pub(super) fn digest_of_head(key: &DigestKey, head: &AuditHead) -> String {
    let ids = [head.last_id, head.pruned_id, head.adopted_id].map(|id| id.to_string());
    let [last_id, pruned_id, adopted_id] = &ids;
    let mut fields = vec![
        "head",
        last_id,
        &head.last_digest,
        pruned_id,
        &head.pruned_digest,
    ];
    // Heads that were signed before there were adoptions stay good.
    if head.adopted_id != 0 {
        fields.extend([
            "adopted",
            adopted_id,
            &head.adopted_start,
            &head.adopted_digest,
        ]);
    }
    key.digest(&fields)
}

/// The digest of all events up to this one, given that of all before it, by a key that has made none
/// of them.
pub(super) fn digest_of_earlier(key: &DigestKey, before: &str, event: &AuditEvent) -> String {
    let this = digest_of_event(key, event);
    key.digest(&["earlier", before, &this, &event.digest])
}
