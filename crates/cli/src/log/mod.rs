//! `hallows log`: reading a data directory that no broker has open.

mod dump;
mod verify;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use hallows_runtime::production::RealDisk;
use hallows_storage::Seen;

use crate::cluster::Format;
use crate::{Exit, Failure};

/// What to do with a data directory.
#[derive(Subcommand, Debug)]
pub enum LogVerb {
    /// Read every file and say what is wrong where.
    Verify(verify::VerifyArguments),
    /// Print what every file holds.
    Dump(dump::DumpArguments),
}

pub(crate) fn run(verb: &LogVerb) -> Result<Exit, Failure> {
    match verb {
        LogVerb::Verify(arguments) => verify::run(arguments),
        LogVerb::Dump(arguments) => dump::run(arguments),
    }
}

/// Which directory, and how results are written.
#[derive(Args, Clone, Debug)]
pub(crate) struct DirectoryArguments {
    /// The data directory; its broker must be stopped.
    #[arg(value_name = "DIRECTORY", default_value = "./hallows-data")]
    directory: PathBuf,
    /// How results are written.
    #[arg(long, value_enum, env = "HALLOWS_OUTPUT", hide_env_values = true, default_value_t = Format::Text)]
    output: Format,
}

impl DirectoryArguments {
    /// Reads everything and tells `seen`; no broker can start meanwhile.
    fn inspect(&self, seen: &mut dyn FnMut(Seen)) -> Result<(), Failure> {
        let fail = |error: anyhow::Error| Failure::new(Exit::DataDirectory, error);
        // Opening would make the directory, which is not what somebody wants who mistyped its name.
        if !self.directory.is_dir() {
            let directory = self.directory.display();
            return Err(fail(anyhow!(
                "cannot read the data directory {directory}: there is none. Give the one of `log.dirs`"
            )));
        }
        let disk = RealDisk::open(&self.directory).map_err(|error| fail(error.into()))?;
        hallows_storage::inspect(&disk, &hallows_broker::topics_deleted_by, seen).map_err(|error| fail(error.into()))
    }
}
