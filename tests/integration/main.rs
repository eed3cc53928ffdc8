//! Tests of the server over HTTP and WebSocket, on a real PostgreSQL. `#[sqlx::test]` gives each test a migrated
//! database of its own.

mod admin_drop_forms;
mod admin_drops;
mod admin_log;
mod admin_purchases;
mod admin_sessions;
mod batching;
mod board;
mod calendar;
mod configuration;
mod constraints;
mod crashes;
mod database_faults;
mod drop_list;
mod drops;
mod edits;
mod edits_while_selling;
mod expiry;
mod exports;
mod failed_transactions;
mod health;
mod history;
mod http_connections;
mod migrations;
mod pages;
mod pgbouncer;
mod proof;
mod purchases;
mod realtime_connections;
mod realtime_events;
mod releases;
mod replaced_systems;
mod request_parsing;
mod reservations;
mod restores;
mod sale_window;
mod server_functions;
mod sessions;
mod snapshot;
mod socket_io;
mod sold_out;
mod steering;
mod stock;
mod users;
mod wire_format;

#[path = "../support/mod.rs"]
mod support;
