//! One connection to one broker: requests out, answers in, in order.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallows_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use hallows_protocol::{ApiKey, ErrorCode, Reader, Request, Response, Writer, frame};

use crate::error::check;
use crate::{ClientError, Result};

/// The largest answer that is read; a longer one is taken for garbage.
const ANSWER_BYTES_MAX: u32 = 512 << 20;
/// The most that is allocated for an answer before its bytes have come.
const ANSWER_BYTES_FIRST: usize = 1 << 20;
/// Before the broker's versions are known, ApiVersions is asked at this one; a broker that does not know it says so.
const API_VERSIONS_VERSION: i16 = 3;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// How the client calls itself.
    pub client_id: String,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: "hallows".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// A request that was sent; answers come in the order of their requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Ticket {
    correlation_id: i32,
    version: i16,
}

/// A connection and the versions its broker offers.
pub struct Connection {
    address: String,
    stream: TcpStream,
    options: ConnectionOptions,
    /// Oldest and newest version by API.
    versions: BTreeMap<ApiKey, (i16, i16)>,
    next_correlation_id: i32,
}

impl Connection {
    /// Connects to `host:port` and learns the broker's versions.
    ///
    /// # Errors
    /// [`ClientError::Connect`], and those of [`Connection::call`].
    pub fn open(address: &str, options: &ConnectionOptions) -> Result<Self> {
        let stream = connect(address, options.connect_timeout).map_err(|source| ClientError::Connect {
            address: address.to_owned(),
            source,
        })?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            options: options.clone(),
            versions: BTreeMap::new(),
            next_correlation_id: 0,
        };
        connection.learn_versions()?;
        Ok(connection)
    }

    /// The address it was opened with.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The newest version of a request that both sides know, `newest` at most.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] when there is none.
    pub fn version_of<R: Request>(&self, newest: i16) -> Result<i16> {
        let ours = R::KEY.versions();
        let common = self.versions.get(&R::KEY).and_then(|(oldest, offered)| {
            let version = (*offered).min(ours.max_stable).min(newest);
            (version >= ours.min.max(*oldest)).then_some(version)
        });
        common.ok_or_else(|| ClientError::Unsupported {
            address: self.address.clone(),
            api: R::KEY.name(),
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Everything but [`ClientError::Broker`]: what the answer says is for the caller to judge.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let ticket = self.send(request, version)?;
        self.receive(ticket)
    }

    /// Sends a request without waiting.
    ///
    /// # Errors
    /// [`ClientError::Encode`], [`ClientError::Connection`], [`ClientError::TimedOut`].
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<Ticket> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let mut writer = Writer::new();
        let client_id = Some(self.options.client_id.as_str());
        frame::encode_request(&mut writer, version, correlation_id, client_id, request)?;
        let written = self.stream.write_all(writer.as_slice());
        written.map_err(|source| self.failed(source))?;
        Ok(Ticket {
            correlation_id,
            version,
        })
    }

    /// Waits for the answer to the oldest request that has not had its answer yet.
    ///
    /// # Errors
    /// Those of the connection, [`ClientError::Decode`] and [`ClientError::OutOfOrder`].
    pub fn receive<R: Response>(&mut self, ticket: Ticket) -> Result<R> {
        let bytes = self.receive_frame().map_err(|source| self.failed(source))?;
        // A broker that does not know the version of ApiVersions answers at version 0.
        let decoded = decode::<R>(&bytes, ticket.version).or_else(|error| match R::KEY {
            ApiKey::ApiVersions => decode::<R>(&bytes, 0),
            _ => Err(error),
        });
        let (answered, response) = decoded.map_err(|source| ClientError::Decode {
            address: self.address.clone(),
            source,
        })?;
        if answered == ticket.correlation_id {
            Ok(response)
        } else {
            Err(ClientError::OutOfOrder {
                address: self.address.clone(),
                expected: ticket.correlation_id,
                answered,
            })
        }
    }

    /// Lets answers take up to `timeout` from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.options.request_timeout = timeout;
    }

    /// The oldest and newest version that the broker offers, by API; APIs that this client does not know are left out.
    #[must_use]
    pub fn offered(&self) -> &BTreeMap<ApiKey, (i16, i16)> {
        &self.versions
    }

    fn learn_versions(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: "hallows",
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        let mut answer: ApiVersionsResponse = self.call(&request, API_VERSIONS_VERSION)?;
        if answer.error_code == ErrorCode::UNSUPPORTED_VERSION {
            answer = self.call(&request, 0)?;
        }
        check("ApiVersions", answer.error_code, None, || self.address.clone())?;
        let known = answer.api_keys.iter().filter_map(|api| {
            let key = ApiKey::from_number(api.api_key)?;
            Some((key, (api.min_version, api.max_version)))
        });
        self.versions = known.collect();
        Ok(())
    }

    fn receive_frame(&mut self) -> io::Result<Bytes> {
        let deadline = Instant::now() + self.options.request_timeout;
        let mut length = [0; 4];
        self.read_exact_by(&mut length, deadline)?;
        let length = u32::from_be_bytes(length);
        if length > ANSWER_BYTES_MAX {
            let what = format!("an answer of {length} bytes; is this a Kafka port?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // Memory grows with bytes received, not with bytes promised.
        let mut answer = vec![0; length.min(ANSWER_BYTES_FIRST)];
        let mut filled = 0;
        loop {
            self.read_exact_by(&mut answer[filled..], deadline)?;
            filled = answer.len();
            if filled == length {
                return Ok(answer.into());
            }
            answer.resize(length.min(filled * 2), 0);
        }
    }

    fn read_exact_by(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed it")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> ClientError {
        let address = self.address.clone();
        match source.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ClientError::TimedOut {
                address,
                waited: self.options.request_timeout,
            },
            _ => ClientError::Connection { address, source },
        }
    }
}

fn decode<R: Response>(bytes: &Bytes, version: i16) -> std::result::Result<(i32, R), hallows_protocol::DecodeError> {
    let mut reader = Reader::shared(bytes);
    let (header, response) = frame::decode_response::<R>(&mut reader, version)?;
    Ok((header.correlation_id, response))
}

fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
