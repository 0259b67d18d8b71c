//! What the log says at a start, and what is answered until it has been read.

use super::*;
use crate::{DeleteOffsets, MemberRow};

fn member_row(member_id: &str) -> MemberRow {
    MemberRow {
        member_id: member_id.into(),
        instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: -1,
        session_timeout_ms: 10_000,
        subscription: subscription(&["t"]),
        assignment: member_id.to_string().into(),
    }
}

fn stored(members: &[&str]) -> Row {
    let row = GroupRow {
        protocol_type: "consumer".into(),
        generation: 7,
        protocol: (!members.is_empty()).then(|| "range".into()),
        leader: members.first().map(|id| (*id).into()),
        state_since: WallTime(5),
        members: members.iter().map(|id| member_row(id)).collect(),
    };
    Row::Group {
        group: "g".into(),
        value: Some(row),
    }
}

fn loaded(settings: Settings, rows: &[Row]) -> (World, Vec<Effect>) {
    let mut world = World::loading(settings);
    for row in rows {
        assert_eq!(world.step(Event::Loaded(row.clone())), []);
    }
    let effects = world.step(Event::LoadFinished);
    (world, effects)
}

#[test]
fn until_the_log_is_read() {
    let mut world = World::loading(Settings::default());
    let error = GroupError::LoadInProgress;
    let check = |world: &mut World, request, answer| assert_eq!(world.told(request), answer);
    check(&mut world, Request::Join(again(&join("1"))), refusal(error, ""));
    check(
        &mut world,
        Request::Sync(sync("c-1", 1, &[])),
        Answer::Synced(Err(error)),
    );
    // A living member must not take itself for lost.
    check(&mut world, heartbeat("c-1", 1), Answer::Heartbeat(Ok(())));
    check(&mut world, leave(&["c-1"]), Answer::Left(Err(error)));
    let two = Request::CommitOffsets(commit(&[(0, 1), (1, 1)]));
    check(&mut world, two, Answer::Committed(vec![Err(error), Err(error)]));
    check(
        &mut world,
        Request::FetchOffsets(FetchOffsets::default()),
        Answer::Offsets(Err(error)),
    );
    let group = String::from("g");
    let delete = DeleteOffsets {
        group: group.clone(),
        partitions: Vec::new(),
    };
    check(
        &mut world,
        Request::DeleteOffsets(delete),
        Answer::OffsetsDeleted(Err(error)),
    );
    check(
        &mut world,
        Request::Describe { group: group.clone() },
        Answer::Described(Err(error)),
    );
    check(&mut world, Request::List, Answer::Listed(Err(error)));
    check(&mut world, Request::Delete { group }, Answer::Deleted(Err(error)));
    // What needs no log is refused as ever.
    let nameless = Request::Join(Join {
        group: String::new(),
        ..join("1")
    });
    check(&mut world, nameless, refusal(GroupError::InvalidGroupId, ""));
}

#[test]
fn members_go_on_where_they_were() {
    let (mut world, effects) = loaded(Settings::default(), &[stored(&["a", "b"])]);
    assert_eq!(effects, []);
    assert_eq!(world.told(heartbeat("a", 7)), Answer::Heartbeat(Ok(())));
    assert_eq!(world.told(Request::Sync(sync("b", 7, &[]))), synced("b"));
    let group = world.coordinator.groups["g"].clone();
    let row = group.members.get("a").expect("loaded").profile.rebalance_timeout_ms;
    assert_eq!(row, 10_000, "rows without a rebalance timeout have the session's");
    // A loaded member that is gone is noticed.
    world.pass(secs(9));
    world.told(heartbeat("a", 7));
    world.pass(secs(1));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

/// Found by fuzzing: two members of one instance made the index of instances disagree with the members.
#[test]
fn an_instance_names_one_member() {
    let mut row = stored(&["a", "b", "c"]);
    let Row::Group { value: Some(group), .. } = &mut row else {
        unreachable!("a group was stored");
    };
    group.members[0].instance_id = Some("i".into());
    group.members[2].instance_id = Some("i".into());
    let (world, _) = loaded(Settings::default(), &[row]);
    world.coordinator.check_invariants();
    let members = &world.coordinator.groups["g"].members;
    let ids: Vec<_> = members.ids().map(String::as_str).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(members.instance("i").map(String::as_str), Some("a"));
}

#[test]
fn later_rows_win() {
    let at = WallTime(3);
    let rows = [
        offset_row(0, Some(committed_offset(1, at))),
        offset_row(1, Some(committed_offset(1, at))),
        stored(&["a"]),
        offset_row(0, Some(committed_offset(2, at))),
        offset_row(1, None),
        offset_row(9, None),
        stored(&[]),
    ];
    let (mut world, _) = loaded(Settings::default(), &rows);
    assert_eq!((fetched(&mut world, 0), fetched(&mut world, 1)), (Some(2), None));
    assert_eq!(world.state("g"), Some(GroupState::Empty));
    assert_eq!(world.coordinator.rows(), [rows[3].clone(), rows[6].clone()]);
}

#[test]
fn an_offset_survives_its_groups_tombstone_unless_it_has_one() {
    let at = WallTime(3);
    let tombstone = Row::Group {
        group: "g".into(),
        value: None,
    };
    let kept = offset_row(0, Some(committed_offset(1, at)));
    let (world, _) = loaded(Settings::default(), &[stored(&["a"]), kept.clone(), tombstone.clone()]);
    assert_eq!(world.coordinator.rows(), core::slice::from_ref(&kept));
    let (world, _) = loaded(Settings::default(), &[kept, offset_row(0, None), tombstone]);
    assert_eq!(world.coordinator.rows(), []);
    assert_eq!(world.state("g"), None);
}

#[test]
fn a_group_above_a_bound_that_was_lowered_rebalances() {
    let settings = Settings {
        members_max: 1,
        ..Settings::default()
    };
    let (mut world, effects) = loaded(settings, &[stored(&["a", "b"])]);
    assert_eq!(effects, []);
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    let rebalance = Answer::Heartbeat(Err(GroupError::RebalanceInProgress));
    assert_eq!(world.told(heartbeat("a", 7)), rebalance);
}

#[test]
fn a_topic_deleted_during_the_load_takes_its_offsets_when_it_is_over() {
    let mut world = World::loading(Settings::default());
    assert_eq!(world.step(Event::TopicDeleted("t".into())), []);
    world.step(Event::Loaded(offset_row(0, Some(committed_offset(1, WallTime(3))))));
    let (_, rows) = only_append(world.step(Event::LoadFinished));
    assert_eq!(rows, [offset_row(0, None)]);
}

#[test]
fn the_rows_of_a_group_in_a_rebalance_are_those_in_the_log() {
    let (mut world, _) = loaded(Settings::default(), &[stored(&["a"])]);
    world.ask(Request::Join(join("1")));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    assert_eq!(world.coordinator.rows(), [stored(&["a"])]);
}
