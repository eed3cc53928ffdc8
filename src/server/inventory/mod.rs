//! The heart: the only code that changes stock.
//!
//! Commands for a drop gather in the [`Batcher`](batcher::Batcher), and each batch is one transaction.
//! [`LockedDrop::enter`](transaction::LockedDrop::enter) begins it, locks the drop's row, reads the database's clock and
//! expires what is due. [`release`], [`purchase`] and [`reserve`] decide each command against that state.
//! [`LockedDrop::commit`](transaction::LockedDrop::commit) writes reservations, purchases, stock and version, and commits.
//! [`Inventory::publish`](handle::Inventory::publish) then tells the catalog, the callers and the connections. So whoever holds the lock sees a drop in
//! which nothing is overdue: correctness does not depend on the expiry job, and no two transactions decide about the same
//! last pair.
//!
//! A transaction runs in a task of its own. A caller that goes away cannot stop one between its commit and its publication.

mod audit;
mod batcher;
mod command;
mod create;
mod edit;
mod edited;
mod expire;
mod expiry_timer;
mod handle;
pub mod invariants;
mod new_drop;
mod proof;
mod purchase;
mod refusals;
mod release;
mod reserve;
mod settled;
mod state;
mod statements;
mod submit;
mod transaction;
mod worker;

pub(crate) use audit::{Actor, Change, Changes, Wanted, changes, paused_at};
pub use batcher::Strategy;
pub(crate) use command::{Granted, Purchased, Released};
pub(crate) use create::{Created, create, insert};
pub(crate) use edit::{Action, Edit, Fields, Move, PairsMoved, Seen, edit};
pub(crate) use expire::expire;
pub use handle::Inventory;
pub(crate) use invariants::Checked;
pub(crate) use new_drop::{
    Description, Dollars, DropName, IdempotencyKey, ImageUrl, Label, MAX_SIZES, NewDrop, NewSize, NewSizes, Pairs,
    PriceCents, SaleTime, SaleWindow,
};
pub(crate) use proof::{LoggedTotal, Proof, SizeProof, Step, StepName, prove};
pub use statements::PREPARED;
pub(crate) use submit::{Target, purchase, release, reserve};
