//! Syncing: the leader's word reaches everybody, from the log.

use super::*;

/// Two members that have joined generation 1.
fn joined() -> World {
    let mut world = World::new();
    world.ask(Request::Join(join("1")));
    world.ask(Request::Join(join("2")));
    world.pass(secs(6));
    assert_eq!(world.state("g"), Some(GroupState::CompletingRebalance));
    world
}

fn ids() -> [String; 2] {
    ["c-1".into(), "c-2".into()]
}

#[test]
fn assignments_are_in_the_log_before_anybody_has_them() {
    let mut world = joined();
    let (follower, effects) = world.ask(Request::Sync(sync("c-2", 1, &[])));
    assert_eq!(effects, []);
    let (leader, ticket, rows) = world.appended(Request::Sync(sync("c-1", 1, &ids())));
    let row = group_row(&rows);
    assert_eq!((row.generation, row.leader.as_deref()), (1, Some("c-1")));
    assert_eq!(
        (row.protocol_type.as_str(), row.protocol.as_deref()),
        ("consumer", Some("range"))
    );
    let given: Vec<_> = row.members.iter().map(|member| &member.assignment[..]).collect();
    assert_eq!(given, [b"c-1", b"c-2"]);
    assert_eq!(row.members[0].subscription, subscription(&["t"]));
    assert_eq!(world.state("g"), Some(GroupState::CompletingRebalance));
    let expected = [answered(leader, synced("c-1")), answered(follower, synced("c-2"))];
    assert_eq!(world.commit(ticket), expected);
    assert_eq!(world.state("g"), Some(GroupState::Stable));
    assert_eq!(world.told(Request::Sync(sync("c-2", 1, &[]))), synced("c-2"));
}

#[test]
fn a_member_without_an_assignment_gets_an_empty_one() {
    let mut world = joined();
    let (_, ticket, _) = world.appended(Request::Sync(sync("c-1", 1, &["c-1".into(), "gone".into()])));
    world.commit(ticket);
    assert_eq!(world.told(Request::Sync(sync("c-2", 1, &[]))), synced(""));
}

#[test]
fn a_leader_that_repeats_its_sync_waits_for_the_first_one() {
    let mut world = joined();
    let (first, ticket, _) = world.appended(Request::Sync(sync("c-1", 1, &ids())));
    let (second, effects) = world.ask(Request::Sync(sync("c-1", 1, &["c-1".into()])));
    let interrupted = Answer::Synced(Err(GroupError::RebalanceInProgress));
    assert_eq!(effects, [answered(first, interrupted)]);
    assert_eq!(world.commit(ticket), [answered(second, synced("c-1"))]);
    assert_eq!(
        world.told(Request::Sync(sync("c-2", 1, &[]))),
        synced("c-2"),
        "the first word counts"
    );
}

#[test]
fn refusals() {
    let mut world = joined();
    let check = |world: &mut World, change: fn(&mut Sync), error| {
        let mut sync = sync("c-2", 1, &[]);
        change(&mut sync);
        assert_eq!(world.told(Request::Sync(sync)), Answer::Synced(Err(error)));
    };
    check(&mut world, |sync| sync.group.clear(), GroupError::InvalidGroupId);
    check(&mut world, |sync| sync.group = "h".into(), GroupError::UnknownMemberId);
    check(
        &mut world,
        |sync| sync.member_id = "c-9".into(),
        GroupError::UnknownMemberId,
    );
    check(
        &mut world,
        |sync| sync.instance_id = Some("i".into()),
        GroupError::UnknownMemberId,
    );
    check(&mut world, |sync| sync.generation = 2, GroupError::IllegalGeneration);
    check(
        &mut world,
        |sync| sync.protocol_type = Some("connect".into()),
        GroupError::InconsistentGroupProtocol,
    );
    check(
        &mut world,
        |sync| sync.protocol = Some("sticky".into()),
        GroupError::InconsistentGroupProtocol,
    );
    let (_, effects) = world.ask(Request::Join(join("3")));
    assert_eq!(effects, []);
    check(&mut world, |_| {}, GroupError::RebalanceInProgress);
}

#[test]
fn a_rebalance_interrupts_those_that_wait() {
    let mut world = joined();
    let (waiting, _) = world.ask(Request::Sync(sync("c-2", 1, &[])));
    let (_, effects) = world.ask(Request::Join(join("3")));
    let interrupted = Answer::Synced(Err(GroupError::RebalanceInProgress));
    assert_eq!(effects, [answered(waiting, interrupted)]);
}

#[test]
fn assignments_of_a_generation_that_is_over_change_nothing() {
    let mut world = joined();
    let (leader, ticket, _) = world.appended(Request::Sync(sync("c-1", 1, &ids())));
    let (_, effects) = world.ask(Request::Join(join("3")));
    let interrupted = Answer::Synced(Err(GroupError::RebalanceInProgress));
    assert_eq!(effects, [answered(leader, interrupted)]);
    assert_eq!(world.commit(ticket), []);
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    // They are in the log all the same.
    assert_eq!(group_row(&world.coordinator.rows()).members[1].assignment, "c-2");
}

#[test]
fn assignments_that_the_log_refuses_fail_the_generation() {
    let check = |failure, error| {
        let mut world = joined();
        let (leader, ticket, _) = world.appended(Request::Sync(sync("c-1", 1, &ids())));
        let (follower, _) = world.ask(Request::Sync(sync("c-2", 1, &[])));
        let refused = Answer::Synced(Err(error));
        let effects = world.step(Event::NotCommitted(ticket, failure));
        assert_eq!(
            effects,
            [answered(leader, refused.clone()), answered(follower, refused)]
        );
        assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    };
    check(Failure::NotCoordinator, GroupError::NotCoordinator);
    check(Failure::NotAvailable, GroupError::NotAvailable);
    check(Failure::TooLarge, GroupError::UnknownServerError);
}

#[test]
fn members_that_do_not_sync_leave_in_one_rebalance() {
    let mut world = World::new();
    for unique in ["1", "2", "3"] {
        let patient = Join {
            session_timeout_ms: 600_000,
            ..join(unique)
        };
        world.ask(Request::Join(patient));
    }
    world.pass(secs(6));
    let (_, ticket, _) = world.appended(Request::Sync(sync("c-1", 1, &["c-1".into()])));
    world.commit(ticket);
    assert_eq!(world.pass(secs(59)), []);
    assert_eq!(world.state("g"), Some(GroupState::Stable));
    world.pass(secs(1));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    let alone = leads(2, "c-1", &[("c-1", None)]);
    assert_eq!(
        world.told(Request::Join(again(&join("1")))),
        alone,
        "nobody else is left"
    );
}
