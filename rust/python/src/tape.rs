//! Scalar programs, recorded from the graph of one example and replayed over arrays.

use std::sync::Mutex;

use fastgrad_core::Error;
use fastgrad_core::tape::batch::{AnyReplayer, CHUNKS, StopAt};
use fastgrad_core::tape::encode::{Encoded, decode, encode};
use fastgrad_core::tape::export::{Language, export};
use fastgrad_core::tape::replay::Stop;
use fastgrad_core::tape::{Comparison, Guard, Passes, Program, Tape};
use fastgrad_core::worker_pool::WorkerPool;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use rustc_hash::FxHashMap;

use crate::args;
use crate::errors::{guard, to_python};
use crate::recorder::{Origin, Walk, as_node};
use crate::run::{Cost, run};
use crate::value::node::NodeRef;

/// The nanoseconds that it takes to compute a number of a program and its gradient.
pub const A_NUMBER: u64 = 3;

/// A recorded program and its parameters.
#[pyclass(module = "fastgrad._core")]
pub struct Recording {
    tape: Tape,
    /// The number of nodes of the tape before any pass.
    recorded: usize,
    pub program: Program,
    params: Vec<Py<PyAny>>,
    /// The memory of the last replay, and whether it was in single precision.
    memory: Mutex<Option<(bool, AnyReplayer)>>,
}

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);
type Selection<'py> = (Bound<'py, PyAny>, Vec<Bound<'py, PyAny>>, Bound<'py, PyAny>);
type LocalGrad<'py> = (Bound<'py, PyAny>, usize, Bound<'py, PyAny>);
type Compared<'py> = (String, Bound<'py, PyAny>, Bound<'py, PyAny>, bool, u32);

