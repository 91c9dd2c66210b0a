//! Ops over lists against the same sums written out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::sync::Arc;

use fastgrad_core::Error;
use fastgrad_core::autograd::fused::{self, Vjp, Weights};

/// Gradients of all parents for the outputs' gradients `dout`, and those of shared weights.
fn vjp(rule: &Vjp, dout: &[f64], parents: usize, shared: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut given, mut of_weights) = (vec![0.0; parents], vec![0.0; shared]);
    rule.vjp(dout, parents, &mut of_weights, &mut Vec::new(), |i, g| given[i] += g);
    (given, of_weights)
}

/// Central differences of Σ dout·f(x).
fn differences(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], dout: &[f64]) -> Vec<f64> {
    let total = |x: &[f64]| f(x).iter().zip(dout).map(|(y, g)| y * g).sum::<f64>();
    (0..x.len())
        .map(|i| {
            let (mut up, mut down) = (x.to_vec(), x.to_vec());
            up[i] += 1e-6;
            down[i] -= 1e-6;
            (total(&up) - total(&down)) / 2e-6
        })
        .collect()
}

fn assert_close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-8, "{a} is not {b}");
    }
}

const X: [f64; 4] = [0.5, -1.25, 2.0, 0.125];
const DOUT: [f64; 4] = [1.0, -0.5, 0.25, 2.0];

#[test]
fn sums_run_from_left_to_right() {
    let x = [1e16, 1.0, -1e16, 1.0];
    assert_eq!(fused::sum(&x).0, ((1e16 + 1.0) - 1e16) + 1.0);
    assert_eq!(fused::dot(&x, &[1.0; 4]).unwrap().0, 1.0);
    assert_eq!(fused::affine(&x, &[1.0; 4], 3.0).unwrap().0, ((3.0 + 1e16 + 1.0) - 1e16) + 1.0);
    assert_eq!(fused::sum(&[]).0, 0.0);
}

#[test]
fn dot_and_affine_send_each_factor_the_other() {
    let (value, rule) = fused::affine(&X, &DOUT, 10.0).unwrap();
    assert_eq!(value, 10.0 + 0.5 + 0.625 + 0.5 + 0.25);
    let (given, _) = vjp(&rule, &[2.0], 9, 0);
    let expected: Vec<f64> = DOUT.iter().chain(&X).chain(&[1.0]).map(|v| 2.0 * v).collect();
    assert_eq!(given, expected);
}

#[test]
fn a_linear_map_of_every_small_shape() {
    for m in 0..10 {
        for n in 0..6 {
            for with_bias in [false, true] {
                check_linear(m, n, with_bias);
            }
        }
    }
}

fn check_linear(m: usize, n: usize, with_bias: bool) {
    let number = |i: usize| [0.25, -1.5, 2.0, 0.0, -0.125, 3.0, 1.25][(i * 5) % 7];
    let biases = if with_bias { m } else { 0 };
    let values: Vec<f64> = (0..m * n + biases).map(number).collect();
    let x: Vec<f64> = (0..n).map(|j| number(j + 100)).collect();
    let weights = Arc::new(Weights::new(m, n, values.clone()));
    let mut y = Vec::new();
    weights.apply(&x, &mut y).unwrap();
    let written_out: Vec<f64> = (0..m)
        .map(|i| {
            let start = if with_bias { values[m * n + i] } else { 0.0 };
            (0..n).fold(start, |sum, j| sum + values[i * n + j] * x[j])
        })
        .collect();
    assert_eq!(y, written_out);

    let g: Vec<f64> = (0..m).map(|i| number(i + 50)).collect();
    let rule = Vjp::Linear { x: x.clone(), weights };
    let (dx, dweights) = vjp(&rule, &g, n, values.len());
    for j in 0..n {
        assert_eq!(dx[j], (0..m).fold(0.0, |sum, i| sum + g[i] * values[i * n + j]));
    }
    for i in 0..m {
        for j in 0..n {
            assert_eq!(dweights[i * n + j], g[i] * x[j]);
        }
    }
    assert_eq!(&dweights[m * n..], if with_bias { &g[..] } else { &[] });
}

#[test]
fn softmax_log_softmax_and_rms_norm_are_central_differences() {
    let (p, rule) = fused::softmax(&X).unwrap();
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    let f = |x: &[f64]| fused::softmax(x).unwrap().0;
    assert_close(&vjp(&rule, &DOUT, 4, 0).0, &differences(f, &X, &DOUT));

    let (_, rule) = fused::log_softmax(&X).unwrap();
    let f = |x: &[f64]| fused::log_softmax(x).unwrap().0;
    assert_close(&vjp(&rule, &DOUT, 4, 0).0, &differences(f, &X, &DOUT));

    let (_, rule) = fused::rms_norm(&X, 1e-5).unwrap();
    let f = |x: &[f64]| fused::rms_norm(x, 1e-5).unwrap().0;
    assert_close(&vjp(&rule, &DOUT, 4, 0).0, &differences(f, &X, &DOUT));

    let (_, rule) = fused::cross_entropy(&X, 2).unwrap();
    let f = |x: &[f64]| vec![fused::cross_entropy(x, 2).unwrap().0];
    assert_close(&vjp(&rule, &[1.5], 4, 0).0, &differences(f, &X, &[1.5]));
}

#[test]
fn large_logits_are_no_trouble() {
    let x = [1e4, -1e4, 1e4];
    assert_eq!(fused::softmax(&x).unwrap().0, [0.5, 0.0, 0.5]);
    assert_eq!(fused::cross_entropy(&x, 1).unwrap().0, 2e4 + 2f64.ln());
    let (loss, rule) = fused::cross_entropy(&[1e4, 0.0], 0).unwrap();
    assert_eq!(loss, 0.0);
    assert_eq!(rule, Vjp::Gradients(vec![0.0, 0.0]));
}

#[test]
fn refusals() {
    assert_eq!(
        fused::softmax(&[]).unwrap_err().to_string(),
        "softmax: logits is empty, expected at least one value"
    );
    assert_eq!(fused::dot(&X, &X[..3]).unwrap_err().to_string(), "dot: x has length 3, expected 4");
    for target in [-1, 4, i64::MAX, i64::MIN] {
        let error = fused::cross_entropy(&X, target).unwrap_err();
        assert_eq!(error, Error::Target { op: "cross_entropy", target, classes: 4 });
    }
    assert!(matches!(fused::rms_norm(&[0.0], 0.0), Err(Error::ZeroDivision(_))));
}
