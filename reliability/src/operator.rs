//! The operator: the commands that disable and enable users and revoke tokens.

use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::Program;

/// Between two looks at whether a command has ended: it is acknowledged when it has.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// A command of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Disable,
    Enable,
    Revoke,
}

impl Command {
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Disable => ["user", "disable"],
            Self::Enable => ["user", "enable"],
            Self::Revoke => ["token", "revoke"],
        }
    }

    /// Runs it, and kills it when it takes longer than `patience`. Returns whether it was
    /// acknowledged.
    ///
    /// # Errors
    /// When it does not even start.
    pub(crate) fn run(
        self,
        program: &Program,
        email: &str,
        patience: Duration,
    ) -> std::io::Result<bool> {
        let [noun, verb] = self.words();
        let mut child = program.command(&[noun, verb, email]).spawn()?;
        let status = wait(&mut child, patience)?;
        Ok(status.is_some_and(|status| status.success()))
    }
}

/// Waits for the end of the process; `None` when it had to be killed.
fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK_EVERY);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Whether the program has these commands.
pub(crate) fn is_there(program: &Program) -> bool {
    [Command::Disable, Command::Enable, Command::Revoke]
        .iter()
        .all(|command| {
            let [noun, verb] = command.words();
            let help = program.command(&[noun, verb, "--help"]).status();
            help.is_ok_and(|status| status.success())
        })
}
