//! The log of a process.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::process::Stdio;

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
