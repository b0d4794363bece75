//! Cleans up after the test process, however it ends.
//!
//! Rust drops no statics, and a killed process drops nothing at all. So a shell waits at the other
//! end of a pipe. The kernel closes the pipe when we are gone, and the shell then does the rest.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::account::Account;

/// A shell script that lives as long as this value and then cleans up.
pub struct Guardian {
    output: BufReader<ChildStdout>,
    /// Holds our end of its standard input, which stays open until we are dropped or killed.
    shell: Child,
}

impl Guardian {
    /// Starts `script` in `folder`, as `account` or as ourselves. The script finds `folder` in
    /// `$1` and `arguments` after it, and has to read its standard input to the end.
    pub fn start(
        script: &str,
        folder: &Path,
        arguments: &[&OsStr],
        account: Option<Account>,
    ) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "guardian"])
            .arg(folder)
            .args(arguments);
        command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // Out of our process group, or a Ctrl-C in the terminal would end the guardian too.
        command.process_group(0);
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        let mut shell = command.spawn().expect("sh starts");
        Self {
            output: BufReader::new(shell.stdout.take().expect("piped")),
            shell,
        }
    }

    /// Waits until the script prints the line `ready`. Otherwise gives what it printed to its end.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let mut printed = String::new();
        loop {
            let before = printed.len();
            match self.output.read_line(&mut printed) {
                Ok(0) => return Err(printed),
                Ok(_) if printed[before..].trim_end() == "ready" => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(format!("{printed}{error}")),
            }
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Closes its standard input first.
        _ = self.shell.wait();
    }
}

/// Makes an empty folder of our own, closed to everyone else, where the system keeps such things.
pub fn scratch_folder(purpose: &str) -> PathBuf {
    let name = format!("tokenhouse-{purpose}-{:016x}", rand::random::<u64>());
    let folder = std::env::temp_dir().join(name);
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .expect("the temporary folder takes a new one");
    folder
}

/// A port that nobody listens on. Somebody else may take it before whoever it is meant for.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}
