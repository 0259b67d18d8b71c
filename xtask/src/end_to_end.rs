//! What the tasks with real processes share: build the broker and the tests in release, let the tests run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Arguments of such a task; all go to the tests' program, so that its help is the task's help.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Builds, then runs one task of `hallows-end-to-end`.
pub(crate) fn run(task: &str, arguments: Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a folder of the workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--release", "--package", "hallows-server"])
        .args(["--package", "hallows-end-to-end"])
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = root.join(target);
    let status = Command::new(target.join("release").join("hallows-end-to-end"))
        .current_dir(root)
        .arg(task)
        .args(arguments.rest)
        // Where installed clients and unpacked inputs are kept between runs.
        .env("CLIENTS_DIRECTORY", target.join("clients"))
        .status()
        .context("cannot run the tests")?;
    ensure!(status.success(), "cargo xtask {task} failed");
    Ok(())
}
