//! Python bindings of fastgrad's core: the module `fastgrad._core`.
//!
//! One file a domain; each converts, calls the core, and converts back.
//!
//! | module | what it binds |
//! | --- | --- |
//! | `args` | reads arguments: arrays, numbers and strings; makes arrays of results |
//! | `borrow` | borrows numpy arrays for the length of a call |
//! | `run` | runs work with the GIL released; answers Ctrl-C and reports progress |
//! | `errors` | the core's errors and panics as Python exceptions |
//! | `gil_cell` | state that the GIL guards; refuses Pythons without one GIL |
//! | `fork` | cleans up after `os.fork()` in the child |
//! | `memory` | fallible allocation |
//! | `ngram_counts` | counts of n-grams of characters, from files, bytes, strings and ids |
//! | `py_reader` | a reader of bytes that only Python can provide |
//! | `value` | the type `Value`, on the C interface |
//! | `operands`, `functional` | ops over lists of Values |
//! | `layer`, `weights`, `neuron` | linear maps and the layers of a network |
//! | `overrides`, `written_out` | detects classes that override ops; the scalar programs that run for them |
//! | `layout` | where the nodes of a drawn graph stand |
//! | `nplm` | the neural probabilistic language model over numpy arrays |
//! | `optim` | SGD and Adam over lists of Values |
//! | `words`, `ngram_lm` | running text as ids, and n-gram models over them |
//! | `data` | the bundled names and plays |
//! | `neural_bigram` | training of the neural bigram |
//! | `sampling` | items drawn from tables and rows of probabilities |
//! | `recorder` | reads the graph under a Value as a tape |
//! | `examples` | the numbers of examples as rows, by the structure of the arguments around them |
//! | `tape` | scalar programs, recorded from a graph and replayed over arrays |
//! | `recorded_training` | training over these programs |

// Where unsafe code may be, in this crate and in the core: see ADR 1 and ARCHITECTURE.md.
#![allow(clippy::inline_always, reason = "the ops of a Value are worth it, measured")]

/// Adds functions to a module.
macro_rules! add_functions {
    ($module:expr; $($function:path),+ $(,)?) => {
        $($module.add_function(wrap_pyfunction!($function, $module)?)?;)+
    };
}

mod args;
mod borrow;
mod data;
mod errors;
mod examples;
mod fork;
mod functional;
mod gil_cell;
mod layer;
mod layout;
mod memory;
mod neural_bigram;
mod neuron;
mod ngram_counts;
mod ngram_lm;
mod nplm;
mod operands;
mod optim;
mod overrides;
mod py_reader;
mod recorded_training;
mod recorder;
mod run;
mod sampling;
mod tape;
mod value;
mod weights;
mod words;
mod written_out;

use std::ffi::OsString;

use fastgrad_core::kernels::{Cpu, MICRO_BATCH};
use fastgrad_core::reserve::WithReserve;
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

/// The compiled core of fastgrad.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    gil_cell::expect_first_interpreter(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("InternalError", module.py().get_type::<errors::InternalError>())?;
    fork::watch(module)?;
    // Chosen on import, as a fork could catch another thread in the middle of it. An error is
    // raised by the calls that need the choice.
    module.add("MICRO_BATCH", MICRO_BATCH)?;
    module.add("__cpu__", Cpu::chosen().map_or("none", |cpu| cpu.name()))?;
    value::add_type(module)?;
    functional::add_functions(module)?;
    layer::add_functions(module)?;
    nplm::add_functions(module)?;
    module.add_class::<neuron::NeuronData>()?;
    module.add_class::<overrides::Originals>()?;
    module.add_class::<optim::Momentum>()?;
    module.add_class::<optim::Moments>()?;
    module.add_class::<words::WordReader>()?;
    module.add_class::<ngram_lm::KneserNeyTable>()?;
    module.add_class::<ngram_lm::InterpolatedTable>()?;
    module.add_class::<tape::Recording>()?;
    module.add_class::<sampling::TableSampler>()?;
    ngram_counts::add_to(module)?;
    add_functions!(
        module;
        value::slab::expect_room,
        layout::layout,
        optim::zero_grads,
        data::names,
        data::plays,
        neural_bigram::train_bigram,
        neural_bigram::bigram_loss_and_gradient,
        examples::read_examples,
        recorded_training::train_recorded,
        sampling::draw_rows,
        sampling::normal_numbers,
        environment,
        live_nodes,
        node_bytes,
        value_is_patched,
    );
    Ok(())
}

/// Return a variable of the environment, or None: `os.environ.get` takes a microsecond for those
/// that are not set.
#[pyfunction]
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Return the number of living nodes in this process, instances of subclasses not counted.
#[pyfunction]
fn live_nodes(py: Python<'_>) -> usize {
    value::slab::usage(py).0
}

/// Return the number of bytes that the allocator of nodes holds from the system, free slots
/// included.
#[pyfunction]
fn node_bytes(py: Python<'_>) -> usize {
    value::slab::usage(py).1
}

/// Return True if a program has replaced an op, a method, the constructor or a field of Value.
#[pyfunction]
fn value_is_patched(py: Python<'_>) -> PyResult<bool> {
    value::patches::is_patched(py)
}
