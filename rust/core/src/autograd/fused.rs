//! Ops over lists: many parents, one or many outputs, one vector-Jacobian product (vjp).
//!
//! Forward sums run in the order in which a program of scalar ops would run, so that the results
//! are bit-equal to it. Each function returns the outputs and the [`Vjp`]; the caller keeps the
//! [`Vjp`] together with the parents, in the order that the function's documentation names.

use std::ops::Range;
use std::sync::Arc;

use crate::alloc;
use crate::autograd::op::{self, Unary};
use crate::error::{Error, Result};

/// The vjp of an op: sends the gradients of the outputs to the parents. Holds what it needs from
/// the forward pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Vjp {
    /// One output, a local derivative for each parent.
    Gradients(Vec<f64>),
    /// One output, the sum of its parents.
    Sum,
    /// Weights that linear maps share: output i is parent i, and passes its gradient on.
    Shared(Arc<Weights>),
    /// `y = W·x + b`. Parents: x. The gradients of W and b go to the op that shares the weights.
    Linear {
        /// x, as it was (n)
        x: Vec<f64>,
        /// W and b, as they were
        weights: Arc<Weights>,
    },
    /// Outputs p = softmax(x). Parents: x.
    Softmax(Vec<f64>),
    /// Outputs ln p; holds p = softmax(x). Parents: x.
    LogSoftmax(Vec<f64>),
    /// Outputs s·x. Parents: x.
    RmsNorm {
        /// x, as it was.
        x: Vec<f64>,
        /// s = (mean(x²) + eps)^−½.
        scale: f64,
    },
}

/// The weights that linear maps of several inputs share: W row by row (m·n), then b (m, or none).
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    n: usize,
    m: usize,
    values: Vec<f64>,
}

/// A nonlinearity fused into the output of a linear map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// the identity
    #[default]
    Linear,
    /// max(z, 0)
    Relu,
    /// tanh z
    Tanh,
    /// 1 / (1 + e⁻ᶻ)
    Sigmoid,
}

impl Activation {
    /// Returns the activation of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Activation> {
        match name {
            "linear" => Some(Activation::Linear),
            "relu" => Some(Activation::Relu),
            "tanh" => Some(Activation::Tanh),
            "sigmoid" => Some(Activation::Sigmoid),
            _ => None,
        }
    }

    /// Returns the activation's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Activation::Linear => "linear",
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
        }
    }

    /// Returns the activation's value and slope at z.
    ///
    /// # Errors
    /// Never, as the ops behind it never fail.
    #[inline]
    pub fn apply(self, z: f64) -> Result<Unary> {
        match self {
            Activation::Linear => op::pos(z),
            Activation::Relu => op::relu(z),
            Activation::Tanh => op::tanh(z),
            Activation::Sigmoid => op::sigmoid(z),
        }
    }
}

/// Σ xᵢ, starting from 0 as Python's `sum` does. Parents: x.
#[must_use]
pub fn sum(x: &[f64]) -> (f64, Vjp) {
    (total(x), Vjp::Sum)
}

/// Σ wᵢ·xᵢ, starting from 0. Parents: w, then x.
///
/// # Errors
/// [`Error::Length`] when the lists differ in length, [`Error::Memory`].
pub fn dot(w: &[f64], x: &[f64]) -> Result<(f64, Vjp)> {
    same_length("dot", "x", x.len(), w.len())?;
    let mut gradients = alloc::with_capacity(x.len() + w.len())?;
    gradients.extend(x.iter().chain(w));
    Ok((accumulate(0.0, w, x), Vjp::Gradients(gradients)))
}

/// b + Σ wᵢ·xᵢ, starting from b. Parents: w, then x, then b.
///
/// # Errors
/// [`Error::Length`] when w and x differ in length, [`Error::Memory`].
pub fn affine(w: &[f64], x: &[f64], b: f64) -> Result<(f64, Vjp)> {
    same_length("affine", "x", x.len(), w.len())?;
    let mut gradients = alloc::with_capacity(x.len() + w.len() + 1)?;
    gradients.extend(x.iter().chain(w).chain(&[1.0]));
    Ok((accumulate(b, w, x), Vjp::Gradients(gradients)))
}

/// pᵢ = e^(xᵢ−max) / Σⱼ e^(xⱼ−max): stable at any finite input. Parents: x.
///
/// # Errors
/// [`Error::Empty`] for no input, [`Error::Memory`].
pub fn softmax(x: &[f64]) -> Result<(Vec<f64>, Vjp)> {
    let (p, _, _) = shifted("softmax", x)?;
    Ok((alloc::copied(&p)?, Vjp::Softmax(p)))
}

/// ln pᵢ = (xᵢ−max) − ln Σⱼ e^(xⱼ−max). Parents: x.
///
/// # Errors
/// [`Error::Empty`] for no input, [`Error::Memory`].
pub fn log_softmax(x: &[f64]) -> Result<(Vec<f64>, Vjp)> {
    let (p, max, total) = shifted("log_softmax", x)?;
    let log_total = total.ln();
    let outputs = alloc::collected(x.iter().map(|v| (v - max) - log_total))?;
    Ok((outputs, Vjp::LogSoftmax(p)))
}

