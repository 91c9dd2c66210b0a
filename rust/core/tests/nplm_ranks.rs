//! Training on several ranks, here threads that send each other messages, against one rank.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex};
use std::thread;

use fastgrad_core::kernels::{Dispatch, Float};
use fastgrad_core::nplm::dropout::Dropout;
use fastgrad_core::nplm::optimizer::Optimizer;
use fastgrad_core::nplm::ranks::{Comm, Ranks, Reduction};
use fastgrad_core::nplm::train::{Config, Trained, train};
use fastgrad_core::nplm::{Dataset, Params, Shape, Shard, eval};
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::Rng;
use fastgrad_core::{Error, Result};

const SHAPE: Shape = Shape {
    vocab_size: 1000,
    context_length: 3,
    embedding_dim: 5,
    hidden_dim: 21,
    direct: false,
    tied: false,
    shard: None,
};
const SHAPES: [Shape; 6] = [
    SHAPE,
    Shape { direct: true, ..SHAPE },
    Shape { tied: true, ..SHAPE },
    Shape { tied: true, direct: true, vocab_size: 193, ..SHAPE },
    Shape { hidden_dim: 0, direct: true, ..SHAPE },
    // A vocabulary of one tile, which only the last rank has.
    Shape { vocab_size: 27, hidden_dim: 200, ..SHAPE },
];
const ADAMW: Optimizer = Optimizer::AdamW { betas: (0.9, 0.99), epsilon: 1e-8 };
const OPTIMIZERS: [Optimizer; 3] = [Optimizer::Sgd, Optimizer::Momentum { momentum: 0.9 }, ADAMW];
const CONFIG: Config<'_> = Config {
    batch_size: 150,
    lr: &[0.05; 5],
    first_step: 0,
    seed: 3,
    optimizer: Optimizer::Sgd,
    weight_decay: 0.01,
    dropout: Dropout { embedding: 0.0, hidden: 0.0 },
    threads: 1,
};

/// The memory that all ranks share: a slot for the numbers of each, and a meeting point.
struct Board {
    slots: Vec<Mutex<Vec<f64>>>,
    meeting: Barrier,
}

/// Ranks that are threads of this process.
struct Threads<'a, T> {
    rank: usize,
    board: &'a Board,
    to_next: Sender<Vec<T>>,
    from_previous: Mutex<Receiver<Vec<T>>>,
}

impl<T: Float> Threads<'_, T> {
    /// Gives every rank the numbers of all.
    fn exchange<R>(&self, own: Vec<f64>, read: impl FnOnce(&[Vec<f64>]) -> R) -> R {
        *self.board.slots[self.rank].lock().unwrap() = own;
        self.board.meeting.wait();
        let all: Vec<_> =
            self.board.slots.iter().map(|slot| slot.lock().unwrap().clone()).collect();
        self.board.meeting.wait();
        read(&all)
    }
}

impl<T: Dispatch> Comm<T> for Threads<'_, T> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.board.slots.len()
    }

    fn send(&self, numbers: &mut [T], to: usize) -> Result<()> {
        assert_eq!(to, self.rank + 1);
        self.to_next.send(numbers.to_vec()).map_err(|_| Error::Failed)
    }

    fn receive(&self, numbers: &mut [T], from: usize) -> Result<()> {
        assert_eq!(from + 1, self.rank);
        let message = self.from_previous.lock().unwrap().recv().map_err(|_| Error::Failed)?;
        numbers.copy_from_slice(&message);
        Ok(())
    }

    fn broadcast(&self, numbers: &mut [T], from: usize) -> Result<()> {
        let own = numbers.iter().map(|number| number.to_f64()).collect();
        let theirs = self.exchange(own, |all| all[from].clone());
        numbers.iter_mut().zip(theirs).for_each(|(to, number)| *to = T::from_f64(number));
        Ok(())
    }

    fn sum(&self, numbers: &mut [T]) -> Result<()> {
        let mut doubles: Vec<_> = numbers.iter().map(|number| number.to_f64()).collect();
        self.sum_doubles(&mut doubles)?;
        numbers.iter_mut().zip(doubles).for_each(|(to, number)| *to = T::from_f64(number));
        Ok(())
    }

    fn sum_doubles(&self, numbers: &mut [f64]) -> Result<()> {
        let sums = self.exchange(numbers.to_vec(), |all| {
            let (first, others) = all.split_first().unwrap();
            let mut sums = first.clone();
            for other in others {
                sums.iter_mut().zip(other).for_each(|(sum, number)| *sum += number);
            }
            sums
        });
        numbers.copy_from_slice(&sums);
        Ok(())
    }
}

struct Example<T> {
    sets: Vec<Params<Vec<T>>>,
    inputs: Vec<u32>,
    targets: Vec<u32>,
}

