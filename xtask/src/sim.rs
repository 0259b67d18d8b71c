//! `cargo xtask sim`: builds the simulation in release, with the switches that break promises, and lets it run.
//! `--switches` breaks every promise in turn; `--sabotage NAME` breaks one.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Arguments of the task; all go to the simulation, so that its help is the task's help.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// For example `--seeds 200`, or `--seed 7 --sabotage acknowledge-before-sync`; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a folder of the workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["run", "--quiet", "--release", "--package", "hallows-sim"])
        .args(["--features", "sabotage", "--"])
        .args(arguments.rest)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        // The simulation has said what is wrong.
        std::process::exit(1);
    }
    Ok(())
}
