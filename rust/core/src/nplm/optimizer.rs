//! Optimizers: how a gradient becomes an update of a slice of parameters, in [`ParamSlice::apply`].
//!
//! A gradient is written to a [`GradTarget`]. For SGD that is the parameters themselves, so that
//! the gemm that computes the gradient makes the update as well, p ← keep·p + down·g. For momentum
//! and `AdamW` it is a buffer, which `apply` reads.

use crate::alloc::{self, collected, demand};
use crate::kernels::gemm::Gemm;
use crate::kernels::optim::{self, AdamW, Momentum};
use crate::kernels::{Cpu, Dispatch, Float, MICRO_BATCH, elementwise};

/// An optimizer and its constants.
///
/// Unless C is tied, every optimizer updates only those rows of it that the mini-batch reads: see
/// [`super::embedding::SparseGrad`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// p ← p − η·(g + λ·p).
    Sgd,
    /// As `PyTorch`'s SGD with momentum μ: v ← μ·v + g + λ·p, p ← p − η·v.
    Momentum {
        /// μ.
        momentum: f64,
    },
    /// As `PyTorch`'s `AdamW`, Loshchilov & Hutter, "Decoupled weight decay regularization" (2019).
    AdamW {
        /// β₁ and β₂.
        betas: (f64, f64),
        /// ε.
        epsilon: f64,
    },
}

impl Optimizer {
    /// Returns the number of state values per parameter.
    #[must_use]
    pub fn states(&self) -> usize {
        match self {
            Optimizer::Sgd => 0,
            Optimizer::Momentum { .. } => 1,
            Optimizer::AdamW { .. } => 2,
        }
    }

    /// Returns the update of step `step`, counted from 0.
    #[must_use]
    pub fn at<T: Float>(&self, step: u64, lr: f64, weight_decay: f64) -> Update<T> {
        let number = T::from_f64;
        match *self {
            Optimizer::Sgd => {
                Update::Sgd { down: number(-lr), keep: number(1.0 - lr * weight_decay) }
            }
            Optimizer::Momentum { momentum } => Update::Momentum(Momentum {
                lr: number(lr),
                momentum: number(momentum),
                weight_decay: number(weight_decay),
            }),
            Optimizer::AdamW { betas, epsilon } => {
                #[allow(clippy::cast_precision_loss, reason = "powers this high are 0")]
                let bias_correction = |beta: f64| 1.0 - libm::pow(beta, (step + 1) as f64);
                Update::AdamW(AdamW {
                    shrink: number(1.0 - lr * weight_decay),
                    lr: number(lr / bias_correction(betas.0)),
                    root: number(bias_correction(betas.1).sqrt()),
                    betas: (number(betas.0), number(betas.1)),
                    epsilon: number(epsilon),
                })
            }
        }
    }
}

/// The change that one step makes to parameters p with gradient g.
#[derive(Clone, Copy, Debug)]
pub enum Update<T> {
    /// p ← p + g: no step, but a sum of gradients over several mini-batches.
    Gradient,
    /// p ← keep·p + down·g.
    Sgd {
        /// −η.
        down: T,
        /// 1 − η·λ.
        keep: T,
    },
    /// See [`Momentum`].
    Momentum(Momentum<T>),
    /// See [`AdamW`].
    AdamW(AdamW<T>),
}

impl<T: Float> Update<T> {
    /// Returns the update for biases, which have no weight decay.
    #[must_use]
    pub fn without_decay(self) -> Update<T> {
        match self {
            Update::Gradient => self,
            Update::Sgd { down, .. } => Update::Sgd { down, keep: T::from_f64(1.0) },
            Update::Momentum(rule) => {
                Update::Momentum(Momentum { weight_decay: T::default(), ..rule })
            }
            Update::AdamW(rule) => Update::AdamW(AdamW { shrink: T::from_f64(1.0), ..rule }),
        }
    }

    /// Returns α and β of the gradient's [`GradTarget`], and true if it is the parameters themselves.
    fn factors(&self) -> (T, T, bool) {
        match self {
            Update::Gradient => (T::from_f64(1.0), T::from_f64(1.0), true),
            Update::Sgd { down, keep } => (*down, *keep, true),
            Update::Momentum(_) | Update::AdamW(_) => (T::from_f64(1.0), T::default(), false),
        }
    }
}

/// A slice of parameters, its gradient and its optimizer state; slices that the optimizer does not
/// need are empty.
#[derive(Debug, Default)]
pub struct ParamSlice<'a, T> {
    /// The parameters.
    pub p: &'a mut [T],
    /// The buffer of their gradient.
    pub g: &'a mut [T],
    /// The optimizer's state.
    pub states: [&'a mut [T]; 2],
}

