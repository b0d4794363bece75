//! `tokenhouse user invite`, `reset-link`, `verify` and `reset-factors`: the ways back into an account, by hand.

use clap::Args;
use serde::Serialize;

use super::common::{Failure, check_scopes};
use super::output::{Output, note};
use super::user::UserArgs;
use crate::auth::{Administrator, Auth, InvitationInput};
use crate::store::User;
use crate::views::{InvitationRead, utc};

#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    /// The address that is invited
    email: String,
    /// The name of the user, unless they choose another one
    #[arg(long)]
    name: Option<String>,
    /// A scope of the user, such as users:read; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Send a mail instead of printing the link
    #[arg(long)]
    send: bool,
}

/// A link to pass on to a user.
#[derive(Serialize)]
struct ResetLink {
    id: i64,
    url: String,
    expires_at: String,
}

/// The user whose address was declared verified.
#[derive(Serialize)]
struct Verified {
    id: i64,
    verified: bool,
}

pub(super) async fn invite(
    auth: &Auth,
    operator: &Administrator,
    args: InviteArgs,
    output: Output,
) -> Result<(), Failure> {
    let input = InvitationInput {
        email: Ok(args.email),
        name: Ok(args.name),
        scopes: Ok(Some(check_scopes(&args.scopes)?)),
        expires_in: Ok(None),
        deliver: Ok(Some(args.send)),
    };
    let invited = auth.invite(operator, input).await?;
    let read = InvitationRead::new(&invited.invitation, auth.clock().now());
    let read = read.with_url(invited.url.as_deref());
    let (email, expires_at) = (read.email, &read.expires_at);
    match read.url {
        Some(url) => {
            note(&format!(
                "{email} can create the user with this link, once, until {expires_at}"
            ));
            output.print(&read, &[url]);
        }
        None => output.confirm(&read, &format!("a mail to {email} is queued")),
    }
    Ok(())
}

pub(super) async fn print_reset_link(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let link = auth.print_reset_link(operator, id).await?;
    let (url, expires_at) = (link.url, utc(link.expires_at));
    note(&format!(
        "{email} can set another password with this link, once, until {expires_at}"
    ));
    let printed = ResetLink {
        id,
        url,
        expires_at,
    };
    output.print(&printed, &[&printed.url]);
    Ok(())
}

pub(super) async fn verify(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let is_new = auth.declare_verified(operator, id).await?;
    let sentence = match is_new {
        true => format!("{email} is verified"),
        false => format!("{email} was verified already"),
    };
    output.confirm(&Verified { id, verified: true }, &sentence);
    Ok(())
}

/// The user whose second factors were removed.
#[derive(Serialize)]
struct FactorsReset {
    id: i64,
    factors: usize,
}

pub(super) async fn reset_factors(
    auth: &Auth,
    operator: &Administrator,
    args: &UserArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let factors = auth.reset_factors(operator, id, None).await?;
    let sentence = match factors {
        0 => format!("{email} had no second factor, and is signed out"),
        1 => format!("{email} has no second factor any more, and is signed out"),
        several => format!("{email} has lost {several} second factors, and is signed out"),
    };
    output.confirm(&FactorsReset { id, factors }, &sentence);
    Ok(())
}
