//! What requests, jobs and sockets share.

use super::{
    auth::{admin::AdminAccess, session::SessionKey},
    catalog::Catalog,
    clock::DatabaseClock,
    config::Config,
    database::{Pool, error::with_timeout, guard::PoolGuard},
    http::api::listing::ListingCache,
    inventory::Inventory,
    package::Package,
    realtime::{broadcast::Broadcast, socket_io::SocketIo},
};
use leptos::config::{LeptosOptions, get_configuration};
use std::{error::Error, ops::Deref, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A handle on the node. A clone is one reference count, which matters because each request makes several.
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
    pub config: Config,
    pub session_key: SessionKey,
    /// If there is an admin token.
    pub admin_access: Option<AdminAccess>,
    pub pool: Pool,
    pub clock: Arc<DatabaseClock>,
    pub catalog: Arc<Catalog>,
    pub inventory: Inventory,
    pub broadcast: Arc<Broadcast>,
    pub socket_io: Option<Arc<SocketIo>>,
    pub listing: ListingCache,
    /// Where the compiled page is.
    pub leptos: LeptosOptions,
    pub package: Package,
    /// Cancelled when the process is told to stop.
    pub shutdown: CancellationToken,
    /// Jobs, sockets and transactions, which a stop waits for.
    pub tasks: TaskTracker,
}

impl AppState {
    /// Loads the catalog from a database whose schema is current.
    pub async fn load(config: Config, pool: Pool) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (clock, catalog) = (Arc::new(DatabaseClock::default()), Arc::new(Catalog::default()));
        catalog.reconcile(&pool, &clock).await?;
        if !catalog.knows_server() {
            tracing::warn!(
                "the database's role may not call pg_control_system() and pg_current_wal_lsn(): a database that was \
                 restored or failed over is recognised only by drops whose versions are lower"
            );
        }
        // Every snapshot has what was just loaded, so there is nothing to send.
        catalog.flush(clock.now());
        let mut connection = PoolGuard::acquire(&pool).await?;
        let session_key = with_timeout(SessionKey::load(&config.session_key, &mut *connection)).await?;
        connection.put_back();
        let admin_access = config.admin_token.as_deref().map(|token| AdminAccess::new(token, &session_key));
        let tasks = TaskTracker::new();
        let leptos = get_configuration(None)?.leptos_options;
        let package = Package::load(&leptos);
        let broadcast = Arc::new(Broadcast::new(package.build.clone()));
        let socket_io = config.has_socket_io.then(|| Arc::new(SocketIo::new(catalog.clone(), clock.clone())));
        let inventory = Inventory::new(
            config.strategy,
            config.reservation_ttl,
            pool.clone(),
            clock.clone(),
            catalog.clone(),
            Box::new({
                let broadcast = broadcast.clone();
                move |notifications| broadcast.notify(notifications)
            }),
            tasks.clone(),
        );
        Ok(Self(Arc::new(Shared {
            package,
            leptos,
            session_key,
            admin_access,
            config,
            pool,
            clock,
            catalog,
            inventory,
            broadcast,
            socket_io,
            listing: ListingCache::default(),
            shutdown: CancellationToken::new(),
            tasks,
        })))
    }
}
