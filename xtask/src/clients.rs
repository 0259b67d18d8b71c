//! `cargo xtask clients`: stock Kafka clients, one scenario after the other, against a real broker.

use anyhow::Result;

use crate::end_to_end;
pub(crate) use crate::end_to_end::Arguments;

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    end_to_end::run("clients", arguments)
}
