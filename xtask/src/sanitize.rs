//! `cargo xtask sanitize`: the broker's tests with every memory access checked.
//!
//! AddressSanitizer sees each access of compiled code and what is never freed; it needs no nightly compiler, only the
//! word that its flag may be used. Valgrind sees the use of memory that was never written, in the tests of buffers that
//! are allocated by hand; it hides the kernel's page of functions, which rustix then looks for in vain, so no test that
//! touches the system can run there. Miri would see more, but has to be installed with the toolchain.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Crates whose tests run; `hallows-end-to-end` starts the instrumented broker.
const PACKAGES: &[&str] = &[
    "hallows-runtime",
    "hallows-record",
    "hallows-protocol",
    "hallows-net",
    "hallows-group-coordinator",
    "hallows-storage",
    "hallows-broker",
    "hallows-server",
    "hallows-end-to-end",
];

/// Runs the broker's tests under AddressSanitizer, and those of hand-made buffers under valgrind.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Under AddressSanitizer only the tests whose names contain this.
    #[arg(long)]
    only: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a folder of the workspace")?;
    under_address_sanitizer(root, arguments.only.as_deref())?;
    under_valgrind(root)
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

fn under_address_sanitizer(root: &Path, only: Option<&str>) -> Result<()> {
    println!("the broker's tests under AddressSanitizer");
    let mut test = cargo(root);
    test.args(["test", "--no-fail-fast", "--target", &host()?]);
    // The program's own allocator would hide its memory.
    test.arg("--no-default-features");
    test.args(["--target-dir", "target/sanitize"]);
    for package in PACKAGES {
        test.args(["--package", package]);
    }
    test.args(only)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address -Cforce-frame-pointers=yes");
    ensure!(
        test.status().context("cannot run cargo")?.success(),
        "a test failed under AddressSanitizer"
    );
    Ok(())
}

fn under_valgrind(root: &Path) -> Result<()> {
    println!("the tests of buffers allocated by hand under valgrind");
    let runner = "valgrind --quiet --error-exitcode=9 --fair-sched=yes";
    let name = format!("CARGO_TARGET_{}_RUNNER", host()?.to_uppercase().replace('-', "_"));
    let tested = cargo(root)
        .args(["test", "--package", "hallows-runtime", "--lib", "disk::aligned"])
        .env(name, runner)
        .status()
        .context("cannot run cargo")?;
    ensure!(
        tested.success(),
        "a test failed under valgrind (Debian's package `valgrind` is needed)"
    );
    Ok(())
}

/// The triple of the compiler's own machine.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let about = String::from_utf8_lossy(&output.stdout);
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let Some(host) = host else {
        bail!("rustc -vV names no host");
    };
    Ok(host.to_owned())
}
