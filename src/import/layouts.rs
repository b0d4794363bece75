//! The tables in which other programs store their users and tokens.

use super::columns::{Columns, Field};
use super::database::{SourceDatabase, SourceQuery, SourceRow, Table, quoted};
use super::rows::{RawRow, RawToken, RawTruth, TokenForm};
use super::values::Value;

/// The format of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The tutorial's tables `users` and `access_tokens`.
    Tutorial,
    /// `user` or `users`, and `accesstoken` of fastapi-users.
    FastapiUsers,
    /// `auth_user` or another user model of Django, `authtoken_token` of its REST framework,
    /// `knox_authtoken`.
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

    /// The usual tables of users.
    const fn users_tables(self) -> &'static [&'static str] {
        match self {
            Self::FastapiUsers => &["user", "users"],
            Self::Django => &["auth_user"],
            Self::Tutorial | Self::Csv | Self::Jsonl => &["users"],
        }
    }
}

/// The tables of tokens, whichever table has the users.
const TOKEN_TABLES: &[&str] = &[
    "access_tokens",
    "access_token",
    "accesstoken",
    "accesstokens",
    "authtoken_token",
    "knox_authtoken",
];

/// The maximum number of tables that an error lists.
const MAX_LISTED: usize = 20;

/// What the operator says about the tables.
#[derive(Clone, Debug, Default)]
pub struct TableChoice {
    /// The table of users; on Postgres `schema.table` too.
    pub users: Option<String>,
    /// The table of tokens.
    pub tokens: Option<String>,
}

/// The tables of a database.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) format: Format,
    pub(super) users: Table,
    pub(super) columns: Columns,
    pub(super) tokens: Vec<TokenTable>,
}

/// A table of tokens and its columns.
#[derive(Debug)]
pub(super) struct TokenTable {
    pub(super) table: Table,
    form: TokenForm,
    user: String,
    value: String,
    created: Option<String>,
    expires: Option<String>,
}

impl TokenTable {
    /// `None` if the table has not the columns of one.
    fn find(source: &mut SourceDatabase, table: Table) -> Result<Option<Self>, String> {
        let names = source.columns(&table)?;
        let pick = |wanted: &[&str]| {
            let mut found = wanted
                .iter()
                .filter_map(|wanted| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)));
            found.next().cloned()
        };
        let (user, digest) = (pick(&["user_id"]), pick(&["digest"]));
        let value = pick(&["access_token", "token", "key"]).or_else(|| digest.clone());
        let created = pick(&["created_at", "created"]);
        let expires = pick(&["expiration_date", "expires_at", "expires", "expiry"]);
        let (Some(user), Some(value)) = (user, value) else {
            return Ok(None);
        };
        let form = if digest.as_ref() == Some(&value) {
            TokenForm::Knox
        } else if value.eq_ignore_ascii_case("token") && expires.is_none() && created.is_some() {
            TokenForm::SinceCreation
        } else {
            TokenForm::Stated
        };
        Ok(Some(Self {
            table,
            form,
            user,
            value,
            created,
            expires,
        }))
    }

    /// Selects the tokens; Postgres combines only columns of one type.
    fn select(&self, is_postgres: bool) -> String {
        let column = |name: Option<&String>| match name {
            Some(name) if is_postgres => format!("{}::text", quoted(name)),
            Some(name) => quoted(name),
            None if is_postgres => "NULL::text".to_owned(),
            None => "NULL".to_owned(),
        };
        format!(
            "SELECT {} AS user_id, {} AS token, '{}' AS form, {} AS created, {} AS expires FROM {}",
            column(Some(&self.user)),
            column(Some(&self.value)),
            self.form.name(),
            column(self.created.as_ref()),
            column(self.expires.as_ref()),
            self.table.quoted(),
        )
    }
}

impl TokenForm {
    const ALL: [Self; 3] = [Self::Stated, Self::SinceCreation, Self::Knox];

    const fn name(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::SinceCreation => "since-creation",
            Self::Knox => "knox",
        }
    }
}

/// Finds the tables of users and tokens.
///
/// # Errors
/// A text for the operator if the database does not answer, or has none or several tables of users.
pub(super) fn find(
    source: &mut SourceDatabase,
    format: Option<Format>,
    choice: &TableChoice,
) -> Result<Layout, String> {
    let users = match &choice.users {
        Some(name) => source.parse_table(name),
        None => find_users(source, format)?,
    };
    let columns = source.columns(&users)?;
    if columns.is_empty() {
        return Err(format!("has no table {users}"));
    }
    let columns = Columns::of_table(columns);
    if columns.names().iter().any(|column| column == "email_key") {
        return Err(super::OWN_DATABASE.to_owned());
    }
    for (field, name) in [
        (Field::Id, "id"),
        (Field::Hash, "hashed_password or password"),
    ] {
        if columns.index(field).is_none() {
            return Err(format!("the table {users} has no column {name}"));
        }
    }
    if columns
        .index(Field::Email)
        .or(columns.index(Field::Username))
        .is_none()
    {
        return Err(format!("the table {users} has no column email or username"));
    }
    let tokens = find_tokens(source, &users, choice)?;
    let format = format.unwrap_or_else(|| guess(&users, &columns, &tokens));
    Ok(Layout {
        format,
        users,
        columns,
        tokens,
    })
}

