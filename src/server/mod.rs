//! Everything that runs only on the server: what it is made of, how it starts and how it stops.

pub mod broadcast;
pub mod catalog;
pub mod config;
pub mod database;
pub mod inventory;
pub mod listing;
pub mod session;

pub(crate) mod accounts;

mod connection;
mod document;
mod expiry;
pub(crate) mod pages;
mod rest;
mod seed;
mod socket;

use crate::domain::error::{DropError, Missing};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{any, get},
    serve::ListenerExt,
};
use broadcast::Broadcast;
use catalog::Catalog;
use config::Config;
use database::{PoolGuard, WarmConnections};
use expiry::ExpiryTimer;
use inventory::Combiner;
use leptos::config::{LeptosOptions, get_configuration};
use listing::ListingCache;
use serde_json::json;
use session::SessionKey;
use sqlx::{Connection, PgConnection, PgPool, migrate::MigrateError, postgres::PgConnectOptions};
use std::{
    error::Error,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};

/// How often the catalog asks the database for what it did not see itself; half of the second in which every screen
/// must be right again.
const RECONCILE_INTERVAL: Duration = Duration::from_millis(500);

/// How long that may take.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the log tells how large batches were.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a stop waits for requests in flight and for sockets to close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a start waits for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// What every request shares. A clone is one counter, which matters where each request makes several.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The parts of [`AppState`].
pub struct Shared {
    /// What the process was told from outside.
    pub config: Config,
    /// Signs sessions.
    pub session_key: SessionKey,
    /// Connections to PostgreSQL, the single source of truth.
    pub pool: PgPool,
    /// Those of them that transactions just ran on.
    pub(crate) warm: WarmConnections,
    /// Every drop, in memory.
    pub catalog: Catalog,
    /// What `GET /api/drops` answers.
    pub listing: ListingCache,
    /// Where requests for the same drop meet.
    pub combiner: Combiner,
    /// The way to the sockets.
    pub broadcast: Broadcast,
    /// Wakes the sweeper.
    pub expiry: ExpiryTimer,
    /// Where the pages' files are.
    pub leptos: LeptosOptions,
    /// Cancelled when the process is told to stop.
    pub shutdown: CancellationToken,
    /// The sockets that a stop waits for.
    pub tasks: TaskTracker,
}

impl AppState {
    /// Loads the catalog from a database whose schema is current.
    pub async fn load(config: Config, pool: PgPool) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let catalog = Catalog::default();
        catalog.reconcile(&pool).await?;
        // What it is loaded with is in every snapshot.
        catalog.flush();
        Ok(Self(Arc::new(Shared {
            session_key: SessionKey::load(&config.session_key, &pool).await?,
            combiner: Combiner::new(config.strategy),
            warm: WarmConnections::new(config.strategy.transactions()),
            config,
            pool,
            catalog,
            listing: ListingCache::default(),
            broadcast: Broadcast::default(),
            expiry: ExpiryTimer::default(),
            leptos: get_configuration(None)?.leptos_options,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Starts what runs beside requests, until the shutdown: the broadcast, the sweeper and the reconciliation.
    pub fn spawn_jobs(&self) {
        self.tasks.spawn(broadcast::run(self.clone()));
        self.tasks.spawn(expiry::run(self.clone()));
        self.tasks.spawn(reconcile(self.clone()));
        self.tasks.spawn(report(self.clone()));
    }
}

/// Runs the shop until the process is told to stop.
pub async fn run(config: Config) -> Result<(), Box<dyn Error + Send + Sync>> {
    migrate(&config.database).await?;
    let pool = database::pool(config.database.clone());
    let (listen, seed) = (config.listen, config.seed);
    let state = AppState::load(config, pool.clone()).await?;
    if seed {
        seed::seed(&state).await?;
    }
    state.spawn_jobs();
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
    // A database that went silent does not keep us from stopping.
    let _ = timeout(Duration::from_secs(2), pool.close()).await;
    Ok(())
}

/// Serves until the shutdown, then lets requests in flight finish and closes the sockets.
pub async fn serve(listener: TcpListener, state: AppState) {
    let (shutdown, tasks) = (state.shutdown.clone(), state.tasks.clone());
    let stopping = state.clone();
    // A frame does not wait until the page has acknowledged the one before. A socket that cannot be told so works all the same.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, router(state)).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let stopped = async {
        if let Err(error) = server.await {
            tracing::error!(%error, "the listener failed");
            shutdown.cancel();
        }
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
    stopping.warm.clear();
}

/// Every route.
pub fn router(state: AppState) -> Router {
    Router::new()
        .nest("/api", rest::routes())
        .route("/api/", any(async || DropError::NotFound(Missing::Path)))
        .route("/ws", get(socket::upgrade))
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(readiness))
        .merge(pages::routes(&state))
        .layer(from_fn(guard))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_| DropError::Internal.into_response()))
        .with_state(state)
}

/// Whether this node can sell.
async fn readiness(State(state): State<AppState>) -> Result<Json<serde_json::Value>, DropError> {
    let question = async {
        let mut connection = PoolGuard::acquire(&state.pool).await?;
        sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&mut *connection).await?;
        connection.put_back();
        Ok::<_, sqlx::Error>(())
    };
    match timeout(Duration::from_secs(2), question).await {
        Ok(Ok(())) => Ok(Json(json!({ "status": "ready" }))),
        _ => Err(DropError::Unavailable),
    }
}

/// Refuses what another site's page sends in a visitor's name, and adds the headers that every response has.
async fn guard(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_https = session::is_https(request.headers());
    let mut response = if is_read || session::is_same_origin(request.headers()) {
        next.run(request).await
    } else {
        DropError::Forbidden.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("permissions-policy", HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Waits for the database and brings its schema up to date. Several nodes may do so at once: a lock in the database
/// lets one after the other.
async fn migrate(database: &PgConnectOptions) -> Result<(), Box<dyn Error + Send + Sync>> {
    let attempt = async || sqlx::migrate!().run(&mut PgConnection::connect_with(database).await?).await;
    let migrated = async {
        let mut retry = interval(Duration::from_secs(1));
        loop {
            retry.tick().await;
            match attempt().await {
                Err(MigrateError::Execute(error)) if database::is_transient(&error) => {
                    tracing::warn!(%error, "waiting for the database");
                }
                outcome => return outcome,
            }
        }
    };
    match timeout(DATABASE_TIMEOUT, migrated).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(format!("the database did not answer within {} s", DATABASE_TIMEOUT.as_secs()).into()),
    }
}

async fn reconcile(state: AppState) {
    let mut ticks = interval(RECONCILE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while state.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        state.warm.put_back_idle();
        let asked = Instant::now();
        // The log has the cause of an error; the next tick tries again, and a line that went silent is left behind.
        if let Ok(Ok(surprised)) = timeout(RECONCILE_TIMEOUT, state.catalog.reconcile(&state.pool)).await {
            state.catalog.trust(asked);
            surprised.into_iter().for_each(|user_id| state.broadcast.resync_user(user_id));
        }
    }
}

async fn report(state: AppState) {
    let mut ticks = interval(REPORT_INTERVAL);
    while state.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let batch_sizes = state.combiner.take_batch_sizes();
        if !batch_sizes.is_empty() {
            tracing::info!(batch_sizes, waiting = state.combiner.waiting(), "orders in a batch, and how often");
        }
    }
}
