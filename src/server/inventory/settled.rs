//! Reservations that are not active any more, for commands that are repeated or come too late.
//!
//! What is settled never changes, so it is read without the drop's lock.

use super::command::{Purchased, Released};
use crate::{
    domain::{Purchase, Reservation, ReservationStatus, User, error::DropError},
    server::database::{
        Pool, Purpose,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};

pub(super) struct Settled {
    reservation: Reservation,
    /// With the purchaser, if it was completed.
    purchase: Option<(Purchase, User)>,
    /// Whether the purchase was cancelled.
    is_cancelled: bool,
    /// Available pairs of the drop.
    new_stock: i32,
}

/// The settled reservation with this id, or the user's latest of the drop.
///
/// # Errors
/// `NoActiveReservation` if there is none.
pub(super) async fn read(
    pool: &Pool,
    user_id: i64,
    drop_id: i64,
    reservation_id: Option<i64>,
) -> Result<Settled, DropError> {
    let row = sqlx::query!(
        r#"select r.id, r.price_cents, r.status as "status: ReservationStatus", r.expires_at, r.created_at,
                  s.label as size, u.username, p.id as "purchase_id?", p.created_at as "bought_at?",
                  p.status = 'cancelled' as is_cancelled,
                  (select sum(available_stock) from drop_sizes where drop_id = $2)::integer as "new_stock!"
           from reservations r
           join users u on u.id = r.user_id
           join drop_sizes s on s.id = r.size_id
           left join purchases p on p.reservation_id = r.id
           where r.user_id = $1 and r.drop_id = $2 and ($3::bigint is null or r.id = $3) and r.status <> 'active'
           order by r.id desc limit 1"#,
        user_id,
        drop_id,
        reservation_id
    );
    let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
    let row = with_timeout(row.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    let row = row.ok_or(DropError::NoActiveReservation)?;
    let (reservation_id, price_cents, size) = (row.id, row.price_cents, row.size);
    let purchase = row.purchase_id.zip(row.bought_at).map(|(id, bought_at)| {
        let (size, created_at) = (size.clone(), bought_at.into());
        let purchase = Purchase { id, drop_id, user_id, reservation_id, size, price_cents, created_at };
        (purchase, User { id: user_id, username: row.username })
    });
    let reservation = Reservation {
        id: reservation_id,
        drop_id,
        user_id,
        size,
        price_cents,
        status: row.status,
        expires_at: row.expires_at.into(),
        created_at: row.created_at.into(),
    };
    Ok(Settled { reservation, purchase, is_cancelled: row.is_cancelled.unwrap_or(false), new_stock: row.new_stock })
}

impl Settled {
    /// The purchase that was made, or why there is none.
    pub(super) fn purchased(self) -> Result<Purchased, DropError> {
        match (self.purchase, self.reservation.status) {
            _ if self.is_cancelled => Err(DropError::PurchaseCancelled),
            (Some((purchase, purchaser)), _) => Ok(Purchased { purchase, new_stock: self.new_stock, purchaser }),
            (None, ReservationStatus::Expired) => Err(DropError::ReservationExpired),
            (None, _) => Err(DropError::NoActiveReservation),
        }
    }

    /// The reservation, if its pair went back to stock.
    pub(super) fn released(self) -> Result<Released, DropError> {
        match self.reservation.status {
            ReservationStatus::Completed => Err(DropError::NoActiveReservation),
            _ => Ok(Released { reservation: self.reservation, new_stock: self.new_stock }),
        }
    }
}
