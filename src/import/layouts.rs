//! The tables in which other programs store their users and tokens.

use super::database::{SourceDatabase, SourceQuery};
use crate::store::StoreError;

/// The format of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The tutorial's tables `users` and `access_tokens`.
    Tutorial,
    /// `user` and `accesstoken` of fastapi-users.
    FastapiUsers,
    /// `auth_user` of Django, `authtoken_token` of its REST framework, `knox_authtoken`.
    Django,
    /// A file of comma-separated values, with a header line.
    Csv,
    /// A file of newline-delimited JSON.
    Jsonl,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [
        Self::Tutorial,
        Self::FastapiUsers,
        Self::Django,
        Self::Csv,
        Self::Jsonl,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tutorial => "tutorial",
            Self::FastapiUsers => "fastapi-users",
            Self::Django => "django",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The table of users in a database.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::FastapiUsers => "user",
            Self::Django => "auth_user",
            Self::Tutorial | Self::Csv | Self::Jsonl => "users",
        }
    }
}

/// The tables, starting with the users; the others are optional.
pub(super) const fn tables(format: Format) -> &'static [&'static str] {
    match format {
        Format::FastapiUsers => &["user", "accesstoken"],
        Format::Django => &["auth_user", "authtoken_token", "knox_authtoken"],
        Format::Tutorial | Format::Csv | Format::Jsonl => &["users", "access_tokens"],
    }
}

/// How a source stores tokens and their expiry.
pub(super) mod token_forms {
    /// The token with its expiry.
    pub(in crate::import) const STATED: &str = "stated";
    /// The token with its creation time.
    pub(in crate::import) const SINCE_CREATION: &str = "since-creation";
    /// Only the SHA-512 of the token.
    pub(in crate::import) const KNOX: &str = "knox";
}

/// Detects the format of a database.
pub(super) fn guess(source: &mut SourceDatabase) -> Result<Option<Format>, StoreError> {
    let has = |columns: Vec<String>, name: &str| columns.iter().any(|column| column == name);
    if has(source.columns("auth_user")?, "password") {
        Ok(Some(Format::Django))
    } else if has(source.columns("user")?, "hashed_password") {
        Ok(Some(Format::FastapiUsers))
    } else if has(source.columns("users")?, "hashed_password") {
        Ok(Some(Format::Tutorial))
    } else {
        Ok(None)
    }
}

/// The query for users with their tokens: a row per token, grouped by user. Its columns are the fields of
/// [`super::users::RawRow`], in order.
pub(super) fn query(
    source: &mut SourceDatabase,
    format: Format,
) -> Result<SourceQuery, StoreError> {
    let table = format.table();
    let columns = source.columns(table)?;
    // The first of these columns that exists.
    let pick = |names: &[&str]| {
        let found = names
            .iter()
            .find(|name| columns.iter().any(|have| have == *name));
        found.map_or_else(|| "NULL".to_owned(), |name| format!("u.\"{name}\""))
    };
    let disabled = match pick(&["is_active"]).as_str() {
        "NULL" => "NULL".to_owned(),
        active => format!("CASE WHEN {active} THEN NULL ELSE 'true' END"),
    };
    let user_columns = [
        pick(&["id"]),
        pick(&["email"]),
        pick(&["username"]),
        pick(&["name", "first_name", "full_name"]),
        pick(&["surname", "last_name"]),
        pick(&["website"]),
        pick(&["hashed_password", "password"]),
        disabled,
        pick(&["created_at", "date_joined"]),
    ];
    let token_columns = ["t.token", "t.form", "t.created", "t.expires"].map(str::to_owned);
    Ok(SourceQuery {
        columns: user_columns.into_iter().chain(token_columns).collect(),
        from: format!(
            "\"{table}\" u LEFT JOIN ({}) t ON t.user_id = u.id ORDER BY u.id",
            tokens(source, format)?
        ),
    })
}

/// The query for the tokens.
fn tokens(source: &mut SourceDatabase, format: Format) -> Result<String, StoreError> {
    use token_forms::{KNOX, SINCE_CREATION, STATED};
    let none = "SELECT id AS user_id, NULL AS token, NULL AS form, NULL AS created, \
                NULL AS expires FROM ";
    let mut selects = Vec::new();
    let mut add = |table: &str, token: &str, form: &str, created: &str, expires: &str| {
        if !source.columns(table)?.is_empty() {
            selects.push(format!(
                "SELECT user_id, {token} AS token, '{form}' AS form, {created} AS created, \
                 {expires} AS expires FROM {table}"
            ));
        }
        Ok::<(), StoreError>(())
    };
    match format {
        Format::FastapiUsers => add("accesstoken", "token", SINCE_CREATION, "created_at", "NULL")?,
        Format::Django => {
            add("authtoken_token", "\"key\"", STATED, "created", "NULL")?;
            add("knox_authtoken", "digest", KNOX, "created", "expiry")?;
        }
        Format::Tutorial | Format::Csv | Format::Jsonl => {
            add(
                "access_tokens",
                "access_token",
                STATED,
                "NULL",
                "expiration_date",
            )?;
        }
    }
    if selects.is_empty() {
        return Ok(format!("{none}\"{}\" WHERE false", format.table()));
    }
    Ok(selects.join(" UNION ALL "))
}
