//! A step of training without Python, at the sizes of the goals, and the kernels it is made of.
//!
//! `cargo bench -p fastgrad-core --bench nplm`, or `… -- step` for a part of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may fail loudly")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use fastgrad_core::alloc::demand;
use fastgrad_core::kernels::gemm::Gemm;
use fastgrad_core::kernels::{Buffer, Cpu, MICRO_BATCH, elementwise};
use fastgrad_core::nplm::dropout::Dropout;
use fastgrad_core::nplm::optimizer::Optimizer;
use fastgrad_core::nplm::train::{Config, train};
use fastgrad_core::nplm::{Dataset, Params, Shape};
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::Rng;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    steps(&mut criterion);
    gemms(&mut criterion);
    functions(&mut criterion);
    criterion.final_summary();
}

const SMALL: Shape = Shape {
    vocab_size: 27,
    context_length: 3,
    embedding_dim: 10,
    hidden_dim: 200,
    direct: false,
    tied: false,
    shard: None,
};
const MIDDLE: Shape = Shape {
    vocab_size: 27,
    context_length: 8,
    embedding_dim: 24,
    hidden_dim: 512,
    direct: false,
    tied: false,
    shard: None,
};

/// Small random numbers.
fn random_numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed, 0);
    (0..n).map(|_| 0.1 * rng.normal() as f32).collect()
}

/// Steps of SGD, momentum and `AdamW` over 100,000 random examples.
fn steps(criterion: &mut Criterion) {
    let adamw = Optimizer::AdamW { betas: (0.9, 0.999), epsilon: 1e-8 };
    for (name, shape, batch, steps, threads, optimizer) in [
        ("S, SGD", SMALL, 32, 200, 1, Optimizer::Sgd),
        ("S, momentum", SMALL, 32, 200, 1, Optimizer::Momentum { momentum: 0.9 }),
        ("S, AdamW", SMALL, 32, 200, 1, adamw),
        ("M, SGD", MIDDLE, 256, 10, 1, Optimizer::Sgd),
        ("M, SGD, 2 threads", MIDDLE, 256, 10, 2, Optimizer::Sgd),
        ("M, AdamW", MIDDLE, 256, 10, 1, adamw),
    ] {
        let examples = 100_000;
        let mut rng = Rng::new(1, 1);
        let mut ids = |n: usize| -> Vec<u32> {
            (0..n).map(|_| rng.below(shape.vocab_size as u64) as u32).collect()
        };
        let (inputs, targets) = (ids(examples * shape.context_length), ids(examples));
        let data = Dataset { inputs: &inputs, targets: &targets };
        let mut sets = vec![shape.lengths().map(|n| random_numbers(n as u64, n))];
        sets.resize(1 + optimizer.states(), shape.lengths().map(|n| vec![0.0f32; n]));
        let rates = vec![0.001; steps];
        let mut first_step = 0;
        let mut group = criterion.benchmark_group("step");
        group.throughput(Throughput::Elements(steps as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let config = Config {
                    batch_size: batch,
                    lr: &rates,
                    first_step,
                    seed: 1,
                    optimizer,
                    weight_decay: 0.0,
                    dropout: Dropout::default(),
                    threads,
                };
                first_step += steps as u64;
                let before: Vec<_> = sets.iter().map(slices).collect();
                let trained =
                    train(&shape, &before, &data, &config, None, &Progress::new()).unwrap();
                sets = trained.sets;
                trained.losses
            });
        });
        group.finish();
    }
}

fn slices(set: &Params<Vec<f32>>) -> Params<&[f32]> {
    set.as_ref().map(|numbers| &**numbers)
}

/// gemm at the sizes in question; elements are floating-point operations.
fn gemms(criterion: &mut Criterion) {
    let cpu = Cpu::chosen().unwrap();
    let mut group = criterion.benchmark_group("gemm");
    for (name, [rows, columns, terms], transposed) in [
        ("S H.x", [200, 32, 30usize], false),
        ("S U.a", [27, 32, 200usize], false),
        ("S Ut.dy", [200, 32, 27usize], true),
        ("S dz.x", [200, 30, 32usize], false),
        ("S dy.a", [27, 200, 32usize], false),
        ("S dzt.H", [32, 30, 200usize], true),
        ("M H.x", [512, 32, 192usize], false),
        ("M dz.x", [512, 192, 32usize], false),
        ("M dzt.H", [32, 192, 512usize], true),
        ("1024", [1024, 1024, 1024usize], false),
    ] {
        let a = random_numbers(1, rows * terms);
        let row = columns.div_ceil(MICRO_BATCH) * MICRO_BATCH;
        let mut b = demand(Buffer::zeros(terms * row));
        b.copy_from_slice(&random_numbers(2, terms * row));
        let mut out = demand(Buffer::zeros(rows * row));
        let gemm = if transposed { Gemm::transposed } else { Gemm::dense };
        let gemm = Gemm { rsb: row, rsc: row, ..gemm(rows, terms, columns) };
        group.throughput(Throughput::Elements((2 * rows * columns * terms) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| gemm.gemm(cpu, &[(black_box(&a), &b)], &mut out));
        });
    }
    group.finish();
}

/// exp, tanh and transposition of 200 × 32 numbers.
fn functions(criterion: &mut Criterion) {
    let cpu = Cpu::chosen().unwrap();
    let n = 200 * MICRO_BATCH;
    let mut group = criterion.benchmark_group("function");
    group.throughput(Throughput::Elements(n as u64));
    let start = random_numbers(3, n);
    let (mut x, mut y) = (start.clone(), start.clone());
    group.bench_function("copy and exp", |bencher| {
        bencher.iter(|| {
            x.copy_from_slice(&start);
            elementwise::exp(cpu, black_box(&mut x));
        });
    });
    group.bench_function("copy and tanh", |bencher| {
        bencher.iter(|| {
            x.copy_from_slice(&start);
            elementwise::tanh(cpu, black_box(&mut x));
        });
    });
    group.bench_function("transpose", |bencher| {
        bencher.iter(|| {
            elementwise::transpose(
                cpu,
                (black_box(&x), MICRO_BATCH),
                (200, MICRO_BATCH),
                (black_box(&mut y), 200),
            );
        });
    });
    group.finish();
}
