//! docs/protocol.md: its tables are written from what each side advertises and from the list of differences; the
//! sweep fails when they are not in step.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::differences::List;
use super::schema::Schema;

/// The versions of every API that a broker advertises, by key.
pub(crate) type Advertised = BTreeMap<i16, (i16, i16)>;

/// Where a generated part begins and ends.
const MARKS: [(&str, &str); 3] = [
    (
        "<!-- served: written by cargo xtask api-sweep --docs -->",
        "<!-- end of served -->",
    ),
    (
        "<!-- absent: written by cargo xtask api-sweep --docs -->",
        "<!-- end of absent -->",
    ),
    (
        "<!-- differences: written by cargo xtask api-sweep --docs -->",
        "<!-- end of differences -->",
    ),
];

/// Why an API of Kafka is not served. An API without a line here fails the sweep.
const ABSENT: &[(&str, &[&str])] = &[
    (
        "transactions are not there yet; idempotent producers work without them",
        &[
            "AddPartitionsToTxn",
            "AddOffsetsToTxn",
            "EndTxn",
            "WriteTxnMarkers",
            "TxnOffsetCommit",
            "DescribeTransactions",
            "ListTransactions",
        ],
    ),
    (
        "there are no users, access control lists or quotas yet: every client may do everything",
        &[
            "SaslHandshake",
            "SaslAuthenticate",
            "DescribeAcls",
            "CreateAcls",
            "DeleteAcls",
            "CreateDelegationToken",
            "RenewDelegationToken",
            "ExpireDelegationToken",
            "DescribeDelegationToken",
            "DescribeUserScramCredentials",
            "AlterUserScramCredentials",
            "DescribeClientQuotas",
            "AlterClientQuotas",
        ],
    ),
    (
        "there is no feature that is switched on by version",
        &["UpdateFeatures"],
    ),
    (
        "one node has no other to unregister, to add or to remove",
        &["UnregisterBroker", "AddRaftVoter", "RemoveRaftVoter"],
    ),
    (
        "the consumer group protocol of KIP-848 is not there yet; consumers use the classic one",
        &["ConsumerGroupHeartbeat", "ConsumerGroupDescribe"],
    ),
    (
        "share groups are not there yet",
        &[
            "ShareGroupHeartbeat",
            "ShareGroupDescribe",
            "ShareFetch",
            "ShareAcknowledge",
            "DescribeShareGroupOffsets",
            "AlterShareGroupOffsets",
            "DeleteShareGroupOffsets",
        ],
    ),
    (
        "the streams rebalance protocol of KIP-1071 is not there yet; Kafka Streams uses the classic one",
        &["StreamsGroupHeartbeat", "StreamsGroupDescribe"],
    ),
    (
        "clients push no metrics; they learn from the absence that nobody wants them",
        &["GetTelemetrySubscriptions", "PushTelemetry"],
    ),
];

/// What each broker advertises: Kafka 3.9, Kafka 4.3, hallows.
pub(crate) struct Ranges {
    pub(crate) kafka: [Advertised; 2],
    pub(crate) hallows: Advertised,
}

/// Writes what both Kafkas advertise of the APIs that there are definitions of: not those of servers among themselves.
pub(crate) fn save_versions(path: &Path, schema: &Schema, kafka: &[Advertised; 2]) -> Result<()> {
    let mut text =
        "# Versions advertised by Apache Kafka 3.9 and 4.3; written by cargo xtask api-sweep --live.\n".to_owned();
    let known = |key: &i16| schema.all().any(|api| api.key == *key);
    for key in keys(kafka.iter()).into_iter().filter(known) {
        let range = |side: &Advertised| {
            side.get(&key)
                .map_or("-".to_owned(), |(min, max)| format!("{min}..{max}"))
        };
        text += &format!(
            "{key} {} {} {}\n",
            name(schema, key),
            range(&kafka[0]),
            range(&kafka[1])
        );
    }
    std::fs::write(path, text)?;
    Ok(())
}

