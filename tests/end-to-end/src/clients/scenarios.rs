//! What every client is put through. Each scenario has a topic, and where needed a group, of its own name.

mod groups;
mod logs;

use anyhow::Result;

use super::bench::Bench;

/// A named scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Bench) -> Result<()>,
}

const fn scenario(name: &'static str, run: fn(&mut Bench) -> Result<()>) -> Scenario {
    Scenario { name, run }
}

/// In the order of the table.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("gzip", logs::gzip),
    scenario("snappy", logs::snappy),
    scenario("lz4", logs::lz4),
    scenario("zstd", logs::zstd),
    scenario("keys-headers", logs::keys_and_headers),
    scenario("idempotent-kill", logs::idempotent_retry_across_kill),
    scenario("seek-by-time", logs::seek_by_time),
    scenario("1-mib", logs::one_mebibyte_records),
    scenario("pipelining", logs::pipelining),
    scenario("admin", logs::admin),
    scenario("mid-batch", logs::middle_of_a_batch),
    scenario("auto-create", logs::auto_creation),
    scenario("re-create", logs::topic_re_creation),
    scenario("group-kill", groups::member_killed),
    scenario("static-restart", groups::static_member_restart),
    scenario("cooperative", groups::cooperative_rebalance),
    scenario("offset-reset", groups::offset_reset),
];
