//! `hallows.format`: that this is a data directory, in which format, and whose.

use std::io;

use bytes::Bytes;
use hallows_runtime::{Disk, DiskOp};

use super::{cannot, read_file};
use crate::codec::{FormatError, Kind, Reader, Writer, seal, unseal};
use crate::error::{Damage, OpenError};
use crate::settings::Identity;

/// The newest format of a data directory that this build reads, and the one it writes.
const FORMAT: u32 = 1;
pub(super) const PATH: &str = "hallows.format";
const KIND: Kind = Kind {
    what: "a data directory",
    magic: *b"HALLOWS\0",
    version: FORMAT,
};
/// Bytes inside the envelope.
const BODY_BYTES: usize = 16 + 4;

/// What was found or made.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) fresh: bool,
}

/// Reads the file, or writes it if the directory holds no data yet.
pub(super) fn open(disk: &dyn Disk, identity: impl FnOnce() -> Identity) -> Result<Opened, OpenError> {
    if let Some(identity) = read(disk)? {
        return Ok(Opened { identity, fresh: false });
    }
    refuse_foreign(disk)?;
    let identity = identity();
    let op = DiskOp::Replace {
        path: PATH.to_owned(),
        data: Bytes::from(encode(&identity)),
    };
    op.perform(disk).map_err(|source| cannot("write", PATH, source))?;
    Ok(Opened { identity, fresh: true })
}

/// Whose directory it is; `None` before the first start.
pub(super) fn read(disk: &dyn Disk) -> Result<Option<Identity>, OpenError> {
    match read_file(disk, PATH) {
        Ok(data) => decode(&data).map(Some).map_err(explain),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(cannot("read", PATH, source)),
    }
}

/// What Apache Kafka leaves in each of its directories.
const OF_KAFKA: &[&str] = &[
    "meta.properties",
    "bootstrap.checkpoint",
    ".kafka_cleanshutdown",
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    "cleaner-offset-checkpoint",
    "__cluster_metadata-0",
];

/// Data without its format file is not a fresh directory, and neither is one of Apache Kafka's.
fn refuse_foreign(disk: &dyn Disk) -> Result<(), OpenError> {
    let entries = disk.list("").map_err(|source| cannot("list", ".", source))?;
    if let Some(entry) = entries.iter().find(|entry| OF_KAFKA.contains(&entry.name.as_str())) {
        return Err(OpenError::Foreign {
            found: entry.name.clone(),
        });
    }
    let data = entries
        .iter()
        .find(|entry| matches!(entry.name.as_str(), "segments" | "partitions" | "journals"));
    match data {
        None => Ok(()),
        Some(entry) => Err(OpenError::Damaged(Damage {
            path: PATH.to_owned(),
            position: 0,
            what: format!("the file is missing although there is data in {}", entry.name),
            advice: "Restore it from a copy, or point log.dirs at an empty directory",
            partition: None,
        })),
    }
}

fn explain(error: FormatError) -> OpenError {
    match error {
        FormatError::Version { found, known } => OpenError::NewerFormat { found, known },
        other => OpenError::Damaged(Damage {
            path: PATH.to_owned(),
            position: 0,
            what: format!("the file {other}"),
            advice: "Restore it from a copy, or point log.dirs at an empty directory",
            partition: None,
        }),
    }
}

fn encode(identity: &Identity) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(&identity.cluster_id);
    writer.i32(identity.node_id);
    assert_eq!(writer.0.len(), BODY_BYTES);
    seal(&KIND, &writer.0)
}

/// Reads the file.
///
/// # Errors
/// [`FormatError`] for anything but what was written.
pub fn decode(data: &[u8]) -> Result<Identity, FormatError> {
    let mut reader = Reader(unseal(&KIND, data)?);
    let identity = Identity {
        cluster_id: reader.array()?,
        node_id: reader.i32()?,
    };
    if reader.is_empty() {
        Ok(identity)
    } else {
        Err(FormatError::Invalid { what: "length" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let identity = Identity {
            cluster_id: [5; 16],
            node_id: 3,
        };
        let data = encode(&identity);
        assert_eq!(decode(&data), Ok(identity));
        assert!(decode(&data[..20]).is_err());
    }

    #[test]
    fn a_newer_format_says_what_to_do() {
        let data = seal(&Kind { version: 4, ..KIND }, &[0; BODY_BYTES]);
        let error = explain(decode(&data).expect_err("newer"));
        assert_eq!(
            error.to_string(),
            "cannot start: the data directory uses format 4, this build reads formats 1 to 1. \
             Run a newer release, or point log.dirs at an empty directory"
        );
    }
}
