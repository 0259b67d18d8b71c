//! Heartbeats and sessions.

use super::*;

fn result(world: &mut World, member_id: &str, generation: i32) -> Result<(), GroupError> {
    match world.told(heartbeat(member_id, generation)) {
        Answer::Heartbeat(result) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_heartbeat_is_told() {
    let mut world = World::new();
    assert_eq!(result(&mut world, "c-1", 1), Err(GroupError::UnknownMemberId));
    world.ask(Request::Join(join("1")));
    world.pass(secs(3));
    assert_eq!(result(&mut world, "c-1", 1), Ok(()), "before the sync");
    world.assign(&["c-1".into()]);
    assert_eq!(result(&mut world, "c-1", 1), Ok(()));
    assert_eq!(result(&mut world, "c-1", 2), Err(GroupError::IllegalGeneration));
    assert_eq!(result(&mut world, "c-2", 1), Err(GroupError::UnknownMemberId));
    world.ask(Request::Join(join("2")));
    assert_eq!(result(&mut world, "c-1", 1), Err(GroupError::RebalanceInProgress));
    let nameless = Request::Heartbeat(crate::Heartbeat::default());
    assert_eq!(world.told(nameless), Answer::Heartbeat(Err(GroupError::InvalidGroupId)));
}

#[test]
fn a_silent_member_is_taken_out_and_the_rest_rebalances() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    for _ in 0..3 {
        assert_eq!(world.pass(secs(4)), []);
        let told = result(&mut world, "c-1", 1);
        assert!(told.is_ok() || told == Err(GroupError::RebalanceInProgress));
    }
    assert_eq!(result(&mut world, "c-1", 1), Err(GroupError::RebalanceInProgress));
    let alone = leads(2, "c-1", &[("c-1", None)]);
    assert_eq!(world.told(Request::Join(again(&join("1")))), alone);
}

#[test]
fn the_last_silent_member_leaves_an_empty_group_in_the_log() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    let (ticket, rows) = only_append(world.pass(secs(10)));
    let row = group_row(&rows);
    assert_eq!(
        (row.generation, row.members.len(), row.protocol.as_deref()),
        (2, 0, None)
    );
    assert_eq!((row.protocol_type.as_str(), row.leader.as_deref()), ("consumer", None));
    assert_eq!(row.state_since, world.now.wall);
    assert_eq!(world.state("g"), Some(GroupState::Empty));
    assert_eq!(world.commit(ticket), []);
}

#[test]
fn a_member_that_waits_is_not_silent() {
    let mut world = World::new();
    let patient = |unique| Join {
        session_timeout_ms: 60_000,
        ..join(unique)
    };
    world.stable(&[join("1"), patient("2")]);
    let (waiting, _) = world.ask(Request::Join(again(&join("1"))));
    // Its session is 10 s; it is c-2 that has not joined within 60.
    let expected = [answered(waiting, leads(2, "c-1", &[("c-1", None)]))];
    assert_eq!(world.pass(secs(60)), expected);
}

#[test]
fn static_members_without_a_rebalance_timeout_do_not_keep_a_tick_for_ever() {
    let mut world = World::new();
    let hasty = |instance, unique| Join {
        rebalance_timeout_ms: -1,
        ..static_join(instance, unique)
    };
    let ids = world.stable(&[hasty("a", "1"), hasty("b", "1"), join("3")]);
    let (_, effects) = world.ask(leave(&["c-3"]));
    assert_eq!(effects.len(), 1);
    world.pass(Duration::from_millis(10));
    let next = world.coordinator.next_deadline();
    assert!(
        next >= world.now.monotonic.after(Duration::from_millis(900)),
        "nor look at every tick"
    );
    // Nobody joins again: the two keep their place until their sessions end.
    world.pass(secs(8));
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    let (_, rows) = only_append(world.pass(secs(3)));
    assert_eq!(group_row(&rows).members, []);
    assert_eq!(ids.len(), 3);
}
