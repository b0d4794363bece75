//! Shells that clean up after us, however we end.
//!
//! A killed process drops nothing. So a shell waits at the other end of a pipe; the kernel closes
//! the pipe when we are gone, and the shell does the rest.

use std::fs::DirBuilder;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A shell that reads its standard input and cleans up at the end of it: when this is dropped, or
/// when we are gone. Dropping waits until the shell has ended.
pub(crate) struct Guardian {
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Guardian {
    /// Starts a shell. `command` is `sh` with all that it needs.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Out of our process group, or a Ctrl-C in the terminal would end it too.
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

    /// The next line that is printed, without its end; empty when there is none.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// The first program that the shell has started and that still runs, by its number.
    pub(crate) fn child(&self) -> io::Result<u32> {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        let first = children.split_whitespace().next();
        let first = first.and_then(|number| number.parse().ok());
        first.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Writes a line to the shell.
    pub(crate) fn tell(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{line}")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.input = None;
        // Nobody can be told that waiting failed.
        _ = self.shell.wait();
    }
}

/// `sh` with a script, which finds itself in an environment with nothing but the `PATH`.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "guardian"]).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Somebody else may be writing into the folder for a moment more.
const REMOVE: &str = r#"cat >/dev/null; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }"#;

/// A folder that is removed when this is dropped, or when we are gone.
pub struct Scratch {
    path: PathBuf,
    _guardian: Guardian,
}

impl Scratch {
    /// Makes an empty folder, closed to everyone else, where the system keeps such things.
    ///
    /// # Errors
    /// When that place takes none.
    pub fn new(purpose: &str) -> io::Result<Self> {
        let name = format!("tokenhouse-{purpose}-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Self::take_over(path)
    }

    /// Takes over a folder, to remove it later.
    ///
    /// # Errors
    /// When no shell can be started.
    pub fn take_over(path: PathBuf) -> io::Result<Self> {
        let guardian = Guardian::start(shell(REMOVE).arg(&path))?;
        Ok(Self {
            path,
            _guardian: guardian,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_goes_with_all_that_is_in_it() {
        let scratch = Scratch::new("guardian").unwrap();
        let path = scratch.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn a_guardian_takes_lines_and_answers() {
        let script = r#"while read -r line; do echo "got $line $1"; done; echo over"#;
        let mut guardian = Guardian::start(shell(script).arg("it")).unwrap();
        guardian.tell("one").unwrap();
        assert_eq!(guardian.line().unwrap(), "got one it");
        guardian.input = None;
        assert_eq!(guardian.line().unwrap(), "over");
        assert_eq!(guardian.line().unwrap(), "");
    }
}
