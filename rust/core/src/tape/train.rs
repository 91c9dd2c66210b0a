//! Training: batch after batch, gradient and update, without leaving the core.
//!
//! The examples of a step may belong to several programs, a task each. If there are at least as many
//! tasks as threads, a thread does whole tasks; otherwise the threads share the examples of each.
//! Gradients are added in the order of the tasks either way.

use super::batch::{AnyReplayer, StopAt};
use super::program::Program;
use super::replay::Stop;
use crate::autograd::optim::{Adam, Sgd};
use crate::kernels::{Cpu, lanes, optim};
use crate::worker_pool::WorkerPool;
use crate::{Error, Result, alloc};

/// A program, its examples, and the places of its parameters among those of the training.
#[derive(Debug)]
pub struct Task<'a> {
    program: &'a Program,
    replayer: AnyReplayer,
    /// All examples, a row of inputs each.
    rows: &'a [f64],
    /// The place of each parameter among those of the training.
    places: &'a [u32],
    batch: Vec<f64>,
    outputs: Vec<f64>,
    /// The rows of the step's examples.
    chosen: Vec<u32>,
    /// The sum of the step's outputs, or why there is none.
    result: std::result::Result<f64, StopAt>,
    /// The gradients of this task alone, where threads do whole tasks.
    gradients: Vec<f64>,
}

impl<'a> Task<'a> {
    /// Allocates the memory for replaying a program, in single precision where `single` is set.
    /// `places` has the place of each of its parameters among those of the training.
    ///
    /// # Errors
    /// [`Error::Memory`], [`Error::Cpu`], [`Error::Invalid`] where lengths do not fit.
    pub fn new(
        program: &'a Program,
        rows: &'a [f64],
        places: &'a [u32],
        single: bool,
    ) -> Result<Task<'a>> {
        if places.len() != program.order.len() {
            return Err(Error::Invalid("places of other parameters".into()));
        }
        let of_slots = alloc::collected(program.order.iter().map(|&i| places[i as usize]))?;
        Ok(Task {
            program,
            replayer: AnyReplayer::new(program, &of_slots, single)?,
            rows,
            places,
            batch: Vec::new(),
            outputs: Vec::new(),
            chosen: Vec::new(),
            result: Ok(0.0),
            gradients: Vec::new(),
        })
    }

    /// Adds the gradient of `seed` times the outputs of the chosen examples to `gradients`, and
    /// returns the sum of the outputs.
    fn add_gradients(
        &mut self,
        pool: &WorkerPool<'_>,
        data: &[f64],
        seed: f64,
        gradients: &mut [f64],
    ) -> std::result::Result<f64, StopAt> {
        if self.chosen.is_empty() {
            return Ok(0.0);
        }
        let width = self.program.inputs;
        self.batch.clear();
        for &row in &self.chosen {
            let first = row as usize * width;
            self.batch.extend_from_slice(&self.rows[first..first + width]);
        }
        self.outputs.resize(self.chosen.len(), 0.0);
        let to = (self.outputs.as_mut_slice(), Some((seed, gradients)));
        let done = self.replayer.run(self.program, pool, data, &self.batch, to);
        done.map_err(|(row, stop)| (self.chosen[row] as usize, stop))?;
        Ok(self.outputs.iter().sum())
    }
}

/// The optimizer. Its learning rate is set for each step.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Gradient descent; the first moment is its velocity.
    Sgd(Sgd),
    /// Adam and `AdamW`.
    Adam(Adam),
}

/// The numbers that training changes. When training stops, they are those after the last whole step.
#[derive(Debug)]
pub struct State<'a> {
    /// The parameters; those that are trained come first.
    pub data: &'a mut [f64],
    /// The gradients of the last step.
    pub gradients: &'a mut [f64],
    /// The first moment or velocity of each trained parameter.
    pub first: &'a mut [f64],
    /// The second moment of each trained parameter, for Adam.
    pub second: &'a mut [f64],
    /// Steps taken.
    pub steps: u64,
}

/// The learning rates and examples of the steps.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The learning rate of each step.
    pub lrs: &'a [f64],
    /// The examples of all steps, as task and row.
    pub order: &'a [[u32; 2]],
    /// The start of each step's examples in `order`, and the end of the last one's.
    pub starts: &'a [usize],
}

/// The example at which training cannot go on without another program: task, row and why.
pub type StopIn = (usize, usize, Stop);