/// The only table of users.
fn find_users(source: &mut SourceDatabase, format: Option<Format>) -> Result<Table, String> {
    let formats = format.as_slice();
    let formats = if formats.is_empty() {
        &[Format::Django, Format::FastapiUsers, Format::Tutorial]
    } else {
        formats
    };
    let mut tables: Vec<Table> = Vec::new();
    for format in formats {
        tables.extend(format.users_tables().iter().map(|name| Table::new(name)));
        if *format == Format::Django {
            for name in ["authtoken_token", "knox_authtoken"] {
                tables.extend(source.users_of(&Table::new(name))?);
            }
        }
    }
    let mut found = with_users(source, tables)?;
    let all = if found.is_empty() {
        source.tables()?
    } else {
        Vec::new()
    };
    if found.is_empty() {
        found = with_users(source, all.clone())?;
    }
    let list = |tables: &[Table]| {
        let names: Vec<&str> = tables.iter().map(Table::name).take(MAX_LISTED).collect();
        names.join(", ")
    };
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] if all.is_empty() => Err("has no tables".to_owned()),
        [] => Err(format!(
            "has no table with addresses and password hashes; choose one with --users-table: {}",
            list(&all)
        )),
        several => Err(format!(
            "has several tables of users; choose one with --users-table: {}",
            list(several)
        )),
    }
}

/// Those of the tables that have users, each once.
fn with_users(source: &mut SourceDatabase, tables: Vec<Table>) -> Result<Vec<Table>, String> {
    let mut found = Vec::new();
    for table in tables {
        let columns = Columns::of_table(source.columns(&table)?);
        let has = |field| columns.index(field).is_some();
        let has_users = has(Field::Hash) && (has(Field::Email) || has(Field::Username));
        if has_users && !found.contains(&table) {
            found.push(table);
        }
    }
    Ok(found)
}

fn find_tokens(
    source: &mut SourceDatabase,
    users: &Table,
    choice: &TableChoice,
) -> Result<Vec<TokenTable>, String> {
    if let Some(name) = &choice.tokens {
        let table = source.parse_table(name);
        let found = TokenTable::find(source, table)?;
        let expected = "user_id and one of access_token, token, key and digest";
        let found = found.ok_or(format!(
            "{name}: expected a table with the columns {expected}"
        ))?;
        return Ok(vec![found]);
    }
    let mut found = Vec::new();
    for name in TOKEN_TABLES {
        found.extend(TokenTable::find(source, users.sibling(name))?);
    }
    Ok(found)
}

fn guess(users: &Table, columns: &Columns, tokens: &[TokenTable]) -> Format {
    let is_django = |name: &str| name == "authtoken_token" || name == "knox_authtoken";
    let has = |name: &str| columns.names().iter().any(|column| column == name);
    if has("password") && (has("last_login") || tokens.iter().any(|t| is_django(t.table.name()))) {
        Format::Django
    } else if users.name() == "user" || tokens.iter().any(|t| t.form == TokenForm::SinceCreation) {
        Format::FastapiUsers
    } else {
        Format::Tutorial
    }
}

/// The fields of a user, in the order of the query.
const FIELDS: [Field; 8] = [
    Field::Id,
    Field::Email,
    Field::Username,
    Field::Name,
    Field::Surname,
    Field::Website,
    Field::Hash,
    Field::CreatedAt,
];

impl Layout {
    /// The query for users with their tokens: a row per token, grouped by user, and at most `limit` rows,
    /// since many tokens of many users with one id are a product.
    pub(super) fn query(&self, is_postgres: bool, limit: u64) -> SourceQuery {
        let column = |name: &str| format!("u.{}", quoted(name));
        let field = |field: &Field| self.columns.name(*field).map_or("NULL".to_owned(), column);
        let truths = self.columns.truths.iter();
        let truths = truths.filter_map(|(_, index)| self.columns.names().get(*index));
        let mut columns: Vec<String> = FIELDS.iter().map(field).collect();
        columns.extend(truths.map(|name| column(name)));
        columns.extend(["t.token", "t.form", "t.created", "t.expires"].map(str::to_owned));
        let id = field(&Field::Id);
        let key = if is_postgres {
            format!("{id}::text")
        } else {
            id.clone()
        };
        let selects: Vec<String> = self
            .tokens
            .iter()
            .map(|table| table.select(is_postgres))
            .collect();
        let tokens = if selects.is_empty() {
            "SELECT NULL AS user_id, NULL AS token, NULL AS form, NULL AS created, NULL AS expires \
             WHERE 1 = 0"
                .to_owned()
        } else {
            selects.join(" UNION ALL ")
        };
        SourceQuery {
            columns,
            from: format!(
                "{} u LEFT JOIN ({tokens}) t ON t.user_id = {key} ORDER BY {id} \
                 LIMIT {limit}",
                self.users.quoted(),
            ),
        }
    }

    /// A row of the query.
    pub(super) fn row(&self, row: SourceRow) -> RawRow {
        let mut values = row.into_iter();
        let mut next = || values.next().unwrap_or_default();
        let [
            id,
            email,
            username,
            name,
            surname,
            website,
            hashed_password,
            created_at,
        ] = FIELDS.map(|_field| next());
        let truths = self.columns.truths.iter().map(|(truth, index)| RawTruth {
            column: self
                .columns
                .names()
                .get(*index)
                .cloned()
                .unwrap_or_default(),
            truth: *truth,
            value: next(),
        });
        let truths = truths.collect();
        let value = next();
        let form = match next() {
            Value::Text(form) => TokenForm::ALL
                .into_iter()
                .find(|known| known.name() == form),
            _ => None,
        };
        RawRow {
            line: None,
            id,
            email,
            username,
            name,
            surname,
            website,
            hashed_password,
            created_at,
            truths,
            token: RawToken {
                value,
                form: form.unwrap_or_default(),
                created_at: next(),
                expires_at: next(),
            },
        }
    }
}
