//! From the catalog to ten thousand sockets.

pub(crate) mod broadcast;
mod connection;
mod encoded_events;
mod handshake;
pub(crate) mod socket;
pub(crate) mod socket_io;
mod websocket;
