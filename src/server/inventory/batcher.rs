//! Commands for a drop gather while its previous batch commits.
//!
//! A transaction costs its round trips and the flush of its commit, however many commands it carries, and a drop's lock
//! admits one at a time. So commands that arrive during a transaction share the next one. Nobody waits for a timer: a
//! command that finds no transaction under way starts one at once.

use super::{
    Inventory,
    batch::{self, Batch},
    purchase::Purchased,
    release::Released,
    reserve::Granted,
};
use crate::{
    domain::error::{DropError, Missing},
    server::database::{
        MAX_CONNECTIONS,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use std::{
    collections::{HashMap, VecDeque, hash_map},
    mem::take,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// Gathers commands into batches; the batches of one drop run one after the other.
pub(crate) struct Batcher {
    strategy: Strategy,
    /// A drop has an entry as long as its worker runs.
    drops: Mutex<HashMap<i64, Queues>>,
    slots: Semaphore,
    /// How many batches had 1, 2 to 3, 4 to 7… commands.
    batch_sizes: [AtomicU64; 12],
}

/// How commands share transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One transaction for all commands that wait for a drop.
    #[default]
    Batched,
    /// One transaction for each command, for the benchmark to compare with.
    Plain,
}

/// Commands of one kind in a batch. Throughput grows little beyond some hundreds, while the time under the lock grows on.
const MAX_BATCH: usize = 512;

/// Commands of one kind that may wait for one drop, about half a second's work. Further ones are refused at once, which is
/// better than a reply that comes too late.
const MAX_QUEUED: usize = 10_000;

/// Batches under way at the same time, each of another drop: half of the pool's connections, so that reads never wait
/// for a rush to end.
const MAX_BATCHES: usize = 10;

/// How long a caller waits for a reply: longer than a transaction may take with another one before it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// The commands that wait for a drop.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) releases: Queue<(), Released>,
    pub(super) purchases: Queue<Option<i64>, Purchased>,
    pub(super) reserves: Queue<Option<String>, Granted>,
}

/// Commands of one kind in the order of their arrival.
pub(super) struct Queue<P, R>(VecDeque<Command<P, R>>);

/// What a user asks of a drop, and the callers who wait for the reply: several if the command was repeated.
pub(super) struct Command<P, R> {
    pub(super) user_id: i64,
    pub(super) parameters: P,
    callers: Vec<oneshot::Sender<Result<R, DropError>>>,
}

/// A reply that several callers may share.
pub(super) trait Reply: Clone {
    /// The reply to a repetition of the command.
    fn repeated(&self) -> Self {
        self.clone()
    }
}

/// Submits a command and waits for its reply. A command whose callers stop waiting before its batch begins is left out.
pub(super) async fn submit<P: PartialEq, R: Reply>(
    inventory: &Inventory,
    drop_id: i64,
    user_id: i64,
    parameters: P,
    queue_of: fn(&mut Queues) -> &mut Queue<P, R>,
) -> Result<R, DropError> {
    // A drop that does not exist gets no queue and no worker.
    if !inventory.catalog.has(drop_id) && !exists(inventory, drop_id).await? {
        return Err(DropError::NotFound(Missing::Drop));
    }
    let (caller, reply) = oneshot::channel();
    let command = Command { user_id, parameters, callers: vec![caller] };
    match inventory.batcher.strategy {
        Strategy::Batched => {
            if inventory.batcher.enqueue(drop_id, command, queue_of)? {
                inventory.tasks.spawn(run_worker(inventory.clone(), drop_id));
            }
        }
        Strategy::Plain => {
            let mut queues = Queues::default();
            queue_of(&mut queues).0.push_back(command);
            inventory.tasks.spawn(run_alone(inventory.clone(), drop_id, queues.next_batch()));
        }
    }
    match timeout(REPLY_TIMEOUT, reply).await {
        Ok(reply) => reply.unwrap_or(Err(DropError::Internal)),
        Err(_) => Err(DropError::Unknown),
    }
}

/// Whether the drop exists although the catalog does not have it yet.
async fn exists(inventory: &Inventory, drop_id: i64) -> Result<bool, DropError> {
    let found = sqlx::query_scalar!(r#"select exists (select from drops where id = $1) as "exists!""#, drop_id);
    let mut connection = PoolGuard::acquire(&inventory.pool).await.map_err(fault)?;
    let found = with_timeout(found.fetch_one(&mut *connection)).await?;
    connection.put_back();
    Ok(found)
}

impl Strategy {
    /// How many transactions may be under way at the same time.
    pub(crate) fn transactions(self) -> usize {
        match self {
            Self::Batched => MAX_BATCHES,
            // All connections but those of the expiry job and the reconciliation.
            Self::Plain => MAX_CONNECTIONS - 2,
        }
    }
}

impl Batcher {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let slots = Semaphore::new(strategy.transactions());
        Self { strategy, drops: Mutex::default(), slots, batch_sizes: Default::default() }
    }

    /// Puts a command into its queue; returns whether the drop needs a worker now.
    fn enqueue<P, R>(
        &self,
        drop_id: i64,
        command: Command<P, R>,
        queue_of: fn(&mut Queues) -> &mut Queue<P, R>,
    ) -> Result<bool, DropError> {
        let mut drops = self.lock();
        let entry = drops.entry(drop_id);
        let is_idle = matches!(entry, hash_map::Entry::Vacant(_));
        let Queue(queue) = queue_of(entry.or_default());
        if queue.len() >= MAX_QUEUED {
            return Err(DropError::Unavailable);
        }
        queue.push_back(command);
        Ok(is_idle)
    }

    /// The next batch of a drop. `None` ends its worker.
    fn next_batch(&self, drop_id: i64) -> Option<Batch> {
        let mut drops = self.lock();
        let batch = drops.get_mut(&drop_id)?.next_batch();
        let commands = batch.len();
        if commands == 0 {
            drops.remove(&drop_id);
            return None;
        }
        self.batch_sizes[commands.ilog2() as usize].fetch_add(1, Ordering::Relaxed);
        Some(batch)
    }

    /// Answers every command that waits for a drop with an error.
    fn refuse_all(&self, drop_id: i64, error: &DropError) {
        let queues = self.lock().get_mut(&drop_id).map(take);
        if let Some(Queues { releases, purchases, reserves }) = queues {
            releases.0.into_iter().for_each(|command| command.answer(Err(error.clone())));
            purchases.0.into_iter().for_each(|command| command.answer(Err(error.clone())));
            reserves.0.into_iter().for_each(|command| command.answer(Err(error.clone())));
        }
    }

    /// How many callers wait for a batch to begin.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().values().map(Queues::waiting).sum()
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

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Queues>> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a batch of one command, whatever else waits for its drop.
async fn run_alone(inventory: Inventory, drop_id: i64, batch: Batch) {
    let _slot = inventory.batcher.slots.acquire().await.expect("the semaphore is never closed");
    // The caller was answered.
    let _ = batch::run(inventory.clone(), drop_id, batch).await;
}

/// Runs the batches of a drop one after the other until no command waits.
async fn run_worker(inventory: Inventory, drop_id: i64) {
    loop {
        let _slot = inventory.batcher.slots.acquire().await.expect("the semaphore is never closed");
        let Some(batch) = inventory.batcher.next_batch(drop_id) else { return };
        // In a task of its own: a panic drops the batch, which answers its callers with an error, but not the worker.
        match tokio::spawn(batch::run(inventory.clone(), drop_id, batch)).await {
            Ok(Ok(())) => {}
            // The database is unavailable: commands that wait would get the same error after another timeout.
            Ok(Err(error)) => inventory.batcher.refuse_all(drop_id, &error),
            Err(panic) => {
                tracing::error!(%panic, drop_id, "a batch panicked");
                inventory.catalog.mark_uncertain(drop_id);
            }
        }
    }
}

impl Queues {
    fn waiting(&self) -> usize {
        self.releases.waiting() + self.purchases.waiting() + self.reserves.waiting()
    }

    fn next_batch(&mut self) -> Batch {
        Batch {
            releases: self.releases.next_batch(),
            purchases: self.purchases.next_batch(),
            reserves: self.reserves.next_batch(),
        }
    }
}

impl<P, R> Default for Queue<P, R> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<P: PartialEq, R> Queue<P, R> {
    fn waiting(&self) -> usize {
        self.0.iter().flat_map(|command| &command.callers).filter(|caller| !caller.is_closed()).count()
    }

    /// The first commands that have callers, one of each user. A repeated command shares the reply of the first; another
    /// command of the same user waits for the next batch.
    fn next_batch(&mut self) -> Vec<Command<P, R>> {
        let mut batch: Vec<Command<P, R>> = vec![];
        let mut index_of = HashMap::new();
        let mut later = VecDeque::new();
        while batch.len() < MAX_BATCH
            && let Some(mut command) = self.0.pop_front()
        {
            command.callers.retain(|caller| !caller.is_closed());
            if command.callers.is_empty() {
                continue;
            }
            match index_of.entry(command.user_id) {
                hash_map::Entry::Vacant(entry) => {
                    entry.insert(batch.len());
                    batch.push(command);
                }
                hash_map::Entry::Occupied(entry) => match &mut batch[*entry.get()] {
                    first if first.parameters == command.parameters => first.callers.append(&mut command.callers),
                    _ => later.push_back(command),
                },
            }
        }
        later.append(&mut self.0);
        self.0 = later;
        batch
    }
}

impl<P, R: Reply> Command<P, R> {
    /// Answers every caller; one that stopped waiting is no error.
    pub(super) fn answer(self, reply: Result<R, DropError>) {
        let mut callers = self.callers.into_iter();
        let first = callers.next();
        for caller in callers {
            let _ = caller.send(reply.as_ref().map(R::repeated).map_err(Clone::clone));
        }
        if let Some(caller) = first {
            let _ = caller.send(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Done(bool);

    impl Reply for Done {
        fn repeated(&self) -> Self {
            Self(true)
        }
    }

    type Answer = oneshot::Receiver<Result<Done, DropError>>;

    fn push(queue: &mut Queue<&'static str, Done>, user_id: i64, parameters: &'static str) -> Answer {
        let (caller, answer) = oneshot::channel();
        queue.0.push_back(Command { user_id, parameters, callers: vec![caller] });
        answer
    }

    fn users(batch: &[Command<&'static str, Done>]) -> Vec<i64> {
        batch.iter().map(|command| command.user_id).collect()
    }

    #[test]
    fn a_batch_is_bounded_and_keeps_the_order_of_arrival() {
        let mut queue = Queue::default();
        let _answers: Vec<_> = (0..MAX_BATCH as i64 + 2).map(|user_id| push(&mut queue, user_id, "S")).collect();
        assert_eq!(users(&queue.next_batch()), (0..MAX_BATCH as i64).collect::<Vec<_>>());
        assert_eq!(users(&queue.next_batch()), [MAX_BATCH as i64, MAX_BATCH as i64 + 1]);
        assert!(queue.next_batch().is_empty());
    }

    #[test]
    fn a_repeated_command_shares_the_reply_and_another_one_waits() {
        let mut queue = Queue::default();
        let mut first = push(&mut queue, 1, "S");
        let mut again = push(&mut queue, 1, "S");
        let _other = push(&mut queue, 1, "M");
        let _next = push(&mut queue, 2, "S");
        let mut batch = queue.next_batch();
        assert_eq!(users(&batch), [1, 2]);
        batch.remove(0).answer(Ok(Done(false)));
        assert_eq!(first.try_recv().expect("answered"), Ok(Done(false)));
        assert_eq!(again.try_recv().expect("answered"), Ok(Done(true)));
        assert_eq!(queue.next_batch()[0].parameters, "M");
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_affects_no_other_queue() {
        let batcher = Batcher::new(Strategy::Batched);
        let enqueue = |drop_id, user_id| {
            let command = Command { user_id, parameters: (), callers: vec![oneshot::channel().0] };
            batcher.enqueue(drop_id, command, |queues| &mut queues.releases)
        };
        assert_eq!(enqueue(1, 0), Ok(true));
        assert!((1..MAX_QUEUED as i64).all(|user_id| enqueue(1, user_id) == Ok(false)));
        assert_eq!(enqueue(1, -1), Err(DropError::Unavailable));
        assert_eq!(enqueue(2, -1), Ok(true));
        let command = Command { user_id: -1, parameters: None, callers: vec![oneshot::channel().0] };
        assert_eq!(batcher.enqueue(1, command, |queues| &mut queues.purchases), Ok(false));
    }

    #[test]
    fn a_command_without_callers_is_left_out() {
        let mut queue = Queue::default();
        drop(push(&mut queue, 1, "S"));
        let _answer = push(&mut queue, 2, "S");
        assert_eq!(users(&queue.next_batch()), [2]);
    }
}
