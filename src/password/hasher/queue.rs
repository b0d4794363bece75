//! The queue of the hash threads. Networks take turns in it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use passlib::{BcryptJob, Cost, PendingHash, PendingVerification};
use tokio::sync::oneshot;

use super::MAX_BATCH;
use super::job::JobState;
use crate::metrics::Metrics;
use crate::network::Network;

/// Work for a hash thread.
pub(super) enum Work {
    /// A bcrypt, which a thread can compute together with others.
    Bcrypt(BcryptTask),
    /// Any other work.
    Call(Box<dyn FnOnce() + Send>),
}

/// A bcrypt to compute, and the channel for its result.
pub(super) enum BcryptTask {
    Hash(PendingHash, oneshot::Sender<String>),
    Verify(PendingVerification, oneshot::Sender<bool>),
}

/// Queued work and its state.
struct Job {
    work: Work,
    state: JobState,
}

/// The work that a thread takes at a time.
pub(super) enum Batch {
    /// Up to [`MAX_BATCH`] bcrypts of equal cost.
    Bcrypt(Vec<BcryptTask>),
    Call(Box<dyn FnOnce() + Send>),
}

/// Work by network, in order of arrival within each network. Networks take turns, so that one that
/// sends a lot of work delays only itself.
#[derive(Default)]
pub(super) struct Queue {
    /// Contains no empty queue.
    waiting: HashMap<Network, VecDeque<Job>>,
    /// The networks with waiting work, the next one first.
    turns: VecDeque<Network>,
    /// How many clients per network have a place but no work yet. Contains no zero.
    places: HashMap<Network, usize>,
    /// The number of batches that the threads are working on.
    pub(super) running: usize,
    pub(super) closed: bool,
    /// Where the waits are counted.
    metrics: Arc<Metrics>,
}

impl BcryptTask {
    pub(super) fn job(&self) -> &BcryptJob {
        match self {
            Self::Hash(pending, _) => pending.job(),
            Self::Verify(pending, _) => pending.job(),
        }
    }
}

impl Work {
    /// The cost of a bcrypt; other work has none.
    pub(super) fn cost(&self) -> Option<Cost> {
        match self {
            Self::Bcrypt(task) => Some(task.job().cost()),
            Self::Call(_) => None,
        }
    }
}

