//! Training over recorded programs, on arrays that Python owns.

use fastgrad_core::autograd::optim::{Adam, Sgd};
use fastgrad_core::tape::Program;
use fastgrad_core::tape::batch::CHUNKS;
use fastgrad_core::tape::train::{Plan, Rule, State, Task, train};
use fastgrad_core::worker_pool::WorkerPool;
use numpy::{Ix1, Ix2};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::args;
use crate::errors::guard;
use crate::run::{Cost, run};
use crate::tape::{A_NUMBER, Recording, reason};

/// Train parameters over recorded programs, in place and step by step.
///
/// `tasks` are (recording, rows, places): a program, its examples, and the index in `data` of each
/// of its parameters. `rule` is ("sgd", momentum, weight decay) or ("adam", beta1, beta2, eps, weight
/// decay, decoupled). `order` has the task and row of each example of all steps, `starts` the first
/// example of each step, and the end. `done` is set to the number of steps done, also where an
/// exception is raised.
///
/// Returns None, or (task, row, reason, place) of the first example that needs another program.
#[pyfunction]
#[pyo3(signature = (
    tasks, rule, data, gradients, first, second, steps, lrs, order, starts, losses, done,
    single, threads=None, progress=None
))]
#[allow(clippy::too_many_arguments, reason = "the state of a training")]
#[allow(clippy::type_complexity, reason = "a tuple of four")]
pub fn train_recorded(
    py: Python<'_>,
    tasks: &Bound<'_, PyList>,
    rule: &Bound<'_, PyTuple>,
    data: &Bound<'_, PyAny>,
    gradients: &Bound<'_, PyAny>,
    first: &Bound<'_, PyAny>,
    second: &Bound<'_, PyAny>,
    steps: u64,
    lrs: &Bound<'_, PyAny>,
    order: &Bound<'_, PyAny>,
    starts: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    done: &Bound<'_, PyAny>,
    single: bool,
    threads: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<(usize, usize, &'static str, u32)>> {
    guard(|| {
        let mut recordings = Vec::new();
        let mut arrays = Vec::new();
        for task in tasks {
            let (recording, rows, places) =
                task.extract::<(PyRef<'_, Recording>, Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let rows = args::array::<f64, Ix2>("rows", &rows)?.contiguous()?.read()?;
            let places = args::array::<u32, Ix1>("places", &places)?.contiguous()?.read()?;
            recordings.push(recording);
            arrays.push((rows, places));
        }
        let programs: Vec<&Program> =
            recordings.iter().map(|recording| &recording.program).collect();
        let mut slices = Vec::new();
        for (rows, places) in &arrays {
            slices.push((rows.as_slice()?, places.as_slice()?));
        }
        let rule = read_rule(rule)?;
        let mut data = args::array::<f64, Ix1>("data", data)?.contiguous()?.write()?;
        let mut gradients =
            args::array::<f64, Ix1>("gradients", gradients)?.contiguous()?.write()?;
        let mut first = args::array::<f64, Ix1>("first", first)?.contiguous()?.write()?;
        let mut second = args::array::<f64, Ix1>("second", second)?.contiguous()?.write()?;
        let lrs = args::array::<f64, Ix1>("lrs", lrs)?.contiguous()?.read()?;
        let order = args::array::<u32, Ix2>("order", order)?.contiguous()?.read()?;
        let starts = args::array::<u64, Ix1>("starts", starts)?.contiguous()?.read()?;
        let mut losses = args::array::<f64, Ix1>("losses", losses)?.contiguous()?.write()?;
        let mut done = args::array::<u64, Ix1>("done", done)?.contiguous()?.write()?;
        let starts = starts.as_slice()?.iter().map(|&start| usize::try_from(start));
        let starts = starts.collect::<Result<Vec<usize>, _>>()?;
        let (order, _) = order.as_slice()?.as_chunks::<2>();
        let plan = Plan { lrs: lrs.as_slice()?, order, starts: &starts };
        let mut state = State {
            data: data.as_slice_mut()?,
            gradients: gradients.as_slice_mut()?,
            first: first.as_slice_mut()?,
            second: second.as_slice_mut()?,
            steps,
        };
        let losses = losses.as_slice_mut()?;
        let each = programs.iter().map(|program| program.varying.slots as usize).max();
        let cost = Cost::of(each.unwrap_or(0).saturating_mul(order.len()), A_NUMBER);
        let threads = threads.unwrap_or(1).min(CHUNKS);
        let result = run(py, cost, progress, |progress| {
            let pool = WorkerPool::new(threads, progress);
            let mut tasks = Vec::new();
            for (program, &(rows, places)) in programs.iter().zip(&slices) {
                tasks.push(Task::new(program, rows, places, single)?);
            }
            pool.run(|| train(&mut tasks, rule, plan, &mut state, losses, &pool))
        });
        done.as_slice_mut()?.fill(state.steps - steps);
        Ok(result?.map(|(task, row, stop)| {
            let (row, why, place) = reason(&(row, stop));
            (task, row, why, place)
        }))
    })
}

fn read_rule(given: &Bound<'_, PyTuple>) -> PyResult<Rule> {
    if let Ok((_, momentum, weight_decay)) = given.extract::<(String, f64, f64)>() {
        return Ok(Rule::Sgd(Sgd { lr: 0.0, momentum, weight_decay }));
    }
    let (_, beta1, beta2, eps, weight_decay, decoupled) =
        given.extract::<(String, f64, f64, f64, f64, bool)>()?;
    let (lr, correction1, correction2) = (0.0, 1.0, 1.0);
    let adam = Adam { lr, beta1, beta2, eps, weight_decay, decoupled, correction1, correction2 };
    Ok(Rule::Adam(adam))
}
