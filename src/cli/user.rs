//! `tokenhouse user …`

use clap::{Args, Subcommand};

use serde::Serialize;

use super::common::{Problem, read_new_password, with_auth};
use super::output::{Output, print_json_text};
use crate::auth::{Administrator, Auth, Precondition, RegistrationInput, UserPatch};
use crate::config::Config;
use crate::error::{Error, FieldError, InvalidField};
use crate::scope;
use crate::store::{AuditEvent, User};
use crate::views::{AdminUser, EventRead, KeyRead};

/// The number of events per query of an export.
const EXPORT_PAGE_SIZE: i64 = 500;

/// The commands for users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create a user, even when registration is closed. The password is read from standard input.
    Create(CreateArgs),
    /// List users ordered by id: id, address, name, state and scopes, separated by tabs.
    List(ListArgs),
    /// Show a user: id, address, name, state and scopes, separated by tabs.
    Show(UserArgs),
    /// Set a user's password, read from standard input. The login token and all API keys end.
    Passwd(PasswdArgs),
    /// Print everything that is stored about a user, except secrets, as one JSON document.
    Export(UserArgs),
    /// Disable a user: no sign-in, and the login token and all API keys end permanently.
    Disable(UserArgs),
    /// Enable a disabled user.
    Enable(UserArgs),
    /// Reset the failed sign-ins of a user, whose account may be locked because of them.
    Unlock(UserArgs),
    /// Grant scopes to a user, or revoke them, also from all the user's tokens and keys.
    Grant(GrantArgs),
    /// End the login token and all keys of a user.
    SignOut(UserArgs),
    /// Delete a user and all their tokens and keys.
    Delete(UserArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The user's e-mail address
    email: String,
    /// At least five characters
    #[arg(long)]
    name: String,
    #[arg(long, default_value = "")]
    surname: String,
    #[arg(long, default_value = "")]
    website: String,
    /// A scope of the user, such as users:read; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only users whose address begins with this text
    #[arg(long, default_value = "")]
    search: String,
    /// The maximum number of users
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Start after this user: the last id of the previous page, or with --search the last address
    #[arg(long)]
    after: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct UserArgs {
    /// The user's e-mail address, in any spelling
    pub(super) email: String,
}

#[derive(Debug, Args)]
pub(super) struct PasswdArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// Keep the API keys
    #[arg(long)]
    keep_keys: bool,
}

#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// The scopes, such as users:read
    #[arg(required = true)]
    scopes: Vec<String>,
    /// Revoke the scopes instead
    #[arg(long)]
    revoke: bool,
}

/// The number of ended credentials.
#[derive(Serialize)]
struct Ended {
    ended: usize,
}

/// Whether failed sign-ins were reset.
#[derive(Serialize)]
struct Unlocked {
    unlocked: bool,
}

/// The user whose password was changed.
#[derive(Serialize)]
struct PasswordChanged {
    id: i64,
    password_changed: bool,
}

/// The deleted user.
#[derive(Serialize)]
struct Deleted {
    id: i64,
    deleted: bool,
}

pub(super) fn run(config: &Config, command: UserCommand, output: Output) -> Result<(), String> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            UserCommand::Create(args) => create(&auth, &operator, args, output).await,
            UserCommand::List(args) => list(&auth, &operator, &args, output).await,
            UserCommand::Show(args) => {
                let id = auth.find_user_id(&args.email).await?;
                print_user(&auth.find_user(&operator, id).await?, output);
                Ok(())
            }
            UserCommand::Passwd(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let password = read_new_password()?;
                auth.set_password(&operator, id, password, args.keep_keys)
                    .await?;
                let changed = PasswordChanged {
                    id,
                    password_changed: true,
                };
                output.print(&changed, &["changed the password"]);
                Ok(())
            }
            UserCommand::Export(args) => export(&auth, &operator, &args).await,
            UserCommand::Disable(args) => set_disabled(&auth, &operator, &args, true, output).await,
            UserCommand::Enable(args) => set_disabled(&auth, &operator, &args, false, output).await,
            UserCommand::Grant(args) => grant(&auth, &operator, &args, output).await,
            UserCommand::Unlock(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let unlocked = auth.unlock_user(&operator, id).await?;
                let text = if unlocked {
                    "unlocked"
                } else {
                    "was not locked"
                };
                output.print(&Unlocked { unlocked }, &[text]);
                Ok(())
            }
            UserCommand::SignOut(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let ended = auth.sign_out_user(&operator, id).await?;
                output.print(&Ended { ended }, &[&format!("ended {ended}")]);
                Ok(())
            }
            UserCommand::Delete(args) => {
                let id = auth.find_user_id(&args.email).await?;
                auth.delete_user(&operator, id, Precondition::None).await?;
                let deleted = Deleted { id, deleted: true };
                output.print(&deleted, &[&format!("deleted user {id}")]);
                Ok(())
            }
        }
    })
}

