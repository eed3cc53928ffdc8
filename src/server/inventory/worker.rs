//! Runs the batches of a drop: each is decided under one lock and committed in one transaction.

use super::{
    command::{Callers, Command, Request},
    handle::{AnswerCallers, Inventory},
    purchase, release, reserve,
    statements::LockMode,
    transaction::{BatchError, Committed, LockedDrop, TRANSACTION_TIMEOUT},
};
use crate::domain::error::{DropError, Missing};
use tokio::time::timeout;

/// Runs batches one after the other until no command waits.
pub(super) async fn run(inventory: Inventory, drop_id: i64) {
    loop {
        let _slot = inventory.batcher.slot().await;
        let Some(batch) = inventory.batcher.next_batch(drop_id) else { return };
        // In a task of its own: a panic drops the batch, which answers its callers with an error, but not the worker.
        match tokio::spawn(run_batch(inventory.clone(), drop_id, batch)).await {
            Ok(Ok(())) => {}
            // The database or the drop is unavailable: commands that wait would get the same error after another timeout.
            Ok(Err(error)) => inventory.batcher.refuse_all(drop_id, &error),
            Err(panic) => {
                tracing::error!(%panic, drop_id, "a batch panicked");
                inventory.catalog.mark_uncertain(drop_id);
            }
        }
    }
}

/// Runs a batch and answers every caller. A batch that ran into a deadlock, or that waited for a lock other than the drop's, is
/// tried once more: the drop's is waited for as long as anybody would. One that
/// fails because of a command is repeated one command at a time, so that nobody fails with the one to blame.
///
/// # Errors
/// An error that also concerns the commands that wait for this drop.
async fn run_batch(inventory: Inventory, drop_id: i64, mut batch: Vec<Command>) -> Result<(), DropError> {
    // All arrived while the batch before was under way, so any order among them is one in which they could have arrived.
    // Releases come first, so that their pairs can be reserved in the same batch.
    batch.sort_by_key(|command| !matches!(command.request, Request::Release(..)));
    let mut outcome = attempt(&inventory, drop_id, &mut batch).await;
    if let Err(BatchError::Contention(cause)) = &outcome {
        tracing::warn!(%cause, drop_id, "a batch is repeated");
        outcome = attempt(&inventory, drop_id, &mut batch).await;
    }
    match outcome {
        Err(BatchError::Contention(cause) | BatchError::Statement(cause)) if batch.len() > 1 => {
            tracing::warn!(%cause, drop_id, commands = batch.len(), "a batch failed; its commands are repeated one by one");
            let mut commands = batch.into_iter();
            while let Some(mut command) = commands.next() {
                if command.waiting() == 0 {
                    continue;
                }
                let outcome = attempt(&inventory, drop_id, std::slice::from_mut(&mut command)).await;
                if let Err(error) = finish(&inventory, drop_id, vec![command], outcome) {
                    commands.for_each(|command| command.refuse(&error));
                    return Err(error);
                }
            }
            Ok(())
        }
        outcome => finish(&inventory, drop_id, batch, outcome),
    }
}

/// Refuses the commands of a transaction that failed.
fn finish(
    inventory: &Inventory,
    drop_id: i64,
    commands: Vec<Command>,
    outcome: Result<(), BatchError>,
) -> Result<(), DropError> {
    let Err(error) = outcome else { return Ok(()) };
    let is_commands_fault = matches!(error, BatchError::Contention(_) | BatchError::Statement(_));
    let error = DropError::from(error);
    if error == DropError::Unknown {
        inventory.publish_unknown(drop_id, commands.iter().map(|command| command.user.id));
    }
    commands.into_iter().for_each(|command| command.refuse(&error));
    if error == DropError::Unavailable && !is_commands_fault { Err(error) } else { Ok(()) }
}

async fn attempt(inventory: &Inventory, drop_id: i64, batch: &mut [Command]) -> Result<(), BatchError> {
    timeout(TRANSACTION_TIMEOUT, transact(inventory, drop_id, batch)).await.unwrap_or_else(|_| {
        tracing::error!(drop_id, "a batch did not end within its timeout");
        Err(BatchError::Fatal(DropError::Unknown))
    })
}

async fn transact(inventory: &Inventory, drop_id: i64, batch: &mut [Command]) -> Result<(), BatchError> {
    let users: Vec<_> = batch.iter().map(|command| command.user).collect();
    let known_version = inventory.catalog.version(drop_id);
    let mut drop = LockedDrop::enter(&inventory.pool, drop_id, &users, LockMode::Wait)
        .await?
        .ok_or(BatchError::Fatal(DropError::NotFound(Missing::Drop)))?;
    let answers = batch.iter_mut().map(|command| decide(command, &mut drop)).collect();
    let committed = drop.commit(inventory.reservation_ttl).await?;
    inventory.publish(committed, known_version, answers);
    Ok(())
}

/// Decides a command under the lock; its callers are answered after the commit.
fn decide<'a>(command: &'a mut Command, drop: &mut LockedDrop) -> AnswerCallers<'a> {
    let user_id = command.user.id;
    match &mut command.request {
        Request::Release(id, callers) => answer(callers, release::decide(drop, user_id, *id)),
        Request::Purchase(id, callers) => answer(callers, purchase::decide(drop, user_id, *id)),
        Request::Reserve(size, callers) => answer(callers, reserve::decide(drop, user_id, size.as_deref())),
    }
}

fn answer<'a, R: Clone + Send>(
    callers: &'a mut Callers<R>,
    decision: Result<impl FnOnce(&Committed) -> R + Send + 'a, DropError>,
) -> AnswerCallers<'a> {
    Box::new(move |committed| callers.answer(decision.map(|reply| reply(committed))))
}