/// Trains for some steps and writes the mean loss of each step's examples, before its update.
/// Returns the number of steps done and, if it is not all, why.
///
/// # Errors
/// [`Error::Memory`], [`Error::Interrupted`]; `state` is that of the last whole step.
/// [`Error::Invalid`] if lengths or places do not fit.
#[allow(clippy::cast_precision_loss, reason = "nobody has 2^53 examples")]
pub fn train(
    tasks: &mut [Task<'_>],
    rule: Rule,
    plan: Plan<'_>,
    state: &mut State<'_>,
    losses: &mut [f64],
    pool: &WorkerPool<'_>,
) -> Result<Option<StopIn>> {
    check(tasks, rule, plan, state, losses)?;
    let cpu = Cpu::chosen()?;
    let mut gradients = alloc::zeroed(state.data.len())?;
    reserve(tasks, plan)?;
    for (step, (&lr, loss)) in plan.lrs.iter().zip(losses).enumerate() {
        let examples = &plan.order[plan.starts[step]..plan.starts[step + 1]];
        for task in &mut *tasks {
            task.chosen.clear();
        }
        for &[task, row] in examples {
            tasks[task as usize].chosen.push(row);
        }
        gradients.fill(0.0);
        let (seed, mut total) = (1.0 / examples.len() as f64, 0.0);
        add_gradients(tasks, pool, state.data, seed, &mut gradients)?;
        for (i, task) in tasks.iter().enumerate() {
            match &task.result {
                Ok(sum) => total += sum,
                Err((_, Stop::Error(error))) => return Err(error.clone()),
                Err((row, stop)) => return Ok(Some((i, *row, stop.clone()))),
            }
        }
        pool.progress().check()?;
        *loss = total * seed;
        update(cpu, rule, lr, &gradients, state);
        state.gradients.copy_from_slice(&gradients);
        state.steps += 1;
        pool.progress().add(1)?;
    }
    Ok(None)
}

/// Allocates the memory of each task at once, for the most examples that it has in a step.
fn reserve(tasks: &mut [Task<'_>], plan: Plan<'_>) -> Result<()> {
    let mut counts = alloc::filled((0, 0), tasks.len())?;
    for step in plan.starts.windows(2) {
        for &[task, _] in &plan.order[step[0]..step[1]] {
            counts[task as usize].0 += 1;
        }
        for (count, most) in &mut counts {
            *most = (*most).max(std::mem::take(count));
        }
    }
    for (task, (_, most)) in tasks.iter_mut().zip(counts) {
        task.replayer.reserve(task.program, most)?;
    }
    Ok(())
}

/// Adds the gradients of all tasks, and sets the result of each.
fn add_gradients(
    tasks: &mut [Task<'_>],
    pool: &WorkerPool<'_>,
    data: &[f64],
    seed: f64,
    gradients: &mut [f64],
) -> Result<()> {
    let with_examples = tasks.iter().filter(|task| !task.chosen.is_empty()).count();
    if pool.threads() == 1 || with_examples < pool.threads() {
        for task in tasks {
            task.result = task.add_gradients(pool, data, seed, gradients);
        }
        return Ok(());
    }
    for task in &mut *tasks {
        if task.gradients.is_empty() {
            task.gradients = alloc::zeroed(gradients.len())?;
        }
    }
    let alone = WorkerPool::new(1, pool.progress());
    pool.for_each(tasks, |task| {
        let mut own = std::mem::take(&mut task.gradients);
        own.fill(0.0);
        task.result = task.add_gradients(&alone, data, seed, &mut own);
        task.gradients = own;
    })?;
    for task in tasks.iter().filter(|task| !task.chosen.is_empty()) {
        lanes::add_to(Cpu::chosen()?, &task.gradients, gradients);
    }
    Ok(())
}

/// Checks that all lengths and places fit.
fn check(
    tasks: &[Task<'_>],
    rule: Rule,
    plan: Plan<'_>,
    state: &State<'_>,
    losses: &[f64],
) -> Result<()> {
    let fits = |task: &Task<'_>, row: u32| {
        let end = (row as usize + 1).checked_mul(task.program.inputs);
        end.is_some_and(|end| end <= task.rows.len())
    };
    let numbers = state.data.len();
    let moments = matches!(rule, Rule::Sgd(_)) || state.second.len() == state.first.len();
    let steps = plan.lrs.len();
    let found = [
        ("starts", plan.starts.len() == steps + 1 && plan.starts.is_sorted_by(|a, b| a < b)),
        ("starts", plan.starts.last().is_some_and(|&end| end <= plan.order.len())),
        ("losses", losses.len() == steps),
        ("gradients", state.gradients.len() == numbers),
        ("first", state.first.len() <= numbers),
        ("second", moments),
        ("places", tasks.iter().all(|t| t.places.iter().all(|&at| (at as usize) < numbers))),
        (
            "order",
            plan.order
                .iter()
                .all(|&[task, row]| tasks.get(task as usize).is_some_and(|task| fits(task, row))),
        ),
    ];
    match found.iter().find(|(_, right)| !right) {
        Some((name, _)) => Err(Error::Invalid(format!("{name} do not fit the training"))),
        None => Ok(()),
    }
}

/// Updates the trained parameters.
#[allow(clippy::cast_precision_loss, reason = "nobody takes 2^53 steps")]
fn update(cpu: Cpu, rule: Rule, lr: f64, gradients: &[f64], state: &mut State<'_>) {
    let n = state.first.len();
    let (data, gradients) = (&mut state.data[..n], &gradients[..n]);
    match rule {
        Rule::Sgd(sgd) => optim::scalar_sgd(cpu, Sgd { lr, ..sgd }, data, gradients, state.first),
        Rule::Adam(adam) => {
            let t = (state.steps + 1) as f64;
            let (correction1, correction2) = (1.0 - adam.beta1.powf(t), 1.0 - adam.beta2.powf(t));
            let adam = Adam { lr, correction1, correction2, ..adam };
            let moments = (&mut *state.first, &mut *state.second);
            optim::scalar_adam(cpu, adam, data, gradients, moments);
        }
    }
}
