//! How a block of parameters is changed, given a function that makes its gradient.

use super::model::Sink;
use crate::alloc;
use crate::linalg::update::{self, AdamW, Momentum};
use crate::linalg::{Cpu, Float};

/// An optimiser and its constants.
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
    ///
    /// Of C, unless it is tied, only the rows that the mini-batch uses are changed and decay, by
    /// any optimiser: see [`super::rows`].
    AdamW {
        /// β₁ and β₂.
        betas: (f64, f64),
        /// ε.
        epsilon: f64,
    },
}

impl Optimizer {
    /// How many numbers it keeps for each parameter.
    #[must_use]
    pub fn states(&self) -> usize {
        match self {
            Optimizer::Sgd => 0,
            Optimizer::Momentum { .. } => 1,
            Optimizer::AdamW { .. } => 2,
        }
    }

    /// What is done at step `step`, counted from 0, with learning rate `rate` and weight decay
    /// `decay`.
    #[must_use]
    pub fn at<T: Float>(&self, step: u64, rate: f64, decay: f64) -> Update<T> {
        let number = T::from_f64;
        match *self {
            Optimizer::Sgd => Update::Sgd { down: number(-rate), keep: number(1.0 - rate * decay) },
            Optimizer::Momentum { momentum } => Update::Momentum(Momentum {
                rate: number(rate),
                momentum: number(momentum),
                decay: number(decay),
            }),
            Optimizer::AdamW { betas, epsilon } => {
                #[allow(clippy::cast_precision_loss, reason = "powers this high are 0")]
                let so_far = |beta: f64| 1.0 - libm::pow(beta, (step + 1) as f64);
                Update::AdamW(AdamW {
                    shrink: number(1.0 - rate * decay),
                    rate: number(rate / so_far(betas.0)),
                    root: number(so_far(betas.1).sqrt()),
                    betas: (number(betas.0), number(betas.1)),
                    epsilon: number(epsilon),
                })
            }
        }
    }
}

/// What one step does to parameters.
#[derive(Clone, Copy, Debug)]
pub enum Update<T> {
    /// p ← p + g: not a step at all, the gradient itself is asked for.
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
    /// The same without weight decay, as for biases.
    #[must_use]
    pub fn without_decay(self) -> Update<T> {
        match self {
            Update::Gradient => self,
            Update::Sgd { down, .. } => Update::Sgd { down, keep: T::from_f64(1.0) },
            Update::Momentum(rule) => Update::Momentum(Momentum { decay: T::default(), ..rule }),
            Update::AdamW(rule) => Update::AdamW(AdamW { shrink: T::from_f64(1.0), ..rule }),
        }
    }

    /// The factors of gradient and former content with which a gradient is to be written, and
    /// whether it goes to the parameters themselves, or to the room for gradients.
    fn factors(&self) -> (T, T, bool) {
        match self {
            Update::Gradient => (T::from_f64(1.0), T::from_f64(1.0), true),
            Update::Sgd { down, keep } => (*down, *keep, true),
            Update::Momentum(_) | Update::AdamW(_) => (T::from_f64(1.0), T::default(), false),
        }
    }
}

/// Some parameters, and what belongs to them; slices that are not needed are empty.
#[derive(Debug, Default)]
pub struct Block<'a, T> {
    /// The parameters.
    pub p: &'a mut [T],
    /// Room for their gradient.
    pub g: &'a mut [T],
    /// The optimiser's numbers.
    pub states: [&'a mut [T]; 2],
}

impl<'a, T: Float> Block<'a, T> {
    /// Cuts off the first `n` parameters.
    #[must_use]
    pub fn take(&mut self, n: usize) -> Block<'a, T> {
        let cut = |slice: &'a mut [T]| slice.split_at_mut(n.min(slice.len()));
        let Block { p, g, states: [first, second] } = std::mem::take(self);
        let (p, g, first, second) = (cut(p), cut(g), cut(first), cut(second));
        *self = Block { p: p.1, g: g.1, states: [first.1, second.1] };
        Block { p: p.0, g: g.0, states: [first.0, second.0] }
    }

    /// The same parameters, with their gradient in this room if it needs any.
    pub fn with_room<'b>(&'b mut self, update: &Update<T>, room: &'b mut Vec<T>) -> Block<'b, T> {
        let needed = if update.factors().2 { 0 } else { self.p.len() };
        alloc::demand(alloc::lengthen(room, needed));
        let [first, second] = &mut self.states;
        let g = room.get_mut(..needed).unwrap_or_default();
        Block { p: self.p, g, states: [first, second] }
    }

    /// Where the gradient is to be written.
    pub fn gradient(&mut self, update: &Update<T>) -> Sink<'_, T> {
        let (alpha, beta, into_parameters) = update.factors();
        Sink { out: if into_parameters { self.p } else { self.g }, alpha, beta }
    }

    /// Changes the parameters, whose gradient is where [`Block::gradient`] has said.
    ///
    /// Returns whether they are in range now.
    #[must_use]
    pub fn apply(&mut self, cpu: Cpu, update: &Update<T>) -> bool {
        let [first, second] = &mut self.states;
        match update {
            Update::Gradient => return true,
            Update::Sgd { .. } => {}
            Update::Momentum(rule) => update::momentum(cpu, *rule, self.p, first, self.g),
            Update::AdamW(rule) => update::adamw(cpu, *rule, self.p, first, second, self.g),
        }
        update::all_in_range(cpu, self.p)
    }
}
