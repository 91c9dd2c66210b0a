//! Scalar automatic differentiation, generic over who owns the nodes.
//!
//! An op computes its value and its local derivatives, a node keeps them, and the backward pass
//! multiplies them along the graph. [`optim`] holds the update rules that optimizers apply to
//! gradients.
//!
//! ```
//! use fastgrad_core::autograd::{fused, op};
//!
//! let product = op::mul(3.0, -2.0)?;
//! assert_eq!((product.value, product.dx, product.dy), (-6.0, -2.0, 3.0));
//! assert_eq!(op::div(1.0, 0.0).unwrap_err().to_string(), "1.0 / 0.0: division by zero");
//!
//! let (loss, rule) = fused::cross_entropy(&[0.0, 0.0], 1)?;
//! assert_eq!(loss, 2f64.ln());
//! assert_eq!(rule, fused::Vjp::Gradients(vec![0.5, -0.5]));
//! # Ok::<(), fastgrad_core::Error>(())
//! ```

pub mod backward;
pub mod fused;
pub mod op;
pub mod optim;
