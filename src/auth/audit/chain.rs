//! What makes the trail a chain: every row's digest goes over the row and the digest before it, and
//! the head's over where the trail begins and ends. Without the key none can be made.

use crate::keyed_digest::DigestKey;
use crate::store::{AuditEvent, AuditHead};

/// The digest that an event has to have.
pub(super) fn digest_of_event(key: &DigestKey, event: &AuditEvent) -> String {
    key.digest(&[
        "event",
        &event.previous_digest,
        &event.id.to_string(),
        &event.at.and_utc().timestamp_micros().to_string(),
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
    ])
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
