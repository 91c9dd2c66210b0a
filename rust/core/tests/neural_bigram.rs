//! The neural bigram: its gradient, its optimum, and training in pieces.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use fastgrad_core::Error;
use fastgrad_core::neural_bigram::{Config, Examples, Loss, Optimizer, loss_and_gradient, train};
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::Rng;

const IDS: [u32; 10] = [0, 1, 1, 2, 1, 0, 2, 1, 2, 0];
const COUNTS: [u64; 5] = [6, 3, 4, 1, 2];
const WHOLE: Config =
    Config { optimizer: Optimizer::Accelerated, penalty: 0.02, batch: None, seed: 0 };

fn examples() -> Examples {
    Examples::new(3, 2, &IDS, &COUNTS).unwrap()
}

fn normal(count: usize) -> Vec<f64> {
    let mut rng = Rng::new(1, 0);
    (0..count).map(|_| rng.normal()).collect()
}

fn loss(w: &[f64], penalty: f64) -> Loss {
    let mut dw = vec![0.0; w.len()];
    loss_and_gradient(&examples(), penalty, w, &mut dw, &Progress::new()).unwrap()
}

#[test]
fn the_gradient_is_the_difference_quotient() {
    let (w, mut dw) = (normal(9), vec![0.0; 9]);
    loss_and_gradient(&examples(), 0.3, &w, &mut dw, &Progress::new()).unwrap();
    let step = 1e-5;
    for place in 0..9 {
        let at = |move_by: f64| {
            let mut w = w.clone();
            w[place] += move_by;
            loss(&w, 0.3).total
        };
        // The error of the quotient is of the order of step², plus rounding over step.
        let quotient = (at(step) - at(-step)) / (2.0 * step);
        assert!((dw[place] - quotient).abs() < 1e-9, "{place}: {} {quotient}", dw[place]);
    }
}

#[test]
fn equal_logits_lose_the_logarithm_of_the_vocabulary() {
    let found = loss(&[5.0; 9], 0.0);
    assert!((found.data - 3f64.ln()).abs() < 1e-15);
    assert_eq!(found.total, found.data);
    assert!((loss(&[2.0; 9], 0.5).total - 3f64.ln() - 2.0).abs() < 1e-15);
}

/// Without a penalty the least loss is that of the shares of what follows each symbol.
#[test]
fn training_finds_what_counting_knows() {
    let (mut w, mut velocity, mut losses) = (normal(9), vec![0.0; 9], vec![0.0; 4000]);
    let plain = Config { penalty: 0.0, ..WHOLE };
    let state = (w.as_mut_slice(), velocity.as_mut_slice());
    train(&examples(), &plain, state, 0, &mut losses, &Progress::new()).unwrap();
    let totals = [6.0, 7.0, 3.0];
    let best: f64 = IDS
        .chunks(2)
        .zip([6.0, 3.0, 4.0, 1.0, 2.0])
        .map(|(gram, count): (_, f64)| -count * (count / totals[gram[0] as usize]).ln() / 16.0)
        .sum();
    assert!(loss(&w, 0.0).total - best < 1e-6);
    assert!(loss(&w, 0.0).total > best);
}

#[test]
fn calls_of_any_length_give_the_same_bits() {
    let optimizers = [
        WHOLE,
        Config { optimizer: Optimizer::Sgd { lr: 2.0, momentum: 0.5 }, ..WHOLE },
        Config {
            optimizer: Optimizer::Sgd { lr: 2.0, momentum: 0.5 },
            batch: Some(5),
            seed: 3,
            ..WHOLE
        },
    ];
    for config in optimizers {
        let run = |cuts: &[usize]| {
            let (mut w, mut velocity, mut losses) = (normal(9), vec![0.0; 9], Vec::new());
            for &steps in cuts {
                let (first, mut part) = (losses.len() as u64, vec![0.0; steps]);
                let state = (w.as_mut_slice(), velocity.as_mut_slice());
                train(&examples(), &config, state, first, &mut part, &Progress::new()).unwrap();
                losses.extend(part);
            }
            (w, velocity, losses)
        };
        assert_eq!(run(&[30]), run(&[1, 9, 0, 20]), "{config:?}");
    }
}

#[test]
fn trigrams_have_a_row_for_each_pair() {
    let examples = Examples::new(3, 3, &[0, 0, 1, 0, 1, 2, 2, 2, 0], &[1, 1, 2]).unwrap();
    assert_eq!(examples.logits(), 27);
    let mut dw = vec![0.0; 27];
    loss_and_gradient(&examples, 0.0, &[0.0; 27], &mut dw, &Progress::new()).unwrap();
    let third = 1.0 / 3.0;
    // The contexts (0, 0), (0, 1) and (2, 2) are the rows 0, 1 and 8.
    let expected = [[third, third - 1.0, third], [third, third, third - 1.0]];
    for (row, row_expected) in [(0, expected[0]), (1, expected[1])] {
        for (got, wanted) in dw[3 * row..3 * row + 3].iter().zip(row_expected) {
            assert!((got - wanted / 4.0).abs() < 1e-15);
        }
    }
    assert!((dw[24] - (2.0 * third - 2.0) / 4.0).abs() < 1e-15);
    assert!(dw[6..24].iter().all(|&g| g == 0.0));
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(Examples::new(3, 2, &[0, 3], &[1]).is_err());
    assert!(Examples::new(3, 2, &[0, 1], &[0]).is_err());
    assert!(Examples::new(3, 2, &[], &[]).is_err());
    let wrong = [
        Config { penalty: -1.0, ..WHOLE },
        Config { penalty: f64::NAN, ..WHOLE },
        Config { batch: Some(3), ..WHOLE },
        Config { optimizer: Optimizer::Sgd { lr: f64::NAN, momentum: 0.0 }, ..WHOLE },
        Config { optimizer: Optimizer::Sgd { lr: 1.0, momentum: 1.0 }, ..WHOLE },
        Config { optimizer: Optimizer::Sgd { lr: 1.0, momentum: 0.0 }, batch: Some(0), ..WHOLE },
    ];
    for config in wrong {
        let state = (&mut [0.0; 9][..], &mut [0.0; 9][..]);
        let done = train(&examples(), &config, state, 0, &mut [0.0], &Progress::new());
        assert!(matches!(done, Err(Error::Invalid(_))), "{config:?}: {done:?}");
    }
    let short = (&mut [0.0; 8][..], &mut [0.0; 9][..]);
    assert!(train(&examples(), &WHOLE, short, 0, &mut [0.0], &Progress::new()).is_err());
    let state = (&mut [f64::NAN; 9][..], &mut [0.0; 9][..]);
    let done = train(&examples(), &WHOLE, state, 5, &mut [0.0; 2], &Progress::new());
    assert!(matches!(done, Err(Error::Diverged { step: 5, .. })), "{done:?}");
    let progress = Progress::new();
    progress.cancel();
    let state = (&mut [0.0; 9][..], &mut [0.0; 9][..]);
    assert_eq!(
        train(&examples(), &WHOLE, state, 0, &mut [0.0], &progress),
        Err(Error::Interrupted)
    );
}
