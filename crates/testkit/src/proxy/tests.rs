//! A broker that answers every frame with itself, and clients on the other side of the proxy.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Direction, Proxy, Weather};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a test waits for what must not come.
const QUIET: Duration = Duration::from_millis(100);

/// Sends back all bytes of all connections.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let mut other = stream.try_clone().expect("a second handle");
                let _ = std::io::copy(&mut stream, &mut other);
            });
        }
    });
    address
}

fn proxy(weather: Weather) -> Proxy {
    let proxy = Proxy::start(7).expect("a proxy");
    proxy.forward_to(echo());
    proxy.set(weather);
    proxy
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

fn frame(size: u8) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, size];
    frame.extend((0..size).rev());
    frame
}

fn read(stream: &mut TcpStream, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).expect("the echo");
    bytes
}

/// Everything until the connection ends, however it ends.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(size @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..size]);
    }
    all
}

fn is_quiet(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(QUIET)).expect("not zero");
    let read = stream.read(&mut [0; 1]);
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn in_fair_weather_bytes_pass() {
    let proxy = proxy(Weather::Fair);
    let mut client = connect(&proxy);
    client.write_all(&frame(9)).expect("a socket");
    assert_eq!(read(&mut client, 13), frame(9));
    assert_eq!(proxy.struck(), super::Struck::default());
}

#[test]
fn a_connection_is_cut_inside_a_frame() {
    let proxy = proxy(Weather::Cut { after_bytes_max: 200 });
    for _ in 0..20 {
        let mut client = connect(&proxy);
        // The write may fail at its end: the cut has come.
        let _ = client.write_all(&frame(60).repeat(20));
        let got = read_to_end(&mut client);
        assert!(got.len() < 64 * 20, "the connection was not cut");
    }
    // Some are cut on the way to the broker, some on the way back; each counts once at least.
    assert!(proxy.struck().cut >= 20, "{:?}", proxy.struck());
}

#[test]
fn answers_that_are_cut_are_not_whole() {
    let proxy = proxy(Weather::Fair);
    for _ in 0..20 {
        let mut client = connect(&proxy);
        client.write_all(&frame(9)).expect("a socket");
        assert_eq!(read(&mut client, 13), frame(9));
        proxy.set(Weather::Cut { after_bytes_max: 9 });
        // Of 13 bytes 8 pass to the broker; of these 8 it returns at most 7.
        client.write_all(&frame(9)).expect("a socket");
        assert!(read_to_end(&mut client).len() < 13);
        proxy.set(Weather::Fair);
    }
}

#[test]
fn a_stalled_direction_holds_bytes_back_and_lets_them_go() {
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let proxy = proxy(Weather::Stall(direction));
        let mut client = connect(&proxy);
        client.write_all(&frame(5)).expect("a socket");
        assert!(is_quiet(&mut client));
        proxy.set(Weather::Fair);
        assert_eq!(read(&mut client, 9), frame(5));
        let struck = proxy.struck();
        let of_direction = match direction {
            Direction::ToBroker => (1, 0),
            Direction::ToClient => (0, 1),
        };
        assert_eq!((struck.stalled_to_broker, struck.stalled_to_client), of_direction);
    }
}

#[test]
fn delayed_bytes_come() {
    let proxy = proxy(Weather::Delay(Duration::from_millis(20)));
    let mut client = connect(&proxy);
    client.write_all(&frame(5)).expect("a socket");
    assert_eq!(read(&mut client, 9), frame(5));
    assert!(proxy.struck().delayed >= 2);
}

#[test]
fn refused_connections_end_the_open_ones_too() {
    let proxy = proxy(Weather::Fair);
    let mut open = connect(&proxy);
    open.write_all(&frame(5)).expect("a socket");
    assert_eq!(read(&mut open, 9), frame(5));
    proxy.set(Weather::Refuse);
    assert!(read_to_end(&mut open).is_empty());
    assert!(read_to_end(&mut connect(&proxy)).is_empty());
    assert!(proxy.struck().refused >= 2);
    proxy.set(Weather::Fair);
    let mut later = connect(&proxy);
    later.write_all(&frame(5)).expect("a socket");
    assert_eq!(read(&mut later, 9), frame(5));
}
