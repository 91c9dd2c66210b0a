//! The model against its definition in plain loops; threads, interruptions, wrong input.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]

use fastgrad_core::Error;
use fastgrad_core::nplm::dropout::{Dropout, Masks};
use fastgrad_core::nplm::optimizer::Optimizer;
use fastgrad_core::nplm::train::{Config, train};
use fastgrad_core::nplm::{Dataset, Params, Shape, eval};
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::Rng;

const SHAPE: Shape = Shape {
    vocab_size: 7,
    context_length: 3,
    embedding_dim: 4,
    hidden_dim: 9,
    direct: true,
    tied: false,
    shard: None,
};
const TIED: Shape = Shape { tied: true, ..SHAPE };
const NONE: Dropout = Dropout { embedding: 0.0, hidden: 0.0 };
const SOME: Dropout = Dropout { embedding: 0.3, hidden: 0.5 };
const ADAMW: Optimizer = Optimizer::AdamW { betas: (0.9, 0.99), epsilon: 1e-8 };
const CONFIG: Config<'_> = Config {
    batch_size: 70,
    lr: &[0.1; 12],
    first_step: 0,
    seed: 3,
    optimizer: Optimizer::Sgd,
    weight_decay: 0.01,
    dropout: NONE,
    threads: 1,
};

struct Example {
    params: Params<Vec<f64>>,
    inputs: Vec<u32>,
    targets: Vec<u32>,
}

impl Example {
    fn new(shape: &Shape, examples: usize) -> Example {
        let mut rng = Rng::new(1, 1);
        let mut ids =
            |n| -> Vec<u32> { (0..n).map(|_| rng.below(shape.vocab_size as u64) as u32).collect() };
        let (inputs, targets) = (ids(examples * shape.context_length), ids(examples));
        let params = shape.lengths().map(|n| (0..n).map(|_| 0.5 * rng.normal()).collect());
        Example { params, inputs, targets }
    }

    fn data(&self) -> Dataset<'_> {
        Dataset { inputs: &self.inputs, targets: &self.targets }
    }

    fn params(&self) -> Params<&[f64]> {
        self.params.as_ref().map(|p| &p[..])
    }
}

/// Mean loss by the formula, number by number.
fn slow_loss(shape: &Shape, params: &Params<&[f64]>, data: &Dataset<'_>) -> f64 {
    let (m, h, inputs) = (shape.embedding_dim, shape.hidden_dim, shape.inputs());
    let mut total = 0.0;
    for (context, &target) in data.inputs.chunks(shape.context_length).zip(data.targets) {
        let x: Vec<f64> =
            context.iter().flat_map(|&id| params.C[id as usize * m..][..m].to_vec()).collect();
        let a: Vec<f64> = (0..h)
            .map(|i| {
                let row = &params.H[i * inputs..][..inputs];
                (params.d[i] + row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>()).tanh()
            })
            .collect();
        let z: Vec<f64> = if shape.tied {
            let rows = params.P.chunks(h);
            rows.map(|row| row.iter().zip(&a).map(|(p, a)| p * a).sum()).collect()
        } else {
            a
        };
        let (matrix, width) = if shape.tied { (params.C, m) } else { (params.U, h) };
        let logits: Vec<f64> = (0..shape.vocab_size)
            .map(|v| {
                let hidden: f64 =
                    matrix[v * width..][..width].iter().zip(&z).map(|(u, z)| u * z).sum();
                let w = params.W.get(v * inputs..(v + 1) * inputs).unwrap_or_default();
                params.b[v] + hidden + w.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>()
            })
            .collect();
        total += logits.iter().map(|y| y.exp()).sum::<f64>().ln() - logits[target as usize];
    }
    total / data.len() as f64
}

fn run(shape: &Shape, example: &Example, config: &Config<'_>) -> (Vec<Params<Vec<f64>>>, Vec<f64>) {
    run_under(&Progress::new(), shape, example, config)
}

fn run_under(
    progress: &Progress,
    shape: &Shape,
    example: &Example,
    config: &Config<'_>,
) -> (Vec<Params<Vec<f64>>>, Vec<f64>) {
    let mut sets = vec![example.params.clone()];
    sets.resize(1 + config.optimizer.states(), shape.lengths().map(|n| vec![0.0; n]));
    let slices: Vec<_> = sets.iter().map(|set| set.as_ref().map(|p| &p[..])).collect();
    let trained = train(shape, &slices, &example.data(), config, None, progress).unwrap();
    (trained.sets, trained.losses)
}

