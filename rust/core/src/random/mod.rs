//! Random numbers that a seed decides, the same on every machine.
//!
//! Two kinds, for two needs. [`Random`] is a generator with a state that can be saved and
//! restored, for work that goes on step after step. [`Stream`] has no state: its number at a step
//! is computed from seed, stream and step alone, so work can be cut into parts in any way.
//!
//! Both take a seed and a stream: the seed is the user's, the stream tells apart what one seed is
//! used for (a sample's number, a step of training).

pub mod alias;

/// 2^64 divided by the golden ratio, odd: how far `SplitMix64` goes from number to number.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2^-53, the distance of neighbouring numbers of [`Random::unit`].
const UNIT: f64 = f64::EPSILON / 2.0;

/// The mixing function of `SplitMix64`, a bijection: Steele, Lea & Flood, "Fast splittable
/// pseudorandom number generators" (2014), with the constants of Stafford's variant 13.
#[inline]
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The generator xoshiro256++ of Blackman & Vigna, "Scrambled linear pseudorandom number
/// generators" (2021): period 2^256 - 1, four words of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of a stream of a seed; that of stream 0 is seeded as the paper says.
    ///
    /// Its state is the next four numbers of `SplitMix64`, which starts at the seed plus the mixed
    /// number of the stream.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Random {
        let start = seed.wrapping_add(mix(stream));
        let state = [1, 2, 3, 4].map(|i| mix(start.wrapping_add(STRIDE.wrapping_mul(i))));
        Random { state }
    }

    /// What [`Random::from_state`] makes an equal generator of.
    #[must_use]
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// The generator that had this state; none for the state of zeros, which gives only zeros.
    #[must_use]
    pub fn from_state(state: [u64; 4]) -> Option<Random> {
        (state != [0; 4]).then_some(Random { state })
    }

    /// The next number, each of the 2^64 as likely as any other.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A whole number from 0 to n - 1, all equally likely; 0 if n is 0.
    ///
    /// Lemire, "Fast random integer generation in an interval" (2019): the upper half of a product
    /// is the result, and the few products that would favour some results are drawn again.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        let (mut high, mut low) = product(self.next_u64(), n);
        if low < n {
            let unfair = n.wrapping_neg() % n;
            while low < unfair {
                (high, low) = product(self.next_u64(), n);
            }
        }
        high
    }

    /// A number from 0 to 1, without 1: a multiple of 2^-53, all equally likely.
    #[inline]
    #[allow(clippy::cast_precision_loss, reason = "a number of 53 bits is exact")]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * UNIT
    }

    /// A number of the normal distribution with mean 0 and variance 1.
    ///
    /// Box & Muller, "A note on the generation of random normal deviates" (1958). The second
    /// number of the pair is not kept: it would be a part of the state.
    pub fn normal(&mut self) -> f64 {
        // 1 minus the number is never 0, so its logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

/// Numbers that are looked up rather than generated: the one at a step is a function of seed,
/// stream and step.
///
/// It is `SplitMix64`, whose state is a counter, begun at a place that seed and stream decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    start: u64,
}

impl Stream {
    /// A stream of a seed.
    #[inline]
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Stream {
        // Bijective in the stream, so that no two streams of a seed are the same.
        let start = mix(mix(seed.wrapping_add(STRIDE)).wrapping_add(stream));
        Stream { start }
    }

    /// The number at a step, each of the 2^64 as likely as any other.
    #[inline]
    #[must_use]
    pub fn at(self, step: u64) -> u64 {
        mix(self.start.wrapping_add(STRIDE.wrapping_mul(step.wrapping_add(1))))
    }
}

/// The upper and the lower half of a product.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves are what is asked for")]
fn product(a: u64, b: u64) -> (u64, u64) {
    let both = u128::from(a) * u128::from(b);
    ((both >> 64) as u64, both as u64)
}
