//! A TCP proxy in front of the database, whose connections a test can break and restore.

use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A running proxy. Its connections end when it is dropped.
pub(crate) struct Proxy {
    /// The options of the database, with the proxy's address.
    connect_options: PgConnectOptions,
    mode: watch::Sender<ProxyMode>,
    acceptor: JoinHandle<()>,
}

/// What a [`Proxy`] does with its connections, existing and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyMode {
    Forwarding,
    /// Resets them, as a machine does on which no database is running.
    Reset,
    /// Accepts and closes them, as a load balancer does whose database is unreachable.
    Closed,
    /// Keeps them open and forwards nothing, as when a cable is unplugged. These connections never forward again.
    Silent,
}

impl Proxy {
    pub(crate) async fn start(db: &PgPool) -> Self {
        let options = (*db.connect_options()).clone();
        let upstream = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (mode, mode_receiver) = watch::channel(ProxyMode::Forwarding);
        let acceptor = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("the listener stays open");
                tokio::spawn(forward(client, upstream.clone(), mode_receiver.clone()));
            }
        });
        let connect_options = options.host(&address.ip().to_string()).port(address.port());
        Self { connect_options, mode, acceptor }
    }

    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        self.connect_options.clone()
    }

    pub(crate) fn set_mode(&self, mode: ProxyMode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Forwards one connection until it ends or the mode changes, then ends it as the new mode demands.
async fn forward(mut client: TcpStream, upstream: (String, u16), mut mode: watch::Receiver<ProxyMode>) {
    let mut server = None;
    if *mode.borrow_and_update() == ProxyMode::Forwarding {
        let Ok(stream) = TcpStream::connect(upstream).await else { return };
        let server = server.insert(stream);
        tokio::select! {
            biased;
            _ = mode.changed() => {}
            _ = copy_bidirectional(&mut client, server) => return,
        }
    }
    let current_mode = *mode.borrow();
    match current_mode {
        // Both sockets stay open and unread until the proxy is dropped.
        ProxyMode::Silent => while mode.changed().await.is_ok() {},
        ProxyMode::Reset => client.set_zero_linger().expect("a TCP socket has this option"),
        ProxyMode::Forwarding | ProxyMode::Closed => {}
    }
}
