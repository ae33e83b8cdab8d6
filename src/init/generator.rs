//! Philox4x32-10, keyed by seed and name: any slice of any tensor on its own. The bits are final.
//!
//! The first sixteen bytes of `blake3("philox4x32-10/1" ‖ 0 ‖ seed ‖ name)`, the seed as eight bytes and all numbers little-endian, are the
//! key (words 0 and 1) and the stream (words 2 and 3, of the last only the upper half).
//! A counter is `[block, block >> 32, stream₀, stream₁ | purpose]`, where `purpose` (16 bits) is 0 for the first draw of every element, k for
//! redraw k of one element (then `block` is the element's index), and 0x8000 for the order of zeros in a sparse matrix.
//!
//! Sixty-four elements make a group, which takes the sixteen blocks from `16 · group`: element `64 · group + 16 · word + lane` gets `word` of block
//! `16 · group + lane`. Normals are made in pairs from words 0 and 1, and 2 and 3 (Box and Muller 1958): the first is the radius, the second the angle.

use super::philox::{LANES, Lanes, philox, philox_one};

/// How many elements one group of counters makes.
pub(super) const GROUP: usize = 4 * LANES;

/// The purpose of the first draw of every element.
pub(super) const FIRST_DRAW: u16 = 0;

/// The random numbers of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    key: [u32; 2],
    stream: [u32; 2],
}

impl Generator {
    /// The name of the bits, in every report.
    pub(crate) const VERSION: &'static str = "philox4x32-10/1";

    /// The numbers for the tensor called `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Generator {
        let mut hasher = blake3::Hasher::new();
        hasher.update(Generator::VERSION.as_bytes()).update(&[0]).update(&seed.to_le_bytes()).update(name.as_bytes());
        let mut bytes = [0u8; 16];
        hasher.finalize_xof().fill(&mut bytes);
        let (words, _) = bytes.as_chunks::<4>();
        let word = |i: usize| u32::from_le_bytes(words[i]);
        Generator { key: [word(0), word(1)], stream: [word(2), word(3) & 0xFFFF_0000] }
    }

    /// The words of a group: `[word][lane]`.
    #[inline(always)]
    pub(super) fn group(&self, group: u64, purpose: u16) -> [Lanes; 4] {
        let block = group * LANES as u64;
        let mut low = [block as u32; LANES];
        for (lane, counter) in low.iter_mut().enumerate() {
            // a group's first block is a multiple of sixteen, so nothing carries
            *counter |= lane as u32;
        }
        philox(self.key, [low, [(block >> 32) as u32; LANES], [self.stream[0]; LANES], [self.tagged(purpose); LANES]])
    }

    /// The words for sixteen elements' own redraws: `[word][lane]`.
    #[inline(always)]
    pub(super) fn redraws(&self, elements: &[u64; LANES], purpose: u16) -> [Lanes; 4] {
        let (mut low, mut high) = ([0; LANES], [0; LANES]);
        for lane in 0..LANES {
            low[lane] = elements[lane] as u32;
            high[lane] = (elements[lane] >> 32) as u32;
        }
        philox(self.key, [low, high, [self.stream[0]; LANES], [self.tagged(purpose); LANES]])
    }

    /// The words for one element's own redraw.
    pub(super) fn redraw(&self, element: u64, purpose: u16) -> [u32; 4] {
        philox_one(self.key, [element as u32, (element >> 32) as u32, self.stream[0], self.tagged(purpose)])
    }

    fn tagged(&self, purpose: u16) -> u32 {
        self.stream[1] | u32::from(purpose)
    }
}
