//! A random walk: whatever clients, the clock and the log do, every request is answered exactly once, a generation's
//! answers go to its members only, and the state is what the log says.

use alloc::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::{DeleteOffsets, Heartbeat};

const GROUPS: [&str; 2] = ["g", "h"];

/// One choice of the walk; the numbers pick among what there is.
#[derive(Clone, Debug)]
enum Move {
    JoinNew {
        group: usize,
        instance: Option<u8>,
        required: bool,
        rebalance_ms: i32,
        cooperative: bool,
    },
    JoinAgain {
        member: usize,
        cooperative: bool,
    },
    Sync {
        member: usize,
    },
    Heartbeat {
        member: usize,
    },
    Leave {
        members: Vec<usize>,
    },
    LeaveInstance {
        group: usize,
        instance: u8,
    },
    Commit {
        member: usize,
        partition: i32,
    },
    CommitOutside {
        group: usize,
        partition: i32,
    },
    DeleteOffsets {
        group: usize,
        partition: i32,
    },
    DeleteGroup {
        group: usize,
    },
    TopicDeleted,
    Land {
        well: bool,
    },
    Pass {
        ms: u64,
    },
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let group = 0..GROUPS.len();
    let member = 0..64_usize;
    let one = prop_oneof![
        6 => (group.clone(), prop::option::of(0..3_u8), any::<bool>(), prop::sample::select(vec![-1, 0, 5000, 60_000]), any::<bool>())
            .prop_map(|(group, instance, required, rebalance_ms, cooperative)| Move::JoinNew { group, instance, required, rebalance_ms, cooperative }),
        6 => (member.clone(), any::<bool>()).prop_map(|(member, cooperative)| Move::JoinAgain { member, cooperative }),
        8 => member.clone().prop_map(|member| Move::Sync { member }),
        2 => member.clone().prop_map(|member| Move::Heartbeat { member }),
        1 => prop::collection::vec(member.clone(), 1..3).prop_map(|members| Move::Leave { members }),
        1 => (group.clone(), 0..3_u8).prop_map(|(group, instance)| Move::LeaveInstance { group, instance }),
        3 => (member, 0..3_i32).prop_map(|(member, partition)| Move::Commit { member, partition }),
        2 => (group.clone(), 0..3_i32).prop_map(|(group, partition)| Move::CommitOutside { group, partition }),
        1 => (group.clone(), 0..3_i32).prop_map(|(group, partition)| Move::DeleteOffsets { group, partition }),
        1 => group.prop_map(|group| Move::DeleteGroup { group }),
        1 => Just(Move::TopicDeleted),
        12 => prop::bool::weighted(0.9).prop_map(|well| Move::Land { well }),
        4 => prop::sample::select(vec![1, 500, 3000, 6000, 20_000, 70_000, 700_000, 800_000_000_u64])
            .prop_map(|ms| Move::Pass { ms }),
        1 => Just(Move::Restart),
    ];
    prop::collection::vec(one, 1..120)
}

/// What a client knows of a member.
#[derive(Clone, Debug)]
struct Client {
    join: Join,
    generation: i32,
}

struct Walk {
    world: World,
    open: BTreeMap<RequestId, Request>,
    clients: BTreeMap<String, Client>,
    appends: VecDeque<(Ticket, Vec<Row>)>,
    log: Vec<Row>,
    unique: u32,
}

impl Walk {
    fn new() -> Self {
        let settings = Settings {
            members_max: 4,
            ..Settings::default()
        };
        Self {
            world: World::with(settings),
            open: BTreeMap::new(),
            clients: BTreeMap::new(),
            appends: VecDeque::new(),
            log: Vec::new(),
            unique: 0,
        }
    }

