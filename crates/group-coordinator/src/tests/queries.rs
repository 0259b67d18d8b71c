//! Describing, listing and deleting groups.

use super::*;
use crate::{DescribedGroup, DescribedMember, ListedGroup};

fn describe(world: &mut World) -> Option<DescribedGroup> {
    let group = "g".into();
    match world.told(Request::Describe { group }) {
        Answer::Described(Ok(group)) => group,
        other => panic!("{other:?}"),
    }
}

fn delete() -> Request {
    Request::Delete { group: "g".into() }
}

#[test]
fn a_stable_group_shows_everything_and_one_in_a_rebalance_its_last_assignments() {
    let mut world = World::new();
    assert_eq!(describe(&mut world), None);
    world.stable(&[join("1")]);
    let member = DescribedMember {
        member_id: "c-1".into(),
        instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        metadata: subscription(&["t"]),
        assignment: "c-1".into(),
    };
    let group = DescribedGroup {
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        protocol: "range".into(),
        members: vec![member.clone()],
    };
    assert_eq!(describe(&mut world), Some(group.clone()));
    world.told(Request::Join(Join {
        member_id_required: true,
        ..join("2")
    }));
    world.ask(Request::Join(again(&join("1"))));
    let expected = DescribedGroup {
        state: GroupState::PreparingRebalance,
        protocol: String::new(),
        members: vec![DescribedMember {
            metadata: Bytes::new(),
            ..member
        }],
        ..group
    };
    assert_eq!(describe(&mut world), Some(expected));
    let listed = ListedGroup {
        group: "g".into(),
        protocol_type: "consumer".into(),
        state: GroupState::PreparingRebalance,
    };
    assert_eq!(world.told(Request::List), Answer::Listed(Ok(vec![listed])));
}

#[test]
fn deleting_takes_the_offsets_along_also_those_on_their_way() {
    let mut world = World::new();
    let (_, first, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    world.commit(first);
    let (late, second, _) = world.appended(Request::CommitOffsets(commit(&[(1, 6)])));
    let (id, ticket, rows) = world.appended(delete());
    let group = "g".into();
    let expected = [
        offset_row(0, None),
        offset_row(1, None),
        Row::Group { group, value: None },
    ];
    assert_eq!(rows, expected);
    let not_now = Answer::Committed(vec![Err(GroupError::NotAvailable)]);
    assert_eq!(world.told(Request::CommitOffsets(commit(&[(2, 7)]))), not_now);
    assert_eq!(
        world.told(Request::Join(join("1"))),
        refusal(GroupError::NotAvailable, "")
    );
    assert_eq!(describe(&mut world), None);
    let committed = Answer::Committed(vec![Ok(())]);
    assert_eq!(world.commit(second), [answered(late, committed)]);
    assert_eq!(world.commit(ticket), [answered(id, Answer::Deleted(Ok(())))]);
    assert_eq!(world.coordinator.rows(), []);
    assert_eq!(fetched(&mut world, 1), None);
}

#[test]
fn a_group_that_could_not_be_deleted_is_as_it_was() {
    let mut world = World::new();
    let (_, first, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    world.commit(first);
    let (id, ticket, _) = world.appended(delete());
    let refused = Answer::Deleted(Err(GroupError::NotAvailable));
    assert_eq!(world.fail(ticket), [answered(id, refused)]);
    assert_eq!(world.state("g"), Some(GroupState::Empty));
    assert_eq!(fetched(&mut world, 0), Some(5));
}

#[test]
fn offsets_that_could_not_be_deleted_outlive_their_group() {
    let mut world = World::new();
    let partitions: Vec<_> = (0..1001).map(|partition| (partition, 1)).collect();
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit(&partitions)));
    world.commit(ticket);
    let (id, effects) = world.ask(delete());
    let [
        Effect::Append { ticket: first, .. },
        Effect::Append { ticket: second, .. },
    ] = effects[..]
    else {
        panic!("two appends expected")
    };
    assert_eq!(world.fail(first), []);
    let refused = Answer::Deleted(Err(GroupError::NotAvailable));
    assert_eq!(world.commit(second), [answered(id, refused)]);
    assert_eq!((fetched(&mut world, 0), fetched(&mut world, 1000)), (Some(1), None));
    assert_eq!(world.state("g"), Some(GroupState::Empty));
}

#[test]
fn names_of_states() {
    let names = [
        (GroupState::Empty, "Empty"),
        (GroupState::PreparingRebalance, "PreparingRebalance"),
        (GroupState::CompletingRebalance, "CompletingRebalance"),
        (GroupState::Stable, "Stable"),
        (GroupState::Dead, "Dead"),
    ];
    for (state, name) in names {
        assert_eq!(state.name(), name);
    }
}
