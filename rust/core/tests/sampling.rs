//! Items from tables, draws from rows, and parts of work taken in order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use fastgrad_core::Error;
use fastgrad_core::parallel::ordered_parallel_map;
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::CounterRng;
use fastgrad_core::sampling::{AliasTables, Items, Sampler, SamplingParams, draw_rows};

const PLAIN: (f64, Option<usize>) = (1.0, None);

fn table(
    rows: &[f64],
    shape: (u32, u32),
    (temperature, top_k): (f64, Option<usize>),
) -> AliasTables {
    let params = SamplingParams::new(temperature, top_k).unwrap();
    AliasTables::new(rows, shape, params, &Progress::new()).unwrap()
}

fn texts(items: &Items<u8>) -> Vec<String> {
    items.iter().map(|item| String::from_utf8(item.to_vec()).unwrap()).collect()
}

/// a or b first, then what has not been yet, or the end.
const TWO: [f64; 9] = [0.0, 0.75, 0.25, 0.5, 0.0, 0.5, 0.5, 0.5, 0.0];

#[test]
fn parts_of_the_work_are_the_whole() {
    let table = table(&TWO, (3, 1), PLAIN);
    let sampler = Sampler::new(&table, 9, &[], 20, b"ab").unwrap();
    let progress = Progress::new();
    let whole = texts(&sampler.draw(0..100, &progress).unwrap());
    let mut parts = texts(&sampler.draw(0..37, &progress).unwrap());
    parts.extend(texts(&sampler.draw(37..100, &progress).unwrap()));
    assert_eq!(whole, parts);
    assert!(whole.iter().all(|item| !item.contains("aa") && !item.contains("bb")));
    let begin_with_a = whole.iter().filter(|item| item.starts_with('a')).count();
    assert!((60..90).contains(&begin_with_a), "{begin_with_a}");
}

#[test]
fn rows_give_the_symbols_of_the_table() {
    let (table, progress) = (table(&TWO, (3, 1), (0.5, None)), Progress::new());
    let params = SamplingParams::new(0.5, None).unwrap();
    let items =
        texts(&Sampler::new(&table, 4, &[], 9, b"ab").unwrap().draw(0..50, &progress).unwrap());
    for (stream, item) in (0..).zip(items) {
        let mut before = 0;
        for (step, symbol) in (0..).zip(item.bytes()) {
            let row = &TWO[3 * before..3 * before + 3];
            let drawn = draw_rows(row, 3, (4, &[stream], step), params, &progress).unwrap();
            assert_eq!(drawn, [u32::from(symbol - b'a') + 1]);
            before = drawn[0] as usize;
        }
    }
}

#[test]
fn longer_contexts_are_numbers_in_base_v() {
    // After the boundary and a comes b, after a and b the end; from there nothing is known.
    let mut rows = [0.0; 27];
    for (context, symbol) in [([0, 0], 1), ([0, 1], 2), ([1, 2], 0)] {
        rows[9 * context[0] + 3 * context[1] + symbol] = 1.0;
    }
    let (table, progress) = (table(&rows, (3, 2), PLAIN), Progress::new());
    assert_eq!(table.shape(), (3, 2));
    let draw =
        |prompt: &[u32]| Sampler::new(&table, 0, prompt, 9, b"ab").unwrap().draw(0..2, &progress);
    assert_eq!(texts(&draw(&[]).unwrap()), ["ab", "ab"]);
    assert_eq!(texts(&draw(&[1, 2]).unwrap()), ["ab", "ab"]);
    assert_eq!(draw(&[2, 1]), Err(Error::DeadEnd { context: vec![2, 1] }));
    assert_eq!(draw(&[2]), Err(Error::DeadEnd { context: vec![0, 2] }));
}

#[test]
fn wrong_plans_and_tables_are_refused() {
    let (whole, progress) = (table(&TWO, (3, 1), PLAIN), Progress::new());
    assert!(Sampler::new(&whole, 0, &[0], 9, b"ab").is_err());
    assert!(Sampler::new(&whole, 0, &[3], 9, b"ab").is_err());
    assert!(Sampler::new(&whole, 0, &[1, 2], 1, b"ab").is_err());
    assert!(Sampler::new(&whole, 0, &[], 9, b"abc").is_err());
    let params = SamplingParams::new(1.0, None).unwrap();
    for shape in [(3, 0), (3, 2), (0, 1), (0, 0), (2, 1), (u32::MAX, 1), (3, u32::MAX)] {
        assert!(AliasTables::new(&TWO, shape, params, &progress).is_err(), "{shape:?}");
    }
    progress.cancel();
    assert!(matches!(AliasTables::new(&TWO, (3, 1), params, &progress), Err(Error::Interrupted)));
}

#[test]
fn an_endless_item_can_be_interrupted() {
    let table = table(&[0.0, 1.0, 0.0, 1.0], (2, 1), PLAIN);
    let (progress, sampler) =
        (Progress::new(), Sampler::new(&table, 0, &[], 1 << 40, b"a").unwrap());
    assert_eq!(sampler.items_per_part(), 1);
    progress.cancel();
    assert_eq!(sampler.draw(0..1, &progress), Err(Error::Interrupted));
}

#[test]
fn a_symbol_of_two_equals_is_a_bit_of_the_number() {
    let (params, progress) = (SamplingParams::new(1.0, None).unwrap(), Progress::new());
    let rows = [0.5; 2];
    for stream in 0..20 {
        let drawn = draw_rows(&rows, 2, (3, &[stream], 8), params, &progress).unwrap();
        assert_eq!(u64::from(drawn[0]), CounterRng::new(3, stream).at(8) >> 63);
    }
}

#[test]
fn parts_come_in_order_whoever_makes_them() {
    for (parts, threads) in [(0, 3), (1, 3), (2, 3), (50, 1), (50, 3), (50, 100)] {
        let (mut taken, progress) = (Vec::new(), Progress::new());
        let done: Result<(), Error> = ordered_parallel_map(parts, threads, &progress, Ok, |part| {
            taken.extend(part);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(taken, (0..parts).collect::<Vec<u64>>());
    }
}

#[test]
fn the_first_part_that_fails_ends_the_work() {
    let failing = |part| if part % 10 == 7 { Err(Error::Memory) } else { Ok(part) };
    let (mut taken, progress) = (0, Progress::new());
    let done = ordered_parallel_map(1 << 60, 3, &progress, failing, |part| {
        taken += u64::from(part.is_some());
        Ok(())
    });
    assert_eq!((done, taken), (Err(Error::Memory), 7));
    assert_eq!(progress.check(), Err(Error::Interrupted));
}

#[test]
fn who_takes_parts_may_end_the_work() {
    let done = ordered_parallel_map(1 << 60, 3, &Progress::new(), Ok, |part| {
        if part == Some(20) { Err(Error::Interrupted) } else { Ok(()) }
    });
    assert_eq!(done, Err(Error::Interrupted));
}