    fn make(&mut self, step: Move) {
        match step {
            Move::JoinNew {
                group,
                instance,
                required,
                rebalance_ms,
                cooperative,
            } => {
                self.unique += 1;
                let join = Join {
                    group: GROUPS[group].into(),
                    instance_id: instance.map(|instance| alloc::format!("i{instance}")),
                    member_id_required: required,
                    skip_assignment: required,
                    rebalance_timeout_ms: rebalance_ms,
                    protocols: protocols(cooperative),
                    ..join(&self.unique.to_string())
                };
                self.ask(Request::Join(join));
            }
            Move::JoinAgain { member, cooperative } => {
                let Some((_, client)) = self.client(member) else { return };
                let join = Join {
                    protocols: protocols(cooperative),
                    ..client.join
                };
                self.ask(Request::Join(join));
            }
            Move::Sync { member } => {
                let Some((member_id, client)) = self.client(member) else {
                    return;
                };
                let all: Vec<String> = self.clients.keys().cloned().collect();
                let sync = Sync {
                    group: client.join.group,
                    instance_id: client.join.instance_id,
                    ..sync(&member_id, client.generation, &all)
                };
                self.ask(Request::Sync(sync));
            }
            Move::Heartbeat { member } => {
                let Some((member_id, client)) = self.client(member) else {
                    return;
                };
                self.ask(Request::Heartbeat(Heartbeat {
                    group: client.join.group,
                    generation: client.generation,
                    member_id,
                    instance_id: client.join.instance_id,
                }));
            }
            Move::Leave { members } => self.leave(&members),
            Move::LeaveInstance { group, instance } => self.ask(Request::Leave(Leave {
                group: GROUPS[group].into(),
                members: vec![LeavingMember {
                    member_id: String::new(),
                    instance_id: Some(alloc::format!("i{instance}")),
                }],
            })),
            Move::Commit { member, partition } => {
                let Some((member_id, client)) = self.client(member) else {
                    return;
                };
                self.ask(Request::CommitOffsets(CommitOffsets {
                    group: client.join.group,
                    generation: client.generation,
                    member_id,
                    instance_id: client.join.instance_id,
                    ..commit(&[(partition, i64::from(self.unique))])
                }));
            }
            Move::CommitOutside { group, partition } => self.ask(Request::CommitOffsets(CommitOffsets {
                group: GROUPS[group].into(),
                ..commit(&[(partition, i64::from(self.unique))])
            })),
            Move::DeleteOffsets { group, partition } => self.ask(Request::DeleteOffsets(DeleteOffsets {
                group: GROUPS[group].into(),
                partitions: vec![("t".into(), partition)],
            })),
            Move::DeleteGroup { group } => self.ask(Request::Delete {
                group: GROUPS[group].into(),
            }),
            Move::TopicDeleted => {
                let effects = self.world.step(Event::TopicDeleted("t".into()));
                self.follow(effects);
            }
            Move::Land { well } => self.land(well),
            Move::Pass { ms } => {
                let effects = self.world.pass(Duration::from_millis(ms));
                self.follow(effects);
            }
            Move::Restart => self.restart(),
        }
    }

    fn leave(&mut self, members: &[usize]) {
        let Some((_, first)) = self.client(members[0]) else {
            return;
        };
        let members = members.iter().filter_map(|member| self.client(*member));
        let members = members.map(|(member_id, client)| LeavingMember {
            member_id,
            instance_id: client.join.instance_id,
        });
        let leave = Leave {
            group: first.join.group,
            members: members.collect(),
        };
        self.ask(Request::Leave(leave));
    }

    fn client(&self, pick: usize) -> Option<(String, Client)> {
        let count = self.clients.len().max(1);
        let (id, client) = self.clients.iter().nth(pick % count)?;
        Some((id.clone(), client.clone()))
    }

    fn ask(&mut self, request: Request) {
        self.open.insert(RequestId(self.world.requests + 1), request.clone());
        let (_, effects) = self.world.ask(request);
        self.follow(effects);
    }

