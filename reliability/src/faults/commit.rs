//! Connections that are cut in the middle of a COMMIT, after each of its bytes and of its answer's.

use std::thread;
use std::time::{Duration, Instant};

use super::FaultsReport;
use super::proxy::COMMIT_AND_ANSWER;
use super::stage::Stage;
use crate::durability::client::{Client, Step};
use crate::durability::compare::Findings;
use crate::durability::field::Clients;
use crate::durability::ledger::Change;

/// How long a change may take to be done after a cut, however often it has to be asked for.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// A change, by what has to be there before it.
type Kind = (&'static str, fn(&mut Client) -> Change);

const KINDS: [Kind; 7] = [
    ("login", |_| Change::Login),
    ("logout", |_| Change::Logout),
    ("key.create", |_| Change::CreateKey),
    ("key.revoke", |client| {
        let keys = &client.state().keys;
        Change::RevokeKey(keys.keys().next().copied().unwrap_or_default())
    }),
    ("password.change", |client| {
        Change::Password(client.new_password(), Vec::new())
    }),
    ("user.disable", |_| Change::Disable),
    ("register", |client| {
        client.turn_to_another_user();
        Change::Register
    }),
];

/// Cuts a COMMIT of every kind of change after every byte. The change is asked for again, and must
/// not be made twice.
pub(super) fn cut(
    stage: &Stage,
    seed: u64,
    report: &mut FaultsReport,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut clients = Clients::new(1, "commit", seed);
    for (name, kind) in KINDS {
        for bytes in 0..=COMMIT_AND_ANSWER {
            let client = &mut clients.0[0];
            prepare(client, stage)?;
            let change = kind(client);
            stage.proxy.cut_after(bytes);
            let step = client.make(change.clone(), &stage.service, &|| 0);
            report.cuts += usize::from(stage.proxy.has_cut());
            if step != Step::Done {
                until_done(client, &change, stage)
                    .map_err(|problem| format!("{name}, cut after {bytes} bytes: {problem}"))?;
            }
        }
    }
    let found = clients.compare(&stage.location)?;
    report.done_unsaid += found.done_unsaid;
    report.acknowledged += clients.acknowledged();
    findings.add(found, "COMMIT cut");
    Ok(())
}

/// A user who is signed in and has a key.
fn prepare(client: &mut Client, stage: &Stage) -> Result<(), String> {
    client.turn_to_another_user();
    for change in [Change::Register, Change::Login, Change::CreateKey] {
        until_done(client, &change, stage)?;
    }
    Ok(())
}

fn until_done(client: &mut Client, change: &Change, stage: &Stage) -> Result<(), String> {
    let begun = Instant::now();
    while client.make(change.clone(), &stage.service, &|| 0) != Step::Done {
        if begun.elapsed() > DONE_WITHIN {
            return Err("it is not done however often it is asked for".to_owned());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
