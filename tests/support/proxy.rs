//! A way to the database that can be cut and restored.

use sqlx::{PgPool, postgres::PgConnectOptions};
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What happens to the connections of a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// They pass.
    Open,
    /// They are reset, and so are new ones, as when the database's machine is up and the database is not.
    Cut,
    /// They are closed, and so are new ones, as a balancer does whose database is away.
    Closed,
    /// They stay, and nothing passes any more, as when a cable is pulled. They are dead for good.
    Silent,
}

/// Listens where a shop may look for its database. Its connections end with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    accepts: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(db: &PgPool) -> Self {
        let options = db.connect_options();
        let upstream = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (line, state) = watch::channel(Line::Open);
        let accepts = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("the listener stays");
                tokio::spawn(forward(client, upstream.clone(), state.clone()));
            }
        });
        Self { address, line, accepts }
    }

    /// The options of `db`, by way of this proxy.
    pub(crate) fn options(&self, db: &PgPool) -> PgConnectOptions {
        (*db.connect_options()).clone().host(&self.address.ip().to_string()).port(self.address.port())
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn forward(mut client: TcpStream, upstream: (String, u16), mut line: watch::Receiver<Line>) {
    let mut server = None;
    if *line.borrow_and_update() == Line::Open {
        let Ok(stream) = TcpStream::connect(upstream).await else { return };
        let server = server.insert(stream);
        tokio::select! {
            biased;
            _ = line.changed() => {}
            _ = copy_bidirectional(&mut client, server) => return,
        }
    }
    let now = *line.borrow();
    match now {
        // Both sockets stay open, and unread, as long as the proxy.
        Line::Silent => while line.changed().await.is_ok() {},
        Line::Cut => client.set_zero_linger().expect("it is a TCP socket"),
        Line::Open | Line::Closed => {}
    }
}
