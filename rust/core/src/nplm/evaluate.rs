//! Losses, probabilities and gradients without training.

use super::dropout::Masks;
use super::optimizer::Update;
use super::params::check_ids;
use super::rows::Rows;
use super::step::{blocks_of, change, forward_and_backward};
use super::team::Team;
use super::workspace::{self, Rooms, Slice};
use super::{Data, Params, Shape, model, softmax};
use crate::linalg::{Cpu, Float, LANES};
use crate::progress::Progress;
use crate::{Error, Result, alloc};

/// Slices that are worked out between two checks for a cancel, for each thread.
const SLICES: usize = 8;

/// The mean of −ln p(target) over all examples, added up in doubles in their order.
///
/// # Errors
/// As of [`Data::check`]; [`crate::Error::Cpu`]; [`crate::Error::Interrupted`].
pub fn loss<T: Float>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Data<'_>,
    threads: usize,
    progress: &Progress,
) -> Result<f64> {
    let mut sum = 0.0;
    let add = |slice: &Slice<T>| sum += slice.losses.iter().take(slice.examples).sum::<f64>();
    look_at(shape, params, data, threads, progress, add)?;
    #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 examples")]
    Ok(sum / data.len() as f64)
}

/// −ln p(target) of each example.
///
/// # Errors
/// As of [`loss`].
pub fn losses<T: Float>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Data<'_>,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<f64>> {
    let mut result = alloc::with_capacity(data.len())?;
    let add = |slice: &Slice<T>| result.extend(slice.losses.iter().take(slice.examples));
    look_at(shape, params, data, threads, progress, add)?;
    Ok(result)
}

/// Checks the input, and shows each slice with its losses to `look`, in order.
fn look_at<T: Float>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Data<'_>,
    threads: usize,
    progress: &Progress,
    look: impl FnMut(&Slice<T>) + Send,
) -> Result<()> {
    const OP: &str = "nplm_loss";
    params.check(shape, OP)?;
    data.check(shape, OP)?;
    forward(shape, params, data, threads, progress, look)
}

/// The probability of every symbol after each context (B × c ids): B × V numbers.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`] or [`crate::Error::Id`] for wrong contexts; [`crate::Error::Cpu`];
/// [`crate::Error::Interrupted`].
pub fn probabilities<T: Float>(
    shape: &Shape,
    params: &Params<&[T]>,
    contexts: &[u32],
    threads: usize,
    progress: &Progress,
) -> Result<Vec<f64>> {
    const OP: &str = "nplm_probabilities";
    params.check(shape, OP)?;
    check_ids("contexts", contexts, shape.vocabulary)?;
    let examples = contexts.len() / shape.context.max(1);
    let targets = alloc::zeroed(examples)?;
    let data = Data { inputs: contexts, targets: &targets };
    let cpu = Cpu::chosen()?;
    let team = Team::new(threads, progress);
    let at_once = examples.min(SLICES * LANES * threads).max(1);
    let mut slices = workspace::slices::<T>(shape, at_once, true, progress)?;
    let cells = examples.checked_mul(shape.vocabulary).ok_or(Error::Memory)?;
    let mut result = alloc::zeroed(cells)?;
    let row = shape.vocabulary.max(1);
    team.run(|| -> Result<()> {
        for (start, into) in (0..).step_by(at_once).zip(result.chunks_mut(at_once * row)) {
            let mut numbers = start..examples;
            for slice in &mut slices {
                slice.fill(shape.context, &data, &mut numbers);
            }
            let done = into.len() / row;
            let mut rest = into;
            let groups = workspace::groups(shape, threads, &mut slices)?.into_iter();
            let mut parts = alloc::collected(groups.map(|group| {
                let length = rest.len().min(group.len() * LANES * row);
                let (into, later) = std::mem::take(&mut rest).split_at_mut(length);
                rest = later;
                (group, into)
            }))?;
            team.each(&mut parts, |(group, into)| {
                for slice in &mut **group {
                    model::before_output(cpu, shape, params, None, slice);
                }
                softmax::distributions(cpu, shape, params, progress, group, into);
            })?;
            progress.add(done as u64)?;
        }
        Ok(())
    })?;
    Ok(result)
}

/// Runs all examples forward, slice by slice, and shows each slice with its losses to `look`, in
/// order.
fn forward<T: Float>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Data<'_>,
    threads: usize,
    progress: &Progress,
    mut look: impl FnMut(&Slice<T>) + Send,
) -> Result<()> {
    let cpu = Cpu::chosen()?;
    let team = Team::new(threads, progress);
    let at_once = data.len().min(SLICES * LANES * threads);
    let mut slices = workspace::slices::<T>(shape, at_once, false, progress)?;
    team.run(|| {
        for start in (0..data.len()).step_by(at_once.max(1)) {
            let mut numbers = start..data.len();
            for slice in &mut slices {
                slice.fill(shape.context, data, &mut numbers);
            }
            team.each(&mut workspace::groups(shape, threads, &mut slices)?, |group| {
                for slice in &mut **group {
                    model::before_output(cpu, shape, params, None, slice);
                }
                softmax::output(cpu, shape, params, progress, group);
            })?;
            slices.iter().for_each(&mut look);
            progress.add(slices.iter().map(|slice| slice.examples as u64).sum())?;
        }
        Ok(())
    })
}

/// The mean loss of the examples, taken as one mini-batch, and its gradients; features are left out
/// where there are masks.
///
/// # Errors
/// As of [`Data::check`]; [`crate::Error::Cpu`]; [`crate::Error::Interrupted`].
pub fn gradients<T: Float>(
    shape: &Shape,
    params: &Params<&[T]>,
    data: &Data<'_>,
    masks: Option<&Masks>,
    threads: usize,
    progress: &Progress,
) -> Result<(f64, Params<Vec<T>>)> {
    const OP: &str = "nplm_gradients";
    // Not a multiple of the number of threads: sums are to be the same for all of them.
    const AT_ONCE: usize = 32 * LANES;
    let cpu = Cpu::chosen()?;
    params.check(shape, OP)?;
    data.check(shape, OP)?;
    let team = Team::new(threads, progress);
    #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 examples")]
    let weight = 1.0 / data.len() as f64;
    let mut slices = workspace::slices(shape, data.len().min(AT_ONCE), true, progress)?;
    let mut gradients = shape.lengths().map(alloc::zeroed).transpose()?;
    let (mut rows, rooms) = (Rows::new(shape)?, Rooms::new());
    let mut loss = 0.0;
    team.run(|| -> Result<()> {
        for start in (0..data.len()).step_by(AT_ONCE) {
            let mut numbers = start..data.len();
            for slice in &mut slices {
                slice.fill(shape.context, data, &mut numbers);
            }
            let how = (weight, masks);
            loss += forward_and_backward(cpu, shape, &team, params, how, &mut slices)?;
            let mut into = [gradients.as_mut().map(|gradient| &mut **gradient)];
            let blocks = (blocks_of(&mut into, Params::default()), &mut rows);
            change(cpu, shape, &team, (&slices, &rooms), &Update::Gradient, blocks)?;
            for slice in &mut slices {
                slice.number += AT_ONCE as u64;
            }
            progress.add(slices.iter().map(|slice| slice.examples as u64).sum())?;
        }
        Ok(())
    })?;
    Ok((loss, gradients))
}
