//! Commands for a drop gather while its previous batch commits.
//!
//! A transaction costs its round trips and the flush of its commit, however many commands it carries, and a drop's lock
//! admits one at a time. So commands that arrive during a transaction share the next one. Nobody waits for a timer: a
//! command that finds no transaction under way starts one at once.

use super::command::{Command, Kind, Request};
use crate::{domain::error::DropError, server::database::MAX_CONNECTIONS};
use std::{
    collections::{HashMap, VecDeque, hash_map},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The commands that wait, by drop.
pub(crate) struct Batcher {
    limits: Limits,
    /// A drop has a queue as long as a worker runs for it.
    drops: Mutex<HashMap<i64, Queue>>,
    slots: Semaphore,
    /// How many batches had 1, 2 to 3, 4 to 7… commands.
    batch_sizes: [AtomicU64; 12],
}

/// How commands share transactions. `Plain` exists for the benchmark to compare with, and differs only in its [`Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One transaction for all commands that wait for a drop.
    #[default]
    Batched,
    /// One transaction for each command.
    Plain,
}

struct Limits {
    /// Commands in a batch. Throughput grows little beyond some hundreds, while the time under the lock grows on.
    batch: usize,
    /// Workers of one drop, each with a batch of its own.
    workers: usize,
    /// Batches under way at the same time.
    batches: usize,
}

impl Strategy {
    fn limits(self) -> Limits {
        match self {
            // Half of the pool's connections, so that reads never wait for a rush to end.
            Self::Batched => Limits { batch: 512, workers: 1, batches: MAX_CONNECTIONS / 2 },
            // All connections but those of the expiry job and the reconciliation.
            Self::Plain => Limits { batch: 1, workers: MAX_CONNECTIONS - 2, batches: MAX_CONNECTIONS - 2 },
        }
    }
}

/// Commands that may wait for one drop, about half a second's work. Further ones are refused at once, which is better than
/// a reply that comes too late.
const MAX_QUEUED: usize = 12_000;

/// Different commands of one kind that one user may have waiting for one drop, such as reservations of several sizes. More
/// would take the places of others.
const MAX_WAITING_OF_USER: usize = 4;

/// The last places in a queue, which only purchases and releases may take: their users have a pair to lose.
const KEPT_FOR_HOLDERS: usize = 2_000;

#[derive(Default)]
struct Queue {
    /// In the order of arrival.
    commands: VecDeque<Command>,
    /// How many of them each user has of each kind.
    waiting_of: HashMap<(i64, Kind), usize>,
    workers: usize,
}

