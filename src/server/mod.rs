//! Everything that runs only on the server, and how a node starts and stops.

pub mod auth;
pub mod board;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod database;
pub(crate) mod http;
pub mod identity;
pub mod inventory;
pub mod jobs;
mod listen;
pub mod package;
mod realtime;
mod router;
mod seed;
pub mod state;
mod visible_text;
mod whole_number;

use config::Config;
use router::router;
use state::AppState;
use std::{error::Error, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Runs a node until the process gets SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), Box<dyn Error + Send + Sync>> {
    listen::raise_descriptor_limit();
    database::migrate::migrate(&config.database).await?;
    let pool = database::Pool::new(config.database.clone(), inventory::PREPARED);
    let (listen, seed) = (config.listen, config.seed);
    let state = AppState::load(config, pool.clone()).await?;
    if seed {
        seed::seed(&state).await?;
    }
    jobs::spawn(&state);
    let listener = TcpListener::bind(listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);

    let shutdown = state.shutdown.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests in flight finish, sockets are closed");
        shutdown.cancel();
    });
    serve(listener, state).await;
    pool.close();
    Ok(())
}

/// Serves until the shutdown, then finishes requests in flight and closes the sockets.
pub async fn serve(listener: TcpListener, state: AppState) {
    let (shutdown, tasks) = (state.shutdown.clone(), state.tasks.clone());
    let stopped = async {
        listen::listen(listener, router(state.clone()), &state).await;
        tasks.close();
        tasks.wait().await;
    };
    let deadline = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        () = stopped => {}
        () = deadline => tracing::warn!("some requests did not finish in time"),
    }
}

/// How long a stop waits for requests in flight and for sockets to close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
