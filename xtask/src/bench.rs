//! `cargo xtask bench` and `cargo xtask limits`: builds hallows and the load generator in release, and lets the latter run.
//!
//! The load generator is a program of its own, since a task of this package is built without optimisation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Arguments of the task; all go to the load generator, so that its help is the task's help.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// For example `--cells one-in-flight --repeats 5 --against kafka`, or `--only partitions`; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// `cargo xtask bench`.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    run_verb("run", arguments)
}

/// `cargo xtask limits`.
pub(crate) fn run_limits(arguments: Arguments) -> Result<()> {
    run_verb("limits", arguments)
}

fn run_verb(verb: &str, arguments: Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a folder of the workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root)
        .args([
            "build",
            "--release",
            "--package",
            "hallows-server",
            "--package",
            "hallows-bench",
        ])
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let release = root.join(&target).join("release");
    let status = Command::new(release.join("hallows-bench"))
        .current_dir(root)
        .arg(verb)
        .arg("--hallows")
        .arg(release.join("hallows"))
        .arg("--data")
        .arg(root.join(&target).join("bench"))
        .arg("--cache")
        .arg(root.join(&target).join("bench-cache"))
        .args(arguments.rest)
        .status()
        .context("cannot run the load generator")?;
    ensure!(status.success(), "the load generator failed");
    Ok(())
}
