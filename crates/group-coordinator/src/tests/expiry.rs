//! Retention of offsets.

use super::*;

const DAY: u64 = 24 * 3600;
const CHECK: u64 = 600;

fn committed(world: &mut World, partition: i32, offset: i64) {
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(partition, offset)])));
    world.commit(ticket);
}

fn group_tombstone() -> Row {
    Row::Group {
        group: "g".into(),
        value: None,
    }
}

#[test]
fn a_group_that_only_commits_expires_offset_by_offset() {
    let mut world = World::new();
    committed(&mut world, 0, 5);
    assert_eq!(world.pass(secs(DAY)), []);
    committed(&mut world, 1, 6);
    let (ticket, rows) = only_append(world.pass(secs(6 * DAY)));
    assert_eq!(rows, [offset_row(0, None)]);
    assert_eq!(world.commit(ticket), []);
    let (ticket, rows) = only_append(world.pass(secs(DAY)));
    assert_eq!(rows, [offset_row(1, None), group_tombstone()]);
    assert_eq!(world.commit(ticket), []);
    assert_eq!(world.told(Request::List), Answer::Listed(Ok(Vec::new())));
}

#[test]
fn retention_counts_from_empty_even_for_a_later_commit() {
    let mut world = World::new();
    committed(&mut world, 0, 5);
    world.pass(secs(3 * DAY));
    world.stable(&[join("1")]);
    let (_, ticket, _) = world.appended(leave(&["c-1"]));
    world.commit(ticket);
    world.pass(secs(5 * DAY));
    assert_eq!(
        fetched(&mut world, 0),
        Some(5),
        "eight days old, but five without members"
    );
    committed(&mut world, 1, 6);
    let (_, rows) = only_append(world.pass(secs(2 * DAY + CHECK)));
    assert_eq!(rows, [offset_row(0, None), offset_row(1, None), group_tombstone()]);
}

#[test]
fn an_offset_expires_when_an_old_client_said_so() {
    let mut world = World::new();
    let mut brief = commit(&[(0, 5), (1, 6)]);
    brief.partitions[0].expires_at = Some(WallTime(world.now.wall.0 + 1000));
    let (_, ticket, _) = world.appended(Request::CommitOffsets(brief));
    world.commit(ticket);
    let (_, rows) = only_append(world.pass(secs(CHECK)));
    assert_eq!(rows, [offset_row(0, None)]);
}

/// Heartbeats of the one member, for as long as it takes; returns what else happened.
fn live(world: &mut World, days: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    for _ in 0..days * DAY / 1500 {
        effects.extend(world.pass(secs(1500)));
        world.told(heartbeat("c-1", 1));
    }
    effects
}

fn long_lived(subscription: Bytes) -> Join {
    Join {
        session_timeout_ms: 1_700_000,
        protocols: vec![("range".into(), subscription)],
        ..join("1")
    }
}

#[test]
fn a_living_group_keeps_what_it_subscribes_to() {
    let mut world = World::new();
    committed(&mut world, 0, 5);
    let mut other = commit(&[(3, 8)]);
    other.partitions[0].topic = "u".into();
    let (_, ticket, _) = world.appended(Request::CommitOffsets(other));
    world.commit(ticket);
    world.stable(&[long_lived(subscription(&["t"]))]);
    let effects = live(&mut world, 8);
    let Some(Effect::Append { rows, .. }) = effects.first() else {
        panic!("offsets of u expire")
    };
    let topic = "u".into();
    let tombstone = Row::Offset {
        group: "g".into(),
        topic,
        partition: 3,
        value: None,
    };
    assert_eq!(rows, &[tombstone]);
}

#[test]
fn a_living_group_keeps_everything_if_its_subscription_is_not_understood() {
    let mut world = World::new();
    committed(&mut world, 0, 5);
    world.stable(&[long_lived(Bytes::from_static(b"?"))]);
    assert_eq!(live(&mut world, 8), []);
}

#[test]
fn a_commit_on_its_way_keeps_its_group_and_its_partition() {
    let mut world = World::new();
    committed(&mut world, 0, 5);
    world.pass(secs(7 * DAY - 1));
    let (id, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(0, 6)])));
    assert_eq!(
        world.pass(secs(2 * CHECK)),
        [],
        "neither the offset nor the group expires"
    );
    assert_eq!(world.commit(ticket), [answered(id, Answer::Committed(vec![Ok(())]))]);
    assert_eq!(world.pass(secs(CHECK)), []);
    assert_eq!(fetched(&mut world, 0), Some(6));
}

#[test]
fn a_group_whose_first_commit_is_on_its_way_stays() {
    let mut world = World::new();
    let (id, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    assert_eq!(
        world.pass(secs(2 * CHECK)),
        [],
        "it has no offset yet, and is not forgotten"
    );
    assert_eq!(world.commit(ticket), [answered(id, Answer::Committed(vec![Ok(())]))]);
    assert_eq!(fetched(&mut world, 0), Some(5));

    world.stable(&[join("1")]);
    world.appended(leave(&["c-1"]));
    world.appended(Request::CommitOffsets(commit(&[(1, 6)])));
    let (_, rows) = only_append(world.pass(secs(8 * DAY)));
    assert_eq!(rows, [offset_row(0, None)], "once, and without the group");
}

#[test]
fn an_empty_group_without_offsets_goes_at_the_next_check() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    let (_, ticket, _) = world.appended(leave(&["c-1"]));
    world.commit(ticket);
    let (_, rows) = only_append(world.pass(secs(CHECK)));
    assert_eq!(rows, [group_tombstone()]);
}

#[test]
fn a_group_that_came_to_nothing_goes_without_a_row() {
    let mut world = World::new();
    world.told(Request::Join(Join {
        member_id_required: true,
        ..join("1")
    }));
    assert_eq!(world.state("g"), Some(GroupState::Empty));
    assert_eq!(world.pass(secs(CHECK)), []);
    assert_eq!(world.state("g"), None);
}
