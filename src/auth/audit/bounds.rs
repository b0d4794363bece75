//! How long a row of the trail may be, whatever a client sends.

use crate::store::AuditEvent;

/// The most that is kept of a column, in bytes: 200 characters of a user agent, of four bytes each.
const MAX_COLUMN: usize = 800;

/// The most that is kept of the details, in bytes: twice the scopes of a user, as JSON.
const MAX_DETAIL: usize = 2 * crate::scope::MAX_LENGTH + 200;

/// Cuts the texts of an event to what a row may hold. Details that are longer are left out: half of
/// a JSON object is none.
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

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;

    use super::*;

    fn row_of(text: &str) -> AuditEvent {
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
    fn every_text_is_cut_at_a_character() {
        let long = "\u{20ac}".repeat(10_000);
        let mut row = row_of(&long);
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
    fn what_is_short_stays_as_it_is() {
        let mut row = row_of("short");
        cut_texts(&mut row);
        assert_eq!(row, row_of("short"));
    }
}
