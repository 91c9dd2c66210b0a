//! Seeded random numbers, the same on every machine.
//!
//! [`Rng`] has a state that can be saved and restored, for work that goes on step after step.
//! [`CounterRng`] has none: number i is a function of seed, stream and i alone, so work can be
//! partitioned in any way.
//!
//! The seed is the user's. The stream distinguishes what one seed is used for: a sample's number, a
//! training step.

pub mod alias;

/// 2^64 divided by the golden ratio, odd: the increment of `SplitMix64`.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2^-53, the spacing of [`Rng::unit`].
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
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Makes the generator of a stream of a seed; stream 0 is seeded as the paper says.
    ///
    /// Its state is the next four numbers of `SplitMix64`, which starts at the seed plus the mixed
    /// number of the stream.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Rng {
        let start = seed.wrapping_add(mix(stream));
        let state = [1, 2, 3, 4].map(|i| mix(start.wrapping_add(STRIDE.wrapping_mul(i))));
        Rng { state }
    }

    /// Returns the state, for [`Rng::from_state`].
    #[must_use]
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// Restores a generator from its state; None for zeros, which no generator has.
    #[must_use]
    pub fn from_state(state: [u64; 4]) -> Option<Rng> {
        (state != [0; 4]).then_some(Rng { state })
    }

    /// Returns the next number, uniform over 2^64.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Returns a whole number from 0 to n - 1, uniform; 0 if n is 0.
    ///
    /// Lemire, "Fast random integer generation in an interval" (2019): the upper half of a product
    /// is the result; the few products that would bias it are rejected.
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

    /// Returns a number from 0 to 1, without 1: a multiple of 2^-53, uniform.
    #[inline]
    #[allow(clippy::cast_precision_loss, reason = "a number of 53 bits is exact")]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * UNIT
    }

    /// Returns a number of the standard normal distribution.
    ///
    /// Box & Muller, "A note on the generation of random normal deviates" (1958). The second
    /// number of the pair is dropped, as it would have to be part of the state.
    pub fn normal(&mut self) -> f64 {
        // 1 minus the number is never 0, so its logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

/// A counter-based generator: number i is a function of seed, stream and i.
///
/// It is `SplitMix64`, whose state is a counter; seed and stream set where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRng {
    start: u64,
}

impl CounterRng {
    /// Makes the generator of a stream of a seed.
    #[inline]
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> CounterRng {
        // Bijective in the stream, so that no two streams of a seed are the same.
        let start = mix(mix(seed.wrapping_add(STRIDE)).wrapping_add(stream));
        CounterRng { start }
    }

    /// Returns number i, uniform over 2^64.
    #[inline]
    #[must_use]
    pub fn at(self, i: u64) -> u64 {
        mix(self.start.wrapping_add(STRIDE.wrapping_mul(i.wrapping_add(1))))
    }
}

/// Returns the upper and the lower half of a product.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves are meant")]
fn product(a: u64, b: u64) -> (u64, u64) {
    let both = u128::from(a) * u128::from(b);
    ((both >> 64) as u64, both as u64)
}
