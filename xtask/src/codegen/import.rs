//! Turns Kafka's own JSON definitions into the compact form, as the union of two releases.
//!
//! The older release still has versions that the newer one removed. A version that both know takes
//! the newer one's word; a version of the older one alone takes the older one's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::definition::{Field, Kind, Message, Structure, Type, Versions};

/// Messages that travel between servers only, or that belong to neither a client nor a coordinator.
const NOT_IMPORTED: &[&str] = &[
    "AddRaftVoter",
    "AllocateProducerIds",
    "AlterPartitionRequest",
    "AlterPartitionResponse",
    "AssignReplicasToDirs",
    "BeginQuorumEpoch",
    "BrokerHeartbeat",
    "BrokerRegistration",
    "ControlRecordTypeSchema",
    "ControlledShutdown",
    "ControllerRegistration",
    "DefaultPrincipalData",
    "DeleteShareGroupState",
    "EndQuorumEpoch",
    "Envelope",
    "FetchSnapshot",
    "InitializeShareGroupState",
    "KRaftVersionRecord",
    "LeaderAndIsr",
    "LeaderChangeMessage",
    "ListClientMetricsResources",
    "ReadShareGroupState",
    "RemoveRaftVoter",
    "RequestHeader",
    "ResponseHeader",
    "ShareGroupCurrentMember",
    "ShareGroupMember",
    "ShareGroupMetadata",
    "ShareGroupState",
    "ShareGroupTarget",
    "SnapshotFooterRecord",
    "SnapshotHeaderRecord",
    "StopReplica",
    "StreamsGroupCurrentMember",
    "StreamsGroupMember",
    "StreamsGroupMetadata",
    "StreamsGroupTarget",
    "StreamsGroupTopology",
    "UpdateMetadata",
    "UpdateRaftVoter",
    "Vote",
    "WriteShareGroupState",
];

/// Reads the definitions below `older` and `newer` and returns their union by file of the compact form.
pub(crate) fn import(older: &[PathBuf], newer: &[PathBuf]) -> Result<BTreeMap<String, String>> {
    let mut older = read_all(older)?;
    // An unstable API was dropped by its request; its response carries no such mark.
    let requests: Vec<String> = older.keys().filter(|name| name.ends_with("Request")).cloned().collect();
    older.retain(|name, _| {
        let api = name.strip_suffix("Response");
        api.is_none_or(|api| requests.contains(&format!("{api}Request")))
    });
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (name, message) in read_all(newer)? {
        let merged = match older.get(&name) {
            Some(old) => merge(old, &message).with_context(|| format!("union of {name}"))?,
            None => message,
        };
        let text = files.entry(file_of(&merged)).or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&merged.to_string());
    }
    Ok(files)
}

fn file_of(message: &Message) -> String {
    let stem = match message.kind {
        Kind::Request | Kind::Response => {
            let name = &message.name;
            name.strip_suffix("Request")
                .or(name.strip_suffix("Response"))
                .unwrap_or(name)
        }
        Kind::Data => "data",
        Kind::Key | Kind::Value if message.name.starts_with("Transaction") => "transaction_state",
        Kind::Key | Kind::Value => "consumer_offsets",
    };
    format!("{}.txt", super::names::snake(stem))
}

fn read_all(folders: &[PathBuf]) -> Result<BTreeMap<String, Message>> {
    let mut messages = BTreeMap::new();
    for folder in folders {
        for path in json_files(folder)? {
            let text = std::fs::read_to_string(&path)?;
            let value: Value =
                serde_json::from_str(&without_comments(&text)).with_context(|| format!("{}", path.display()))?;
            let message = message(&value).with_context(|| format!("{}", path.display()))?;
            messages.extend(message.map(|message| (message.name.clone(), message)));
        }
    }
    Ok(messages)
}

/// Finds `*.json` in the folder itself or below `common/message` in it, as an unpacked jar has them.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let inner = folder.join("common/message");
    let folder = if inner.is_dir() { inner.as_path() } else { folder };
    let mut paths = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    ensure!(!paths.is_empty(), "no definitions in {}", folder.display());
    paths.sort();
    Ok(paths)
}

/// Removes `//` comments; quotes are respected because prose contains addresses.
fn without_comments(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for line in text.lines() {
        let (mut quoted, mut previous) = (false, ' ');
        for c in line.chars() {
            if c == '"' && previous != '\\' {
                quoted = !quoted;
            }
            if c == '/' && previous == '/' && !quoted {
                clean.pop();
                break;
            }
            clean.push(c);
            previous = c;
        }
        clean.push('\n');
    }
    clean
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no {key:?}"))
}

