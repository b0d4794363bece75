//! The state of one Blowfish cipher, which bcrypt's key schedule rewrites repeatedly.

use zeroize::Zeroize;

use crate::pi;

/// One subkey for each of the 16 rounds, and two for the whitening.
pub(crate) const SUBKEY_COUNT: usize = 18;

/// The subkeys and substitution boxes of one lane.
///
/// It is neither `Copy` nor `Clone`, so that wiping it leaves no copy. The boxes come first because the
/// other order made two lanes a fifth slower with `target-cpu=native`.
#[repr(C)]
pub(crate) struct Schedule {
    pub(crate) boxes: [[u32; 256]; 4],
    pub(crate) subkeys: [u32; SUBKEY_COUNT],
}

impl Schedule {
    /// The initial state, before any key is mixed in.
    pub(crate) fn initial() -> Self {
        Self {
            boxes: pi::BOXES,
            subkeys: pi::SUBKEYS,
        }
    }

    /// Blowfish's function F. A byte is always within the bounds of a box, so there is no bounds check.
    #[inline(always)]
    pub(crate) fn substitute(&self, half: u32) -> u32 {
        // With shifts, because LLVM byte-swaps the whole word for `to_be_bytes`.
        let [a, b, c, d] = [24, 16, 8, 0].map(|shift| usize::from((half >> shift) as u8));
        let [box_a, box_b, box_c, box_d] = &self.boxes;
        (box_a[a].wrapping_add(box_b[b]) ^ box_c[c]).wrapping_add(box_d[d])
    }
}

impl Zeroize for Schedule {
    fn zeroize(&mut self) {
        self.boxes.zeroize();
        self.subkeys.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroize;

    use super::Schedule;

    #[test]
    fn wiping_zeroes_subkeys_and_boxes() {
        let mut schedule = Schedule::initial();
        schedule.zeroize();
        assert_eq!(schedule.subkeys, [0; 18]);
        assert_eq!(schedule.boxes, [[0; 256]; 4]);
    }
}