impl<T: Dispatch> Example<T> {
    fn new(shape: &Shape, optimizer: Optimizer) -> Example<T> {
        let mut rng = Rng::new(1, 1);
        let mut ids =
            |n| -> Vec<u32> { (0..n).map(|_| rng.below(shape.vocab_size as u64) as u32).collect() };
        let (inputs, targets) = (ids(400 * shape.context_length), ids(400));
        let draw = |n| (0..n).map(|_| T::from_f64(0.3 * rng.normal())).collect();
        let mut sets = vec![shape.lengths().map(draw)];
        let zeros = shape.lengths().map(|n| vec![T::from_f64(0.0); n]);
        sets.resize(1 + optimizer.states(), zeros);
        Example { sets, inputs, targets }
    }

    fn train(&self, shape: &Shape, config: &Config<'_>) -> Trained<T> {
        let sets: Vec<_> = self.sets.iter().map(|set| set.as_ref().map(|p| &p[..])).collect();
        train(shape, &sets, &self.data(), config, None, &Progress::new()).unwrap()
    }

    fn data(&self) -> Dataset<'_> {
        Dataset { inputs: &self.inputs, targets: &self.targets }
    }

    /// Trains on so many ranks; `cancelled` is one that is cancelled before it begins.
    fn train_on_ranks(
        &self,
        shape: &Shape,
        config: &Config<'_>,
        (size, reduction): (usize, Reduction),
        cancelled: Option<usize>,
    ) -> Vec<(Shape, Result<Trained<T>>)> {
        on_ranks(size, |comm: &Threads<'_, T>| {
            let shape = match reduction {
                Reduction::Exact => of_rank(shape, comm),
                Reduction::Fast => *shape,
            };
            let sets: Vec<_> = self.sets.iter().map(|set| shard_of(&shape, set)).collect();
            let progress = progress(cancelled == Some(comm.rank));
            let ranks = Some(Ranks { comm, reduction });
            // Ranks may differ in their threads.
            let config = Config { threads: config.threads + comm.rank % 2, ..*config };
            (shape, train(&shape, &sets, &self.data(), &config, ranks, &progress))
        })
    }

    /// Computes the loss on so many ranks; `cancelled` is one that is cancelled before it begins.
    fn loss_on_ranks(
        &self,
        shape: &Shape,
        threads: usize,
        size: usize,
        cancelled: Option<usize>,
    ) -> Vec<Result<f64>> {
        on_ranks(size, |comm: &Threads<'_, T>| {
            let shape = of_rank(shape, comm);
            let progress = progress(cancelled == Some(comm.rank));
            let params = shard_of(&shape, &self.sets[0]);
            let threads = threads + comm.rank % 2;
            eval::loss(&shape, &params, &self.data(), Some(comm), threads, &progress)
        })
    }
}

/// Calls `work` on ranks that are threads, and returns the result of each.
fn on_ranks<T: Dispatch, R: Send>(
    size: usize,
    work: impl Fn(&Threads<'_, T>) -> R + Sync,
) -> Vec<R> {
    let slots = (0..size).map(|_| Mutex::default()).collect();
    let board = Board { slots, meeting: Barrier::new(size) };
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    senders.rotate_left(1);
    let comms = senders.into_iter().zip(receivers).enumerate();
    let comms = comms.map(|(rank, (to_next, receiver))| Threads {
        rank,
        board: &board,
        to_next,
        from_previous: Mutex::new(receiver),
    });
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = comms.map(|comm| scope.spawn(move || work(&comm))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Returns the shape of a model of which a rank has a shard.
fn of_rank<T>(shape: &Shape, comm: &Threads<'_, T>) -> Shape {
    let shard = Some(Shard::of(shape.vocab_size, comm.rank, comm.board.slots.len()));
    Shape { shard, ..*shape }
}

fn progress(is_cancelled: bool) -> Progress {
    let progress = Progress::new();
    if is_cancelled {
        progress.cancel();
    }
    progress
}

/// Returns the part of the parameters that a rank has.
fn shard_of<'a, T>(shape: &Shape, set: &'a Params<Vec<T>>) -> Params<&'a [T]> {
    let tokens = shape.tokens();
    let rows = |array: &'a Vec<T>| {
        let width = array.len() / shape.vocab_size;
        &array[tokens.start * width..tokens.end * width]
    };
    let mut own = set.as_ref().map(|array| &array[..]);
    own.U = rows(&set.U);
    own.b = rows(&set.b);
    own.W = rows(&set.W);
    if shape.tied {
        own.C = rows(&set.C);
    }
    own
}

fn same_bits<T: Dispatch>(shape: &Shape, config: &Config<'_>, size: usize) {
    let example = Example::<T>::new(shape, config.optimizer);
    let expected = example.train(shape, config);
    let ranks = example.train_on_ranks(shape, config, (size, Reduction::Exact), None);
    for (own, trained) in ranks {
        let trained = trained.unwrap();
        assert_eq!(trained.losses, expected.losses);
        for (now, expected) in trained.sets.iter().zip(&expected.sets) {
            let now = now.as_ref().map(|array| &array[..]);
            let bits = |params: Params<&[T]>| {
                params.map(|array| array.iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>())
            };
            assert_eq!(bits(now), bits(shard_of(&own, expected)), "{own:?} of {size}");
        }
    }
}

