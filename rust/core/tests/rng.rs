//! Random numbers: published outputs, ranges, and moments.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use fastgrad_core::rng::{CounterRng, Rng, mix};

/// The first outputs of the authors' C code for the state 1, 2, 3, 4.
const XOSHIRO: [u64; 10] = [
    41_943_041,
    58_720_359,
    3_588_806_011_781_223,
    3_591_011_842_654_386,
    9_228_616_714_210_784_205,
    9_973_669_472_204_895_162,
    14_011_001_112_246_962_877,
    12_406_186_145_184_390_807,
    15_849_039_046_786_891_736,
    10_450_023_813_501_588_000,
];

#[test]
fn xoshiro_gives_the_published_numbers() {
    let mut rng = Rng::from_state([1, 2, 3, 4]).unwrap();
    assert_eq!(XOSHIRO.map(|_| rng.next_u64()), XOSHIRO);
}

/// `SplitMix64` from 1234567, as Rosetta Code and others print it.
#[test]
fn splitmix_gives_the_published_numbers() {
    let expected: [u64; 5] = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    let mut state: u64 = 1_234_567;
    for number in expected {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        assert_eq!(mix(state), number);
    }
    // CounterRng 0 starts there, so a generator's state is these numbers.
    assert_eq!(Rng::new(1_234_567, 0).state(), expected[..4]);
}

/// The numbers of `rand_xoshiro` and `rand`'s `SmallRng` for the seed 0.
#[test]
fn a_seeded_generator_gives_the_numbers_of_others() {
    let mut rng = Rng::new(0, 0);
    let expected: [u64; 4] = [
        5_987_356_902_031_041_503,
        7_051_070_477_665_621_255,
        6_633_766_593_972_829_180,
        211_316_841_551_650_330,
    ];
    assert_eq!(expected.map(|_| rng.next_u64()), expected);
}

#[test]
fn a_generator_goes_on_from_its_state() {
    let mut rng = Rng::new(3, 5);
    rng.next_u64();
    let mut again = Rng::from_state(rng.state()).unwrap();
    assert_eq!(rng, again);
    assert_eq!(rng.next_u64(), again.next_u64());
    assert_eq!(Rng::from_state([0; 4]), None);
}

#[test]
fn seeds_and_streams_tell_generators_apart() {
    let mut firsts: Vec<u64> = Vec::new();
    for seed in [0, 1, 2, u64::MAX] {
        for stream in [0, 1, 2, u64::MAX] {
            firsts.push(Rng::new(seed, stream).next_u64());
            firsts.push(CounterRng::new(seed, stream).at(0));
            firsts.push(CounterRng::new(seed, stream).at(1));
            firsts.push(CounterRng::new(seed, stream).at(u64::MAX));
        }
    }
    let count = firsts.len();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), count);
}

#[test]
fn whole_numbers_below_a_bound_are_all_there_equally_often() {
    let mut rng = Rng::new(1, 0);
    assert_eq!(rng.below(0), 0);
    assert_eq!(rng.below(1), 0);
    let mut seen = [0u32; 6];
    for _ in 0..60_000 {
        seen[usize::try_from(rng.below(6)).unwrap()] += 1;
    }
    // Each is 10,000 with a standard deviation of 91.
    assert!(seen.iter().all(|&count| count.abs_diff(10_000) < 400), "{seen:?}");
    // Just above a half of all numbers, where half of the draws are made again.
    let bound = (1 << 63) + 1;
    assert!((0..1000).all(|_| rng.below(bound) < bound));
}

#[test]
fn fractions_and_normal_numbers_have_their_moments() {
    let (mut rng, count) = (Rng::new(1, 0), 200_000u32);
    let units: Vec<f64> = (0..count).map(|_| rng.unit()).collect();
    let normals: Vec<f64> = (0..count).map(|_| rng.normal()).collect();
    assert!(units.iter().all(|x| (0.0..1.0).contains(x)));
    let mean =
        |xs: &[f64], power: i32| xs.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(count);
    // Standard deviations: 0.0006 and 0.0007; 0.0022, 0.0032, 0.0087 and 0.022.
    assert!((mean(&units, 1) - 0.5).abs() < 0.003);
    assert!((mean(&units, 2) - 1.0 / 3.0).abs() < 0.003);
    for (power, expected, bound) in [(1, 0.0, 0.01), (2, 1.0, 0.015), (3, 0.0, 0.04), (4, 3.0, 0.1)]
    {
        let got = mean(&normals, power);
        assert!((got - expected).abs() < bound, "moment {power}: {got}");
    }
}

#[test]
fn normal_numbers_stay_what_they_are() {
    let mut rng = Rng::new(42, 7);
    let bits: Vec<u64> = (0..3).map(|_| rng.normal().to_bits()).collect();
    assert_eq!(
        bits,
        [13_814_502_236_623_443_380, 13_831_646_058_187_506_352, 4_609_506_531_104_303_322]
    );
}
