//! Leaving.

use super::*;

fn leaves(member_id: &str, instance_id: Option<&str>) -> LeavingMember {
    LeavingMember {
        member_id: member_id.into(),
        instance_id: instance_id.map(Into::into),
    }
}

fn all(members: &[LeavingMember]) -> Request {
    Request::Leave(Leave {
        group: "g".into(),
        members: members.to_vec(),
    })
}

#[test]
fn several_leave_in_one_rebalance() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2"), static_join("i", "3"), static_join("j", "4")]);
    let (id, effects) = world.ask(all(&[
        leaves("c-2", None),
        leaves("", Some("i")),
        leaves("j-4", Some("j")),
        leaves("j-4", Some("x")),
        leaves("c-9", None),
    ]));
    let unknown = Err(GroupError::UnknownMemberId);
    let told = Answer::Left(Ok(vec![Ok(()), Ok(()), Ok(()), unknown, unknown]));
    assert_eq!(effects, [answered(id, told)]);
    assert_eq!(world.state("g"), Some(GroupState::PreparingRebalance));
    let alone = leads(2, "c-1", &[("c-1", None)]);
    assert_eq!(
        world.told(Request::Join(again(&join("1")))),
        alone,
        "one generation later"
    );
}

#[test]
fn the_last_to_leave_is_answered_from_the_log() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    let (id, ticket, rows) = world.appended(leave(&["c-1", "c-2"]));
    assert_eq!(group_row(&rows).generation, 2);
    assert_eq!(world.state("g"), Some(GroupState::Empty));
    assert_eq!(
        world.commit(ticket),
        [answered(id, Answer::Left(Ok(vec![Ok(()), Ok(())])))]
    );

    world.stable(&[join("3")]);
    let (id, ticket, _) = world.appended(leave(&["c-3"]));
    let refused = Answer::Left(Err(GroupError::NotAvailable));
    assert_eq!(world.fail(ticket), [answered(id, refused)]);
}

#[test]
fn the_last_member_may_leave_while_an_id_is_given_out() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    let required = Join {
        member_id_required: true,
        ..join("2")
    };
    world.told(Request::Join(required.clone()));
    let (_, ticket, _) = world.appended(leave(&["c-1"]));
    world.commit(ticket);
    assert_eq!(world.state("g"), Some(GroupState::Empty));
    let (id, effects) = world.ask(Request::Join(again(&required)));
    assert_eq!(effects, []);
    assert_eq!(world.pass(secs(3)), [answered(id, leads(3, "c-2", &[("c-2", None)]))]);
}

#[test]
fn an_id_given_out_is_given_back_and_no_longer_waited_for() {
    let mut world = World::new();
    world.stable(&[join("1")]);
    world.told(Request::Join(Join {
        member_id_required: true,
        ..join("2")
    }));
    let (waiting, effects) = world.ask(Request::Join(again(&join("1"))));
    assert_eq!(effects, []);
    let (id, effects) = world.ask(leave(&["c-2"]));
    let expected = [
        answered(id, Answer::Left(Ok(vec![Ok(())]))),
        answered(waiting, leads(2, "c-1", &[("c-1", None)])),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn a_leaving_member_is_no_longer_waited_for_nor_does_it_wait() {
    let mut world = World::new();
    world.stable(&[join("1"), join("2")]);
    let (waiting, _) = world.ask(Request::Join(again(&join("1"))));
    let (id, effects) = world.ask(leave(&["c-1"]));
    let expected = [
        answered(waiting, refusal(GroupError::UnknownMemberId, "")),
        answered(id, Answer::Left(Ok(vec![Ok(())]))),
    ];
    assert_eq!(effects, expected);
    assert_eq!(
        world.told(Request::Join(again(&join("2")))),
        leads(2, "c-2", &[("c-2", None)])
    );
}

#[test]
fn a_static_member_is_only_itself() {
    let mut world = World::new();
    world.stable(&[static_join("i", "1")]);
    let fenced = Answer::Left(Ok(vec![Err(GroupError::FencedInstanceId)]));
    assert_eq!(world.told(all(&[leaves("other", Some("i"))])), fenced);
}

#[test]
fn groups_that_are_not_there() {
    let mut world = World::new();
    let unknown = Answer::Left(Ok(vec![Err(GroupError::UnknownMemberId)]));
    assert_eq!(world.told(leave(&["c-1"])), unknown);
    let nameless = Request::Leave(Leave::default());
    assert_eq!(world.told(nameless), Answer::Left(Err(GroupError::InvalidGroupId)));
}
