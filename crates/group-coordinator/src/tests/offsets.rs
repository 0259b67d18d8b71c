//! Committed offsets: committing, reading, deleting, and what is on its way meanwhile.

use super::*;
use crate::appends::APPENDS_MAX;
use crate::offsets::TOMBSTONES_PER_APPEND;
use crate::{Committed, DeleteOffsets};

fn delete(partitions: &[i32]) -> Request {
    Request::DeleteOffsets(DeleteOffsets {
        group: "g".into(),
        partitions: partitions.iter().map(|partition| ("t".into(), *partition)).collect(),
    })
}

/// A commit of a member of generation `generation`.
fn member_commit(member_id: &str, generation: i32) -> CommitOffsets {
    CommitOffsets {
        generation,
        member_id: member_id.into(),
        ..commit(&[(0, 5)])
    }
}

#[test]
fn a_commit_is_answered_and_readable_once_it_is_in_the_log() {
    let mut world = World::new();
    let (id, ticket, rows) = world.appended(Request::CommitOffsets(commit(&[(0, 5), (1, 6)])));
    let at = world.now.wall;
    let expected = [
        offset_row(0, Some(committed_offset(5, at))),
        offset_row(1, Some(committed_offset(6, at))),
    ];
    assert_eq!(rows, expected);
    assert_eq!(fetched(&mut world, 0), None);
    let told = Answer::Committed(vec![Ok(()), Ok(())]);
    assert_eq!(world.commit(ticket), [answered(id, told)]);
    assert_eq!((fetched(&mut world, 0), fetched(&mut world, 1)), (Some(5), Some(6)));
}

#[test]
fn a_commit_that_the_log_refuses_leaves_nothing() {
    let check = |failure, error| {
        let mut world = World::new();
        let (id, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
        let told = Answer::Committed(vec![Err(error)]);
        assert_eq!(world.step(Event::NotCommitted(ticket, failure)), [answered(id, told)]);
        assert_eq!(world.told(Request::List), Answer::Listed(Ok(Vec::new())));
    };
    check(Failure::NotCoordinator, GroupError::NotCoordinator);
    check(Failure::NotAvailable, GroupError::NotAvailable);
    check(Failure::TooLarge, GroupError::UnknownServerError);
}

#[test]
fn who_may_commit() {
    let mut world = World::new();
    world.stable(&[join("1"), static_join("i", "2")]);
    let check = |world: &mut World, commit: CommitOffsets, error| {
        assert_eq!(
            world.told(Request::CommitOffsets(commit)),
            Answer::Committed(vec![Err(error)])
        );
    };
    check(&mut world, commit(&[(0, 5)]), GroupError::UnknownMemberId);
    check(&mut world, member_commit("c-1", -1), GroupError::IllegalGeneration);
    check(&mut world, member_commit("c-1", 2), GroupError::IllegalGeneration);
    check(&mut world, member_commit("c-9", 1), GroupError::UnknownMemberId);
    let fenced = CommitOffsets {
        instance_id: Some("i".into()),
        ..member_commit("i-1", 1)
    };
    check(&mut world, fenced, GroupError::FencedInstanceId);
    let (_, _, rows) = world.appended(Request::CommitOffsets(member_commit("c-1", 1)));
    assert_eq!(rows.len(), 1);
}

#[test]
fn a_generation_of_an_unknown_group_is_refused_in_two_ways() {
    let mut world = World::new();
    let told = |error| Answer::Committed(vec![Err(error)]);
    let old = member_commit("c-1", 1);
    let new = CommitOffsets {
        group_id_not_found: true,
        ..old.clone()
    };
    assert_eq!(
        world.told(Request::CommitOffsets(old)),
        told(GroupError::IllegalGeneration)
    );
    assert_eq!(
        world.told(Request::CommitOffsets(new)),
        told(GroupError::GroupIdNotFound)
    );
}

#[test]
fn a_commit_keeps_the_session() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    for _ in 0..4 {
        assert_eq!(world.pass(secs(6)), []);
        world.appended(Request::CommitOffsets(member_commit("c-1", 1)));
    }
}

