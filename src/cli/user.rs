//! `tokenhouse user …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{Failure, and_ended, check_scopes, counted, find_id, with_auth_creating};
use super::output::Output;
use super::prompt::{YesArgs, is_interactive, read_new_password};
use super::user_access::{InviteArgs, invite, print_reset_link, reset_factors, verify};
use super::user_list::{ListArgs, export, list, print_user, print_users};
use crate::auth::{
    Administrator, Auth, Precondition, ProfileInput, RegistrationInput, RevokedCredentials,
    UserPatch,
};
use crate::config::Config;
use crate::error::{FieldError, InvalidField};
use crate::store::User;
use crate::views::AdminUser;

/// The commands for users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create a user, even when registration is closed. The password is read from standard input.
    Create(CreateArgs),
    /// Invite the reader of an address: print a link with which they create the user, even when registration
    /// is closed.
    Invite(InviteArgs),
    /// List users ordered by id, with --search by address: id, address, name, state and scopes.
    List(ListArgs),
    /// Show a user: id, address, name, state and scopes.
    Show(UserArgs),
    /// Change the profile or the address of a user. Tokens and keys stay valid; the user signs in with
    /// the new address.
    Update(UpdateArgs),
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
    /// Print a link with which a user can set another password. It replaces links in mails.
    ResetLink(UserArgs),
    /// Remove all second factors and recovery codes of a user who has lost them. All sessions end.
    ResetFactors(UserArgs),
    /// Declare the address of a user verified.
    Verify(UserArgs),
    /// Grant scopes to a user, or revoke them, also from all the user's tokens and keys.
    Grant(GrantArgs),
    /// End the login token and all keys of a user.
    SignOut(EndArgs),
    /// Delete a user and all their tokens and keys.
    Delete(EndArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The user's e-mail address
    email: String,
    /// At least five characters; in the profile standard one or more, or none at all
    #[arg(long)]
    name: Option<String>,
    #[arg(long, default_value = "")]
    surname: String,
    #[arg(long, default_value = "")]
    website: String,
    /// A scope of the user, such as users:read; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct UserArgs {
    /// The user's e-mail address, in any spelling
    pub(super) email: String,
}

#[derive(Debug, Args)]
pub(super) struct EndArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    #[command(flatten)]
    yes: YesArgs,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The user's e-mail address, in any spelling, or id
    user: String,
    /// At least five characters
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    surname: Option<String>,
    #[arg(long)]
    website: Option<String>,
    /// The new e-mail address
    #[arg(long = "email", value_name = "NEW")]
    new_email: Option<String>,
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

/// A result and the credentials that have ended.
#[derive(Serialize)]
struct Ending<T> {
    #[serde(flatten)]
    result: T,
    ended_tokens: usize,
    ended_keys: usize,
}

impl<T> Ending<T> {
    fn new(result: T, revoked: RevokedCredentials) -> Self {
        Self {
            result,
            ended_tokens: revoked.sessions(),
            ended_keys: revoked.keys(),
        }
    }
}

/// The user who was signed out.
#[derive(Serialize)]
struct SignedOut {
    id: i64,
    ended: usize,
}