impl<'a, T: Dispatch> ParamSlice<'a, T> {
    /// Splits off the first `n` parameters, or all if they are fewer.
    #[must_use]
    pub fn take(&mut self, n: usize) -> ParamSlice<'a, T> {
        let n = n.min(self.p.len());
        let split = |slice: &'a mut [T]| {
            if slice.is_empty() { (slice, &mut [][..]) } else { slice.split_at_mut(n) }
        };
        let ParamSlice { p, g, states: [first, second] } = std::mem::take(self);
        let (p, g, first, second) = (split(p), split(g), split(first), split(second));
        *self = ParamSlice { p: p.1, g: g.1, states: [first.1, second.1] };
        ParamSlice { p: p.0, g: g.0, states: [first.0, second.0] }
    }

    /// Borrows the parameters with a scratch buffer for their gradient, which is empty if the
    /// gradient is written to the parameters themselves.
    pub fn with_buffer<'b>(
        &'b mut self,
        update: &Update<T>,
        buffer: &'b mut Vec<T>,
    ) -> ParamSlice<'b, T> {
        let needed = if update.factors().2 { 0 } else { self.p.len() };
        demand(alloc::lengthen(buffer, needed));
        let [first, second] = &mut self.states;
        ParamSlice { p: self.p, g: &mut buffer[..needed], states: [first, second] }
    }

    /// Returns the target that the gradient is to be written to.
    pub fn grad_target(&mut self, update: &Update<T>) -> GradTarget<'_, T> {
        let (alpha, beta, into_parameters) = update.factors();
        GradTarget { out: if into_parameters { self.p } else { self.g }, alpha, beta }
    }

    /// Updates the parameters by the gradient in `g`, for SGD too, which has no such buffer
    /// elsewhere; returns true if they are in range.
    #[must_use]
    pub fn apply_gradient(&mut self, cpu: Cpu, update: &Update<T>) -> bool {
        if let Update::Sgd { down, keep } = *update {
            for (p, g) in self.p.iter_mut().zip(&*self.g) {
                *p = keep * *p + down * *g;
            }
        }
        self.apply(cpu, update)
    }

    /// Updates the parameters, whose gradient was written to [`ParamSlice::grad_target`]; returns
    /// true if they are in range.
    #[must_use]
    pub fn apply(&mut self, cpu: Cpu, update: &Update<T>) -> bool {
        let [first, second] = &mut self.states;
        match update {
            Update::Gradient => return true,
            Update::Sgd { .. } => {}
            Update::Momentum(rule) => optim::momentum(cpu, *rule, self.p, first, self.g),
            Update::AdamW(rule) => optim::adamw(cpu, *rule, self.p, first, second, self.g),
        }
        optim::all_in_range(cpu, self.p)
    }
}

/// The target of a gradient: out ← β·out + α·gradient.
#[derive(Debug)]
pub struct GradTarget<'a, T> {
    /// Some rows of a parameter or of its gradient.
    pub out: &'a mut [T],
    /// The factor of the gradient.
    pub alpha: T,
    /// The factor of the former content.
    pub beta: T,
}

impl<T: Dispatch> GradTarget<'_, T> {
    /// Returns the target for the next part of a gradient; all parts but the first are added to it.
    pub(super) fn next_part(&mut self) -> GradTarget<'_, T> {
        let beta = std::mem::replace(&mut self.beta, T::from_f64(1.0));
        GradTarget { out: self.out, alpha: self.alpha, beta }
    }

    /// Writes the gradient of rows of a matrix: Σ dy·xᵀ over all examples, given as pairs of dy
    /// (rows, `MICRO_BATCH`) and x transposed (`MICRO_BATCH`, cols), whose row stride is `x_stride`.
    pub(super) fn write_weights(
        self,
        cpu: Cpu,
        pairs: &[(&[T], &[T])],
        (rows, cols): (usize, usize),
        x_stride: usize,
    ) {
        let GradTarget { out, alpha, beta } = self;
        let gemm = Gemm { alpha, rsb: x_stride, beta, ..Gemm::dense(rows, MICRO_BATCH, cols) };
        gemm.gemm(cpu, pairs, out);
    }

    /// Writes the gradient of biases: Σ dy over all examples.
    pub(super) fn write_biases(self, cpu: Cpu, pairs: &[(&[T], &[T])]) {
        let dy: Vec<&[T]> = demand(collected(pairs.iter().map(|(dy, _)| *dy)));
        elementwise::sum_rows(cpu, &dy, self.alpha, self.beta, self.out);
    }
}
