//! `tokenhouse user …`

use clap::{Args, Subcommand};

use serde::Serialize;

use super::common::{Problem, read_new_password, with_auth};
use super::output::{Output, say, say_json};
use crate::auth::{Administrator, Auth, Precondition, RegistrationInput, UserPatch};
use crate::config::Config;
use crate::error::{Error, FieldError, InvalidField};
use crate::scope;
use crate::store::{AuditEvent, User};
use crate::views::{AdminUser, EventRead, KeyRead};

/// Events that are read at once for an export.
const EVENTS_AT_ONCE: i64 = 500;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user, whoever may register. The password is read from standard input.
    Create(CreateArgs),
    /// List users in the order of their ids: id, address, name, whether they are disabled, and
    /// scopes, separated by tabs.
    List(ListArgs),
    /// Show a user: id, address, name, whether disabled, and scopes, separated by tabs.
    Show(UserArgs),
    /// Give a user a new password, read from standard input. The login token and all API keys end.
    Passwd(PasswdArgs),
    /// Print everything that is kept about a user as one JSON document, but for what is secret.
    Export(UserArgs),
    /// Keep a user out: no sign-in, and the login token and all API keys end for good.
    Disable(UserArgs),
    /// Let a user sign in again.
    Enable(UserArgs),
    /// Let a user sign in without a wait after too many wrong passwords.
    Unlock(UserArgs),
    /// Give scopes to a user, or take them. What is taken is taken from all tokens and keys.
    Grant(GrantArgs),
    /// End the login token and all keys of a user.
    SignOut(UserArgs),
    /// Delete a user, with all tokens and keys.
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
    /// What the user may do, such as users:read; for several, give it several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those whose address begins like this
    #[arg(long, default_value = "")]
    search: String,
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Only those after this: the id, or with --search the address, that ended the page before
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
    /// Leave the API keys as they are
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
    /// Take them instead
    #[arg(long)]
    take: bool,
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
                let changed = auth.set_password(&operator, id, password, args.keep_keys);
                Ok(changed.await?)
            }
            UserCommand::Export(args) => export(&auth, &operator, &args).await,
            UserCommand::Disable(args) => set_disabled(&auth, &operator, &args, true).await,
            UserCommand::Enable(args) => set_disabled(&auth, &operator, &args, false).await,
            UserCommand::Grant(args) => grant(&auth, &operator, &args, output).await,
            UserCommand::Unlock(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let were_any = auth.unlock_user(&operator, id).await?;
                say(if were_any {
                    "unlocked"
                } else {
                    "was not locked"
                });
                Ok(())
            }
            UserCommand::SignOut(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let ended = auth.sign_out_user(&operator, id).await?;
                say(&format!("ended {ended}"));
                Ok(())
            }
            UserCommand::Delete(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let deleted = auth.delete_user(&operator, id, Precondition::None);
                Ok(deleted.await?)
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
) -> Result<(), Problem> {
    let id = auth.find_user_id(&args.email).await?;
    let patch = UserPatch {
        disabled: Ok(Some(disabled)),
        ..UserPatch::none()
    };
    auth.update_user(operator, id, patch).await?;
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
    let patch = if args.take {
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

/// Everything that is kept about a user.
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
        let page = auth.list_events_of_user(id, before, EVENTS_AT_ONCE).await?;
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
    say_json(&document);
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
