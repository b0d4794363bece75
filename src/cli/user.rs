//! `tokenhouse user …`

use clap::{Args, Subcommand};

use super::domain::{Problem, line, read_new_password, with_auth};
use crate::auth::{Administrator, Auth, RegistrationForm, UserPatch};
use crate::config::Config;
use crate::scope;
use crate::store::User;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user, whoever may register. The password is read from standard input.
    Create(CreateArgs),
    /// List users in the order of their ids: id, address, name, whether they are disabled, and
    /// scopes, separated by tabs.
    List(ListArgs),
    /// Keep a user out: no sign-in, and no token or key is accepted.
    Disable(UserArgs),
    /// Let a user in again.
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

pub(super) fn run(config: &Config, command: UserCommand) -> Result<(), String> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            UserCommand::Create(args) => create(&auth, &operator, args).await,
            UserCommand::List(args) => list(&auth, &operator, &args).await,
            UserCommand::Disable(args) => set_disabled(&auth, &operator, &args, true).await,
            UserCommand::Enable(args) => set_disabled(&auth, &operator, &args, false).await,
            UserCommand::Grant(args) => grant(&auth, &operator, &args).await,
            UserCommand::Unlock(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let were_any = auth.unlock_user(&operator, id).await?;
                println!(
                    "{}",
                    if were_any {
                        "unlocked"
                    } else {
                        "was not locked"
                    }
                );
                Ok(())
            }
            UserCommand::SignOut(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let ended = auth.sign_out_user(&operator, id).await?;
                println!("ended {ended}");
                Ok(())
            }
            UserCommand::Delete(args) => {
                let id = auth.find_user_id(&args.email).await?;
                Ok(auth.delete_user(&operator, id).await?)
            }
        }
    })
}

async fn create(auth: &Auth, operator: &Administrator, args: CreateArgs) -> Result<(), Problem> {
    let form = RegistrationForm {
        name: Ok(args.name),
        surname: Ok(args.surname),
        email: Ok(args.email),
        website: Ok(args.website),
        password: Ok(read_new_password()?),
    };
    let scopes = Ok(Some(args.scopes.join(" ")));
    let user = auth.create_user(operator, form, scopes).await?;
    print_user(&user);
    Ok(())
}

async fn list(auth: &Auth, operator: &Administrator, args: &ListArgs) -> Result<(), Problem> {
    let (search, after) = (Some(args.search.as_str()), args.after.as_deref());
    let page = auth.list_users(operator, search, after, args.limit).await?;
    page.users.iter().for_each(print_user);
    Ok(())
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

async fn grant(auth: &Auth, operator: &Administrator, args: &GrantArgs) -> Result<(), Problem> {
    let id = auth.find_user_id(&args.email).await?;
    let user = auth.find_user(operator, id).await?;
    let named = args.scopes.join(" ");
    let scopes = if args.take {
        let left: Vec<&str> = scope::names(&user.scopes)
            .filter(|name| !scope::contains(&named, name))
            .collect();
        left.join(" ")
    } else {
        format!("{} {named}", user.scopes)
    };
    let patch = UserPatch {
        scopes: Ok(Some(scopes)),
        ..UserPatch::none()
    };
    print_user(&auth.update_user(operator, id, patch).await?);
    Ok(())
}

fn print_user(user: &User) {
    let state = match user.disabled_at {
        Some(at) => format!("disabled {}", at.and_utc().format("%Y-%m-%dT%H:%M:%SZ")),
        None => "enabled".to_owned(),
    };
    let id = user.id.to_string();
    println!(
        "{}",
        line(&[&id, &user.email, &user.name, &state, &user.scopes])
    );
}