impl Queue {
    /// An empty queue whose waits are counted there.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            ..Self::default()
        }
    }

    /// How many jobs are waiting.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    pub(super) fn push(&mut self, network: Network, work: Work, state: JobState) {
        let own = self.waiting.entry(network).or_default();
        if own.is_empty() {
            self.turns.push_back(network);
        }
        own.push_back(Job { work, state });
    }

    /// The next work that is not cancelled; a bcrypt together with waiting ones of equal cost. A bcrypt
    /// is never held back to wait for others.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let first = match self.take_one(None)? {
            Work::Call(call) => return Some(Batch::Call(call)),
            Work::Bcrypt(task) => task,
        };
        let cost = first.job().cost();
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Some(Work::Bcrypt(task)) = self.take_one(Some(cost))
        {
            batch.push(task);
        }
        Some(Batch::Bcrypt(batch))
    }

    /// The first work that is not cancelled, of the first network that has any. With a `cost`, only
    /// bcrypts of this cost count. The network moves to the end of the turns.
    fn take_one(&mut self, cost: Option<Cost>) -> Option<Work> {
        let mut turn = 0;
        while let Some(network) = self.turns.get(turn).copied() {
            let own = self.waiting.entry(network).or_default();
            let matches = |job: &Job| cost.is_none() || job.work.cost() == cost;
            let Some(job) = own.iter().position(matches).and_then(|at| own.remove(at)) else {
                turn += 1;
                continue;
            };
            let is_empty = own.is_empty();
            if is_empty {
                self.waiting.remove(&network);
                self.turns.remove(turn);
            }
            if job.state.start() {
                if let Some(wait) = job.state.wait() {
                    self.metrics.hash_waits.observe(wait);
                }
                if !is_empty {
                    self.turns.remove(turn);
                    self.turns.push_back(network);
                }
                return Some(job.work);
            }
        }
        None
    }

    /// Keeps a place for work of this network.
    pub(super) fn add_place(&mut self, network: Network) {
        *self.places.entry(network).or_default() += 1;
    }

    /// Gives up a place of this network.
    pub(super) fn remove_place(&mut self, network: Network) {
        if let Some(places) = self.places.get_mut(&network) {
            *places -= 1;
            if *places == 0 {
                self.places.remove(&network);
            }
        }
    }

    /// How many places are kept.
    pub(super) fn places(&self) -> usize {
        self.places.values().sum()
    }

    /// Whether new work of this network may displace work of another that has more than its share, if
    /// all that have a place had sent theirs.
    pub(super) fn can_displace(&self, newcomer: Network) -> bool {
        let length = |network| {
            let waiting = self.waiting.get(network).map_or(0, VecDeque::len);
            waiting + self.places.get(network).copied().unwrap_or(0)
        };
        let longest = self
            .waiting
            .keys()
            .chain(self.places.keys())
            .map(length)
            .max();
        longest > Some(length(&newcomer) + 1)
    }

    /// Drops the newest work of the network with the most work, if the network `newcomer` would
    /// still have less after adding one job. The caller of the dropped work notices that its
    /// channel is closed.
    pub(super) fn displace_for(&mut self, newcomer: Network) -> bool {
        let Some(longest) = self.longest_other(newcomer) else {
            return false;
        };
        // At least two jobs are waiting there, so the queue is not empty afterwards.
        let dropped = self.waiting.get_mut(&longest).and_then(VecDeque::pop_back);
        dropped.is_some()
    }

    fn longest_other(&self, newcomer: Network) -> Option<Network> {
        let own = self.waiting.get(&newcomer).map_or(0, VecDeque::len);
        let lengths = self.waiting.iter().map(|(net, jobs)| (jobs.len(), *net));
        let (length, longest) = lengths.max()?;
        (length > own + 1).then_some(longest)
    }

    /// The number of batches ahead of new work, including the running ones. A bcrypt of this `cost`
    /// joins the last batch of that cost if it has room; other work has the cost `None`.
    pub(super) fn batches_before(&self, cost: Option<Cost>) -> usize {
        let mut jobs_by_cost: BTreeMap<Cost, usize> = BTreeMap::new();
        let mut batches = self.running;
        for job in self.waiting.values().flatten() {
            match job.work.cost() {
                Some(cost) => *jobs_by_cost.entry(cost).or_default() += 1,
                None => batches += 1,
            }
        }
        for (other, jobs) in jobs_by_cost {
            batches += if Some(other) == cost {
                jobs / MAX_BATCH
            } else {
                jobs.div_ceil(MAX_BATCH)
            };
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use passlib::prepare_hash;

    use super::*;

    fn cost(number: u32) -> Cost {
        number.try_into().unwrap()
    }

    fn network(number: u8) -> Network {
        Network::new(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))))
    }

    /// A bcrypt of this cost with a password of one byte; cost 0 stands for other work.
    fn work(number: u32, password: u8) -> Work {
        match number {
            0 => Work::Call(Box::new(|| ())),
            number => hash(cost(number), password).0,
        }
    }

    fn hash(cost: Cost, password: u8) -> (Work, oneshot::Receiver<String>) {
        let (reply, caller) = oneshot::channel();
        let pending = prepare_hash(&[password], cost).unwrap();
        (Work::Bcrypt(BcryptTask::Hash(pending, reply)), caller)
    }

    /// A queue with bcrypts of these costs, all of one network; 0 stands for other work.
    fn queue_of(costs: &[u32]) -> Queue {
        let mut queue = Queue::default();
        for number in costs {
            queue.push(network(1), work(*number, 1), JobState::default());
        }
        queue
    }

    /// A queue with this many bcrypts per network, those of the first network first.
    fn queue_of_networks(lengths: &[(u8, usize)]) -> Queue {
        let mut queue = Queue::default();
        for (number, length) in lengths {
            for _ in 0..*length {
                queue.push(network(*number), work(4, *number), JobState::default());
            }
        }
        queue
    }

    /// The sizes of all batches in order; 0 stands for other work.
    fn batch_sizes(mut queue: Queue) -> Vec<usize> {
        let next = || queue.take();
        std::iter::from_fn(next)
            .map(|batch| match batch {
                Batch::Bcrypt(batch) => batch.len(),
                Batch::Call(_) => 0,
            })
            .collect()
    }

    /// The networks of the work in the next batch.
    fn next_networks(queue: &mut Queue) -> Vec<u8> {
        match queue.take() {
            Some(Batch::Bcrypt(batch)) => {
                batch.iter().map(|task| task.job().password()[0]).collect()
            }
            _ => Vec::new(),
        }
    }

    fn length_of(queue: &Queue, number: u8) -> usize {
        queue.waiting.get(&network(number)).map_or(0, VecDeque::len)
    }

    #[test]
    fn waiting_jobs_form_batches_and_none_is_held_back() {
        assert_eq!(batch_sizes(queue_of(&[])), [0; 0]);
        assert_eq!(batch_sizes(queue_of(&[4])), [1]);
        assert_eq!(batch_sizes(queue_of(&[4, 4, 4])), [3]);
        assert_eq!(batch_sizes(queue_of(&[4; 9])), [4, 4, 1]);
    }

    #[test]
    fn batches_have_one_cost_and_keep_the_order_of_arrival() {
        assert_eq!(batch_sizes(queue_of(&[5, 4, 5, 0, 4, 5, 4])), [3, 3, 0]);
        assert_eq!(batch_sizes(queue_of(&[0, 4, 0, 4])), [0, 2, 0]);
    }

    #[test]
    fn cancelled_jobs_are_skipped() {
        let queue = queue_of(&[4, 4, 4, 4]);
        let own = &queue.waiting[&network(1)];
        for place in [0, 2] {
            assert!(own[place].state.cancel());
        }
        assert_eq!(batch_sizes(queue), [2]);
    }

    #[test]
    fn new_job_joins_the_last_batch_of_its_cost() {
        let queue = queue_of(&[4, 4, 4, 5, 0]);
        assert_eq!(queue.batches_before(Some(cost(4))), 2);
        assert_eq!(queue.batches_before(Some(cost(5))), 2);
        assert_eq!(queue.batches_before(None), 3);
        let mut queue = queue_of(&[4; 8]);
        queue.running = 1;
        assert_eq!(queue.batches_before(Some(cost(4))), 3);
    }

    #[test]
    fn wait_of_each_caller_is_counted_when_the_job_starts() {
        let metrics = Arc::new(Metrics::default());
        let mut queue = Queue::new(Arc::clone(&metrics));
        let cancelled = JobState::awaited();
        assert!(cancelled.cancel());
        let states = [JobState::awaited(), cancelled, JobState::default()];
        for state in states.into_iter().chain([JobState::awaited()]) {
            queue.push(network(1), work(4, 1), state);
        }
        assert_eq!(metrics.hash_waits.count(), 0);
        assert_eq!(batch_sizes(queue), [3]);
        assert_eq!(metrics.hash_waits.count(), 2);
    }

    #[test]
    fn networks_take_turns() {
        let mut queue = queue_of_networks(&[(1, 9), (2, 1), (3, 2)]);
        assert_eq!(next_networks(&mut queue), [1, 2, 3, 1]);
        assert_eq!(next_networks(&mut queue), [3, 1, 1, 1]);
        queue.push(network(4), work(4, 4), JobState::default());
        assert_eq!(next_networks(&mut queue), [1, 4, 1, 1]);
        assert_eq!(next_networks(&mut queue), [1]);
        assert_eq!((queue.turns.len(), queue.waiting.len()), (0, 0));
    }

    #[test]
    fn displacement_stops_at_equal_shares() {
        let mut queue = queue_of_networks(&[(1, 10)]);
        assert!(!queue.displace_for(network(1)));
        for newcomer in [2, 3] {
            while queue.displace_for(network(newcomer)) {
                queue.push(network(newcomer), work(4, newcomer), JobState::default());
            }
        }
        let lengths = [1, 2, 3].map(|number| length_of(&queue, number));
        assert_eq!(lengths.iter().sum::<usize>(), 10);
        assert!(lengths.iter().all(|length| (3..=4).contains(length)));
        assert!(!queue.can_displace(network(1)));
    }

    #[test]
    fn newest_job_is_displaced_and_its_channel_closed() {
        let mut queue = queue_of_networks(&[(1, 1)]);
        let mut callers = Vec::new();
        for _ in 0..2 {
            let (work, caller) = hash(cost(4), 1);
            queue.push(network(1), work, JobState::default());
            callers.push(caller);
        }
        assert!(queue.displace_for(network(2)));
        let is_closed = |caller: &mut oneshot::Receiver<String>| {
            caller
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        };
        assert_eq!(
            callers.iter_mut().map(is_closed).collect::<Vec<_>>(),
            [false, true]
        );
    }
}
