//! The range assignor: each topic's partitions are cut into as many consecutive pieces as there are members.
//!
//! Kafka's own consumers come to the same result, so that a group may mix them with this client's.

use std::collections::BTreeMap;

/// A member of a group, as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its static name, which decides its place before the id does.
    pub instance_id: Option<String>,
    /// What it subscribes to.
    pub topics: Vec<String>,
}

/// Topic to partitions.
pub type Assignment = BTreeMap<String, Vec<i32>>;

/// Gives every partition to one member; `partitions` names those of every subscribed topic in order.
#[must_use]
pub fn range(members: &[Member], partitions: &BTreeMap<String, Vec<i32>>) -> BTreeMap<String, Assignment> {
    let mut assigned: BTreeMap<String, Assignment> = members
        .iter()
        .map(|member| (member.id.clone(), Assignment::new()))
        .collect();
    for (topic, partitions) in partitions {
        let mut readers: Vec<&Member> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        // Static members come first, by their names; the others follow, by their ids.
        readers.sort_by_key(|member| {
            (
                member.instance_id.is_none(),
                member.instance_id.clone(),
                member.id.clone(),
            )
        });
        let Some(least) = partitions.len().checked_div(readers.len()) else {
            continue;
        };
        let with_one_more = partitions.len() % readers.len();
        let mut rest = partitions.as_slice();
        for (place, member) in readers.iter().enumerate() {
            let (piece, after) = rest.split_at(least + usize::from(place < with_one_more));
            rest = after;
            if let Some(assignment) = assigned.get_mut(&member.id).filter(|_| !piece.is_empty()) {
                assignment.insert(topic.clone(), piece.to_vec());
            }
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, instance_id: Option<&str>) -> Member {
        Member {
            id: id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            topics: vec!["t".to_owned()],
        }
    }

    #[test]
    fn pieces_are_consecutive_and_the_first_members_get_one_more() {
        let check = |members: &[Member], partitions: i32, expected: &[(&str, &[i32])]| {
            let topics = BTreeMap::from([("t".to_owned(), (0..partitions).collect())]);
            let assigned = range(members, &topics);
            for (id, pieces) in expected {
                let found = assigned[*id].get("t").map_or(&[][..], Vec::as_slice);
                assert_eq!(found, *pieces, "{id} of {members:?}");
            }
        };
        let (a, b) = (member("a", None), member("b", None));
        check(&[b.clone(), a.clone()], 3, &[("a", &[0, 1]), ("b", &[2])]);
        check(&[a.clone(), b], 1, &[("a", &[0]), ("b", &[])]);
        check(&[a, member("z", Some("i"))], 2, &[("z", &[0]), ("a", &[1])]);
        check(&[], 2, &[]);
    }
}
