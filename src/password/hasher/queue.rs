//! What waits for a hash thread, and how long that will take.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use super::job_state::JobState;
use crate::password::Cost;
use crate::password::computation::{Computation, Digest};

/// Something for a hash thread to do.
pub(super) enum Work {
    /// A bcrypt, and where its digest goes.
    Compute(Computation, oneshot::Sender<Digest>),
    /// Anything else.
    Call(Box<dyn FnOnce() + Send>),
}

/// Work, and whether it is still wanted.
struct Job {
    work: Work,
    state: JobState,
}

/// What a thread takes at a time.
pub(super) enum Batch {
    /// Bcrypts of equal cost, [`Computation::TOGETHER`] at most.
    Compute(Vec<(Computation, oneshot::Sender<Digest>)>),
    Call(Box<dyn FnOnce() + Send>),
}

/// Work in the order in which it came.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Job>,
    /// Batches that threads are busy with.
    pub(super) running: usize,
    pub(super) closed: bool,
}

impl Queue {
    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn push(&mut self, work: Work, state: JobState) {
        self.waiting.push_back(Job { work, state });
    }

    /// The next work that is still wanted; with a bcrypt, those of equal cost that wait too.
    /// Nobody waits for company: there is none, or it is taken.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let (first, answer) = loop {
            let job = self.waiting.pop_front()?;
            if !job.state.begin() {
                continue;
            }
            match job.work {
                Work::Call(call) => return Some(Batch::Call(call)),
                Work::Compute(computation, answer) => break (computation, answer),
            }
        };
        let cost = first.cost();
        let mut together = vec![(first, answer)];
        let mut place = 0;
        while together.len() < Computation::TOGETHER && place < self.waiting.len() {
            let is_equal = match self.waiting.get(place) {
                Some(Job {
                    work: Work::Compute(one, _),
                    ..
                }) => one.cost() == cost,
                _ => false,
            };
            if !is_equal {
                place += 1;
                continue;
            }
            if let Some(Job {
                work: Work::Compute(one, answer),
                state,
            }) = self.waiting.remove(place)
                && state.begin()
            {
                together.push((one, answer));
            }
        }
        Some(Batch::Compute(together))
    }

    /// How many batches come before a newcomer, those under way included. A bcrypt of this `cost`
    /// joins the last batch of its kind if there is room in it; other work has `None`.
    pub(super) fn batches_before(&self, cost: Option<Cost>) -> usize {
        let mut of_cost: BTreeMap<Cost, usize> = BTreeMap::new();
        let mut batches = self.running;
        for job in &self.waiting {
            match &job.work {
                Work::Compute(one, _) => *of_cost.entry(one.cost()).or_default() += 1,
                Work::Call(_) => batches += 1,
            }
        }
        for (other, jobs) in of_cost {
            batches += if Some(other) == cost {
                jobs / Computation::TOGETHER
            } else {
                jobs.div_ceil(Computation::TOGETHER)
            };
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(number: u32) -> Cost {
        number.try_into().unwrap()
    }

    /// A queue of bcrypts of these costs, 0 standing for other work.
    fn queue_of(costs: &[u32]) -> Queue {
        let mut queue = Queue::default();
        for number in costs {
            let work = match number {
                0 => Work::Call(Box::new(|| ())),
                number => {
                    let (answer, _nobody_listens) = oneshot::channel();
                    Work::Compute(Computation::new(cost(*number), b"", [0; 16]), answer)
                }
            };
            queue.push(work, JobState::default());
        }
        queue
    }

    /// The sizes of the batches that are taken one after the other, 0 standing for other work.
    fn sizes(mut queue: Queue) -> Vec<usize> {
        let next = || queue.take();
        std::iter::from_fn(next)
            .map(|batch| match batch {
                Batch::Compute(together) => together.len(),
                Batch::Call(_) => 0,
            })
            .collect()
    }

    #[test]
    fn what_waits_is_taken_together_and_nobody_waits_for_company() {
        assert_eq!(sizes(queue_of(&[])), [0; 0]);
        assert_eq!(sizes(queue_of(&[4])), [1]);
        assert_eq!(sizes(queue_of(&[4, 4, 4])), [3]);
        assert_eq!(sizes(queue_of(&[4; 9])), [4, 4, 1]);
    }

    #[test]
    fn only_equal_costs_go_together_and_the_first_come_goes_first() {
        assert_eq!(sizes(queue_of(&[5, 4, 5, 0, 4, 5, 4])), [3, 3, 0]);
        assert_eq!(sizes(queue_of(&[0, 4, 0, 4])), [0, 2, 0]);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_left_out() {
        let queue = queue_of(&[4, 4, 4, 4]);
        for place in [0, 2] {
            assert!(queue.waiting[place].state.give_up());
        }
        assert_eq!(sizes(queue), [2]);
    }

    #[test]
    fn a_newcomer_joins_the_last_batch_of_its_cost() {
        let queue = queue_of(&[4, 4, 4, 5, 0]);
        assert_eq!(queue.batches_before(Some(cost(4))), 2);
        assert_eq!(queue.batches_before(Some(cost(5))), 2);
        assert_eq!(queue.batches_before(None), 3);
        let mut queue = queue_of(&[4; 8]);
        queue.running = 1;
        assert_eq!(queue.batches_before(Some(cost(4))), 3);
    }
}
