//! Opening the listeners.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use anyhow::anyhow;
use hallows_cli::serve::Bound;
use hallows_cli::{Exit, Failure};
use hallows_config::{BrokerConfig, Listener};
use socket2::{Domain, Protocol, Socket, Type};

/// Opens every listener of the configuration; from here on the kernel queues connections until shards take them.
pub(crate) fn open(config: &BrokerConfig) -> Result<(Vec<TcpListener>, Vec<Bound>), Failure> {
    let mut sockets = Vec::new();
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let socket = open_one(listener, config.listen_backlog).map_err(|error| refused(listener, &error))?;
        let port = socket.local_addr()?.port();
        bound.push(Bound {
            listener: listener.clone(),
            port,
        });
        sockets.push(socket);
    }
    Ok((sockets, bound))
}

fn refused(listener: &Listener, error: &io::Error) -> Failure {
    let name = &listener.name;
    let message = anyhow!(
        "cannot start: listening on {listener} failed: {error}. Stop what listens there already, or choose an address of \
         this machine and a free port with --listeners {name}://HOST:PORT (port 0 takes any free one)"
    );
    Failure::new(Exit::Network, message)
}

/// Binds to the first address of the host that works; no host is every interface, by either protocol where possible.
fn open_one(listener: &Listener, backlog: u32) -> io::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = match &listener.host {
        Some(host) => (host.as_str(), listener.port).to_socket_addrs()?.collect(),
        None => vec![([0_u16; 8], listener.port).into(), ([0_u8; 4], listener.port).into()],
    };
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match bind(address, listener.host.is_none(), backlog) {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn bind(address: SocketAddr, every_interface: bool, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && every_interface {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}