fn message(value: &Value) -> Result<Option<Message>> {
    let name = text(value, "name")?;
    let Some(kind) = Kind::parse(text(value, "type")?) else {
        return Ok(None);
    };
    let Some(mut versions) = Versions::parse(text(value, "validVersions")?)? else {
        return Ok(None);
    };
    if NOT_IMPORTED.iter().any(|prefix| name.starts_with(prefix)) {
        return Ok(None);
    }
    let unstable = value["latestVersionUnstable"].as_bool().unwrap_or(false);
    if unstable && versions.first == versions.last {
        // An API of which no version was ever stable: a later release redefined it.
        return Ok(None);
    }
    let flexible = Versions::parse(text(value, "flexibleVersions")?)?;
    if let Some(flexible) = flexible {
        ensure!(flexible.last == i16::MAX, "flexible versions end");
    }
    versions.last = versions.last.min(i16::MAX - 1);
    let structures = value["commonStructs"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(Some(Message {
        kind,
        name: name.to_owned(),
        key: value["apiKey"].as_i64().map(i16::try_from).transpose()?,
        versions,
        flexible,
        unstable,
        fields: fields(&value["fields"], versions)?,
        structures: structures
            .iter()
            .map(|item| structure(item, versions))
            .collect::<Result<_>>()?,
    }))
}

fn structure(value: &Value, valid: Versions) -> Result<Structure> {
    Ok(Structure {
        name: text(value, "name")?.to_owned(),
        versions: Versions::parse(text(value, "versions")?)?.context("a structure has versions")?,
        fields: fields(&value["fields"], valid)?,
    })
}

fn fields(value: &Value, valid: Versions) -> Result<Vec<Field>> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(|item| field(item, valid)).collect()
}

fn field(value: &Value, valid: Versions) -> Result<Field> {
    let name = text(value, "name")?;
    let tagged = match value["taggedVersions"].as_str() {
        Some(versions) => Versions::parse(versions)?,
        None => None,
    };
    // A tagged field may leave out its versions: they are those of its tag.
    let versions = match value["versions"].as_str() {
        Some(versions) => Versions::parse(versions)?,
        None => tagged,
    };
    let versions = versions.with_context(|| format!("{name} has no versions"))?;
    if let Some(tagged) = tagged {
        let same = tagged.intersect(valid) == versions.intersect(valid);
        ensure!(same, "{name} is tagged at {tagged} and exists at {versions}");
    }
    Ok(Field {
        name: name.to_owned(),
        kind: Type::parse(text(value, "type")?)?,
        versions,
        nullable: value["nullableVersions"].as_str().map_or(Ok(None), Versions::parse)?,
        tag: tagged.map(|_| number(&value["tag"])).transpose()?,
        default: default(&value["default"], text(value, "type")?)?,
        ignorable: value["ignorable"].as_bool().unwrap_or(false),
        fields: fields(&value["fields"], valid)?,
    })
}

fn number(value: &Value) -> Result<u32> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().with_context(|| format!("tag {text}"))
}

/// The default in one spelling, or `None` where it is the type's own.
fn default(value: &Value, kind: &str) -> Result<Option<String>> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16)?.to_string(),
        None => text,
    };
    let own = match kind {
        "bool" => "false",
        "string" | "bytes" => "",
        _ => "0",
    };
    Ok((text != own).then_some(text))
}

fn merge(old: &Message, new: &Message) -> Result<Message> {
    ensure!(old.key == new.key && old.kind == new.kind, "the two differ in kind");
    if old.versions.first >= new.versions.first {
        return Ok(new.clone());
    }
    ensure!(
        old.versions.last + 1 >= new.versions.first,
        "a gap between the releases"
    );
    ensure!(
        old.flexible.is_none() || old.flexible == new.flexible,
        "flexible versions moved"
    );
    let span = Spans {
        old: Versions {
            first: old.versions.first,
            last: new.versions.first - 1,
        },
        new: new.versions,
    };
    let mut structures = new.structures.clone();
    for structure in &mut structures {
        if let Some(before) = old.structures.iter().find(|other| other.name == structure.name) {
            structure.fields = merge_fields(&before.fields, &structure.fields, span)?;
            structure.versions.first = structure.versions.first.min(before.versions.first);
        }
    }
    for before in &old.structures {
        ensure!(
            structures.iter().any(|structure| structure.name == before.name),
            "structure {} is gone",
            before.name
        );
    }
    Ok(Message {
        versions: Versions {
            first: old.versions.first,
            last: new.versions.last,
        },
        fields: merge_fields(&old.fields, &new.fields, span)?,
        structures,
        ..new.clone()
    })
}

