//! Everything that HTTP requests enter through: pages, the desk, server functions, the REST API, health checks.

mod accept;
pub(crate) mod address;
pub(crate) mod admin;
pub(crate) mod api;
pub(crate) mod assets;
pub(crate) mod calendar;
mod content;
pub(crate) mod context;
mod document;
mod etag;
mod exports;
pub(crate) mod health;
pub(crate) mod pages;
mod path;
mod query;
mod request_body;
pub(crate) mod security;
pub(crate) mod server_functions;
pub(crate) mod snapshot;