#[test]
fn exact_training_has_the_bits_of_one_rank() {
    for shape in SHAPES {
        for optimizer in OPTIMIZERS {
            for size in [2, 3, 7] {
                let threads = 1 + size % 2;
                same_bits::<f32>(&shape, &Config { optimizer, threads, ..CONFIG }, size);
            }
        }
    }
}

#[test]
fn exact_training_with_dropout_and_doubles_has_the_bits_of_one_rank() {
    let dropout = Dropout { embedding: 0.3, hidden: 0.5 };
    for shape in SHAPES {
        let config = Config { dropout, optimizer: ADAMW, threads: 2, ..CONFIG };
        same_bits::<f64>(&shape, &config, 2);
        same_bits::<f64>(&shape, &Config { batch_size: 1, ..config }, 3);
    }
}

fn same_loss<T: Dispatch>(shape: &Shape, threads: usize, size: usize) {
    let example = Example::<T>::new(shape, Optimizer::Sgd);
    let params = example.sets[0].as_ref().map(|array| &array[..]);
    let expected = eval::loss(shape, &params, &example.data(), None, 1, &Progress::new()).unwrap();
    for loss in example.loss_on_ranks(shape, threads, size, None) {
        assert_eq!(loss.unwrap().to_bits(), expected.to_bits(), "{shape:?} of {size}");
    }
}

#[test]
fn the_loss_on_ranks_has_the_bits_of_one_rank() {
    for shape in SHAPES {
        for size in [1, 2, 3, 4, 7] {
            same_loss::<f32>(&shape, 1 + size % 2, size);
            same_loss::<f64>(&shape, 2 - size % 2, size);
        }
    }
}

#[test]
fn the_loss_of_more_examples_than_go_at_once_has_the_bits_of_one_rank() {
    let mut example = Example::<f32>::new(&SHAPE, Optimizer::Sgd);
    for (ids, width) in [(&mut example.inputs, 3), (&mut example.targets, 1)] {
        *ids = ids.iter().copied().cycle().take(2500 * width).collect();
    }
    let params = example.sets[0].as_ref().map(|array| &array[..]);
    let expected = eval::loss(&SHAPE, &params, &example.data(), None, 2, &Progress::new()).unwrap();
    for loss in example.loss_on_ranks(&SHAPE, 1, 3, None) {
        assert_eq!(loss.unwrap().to_bits(), expected.to_bits());
    }
}

#[test]
fn fast_training_differs_by_rounding() {
    for shape in SHAPES {
        for optimizer in OPTIMIZERS {
            for size in [2, 12] {
                // Of 150 examples there are 10 micro-batches: some of 12 ranks have none.
                let config = Config { optimizer, threads: 1 + size % 2, ..CONFIG };
                let example = Example::<f64>::new(&shape, optimizer);
                let expected = example.train(&shape, &config);
                let ranks = example.train_on_ranks(&shape, &config, (size, Reduction::Fast), None);
                let first = ranks[0].1.as_ref().unwrap().sets.clone();
                for (_, trained) in ranks {
                    let trained = trained.unwrap();
                    assert_eq!(trained.sets, first);
                    for (loss, expected) in trained.losses.iter().zip(&expected.losses) {
                        assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
                    }
                    let sets = trained.sets.into_iter().zip(&expected.sets);
                    for (now, expected) in
                        sets.flat_map(|(a, b)| a.zip(b.as_ref()).named().map(|n| n.1))
                    {
                        assert_eq!(now.len(), expected.len());
                        for (now, expected) in now.iter().zip(expected) {
                            assert!((now - expected).abs() < 1e-9, "{now} {expected}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_step_that_goes_wrong_is_taken_back_on_all_ranks() {
    let mut rates = [0.1; 5];
    rates[3] = 1e300;
    for reduction in [Reduction::Exact, Reduction::Fast] {
        let config = Config { lr: &rates, ..CONFIG };
        let example = Example::<f32>::new(&SHAPE, config.optimizer);
        let expected = example.train(&SHAPE, &config);
        assert_eq!(expected.losses.len(), 3);
        for (_, trained) in example.train_on_ranks(&SHAPE, &config, (3, reduction), None) {
            assert_eq!(trained.unwrap().losses.len(), 3);
        }
    }
}

#[test]
fn a_cancel_of_one_rank_ends_all() {
    for reduction in [Reduction::Exact, Reduction::Fast] {
        let example = Example::<f32>::new(&SHAPE, ADAMW);
        let config = Config { optimizer: ADAMW, ..CONFIG };
        for (_, trained) in example.train_on_ranks(&SHAPE, &config, (3, reduction), Some(1)) {
            assert_eq!(trained.unwrap_err(), Error::Interrupted);
        }
    }
    let example = Example::<f32>::new(&SHAPE, ADAMW);
    for loss in example.loss_on_ranks(&SHAPE, 1, 3, Some(1)) {
        assert_eq!(loss.unwrap_err(), Error::Interrupted);
    }
}