#[pymethods]
impl Recording {
    /// Record the graph of `output`.
    ///
    /// `inputs` are the leaves for the numbers of an example, `constants` those for plain numbers.
    /// `detached` are pairs of a leaf and the Value that it has its number from; `selected` are
    /// triples of a leaf, the list that it was selected from and the leaf of the index; `highest` are
    /// pairs of a leaf and the list whose largest number it has. `local_grads` are triples of a user's
    /// own op, the position of an operand, and the Value that is the derivative by this operand.
    /// `guards` are (comparison, x, y, outcome, place). `passes` are the names of the passes to do.
    #[new]
    #[pyo3(signature = (
        output, inputs, constants, detached, selected, highest, local_grads, guards, passes
    ))]
    #[allow(clippy::too_many_arguments, reason = "all that the graph does not tell")]
    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn new(
        output: &Bound<'_, PyAny>,
        inputs: &Bound<'_, PyList>,
        constants: &Bound<'_, PyList>,
        detached: &Bound<'_, PyList>,
        selected: &Bound<'_, PyList>,
        highest: &Bound<'_, PyList>,
        local_grads: &Bound<'_, PyList>,
        guards: &Bound<'_, PyList>,
        passes: Vec<String>,
    ) -> PyResult<Recording> {
        guard(|| {
            let inputs: Vec<Bound<'_, PyAny>> = inputs.iter().collect();
            let constants: Vec<Bound<'_, PyAny>> = constants.iter().collect();
            let detached: Vec<Pair<'_>> = detached.extract()?;
            let selected: Vec<Selection<'_>> = selected.extract()?;
            let highest: Vec<(Bound<'_, PyAny>, Vec<Bound<'_, PyAny>>)> = highest.extract()?;
            let local_grads: Vec<LocalGrad<'_>> = local_grads.extract()?;
            let guards: Vec<Compared<'_>> = guards.extract()?;
            let mut walk = Walk::new(inputs.len());
            for (input, i) in inputs.iter().zip(0..) {
                walk.set_origin(input, Origin::Input(i))?;
            }
            for constant in &constants {
                walk.set_origin(constant, Origin::Constant)?;
            }
            for (leaf, source) in &detached {
                walk.set_origin(leaf, Origin::Detached(as_node(source)?))?;
            }
            for (leaf, list, index) in &selected {
                let list = list.iter().map(as_node).collect::<PyResult<Vec<_>>>()?;
                walk.set_origin(leaf, Origin::Selected(list, as_node(index)?))?;
            }
            for (leaf, list) in &highest {
                let list = list.iter().map(as_node).collect::<PyResult<Vec<_>>>()?;
                walk.set_origin(leaf, Origin::Highest(list))?;
            }
            for (op, place, number) in &local_grads {
                walk.set_local_grad(op, *place, number)?;
            }
            let output = walk.record(as_node(output)?)?;
            let mut read = Vec::new();
            for (name, x, y, held, place) in &guards {
                let comparison = match name.as_str() {
                    "<" => Comparison::Less,
                    "<=" => Comparison::LessEqual,
                    "==" => Comparison::Equal,
                    "is" => Comparison::Same,
                    _ => return Err(PyValueError::new_err(format!("no comparison {name:?}"))),
                };
                let (x, y) = (walk.record(as_node(x)?)?, walk.record(as_node(y)?)?);
                read.push(Guard { comparison, x, y, held: *held, place: *place });
            }
            let (mut tape, params) = walk.finish()?;
            tape.output = output;
            tape.guards.append(&mut read);
            Recording::compile(&tape, params, passes_of(&passes))
        })
    }

    /// Return the parameters, in the order of the program.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.params)
    }

    /// Write `seed` times the sum of all rows' gradients by each parameter to `gradients`.
    ///
    /// Returns the sum of the outputs, or (row, reason, place) of the first row that needs another
    /// program.
    #[pyo3(signature = (rows, gradients, seed, single, threads=None))]
    fn replay<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'_, PyAny>,
        gradients: &Bound<'_, PyAny>,
        seed: f64,
        single: bool,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guard(|| {
            let rows = args::array::<f64, Ix2>("rows", rows)?.contiguous()?.read()?;
            let mut gradients =
                args::array::<f64, Ix1>("gradients", gradients)?.contiguous()?.write()?;
            let mut outputs = crate::memory::filled(0.0, rows.as_array().nrows())?;
            let rows = rows.as_slice()?;
            let gradients = gradients.as_slice_mut()?;
            let given = (rows.len(), gradients.len());
            let expected = (outputs.len() * self.program.inputs, self.params.len());
            if given != expected {
                return Err(PyValueError::new_err(format!(
                    "rows and gradients have {given:?} numbers; expected {expected:?}"
                )));
            }
            let params = self.numbers(py)?;
            gradients.fill(0.0);
            let mut memory = self.memory.try_lock().ok().and_then(|mut memory| memory.take());
            let numbers = self.program.varying.slots as usize;
            let cost = Cost::of(numbers.saturating_mul(outputs.len()), A_NUMBER);
            let threads = if cost.is_quick() { 1 } else { threads.unwrap_or_else(available) };
            let stopped = run(py, cost, None, |progress| {
                let mut replayer = match memory.take() {
                    Some((of, replayer)) if of == single => replayer,
                    _ => AnyReplayer::new(&self.program, &self.program.order, single)?,
                };
                let pool = WorkerPool::new(threads.min(CHUNKS), progress);
                let result = pool.run(|| {
                    let to = (outputs.as_mut_slice(), Some((seed, &mut *gradients)));
                    replayer.run(&self.program, &pool, &params, rows, to)
                });
                memory = Some((single, replayer));
                match result {
                    Ok(()) => Ok(None),
                    Err((_, Stop::Error(error))) => Err(error),
                    Err(stop) => Ok(Some(stop)),
                }
            })?;
            if let Ok(mut kept) = self.memory.try_lock() {
                *kept = memory;
            }
            match stopped {
                Some(stop) => Ok(reason(&stop).into_pyobject(py)?.into_any()),
                None => Ok(outputs.iter().sum::<f64>().into_pyobject(py)?.into_any()),
            }
        })
    }

    /// Add gradients to the parameters' grad.
    #[pyo3(signature = (gradients))]
    fn add_gradients(&self, py: Python<'_>, gradients: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(|| {
            let found = args::array::<f64, Ix1>("gradients", gradients)?.contiguous()?.read()?;
            for (param, gradient) in self.params.iter().zip(found.as_slice()?) {
                let Some(value) = NodeRef::of(param.bind_borrowed(py)) else {
                    unreachable!("parameters are Values")
                };
                value.set_grad(value.grad() + gradient);
            }
            Ok(())
        })
    }

    /// Return the number of parameters.
    #[getter]
    fn num_params(&self) -> usize {
        self.params.len()
    }

    /// Return an array that is True for each row for which no op of the program fails and all guards
    /// come out as recorded.
    #[pyo3(signature = (rows, single))]
    fn fits<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'_, PyAny>,
        single: bool,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        guard(|| {
            let rows = args::array::<f64, Ix2>("rows", rows)?.contiguous()?.read()?;
            let count = rows.as_array().nrows();
            let rows = rows.as_slice()?;
            let mut fits = crate::memory::filled(true, count)?;
            if self.program.guards.is_empty() && !self.program.can_fail() {
                return Ok(fits.into_pyarray(py));
            }
            let params = self.numbers(py)?;
            let mut outputs = crate::memory::filled(0.0, count)?;
            let numbers = self.program.varying.slots as usize;
            let cost = Cost::of(numbers.saturating_mul(count), A_NUMBER);
            run(py, cost, None, |progress| {
                let mut replayer = AnyReplayer::new(&self.program, &self.program.order, single)?;
                let pool = WorkerPool::new(1, progress);
                let width = self.program.inputs;
                // Mostly all rows fit, and one replay of the whole batch does not stop.
                let to = (outputs.as_mut_slice(), None);
                if replayer.run(&self.program, &pool, &params, rows, to).is_ok() {
                    return Ok(());
                }
                for (i, fits) in fits.iter_mut().enumerate() {
                    let row = rows.get(i * width..(i + 1) * width).ok_or(Error::Failed)?;
                    let mut output = [0.0];
                    let to = (output.as_mut_slice(), None);
                    match replayer.run(&self.program, &pool, &params, row, to) {
                        Ok(()) => {}
                        Err((_, Stop::Error(error))) => return Err(error),
                        Err(_) => *fits = false,
                    }
                }
                Ok(())
            })?;
            Ok(fits.into_pyarray(py))
        })
    }

    /// Return the number of scalars recorded and that after the passes, the bytes of the program, the
    /// number of inputs of an example, and the instructions as (section, name, results, shape). The
    /// shape (rows, inner, columns) is None for all but products of matrices.
    #[allow(clippy::type_complexity, reason = "a tuple for Python")]
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        guard(|| {
            let sections = [("once", &self.program.uniform), ("batch", &self.program.varying)];
            let mut instructions = Vec::new();
            for (name, section) in sections {
                for instruction in &section.instructions {
                    let shape = instruction.shape();
                    instructions.push((name, instruction.name(), instruction.results(), shape));
                }
            }
            let bytes = self.tape.bytes() + self.program.bytes();
            let (nodes, inputs) = (self.tape.nodes.len(), self.program.inputs);
            (self.recorded, nodes, bytes, inputs, instructions).into_pyobject(py)
        })
    }

    /// Return the program as a function in C or, with `rust`, in Rust.
    #[pyo3(signature = (name, rust))]
    fn source(&self, name: &str, rust: bool) -> PyResult<String> {
        guard(|| {
            let language = if rust { Language::Rust } else { Language::C };
            export(&self.tape, language, name).map_err(|error| to_python(&error))
        })
    }

    /// Return the program as arrays by name, for a file.
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guard(|| {
            let encoded = encode(&self.tape).map_err(|error| to_python(&error))?;
            let arrays = PyDict::new(py);
            arrays.set_item("nodes", rows(py, encoded.nodes)?)?;
            arrays.set_item("constants", encoded.constants.into_pyarray(py))?;
            arrays.set_item("list_starts", encoded.list_starts.into_pyarray(py))?;
            arrays.set_item("list_items", encoded.list_items.into_pyarray(py))?;
            arrays.set_item("pair_starts", encoded.pair_starts.into_pyarray(py))?;
            arrays.set_item("pair_items", rows(py, encoded.pair_items)?)?;
            arrays.set_item("guards", rows(py, encoded.guards)?)?;
            arrays.set_item("shape", encoded.shape.to_vec().into_pyarray(py))?;
            Ok(arrays)
        })
    }

    /// Return the recording that the method `arrays` has written, with these parameters, by these
    /// passes.
    #[staticmethod]
    #[pyo3(signature = (arrays, params, passes))]
    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn from_arrays(
        arrays: &Bound<'_, PyDict>,
        params: &Bound<'_, PyList>,
        passes: Vec<String>,
    ) -> PyResult<Recording> {
        guard(|| {
            let encoded = Encoded {
                nodes: read_rows(arrays, "nodes")?,
                constants: read_flat(arrays, "constants")?,
                list_starts: read_flat(arrays, "list_starts")?,
                list_items: read_flat(arrays, "list_items")?,
                pair_starts: read_flat(arrays, "pair_starts")?,
                pair_items: read_rows(arrays, "pair_items")?,
                guards: read_rows(arrays, "guards")?,
                shape: read_flat(arrays, "shape")?
                    .try_into()
                    .map_err(|_| PyValueError::new_err("shape: expected three numbers"))?,
            };
            let tape = decode(&encoded).map_err(|error| to_python(&error))?;
            for param in params {
                as_node(&param)?;
            }
            if params.len() != tape.params {
                return Err(PyValueError::new_err(format!(
                    "the program has {} parameters; {} are given",
                    tape.params,
                    params.len()
                )));
            }
            let params = params.iter().map(Bound::unbind).collect();
            Recording::compile(&tape, params, passes_of(&passes))
        })
    }

    /// Return where its parameters are in `params`, to which those that are missing are appended.
    fn places<'py>(
        &self,
        py: Python<'py>,
        params: &Bound<'py, PyList>,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        guard(|| {
            let mut known = FxHashMap::default();
            let length = params.len() + self.params.len();
            known.try_reserve(length).map_err(|_| to_python(&Error::Memory))?;
            known.extend(params.iter().map(|param| param.as_ptr()).zip(0..));
            let mut places = crate::memory::with_capacity(self.params.len())?;
            for param in &self.params {
                let new = u32::try_from(params.len())?;
                let place = *known.entry(param.as_ptr()).or_insert(new);
                if place == new {
                    params.append(param)?;
                }
                places.push(place);
            }
            Ok(places.into_pyarray(py))
        })
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.params.iter().try_for_each(|param| visit.call(param))
    }
}

