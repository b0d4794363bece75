//! Changes of the file by other descriptors and by another process.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use shared_words::SharedWords;

/// A folder that is deleted at the end of a test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A folder with a file of these words.
fn file_of(words: &[u32]) -> io::Result<(Folder, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("shared-words-test-{}-{name}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    fs::create_dir(&folder.0)?;
    let path = folder.0.join("words");
    fs::write(&path, bytes(words))?;
    Ok((folder, path))
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn map<const N: usize>(path: &PathBuf) -> io::Result<SharedWords<N>> {
    SharedWords::map(File::open(path)?)
}

#[test]
fn words_are_those_of_the_file_after_each_write() {
    let (_folder, path) = file_of(&[1, 2, 3, 4]).unwrap();
    let words: SharedWords<3> = map(&path).unwrap();
    let copy = words;
    assert_eq!(words.load(), [1, 2, 3]);
    let writer = File::options().write(true).open(&path).unwrap();
    for round in 0..10_000 {
        writer.write_all_at(&bytes(&[round, !round]), 4).unwrap();
        assert_eq!(words.load(), [1, round, !round]);
        assert_eq!(copy.load(), words.load());
    }
    assert_eq!(
        format!("{words:?}"),
        format!("SharedWords({:?})", words.load())
    );
}

#[test]
fn write_of_another_process_is_visible_when_it_has_ended() {
    let (_folder, path) = file_of(&[0, 0]).unwrap();
    let words: SharedWords<2> = map(&path).unwrap();
    let script = r#"printf ABCD | dd of="$0" bs=4 seek=1 conv=notrunc 2>/dev/null"#;
    let status = Command::new("sh").args(["-c", script]).arg(&path).status();
    assert!(status.unwrap().success());
    assert_eq!(words.load(), [0, u32::from_ne_bytes(*b"ABCD")]);
}

#[test]
fn words_are_read_in_their_order() {
    let (_folder, path) = file_of(&[0, 0]).unwrap();
    let words: SharedWords<2> = map(&path).unwrap();
    // The second word first, as SQLite writes the second copy of its header first.
    let writer = std::thread::spawn(move || {
        let file = File::options().write(true).open(&path).unwrap();
        for round in 1..=10_000_u32 {
            file.write_all_at(&round.to_ne_bytes(), 4).unwrap();
            file.write_all_at(&round.to_ne_bytes(), 0).unwrap();
        }
    });
    let mut last = [0, 0];
    while !writer.is_finished() {
        let seen = words.load();
        assert!(seen[0] <= seen[1], "{seen:?}");
        assert!(last.iter().zip(seen).all(|(last, seen)| *last <= seen));
        last = seen;
    }
    writer.join().unwrap();
    assert_eq!(words.load(), [10_000, 10_000]);
}

#[test]
fn file_that_is_too_short_is_not_mapped() {
    let (_folder, path) = file_of(&[1, 2]).unwrap();
    let error = map::<3>(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    fs::write(&path, [0; 11]).unwrap();
    assert!(map::<3>(&path).is_err());
    File::create(&path).unwrap();
    assert!(map::<1>(&path).is_err());
}

#[test]
fn what_is_no_file_is_not_mapped() {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&[1; 8]).unwrap();
    assert!(SharedWords::<1>::map(&reader).is_err());
    assert!(SharedWords::<1>::map(File::open("/dev/null").unwrap()).is_err());
}

#[test]
fn missing_bytes_of_a_cut_file_are_zero() {
    let (_folder, path) = file_of(&[u32::MAX, u32::MAX]).unwrap();
    let words: SharedWords<2> = map(&path).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(3)
        .unwrap();
    assert_eq!(words.load()[1], 0);
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&bytes(&[7, 8]), 0)
        .unwrap();
    assert_eq!(words.load(), [7, 8]);
}

#[test]
fn mapping_stays_with_the_file_that_was_opened() {
    let (_folder, path) = file_of(&[1]).unwrap();
    let words: SharedWords<1> = map(&path).unwrap();
    let other = path.with_extension("other");
    fs::write(&other, bytes(&[2])).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(words.load(), [1]);
    assert_eq!(map::<1>(&path).unwrap().load(), [2]);
    fs::remove_file(&path).unwrap();
    assert_eq!(words.load(), [1]);
}
