//! Scenarios of consumer groups, with members in processes of their own.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clients::bench::{Bench, lines, until};
use crate::clients::program::{Running, Said};

/// Long enough for a rebalance that must not come: several heartbeats.
const QUIET: Duration = Duration::from_secs(3);

/// Three members, one is killed: the others get its partitions and nothing is left out.
pub(super) fn member_killed(bench: &mut Bench) -> Result<()> {
    let (topic, group) = ("group-kill", "group-kill");
    bench.create(topic, 6, &[])?;
    let options = [("topic", topic), ("group", group), ("strategy", "range")];
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(bench.start("consume", &options)?);
    }
    bench.await_group(group, 3)?;
    bench.own_produce(topic, &lines(0, 300))?;
    let mut seen = BTreeSet::new();
    until(|| collect(&mut members, &mut seen) >= 300).context("the first 300 records")?;
    members[1].kill();
    bench.own_produce(topic, &lines(300, 300))?;
    until(|| collect(&mut members, &mut seen) >= 600).context("600 records with two members")?;
    bench.await_group(group, 2)?;
    let rest = [members.remove(0), members.pop().context("three members")?];
    rest.into_iter().try_for_each(|member| member.finish().map(|_| ()))
}

fn collect(members: &mut [Running], seen: &mut BTreeSet<String>) -> usize {
    for member in members {
        seen.extend(member.records().into_iter().map(|record| record.key));
    }
    seen.len()
}

/// A static member that is killed and comes back in time has its partitions again, and the other never notices.
pub(super) fn static_member_restart(bench: &mut Bench) -> Result<()> {
    let (topic, group) = ("static-restart", "static-restart");
    bench.create(topic, 4, &[])?;
    let start = |instance: &str| bench.start("consume", &[("topic", topic), ("group", group), ("instance", instance)]);
    let (mut a, mut b) = (start("a")?, start("b")?);
    bench.await_group(group, 2)?;
    until(|| a.owned().len() == 2 && b.owned().len() == 2).context("two partitions each")?;
    let before = a.owned();
    let told = rebalances(&mut b);
    a.kill();
    let mut a = start("a")?;
    until(|| a.owned() == before).with_context(|| format!("the partitions {before:?} again"))?;
    thread::sleep(QUIET);
    ensure!(
        rebalances(&mut b) == told,
        "the other member was rebalanced: {:?}",
        b.events()
    );
    bench.own_produce(topic, &lines(0, 100))?;
    let mut members = [a, b];
    let mut seen = BTreeSet::new();
    until(|| collect(&mut members, &mut seen) >= 100).context("100 records")?;
    members.into_iter().try_for_each(|member| member.finish().map(|_| ()))
}

fn rebalances(member: &mut Running) -> usize {
    let told = |said: &&Said| matches!(said, Said::Assigned(_) | Said::Revoked(_));
    member.events().iter().filter(told).count()
}

/// A third member gets its share, and the two others keep working on what they keep.
pub(super) fn cooperative_rebalance(bench: &mut Bench) -> Result<()> {
    let (topic, group) = ("cooperative", "cooperative");
    bench.create(topic, 6, &[])?;
    let start = || {
        bench.start(
            "consume",
            &[("topic", topic), ("group", group), ("strategy", "cooperative")],
        )
    };
    let mut old = [start()?, start()?];
    bench.await_group(group, 2)?;
    until(|| old.iter_mut().all(|member| member.owned().len() == 3)).context("three partitions each")?;
    let before: Vec<(Vec<i32>, usize)> = old
        .iter_mut()
        .map(|member| (member.owned(), member.events().len()))
        .collect();
    let mut third = start()?;
    until(|| third.owned().len() == 2).context("two partitions for the third")?;
    bench.await_group(group, 3)?;
    for (member, (owned, events)) in old.iter_mut().zip(before) {
        until(|| member.owned().len() == 2)?;
        let after = member.owned();
        ensure!(
            after.iter().all(|partition| owned.contains(partition)),
            "{owned:?} became {after:?}"
        );
        let revoked: Vec<i32> = member.events()[events..]
            .iter()
            .flat_map(|said| match said {
                Said::Revoked(partitions) => partitions.clone(),
                _ => Vec::new(),
            })
            .collect();
        ensure!(
            revoked.len() == 1,
            "of {owned:?} the partitions {revoked:?} were revoked, one was to move"
        );
    }
    let [first, second] = old;
    [first, second, third]
        .into_iter()
        .try_for_each(|member| member.finish().map(|_| ()))
}

/// A committed offset that was deleted, and a group that has none.
pub(super) fn offset_reset(bench: &mut Bench) -> Result<()> {
    let (topic, group) = ("offset-reset", "offset-reset");
    bench.create(topic, 1, &[])?;
    bench.own_produce(topic, &lines(0, 100))?;
    let options = [("topic", topic), ("group", group), ("reset", "earliest")];
    let first = bench.consume(10, &options)?;
    ensure!(first[0].offset == 0, "a new group begins at {}", first[0].offset);
    await_empty(bench, group)?;
    bench.own()?.delete_records(topic, &[(0, 50)])?;
    let again = bench.consume(1, &options)?;
    ensure!(
        again[0].offset == 50,
        "after deletion it goes on at {}",
        again[0].offset
    );
    let latest = [("topic", topic), ("group", "offset-reset-latest"), ("reset", "latest")];
    let mut late = bench.start("consume", &latest)?;
    bench.await_group("offset-reset-latest", 1)?;
    // Its position is looked up after the group is stable, and nobody tells when.
    thread::sleep(QUIET);
    bench.own_produce(topic, &lines(100, 1))?;
    until(|| !late.records().is_empty()).context("a record behind the end")?;
    let offsets: Vec<i64> = late.records().iter().map(|record| record.offset).collect();
    ensure!(offsets == [100], "from the end on it read {offsets:?}");
    late.finish().map(|_| ())
}

fn await_empty(bench: &Bench, group: &str) -> Result<()> {
    let mut client = bench.own()?;
    until(|| {
        client
            .describe_group(group)
            .is_ok_and(|described| described.members.is_empty())
    })
    .context("the member never left")
}