/// The versions that take the older definition's word, and those that take the newer one's.
#[derive(Clone, Copy)]
struct Spans {
    old: Versions,
    new: Versions,
}

fn merge_fields(old: &[Field], new: &[Field], spans: Spans) -> Result<Vec<Field>> {
    let mut merged: Vec<Field> = Vec::new();
    for field in new {
        let before = old.iter().find(|other| other.name == field.name);
        merged.extend(merge_field(before, Some(field), spans)?);
    }
    for (index, field) in old.iter().enumerate() {
        if new.iter().any(|other| other.name == field.name) {
            continue;
        }
        let Some(field) = merge_field(Some(field), None, spans)? else {
            continue;
        };
        // It goes behind its predecessor of the older definition, to keep the order of the wire.
        let place = old[..index]
            .iter()
            .rev()
            .find_map(|previous| merged.iter().position(|other| other.name == previous.name));
        merged.insert(place.map_or(0, |place| place + 1), field);
    }
    check_order(old, &merged, spans.old)?;
    check_order(new, &merged, spans.new)?;
    Ok(merged)
}

fn check_order(of: &[Field], merged: &[Field], span: Versions) -> Result<()> {
    for version in span.first..=span.last {
        let names = |fields: &[Field]| -> Vec<String> {
            let present = fields.iter().filter(|field| field.versions.contains(version));
            present.map(|field| field.name.clone()).collect()
        };
        ensure!(names(of) == names(merged), "order of fields at version {version}");
    }
    Ok(())
}

fn merge_field(old: Option<&Field>, new: Option<&Field>, spans: Spans) -> Result<Option<Field>> {
    let versions = join(
        old.and_then(|field| field.versions.intersect(spans.old)),
        new.and_then(|field| field.versions.intersect(spans.new)),
        spans,
    )?;
    let Some(base) = new.or(old) else {
        bail!("a field of neither")
    };
    let Some(versions) = versions else { return Ok(None) };
    let nullable = join(
        old.and_then(|field| field.nullable)
            .and_then(|range| range.intersect(spans.old)),
        new.and_then(|field| field.nullable)
            .and_then(|range| range.intersect(spans.new)),
        spans,
    )?;
    if let (Some(old), Some(new)) = (old, new) {
        ensure!(
            old.kind == new.kind && old.tag == new.tag,
            "{} changed its type",
            new.name
        );
    }
    let none = Vec::new();
    let fields = merge_fields(
        old.map_or(&none, |field| &field.fields),
        new.map_or(&none, |field| &field.fields),
        spans,
    )?;
    Ok(Some(Field {
        versions,
        nullable,
        fields,
        ..base.clone()
    }))
}

/// Joins what two definitions say about one property; the result has to be one range.
fn join(old: Option<Versions>, new: Option<Versions>, spans: Spans) -> Result<Option<Versions>> {
    let joined = match (old, new) {
        (Some(old), Some(new)) => {
            ensure!(old.last + 1 == new.first, "versions {old} and {new} are not adjacent");
            Some(Versions {
                first: old.first,
                last: new.last,
            })
        }
        (one, other) => one.or(other),
    };
    // Open ends stay open, so that a new version of the message needs no edit of every field.
    Ok(joined.map(|range| {
        let last = if range.last == spans.new.last {
            i16::MAX
        } else {
            range.last
        };
        Versions {
            first: range.first,
            last,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_quoted_slashes_stay() {
        let clean = without_comments("{ \"a\": \"x//y\", // why\n// all of it\n\"b\": 1 }");
        let value: Value = serde_json::from_str(&clean).expect("comments are gone");
        assert_eq!(value["a"], "x//y");
    }

    #[test]
    fn the_union_has_the_versions_of_both() {
        let parse = |json: &str| {
            let value: Value = serde_json::from_str(json).expect("valid JSON");
            message(&value).expect("a definition").expect("an imported kind")
        };
        let old = parse(
            r#"{"name":"ARequest","type":"request","apiKey":1,"validVersions":"0-2",
            "flexibleVersions":"2+","fields":[{"name":"Old","type":"int8","versions":"0"},
            {"name":"Both","type":"int8","versions":"0+"}]}"#,
        );
        let new = parse(
            r#"{"name":"ARequest","type":"request","apiKey":1,"validVersions":"1-3",
            "flexibleVersions":"2+","fields":[{"name":"Both","type":"int8","versions":"0-2"},
            {"name":"New","type":"int8","versions":"3+"}]}"#,
        );
        let text = merge(&old, &new).expect("they fit").to_string();
        assert_eq!(
            text,
            "request ARequest key=1 versions=0-3 flexible=2+\n  Old int8 0\n  Both int8 0-2\n  New int8 3+\n"
        );
    }
}
