//! One combiner a node: while a drop's batch commits, the next one gathers.
//!
//! A transaction costs its round trips and the flush of its COMMIT, however much it does, and a drop's lock lets one after
//! the other. So whoever comes while one is under way waits for the next, together with all the others: nobody waits for
//! a timer, and a lone request goes at once.

use super::{
    batch::{self, Batch},
    purchase::Purchased,
    release::Released,
    reserve::Granted,
};
use crate::{
    domain::error::{DropError, Missing},
    server::{
        AppState,
        database::{MAX_CONNECTIONS, PoolGuard, fault, with_timeout},
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

/// Orders of one kind in a batch. Throughput grows little beyond some hundreds, and the time of the lock goes on growing.
const MAX_BATCH: usize = 512;

/// Orders of one kind that wait for one drop: about half a second's work. Whoever comes later is better off being told
/// so at once.
const MAX_QUEUED: usize = 10_000;

/// Batches under way at the same time, each of another drop: half of the pool's connections, so that reads never wait
/// behind a rush.
const MAX_BATCHES: usize = 10;

/// How long a caller waits for an answer. More than a transaction may take, and one before it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// How a node shares transactions between requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// All that waits for a drop, in one transaction.
    #[default]
    Combined,
    /// A transaction for each request, which the benchmark compares with.
    Plain,
}

/// Gathers requests into batches, each drop's one after the other.
pub struct Combiner {
    strategy: Strategy,
    /// There is an entry for a drop as long as its worker runs.
    drops: Mutex<HashMap<i64, Queues>>,
    slots: Semaphore,
    /// How many batches had 1, 2 to 3, 4 to 7… orders.
    sizes: [AtomicU64; 12],
}

/// What waits for a drop.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) releases: Queue<(), Released>,
    pub(super) purchases: Queue<Option<i64>, Purchased>,
    pub(super) reserves: Queue<Option<String>, Granted>,
}

/// Orders of one kind in the order of their arrival.
pub(super) struct Queue<W, T>(VecDeque<Order<W, T>>);

/// What a user wants, and who waits to hear what became of it: one caller, or several that ask for the same.
pub(super) struct Order<W, T> {
    pub(super) user_id: i64,
    pub(super) wish: W,
    callers: Vec<oneshot::Sender<Result<T, DropError>>>,
}

/// An outcome that several callers may share.
pub(super) trait Outcome: Clone {
    /// What someone hears who asked for it again.
    fn repeated(&self) -> Self {
        self.clone()
    }
}

/// Hands in an order, and waits for its outcome. A caller who stops waiting before the batch begins costs nothing.
pub(super) async fn ask<W: PartialEq, T: Outcome>(
    state: &AppState,
    drop_id: i64,
    user_id: i64,
    wish: W,
    queue_of: fn(&mut Queues) -> &mut Queue<W, T>,
) -> Result<T, DropError> {
    // A drop that is not there gets no queue and no worker.
    if !state.catalog.has(drop_id) && !exists(state, drop_id).await? {
        return Err(DropError::NotFound(Missing::Drop));
    }
    let (caller, outcome) = oneshot::channel();
    let order = Order { user_id, wish, callers: vec![caller] };
    match state.combiner.strategy {
        Strategy::Combined => {
            if state.combiner.hand_in(drop_id, order, queue_of)? {
                state.tasks.spawn(work(state.clone(), drop_id));
            }
        }
        Strategy::Plain => {
            let mut queues = Queues::default();
            queue_of(&mut queues).0.push_back(order);
            state.tasks.spawn(run_alone(state.clone(), drop_id, queues.next_batch()));
        }
    }
    match timeout(ANSWER_TIMEOUT, outcome).await {
        Ok(outcome) => outcome.unwrap_or(Err(DropError::Internal)),
        Err(_) => Err(DropError::Unknown),
    }
}