    fn land(&mut self, well: bool) {
        let Some((ticket, rows)) = self.appends.pop_front() else {
            return;
        };
        let effects = if well {
            self.log.extend(rows);
            self.world.commit(ticket)
        } else {
            self.world.fail(ticket)
        };
        self.follow(effects);
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Append { ticket, rows } => {
                    assert!(!rows.is_empty());
                    self.appends.push_back((ticket, rows));
                }
                Effect::Answer { id, answer } => {
                    let request = self.open.remove(&id).expect("answered once");
                    self.check(&request, answer);
                }
            }
        }
    }

    fn check(&mut self, request: &Request, answer: Answer) {
        match (request, answer) {
            (Request::Join(join), Answer::Joined(joined)) => self.check_join(join, &joined),
            (Request::Sync(sync), Answer::Synced(Ok(synced))) => {
                // What was assigned to a member reaches that member, in the generation that it names.
                let assigned_to = core::str::from_utf8(&synced.assignment).expect("assignments are member ids here");
                assert!(assigned_to.is_empty() || self.is_one_member(sync, assigned_to));
            }
            (Request::CommitOffsets(commit), Answer::Committed(results)) => {
                assert_eq!(results.len(), commit.partitions.len());
            }
            (Request::Leave(leave), Answer::Left(Ok(results))) => assert_eq!(results.len(), leave.members.len()),
            (Request::Sync(_), Answer::Synced(_))
            | (Request::Heartbeat(_), Answer::Heartbeat(_))
            | (Request::Leave(_), Answer::Left(_))
            | (Request::DeleteOffsets(_), Answer::OffsetsDeleted(_))
            | (Request::Delete { .. }, Answer::Deleted(_)) => {}
            (request, answer) => panic!("{answer:?} to {request:?}"),
        }
    }

    /// Whether an id names the member that asks: a static member that came back keeps what its former id was assigned.
    fn is_one_member(&self, sync: &Sync, id: &str) -> bool {
        let same_instance =
            |client: &Client| client.join.group == sync.group && client.join.instance_id == sync.instance_id;
        id == sync.member_id || (sync.instance_id.is_some() && self.clients.get(id).is_some_and(same_instance))
    }

    fn check_join(&mut self, join: &Join, joined: &Joined) {
        let id = &joined.member_id;
        if joined.error.is_none() {
            assert!(join.member_id.is_empty() || join.member_id == *id);
            assert!(joined.generation > 0 && joined.protocol.is_some() && !joined.leader.is_empty());
            assert!(joined.members.is_empty() || joined.leader == *id);
            assert!(joined.members.is_empty() || joined.members.iter().any(|member| member.member_id == *id));
        } else {
            assert_eq!(joined.generation, -1);
        }
        if joined.error.is_none() || joined.error == Some(GroupError::MemberIdRequired) {
            let join = Join {
                member_id: id.clone(),
                ..join.clone()
            };
            let generation = joined.generation;
            self.clients.insert(id.clone(), Client { join, generation });
        }
    }

    /// The process ends: what was on its way is lost, and the log is all there is.
    fn restart(&mut self) {
        self.open.clear();
        self.appends.clear();
        let before = self.world.coordinator.rows();
        let mut world = World::loading(self.world.coordinator.settings.clone());
        world.now = self.world.now;
        world.requests = self.world.requests;
        for row in &self.log {
            world.step(Event::Loaded(row.clone()));
        }
        self.world = world;
        assert_eq!(
            self.world.coordinator.rows(),
            before,
            "the log says what was known to be in it"
        );
        let effects = self.world.step(Event::LoadFinished);
        self.follow(effects);
    }

    fn end(&mut self) {
        for _ in 0..50 {
            while !self.appends.is_empty() {
                self.land(true);
            }
            let effects = self.world.pass(secs(400));
            self.follow(effects);
        }
        while !self.appends.is_empty() {
            self.land(true);
        }
        assert!(self.open.is_empty(), "not answered: {:?}", self.open);
        self.restart();
    }
}

fn protocols(cooperative: bool) -> Vec<(String, Bytes)> {
    let mut protocols = vec![("range".to_string(), subscription(&["t"]))];
    if cooperative {
        protocols.insert(0, ("cooperative-sticky".to_string(), subscription(&["t"])));
    }
    protocols
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered_once_and_the_log_is_the_state(moves in moves()) {
        let mut walk = Walk::new();
        for step in moves {
            walk.make(step);
        }
        walk.end();
    }
}
