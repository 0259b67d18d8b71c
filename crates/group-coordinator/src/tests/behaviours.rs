//! What Kafka clients rely on, one test each: classic groups, static members, offsets, deletion.

use super::*;

#[test]
fn a_new_member_of_a_newer_client_must_come_again_with_its_id() {
    let mut world = World::quick();
    let member = Join {
        member_id_required: true,
        ..join("1")
    };
    assert_eq!(
        world.told(Request::Join(member.clone())),
        refusal(GroupError::MemberIdRequired, "c-1")
    );
    assert_eq!(
        world.told(Request::Join(again(&member))),
        leads(1, "c-1", &[("c-1", None)])
    );
}

#[test]
fn members_survive_overlapping_rebalances() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    // c-1 joins again; while it waits, two more come, and c-2 takes its time.
    let (first, _) = world.ask(Request::Join(again(&join("1"))));
    let (third, effects) = world.ask(Request::Join(join("3")));
    assert_eq!(effects, []);
    world.pass(secs(5));
    let (fourth, effects) = world.ask(Request::Join(join("4")));
    assert_eq!(effects, []);
    let (second, effects) = world.ask(Request::Join(again(&join("2"))));
    let members = [("c-1", None), ("c-2", None), ("c-3", None), ("c-4", None)];
    let expected = [
        answered(first, leads(2, "c-1", &members)),
        answered(second, follows(2, "c-2", "c-1")),
        answered(third, follows(2, "c-3", "c-1")),
        answered(fourth, follows(2, "c-4", "c-1")),
    ];
    assert_eq!(effects, expected, "one generation, and nobody was put out");
}

#[test]
fn a_member_that_exceeds_its_poll_interval_costs_one_rebalance() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    // Its client leaves by itself.
    world.ask(leave(&["c-2"]));
    let alone = leads(2, "c-1", &[("c-1", None)]);
    assert_eq!(world.told(Request::Join(again(&join("1")))), alone);
    world.assign(&["c-1".into()]);
    for _ in 0..10 {
        assert_eq!(world.pass(secs(6)), []);
        assert_eq!(world.told(heartbeat("c-1", 2)), Answer::Heartbeat(Ok(())));
    }
}

#[test]
fn a_member_that_never_syncs_does_not_hold_the_group_up() {
    let mut world = World::new();
    let brief = |unique| Join {
        rebalance_timeout_ms: 8000,
        ..join(unique)
    };
    world.ask(Request::Join(brief("1")));
    world.ask(Request::Join(brief("2")));
    world.pass(secs(6));
    let (waiting, effects) = world.ask(Request::Sync(sync("c-2", 1, &[])));
    assert_eq!(effects, []);
    let interrupted = Answer::Synced(Err(GroupError::RebalanceInProgress));
    assert_eq!(
        world.pass(secs(8)),
        [answered(waiting, interrupted)],
        "the leader is out"
    );
    assert_eq!(
        world.told(Request::Join(again(&brief("2")))),
        leads(2, "c-2", &[("c-2", None)])
    );
}

#[test]
fn a_static_restart_keeps_the_assignment_without_a_rebalance() {
    let mut world = World::new();
    world.stable(&[join("1"), static_join("i", "1")]);
    let (_, ticket, _) = world.appended(Request::Join(static_join("i", "2")));
    world.commit(ticket);
    assert_eq!(world.told(heartbeat("c-1", 1)), Answer::Heartbeat(Ok(())));
    assert_eq!(world.told(Request::Sync(sync("i-2", 1, &[]))), synced("i-1"));
}

#[test]
fn an_old_incarnation_of_a_static_member_is_fenced() {
    let mut world = World::new();
    world.stable(&[static_join("i", "1")]);
    let (_, ticket, _) = world.appended(Request::Join(static_join("i", "2")));
    world.commit(ticket);
    let fenced = GroupError::FencedInstanceId;
    let instance_id = Some("i".to_string());
    let beat = Request::Heartbeat(crate::Heartbeat {
        group: "g".into(),
        generation: 1,
        member_id: "i-1".into(),
        instance_id: instance_id.clone(),
    });
    assert_eq!(world.told(beat), Answer::Heartbeat(Err(fenced)));
    let old = Request::Join(again(&static_join("i", "1")));
    assert_eq!(world.told(old), refusal(fenced, "i-1"));
    let commit = CommitOffsets {
        generation: 1,
        member_id: "i-1".into(),
        instance_id,
        ..commit(&[(0, 5)])
    };
    assert_eq!(
        world.told(Request::CommitOffsets(commit)),
        Answer::Committed(vec![Err(fenced)])
    );
}

