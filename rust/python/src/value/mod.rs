//! The type `Value`: a type of its own, written against the C interface.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `ffi.rs` | C functions with a `Value` as receiver |
//! | `class.rs` | the type, made from its slots, methods and attributes |
//! | `node.rs` | layout and making of nodes; `NodeRef` |
//! | `dealloc.rs` | deallocates nodes |
//! | `collector.rs` | slots of the cyclic collector |
//! | `trashcan.rs` | deallocates attributes and subclass instances |
//! | `slab.rs` | memory |
//! | `fused_op.rs` | what the outputs of an op over lists share |
//! | `number.rs` | reads operands: Values and numbers |
//! | `ops.rs` | arithmetic |
//! | `init.rs` | the constructor |
//! | `attrs.rs`, `hooks.rs` | attributes, `_backward` |
//! | `backward.rs` | `backward()`, `zero_grad()` |
//! | `pass_lock.rs` | which thread is inside a pass; forks |
//! | `pickle.rs` | pickling and copying of leaves |
//! | `refusals.rs` | what is refused: `float(v)`, `v > 0` |
//! | `patches.rs` | detects that a program has patched the type |

pub mod attrs;
pub mod backward;
mod class;
pub mod collector;
mod dealloc;
pub mod ffi;
pub mod fused_op;
pub mod hooks;
pub mod init;
pub mod node;
pub mod number;
pub mod ops;
pub mod pass_lock;
pub mod patches;
pub mod pickle;
pub mod refusals;
pub mod slab;
pub mod trashcan;

pub use class::add_type;
