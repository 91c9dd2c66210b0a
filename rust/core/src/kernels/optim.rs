//! The update rules of optimizers, for a slice of parameters and its gradient.
//!
//! SGD without momentum is not here: the gemm that computes the gradient writes p − η·g at once.

use super::dispatch::Cpu;
use super::simd::{Float, Kernel, Simd, kernels};
use crate::autograd::optim::{Adam, Sgd};

/// Momentum as `PyTorch`'s SGD has it: v ← μ·v + g + λ·p, then p ← p − η·v.
#[derive(Clone, Copy, Debug)]
pub struct Momentum<T> {
    /// The learning rate η.
    pub lr: T,
    /// The momentum μ.
    pub momentum: T,
    /// The weight decay λ.
    pub weight_decay: T,
}

/// `AdamW` (Loshchilov & Hutter 2019), as `PyTorch` has it, with the constants of a step precomputed:
/// p ← shrink·p, m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², then
/// p ← p − lr·m/(√v/root + ε).
#[derive(Clone, Copy, Debug)]
pub struct AdamW<T> {
    /// 1 − η·λ, the decoupled weight decay.
    pub shrink: T,
    /// η/(1 − β₁ᵗ), the bias-corrected learning rate of step t, counted from 1.
    pub lr: T,
    /// √(1 − β₂ᵗ), the bias correction of √v.
    pub root: T,
    /// β₁ and β₂.
    pub betas: (T, T),
    /// ε.
    pub epsilon: T,
}

kernels! {
    /// Applies momentum to parameters `p` with velocities `v` and gradients `g`.
    ///
    /// # Panics
    /// If their lengths differ.
    pub fn momentum(rule: Momentum<T>, p: &mut [T], v: &mut [T], g: &[T]) {
        assert!(p.len() == v.len() && p.len() == g.len(), "lengths differ");
    } loop(s) {
        let (down, mu) = (s.splat(-rule.lr), s.splat(rule.momentum));
        let decay = s.splat(rule.weight_decay);
        let parts = p.chunks_mut(S::WIDTH).zip(v.chunks_mut(S::WIDTH)).zip(g.chunks(S::WIDTH));
        for ((p, v), g) in parts {
            let n = p.len();
            // SAFETY: n numbers, 1 to WIDTH, are borrowed in each of the three, which are of one length.
            unsafe {
                let old = s.load_first(p.as_ptr(), n);
                let gradient = s.fma(decay, old, s.load_first(g.as_ptr(), n));
                let velocity = s.fma(mu, s.load_first(v.as_ptr(), n), gradient);
                s.store_first(v.as_mut_ptr(), n, velocity);
                s.store_first(p.as_mut_ptr(), n, s.fma(down, velocity, old));
            }
        }
    }

    /// Applies `AdamW` to parameters `p` with moments `m` and `v` and gradients `g`.
    ///
    /// # Panics
    /// If their lengths differ.
    pub fn adamw(rule: AdamW<T>, p: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) {
        assert!(p.len() == m.len() && p.len() == v.len() && p.len() == g.len(), "lengths differ");
    } loop(s) {
        let one = T::from_f64(1.0);
        let (keep_m, keep_v) = (s.splat(rule.betas.0), s.splat(rule.betas.1));
        let (add_m, add_v) = (s.splat(one - rule.betas.0), s.splat(one - rule.betas.1));
        let (shrink, down) = (s.splat(rule.shrink), s.splat(-rule.lr));
        let (root, epsilon) = (s.splat(rule.root), s.splat(rule.epsilon));
        let moments = m.chunks_mut(S::WIDTH).zip(v.chunks_mut(S::WIDTH));
        let parts = p.chunks_mut(S::WIDTH).zip(moments).zip(g.chunks(S::WIDTH));
        for ((p, (m, v)), g) in parts {
            let n = p.len();
            // SAFETY: n numbers, 1 to WIDTH, are borrowed in each of the four, which are of one length.
            unsafe {
                let g = s.load_first(g.as_ptr(), n);
                let first = s.mul(keep_m, s.load_first(m.as_ptr(), n));
                let first = s.fma(add_m, g, first);
                let second = s.mul(keep_v, s.load_first(v.as_ptr(), n));
                let second = s.fma(add_v, s.mul(g, g), second);
                s.store_first(m.as_mut_ptr(), n, first);
                s.store_first(v.as_mut_ptr(), n, second);
                let denominator = s.add(s.div(s.sqrt(second), root), epsilon);
                let shrunk = s.mul(shrink, s.load_first(p.as_ptr(), n));
                s.store_first(p.as_mut_ptr(), n, s.fma(down, s.div(first, denominator), shrunk));
            }
        }
    }

    /// Returns true if all numbers are finite, and below [`Float::LARGE`].
    pub fn all_in_range(x: &[T]) -> bool {} loop(s) {
        let (mut even, mut odd) = (RangeCheck::new(s), RangeCheck::new(s));
        let pairs = x.chunks_exact(2 * S::WIDTH);
        let rest = pairs.remainder();
        for pair in pairs {
            // SAFETY: two vectors are borrowed.
            unsafe {
                even.add(s, s.load(pair.as_ptr()));
                odd.add(s, s.load(pair.as_ptr().add(S::WIDTH)));
            }
        }
        for part in rest.chunks(S::WIDTH) {
            // SAFETY: as many numbers as the slice has, 1 to WIDTH.
            even.add(s, unsafe { s.load_first(part.as_ptr(), part.len()) });
        }
        even.holds(s) && odd.holds(s)
    }
}