/// Whether there is a drop that this node has not heard of yet.
async fn exists(state: &AppState, drop_id: i64) -> Result<bool, DropError> {
    let found = sqlx::query_scalar!(r#"select exists (select from drops where id = $1) as "exists!""#, drop_id);
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    let found = with_timeout(found.fetch_one(&mut *connection)).await?;
    connection.put_back();
    Ok(found)
}

impl Strategy {
    /// How many transactions may be under way at the same time, and thus how many connections are worth keeping warm.
    pub(crate) fn transactions(self) -> usize {
        match self {
            Self::Combined => MAX_BATCHES,
            // All that the sweeper and the reconciliation leave.
            Self::Plain => MAX_CONNECTIONS as usize - 2,
        }
    }
}

impl Combiner {
    /// A combiner without anything to do.
    pub fn new(strategy: Strategy) -> Self {
        let slots = Semaphore::new(strategy.transactions());
        Self { strategy, drops: Mutex::default(), slots, sizes: Default::default() }
    }

    /// Puts an order into its queue; returns whether the drop needs a worker now.
    fn hand_in<W, T>(
        &self,
        drop_id: i64,
        order: Order<W, T>,
        queue_of: fn(&mut Queues) -> &mut Queue<W, T>,
    ) -> Result<bool, DropError> {
        let mut drops = self.lock();
        let entry = drops.entry(drop_id);
        let is_idle = matches!(entry, hash_map::Entry::Vacant(_));
        let Queue(queue) = queue_of(entry.or_default());
        if queue.len() >= MAX_QUEUED {
            return Err(DropError::Unavailable);
        }
        queue.push_back(order);
        Ok(is_idle)
    }

    /// What has gathered for a drop; with nothing left, its worker is done.
    fn next_batch(&self, drop_id: i64) -> Option<Batch> {
        let mut drops = self.lock();
        let batch = drops.get_mut(&drop_id)?.next_batch();
        let orders = batch.len();
        if orders == 0 {
            drops.remove(&drop_id);
            return None;
        }
        self.sizes[orders.ilog2() as usize].fetch_add(1, Ordering::Relaxed);
        Some(batch)
    }

    /// Tells everyone who waits for a drop.
    fn refuse_all(&self, drop_id: i64, error: &DropError) {
        let queues = self.lock().get_mut(&drop_id).map(take);
        if let Some(Queues { releases, purchases, reserves }) = queues {
            releases.0.into_iter().for_each(|order| order.answer(Err(error.clone())));
            purchases.0.into_iter().for_each(|order| order.answer(Err(error.clone())));
            reserves.0.into_iter().for_each(|order| order.answer(Err(error.clone())));
        }
    }

    /// How many callers wait for a batch to begin.
    pub fn waiting(&self) -> usize {
        self.lock().values().map(Queues::waiting).sum()
    }

    /// How many batches had how many orders since this was last asked, such as `1: 20, 2-3: 4`.
    pub(crate) fn take_batch_sizes(&self) -> String {
        let sizes = self.sizes.iter().enumerate().map(|(log, count)| (1 << log, count.swap(0, Ordering::Relaxed)));
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

/// Runs a batch of one, without regard to what else waits for its drop.
async fn run_alone(state: AppState, drop_id: i64, batch: Batch) {
    let _slot = state.combiner.slots.acquire().await.expect("the semaphore is never closed");
    // Its caller was told.
    let _ = batch::run(state.clone(), drop_id, batch).await;
}

/// Runs a drop's batches one after the other, until nobody waits.
async fn work(state: AppState, drop_id: i64) {
    loop {
        let _slot = state.combiner.slots.acquire().await.expect("the semaphore is never closed");
        let Some(batch) = state.combiner.next_batch(drop_id) else { return };
        // In a task of its own: a panic loses the batch, whose callers are told, and not the worker.
        match tokio::spawn(batch::run(state.clone(), drop_id, batch)).await {
            Ok(Ok(())) => {}
            // Whoever waits behind a database that is away would wait as long for the same answer.
            Ok(Err(error)) => state.combiner.refuse_all(drop_id, &error),
            Err(panic) => {
                tracing::error!(%panic, drop_id, "a batch panicked");
                state.catalog.doubt(drop_id);
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

impl<W, T> Default for Queue<W, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<W: PartialEq, T> Queue<W, T> {
    fn waiting(&self) -> usize {
        self.0.iter().flat_map(|order| &order.callers).filter(|caller| !caller.is_closed()).count()
    }

    /// The first orders that somebody still waits for, one of each user: who asks twice for the same shares the outcome,
    /// who asks for something else waits for the next batch.
    fn next_batch(&mut self) -> Vec<Order<W, T>> {
        let mut batch: Vec<Order<W, T>> = vec![];
        let mut place_of = HashMap::new();
        let mut later = VecDeque::new();
        while batch.len() < MAX_BATCH
            && let Some(mut order) = self.0.pop_front()
        {
            order.callers.retain(|caller| !caller.is_closed());
            if order.callers.is_empty() {
                continue;
            }
            match place_of.entry(order.user_id) {
                hash_map::Entry::Vacant(entry) => {
                    entry.insert(batch.len());
                    batch.push(order);
                }
                hash_map::Entry::Occupied(entry) => match &mut batch[*entry.get()] {
                    first if first.wish == order.wish => first.callers.append(&mut order.callers),
                    _ => later.push_back(order),
                },
            }
        }
        later.append(&mut self.0);
        self.0 = later;
        batch
    }
}

impl<W, T: Outcome> Order<W, T> {
    /// Tells everyone who waits; that somebody does no more is no error.
    pub(super) fn answer(self, outcome: Result<T, DropError>) {
        let mut callers = self.callers.into_iter();
        let first = callers.next();
        for caller in callers {
            let _ = caller.send(outcome.as_ref().map(T::repeated).map_err(Clone::clone));
        }
        if let Some(caller) = first {
            let _ = caller.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Done(bool);

    impl Outcome for Done {
        fn repeated(&self) -> Self {
            Self(true)
        }
    }

    type Answer = oneshot::Receiver<Result<Done, DropError>>;

    fn push(queue: &mut Queue<&'static str, Done>, user_id: i64, wish: &'static str) -> Answer {
        let (caller, answer) = oneshot::channel();
        queue.0.push_back(Order { user_id, wish, callers: vec![caller] });
        answer
    }

    fn users(batch: &[Order<&'static str, Done>]) -> Vec<i64> {
        batch.iter().map(|order| order.user_id).collect()
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
    fn who_asks_again_shares_the_outcome_and_who_asks_for_more_waits() {
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
        assert_eq!(queue.next_batch()[0].wish, "M");
    }

    #[test]
    fn a_full_queue_says_so_at_once_and_keeps_nobody_else_out() {
        let combiner = Combiner::new(Strategy::Combined);
        let hand_in = |drop_id, user_id| {
            let order = Order { user_id, wish: (), callers: vec![oneshot::channel().0] };
            combiner.hand_in(drop_id, order, |queues| &mut queues.releases)
        };
        assert_eq!(hand_in(1, 0), Ok(true));
        assert!((1..MAX_QUEUED as i64).all(|user_id| hand_in(1, user_id) == Ok(false)));
        assert_eq!(hand_in(1, -1), Err(DropError::Unavailable));
        assert_eq!(hand_in(2, -1), Ok(true));
        let order = Order { user_id: -1, wish: None, callers: vec![oneshot::channel().0] };
        assert_eq!(combiner.hand_in(1, order, |queues| &mut queues.purchases), Ok(false));
    }

    #[test]
    fn who_went_away_costs_nothing() {
        let mut queue = Queue::default();
        drop(push(&mut queue, 1, "S"));
        let _answer = push(&mut queue, 2, "S");
        assert_eq!(users(&queue.next_batch()), [2]);
    }
}
