//! Philox4x32-10 of Salmon et al. 2011 (Random123), sixteen counters at a time.
//!
//! Sixteen lanes that are kept in 64 bits are the shape that compilers turn into the best vector code: the products need no shuffles then, and loops of four or
//! eight are unrolled before they are vectorised. The loops are written out, here and wherever draws are made: `map` of an array is a function of
//! its own, which keeps to the instructions that the program was compiled for.

/// How many counters go side by side.
pub(super) const LANES: usize = 16;

/// One 32-bit number for each counter.
pub(super) type Lanes = [u32; LANES];

const ROUNDS: usize = 10;
/// Rounds of each lane at a time. With fewer, compilers that unroll little keep what is between them in memory; with all ten in one chain, processors wait.
const PASS: usize = 5;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const LOWER: u64 = 0xFFFF_FFFF;
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four random words of each of sixteen counters; `counter[w][lane]` is word w of a counter.
#[inline(always)]
pub(super) fn philox(key: [u32; 2], counter: [Lanes; 4]) -> [Lanes; 4] {
    // of each lane only the lower half counts; products leave their other half in the upper one
    let [mut c0, mut c1, mut c2, mut c3] = [[0u64; LANES]; 4];
    for lane in 0..LANES {
        c0[lane] = u64::from(counter[0][lane]);
        c1[lane] = u64::from(counter[1][lane]);
        c2[lane] = u64::from(counter[2][lane]);
        c3[lane] = u64::from(counter[3][lane]);
    }
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS / PASS {
        let mut keys = [[0u64; 2]; PASS];
        for key in &mut keys {
            *key = [u64::from(k0), u64::from(k1)];
            k0 = k0.wrapping_add(WEYL[0]);
            k1 = k1.wrapping_add(WEYL[1]);
        }
        for lane in 0..LANES {
            let c = [c0[lane], c1[lane], c2[lane], c3[lane]];
            // written out, because as a loop it comes out slower
            let c = round(keys[0], c);
            let c = round(keys[1], c);
            let c = round(keys[2], c);
            let c = round(keys[3], c);
            let c = round(keys[4], c);
            [c0[lane], c1[lane], c2[lane], c3[lane]] = c;
        }
    }
    let mut words = [[0u32; LANES]; 4];
    for lane in 0..LANES {
        words[0][lane] = c0[lane] as u32;
        words[1][lane] = c1[lane] as u32;
        words[2][lane] = c2[lane] as u32;
        words[3][lane] = c3[lane] as u32;
    }
    words
}

/// One round of one counter, of whose words only the lower halves count.
#[inline(always)]
fn round([k0, k1]: [u64; 2], [c0, c1, c2, c3]: [u64; 4]) -> [u64; 4] {
    let a = u64::from(MULTIPLIERS[0]) * (c0 & LOWER);
    let b = u64::from(MULTIPLIERS[1]) * (c2 & LOWER);
    [(b >> 32) ^ c1 ^ k0, b, (a >> 32) ^ c3 ^ k1, a]
}

/// The four random words of one counter.
pub(super) fn philox_one(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1, c2, c3) = ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}
