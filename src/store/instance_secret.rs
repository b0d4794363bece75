//! Keys that the service has made for itself.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::schema::instance_secrets;
use super::{StoreConnection, Writing};

/// The key of this name, if it was made.
pub(crate) fn find(conn: &mut StoreConnection, name: &str) -> QueryResult<Option<String>> {
    instance_secrets::table
        .find(name)
        .select(instance_secrets::secret)
        .get_result(conn)
        .optional()
}

/// The key of this name, which is `new` if it was not there. Of several processes at once, all get
/// the same.
pub(crate) fn find_or_insert(tx: &mut Writing<'_>, name: &str, new: &str) -> QueryResult<String> {
    // The derive of the connection has no ON CONFLICT; both databases write it alike.
    diesel::sql_query(
        "INSERT INTO instance_secrets (name, secret) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    )
    .bind::<Text, _>(name)
    .bind::<Text, _>(new)
    .execute(tx.conn())?;
    find(tx, name)?.ok_or(diesel::result::Error::NotFound)
}