/// −ln softmax(x)\[target\] = ln Σⱼ e^(xⱼ−max) − (x\[target\]−max); d/dx = p − onehot(target).
/// Parents: x.
///
/// # Errors
/// [`Error::Empty`] for no input, [`Error::Target`] for a target outside 0..n,
/// [`Error::Memory`].
#[allow(clippy::indexing_slicing, reason = "the index is checked against x, and p is as long")]
pub fn cross_entropy(x: &[f64], target: i64) -> Result<(f64, Vjp)> {
    let (mut p, max, total) = shifted("cross_entropy", x)?;
    let index = usize::try_from(target).ok().filter(|&index| index < x.len());
    let index = index.ok_or(Error::Target { op: "cross_entropy", target, classes: x.len() })?;
    // p − 1 of the target is −Σ of the other p, which keeps the gradients of small losses exact to
    // the last digits.
    p[index] = 0.0;
    p[index] = -p.iter().sum::<f64>();
    Ok((total.ln() - (x[index] - max), Vjp::Gradients(p)))
}

/// yᵢ = s·xᵢ with s = (Σ xⱼ²/n + eps)^−½ (Zhang and Sennrich 2019, without a gain). Parents: x.
///
/// # Errors
/// [`Error::Empty`] for no input, [`Error::Memory`], and the errors of a power when the mean plus
/// `eps` is not positive.
pub fn rms_norm(x: &[f64], eps: f64) -> Result<(Vec<f64>, Vjp)> {
    non_empty("rms_norm", "x", x)?;
    let mean = accumulate(0.0, x, x) / count(x.len());
    let scale = op::pow_number(mean + eps, -0.5)?.value;
    let outputs = alloc::collected(x.iter().map(|v| v * scale))?;
    Ok((outputs, Vjp::RmsNorm { x: alloc::copied(x)?, scale }))
}

impl Vjp {
    /// Sends the outputs' gradients `dout` to the parents: calls `give(parent's index, gradient)`.
    ///
    /// The gradients of shared weights are added to `shared`; `scratch` is a buffer that is
    /// reused from call to call.
    ///
    /// # Panics
    /// Where the lengths of `dout`, of the parents or of `shared` are not those of the forward pass.
    #[inline]
    #[allow(
        clippy::indexing_slicing,
        reason = "the largest of p has a place in dout, which is as long"
    )]
    pub fn vjp(
        &self,
        dout: &[f64],
        parents: usize,
        shared: &mut [f64],
        scratch: &mut Vec<f64>,
        mut give: impl FnMut(usize, f64),
    ) {
        match self {
            Vjp::Shared(_) => dout.iter().enumerate().for_each(|(i, g)| give(i, *g)),
            Vjp::Linear { x, weights } => {
                scratch.clear();
                scratch.resize(x.len(), 0.0);
                weights.vjp(x, dout, scratch, shared);
                scratch.iter().enumerate().for_each(|(i, d)| give(i, *d));
            }
            Vjp::Gradients(local) => {
                assert_eq!(local.len(), parents, "a derivative for each parent");
                let g = total(dout);
                local.iter().enumerate().for_each(|(i, d)| give(i, d * g));
            }
            Vjp::Sum => {
                let g = total(dout);
                (0..parents).for_each(|i| give(i, g));
            }
            Vjp::Softmax(p) => {
                assert_eq!(p.len(), dout.len(), "an adjoint for each output");
                // dxᵢ = pᵢ·(gᵢ − Σⱼ gⱼ·pⱼ). A constant may be subtracted from all g, as Σ p is 1:
                // here the g of the largest p, so that nothing cancels where that p is almost 1.
                let pivot = dout[largest(p)];
                let mean = p.iter().zip(dout).fold(0.0, |sum, (p, g)| sum + (g - pivot) * p);
                let pairs = p.iter().zip(dout).enumerate();
                pairs.for_each(|(i, (p, g))| give(i, p * ((g - pivot) - mean)));
            }
            Vjp::LogSoftmax(p) => {
                assert_eq!(p.len(), dout.len(), "an adjoint for each output");
                // dxᵢ = gᵢ − pᵢ·Σⱼ gⱼ = gᵢ·(1 − pᵢ) − pᵢ·Σ gⱼ of the others. For the largest p,
                // 1 − pᵢ is computed as the sum of the others, so that it does not cancel.
                let g_sum = total(dout);
                let top = largest(p);
                let others = |x: &[f64]| {
                    let kept = x.iter().enumerate().filter(|(i, _)| *i != top);
                    kept.fold(0.0, |sum, (_, v)| sum + v)
                };
                let (p_rest, g_rest) = (others(p), others(dout));
                p.iter().zip(dout).enumerate().for_each(|(i, (p, g))| {
                    give(i, if i == top { g * p_rest - p * g_rest } else { g - p * g_sum });
                });
            }
            Vjp::RmsNorm { x, scale } => {
                assert_eq!(x.len(), dout.len(), "an adjoint for each output");
                // dxᵢ = s·gᵢ − xᵢ·s³·Σⱼ gⱼ·xⱼ / n
                let c = accumulate(0.0, dout, x) * scale * scale * scale / count(x.len());
                x.iter().zip(dout).enumerate().for_each(|(i, (x, g))| give(i, scale * g - x * c));
            }
        }
    }
}

