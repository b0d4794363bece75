//! Programs that a test starts, and their logs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use test_support::{Client, server};

/// A running program. Dropping it kills it.
pub struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts the program. [`Self::line`] reads its output.
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, output }
    }

    /// Starts a server, and returns it with a client of the address that it prints first.
    pub fn serve(command: &mut Command) -> (Self, Client) {
        let mut server = Self::start(command);
        let address = server::announced_address(&server.line());
        let client = Client::new(address.expect("the first line holds the address"));
        (server, client)
    }

    /// Waits for the next line of output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    /// The memory in use, in bytes.
    pub fn memory(&self) -> u64 {
        server::memory(self.process.id(), "VmRSS:").expect("it runs, and this is Linux")
    }

    /// The number of open files and sockets.
    pub fn files(&self) -> usize {
        server::open_files(self.process.id()).expect("it runs, and this is Linux")
    }

    /// Sends the process a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is a program").success());
    }

    /// The exit status, if the process has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it is our child")
    }

    /// Waits until the process exits.
    pub fn wait(mut self) {
        self.process.wait().expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have exited; either way no process is left.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a program with this standard input until it exits.
pub fn run_with_input(command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = process.stdin.take().expect("piped");
    // Fails for a command that reads no input and has ended.
    let _ = stdin.write_all(input.as_ref());
    drop(stdin);
    process.wait_with_output().expect("it is our child")
}

/// A file without a name, for the standard error of a process.
pub struct Log(File);

impl Log {
    pub fn new() -> Self {
        let name = format!("tokenhouse-log-{:032x}", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        let file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&path);
        let file = file.expect("the name is new");
        fs::remove_file(path).expect("the file is ours");
        Self(file)
    }

    pub fn writer(&self) -> Stdio {
        self.0.try_clone().expect("a file can be opened").into()
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0)).expect("it is a file");
        self.0.read_to_end(&mut bytes).expect("it is a file");
        bytes
    }
}
