//! Where sessions come from.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Text;

/// Where a session comes from, which decides where its tokens are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromSqlRow)]
#[non_exhaustive]
pub enum SessionKind {
    /// A client signed in.
    Api,
    /// A browser signed in on a page. Its token is accepted only as a cookie.
    Browser,
    /// An operator issued it, or it was imported.
    Issued,
    /// A later version wrote it. Its tokens are accepted nowhere.
    Unknown,
}

impl SessionKind {
    /// As stored, and as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Browser => "browser",
            Self::Issued => "issued",
            Self::Unknown => "unknown",
        }
    }
}

impl<DB: Backend> FromSql<Text, DB> for SessionKind
where
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(match String::from_sql(value)?.as_str() {
            "api" => Self::Api,
            "browser" => Self::Browser,
            "issued" => Self::Issued,
            _ => Self::Unknown,
        })
    }
}
