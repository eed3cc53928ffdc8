//! From the catalog to ten thousand sockets.

pub(crate) mod broadcast;
mod connection;
mod encoded_events;
pub(crate) mod socket;
pub(crate) mod socket_io;
