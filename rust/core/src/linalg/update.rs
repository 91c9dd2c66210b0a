//! What optimisers do to a block of parameters, given its gradient.
//!
//! SGD is not among them: its whole update is the sum of products that makes the gradient.

use super::cpu::{Cpu, Kernel};
use super::float::Float;
use super::simd::Simd;

/// Momentum as `PyTorch`'s SGD has it: v ← μ·v + g + λ·p, then p ← p − η·v.
#[derive(Clone, Copy, Debug)]
pub struct Momentum<T> {
    /// The learning rate η.
    pub rate: T,
    /// The momentum μ.
    pub momentum: T,
    /// The weight decay λ.
    pub decay: T,
}

/// `AdamW` (Loshchilov & Hutter 2019), as `PyTorch` has it, with the step's constants worked out:
/// p ← shrink·p, m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², then
/// p ← p − rate·m/(√v/root + ε).
#[derive(Clone, Copy, Debug)]
pub struct AdamW<T> {
    /// 1 − η·λ: the decay, apart from the gradient.
    pub shrink: T,
    /// η/(1 − β₁ᵗ), t being the step's number from 1.
    pub rate: T,
    /// √(1 − β₂ᵗ).
    pub root: T,
    /// β₁ and β₂.
    pub betas: (T, T),
    /// ε.
    pub epsilon: T,
}

/// Applies momentum to parameters `p` with velocities `v` and gradients `g`, of equal lengths.
pub fn momentum<T: Float>(cpu: Cpu, rule: Momentum<T>, p: &mut [T], v: &mut [T], g: &[T]) {
    cpu.run(MomentumKernel(rule, p, v, g));
}

struct MomentumKernel<'a, T>(Momentum<T>, &'a mut [T], &'a mut [T], &'a [T]);

impl<T: Float> Kernel<T> for MomentumKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let MomentumKernel(rule, p, v, g) = self;
        let (down, mu) = (s.splat(-rule.rate), s.splat(rule.momentum));
        let decay = s.splat(rule.decay);
        let parts = p.chunks_mut(S::WIDTH).zip(v.chunks_mut(S::WIDTH)).zip(g.chunks(S::WIDTH));
        for ((p, v), g) in parts {
            let n = p.len().min(v.len()).min(g.len());
            // SAFETY: n numbers, 1 to WIDTH, are borrowed in each of the three.
            unsafe {
                let before = s.load_first(p.as_ptr(), n);
                let slope = s.fma(decay, before, s.load_first(g.as_ptr(), n));
                let velocity = s.fma(mu, s.load_first(v.as_ptr(), n), slope);
                s.store_first(v.as_mut_ptr(), n, velocity);
                s.store_first(p.as_mut_ptr(), n, s.fma(down, velocity, before));
            }
        }
    }
}

/// Applies `AdamW` to parameters `p` with moments `m` and `v` and gradients `g`, of equal lengths.
pub fn adamw<T: Float>(cpu: Cpu, rule: AdamW<T>, p: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) {
    cpu.run(AdamWKernel(rule, p, m, v, g));
}

struct AdamWKernel<'a, T>(AdamW<T>, &'a mut [T], &'a mut [T], &'a mut [T], &'a [T]);

impl<T: Float> Kernel<T> for AdamWKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        let AdamWKernel(rule, p, m, v, g) = self;
        let one = T::from_f64(1.0);
        let (keep_m, keep_v) = (s.splat(rule.betas.0), s.splat(rule.betas.1));
        let (add_m, add_v) = (s.splat(one - rule.betas.0), s.splat(one - rule.betas.1));
        let (shrink, down) = (s.splat(rule.shrink), s.splat(-rule.rate));
        let (root, epsilon) = (s.splat(rule.root), s.splat(rule.epsilon));
        let moments = m.chunks_mut(S::WIDTH).zip(v.chunks_mut(S::WIDTH));
        let parts = p.chunks_mut(S::WIDTH).zip(moments).zip(g.chunks(S::WIDTH));
        for ((p, (m, v)), g) in parts {
            let n = p.len().min(m.len()).min(v.len()).min(g.len());
            // SAFETY: n numbers, 1 to WIDTH, are borrowed in each of the four.
            unsafe {
                let g = s.load_first(g.as_ptr(), n);
                let first = s.mul(keep_m, s.load_first(m.as_ptr(), n));
                let first = s.fma(add_m, g, first);
                let second = s.mul(keep_v, s.load_first(v.as_ptr(), n));
                let second = s.fma(add_v, s.mul(g, g), second);
                s.store_first(m.as_mut_ptr(), n, first);
                s.store_first(v.as_mut_ptr(), n, second);
                let size = s.add(s.div(s.sqrt(second), root), epsilon);
                let shrunk = s.mul(shrink, s.load_first(p.as_ptr(), n));
                s.store_first(p.as_mut_ptr(), n, s.fma(down, s.div(first, size), shrunk));
            }
        }
    }
}

/// Whether all numbers are finite, and smaller than [`Float::LARGE`].
pub fn all_in_range<T: Float>(cpu: Cpu, x: &[T]) -> bool {
    cpu.run(AllInRange(x))
}

struct AllInRange<'a, T>(&'a [T]);

impl<T: Float> Kernel<T> for AllInRange<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) -> bool {
        let (mut even, mut odd) = (Range::new(s), Range::new(s));
        let pairs = self.0.chunks_exact(2 * S::WIDTH);
        let rest = pairs.remainder();
        for pair in pairs {
            // SAFETY: two vectors are borrowed.
            unsafe {
                even.look(s, s.load(pair.as_ptr()));
                odd.look(s, s.load(pair.as_ptr().add(S::WIDTH)));
            }
        }
        for part in rest.chunks(S::WIDTH) {
            // SAFETY: as many numbers as the slice has, 1 to WIDTH.
            even.look(s, unsafe { s.load_first(part.as_ptr(), part.len()) });
        }
        even.holds(s) && odd.holds(s)
    }
}

/// Whether numbers are in range: Σ 0·(x·f) is 0 just if all x·f are finite, and f is such that
/// large ones are not.
pub(super) struct Range<S: Simd> {
    sum: S::Reg,
    factor: S::Reg,
}

impl<S: Simd> Range<S> {
    #[inline(always)]
    pub fn new(s: S) -> Range<S> {
        let factor = s.splat(S::T::from_f64(S::T::TO_INFINITY));
        Range { sum: s.splat(S::T::default()), factor }
    }

    /// Takes the numbers of a vector into account.
    #[inline(always)]
    pub fn look(&mut self, s: S, x: S::Reg) {
        self.sum = s.fma(s.splat(S::T::default()), s.mul(x, self.factor), self.sum);
    }

    /// Whether all numbers so far are in range.
    #[inline(always)]
    pub fn holds(&self, s: S) -> bool {
        s.sum(self.sum) == S::T::default()
    }
}
