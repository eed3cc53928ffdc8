//! Everything that HTTP requests enter through: pages, server functions, the REST API, health checks.

pub(crate) mod api;
pub(crate) mod assets;
mod body_limit;
pub(crate) mod context;
mod document;
pub(crate) mod health;
pub(crate) mod pages;
pub(crate) mod security;
pub(crate) mod server_functions;
