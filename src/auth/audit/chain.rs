//! What makes the trail a chain: every row's digest goes over the row and the digest before it, and
//! the head's over where the trail begins and ends. Without the key none can be made.

use crate::keyed_digest::DigestKey;
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
    key.digest(&[
        "head",
        &head.last_id.to_string(),
        &head.last_digest,
        &head.pruned_id.to_string(),
        &head.pruned_digest,
    ])
}
