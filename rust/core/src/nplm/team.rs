//! Threads that share work.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// The threads that share the work of a step.
#[derive(Debug)]
pub struct Team(Option<ThreadPool>);

impl Team {
    /// So many threads; just the caller's own if it is one.
    ///
    /// # Errors
    /// [`Error::Memory`] where the system refuses threads.
    pub fn new(threads: usize) -> Result<Team> {
        if threads <= 1 {
            return Ok(Team(None));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(|pool| Team(Some(pool))).map_err(|_| Error::Memory)
    }

    /// How many they are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Runs work on one of them.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Does something to each item, from within [`Team::run`]; items do not know of each other.
    pub fn each<I: Send>(&self, items: &mut [I], work: impl Fn(&mut I) + Send + Sync) {
        match &self.0 {
            Some(_) => items.par_iter_mut().for_each(work),
            None => items.iter_mut().for_each(work),
        }
    }
}