/// Reads it back.
pub(crate) fn load_versions(path: &Path) -> Result<[Advertised; 2]> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut kafka = [Advertised::new(), Advertised::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [key, _, ranges @ ..] = words.as_slice() else {
            bail!("{line:?} is no line of versions")
        };
        for (side, range) in kafka.iter_mut().zip(ranges) {
            if let Some((min, max)) = range.split_once("..") {
                side.insert(key.parse()?, (min.parse()?, max.parse()?));
            }
        }
    }
    Ok(kafka)
}

fn keys<'a>(sides: impl Iterator<Item = &'a Advertised>) -> Vec<i16> {
    let mut keys: Vec<i16> = sides.flat_map(BTreeMap::keys).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn name(schema: &Schema, key: i16) -> String {
    schema
        .all()
        .find(|api| api.key == key)
        .map_or_else(|| key.to_string(), |api| api.name.clone())
}

fn range(side: &Advertised, key: i16) -> String {
    match side.get(&key) {
        Some((min, max)) if min == max => min.to_string(),
        Some((min, max)) => format!("{min} to {max}"),
        None => "–".to_owned(),
    }
}

/// Writes the generated parts, or with `check` only says whether they are in step.
pub(crate) fn update(path: &Path, schema: &Schema, ranges: &Ranges, list: &List, check: bool) -> Result<()> {
    let before = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut text = before.clone();
    let parts = [served(schema, ranges), absent(schema, ranges)?, differing(list)];
    for ((begin, end), part) in MARKS.into_iter().zip(parts) {
        let from = text
            .find(begin)
            .with_context(|| format!("no {begin} in {}", path.display()))?
            + begin.len();
        let to = text
            .find(end)
            .with_context(|| format!("no {end} in {}", path.display()))?;
        text.replace_range(from..to, &format!("\n{part}"));
    }
    if check {
        ensure!(
            text == before,
            "docs/protocol.md is not in step with what is served: run `cargo xtask api-sweep --docs` and commit it"
        );
    } else if text != before {
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn served(schema: &Schema, ranges: &Ranges) -> String {
    let mut text =
        "| Key | API | hallows | Kafka 3.9 | Kafka 4.3 | Missing against 4.3 |\n|---|---|---|---|---|---|\n".to_owned();
    for key in ranges.hallows.keys() {
        let missing = match (ranges.hallows.get(key), ranges.kafka[1].get(key)) {
            (Some((our_min, our_max)), Some((min, max))) => {
                let lacking: Vec<String> = (*min..*our_min)
                    .chain(our_max + 1..=*max)
                    .map(|version| version.to_string())
                    .collect();
                if lacking.is_empty() {
                    "nothing".to_owned()
                } else {
                    lacking.join(", ")
                }
            }
            _ => "–".to_owned(),
        };
        text += &format!(
            "| {key} | {} | {} | {} | {} | {missing} |\n",
            name(schema, *key),
            range(&ranges.hallows, *key),
            range(&ranges.kafka[0], *key),
            range(&ranges.kafka[1], *key)
        );
    }
    text
}

fn absent(schema: &Schema, ranges: &Ranges) -> Result<String> {
    let mut text = "| Key | API | Kafka 3.9 | Kafka 4.3 | Why it is not served |\n|---|---|---|---|---|\n".to_owned();
    for key in keys(ranges.kafka.iter()) {
        if ranges.hallows.contains_key(&key) {
            continue;
        }
        let name = name(schema, key);
        let reason = ABSENT.iter().find(|(_, names)| names.contains(&name.as_str()));
        let (reason, _) = reason.with_context(|| format!("{name} is not served, and no reason is given"))?;
        let (older, newer) = (range(&ranges.kafka[0], key), range(&ranges.kafka[1], key));
        text += &format!("| {key} | {name} | {older} | {newer} | {reason} |\n");
    }
    Ok(text)
}

fn differing(list: &List) -> String {
    let mut text = String::new();
    let mut api = String::new();
    for (of, versions, reason) in list.reasons() {
        if of != api {
            text += &format!("\n### {of}\n\n");
            api = of;
        }
        text += &format!("- {versions}: {reason}\n");
    }
    text + "\n"
}
