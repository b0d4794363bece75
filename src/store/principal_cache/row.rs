//! Rows of SQLite as the look-ups read them: with a parser for times that is faster than diesel's,
//! which tries formats one after another and takes longer than the search for the row.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Timestamp;
use diesel::sqlite::Sqlite;

use crate::store::{AccessToken, SessionKind, SessionState, User};

/// A [`User`], in the order of its columns.
pub(super) type UserRow = (
    i64,
    String,
    String,
    String,
    String,
    String,
    Time,
    Option<Time>,
    Option<String>,
    bool,
    Option<Time>,
);

/// An [`AccessToken`], in the order of its columns.
pub(super) type TokenRow = (
    i64,
    String,
    Time,
    String,
    Time,
    Option<Time>,
    (i64, SessionKind, String, Option<i64>, Time, Time),
);

pub(super) fn user(row: UserRow) -> User {
    let (
        id,
        name,
        surname,
        email,
        website,
        scopes,
        created_at,
        disabled_at,
        external_id,
        is_app,
        email_verified_at,
    ) = row;
    User {
        id,
        name,
        surname,
        email,
        website,
        scopes,
        created_at: created_at.0,
        disabled_at: disabled_at.map(|time| time.0),
        external_id,
        is_app,
        email_verified_at: email_verified_at.map(|time| time.0),
    }
}

pub(super) fn token(row: TokenRow) -> AccessToken {
    let (user_id, access_token, expiration_date, scopes, created_at, authenticated_at, session) =
        row;
    let (id, kind, amr, idle_seconds, last_used_at, expires_at) = session;
    AccessToken {
        user_id,
        access_token,
        expiration_date: expiration_date.0,
        scopes,
        created_at: created_at.0,
        authenticated_at: authenticated_at.map(|time| time.0),
        session: SessionState {
            id,
            kind,
            amr,
            idle_seconds,
            last_used_at: last_used_at.0,
            expires_at: expires_at.0,
        },
    }
}

/// A time, UTC.
#[derive(Debug, FromSqlRow)]
pub(super) struct Time(NaiveDateTime);

impl FromSql<Timestamp, Sqlite> for Time {
    fn from_sql(mut value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        match parse(value.read_text().as_bytes()) {
            Some(time) => Ok(Self(time)),
            // Other formats that SQLite knows, in rows that were changed by hand.
            None => <NaiveDateTime as FromSql<Timestamp, Sqlite>>::from_sql(value).map(Self),
        }
    }
}

/// Parses the format that diesel writes: `2026-11-29 08:15:00`, with up to nine decimal places.
fn parse(text: &[u8]) -> Option<NaiveDateTime> {
    let (seconds, fraction) = text.split_first_chunk::<19>()?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = *seconds
    else {
        return None;
    };
    let year = number(&[y1, y2, y3, y4])?;
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        number(&[m1, m2])?,
        number(&[d1, d2])?,
    )?;
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let missing = 9 - u32::try_from(digits.len()).ok()?;
            number(digits)? * 10_u32.pow(missing)
        }
        _ => return None,
    };
    date.and_hms_nano_opt(
        number(&[h1, h2])?,
        number(&[n1, n2])?,
        number(&[s1, s2])?,
        nanos,
    )
}

/// A number of at most nine decimal digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use diesel::dsl::sql;
    use diesel::prelude::*;
    use diesel::sqlite::SqliteConnection;

    use super::*;

    #[test]
    fn time_is_the_one_that_diesel_reads() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        for text in [
            "2026-11-29 08:15:00",
            "2026-11-29 08:15:00.5",
            "2026-11-29 08:15:00.123456",
            "2026-11-29 08:15:00.123456789",
            "2024-02-29 23:59:59.999999",
            "9999-12-31 23:59:59.999999",
            "0000-01-01 00:00:00",
            // In other formats, or no times.
            "2026-11-29T08:15:00.123",
            "2026-11-29 08:15",
            "2026-11-29 08:15:00Z",
            "2026-11-29 08:15:00.",
            "2026-11-29 08:15:00.1234567891",
            "2026-11-29 08:15:60",
            "2026-11-29 24:00:00",
            "2026-02-29 00:00:00",
            "2026-13-01 00:00:00",
            "+026-11-29 08:15:00",
            "2026-1 -29 08:15:00",
            "20261129",
            "2460000.5",
            "",
        ] {
            let query = format!("SELECT '{text}'");
            let ours = sql::<Timestamp>(&query).get_result::<Time>(&mut conn);
            let diesels = sql::<Timestamp>(&query).get_result::<NaiveDateTime>(&mut conn);
            assert_eq!(ours.ok().map(|time| time.0), diesels.ok(), "{text}");
        }
    }

    #[test]
    fn times_that_diesel_writes_need_no_other_parser() {
        for text in ["2026-11-29 08:15:00", "2026-11-29 08:15:00.123456"] {
            assert!(parse(text.as_bytes()).is_some(), "{text}");
        }
    }
}
