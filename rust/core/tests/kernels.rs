//! Kernels against plain loops, on every set of instructions that this processor has.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]

use fastgrad_core::kernels::embedding::{self, Layout, SKIP};
use fastgrad_core::kernels::gemm::Gemm;
use fastgrad_core::kernels::optim::{self, AdamW, Momentum};
use fastgrad_core::kernels::{Buffer, Cpu, Dispatch, Float, MICRO_BATCH, elementwise};
use fastgrad_core::rng::Rng;

fn numbers<T: Float>(seed: u64, n: usize) -> Vec<T> {
    let mut rng = Rng::new(seed, n as u64);
    (0..n).map(|_| T::from_f64(rng.normal())).collect()
}

/// Returns the product by its definition, in doubles, and the sum of the terms' sizes.
fn naive<T: Float>(shape: &Gemm<T>, pairs: &[(&[T], &[T])], i: usize, j: usize) -> (f64, f64) {
    let (mut sum, mut size) = (0.0, 0.0);
    for (a, b) in pairs {
        for k in 0..shape.k {
            let a = a[i * shape.rsa + k * shape.csa].to_f64();
            let term = a * b[k * shape.rsb + j].to_f64();
            sum += term;
            size += term.abs();
        }
    }
    (sum, size)
}

fn check_product<T: Dispatch>(cpu: Cpu, epsilon: f64) {
    let mut rng = Rng::new(1, 2);
    let mut sizes: Vec<[usize; 3]> = vec![
        [0, 5, 3],
        [5, 0, 3],
        [5, 4, 0],
        [200, 32, 30],
        [27, 32, 200],
        [32, 30, 200],
        [13, 65, 2],
    ];
    for rows in 1..=25 {
        sizes.push([rows, 1 + rng.below(70) as usize, 1 + rng.below(40) as usize]);
    }
    for columns in 1..=66 {
        sizes.push([1 + rng.below(14) as usize, columns, 1 + rng.below(9) as usize]);
    }
    for [rows, columns, terms] in sizes {
        let transposed = rng.below(2) == 1;
        let count = rng.below(3) as usize + usize::from(terms == 30);
        let [alpha, beta] = [[1.0, 0.0], [1.0, 1.0], [-0.5, 0.75]][rng.below(3) as usize];
        let shape = Gemm {
            m: rows,
            n: columns,
            k: terms,
            rsa: if transposed { 1 } else { terms + 1 },
            csa: if transposed { rows + 2 } else { 1 },
            rsb: columns + rng.below(3) as usize,
            rsc: columns + rng.below(3) as usize,
            alpha: T::from_f64(alpha),
            beta: T::from_f64(beta),
        };
        // No longer than they must be, so that reading beyond is noticed by tools that look.
        let left = numbers::<T>(3, (rows + 2) * (terms + 2) * (count + 1));
        let right = numbers::<T>(4, terms * (columns + 2) * (count + 1) + 1);
        let pairs: Vec<(&[T], &[T])> =
            (0..count).map(|c| (&left[c * rows..], &right[c * terms..])).collect();
        let before = numbers::<T>(5, rows * (columns + 2));
        let mut out = before.clone();
        shape.gemm(cpu, &pairs, &mut out);
        for (at, (after, before)) in out.iter().zip(&before).enumerate() {
            let (i, j) = (at / shape.rsc.max(1), at % shape.rsc.max(1));
            let before = before.to_f64();
            if i >= rows || j >= columns {
                assert_eq!(after.to_f64(), before, "{shape:?}: a number outside was changed");
                continue;
            }
            let (sum, size) = naive(&shape, &pairs, i, j);
            let expected = alpha * sum + beta * before;
            let bound = epsilon * (terms as f64 + 4.0) * (size + before.abs());
            let apart = (after.to_f64() - expected).abs();
            assert!(apart <= bound, "{} {shape:?} at {i}, {j}: {apart:e}", cpu.name());
        }
    }
}

#[test]
fn products_are_those_of_the_definition() {
    for cpu in Cpu::available() {
        check_product::<f32>(cpu, f64::from(f32::EPSILON));
        check_product::<f64>(cpu, f64::EPSILON);
    }
}

