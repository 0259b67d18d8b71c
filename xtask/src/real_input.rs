//! `cargo xtask real-input`: a million keyed lines through stock clients, with a member and the broker killed on the way.

use anyhow::Result;

use crate::end_to_end;
pub(crate) use crate::end_to_end::Arguments;

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    end_to_end::run("real-input", arguments)
}
