//! `cargo xtask client-suites`: the test-suites that crate rdkafka and kafka-python ship, against a real broker.

use anyhow::Result;

use crate::end_to_end;
pub(crate) use crate::end_to_end::Arguments;

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    end_to_end::run("client-suites", arguments)
}