#[test]
fn metadata_is_bounded_in_utf16_units() {
    let mut world = World::with(Settings {
        offset_metadata_bytes_max: 4,
        ..Settings::default()
    });
    let mut three = commit(&[(0, 5), (1, 6), (2, 7)]);
    // Four units, five units, and four units that are twelve bytes.
    for (partition, metadata) in three.partitions.iter_mut().zip(["abcd", "abcde", "ääää"]) {
        partition.metadata = metadata.into();
    }
    let (id, ticket, rows) = world.appended(Request::CommitOffsets(three));
    assert_eq!(rows.len(), 2);
    let told = Answer::Committed(vec![Ok(()), Err(GroupError::OffsetMetadataTooLarge), Ok(())]);
    assert_eq!(world.commit(ticket), [answered(id, told)]);
    assert_eq!(fetched(&mut world, 1), None);
}

#[test]
fn a_stable_answer_is_wanted_while_a_commit_is_on_its_way() {
    let mut world = World::new();
    let fetch = |require_stable| {
        Request::FetchOffsets(FetchOffsets {
            group: "g".into(),
            require_stable,
            partitions: Some(vec![("t".into(), 0)]),
            ..FetchOffsets::default()
        })
    };
    let told = |committed, unstable| {
        let topic = "t".into();
        Answer::Offsets(Ok(vec![Committed {
            topic,
            partition: 0,
            committed,
            unstable,
        }]))
    };
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    assert_eq!(world.told(fetch(true)), told(None, true));
    assert_eq!(world.told(fetch(false)), told(None, false));
    world.commit(ticket);
    let committed = Some(committed_offset(5, world.now.wall));
    assert_eq!(world.told(fetch(true)), told(committed, false));
}

#[test]
fn everything_a_group_has_can_be_read() {
    let mut world = World::new();
    let all = |group: &str| {
        Request::FetchOffsets(FetchOffsets {
            group: group.into(),
            ..FetchOffsets::default()
        })
    };
    assert_eq!(world.told(all("g")), Answer::Offsets(Ok(Vec::new())));
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5), (1, 6)])));
    world.commit(ticket);
    let Answer::Offsets(Ok(offsets)) = world.told(all("g")) else {
        panic!("offsets can be read")
    };
    let partitions: Vec<_> = offsets.iter().map(|offset| offset.partition).collect();
    assert_eq!(partitions, [0, 1]);
}

#[test]
fn the_empty_group_id_has_offsets_but_none_to_delete_one_by_one() {
    let mut world = World::new();
    let nameless = CommitOffsets {
        group: String::new(),
        ..commit(&[(0, 5)])
    };
    let (_, ticket, _) = world.appended(Request::CommitOffsets(nameless));
    world.commit(ticket);
    let invalid = Answer::OffsetsDeleted(Err(GroupError::InvalidGroupId));
    assert_eq!(world.told(Request::DeleteOffsets(DeleteOffsets::default())), invalid);
    let group = String::new();
    let (id, ticket, rows) = world.appended(Request::Delete { group });
    assert_eq!(rows.len(), 2);
    assert_eq!(world.commit(ticket), [answered(id, Answer::Deleted(Ok(())))]);
}

#[test]
fn offsets_are_deleted_unless_somebody_may_be_reading() {
    let mut world = World::new();
    assert_eq!(
        world.told(delete(&[0])),
        Answer::OffsetsDeleted(Err(GroupError::GroupIdNotFound))
    );
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    world.commit(ticket);
    let (id, ticket, rows) = world.appended(delete(&[0, 1]));
    assert_eq!(rows, [offset_row(0, None)]);
    assert_eq!(fetched(&mut world, 0), Some(5));
    assert_eq!(
        world.commit(ticket),
        [answered(id, Answer::OffsetsDeleted(Ok(vec![Ok(()), Ok(())])))]
    );
    assert_eq!(fetched(&mut world, 0), None);

    world.stable(&[join("1")]);
    let reading = Answer::OffsetsDeleted(Ok(vec![Err(GroupError::GroupSubscribedToTopic)]));
    assert_eq!(world.told(delete(&[0])), reading);
}

