//! bcrypt in lockstep: every step is done for all lanes before the next step.

use core::array;
use core::hint::black_box;
use core::sync::atomic::{Ordering, compiler_fence};

use zeroize::Zeroizing;

use crate::schedule::{KeyWords, SUBKEY_COUNT, Schedule, write_password, write_salt};
use crate::{Digest, Input};

/// `OrpheanBeholderScryDoubt`, three blocks of two words.
const TEXT: [[u32; 2]; 3] = [
    [0x4f727068, 0x65616e42],
    [0x65686f6c, 0x64657253],
    [0x63727944, 0x6f756274],
];

/// The cipher of each lane.
pub(crate) struct Lanes<const N: usize>(Zeroizing<[Schedule; N]>);

/// A block of 64 bits for each lane.
#[derive(Clone, Copy)]
struct Blocks<const N: usize> {
    left: [u32; N],
    right: [u32; N],
}

impl<const N: usize> Blocks<N> {
    fn all(left: u32, right: u32) -> Self {
        Self {
            left: [left; N],
            right: [right; N],
        }
    }
}

impl<const N: usize> Lanes<N> {
    /// The digests of the inputs, in their order. `cost` is less than 32.
    #[inline(never)]
    pub(crate) fn bcrypt(cost: u32, inputs: [Input<'_>; N]) -> [Digest; N] {
        let mut keys = Zeroizing::new([[0; SUBKEY_COUNT]; N]);
        let mut salts = Zeroizing::new([[0; SUBKEY_COUNT]; N]);
        for (input, (key, salt)) in inputs.iter().zip(keys.iter_mut().zip(salts.iter_mut())) {
            write_password(input.password, key);
            write_salt(&input.salt, salt);
        }

        let mut lanes = Self(Zeroizing::new(array::from_fn(|_| Schedule::initial())));
        lanes.expand_salted(&keys, &salts);
        for _ in 0..1u32 << cost {
            lanes.expand(&keys);
            lanes.expand(&salts);
        }
        lanes.digests()
    }

    /// Mixes the keys in, and replaces subkeys and boxes by the encryption of zeros.
    #[inline(never)]
    fn expand(&mut self, keys: &[KeyWords; N]) {
        self.expand_with(keys, |_, _| {});
    }

    /// As [`expand`](Self::expand), with the four words of the salt mixed into the blocks, alternately the
    /// first two and the last two.
    #[inline(never)]
    fn expand_salted(&mut self, keys: &[KeyWords; N], salts: &[KeyWords; N]) {
        self.expand_with(keys, |index, blocks| {
            let at = index % 2 * 2;
            for (n, salt) in salts.iter().enumerate() {
                blocks.left[n] ^= salt[at];
                blocks.right[n] ^= salt[at + 1];
            }
        });
    }

    /// The key schedule. `mix` changes each block before it is encrypted; its first argument is the index
    /// of the block.
    #[inline(always)]
    fn expand_with(&mut self, keys: &[KeyWords; N], mix: impl Fn(usize, &mut Blocks<N>)) {
        for (schedule, key) in self.0.iter_mut().zip(keys) {
            for (subkey, word) in schedule.subkeys.iter_mut().zip(key) {
                *subkey ^= word;
            }
        }
        let mut blocks = Blocks::all(0, 0);
        for i in 0..SUBKEY_COUNT / 2 {
            mix(i, &mut blocks);
            blocks = self.encrypt(blocks);
            for (n, schedule) in self.0.iter_mut().enumerate() {
                schedule.subkeys[2 * i] = blocks.left[n];
                schedule.subkeys[2 * i + 1] = blocks.right[n];
            }
        }
        for b in 0..4 {
            for i in 0..128 {
                mix(SUBKEY_COUNT / 2 + 128 * b + i, &mut blocks);
                blocks = self.encrypt(blocks);
                for (n, schedule) in self.0.iter_mut().enumerate() {
                    schedule.boxes[b][2 * i] = blocks.left[n];
                    schedule.boxes[b][2 * i + 1] = blocks.right[n];
                }
            }
        }
    }

    /// Encrypts one block of each lane.
    #[inline(always)]
    fn encrypt(&self, blocks: Blocks<N>) -> Blocks<N> {
        let Blocks {
            mut left,
            mut right,
        } = blocks;
        for (half, schedule) in left.iter_mut().zip(self.0.iter()) {
            *half ^= schedule.subkeys[0];
        }
        // Four rounds at a time: with two, moving halves between registers costs four lanes 7 %.
        for i in (1..SUBKEY_COUNT - 1).step_by(4) {
            self.round(i, &left, &mut right);
            self.round(i + 1, &right, &mut left);
            self.round(i + 2, &left, &mut right);
            self.round(i + 3, &right, &mut left);
        }
        for (half, schedule) in right.iter_mut().zip(self.0.iter()) {
            *half ^= schedule.subkeys[SUBKEY_COUNT - 1];
        }
        Blocks {
            left: right,
            right: left,
        }
    }

    /// One round of each lane.
    #[inline(always)]
    fn round(&self, i: usize, from: &[u32; N], into: &mut [u32; N]) {
        for ((schedule, from), into) in self.0.iter().zip(from).zip(into) {
            *into ^= schedule.subkeys[i];
            keep_order();
            *into ^= schedule.substitute(*from);
            keep_order();
        }
    }

    /// Encrypts the text 64 times.
    fn digests(&self) -> [Digest; N] {
        let mut digests = [[0; 24]; N];
        for (at, [left, right]) in (0..).step_by(8).zip(TEXT) {
            let mut blocks = Blocks::all(left, right);
            for _ in 0..64 {
                blocks = self.encrypt(blocks);
            }
            for (n, digest) in digests.iter_mut().enumerate() {
                digest[at..at + 4].copy_from_slice(&blocks.left[n].to_be_bytes());
                digest[at + 4..at + 8].copy_from_slice(&blocks.right[n].to_be_bytes());
            }
        }
        digests
    }
}

/// The rounds of [`Lanes::bcrypt`] with one lane; the result is discarded.
pub(crate) fn spend_rounds(count: u32) {
    let (key, salt) = ([[1; SUBKEY_COUNT]], [[2; SUBKEY_COUNT]]);
    let mut lanes = Lanes(Zeroizing::new([Schedule::initial()]));
    for _ in 0..count {
        lanes.expand(&key);
        lanes.expand(&salt);
    }
    // Otherwise the compiler could remove the loop, because its result is not used.
    black_box(&lanes.0[0].subkeys);
}

/// Prevents LLVM from moving memory accesses across it. It emits no instruction.
///
/// Before a lookup, it ensures that the subkey is mixed in first: the next round waits for the lookup, and
/// would wait for the subkey too. After a lookup, it prevents LLVM from merging the lookups of four lanes
/// into vector gathers, which took three times the time (`target-cpu=native`, Zen 5).
#[inline(always)]
fn keep_order() {
    compiler_fence(Ordering::SeqCst);
}
