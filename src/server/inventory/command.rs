//! What can be asked of a drop, and the callers who wait for the reply.
//!
//! A new kind of command is a variant of [`Request`], its decision (see `worker.rs`), and its reply.

use crate::{
    domain::{self, Reservation, User, error::DropError},
    server::identity::Identity,
};
use tokio::sync::oneshot;

/// A request of one user. A repeated one has several callers.
pub(super) struct Command {
    pub(super) user: Identity,
    pub(super) request: Request,
}

pub(super) enum Request {
    /// Give back the pair that the user holds: of this reservation, or of any.
    Release(Option<i64>, Callers<Released>),
    /// Buy the pair that the user holds: of this reservation, or of any.
    Purchase(Option<i64>, Callers<Purchased>),
    /// Hold a pair of this size, or of the only size.
    Reserve(Option<String>, Callers<Granted>),
}

#[derive(Clone)]
pub(crate) struct Released {
    /// Cancelled, or expired before it could be.
    pub(crate) reservation: Reservation,
    /// Available pairs of the drop.
    pub(crate) new_stock: i32,
}

#[derive(Clone)]
pub(crate) struct Purchased {
    pub(crate) purchase: domain::Purchase,
    /// Available pairs of the drop.
    pub(crate) new_stock: i32,
    pub(crate) purchaser: User,
}

#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) reservation: Reservation,
    /// Available pairs of the drop.
    pub(crate) new_stock: i32,
    /// Whether the user held it before this command: a retry, or a second tab.
    pub(crate) was_held: bool,
}

/// What a command asks for, whatever its details.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Release,
    Purchase,
    Reserve,
}

impl Command {
    /// Whose it is, and what it asks for.
    pub(super) fn key(&self) -> (i64, Kind) {
        let kind = match self.request {
            Request::Release(..) => Kind::Release,
            Request::Purchase(..) => Kind::Purchase,
            Request::Reserve(..) => Kind::Reserve,
        };
        (self.user.id, kind)
    }

    /// Takes over the callers of a repetition, who get the same reply. Another command is returned.
    pub(super) fn share(&mut self, other: Self) -> Result<(), Self> {
        if self.user != other.user {
            return Err(other);
        }
        match (&mut self.request, other.request) {
            (Request::Release(id, callers), Request::Release(other_id, more)) if *id == other_id => {
                callers.append(more);
            }
            (Request::Purchase(id, callers), Request::Purchase(other_id, more)) if *id == other_id => {
                callers.append(more);
            }
            (Request::Reserve(size, callers), Request::Reserve(other_size, more)) if *size == other_size => {
                callers.append(more);
            }
            (_, request) => return Err(Self { request, ..other }),
        }
        Ok(())
    }

    pub(super) fn refuse(self, error: &DropError) {
        match self.request {
            Request::Release(_, mut callers) => callers.answer(Err(error.clone())),
            Request::Purchase(_, mut callers) => callers.answer(Err(error.clone())),
            Request::Reserve(_, mut callers) => callers.answer(Err(error.clone())),
        }
    }

    /// How many callers still wait.
    pub(super) fn waiting(&self) -> usize {
        match &self.request {
            Request::Release(_, callers) => callers.waiting(),
            Request::Purchase(_, callers) => callers.waiting(),
            Request::Reserve(_, callers) => callers.waiting(),
        }
    }
}

/// The callers who wait for one reply, in the order of their arrival.
pub(super) struct Callers<R>(Vec<oneshot::Sender<Answer<R>>>);

/// What a caller receives: the reply, and whether an earlier caller got it as well.
pub(super) type Answer<R> = Result<(R, bool), DropError>;

impl<R: Clone> Callers<R> {
    pub(super) fn one() -> (Self, oneshot::Receiver<Answer<R>>) {
        let (caller, answer) = oneshot::channel();
        (Self(vec![caller]), answer)
    }

    /// Answers every caller; one that stopped waiting is no error.
    pub(super) fn answer(&mut self, reply: Result<R, DropError>) {
        let mut callers = self.0.drain(..);
        let Some(first) = callers.next() else { return };
        for caller in callers {
            let _ = caller.send(reply.clone().map(|reply| (reply, true)));
        }
        let _ = first.send(reply.map(|reply| (reply, false)));
    }

    fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    fn waiting(&self) -> usize {
        self.0.iter().filter(|caller| !caller.is_closed()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(id: i64) -> Identity {
        Identity { id, public_id: Uuid::nil() }
    }

    fn release(user_id: i64, reservation_id: Option<i64>) -> (Command, oneshot::Receiver<Answer<Released>>) {
        let (callers, answer) = Callers::one();
        (Command { user: user(user_id), request: Request::Release(reservation_id, callers) }, answer)
    }

    fn purchase(user_id: i64, reservation_id: Option<i64>) -> Command {
        Command { user: user(user_id), request: Request::Purchase(reservation_id, Callers::one().0) }
    }

    fn reserve(user_id: i64, size: Option<&str>) -> Command {
        Command { user: user(user_id), request: Request::Reserve(size.map(str::to_owned), Callers::one().0) }
    }

    #[test]
    fn only_a_repetition_shares_the_reply() {
        for same in [
            || release(1, None).0,
            || release(1, Some(7)).0,
            || purchase(1, Some(7)),
            || purchase(1, None),
            || reserve(1, Some("S")),
        ] {
            assert!(same().share(same()).is_ok());
        }
        for (mut first, other) in [
            (release(1, None).0, release(2, None).0),
            (release(1, Some(7)).0, release(1, Some(8)).0),
            (release(1, None).0, purchase(1, None)),
            (purchase(1, Some(7)), purchase(1, Some(8))),
            (purchase(1, None), reserve(1, None)),
            (reserve(1, Some("S")), reserve(1, Some("M"))),
            (reserve(1, Some("S")), reserve(1, None)),
        ] {
            assert!(first.share(other).is_err());
        }
    }

    #[test]
    fn every_caller_is_answered_and_only_the_first_is_not_repeated() {
        let (mut callers, mut first) = Callers::one();
        let (again, mut second) = Callers::one();
        callers.append(again);
        assert_eq!(callers.waiting(), 2);
        callers.answer(Ok("granted"));
        assert_eq!(first.try_recv().expect("answered"), Ok(("granted", false)));
        assert_eq!(second.try_recv().expect("answered"), Ok(("granted", true)));
        let (command, mut answer) = release(1, None);
        command.refuse(&DropError::Unavailable);
        assert!(matches!(answer.try_recv(), Ok(Err(DropError::Unavailable))));
    }
}