#[test]
fn a_subscription_that_is_not_understood_may_be_to_any_topic() {
    let mut world = World::new();
    let strange = Join {
        protocols: vec![("range".into(), Bytes::from_static(b"?"))],
        ..join("1")
    };
    world.stable(&[strange, join("2")]);
    let reading = Answer::OffsetsDeleted(Ok(vec![Err(GroupError::GroupSubscribedToTopic)]));
    let other = Request::DeleteOffsets(DeleteOffsets {
        group: "g".into(),
        partitions: vec![("u".into(), 0)],
    });
    assert_eq!(world.told(other), reading);
}

#[test]
fn offsets_of_a_living_group_that_are_no_consumers_stay() {
    let mut world = World::new();
    let connect = Join {
        protocol_type: "connect".into(),
        ..join("1")
    };
    world.stable(&[connect]);
    assert_eq!(
        world.told(delete(&[0])),
        Answer::OffsetsDeleted(Err(GroupError::NonEmptyGroup))
    );
}

#[test]
fn deleting_reaches_a_commit_on_its_way_and_spares_a_later_one() {
    let mut world = World::new();
    let (_, first, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    let (_, second, rows) = world.appended(delete(&[0]));
    assert_eq!(rows, [offset_row(0, None)]);
    let (_, third, _) = world.appended(Request::CommitOffsets(commit(&[(0, 7)])));
    world.commit(first);
    world.commit(second);
    assert_eq!(fetched(&mut world, 0), None);
    world.commit(third);
    assert_eq!(fetched(&mut world, 0), Some(7));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along_also_those_on_their_way() {
    let mut world = World::new();
    let (_, first, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    world.commit(first);
    let (_, second, _) = world.appended(Request::CommitOffsets(commit(&[(1, 6)])));
    assert_eq!(world.step(Event::TopicDeleted("u".into())), []);
    let (ticket, rows) = only_append(world.step(Event::TopicDeleted("t".into())));
    assert_eq!(rows, [offset_row(0, None), offset_row(1, None)]);
    world.commit(second);
    world.commit(ticket);
    assert_eq!((fetched(&mut world, 0), fetched(&mut world, 1)), (None, None));
}

#[test]
fn very_many_offsets_are_deleted_in_several_appends_and_one_answer() {
    let mut world = World::new();
    let count = i32::try_from(TOMBSTONES_PER_APPEND).expect("few") + 1;
    let partitions: Vec<_> = (0..count).map(|partition| (partition, 1)).collect();
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit(&partitions)));
    world.commit(ticket);
    let partitions: Vec<_> = (0..count).collect();
    let (id, effects) = world.ask(delete(&partitions));
    let [
        Effect::Append { ticket: first, .. },
        Effect::Append { ticket: second, rows },
    ] = &effects[..]
    else {
        panic!("two appends expected")
    };
    assert_eq!(rows.len(), 1);
    assert_eq!(world.commit(*first), []);
    let told = Answer::OffsetsDeleted(Ok(vec![Ok(()); partitions.len()]));
    assert_eq!(world.commit(*second), [answered(id, told)]);
}

#[test]
fn appends_on_their_way_are_bounded() {
    let mut world = World::new();
    let mut effects = Vec::new();
    for id in 0..APPENDS_MAX {
        let id = RequestId(u64::try_from(id).expect("few") + 1_000_000);
        let request = Request::CommitOffsets(commit(&[(0, 5)]));
        world
            .coordinator
            .step(world.now, Event::Request { id, request }, &mut effects);
    }
    assert_eq!(effects.len(), APPENDS_MAX);
    let full = Answer::Committed(vec![Err(GroupError::NotAvailable)]);
    assert_eq!(world.told(Request::CommitOffsets(commit(&[(0, 5)]))), full);
    assert_eq!(
        world.told(delete(&[0])),
        Answer::OffsetsDeleted(Err(GroupError::NotAvailable))
    );
    let group = "g".into();
    assert_eq!(
        world.told(Request::Delete { group }),
        Answer::Deleted(Err(GroupError::NotAvailable))
    );
    world.commit(Ticket(0));
    world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
}
