//! Scalar automatic differentiation, whoever owns the nodes.

pub mod fused;
pub mod op;
pub mod optim;
pub mod sweep;
