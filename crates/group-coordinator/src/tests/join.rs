//! Joining: ids, protocols, bounds, and when a generation begins.

use super::*;
use crate::join::PENDING_MEMBERS_MAX;

#[test]
fn a_new_member_comes_again_with_its_id_and_leads() {
    let mut world = World::new();
    let member = Join {
        member_id_required: true,
        ..join("1")
    };
    let told = world.told(Request::Join(member.clone()));
    assert_eq!(told, refusal(GroupError::MemberIdRequired, "c-1"));
    let (id, effects) = world.ask(Request::Join(again(&member)));
    assert_eq!(effects, []);
    assert_eq!(world.pass(secs(3)), [answered(id, leads(1, "c-1", &[("c-1", None)]))]);
}

#[test]
fn the_initial_delay_is_extended_while_members_come_until_the_rebalance_timeout() {
    let mut world = World::new();
    let brief = |unique| Join {
        rebalance_timeout_ms: 7000,
        ..join(unique)
    };
    let (first, _) = world.ask(Request::Join(brief("1")));
    assert_eq!(world.pass(secs(2)), []);
    let (second, effects) = world.ask(Request::Join(brief("2")));
    assert_eq!(effects, []);
    assert_eq!(world.pass(secs(2)), []);
    let (third, effects) = world.ask(Request::Join(brief("3")));
    assert_eq!(effects, []);
    // 3 s, 3 s more, and the last second of the seven.
    assert_eq!(world.pass(Duration::from_millis(2900)), []);
    let members = [("c-1", None), ("c-2", None), ("c-3", None)];
    let expected = [
        answered(first, leads(1, "c-1", &members)),
        answered(second, follows(1, "c-2", "c-1")),
        answered(third, follows(1, "c-3", "c-1")),
    ];
    assert_eq!(world.pass(Duration::from_millis(100)), expected);
}

#[test]
fn the_first_generation_does_not_wait_for_ids_given_out() {
    let mut world = World::new();
    let required = Join {
        member_id_required: true,
        ..join("pending")
    };
    world.told(Request::Join(required.clone()));
    let (id, _) = world.ask(Request::Join(join("1")));
    assert_eq!(world.pass(secs(3)), [answered(id, leads(1, "c-1", &[("c-1", None)]))]);

    let mut world = World::quick();
    world.told(Request::Join(required));
    assert_eq!(world.told(Request::Join(join("1"))), leads(1, "c-1", &[("c-1", None)]));
}

#[test]
fn a_later_generation_waits_for_ids_given_out_until_their_sessions_end() {
    let mut world = World::new();
    let ids = world.stable(&[join("1"), join("2")]);
    world.told(Request::Join(Join {
        member_id_required: true,
        ..join("3")
    }));
    let (first, effects) = world.ask(Request::Join(again(&join("1"))));
    assert_eq!(effects, []);
    let (second, effects) = world.ask(Request::Join(again(&join("2"))));
    assert_eq!(effects, [], "c-3 is missing");
    let expected = [
        answered(first, leads(2, &ids[0], &[("c-1", None), ("c-2", None)])),
        answered(second, follows(2, &ids[1], &ids[0])),
    ];
    assert_eq!(world.pass(secs(10)), expected);
}

#[test]
fn refusals_that_need_no_member() {
    let mut world = World::new();
    let check = |world: &mut World, change: fn(&mut Join), error, member_id: &str| {
        let mut join = join("1");
        change(&mut join);
        assert_eq!(world.told(Request::Join(join)), refusal(error, member_id));
    };
    check(&mut world, |join| join.group.clear(), GroupError::InvalidGroupId, "");
    check(
        &mut world,
        |join| join.session_timeout_ms = 5999,
        GroupError::InvalidSessionTimeout,
        "",
    );
    check(
        &mut world,
        |join| join.session_timeout_ms = 1_800_001,
        GroupError::InvalidSessionTimeout,
        "",
    );
    check(
        &mut world,
        |join| join.session_timeout_ms = -1,
        GroupError::InvalidSessionTimeout,
        "",
    );
    check(
        &mut world,
        |join| join.member_id = "x".into(),
        GroupError::UnknownMemberId,
        "x",
    );
    check(
        &mut world,
        |join| join.protocols.clear(),
        GroupError::InconsistentGroupProtocol,
        "",
    );
    check(
        &mut world,
        |join| join.protocol_type.clear(),
        GroupError::InconsistentGroupProtocol,
        "",
    );
    let Answer::Listed(Ok(groups)) = world.told(Request::List) else {
        panic!("groups are listed");
    };
    // As in Kafka, a join that is refused for its protocols has made the group, which goes at the next look for
    // offsets that have expired.
    let known: Vec<_> = groups.iter().map(|group| (group.group.as_str(), group.state)).collect();
    assert_eq!(known, [("g", GroupState::Empty)]);
}

#[test]
fn a_member_needs_a_protocol_that_all_support() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    let other_type = Join {
        protocol_type: "connect".into(),
        ..join("2")
    };
    let refused = refusal(GroupError::InconsistentGroupProtocol, "");
    assert_eq!(world.told(Request::Join(other_type)), refused);
    let other_protocol = Join {
        protocols: vec![("sticky".into(), Bytes::new())],
        ..join("2")
    };
    assert_eq!(world.told(Request::Join(other_protocol)), refused);
    assert_eq!(world.state("g"), Some(GroupState::Stable));
}

