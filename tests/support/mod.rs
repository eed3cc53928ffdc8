//! What the tests share. Each test starts a [`Node`] on its own port and database, calls it through its [`Api`], and
//! compares with what the database has stored.

mod answer;
mod api;
mod browser;
mod concurrency;
mod desk;
mod drops;
mod gate;
mod invariants;
mod locks;
mod node;
mod people;
mod pgbouncer;
mod proxy;
mod reservations;
mod server_exit;
mod server_process;
mod stock;
mod subscriber;
mod wait;

pub(crate) use answer::{Answer, count_status, id_of, send};
pub(crate) use api::{ADMIN_TOKEN, Api, build_client};
pub(crate) use browser::Browser;
pub(crate) use concurrency::{Action, concurrently, join_calls, spawn_call, spawn_single_reserve};
pub(crate) use desk::{Desk, try_to_sign_in};
pub(crate) use drops::{end_every_drop, new_drop, set_sale_window};
pub(crate) use gate::Gate;
pub(crate) use invariants::assert_invariants;
pub(crate) use locks::{count_waits, lock_drop, transactions_waiting_for_a_lock, until_a_transaction_waits_for_a_lock};
pub(crate) use node::{Node, Settings};
pub(crate) use people::{Person, SESSION_KEY, create_people, identity_of, session_token};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use proxy::{Proxy, ProxyMode};
pub(crate) use reservations::{expire_now, insert_expired_reservations, status_of, until_nothing_is_held};
pub(crate) use server_exit::output_of_failed_start;
pub(crate) use server_process::ServerProcess;
pub(crate) use stock::{query_number, shown_stock, stored_stock};
pub(crate) use subscriber::{Subscriber, open_websocket};
pub(crate) use wait::{DEADLINE, soon, until};