#[test]
fn a_number_of_a_product_does_not_depend_on_its_place() {
    let (a, b) = (numbers::<f32>(1, 40 * 30), numbers::<f32>(2, 30 * 70));
    let whole = Gemm::dense(40, 30, 70);
    for cpu in Cpu::available() {
        let mut all = vec![0.0; 40 * 70];
        whole.gemm(cpu, &[(&a, &b)], &mut all);
        for (first, rows) in [(0, 1), (3, 5), (17, 23)] {
            for (start, columns) in [(0, 1), (5, 17), (31, 39)] {
                let mut part = vec![0.0; rows * 70];
                let product = Gemm { m: rows, n: columns, ..whole };
                product.gemm(cpu, &[(&a[first * 30..], &b[start..])], &mut part);
                for i in 0..rows {
                    for j in 0..columns {
                        assert_eq!(part[i * 70 + j], all[(first + i) * 70 + start + j]);
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "operand too short")]
fn a_product_does_not_read_beyond_its_operands() {
    let product = Gemm::dense(2, 2, 2);
    product.gemm(Cpu::available()[0], &[(&[0.0f32; 4], &[0.0; 3])], &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "C too short")]
fn a_product_does_not_write_beyond_its_result() {
    let product = Gemm { rsa: usize::MAX, rsc: usize::MAX, ..Gemm::dense(2, 2, 2) };
    product.gemm(Cpu::available()[0], &[(&[0.0f32; 4], &[0.0; 4])], &mut [0.0; 4]);
}

// Functions ---------------------------------------------------------------------------------------

/// Numbers of every exponent and both signs, with mantissas from end to end, and special ones.
fn all_exponents() -> Vec<f32> {
    let mut rng = Rng::new(7, 7);
    let mut found = vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY];
    for high in 0..512u32 {
        for _ in 0..500 {
            found.push(f32::from_bits(high << 23 | rng.below(1 << 23) as u32));
        }
        found.extend([0, 1, (1 << 23) - 1].map(|low| f32::from_bits(high << 23 | low)));
    }
    // Where the functions are neither 0, nor 1, nor infinite, as dense as need be.
    found.extend((0..400_000).map(|_| (210.0 * rng.unit() - 107.0) as f32));
    found.extend((0..400_000).map(|_| (20.0 * rng.unit() - 10.0) as f32));
    found
}

/// Returns a result's error in units in the last place of the exact value, 2^-149 for subnormals.
fn units_off(result: f32, exact: f64) -> f64 {
    if result.is_nan() && exact.is_nan() || f64::from(result) == exact {
        return 0.0;
    }
    let exponent = (exact.abs().log2().floor() as i32).clamp(-126, 127);
    if exact.abs() >= 2f64.powi(128) {
        // Overflow: infinity is right, and so is what rounds to the largest number.
        let limit = f64::from(f32::MAX) * (1.0 + 2f64.powi(-24));
        return if result.is_infinite() { 0.0 } else { (exact - limit) / 2f64.powi(104) };
    }
    (f64::from(result) - exact).abs() / 2f64.powi(exponent - 23)
}

fn worst(cpu: Cpu, fast: fn(Cpu, &mut [f32]), exact: fn(f64) -> f64) -> (f64, f32) {
    let arguments = all_exponents();
    let mut results = arguments.clone();
    fast(cpu, &mut results);
    let errors = arguments.iter().zip(&results);
    errors
        .map(|(&x, &y)| (units_off(y, exact(f64::from(x))), x))
        .fold((0.0, 0.0), |worst, next| if next.0 > worst.0 { next } else { worst })
}

#[test]
fn exp_keeps_its_bound_at_every_exponent() {
    for cpu in Cpu::available() {
        let (error, at) = worst(cpu, elementwise::exp, libm::exp);
        println!("exp on {}: {error} at {at}", cpu.name());
        assert!(error < 1.5, "{}: {error} units at {at}", cpu.name());
    }
}

#[test]
fn tanh_keeps_its_bound_at_every_exponent() {
    for cpu in Cpu::available() {
        let (error, at) = worst(cpu, elementwise::tanh, libm::tanh);
        println!("tanh on {}: {error} at {at}", cpu.name());
        let bound = if cpu.name() == "portable" { 6.5 } else { 5.0 };
        assert!(error < bound, "{}: {error} units at {at}", cpu.name());
        let mut results = all_exponents();
        elementwise::tanh(cpu, &mut results);
        assert!(results.iter().all(|y| y.is_nan() || y.abs() <= 1.0));
    }
}

#[test]
fn doubles_have_the_functions_of_the_library() {
    for cpu in Cpu::available() {
        let x = numbers::<f64>(1, 37);
        let (mut e, mut t) = (x.clone(), x.clone());
        elementwise::exp(cpu, &mut e);
        elementwise::tanh(cpu, &mut t);
        assert_eq!(e, x.iter().map(|x| libm::exp(*x)).collect::<Vec<_>>());
        assert_eq!(t, x.iter().map(|x| libm::tanh(*x)).collect::<Vec<_>>());
    }
}

// Activations -------------------------------------------------------------------------------------

#[test]
fn the_online_softmax_of_activations() {
    for cpu in Cpu::available() {
        let (start, b) = (numbers::<f32>(1, 27 * MICRO_BATCH), numbers::<f32>(2, 27));
        let (mut y, mut running) = (start.clone(), elementwise::OnlineSoftmax::new());
        // In two parts; what was made of the first follows the largest logit.
        let (first, second) = y.split_at_mut(10 * MICRO_BATCH);
        assert_eq!(
            elementwise::online_softmax(cpu, first, &b[..10], &mut running),
            [0.0; MICRO_BATCH]
        );
        let factors = elementwise::online_softmax(cpu, second, &b[10..], &mut running);
        elementwise::scale(cpu, first, &factors);
        let elementwise::OnlineSoftmax { max: largest, sum: sums } = running;
        for lane in 0..MICRO_BATCH {
            let logits: Vec<f32> = (0..27).map(|v| start[v * MICRO_BATCH + lane] + b[v]).collect();
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest[lane], max);
            let sum: f64 = logits.iter().map(|l| libm::exp(f64::from(l - max))).sum();
            assert!((f64::from(sums[lane]) - sum).abs() < 1e-5 * sum);
            for v in 0..27 {
                let exact = libm::exp(f64::from(logits[v] - max));
                assert!((f64::from(y[v * MICRO_BATCH + lane]) - exact).abs() < 1e-6 * exact);
            }
        }
    }
}

#[test]
fn sums_of_rows() {
    for cpu in Cpu::available() {
        let activations: Vec<Vec<f64>> = (0..3).map(|i| numbers(i, 9 * MICRO_BATCH)).collect();
        let mut out = vec![2.0; 9];
        let views: Vec<&[f64]> = activations.iter().map(|panel| &panel[..]).collect();
        elementwise::sum_rows(cpu, &views, -0.5, 3.0, &mut out);
        for (i, out) in out.iter().enumerate() {
            let sum: f64 =
                activations.iter().flat_map(|p| &p[i * MICRO_BATCH..(i + 1) * MICRO_BATCH]).sum();
            assert!((out - (6.0 - 0.5 * sum)).abs() < 1e-12);
        }
    }
}

#[test]
fn transposes() {
    for cpu in Cpu::available() {
        for (rows, columns) in [(32, 30), (200, 32), (1, 1), (5, 40), (17, 16), (0, 3), (3, 0)] {
            let from = numbers::<f32>(1, rows * (columns + 1));
            let mut to = vec![9.0; columns * (rows + 2)];
            elementwise::transpose(cpu, (&from, columns + 1), (rows, columns), (&mut to, rows + 2));
            for j in 0..columns {
                for i in 0..rows + 2 {
                    let expected = if i < rows { from[i * (columns + 1) + j] } else { 9.0 };
                    assert_eq!(to[j * (rows + 2) + i], expected, "{rows} x {columns}: {i} {j}");
                }
            }
        }
    }
}

// Updates -----------------------------------------------------------------------------------------

#[test]
fn updates_are_those_of_the_formulas() {
    for cpu in Cpu::available() {
        let [mut p, mut v, g] = [1, 2, 3].map(|seed| numbers::<f64>(seed, 21));
        let (p0, v0) = (p.clone(), v.clone());
        optim::momentum(
            cpu,
            Momentum { lr: 0.1, momentum: 0.9, weight_decay: 0.01 },
            &mut p,
            &mut v,
            &g,
        );
        for i in 0..21 {
            assert!((v[i] - (0.9 * v0[i] + g[i] + 0.01 * p0[i])).abs() < 1e-15);
            assert!((p[i] - (p0[i] - 0.1 * v[i])).abs() < 1e-15);
        }
        let [mut p, mut m, v, g] = [1, 2, 3, 4].map(|seed| numbers::<f64>(seed, 21));
        let mut v: Vec<f64> = v.iter().map(|v| v.abs()).collect();
        let (p0, m0, v0) = (p.clone(), m.clone(), v.clone());
        let rule = AdamW { shrink: 0.98, lr: 0.1, root: 0.3, betas: (0.9, 0.99), epsilon: 1e-3 };
        optim::adamw(cpu, rule, &mut p, &mut m, &mut v, &g);
        for i in 0..21 {
            assert!((m[i] - (0.9 * m0[i] + 0.1 * g[i])).abs() < 1e-15);
            assert!((v[i] - (0.99 * v0[i] + 0.01 * g[i] * g[i])).abs() < 1e-15);
            let expected = 0.98 * p0[i] - 0.1 * m[i] / (v[i].sqrt() / 0.3 + 1e-3);
            assert!((p[i] - expected).abs() < 1e-14);
        }
    }
}

fn check_range<T: Dispatch>(cpu: Cpu) {
    let large = [T::LARGE, -T::LARGE, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for n in [0, 1, 7, 16, 33, 100] {
        let mut x = numbers::<T>(1, n);
        for at in 0..n {
            let good = std::mem::replace(&mut x[at], T::from_f64(0.999 * T::LARGE));
            assert!(optim::all_in_range(cpu, &x), "{at} of {n}");
            for bad in large {
                x[at] = T::from_f64(bad);
                assert!(!optim::all_in_range(cpu, &x), "{bad} at {at} of {n}");
            }
            x[at] = good;
        }
        assert!(optim::all_in_range(cpu, &x));
    }
}

#[test]
fn what_is_out_of_range_is_found_wherever_it_is() {
    for cpu in Cpu::available() {
        check_range::<f32>(cpu);
        check_range::<f64>(cpu);
    }
}

#[test]
fn rows_are_copied_and_added_to_by_number() {
    for cpu in Cpu::available() {
        for dim in [1, 10, 24, 35] {
            let layout = Layout { dim, context: 3, x_stride: 3 * dim + 2 };
            let table = numbers::<f32>(1, 5 * dim);
            let mut ids = [4, 0, 4, 2, 2, 1];
            let mut x = vec![9.0; 2 * layout.x_stride];
            embedding::gather(cpu, layout, &table, &ids, &mut x);
            for (place, id) in ids.into_iter().enumerate() {
                let at = place / 3 * layout.x_stride + place % 3 * dim;
                assert_eq!(x[at..at + dim], table[id as usize * dim..][..dim]);
            }
            // Between one row of x and the next nothing is written.
            assert_eq!(x[3 * dim..layout.x_stride], [9.0; 2]);
            ids[5] = SKIP;
            let mut sums = table.clone();
            assert!(embedding::scatter_add(cpu, layout, -0.5, &x, &ids, &mut sums));
            for j in 0..dim {
                for (id, factor) in [(0, 0.5), (1, 1.0), (2, 0.0), (3, 1.0), (4, 0.0)] {
                    let (sum, start) = (sums[id * dim + j], table[id * dim + j]);
                    assert!((sum - factor * start).abs() <= 1e-6 * start.abs());
                }
            }
            x[dim] = f32::INFINITY;
            assert!(!embedding::scatter_add(cpu, layout, -0.5, &x, &ids, &mut sums));
        }
    }
}

#[test]
fn a_row_that_does_not_exist_panics() {
    let layout = Layout { dim: 4, context: 1, x_stride: 4 };
    for cpu in Cpu::available() {
        let gathered = std::panic::catch_unwind(|| {
            embedding::gather(cpu, layout, &[1.0f32; 8], &[2], &mut [0.0; 4]);
        });
        assert!(gathered.is_err());
        let added = std::panic::catch_unwind(|| {
            embedding::scatter_add(cpu, layout, 1.0, &[1.0f32; 4], &[2], &mut [0.0; 8])
        });
        assert!(added.is_err());
    }
}

#[test]
fn lengths_that_do_not_fit_panic() {
    for cpu in Cpu::available() {
        let short = || {
            std::panic::catch_unwind(|| {
                elementwise::bias_tanh(cpu, &mut [0.0f32; 2 * MICRO_BATCH], &[0.0; 3]);
            })
        };
        assert!(short().is_err());
        let rule = Momentum { lr: 0.1, momentum: 0.9, weight_decay: 0.0 };
        let short = || {
            std::panic::catch_unwind(|| {
                optim::momentum(cpu, rule, &mut [0.0f32; 3], &mut [0.0; 3], &[0.0; 2]);
            })
        };
        assert!(short().is_err());
    }
}

#[test]
fn buffers_begin_with_a_cache_line() {
    for n in [0, 1, 100, 10_000] {
        let buffer = Buffer::<f32>::zeros(n).unwrap();
        assert_eq!(buffer.len(), n);
        assert!(n == 0 || buffer.as_ptr().addr().is_multiple_of(64));
    }
}