#[test]
fn most_members_choose_the_protocol_and_all_must_support_it() {
    let with = |unique, names: &[&str]| Join {
        protocols: names.iter().map(|name| ((*name).into(), Bytes::new())).collect(),
        ..join(unique)
    };
    let mut world = World::new();
    world.ask(Request::Join(with("1", &["a", "b", "c"])));
    world.ask(Request::Join(with("2", &["d", "c", "b"])));
    world.ask(Request::Join(with("3", &["c", "b", "a"])));
    world.pass(secs(9));
    assert_eq!(world.coordinator.groups["g"].protocol.as_deref(), Some("c"));

    let mut world = World::new();
    world.ask(Request::Join(with("1", &["b", "a"])));
    world.ask(Request::Join(with("2", &["a", "b"])));
    world.pass(secs(9));
    assert_eq!(
        world.coordinator.groups["g"].protocol.as_deref(),
        Some("b"),
        "the leader decides"
    );
}

#[test]
fn a_retried_join_replaces_the_first_without_resetting_the_member() {
    let mut world = World::new();
    let required = Join {
        member_id_required: true,
        ..join("1")
    };
    world.told(Request::Join(required.clone()));
    let (first, _) = world.ask(Request::Join(again(&required)));
    let (second, effects) = world.ask(Request::Join(again(&required)));
    assert_eq!(
        effects,
        [answered(first, refusal(GroupError::RebalanceInProgress, "c-1"))]
    );
    assert_eq!(
        world.pass(secs(3)),
        [answered(second, leads(1, "c-1", &[("c-1", None)]))]
    );
}

#[test]
fn a_join_repeated_after_its_answer_gets_the_answer_again() {
    let mut world = World::new();
    world.ask(Request::Join(join("1")));
    world.ask(Request::Join(join("2")));
    world.pass(secs(6));
    assert_eq!(world.told(Request::Join(again(&join("2")))), follows(1, "c-2", "c-1"));
    let members = [("c-1", None), ("c-2", None)];
    assert_eq!(world.told(Request::Join(again(&join("1")))), leads(1, "c-1", &members));
    world.assign(&["c-1".into(), "c-2".into()]);
    assert_eq!(world.told(Request::Join(again(&join("2")))), follows(1, "c-2", "c-1"));
    // The leader joins again because what is to be assigned has changed.
    let (_, effects) = world.ask(Request::Join(again(&join("1"))));
    assert_eq!(effects, []);
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

#[test]
fn changed_metadata_rebalances() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    let changed = Join {
        protocols: vec![("range".into(), subscription(&["u"]))],
        ..again(&join("2"))
    };
    let (_, effects) = world.ask(Request::Join(changed));
    assert_eq!(effects, []);
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
}

fn at_most(members_max: usize) -> World {
    World::with(Settings {
        members_max,
        ..Settings::default()
    })
}

#[test]
fn a_full_group_turns_new_members_away_without_an_id() {
    let mut world = at_most(1);
    let required = Join {
        member_id_required: true,
        ..join("2")
    };
    world.told(Request::Join(required.clone()));
    world.stable(&[join("1")]);
    let full = refusal(GroupError::GroupMaxSizeReached, "");
    assert_eq!(world.told(Request::Join(join("3"))), full);
    assert_eq!(world.told(Request::Join(again(&required))), full);
    assert!(
        world.coordinator.groups["g"].pending.is_empty(),
        "the id given out is gone"
    );
    assert_eq!(world.state("g"), Some(GroupState::Stable));
}

#[test]
fn a_group_above_its_bound_keeps_those_that_join_first() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    world.coordinator.settings.members_max = 1;
    let (first, effects) = world.ask(Request::Join(again(&join("1"))));
    assert_eq!(effects, []);
    let (second, effects) = world.ask(Request::Join(again(&join("2"))));
    let expected = [
        answered(second, refusal(GroupError::GroupMaxSizeReached, "")),
        answered(first, leads(2, "c-1", &[("c-1", None)])),
    ];
    assert_eq!(effects, expected, "nobody else is waited for");
}

#[test]
fn ids_given_out_are_bounded() {
    let mut world = World::new();
    let required = |unique: &str| Join {
        member_id_required: true,
        ..join(unique)
    };
    world.told(Request::Join(required("0")));
    let group = world.coordinator.groups.get_mut("g").expect("made");
    group.pending.extend((1..PENDING_MEMBERS_MAX).map(|id| id.to_string()));
    let mut effects = Vec::new();
    let request = Request::Join(required("x"));
    let id = RequestId(9);
    world
        .coordinator
        .step(world.now, Event::Request { id, request }, &mut effects);
    assert_eq!(effects, [answered(id, refusal(GroupError::GroupMaxSizeReached, ""))]);
}

#[test]
fn groups_are_bounded() {
    let mut world = World::with(Settings {
        groups_max: 1,
        ..Settings::default()
    });
    world.stable(&[join("1")]);
    let other = Join {
        group: "h".into(),
        ..join("2")
    };
    assert_eq!(
        world.told(Request::Join(other)),
        refusal(GroupError::GroupMaxSizeReached, "")
    );
    let other = CommitOffsets {
        group: "h".into(),
        ..commit(&[(0, 1)])
    };
    let refused = Answer::Committed(vec![Err(GroupError::GroupMaxSizeReached)]);
    assert_eq!(world.told(Request::CommitOffsets(other)), refused);
}

#[test]
fn a_new_member_whose_first_rebalance_takes_too_long_joins_again() {
    let mut world = World::new();
    let slow = Join {
        rebalance_timeout_ms: 900_000,
        session_timeout_ms: 1_000_000,
        ..join("1")
    };
    world.stable(&[slow]);
    let (id, effects) = world.ask(Request::Join(join("2")));
    assert_eq!(effects, []);
    assert_eq!(world.pass(secs(299)), []);
    assert_eq!(
        world.pass(secs(1)),
        [answered(id, refusal(GroupError::UnknownMemberId, ""))]
    );
}