#[test]
fn losses_are_those_of_the_formula() {
    for (hidden, direct, tied) in
        [(9, true, false), (9, false, false), (0, true, false), (9, true, true), (9, false, true)]
    {
        let shape = Shape { hidden_dim: hidden, direct, tied, ..SHAPE };
        for examples in [1, 31, 32, 33, 300, 1025] {
            let example = Example::new(&shape, examples);
            let (params, data) = (example.params(), example.data());
            let slow = slow_loss(&shape, &params, &data);
            let fast = eval::loss(&shape, &params, &data, None, 1, &Progress::new()).unwrap();
            assert!((fast - slow).abs() < 1e-12);
            let losses = eval::losses(&shape, &params, &data, 1, &Progress::new()).unwrap();
            assert!((losses.iter().sum::<f64>() / examples as f64 - slow).abs() < 1e-12);
            let (loss, _) =
                eval::gradients(&shape, &params, &data, None, 1, &Progress::new()).unwrap();
            assert!((loss - slow).abs() < 1e-12);
        }
    }
}

#[test]
fn the_logits_of_a_forward_pass_are_those_of_the_losses() {
    for (hidden, direct, tied) in [(9, true, false), (0, true, false), (9, false, true)] {
        let shape = Shape { hidden_dim: hidden, direct, tied, ..SHAPE };
        for examples in [1, 33, 1025] {
            let example = Example::new(&shape, examples);
            let (params, ids) = (example.params(), &example.inputs);
            let made = eval::forward(&shape, &params, ids, 2, &Progress::new()).unwrap();
            assert_eq!(made.embedding.len(), examples * shape.inputs());
            assert_eq!(made.hidden.len(), examples * hidden);
            assert_eq!(made, eval::forward(&shape, &params, ids, 1, &Progress::new()).unwrap());
            let losses =
                eval::losses(&shape, &params, &example.data(), 1, &Progress::new()).unwrap();
            let rows = made.logits.chunks(shape.vocab_size).zip(&example.targets);
            for ((y, &target), loss) in rows.zip(losses) {
                let sum: f64 = y.iter().map(|y| y.exp()).sum();
                assert!((sum.ln() - y[target as usize] - loss).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn tiles_of_the_vocabulary_leave_no_trace() {
    use fastgrad_core::nplm::TILE;
    for vocabulary in [TILE - 1, TILE, TILE + 1, 3 * TILE + 5] {
        let shape = Shape { vocab_size: vocabulary, ..SHAPE };
        let example = Example::new(&shape, 70);
        let (params, data) = (example.params(), example.data());
        let slow = slow_loss(&shape, &params, &data);
        let fast = eval::loss(&shape, &params, &data, None, 2, &Progress::new()).unwrap();
        assert!((fast - slow).abs() < 1e-12);
        let (loss, _) = eval::gradients(&shape, &params, &data, None, 2, &Progress::new()).unwrap();
        assert!((loss - slow).abs() < 1e-12);
        let ids = &example.inputs;
        let p = eval::probabilities(&shape, &params, ids, 2, &Progress::new()).unwrap();
        let chosen = p.chunks(vocabulary).zip(&example.targets).map(|(p, &t)| p[t as usize]);
        let from_p = -chosen.map(f64::ln).sum::<f64>() / 70.0;
        assert!((from_p - slow).abs() < 1e-12);
    }
}

/// f(p + δ) − f(p − δ) = 2·δ·f'(p) + δ³·f'''/3: with δ of 1e-5 the rest is about 1e-10, as is
/// rounding.
#[test]
fn gradients_are_central_differences() {
    for shape in [SHAPE, TIED] {
        check_central_differences(&shape, None);
        check_central_differences(&shape, Some(&SOME.at(1, 2)));
    }
}

fn check_central_differences(shape: &Shape, masks: Option<&Masks>) {
    let mut example = Example::new(shape, 40);
    let look = |example: &Example| {
        let (params, data) = (example.params(), example.data());
        eval::gradients(shape, &params, &data, masks, 1, &Progress::new()).unwrap()
    };
    let gradients = look(&example).1.named();
    for (which, (name, gradient)) in gradients.iter().enumerate() {
        for (i, slope) in gradient.iter().enumerate().step_by(3) {
            let mut at = |delta: f64| {
                example.params.as_mut().named()[which].1[i] += delta;
                look(&example).0
            };
            let difference = at(1e-5) - at(-2e-5);
            at(1e-5);
            assert!((difference / 2e-5 - slope).abs() < 1e-9, "{name}[{i}]");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let example = Example::new(&SHAPE, 500);
    let tied = Example::new(&TIED, 500);
    for optimizer in [Optimizer::Sgd, Optimizer::Momentum { momentum: 0.9 }, ADAMW] {
        for (shape, example) in [(SHAPE, &example), (TIED, &tied)] {
            for dropout in [NONE, SOME] {
                let config = Config { optimizer, dropout, ..CONFIG };
                let alone = run(&shape, example, &config);
                for threads in [2, 3, 5] {
                    let config = Config { threads, ..config };
                    let shared = run(&shape, example, &config);
                    assert_eq!(shared, alone, "{threads} threads");
                }
            }
        }
    }
}

#[test]
fn rows_that_no_example_uses_stand_still() {
    let shape = Shape { vocab_size: 50, ..SHAPE };
    let mut example = Example::new(&shape, 500);
    example.inputs.iter_mut().for_each(|id| *id %= 25);
    for optimizer in [Optimizer::Sgd, Optimizer::Momentum { momentum: 0.9 }, ADAMW] {
        let (sets, _) = run(&shape, &example, &Config { optimizer, ..CONFIG });
        let start = 25 * shape.embedding_dim;
        assert_eq!(sets[0].C[start..], example.params.C[start..]);
        assert!(sets[0].C[..start].iter().zip(&example.params.C).all(|(now, then)| now != then));
        assert!(sets[1..].iter().all(|set| set.C[start..].iter().all(|x| *x == 0.0)));
    }
}

#[test]
fn training_can_be_cut_anywhere() {
    let example = Example::new(&SHAPE, 500);
    let (whole, losses) = run(&SHAPE, &example, &CONFIG);
    let first = Config { lr: &CONFIG.lr[..5], ..CONFIG };
    let (mut parts, mut all) = run(&SHAPE, &example, &first);
    let second = Config { lr: &CONFIG.lr[5..], first_step: 5, ..CONFIG };
    let next = Example { params: parts.remove(0), ..example };
    let (parts, rest) = run(&SHAPE, &next, &second);
    all.extend(rest);
    assert_eq!((parts, all), (whole, losses));
}

#[test]
fn a_step_that_goes_wrong_is_taken_back() {
    let example = Example::new(&SHAPE, 500);
    let good = run(&SHAPE, &example, &Config { lr: &[0.1; 3], ..CONFIG });
    let mut rates = [0.1; 10];
    rates[3..].fill(f64::MAX);
    let progress = Progress::new();
    let bad = run_under(&progress, &SHAPE, &example, &Config { lr: &rates, ..CONFIG });
    assert_eq!(bad, good);
    // The steps that were made once more count once.
    assert_eq!(progress.done(), 3);
}

#[test]
fn an_interruption_ends_the_work() {
    let example = Example::new(&SHAPE, 500);
    let progress = Progress::new();
    progress.cancel();
    let result = train(&SHAPE, &[example.params()], &example.data(), &CONFIG, None, &progress);
    assert_eq!(result.unwrap_err(), Error::Interrupted);
    assert_eq!(progress.done(), 0);
    let result = eval::loss(&SHAPE, &example.params(), &example.data(), None, 1, &progress);
    assert_eq!(result, Err(Error::Interrupted));
}

#[test]
fn wrong_input_is_named() {
    let mut example = Example::new(&SHAPE, 5);
    let loss = |example: &Example| {
        eval::loss(&SHAPE, &example.params(), &example.data(), None, 1, &Progress::new())
            .unwrap_err()
            .to_string()
    };
    example.inputs[7] = 7;
    assert_eq!(loss(&example), "inputs: id 7 at position 7; expected 0 to 6");
    example.inputs[7] = 0;
    example.targets[2] = 9;
    assert_eq!(loss(&example), "targets: id 9 at position 2; expected 0 to 6");
    example.targets.pop();
    assert_eq!(loss(&example), "nplm_loss: inputs has length 15, expected 12");
    example.targets.clear();
    assert_eq!(loss(&example), "nplm_loss: targets is empty, expected at least one value");
    example.params.U.pop();
    assert_eq!(loss(&example), "nplm_loss: U has length 62, expected 63");
    let contexts = [0, 1, 7];
    let params = Example::new(&SHAPE, 1);
    let result = eval::probabilities(&SHAPE, &params.params(), &contexts, 1, &Progress::new());
    assert_eq!(result.unwrap_err().to_string(), "contexts: id 7 at position 2; expected 0 to 6");
}