impl Weights {
    /// Makes weights of m rows of n values; `values` holds the rows, then m biases or none.
    #[must_use]
    pub fn new(m: usize, n: usize, values: Vec<f64>) -> Weights {
        Weights { n, m, values }
    }

    /// Returns the number of outputs, m.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.m
    }

    /// Returns the number of inputs, n.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.n
    }

    /// Returns all values: the rows, then the biases.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the indices of an output's weights and of its bias among the values.
    #[must_use]
    pub fn places(&self, output: usize) -> (Range<usize>, Option<usize>) {
        let bias = self.m * self.n + output;
        let row = output * self.n..(output + 1) * self.n;
        (row, (bias < self.values.len()).then_some(bias))
    }

    /// yᵢ = bᵢ + Σⱼ wᵢⱼ·xⱼ for each output i, each sum starting from its bias, or from 0.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn apply(&self, x: &[f64], y: &mut Vec<f64>) -> Result<()> {
        let (rows, bias) = self.values.split_at(self.m * self.n);
        y.clear();
        y.try_reserve_exact(self.m).map_err(|_| Error::Memory)?;
        y.extend_from_slice(bias);
        y.resize(self.m, 0.0);
        let n = self.n.max(1);
        // The sum within a row may not be reordered, so that each addition waits for the one
        // before; four rows at a time hide that latency.
        let mut quads = rows.chunks_exact(4 * n);
        let mut out_quads = y.chunks_exact_mut(4);
        for (rows, out) in (&mut quads).zip(&mut out_quads) {
            if let [y0, y1, y2, y3] = out {
                let (r0, rest) = rows.split_at(n);
                let (r1, rest) = rest.split_at(n);
                let (r2, r3) = rest.split_at(n);
                for ((((v, w0), w1), w2), w3) in x.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
                    *y0 += w0 * v;
                    *y1 += w1 * v;
                    *y2 += w2 * v;
                    *y3 += w3 * v;
                }
            }
        }
        for (row, y) in quads.remainder().chunks_exact(n).zip(out_quads.into_remainder()) {
            *y = accumulate(*y, row, x);
        }
        Ok(())
    }

    /// dx += Wᵀ·g (n), dW += g·xᵀ (m·n), db += g (m); g the outputs' gradients. An output that
    /// was not reached, or is cut off by its activation, has g = 0 and sends nothing.
    fn vjp(&self, x: &[f64], g: &[f64], dx: &mut [f64], dweights: &mut [f64]) {
        assert_eq!(g.len(), self.m, "an adjoint for each output");
        assert_eq!(dweights.len(), self.values.len(), "an adjoint for each weight");
        let n = self.n.max(1);
        let (rows, _) = self.values.split_at(self.m * self.n);
        let (drows, dbias) = dweights.split_at_mut(rows.len());
        for ((&g, row), drow) in g.iter().zip(rows.chunks_exact(n)).zip(drows.chunks_exact_mut(n)) {
            if g != 0.0 {
                dx.iter_mut().zip(row).for_each(|(d, w)| *d += g * w);
                drow.iter_mut().zip(x).for_each(|(d, x)| *d += g * x);
            }
        }
        dbias.iter_mut().zip(g).for_each(|(d, g)| *d += g);
    }
}

/// start + Σ aᵢ·bᵢ, from left to right and without fused multiply-adds, as Python would.
#[inline]
fn accumulate(start: f64, a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(start, |total, (a, b)| total + a * b)
}

fn total(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |total, v| total + v)
}

/// Returns the index of the largest, the first of equals.
fn largest(x: &[f64]) -> usize {
    let start = (0, f64::NEG_INFINITY);
    x.iter().enumerate().fold(start, |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
}

/// Returns softmax(x), max(x) and Σ e^(x−max).
fn shifted(op: &'static str, x: &[f64]) -> Result<(Vec<f64>, f64, f64)> {
    non_empty(op, "logits", x)?;
    let max = x.iter().copied().fold(f64::NEG_INFINITY, |m, v| if v > m { v } else { m });
    let mut p = alloc::collected(x.iter().map(|v| (v - max).exp()))?;
    let total = total(&p);
    for e in &mut p {
        *e /= total;
    }
    Ok((p, max, total))
}

fn non_empty(op: &'static str, argument: &'static str, x: &[f64]) -> Result<()> {
    if x.is_empty() { Err(Error::Empty { op, argument }) } else { Ok(()) }
}

fn same_length(op: &'static str, argument: &str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Length { op, argument: argument.into(), got, expected })
    }
}

#[allow(clippy::cast_precision_loss, reason = "lists are far shorter than 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
