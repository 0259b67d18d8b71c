//! An answer as it can be compared: symbols for ids, masks for what differs from run to run, lists in one order.
//!
//! Symbols belong to one block of one side: a topic id becomes the name it was handed out for, producer ids, sessions
//! and members are counted in order of appearance.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::codec::unhex;
use super::records::describe;

/// What an id or a time is replaced by.
const MASK: &str = "*";
/// Left out of every answer: it depends on the load.
const DROPPED: &[&str] = &["ThrottleTimeMs"];
/// Texts for people, of which only the presence counts.
const TEXTS: &[&str] = &["ErrorMessage", "BatchIndexErrorMessage", "Documentation"];
/// Where a broker is; that it says nothing is kept.
const PLACES: &[&str] = &["ClusterId", "Host", "LogDir"];
/// Numbers of a broker's own counting; -1 says that there is none, as 0 of a port does, and is kept.
const COUNTED: &[&str] = &[
    "LogAppendTimeMs",
    "CoordinatorEpoch",
    "Port",
    "TotalBytes",
    "UsableBytes",
    "PartitionSize",
];
/// APIs whose lists have a meaningful order.
const ORDERED: &[&str] = &["Fetch", "DescribeTopicPartitions"];
/// Settings whose values belong to one node.
const NODE_SETTINGS: &[&str] = &["log.dirs", "log.dir", "listeners", "advertised.listeners"];
/// Zero, which is no topic's id.
const ZERO_ID: &str = "00000000000000000000000000000000";
/// Length of the tail of member ids that a broker makes up.
const UUID_CHARS: usize = 36;

/// The symbols of one block.
#[derive(Default)]
pub(crate) struct Symbols {
    topics: BTreeMap<String, String>,
    producers: Vec<i64>,
    sessions: Vec<i64>,
    members: Vec<String>,
}

fn place<T: PartialEq>(known: &mut Vec<T>, value: T) -> usize {
    known.iter().position(|seen| *seen == value).unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    }) + 1
}

impl Symbols {
    /// Remembers which topic an id was handed out for.
    pub(crate) fn learn_topic(&mut self, id: &str, name: &str) {
        if id == ZERO_ID || self.topics.contains_key(id) {
            return;
        }
        let again = self
            .topics
            .values()
            .filter(|symbol| symbol.starts_with(&format!("id of {name}#")))
            .count();
        self.topics.insert(id.to_owned(), format!("id of {name}#{}", again + 1));
    }

    fn producer(&mut self, id: i64) -> String {
        if id < 0 {
            id.to_string()
        } else {
            format!("P{}", place(&mut self.producers, id))
        }
    }

    fn member(&mut self, id: &str) -> Value {
        let known = self.members.iter().any(|member| member == id);
        let tail = id.len().checked_sub(UUID_CHARS).and_then(|at| id.get(at..));
        let handed_out = tail.is_some_and(|tail| tail.chars().filter(|c| *c == '-').count() == 4);
        if !known && !handed_out {
            return Value::from(id);
        }
        let prefix = &id[..id.len().saturating_sub(UUID_CHARS)];
        Value::from(format!("{prefix}M{}", place(&mut self.members, id.to_owned())))
    }
}

