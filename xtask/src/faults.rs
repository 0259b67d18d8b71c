//! `cargo xtask faults`: stock clients at work while everything around the broker fails, and a verdict on what they saw.

use anyhow::Result;

use crate::end_to_end;
pub(crate) use crate::end_to_end::Arguments;

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    end_to_end::run("faults", arguments)
}