#[test]
fn a_static_member_leaves_by_its_instance_id() {
    let mut world = World::new();
    world.stable(&[join("1"), static_join("i", "1")]);
    let leave = Request::Leave(Leave {
        group: "g".into(),
        members: vec![LeavingMember {
            member_id: String::new(),
            instance_id: Some("i".into()),
        }],
    });
    assert_eq!(world.told(leave), Answer::Left(Ok(vec![Ok(())])));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

#[test]
fn a_static_member_whose_session_ends_is_rebalanced() {
    let mut world = World::new();
    world.stable(&[join("1"), static_join("i", "1")]);
    world.pass(secs(6));
    world.told(heartbeat("c-1", 1));
    world.pass(secs(4));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

#[test]
fn commits_keep_metadata_and_leader_epoch() {
    let mut world = World::new();
    let mut commit = commit(&[(0, 5)]);
    commit.partitions[0].leader_epoch.0 = 3;
    let (_, ticket, _) = world.appended(Request::CommitOffsets(commit));
    world.commit(ticket);
    let Answer::Offsets(Ok(offsets)) = world.told(Request::FetchOffsets(FetchOffsets {
        group: "g".into(),
        ..FetchOffsets::default()
    })) else {
        panic!("offsets can be read")
    };
    let committed = offsets[0].committed.as_ref().expect("committed");
    assert_eq!((committed.leader_epoch.0, committed.metadata.as_str()), (3, "note"));
}

#[test]
fn commits_are_allowed_before_the_join_completes_and_not_before_the_assignment() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    let commit = |generation| {
        Request::CommitOffsets(CommitOffsets {
            generation,
            member_id: "c-2".into(),
            ..commit(&[(0, 5)])
        })
    };
    world.ask(Request::Join(again(&join("1"))));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    let (_, ticket, _) = world.appended(commit(1));
    world.commit(ticket);
    assert_eq!(fetched(&mut world, 0), Some(5));
    world.ask(Request::Join(again(&join("2"))));
    assert_eq!(world.state("g"), Some(GroupState::CompletingRebalance));
    let refused = Answer::Committed(vec![Err(GroupError::RebalanceInProgress)]);
    assert_eq!(world.told(commit(2)), refused);
}

#[test]
fn commits_without_a_generation_only_go_to_empty_groups() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    let refused = Answer::Committed(vec![Err(GroupError::UnknownMemberId)]);
    assert_eq!(world.told(Request::CommitOffsets(commit(&[(0, 5)]))), refused);
    let (_, ticket, _) = world.appended(leave(&["c-1"]));
    world.commit(ticket);
    world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
}

#[test]
fn the_later_row_wins() {
    let mut world = World::new();
    let (_, first, _) = world.appended(Request::CommitOffsets(commit(&[(0, 5)])));
    let (_, second, _) = world.appended(Request::CommitOffsets(commit(&[(0, 4)])));
    world.commit(first);
    world.commit(second);
    assert_eq!(fetched(&mut world, 0), Some(4));
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut world = World::new();
    let delete = || Request::Delete { group: "g".into() };
    assert_eq!(world.told(delete()), Answer::Deleted(Err(GroupError::GroupIdNotFound)));
    world.stable(&[join("1")]);
    assert_eq!(world.told(delete()), Answer::Deleted(Err(GroupError::NonEmptyGroup)));
}

#[test]
fn an_unknown_group_is_not_described() {
    let mut world = World::new();
    let group = "g".into();
    assert_eq!(world.told(Request::Describe { group }), Answer::Described(Ok(None)));
}