/// A check that numbers are finite and below [`Float::LARGE`]. With f = [`Float::TO_INFINITY`], Σ
/// 0·(x·f) is 0 if and only if all x·f are finite.
pub(super) struct RangeCheck<S: Simd> {
    sum: S::Reg,
    factor: S::Reg,
}

impl<S: Simd> RangeCheck<S> {
    #[inline(always)]
    pub fn new(s: S) -> RangeCheck<S> {
        let factor = s.splat(S::T::from_f64(S::T::TO_INFINITY));
        RangeCheck { sum: s.splat(S::T::default()), factor }
    }

    /// Adds the numbers of a vector to the check.
    #[inline(always)]
    pub fn add(&mut self, s: S, x: S::Reg) {
        self.sum = s.fma(s.splat(S::T::default()), s.mul(x, self.factor), self.sum);
    }

    /// Returns true if all numbers so far are in range.
    #[inline(always)]
    pub fn holds(&self, s: S) -> bool {
        s.sum(self.sum) == S::T::default()
    }
}

/// Updates each parameter with [`Sgd::update`], the rule for Values.
///
/// # Panics
/// If the slices differ in length.
pub fn scalar_sgd(cpu: Cpu, sgd: Sgd, data: &mut [f64], gradients: &[f64], velocity: &mut [f64]) {
    assert!(data.len() == gradients.len() && data.len() == velocity.len());
    cpu.run(ScalarSgd { sgd, data, gradients, velocity });
}

/// Updates each parameter with [`Adam::update`], the rule for Values.
///
/// # Panics
/// If the slices differ in length.
pub fn scalar_adam(
    cpu: Cpu,
    adam: Adam,
    data: &mut [f64],
    gradients: &[f64],
    (first, second): (&mut [f64], &mut [f64]),
) {
    assert!(data.len() == gradients.len());
    assert!(data.len() == first.len() && data.len() == second.len());
    cpu.run(ScalarAdam { adam, data, gradients, first, second });
}

struct ScalarSgd<'a> {
    sgd: Sgd,
    data: &'a mut [f64],
    gradients: &'a [f64],
    velocity: &'a mut [f64],
}

impl Kernel<f64> for ScalarSgd<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = f64>>(self, _: S) {
        for ((p, &g), v) in self.data.iter_mut().zip(self.gradients).zip(self.velocity) {
            *p = self.sgd.update(*p, g, v);
        }
    }
}

struct ScalarAdam<'a> {
    adam: Adam,
    data: &'a mut [f64],
    gradients: &'a [f64],
    first: &'a mut [f64],
    second: &'a mut [f64],
}

impl Kernel<f64> for ScalarAdam<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = f64>>(self, _: S) {
        let moments = self.first.iter_mut().zip(self.second);
        for ((p, &g), (m, v)) in self.data.iter_mut().zip(self.gradients).zip(moments) {
            *p = self.adam.update(*p, g, m, v);
        }
    }
}
