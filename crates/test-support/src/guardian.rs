//! Shell scripts that clean up after this process, however it ends.
//!
//! Rust drops no statics, and a killed process drops nothing at all. So a shell waits at the other
//! end of a pipe. The kernel closes the pipe when this process ends, and the shell then cleans up.

use std::fs::DirBuilder;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::account::Account;

/// A shell that reads its standard input to the end and then cleans up. The input ends when this
/// value is dropped or this process ends. Dropping waits for the shell.
#[derive(Debug)]
pub struct Guardian {
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Guardian {
    /// Starts the shell. [`script`] makes such a command.
    ///
    /// # Errors
    /// When the shell does not start.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Outside of our process group: Ctrl-C in the terminal must not end the shell as well.
            .process_group(0)
            .spawn()?;
        let input = shell.stdin.take();
        let output = shell.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            shell,
            input,
            output: BufReader::new(output),
        })
    }

    /// The next line of output without its line break; empty at the end of the output.
    ///
    /// # Errors
    /// When the output cannot be read.
    pub fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits until the script prints the line `ready`.
    ///
    /// # Errors
    /// Everything that it printed, when it ends without that line.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let mut printed = String::new();
        loop {
            let before = printed.len();
            match self.output.read_line(&mut printed) {
                Ok(0) => return Err(printed.trim_end().to_owned()),
                Ok(_) if printed[before..].trim_end() == "ready" => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(format!("{printed}{error}")),
            }
        }
    }

    /// The process id of the first running program that the shell has started.
    ///
    /// # Errors
    /// When there is none.
    pub fn child_id(&self) -> io::Result<u32> {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        let first = children.split_whitespace().next();
        let first = first.and_then(|number| number.parse().ok());
        first.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Writes a line to the shell.
    ///
    /// # Errors
    /// When the shell has ended.
    pub fn send_line(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{line}")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.input = None;
        // A destructor cannot report that waiting failed.
        _ = self.shell.wait();
    }
}

/// A shell script with `folder` in `$1`, run in that folder by `account` or by the present user. Its
/// environment holds nothing but the `PATH`.
pub fn script(script: &str, folder: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "guardian"])
        .arg(folder)
        .current_dir(folder)
        .env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Another process may still write into the folder for a moment, so a failure is repeated once.
const REMOVE: &str = r#"cd /; cat >/dev/null; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }"#;

/// A folder that is removed when this value is dropped or this process ends.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
    _guardian: Guardian,
}

impl ScratchDir {
    /// Makes an empty folder that only this user can read, where the system keeps temporary files.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn new(purpose: &str) -> Self {
        let path = scratch_folder(purpose);
        Self::take_over(path).expect("a shell starts")
    }

    /// Makes a folder as [`database_folder`] does.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn for_databases(purpose: &str) -> Self {
        let path = database_folder(purpose);
        Self::take_over(path).expect("a shell starts")
    }

    /// Takes over an existing folder, to remove it later.
    ///
    /// # Errors
    /// When no shell starts.
    pub fn take_over(path: PathBuf) -> io::Result<Self> {
        let guardian = Guardian::start(&mut script(REMOVE, &path, None))?;
        Ok(Self {
            path,
            _guardian: guardian,
        })
    }
}

impl Deref for ScratchDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for ScratchDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Makes an empty folder as [`ScratchDir::new`] does. The caller removes it.
///
/// # Panics
/// When the folder cannot be made.
pub fn scratch_folder(purpose: &str) -> PathBuf {
    new_folder(&std::env::temp_dir(), purpose)
}

/// Where Linux keeps files in memory. No program can be started from there on some systems.
const MEMORY: &str = "/dev/shm";

/// The bytes that the databases of all tests may need.
const MAX_DATABASE_BYTES: u64 = 4 << 30;

/// Makes an empty folder for databases that only this process needs: in memory if there is room,
/// where no commit waits for a disk, and otherwise as [`scratch_folder`] does. The caller removes it.
///
/// # Panics
/// When the folder cannot be made.
pub fn database_folder(purpose: &str) -> PathBuf {
    let has_room = rustix::fs::statvfs(MEMORY)
        .is_ok_and(|memory| memory.f_bavail * memory.f_frsize >= MAX_DATABASE_BYTES);
    match has_room {
        true => new_folder(Path::new(MEMORY), purpose),
        false => scratch_folder(purpose),
    }
}

fn new_folder(parent: &Path, purpose: &str) -> PathBuf {
    let name = format!("tokenhouse-{purpose}-{:016x}", rand::random::<u64>());
    let folder = parent.join(name);
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.expect("the temporary folder takes a new one");
    folder
}

/// A TCP port that no process listens on. Another process may take it before the caller does.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr();
    address.expect("a bound socket has an address").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_scratch_folder_is_removed_with_its_content() {
        let scratch = ScratchDir::new("guardian");
        let path = scratch.to_owned();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn guardian_exchanges_lines_with_its_script() {
        let text = r#"while read -r line; do echo "got $line $2"; done; echo over"#;
        let mut command = script(text, &std::env::temp_dir(), None);
        let mut guardian = Guardian::start(command.arg("it")).unwrap();
        guardian.send_line("one").unwrap();
        assert_eq!(guardian.read_line().unwrap(), "got one it");
        guardian.input = None;
        assert_eq!(guardian.read_line().unwrap(), "over");
        assert_eq!(guardian.read_line().unwrap(), "");
    }
}