async fn create(
    auth: &Auth,
    operator: &Administrator,
    args: CreateArgs,
    output: Output,
) -> Result<(), Problem> {
    let input = RegistrationInput {
        name: Ok(args.name),
        surname: Ok(args.surname),
        email: Ok(args.email),
        website: Ok(args.website),
        password: Ok(read_new_password()?),
    };
    let scopes = Ok(Some(args.scopes.join(" ")));
    let user = auth.create_user(operator, input, scopes).await?;
    print_user(&user, output);
    Ok(())
}

async fn list(
    auth: &Auth,
    operator: &Administrator,
    args: &ListArgs,
    output: Output,
) -> Result<(), Problem> {
    let search = Some(args.search.as_str());
    let (mut after, mut left) = (args.after.clone(), args.limit);
    loop {
        let page = auth
            .list_users(operator, search, after.as_deref(), left)
            .await?;
        page.users.iter().for_each(|user| print_user(user, output));
        left -= page.users.len() as i64;
        match page.next {
            Some(next) if left > 0 => after = Some(next),
            _ => return Ok(()),
        }
    }
}

async fn set_disabled(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
    disabled: bool,
    output: Output,
) -> Result<(), Problem> {
    let id = auth.find_user_id(&args.email).await?;
    let patch = UserPatch {
        disabled: Ok(Some(disabled)),
        ..UserPatch::none()
    };
    let user = auth.update_user(operator, id, patch).await?;
    let text = if disabled { "disabled" } else { "enabled" };
    output.print(
        &AdminUser::from(&user),
        &[&format!("{text} {}", user.email)],
    );
    Ok(())
}

async fn grant(
    auth: &Auth,
    operator: &Administrator,
    args: &GrantArgs,
    output: Output,
) -> Result<(), Problem> {
    let id = auth.find_user_id(&args.email).await?;
    let named = scope::normalise(&args.scopes.join(" "))
        .map_err(|error| Error::from(FieldError::new("scopes", InvalidField::Scopes(error))))?;
    let patch = if args.revoke {
        UserPatch {
            scopes_remove: Ok(Some(named)),
            ..UserPatch::none()
        }
    } else {
        UserPatch {
            scopes_add: Ok(Some(named)),
            ..UserPatch::none()
        }
    };
    print_user(&auth.update_user(operator, id, patch).await?, output);
    Ok(())
}

/// Everything that is stored about a user.
#[derive(Serialize)]
struct UserExport<'a> {
    user: AdminUser<'a>,
    keys: Vec<KeyRead<'a>>,
    events: Vec<EventRead<'a>>,
}

async fn export(auth: &Auth, operator: &Administrator, args: &UserArgs) -> Result<(), Problem> {
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
        serde_json::to_string_pretty(&all).map_err(|error| Problem(error.to_string()))?;
    print_json_text(&document);
    Ok(())
}

fn print_user(user: &User, output: Output) {
    let state = match user.disabled_at {
        Some(at) => format!("disabled {}", at.and_utc().format("%Y-%m-%dT%H:%M:%SZ")),
        None => "enabled".to_owned(),
    };
    let id = user.id.to_string();
    output.print(
        &AdminUser::from(user),
        &[&id, &user.email, &user.name, &state, &user.scopes],
    );
}