impl Recording {
    fn compile(tape: &Tape, params: Vec<Py<PyAny>>, passes: Passes) -> PyResult<Recording> {
        let recorded = tape.nodes.len();
        tape.validate().map_err(|error| to_python(&error))?;
        let tape = passes.simplify(tape).map_err(|error| to_python(&error))?;
        let program = passes.schedule(&tape).map_err(|error| to_python(&error))?;
        Ok(Recording { tape, recorded, program, params, memory: Mutex::new(None) })
    }

    /// Reads the parameters.
    fn numbers(&self, py: Python<'_>) -> PyResult<Vec<f64>> {
        let mut numbers = crate::memory::with_capacity(self.params.len())?;
        for param in &self.params {
            let Some(value) = NodeRef::of(param.bind_borrowed(py)) else {
                unreachable!("parameters are Values")
            };
            numbers.push(value.data());
        }
        Ok(numbers)
    }
}

/// Returns the passes of these names.
fn passes_of(names: &[String]) -> Passes {
    let is_done = |name: &str| names.iter().any(|pass| pass == name);
    Passes {
        fold: is_done("fold"),
        share: is_done("share"),
        sums: is_done("sums"),
        matrices: is_done("matrices"),
    }
}

/// Makes an array of rows.
fn rows<const N: usize>(py: Python<'_>, rows: Vec<[u32; N]>) -> PyResult<Bound<'_, PyArray2<u32>>> {
    let shape = (rows.len(), N);
    args::output(py, rows.into_flattened(), numpy::ndarray::Dim([shape.0, shape.1]))
}

fn read_flat<T: numpy::Element + Copy>(arrays: &Bound<'_, PyDict>, name: &str) -> PyResult<Vec<T>> {
    let array = arrays
        .get_item(name)?
        .ok_or_else(|| PyValueError::new_err(format!("the array {name:?} is missing")))?;
    let array = args::array::<T, Ix1>(name, &array)?.contiguous()?.read()?;
    Ok(array.as_slice()?.to_vec())
}

fn read_rows<const N: usize>(arrays: &Bound<'_, PyDict>, name: &str) -> PyResult<Vec<[u32; N]>> {
    let array = arrays
        .get_item(name)?
        .ok_or_else(|| PyValueError::new_err(format!("the array {name:?} is missing")))?;
    let array = args::array::<u32, Ix2>(name, &array)?.contiguous()?.read()?;
    if array.as_array().ncols() != N {
        return Err(PyValueError::new_err(format!(
            "{name} has {} columns; expected {N}",
            array.as_array().ncols()
        )));
    }
    let (rows, _) = array.as_slice()?.as_chunks::<N>();
    Ok(rows.to_vec())
}

fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub fn reason((row, stop): &StopAt) -> (usize, &'static str, u32) {
    match stop {
        Stop::Failed(_) => (*row, "failed", 0),
        Stop::Index(_) => (*row, "index", 0),
        Stop::Guard(_, place) => (*row, "guard", *place),
        Stop::Error(_) => (*row, "error", 0),
    }
}
