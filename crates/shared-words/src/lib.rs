//! The first bytes of a file that other processes write, as words that can be read at any time
//! without a system call.
//!
//! Programs that share state through a small file, as all processes with one SQLite database do
//! through its `-shm` file, map it into memory. A reader that only wants to know whether something
//! has changed need not call `pread` for that:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use std::fs::File;
//! use std::os::unix::fs::FileExt;
//!
//! # let path = std::env::temp_dir().join(format!("shared-words-{}", std::process::id()));
//! # std::fs::write(&path, [1_u32.to_ne_bytes(), 2_u32.to_ne_bytes()].as_flattened())?;
//! let words: shared_words::SharedWords<2> = shared_words::SharedWords::map(&File::open(&path)?)?;
//! assert_eq!(words.load(), [1, 2]);
//! // Any process:
//! File::options().write(true).open(&path)?.write_all_at(&3_u32.to_ne_bytes(), 4)?;
//! assert_eq!(words.load(), [1, 3]);
//! # std::fs::remove_file(&path)
//! # }
//! ```
//!
//! # What a reader may rely on
//!
//! - **Each word is read whole**, if the writer writes it whole. Words are read one after another, so
//!   several words may come from different states of the file, but a later word is at least as new as
//!   those before it. A format that needs more has a counter, two copies or a checksum in its words,
//!   as SQLite's has.
//! - **It is not stale.** A word is at least as new as everything that this thread knew before
//!   [`SharedWords::load`], and what this thread reads afterwards is at least as new as the word. A
//!   change whose writer has told this process about it, over a socket for example, is visible.
//! - **The mapping is of the file that was opened**, also after another file has taken its name, and
//!   stays until the process ends. The file may be closed.
//!
//! If another program cuts the file to length 0, the next read ends the process with `SIGBUS`, as
//! with every mapping. Cut to any other length it stays readable: what is missing is read as 0.
//! Files on network file systems are not supported: other machines' writes become visible late.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use rustix::fs::fstat;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// The smallest page of any supported system, in bytes: the words lie in the first page of the file.
const MAX_BYTES: usize = 4_096;

/// The first `N` words of a file, in the byte order of the machine. Copies share the mapping, which
/// is never removed.
#[derive(Clone, Copy)]
pub struct SharedWords<const N: usize>(&'static [AtomicU32; N]);

impl<const N: usize> SharedWords<N> {
    /// Maps the first words of a file that is open for reading. Each call makes a mapping that stays
    /// until the process ends, so call it once for each file.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] for a file that is shorter than `N` words, and the system's
    /// error for anything that cannot be mapped, such as a pipe.
    #[expect(
        unsafe_code,
        reason = "no system has a safe call that maps a file, as it may change; see the block"
    )]
    pub fn map(file: impl AsFd) -> io::Result<Self> {
        let bytes = const {
            let bytes = size_of::<[AtomicU32; N]>();
            assert!(
                0 < bytes && bytes <= MAX_BYTES,
                "1 to 1024 words can be mapped"
            );
            bytes
        };
        let length = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if length < bytes as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: The system chooses the address, so the mapping replaces no other memory. It begins
        // at a page, so the words are aligned, and any bits are valid words. It is never removed, so
        // `'static` holds. Other processes change the words at any time, and so does this process
        // through other mappings and through system calls; all accesses to them here are atomic loads
        // of 4 bytes with `Ordering::Relaxed`, for which the standard library guarantees that they do
        // not write, so the memory may be read-only (`std::sync::atomic`, "Atomic accesses to
        // read-only memory"). If the file loses its first page, a load ends the process, and nothing
        // is read.
        let words = unsafe {
            let start = mmap(
                null_mut(),
                bytes,
                ProtFlags::READ,
                MapFlags::SHARED,
                &file,
                0,
            )?;
            &*start.cast::<[AtomicU32; N]>()
        };
        Ok(Self(words))
    }

    /// Reads the words, the first one first.
    #[inline]
    pub fn load(&self) -> [u32; N] {
        // Each load stays after every earlier read of this thread, and before every later one. On
        // x86-64 these fences are no instructions.
        fence(Ordering::Acquire);
        self.0.each_ref().map(|shared| {
            let word = shared.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            word
        })
    }
}

impl<const N: usize> fmt::Debug for SharedWords<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedWords").field(&self.load()).finish()
    }
}
