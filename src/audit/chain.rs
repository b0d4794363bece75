//! The rows of the trail: their maximum lengths, and the digests that chain them. The digest of a
//! row covers the row and the previous digest; the digest of the head covers the beginning and the
//! end of the trail. Neither can be computed without the key.

use crate::credential::keyed_digest::DigestKey;
use crate::store::{AuditEvent, AuditHead};

/// The longest column, in bytes: 200 characters of a user agent, of four bytes each.
const MAX_COLUMN: usize = 800;

/// The longest details, in bytes: twice the scopes of a user, as JSON.
const MAX_DETAIL: usize = 2 * crate::scope::MAX_LENGTH + 200;

/// Truncates the texts of an event to what a row may hold. Drops longer details, because a
/// truncated JSON object is invalid.
pub(super) fn cut_texts(row: &mut AuditEvent) {
    for column in [
        &mut row.actor,
        &mut row.credential,
        &mut row.level,
        &mut row.action,
        &mut row.target,
        &mut row.result,
        &mut row.ip,
        &mut row.user_agent,
        &mut row.request_id,
        &mut row.client_request_id,
    ] {
        column.truncate(column.floor_char_boundary(MAX_COLUMN));
    }
    if row.detail.len() > MAX_DETAIL {
        row.detail = format!(r#"{{"left_out_bytes":{}}}"#, row.detail.len());
    }
}

/// The digest that an event must have.
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
    // A later addition: older rows lack it, and their digests stay valid.
    if !event.client_request_id.is_empty() {
        fields.push(&event.client_request_id);
    }
    key.digest(&fields)
}

/// The digest that a head must have.
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
    // Heads signed before adoption existed stay valid.
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

/// The digest of all events up to this one, given the digest of all earlier ones, by a key that has
/// signed none of them.
pub(super) fn digest_of_earlier(key: &DigestKey, before: &str, event: &AuditEvent) -> String {
    let this = digest_of_event(key, event);
    key.digest(&["earlier", before, &this, &event.digest])
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;

    use super::*;

    fn row_with(text: &str) -> AuditEvent {
        let text = || text.to_owned();
        AuditEvent {
            id: 1,
            at: NaiveDateTime::default(),
            actor: text(),
            credential: text(),
            level: text(),
            action: text(),
            target: text(),
            result: text(),
            ip: text(),
            user_agent: text(),
            request_id: text(),
            client_request_id: text(),
            detail: text(),
            previous_digest: String::new(),
            digest: String::new(),
        }
    }

    #[test]
    fn texts_are_cut_at_a_character_boundary() {
        let long = "\u{20ac}".repeat(10_000);
        let mut row = row_with(&long);
        cut_texts(&mut row);
        for column in [
            &row.actor,
            &row.credential,
            &row.level,
            &row.action,
            &row.target,
            &row.result,
            &row.ip,
            &row.user_agent,
            &row.request_id,
            &row.client_request_id,
        ] {
            assert_eq!(column.len(), MAX_COLUMN / 3 * 3);
            assert!(long.starts_with(column.as_str()));
        }
        assert_eq!(row.detail, r#"{"left_out_bytes":30000}"#);
    }

    #[test]
    fn short_texts_stay_unchanged() {
        let mut row = row_with("short");
        cut_texts(&mut row);
        assert_eq!(row, row_with("short"));
    }
}