/// Whether failed sign-ins were reset.
#[derive(Serialize)]
struct Unlocked {
    id: i64,
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

pub(super) fn run(config: &Config, command: UserCommand, output: Output) -> Result<(), Failure> {
    let creates = matches!(command, UserCommand::Create(_));
    with_auth_creating(config, creates, async |auth| {
        let operator = Administrator::operator();
        match command {
            UserCommand::Create(args) => create(&auth, &operator, args, output).await,
            UserCommand::List(args) => list(&auth, &operator, &args, output).await,
            UserCommand::Show(args) => {
                let id = auth.find_user_id(&args.email).await?;
                print_user(&auth.find_user(&operator, id).await?, output);
                Ok(())
            }
            UserCommand::Update(args) => update(&auth, &operator, args, output).await,
            UserCommand::Passwd(args) => set_password(&auth, &operator, &args, output).await,
            UserCommand::Export(args) => export(&auth, &operator, &args).await,
            UserCommand::Disable(args) => set_disabled(&auth, &operator, &args, true, output).await,
            UserCommand::Enable(args) => set_disabled(&auth, &operator, &args, false, output).await,
            UserCommand::Grant(args) => grant(&auth, &operator, &args, output).await,
            UserCommand::Invite(args) => invite(&auth, &operator, args, output).await,
            UserCommand::ResetLink(args) => print_reset_link(&auth, &operator, &args, output).await,
            UserCommand::ResetFactors(args) => reset_factors(&auth, &operator, &args, output).await,
            UserCommand::Verify(args) => verify(&auth, &operator, &args, output).await,
            UserCommand::Unlock(args) => unlock(&auth, &operator, &args, output).await,
            UserCommand::SignOut(args) => sign_out(&auth, &operator, &args, output).await,
            UserCommand::Delete(args) => delete(&auth, &operator, &args, output).await,
        }
    })
}

async fn create(
    auth: &Auth,
    operator: &Administrator,
    args: CreateArgs,
    output: Output,
) -> Result<(), Failure> {
    let scopes = Ok(Some(args.scopes.join(" ")));
    let input = |password| RegistrationInput {
        name: (args.name.clone()).ok_or_else(|| FieldError::new("name", InvalidField::Missing)),
        surname: Ok(args.surname.clone()),
        email: Ok(args.email.clone()),
        website: Ok(args.website.clone()),
        password,
    };
    if is_interactive() {
        let not_yet = Err(FieldError::new("password", InvalidField::Missing));
        auth.check_new_user(input(not_yet), scopes.clone()).await?;
    }
    let name = args.name.as_deref().unwrap_or_default();
    let words = [&*args.email, name, &args.surname];
    let password = read_new_password(auth.config().password_policy, &words)?;
    let user = auth
        .create_user(operator, input(Ok(password)), scopes)
        .await?;
    let sentence = format!(
        "created user {}, {}{}",
        user.id,
        user.email,
        with_scopes(&user)
    );
    confirm_user(&user, &sentence, output);
    Ok(())
}

async fn set_password(
    auth: &Auth,
    operator: &Administrator,
    args: &PasswdArgs,
    output: Output,
) -> Result<(), Failure> {
    let User {
        id,
        email,
        name,
        surname,
        ..
    } = auth.find_user_by_address(&args.email).await?;
    let policy = auth.config().password_policy;
    let password = read_new_password(policy, &[&*email, &name, &surname])?;
    let revoked = auth
        .set_password(operator, id, password, args.keep_keys)
        .await?;
    let changed = PasswordChanged {
        id,
        password_changed: true,
    };
    let sentence = format!("changed the password of {email}{}", and_ended(revoked));
    output.confirm(&Ending::new(changed, revoked), &sentence);
    Ok(())
}

async fn set_disabled(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
    disabled: bool,
    output: Output,
) -> Result<(), Failure> {
    let id = auth.find_user_id(&args.email).await?;
    let patch = UserPatch {
        disabled: Ok(Some(disabled)),
        ..UserPatch::none()
    };
    let (user, revoked) = auth.update_user_and_revoke(operator, id, patch).await?;
    let verb = if disabled { "disabled" } else { "enabled" };
    let sentence = format!("{verb} {}{}", user.email, and_ended(revoked));
    output.confirm(&Ending::new(AdminUser::from(&user), revoked), &sentence);
    Ok(())
}

async fn update(
    auth: &Auth,
    operator: &Administrator,
    args: UpdateArgs,
    output: Output,
) -> Result<(), Failure> {
    let changes = [&args.name, &args.surname, &args.website, &args.new_email];
    if changes.into_iter().all(Option::is_none) {
        let problem = "nothing to change: use --email, --name, --surname or --website";
        return Err(Failure::bad_input(problem));
    }
    let id = find_id(auth, &args.user).await?;
    let patch = UserPatch {
        profile: ProfileInput {
            name: Ok(args.name),
            surname: Ok(args.surname),
            website: Ok(args.website),
        },
        email: Ok(args.new_email),
        ..UserPatch::none()
    };
    let user = auth.update_user(operator, id, patch).await?;
    confirm_user(&user, &format!("updated {}", user.email), output);
    Ok(())
}

async fn grant(
    auth: &Auth,
    operator: &Administrator,
    args: &GrantArgs,
    output: Output,
) -> Result<(), Failure> {
    let id = auth.find_user_id(&args.email).await?;
    let named = check_scopes(&args.scopes)?;
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
    let user = auth.update_user(operator, id, patch).await?;
    let sentence = match user.scopes.is_empty() {
        true => format!("{} holds no scopes now", user.email),
        false => format!("{} now holds {}", user.email, user.scopes),
    };
    confirm_user(&user, &sentence, output);
    Ok(())
}

async fn unlock(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let unlocked = auth.unlock_user(operator, id).await?;
    let sentence = match unlocked {
        true => format!("unlocked {email}"),
        false => format!("{email} was not locked"),
    };
    output.confirm(&Unlocked { id, unlocked }, &sentence);
    Ok(())
}

async fn sign_out(
    auth: &Auth,
    operator: &Administrator,
    args: &EndArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    args.yes.confirm(&format!(
        "End the login token and all API keys of {email} for good?"
    ))?;
    let revoked = auth.sign_out_user(operator, id).await?;
    let ended = revoked.count();
    let sentence = match ended {
        0 => format!("{email} had no login token and no API keys"),
        _ => format!("signed {email} out{}", and_ended(revoked)),
    };
    output.confirm(&Ending::new(SignedOut { id, ended }, revoked), &sentence);
    Ok(())
}

async fn delete(
    auth: &Auth,
    operator: &Administrator,
    args: &EndArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    if args.yes.will_ask() {
        let keys = counted(auth.list_keys(id).await?.len(), "API key");
        let question = format!("This deletes {email} (user {id}) with {keys}, for good.");
        args.yes.confirm_address(&question, &email)?;
    }
    let revoked = auth.delete_user(operator, id, Precondition::None).await?;
    let deleted = Deleted { id, deleted: true };
    let sentence = format!("deleted {email}, user {id}{}", and_ended(revoked));
    output.confirm(&Ending::new(deleted, revoked), &sentence);
    Ok(())
}

/// Confirms a change of a user: in a sentence at a terminal, otherwise by the user's row.
fn confirm_user(user: &User, sentence: &str, output: Output) {
    match output.is_for_people() {
        true => output.confirm(&AdminUser::from(user), sentence),
        false => print_users(std::slice::from_ref(user), output),
    }
}

fn with_scopes(user: &User) -> String {
    match user.scopes.is_empty() {
        true => String::new(),
        false => format!(", with {}", user.scopes),
    }
}
