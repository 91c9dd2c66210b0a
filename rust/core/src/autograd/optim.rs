//! The update rules of SGD and Adam for one parameter: `update` turns a gradient into the
//! parameter's new value. The caller loops over parameters and keeps the state.

/// The settings of an SGD step.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// learning rate
    pub lr: f64,
    /// momentum μ
    pub momentum: f64,
    /// weight decay λ, added to the gradient
    pub weight_decay: f64,
}

impl Sgd {
    /// g += λ·p; v = μ·v + g; returns p − lr·v.
    #[inline]
    #[must_use]
    pub fn update(&self, p: f64, grad: f64, velocity: &mut f64) -> f64 {
        let g = if self.weight_decay == 0.0 { grad } else { grad + self.weight_decay * p };
        *velocity = if self.momentum == 0.0 { g } else { self.momentum * *velocity + g };
        p - self.lr * *velocity
    }
}

/// The settings of an Adam step (Kingma and Ba 2015; decoupled decay: Loshchilov and Hutter 2019).
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// learning rate
    pub lr: f64,
    /// decay of the first moment
    pub beta1: f64,
    /// decay of the second moment
    pub beta2: f64,
    /// added to the root of the second moment
    pub eps: f64,
    /// weight decay λ
    pub weight_decay: f64,
    /// true: lr·λ·p is subtracted from p (`AdamW`); false: λ·p is added to the gradient
    pub decoupled: bool,
    /// 1 − β₁ᵗ
    pub correction1: f64,
    /// 1 − β₂ᵗ
    pub correction2: f64,
}

impl Adam {
    /// m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; returns p − lr·m̂/(√v̂ + eps), with
    /// m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ).
    #[inline]
    #[must_use]
    pub fn update(&self, p: f64, grad: f64, m: &mut f64, v: &mut f64) -> f64 {
        let (mut p, mut g) = (p, grad);
        if self.weight_decay != 0.0 {
            if self.decoupled {
                p -= self.lr * self.weight_decay * p;
            } else {
                g += self.weight_decay * p;
            }
        }
        *m = self.beta1 * *m + (1.0 - self.beta1) * g;
        *v = self.beta2 * *v + (1.0 - self.beta2) * (g * g);
        let m_hat = *m / self.correction1;
        let v_hat = *v / self.correction2;
        p - self.lr * m_hat / (v_hat.sqrt() + self.eps)
    }
}