/// An answer in its comparable form.
pub(crate) fn normalise(api: &str, answer: &Value, symbols: &mut Symbols) -> Value {
    match answer {
        Value::Object(fields) => Value::Object(object(api, fields, symbols)),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| normalise(api, item, symbols)).collect();
            if !ORDERED.contains(&api) && items.iter().all(Value::is_object) {
                items.sort_by_key(sort_key);
            }
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// Fields that tell the elements of a list apart.
const KEYS: &[&str] = &[
    "Name",
    "Topic",
    "TopicName",
    "TopicId",
    "GroupId",
    "ResourceName",
    "MemberId",
    "NodeId",
    "BrokerId",
    "Index",
    "PartitionIndex",
    "PartitionId",
    "Partition",
    "Key",
    "ApiKey",
    "ProducerId",
    "BatchIndex",
];

/// What names an element of a list, if anything does.
pub(crate) fn key_of(item: &Value) -> Option<String> {
    let named = |key: &&str| match item.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    KEYS.iter().find_map(named)
}

fn sort_key(item: &Value) -> (Option<String>, String) {
    (key_of(item), item.to_string())
}

fn object(api: &str, fields: &Map<String, Value>, symbols: &mut Symbols) -> Map<String, Value> {
    let name = ["Name", "Topic", "TopicName"]
        .iter()
        .find_map(|key| fields.get(*key).and_then(Value::as_str));
    if let (Some(name), Some(id)) = (name, fields.get("TopicId").and_then(Value::as_str))
        && !name.is_empty()
    {
        symbols.learn_topic(id, name);
    }
    let node_setting = name.is_some_and(|name| NODE_SETTINGS.contains(&name));
    let mut out = Map::new();
    for (key, value) in fields {
        let key = key.as_str();
        if DROPPED.contains(&key) {
            continue;
        }
        let value = match value {
            Value::Object(_) | Value::Array(_) => normalise(api, value, symbols),
            Value::String(text) if key == "Value" && node_setting => {
                Value::from(format!("{MASK}{}", text.len().min(1)))
            }
            Value::String(text) => string(key, text, symbols),
            Value::Number(number) => integer(key, number.as_i64().unwrap_or(0), symbols),
            other => other.clone(),
        };
        out.insert(key.to_owned(), value);
    }
    out
}

fn string(key: &str, text: &str, symbols: &mut Symbols) -> Value {
    match key {
        _ if TEXTS.contains(&key) => Value::from(if text.is_empty() { "" } else { "text" }),
        _ if PLACES.contains(&key) => Value::from(if text.is_empty() { "" } else { MASK }),
        "TopicId" => Value::from(match symbols.topics.get(text) {
            Some(symbol) => symbol.clone(),
            None if text == ZERO_ID => "0".to_owned(),
            None => text.to_owned(),
        }),
        "MemberId" | "Leader" => symbols.member(text),
        "Records" => {
            let bytes = unhex(text).unwrap_or_default();
            Value::from(describe(&bytes, |id| symbols.producer(id)))
        }
        _ => Value::from(text),
    }
}

fn integer(key: &str, number: i64, symbols: &mut Symbols) -> Value {
    match key {
        _ if COUNTED.contains(&key) && number >= i64::from(key == "Port") => Value::from(MASK),
        "ProducerId" => Value::from(symbols.producer(number)),
        "SessionId" if number > 0 => Value::from(format!("S{}", place(&mut symbols.sessions, number))),
        _ => Value::from(number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_become_symbols_and_lists_get_one_order() {
        let id = "0123456789abcdef0123456789abcdef";
        let answer = json!({"ThrottleTimeMs": 3, "Topics": [
            {"Name": "b", "TopicId": ZERO_ID, "ErrorMessage": "no"},
            {"Name": "a", "TopicId": id, "ErrorMessage": null},
        ]});
        let mut symbols = Symbols::default();
        let expected = json!({"Topics": [
            {"Name": "a", "TopicId": "id of a#1", "ErrorMessage": null},
            {"Name": "b", "TopicId": "0", "ErrorMessage": "text"},
        ]});
        assert_eq!(normalise("Metadata", &answer, &mut symbols), expected);
    }

    #[test]
    fn sessions_and_producers_are_counted_and_their_absence_is_kept() {
        let mut symbols = Symbols::default();
        let mut check = |given: Value, expected: Value| assert_eq!(normalise("Fetch", &given, &mut symbols), expected);
        check(
            json!({"SessionId": 77, "ProducerId": 4000}),
            json!({"SessionId": "S1", "ProducerId": "P1"}),
        );
        check(
            json!({"SessionId": 0, "ProducerId": -1}),
            json!({"SessionId": 0, "ProducerId": "-1"}),
        );
        check(
            json!({"SessionId": 78, "ProducerId": 4000}),
            json!({"SessionId": "S2", "ProducerId": "P1"}),
        );
    }
}
