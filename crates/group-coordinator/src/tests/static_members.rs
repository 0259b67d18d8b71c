//! Static members: restarts, fencing, and rows that do not reach the log.

use super::*;

/// A stable group of a static leader "a" and a static follower "b".
fn two() -> World {
    let mut world = World::new();
    world.stable(&[static_join("a", "1"), static_join("b", "1")]);
    world
}

fn skipping(join: Join) -> Join {
    Join {
        skip_assignment: true,
        ..join
    }
}

#[test]
fn a_follower_comes_back_without_a_rebalance() {
    let mut world = two();
    let (id, ticket, rows) = world.appended(Request::Join(static_join("b", "2")));
    let row = group_row(&rows);
    assert_eq!((row.generation, row.members[1].member_id.as_str()), (1, "b-2"));
    assert_eq!(row.members[1].assignment, "b-1", "the assignment stays");
    assert_eq!(world.commit(ticket), [answered(id, follows(1, "b-2", "a-1"))]);
    assert_eq!(world.told(Request::Sync(sync("b-2", 1, &[]))), synced("b-1"));
    let old = Sync {
        instance_id: Some("b".into()),
        ..sync("b-1", 1, &[])
    };
    assert_eq!(
        world.told(Request::Sync(old)),
        Answer::Synced(Err(GroupError::FencedInstanceId))
    );
}

#[test]
fn a_leader_comes_back_and_keeps_the_assignment() {
    let mut world = two();
    let (id, ticket, _) = world.appended(Request::Join(skipping(static_join("a", "2"))));
    let members = [("a-2", Some("a")), ("b-1", Some("b"))];
    let Answer::Joined(joined) = leads(1, "a-2", &members) else {
        unreachable!()
    };
    let skips = Joined {
        skip_assignment: true,
        ..joined
    };
    assert_eq!(world.commit(ticket), [answered(id, Answer::Joined(skips))]);
}

#[test]
fn an_older_leader_is_told_its_old_id_leads_so_that_it_does_not_assign() {
    let mut world = two();
    let (id, ticket, _) = world.appended(Request::Join(static_join("a", "2")));
    assert_eq!(world.commit(ticket), [answered(id, follows(1, "a-2", "a-1"))]);
    assert_eq!(world.coordinator.groups["g"].leader.as_deref(), Some("a-2"));
}

#[test]
fn only_the_protocols_name_is_compared() {
    let mut world = two();
    let changed = Join {
        protocols: vec![("range".into(), subscription(&["t", "u"]))],
        ..static_join("b", "2")
    };
    let (id, ticket, rows) = world.appended(Request::Join(changed));
    assert_eq!(group_row(&rows).members[1].subscription, subscription(&["t", "u"]));
    assert_eq!(world.commit(ticket), [answered(id, follows(1, "b-2", "a-1"))]);
}

#[test]
fn another_protocol_rebalances() {
    let mut world = World::new();
    let both = |instance, unique| Join {
        protocols: vec![("range".into(), Bytes::new()), ("sticky".into(), Bytes::new())],
        ..static_join(instance, unique)
    };
    world.stable(&[both("a", "1"), both("b", "1")]);
    let only_sticky = Join {
        protocols: vec![("sticky".into(), Bytes::new())],
        ..static_join("b", "2")
    };
    let (_, effects) = world.ask(Request::Join(only_sticky));
    assert_eq!(effects, []);
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

#[test]
fn a_predecessor_that_waits_is_fenced() {
    let mut world = World::new();
    let (waiting, _) = world.ask(Request::Join(static_join("a", "1")));
    let (id, effects) = world.ask(Request::Join(static_join("a", "2")));
    assert_eq!(
        effects,
        [answered(waiting, refusal(GroupError::FencedInstanceId, "a-1"))]
    );
    let members = [("a-2", Some("a"))];
    assert_eq!(world.pass(secs(3)), [answered(id, leads(1, "a-2", &members))]);

    world.ask(Request::Join(static_join("b", "1")));
    world.ask(Request::Join(again(&static_join("a", "2"))));
    let (syncing, effects) = world.ask(Request::Sync(sync("b-1", 2, &[])));
    assert_eq!(effects, []);
    let (_, effects) = world.ask(Request::Join(static_join("b", "2")));
    let fenced = Answer::Synced(Err(GroupError::FencedInstanceId));
    assert_eq!(
        effects,
        [answered(syncing, fenced)],
        "and whoever assigns must hear of the new id"
    );
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

#[test]
fn an_id_that_the_log_does_not_take_is_not_the_members() {
    let mut world = two();
    let (id, ticket, _) = world.appended(Request::Join(static_join("a", "2")));
    assert_eq!(
        world.fail(ticket),
        [answered(id, refusal(GroupError::NotAvailable, ""))]
    );
    assert_eq!(world.told(Request::Sync(sync("a-1", 1, &[]))), synced("a-1"));
    assert_eq!(world.coordinator.groups["g"].leader.as_deref(), Some("a-1"));
    assert_eq!(
        world.told(heartbeat("a-2", 1)),
        Answer::Heartbeat(Err(GroupError::UnknownMemberId))
    );
}

#[test]
fn a_rebalance_that_begins_meanwhile_takes_the_join_along() {
    let mut world = two();
    let (back, ticket, _) = world.appended(Request::Join(static_join("b", "2")));
    let (other, effects) = world.ask(Request::Join(again(&static_join("a", "1"))));
    let members = [("a-1", Some("a")), ("b-2", Some("b"))];
    let expected = [
        answered(other, leads(2, "a-1", &members)),
        answered(back, follows(2, "b-2", "a-1")),
    ];
    assert_eq!(effects, expected);
    assert_eq!(world.commit(ticket), [], "it was answered");
}

#[test]
fn the_second_of_two_restarts_wins() {
    let mut world = two();
    let (first, older, _) = world.appended(Request::Join(static_join("b", "2")));
    let (second, effects) = world.ask(Request::Join(static_join("b", "3")));
    assert_eq!(
        effects[0],
        answered(first, refusal(GroupError::FencedInstanceId, "b-2"))
    );
    let (newer, _) = only_append(effects[1..].to_vec());
    assert_eq!(world.commit(older), []);
    assert_eq!(world.commit(newer), [answered(second, follows(1, "b-3", "a-1"))]);
}

#[test]
fn a_static_member_keeps_its_place_through_a_rebalance_it_misses() {
    let mut world = World::new();
    let patient = |join| Join {
        session_timeout_ms: 300_000,
        ..join
    };
    world.stable(&[patient(join("1")), patient(static_join("b", "1")), patient(join("2"))]);
    let (id, effects) = world.ask(Request::Join(again(&patient(join("1")))));
    assert_eq!(effects, []);
    let members = [("b-1", Some("b")), ("c-1", None)];
    assert_eq!(
        world.pass(secs(60)),
        [answered(id, leads(2, "c-1", &members))],
        "c-2 lost its place"
    );
}
