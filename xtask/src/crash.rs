//! `cargo xtask crash`: kills a loaded broker again and again and looks for what it lost.

use anyhow::Result;

use crate::end_to_end;
pub(crate) use crate::end_to_end::Arguments;

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    end_to_end::run("crash", arguments)
}
