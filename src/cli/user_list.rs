//! `tokenhouse user list`, `show` and `export`

use chrono::Utc;
use clap::Args;
use serde::Serialize;

use super::common::{Failure, note_more};
use super::output::{Output, Tone, print_json_text};
use super::table::{Cell, Column, relative};
use super::user::UserArgs;
use crate::auth::{Administrator, Auth};
use crate::store::{AuditEvent, User};
use crate::views::{AdminUser, EventRead, KeyRead, utc};

/// The number of events per query of an export.
const EXPORT_PAGE_SIZE: i64 = 500;

/// The columns of a single user.
static FIELDS: [Column; 2] = [Column::whole("FIELD"), Column::wrapped("VALUE")];

/// The columns of a list of users.
const COLUMNS: [Column; 5] = [
    Column::number("ID"),
    Column::text("ADDRESS"),
    Column::text("NAME"),
    Column::whole("STATE"),
    Column::rest("SCOPES"),
];

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only users whose address, name or surname contains this text
    #[arg(long, default_value = "")]
    search: String,
    /// The maximum number of users
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Start after the user with this id: the last one of the previous page
    #[arg(long)]
    after: Option<String>,
}

/// Lists users, page by page.
pub(super) async fn list(
    auth: &Auth,
    operator: &Administrator,
    args: &ListArgs,
    output: Output,
) -> Result<(), Failure> {
    let search = Some(args.search.as_str());
    let mut table = output.table("users", &COLUMNS);
    let (mut after, mut left) = (args.after.clone(), args.limit);
    let more = loop {
        let page = auth
            .list_users(operator, search, after.as_deref(), left)
            .await?;
        for user in &page.users {
            table.row(&AdminUser::from(user), cells(user));
        }
        left -= page.users.len() as i64;
        match page.next {
            Some(next) if left > 0 => after = Some(next),
            next => break next,
        }
    };
    table.end();
    if let Some(after) = more {
        let shown = usize::try_from(args.limit - left).unwrap_or(0);
        // Counting what a search finds would take another search.
        let total = match args.search.is_empty() {
            true => auth.count_users().await.ok(),
            false => None,
        };
        note_more(shown, total, "users", &after);
    }
    Ok(())
}

/// Everything that is stored about a user.
#[derive(Serialize)]
struct UserExport<'a> {
    user: AdminUser<'a>,
    keys: Vec<KeyRead<'a>>,
    events: Vec<EventRead<'a>>,
}

/// Prints everything that is stored about a user.
pub(super) async fn export(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
) -> Result<(), Failure> {
    let id = auth.find_user_id(&args.email).await?;
    let user = auth.find_user(operator, id).await?;
    let keys = auth.list_keys(id).await?;
    let (mut events, mut before): (Vec<AuditEvent>, _) = (Vec::new(), None);
    loop {
        let page = auth
            .audit()
            .list_of_user(id, before, EXPORT_PAGE_SIZE)
            .await?;
        events.extend(page.events);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let all = UserExport {
        user: AdminUser::from(&user),
        keys: keys.iter().map(KeyRead::from).collect(),
        events: events.iter().map(EventRead::from).collect(),
    };
    let document =
        serde_json::to_string_pretty(&all).map_err(|error| Failure::from(error.to_string()))?;
    print_json_text(&document);
    Ok(())
}

/// Prints one user: at a terminal, all fields whole, one below the other.
pub(super) fn print_user(user: &User, output: Output) {
    if !output.is_for_people() {
        return print_users(std::slice::from_ref(user), output);
    }
    let now = Utc::now().naive_utc();
    let mut table = output.table("fields", &FIELDS);
    let mut field = |name: &str, value: Cell| table.row(&(), vec![Cell::new(name), value]);
    field("ID", Cell::new(user.id.to_string()));
    field("ADDRESS", Cell::new(&*user.email));
    field("NAME", Cell::new(&*user.name));
    field("SURNAME", Cell::new(&*user.surname));
    field("WEBSITE", Cell::new(&*user.website));
    field("STATE", state(user));
    field("SCOPES", Cell::new(&*user.scopes));
    let created = utc(user.created_at);
    let ago = relative(user.created_at, now);
    field("CREATED", Cell::new(format!("{ago} ({created})")));
    table.end();
}

/// Prints users.
pub(super) fn print_users(users: &[User], output: Output) {
    let mut table = output.table("users", &COLUMNS);
    for user in users {
        table.row(&AdminUser::from(user), cells(user));
    }
    table.end();
}

fn cells(user: &User) -> Vec<Cell> {
    vec![
        Cell::new(user.id.to_string()),
        Cell::new(&*user.email),
        Cell::new(&*user.name),
        state(user),
        Cell::new(&*user.scopes),
    ]
}

fn state(user: &User) -> Cell {
    let Some(at) = user.disabled_at else {
        return Cell::new("enabled");
    };
    let ago = relative(at, Utc::now().naive_utc());
    Cell::new(format!("disabled {}", at.format("%Y-%m-%dT%H:%M:%SZ")))
        .shown_as(format!("disabled {ago}"))
        .tone(Tone::Warning)
}