impl Batcher {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let limits = strategy.limits();
        let slots = Semaphore::new(limits.batches);
        Self { limits, drops: Mutex::default(), slots, batch_sizes: Default::default() }
    }

    /// Puts a command into its drop's queue; returns whether the drop needs another worker now.
    pub(super) fn enqueue(&self, drop_id: i64, command: Command) -> Result<bool, DropError> {
        let mut drops = self.lock();
        let queue = drops.entry(drop_id).or_default();
        let places = match command.request {
            Request::Reserve(..) => MAX_QUEUED - KEPT_FOR_HOLDERS,
            Request::Release(..) | Request::Purchase(..) => MAX_QUEUED,
        };
        let Some(command) = queue.share(command) else { return Ok(false) };
        if queue.waiting_of.get(&command.key()).is_some_and(|waiting| *waiting >= MAX_WAITING_OF_USER) {
            return Err(DropError::TooManyRequests);
        }
        if queue.commands.len() >= places {
            return Err(DropError::Unavailable);
        }
        queue.push(command);
        let needs_worker = queue.workers < self.limits.workers;
        queue.workers += usize::from(needs_worker);
        Ok(needs_worker)
    }

    /// Waits until another batch may begin.
    pub(super) async fn slot(&self) -> SemaphorePermit<'_> {
        self.slots.acquire().await.expect("the semaphore is never closed")
    }

    /// The next batch of a drop. `None` ends its worker.
    pub(super) fn next_batch(&self, drop_id: i64) -> Option<Vec<Command>> {
        let mut drops = self.lock();
        let hash_map::Entry::Occupied(mut queue) = drops.entry(drop_id) else { return None };
        let batch = queue.get_mut().next_batch(self.limits.batch);
        if batch.is_empty() {
            queue.get_mut().workers -= 1;
            if queue.get().workers == 0 {
                queue.remove();
            }
            return None;
        }
        self.batch_sizes[batch.len().ilog2() as usize].fetch_add(1, Ordering::Relaxed);
        Some(batch)
    }

    /// Answers every command that waits for a drop with an error.
    pub(super) fn refuse_all(&self, drop_id: i64, error: &DropError) {
        let commands = self.lock().get_mut(&drop_id).map(|queue| {
            queue.waiting_of.clear();
            std::mem::take(&mut queue.commands)
        });
        commands.into_iter().flatten().for_each(|command| command.refuse(error));
    }

    /// How many callers wait for a batch to begin.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().values().flat_map(|queue| &queue.commands).map(Command::waiting).sum()
    }

    /// How many batches had how many commands since the last call, such as `1: 20, 2-3: 4`.
    pub(crate) fn take_batch_sizes(&self) -> String {
        let sizes =
            self.batch_sizes.iter().enumerate().map(|(log, count)| (1 << log, count.swap(0, Ordering::Relaxed)));
        let seen = sizes.filter(|(_, count)| *count > 0).map(|(least, count): (usize, u64)| match least {
            1 => format!("1: {count}"),
            _ => format!("{least}-{}: {count}", 2 * least - 1),
        });
        seen.collect::<Vec<_>>().join(", ")
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Queue>> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Lets a repetition of a command that waits share its place, however many there are. Another command is returned.
    fn share(&mut self, command: Command) -> Option<Command> {
        if !self.waiting_of.contains_key(&command.key()) {
            return Some(command);
        }
        let key = command.key();
        let mut waiting = self.commands.iter_mut().filter(|waiting| waiting.key() == key);
        waiting.try_fold(command, |command, waiting| waiting.share(command).map_or_else(Some, |()| None))
    }

    fn push(&mut self, command: Command) {
        *self.waiting_of.entry(command.key()).or_default() += 1;
        self.commands.push_back(command);
    }

    fn pop(&mut self) -> Option<Command> {
        let command = self.commands.pop_front()?;
        if let hash_map::Entry::Occupied(mut waiting) = self.waiting_of.entry(command.key()) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
        Some(command)
    }

    /// The first commands that have callers, one of each user. A repetition shares the reply; another command of the same
    /// user waits for the next batch.
    fn next_batch(&mut self, limit: usize) -> Vec<Command> {
        let mut batch: Vec<Command> = vec![];
        let mut index_of = HashMap::new();
        let mut later = VecDeque::new();
        while batch.len() < limit
            && let Some(command) = self.pop()
        {
            if command.waiting() == 0 {
                continue;
            }
            match index_of.entry(command.user.id) {
                hash_map::Entry::Vacant(entry) => {
                    entry.insert(batch.len());
                    batch.push(command);
                }
                hash_map::Entry::Occupied(entry) => {
                    if let Err(other) = batch[*entry.get()].share(command) {
                        *self.waiting_of.entry(other.key()).or_default() += 1;
                        later.push_back(other);
                    }
                }
            }
        }
        later.append(&mut self.commands);
        self.commands = later;
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::{super::command::Callers, *};
    use crate::server::identity::Identity;
    use std::sync::atomic::AtomicI64;
    use uuid::Uuid;

    const LIMIT: usize = 3;

    fn user(id: i64) -> Identity {
        Identity { id, public_id: Uuid::nil() }
    }

    /// A command and what keeps its caller waiting.
    fn reserve(user_id: i64, size: &str) -> (Command, impl Sized) {
        let (callers, answer) = Callers::one();
        (Command { user: user(user_id), request: Request::Reserve(Some(size.into()), callers) }, answer)
    }

    fn queue(commands: Vec<Command>) -> Queue {
        let mut queue = Queue { workers: 1, ..Queue::default() };
        commands.into_iter().for_each(|command| queue.push(command));
        queue
    }

    fn users(batch: &[Command]) -> Vec<i64> {
        batch.iter().map(|command| command.user.id).collect()
    }

    #[test]
    fn a_batch_is_bounded_and_keeps_the_order_of_arrival() {
        let users_queued: Vec<_> = (0..LIMIT as i64 + 2).collect();
        let (commands, _answers): (Vec<_>, Vec<_>) = users_queued.iter().map(|user_id| reserve(*user_id, "S")).unzip();
        let mut queue = queue(commands);
        assert_eq!(users(&queue.next_batch(LIMIT)), users_queued[..LIMIT]);
        assert_eq!(users(&queue.next_batch(LIMIT)), users_queued[LIMIT..]);
        assert!(queue.next_batch(LIMIT).is_empty());
    }

    #[test]
    fn a_repeated_command_joins_the_batch_and_another_one_waits() {
        let (commands, _answers): (Vec<_>, Vec<_>) =
            [(1, "S"), (1, "S"), (1, "M"), (2, "S")].map(|(user_id, size)| reserve(user_id, size)).into_iter().unzip();
        let mut queue = queue(commands);
        let batch = queue.next_batch(LIMIT);
        assert_eq!(users(&batch), [1, 2]);
        assert_eq!(batch[0].waiting(), 2);
        assert_eq!(users(&queue.next_batch(LIMIT)), [1]);
    }

    #[test]
    fn commands_of_one_user_take_a_few_places() {
        let batcher = Batcher::new(Strategy::Batched);
        let enqueue = |id, size: &str| batcher.enqueue(1, reserve(id, size).0);
        assert_eq!(enqueue(1, "S"), Ok(true));
        assert!((0..2 * MAX_QUEUED).all(|_| enqueue(1, "S") == Ok(false)), "repetitions share a place");
        let sizes: Vec<_> = (1..=MAX_WAITING_OF_USER).map(|size| size.to_string()).collect();
        let answers: Vec<_> = sizes.iter().map(|size| enqueue(1, size)).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == Err(DropError::TooManyRequests)).count(), 1);
        assert_eq!(enqueue(2, "S"), Ok(false), "others have their places");
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_affects_no_other_drop() {
        let batcher = Batcher::new(Strategy::Batched);
        let users = AtomicI64::new(1);
        let enqueue = |drop_id, request| {
            batcher.enqueue(drop_id, Command { user: user(users.fetch_add(1, Ordering::Relaxed)), request })
        };
        let reserve = || Request::Reserve(None, Callers::one().0);
        let purchase = || Request::Purchase(None, Callers::one().0);
        assert_eq!(enqueue(1, reserve()), Ok(true));
        assert!((1..MAX_QUEUED - KEPT_FOR_HOLDERS).all(|_| enqueue(1, reserve()) == Ok(false)));
        assert_eq!(enqueue(1, reserve()), Err(DropError::Unavailable));
        assert!((0..KEPT_FOR_HOLDERS).all(|_| enqueue(1, purchase()) == Ok(false)));
        assert_eq!(enqueue(1, purchase()), Err(DropError::Unavailable));
        assert_eq!(enqueue(2, reserve()), Ok(true));
    }

    #[test]
    fn a_command_without_callers_is_left_out() {
        let (abandoned, answer) = reserve(1, "S");
        drop(answer);
        let (next, _answer) = reserve(2, "S");
        assert_eq!(users(&queue(vec![abandoned, next]).next_batch(LIMIT)), [2]);
    }
}
