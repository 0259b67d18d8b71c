//! A record as the command line shows and reads it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record that was consumed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordView<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970; -1 for none.
    pub(crate) timestamp_ms: i64,
    /// -1 where it is not known.
    pub(crate) leader_epoch: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(String, Option<Vec<u8>>)],
}

/// A record as one line of JSON. What is not text stands in base64 in a field of its own.
#[derive(Serialize)]
struct JsonRecord<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<JsonHeader<'a>>,
}

#[derive(Serialize)]
struct JsonHeader<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// Text where it is text; base64 otherwise.
fn text_or_base64(bytes: Option<&[u8]>) -> (Option<Option<&str>>, Option<String>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (Some(None), None),
        Some((_, Ok(text))) => (Some(Some(text)), None),
        Some((bytes, Err(_))) => (None, Some(BASE64_STANDARD.encode(bytes))),
    }
}

impl RecordView<'_> {
    /// The record as one line of JSON, without the line's end.
    pub(crate) fn to_json(self) -> serde_json::Result<String> {
        let (key, key_base64) = text_or_base64(self.key);
        let (value, value_base64) = text_or_base64(self.value);
        let headers = self.headers.iter().map(|(key, value)| {
            let (value, value_base64) = text_or_base64(value.as_deref());
            JsonHeader {
                key,
                value,
                value_base64,
            }
        });
        serde_json::to_string(&JsonRecord {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp_ms,
            key,
            key_base64,
            value,
            value_base64,
            headers: headers.collect(),
        })
    }
}

/// A record to be produced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct InputRecord {
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonInput {
    partition: Option<i32>,
    timestamp: Option<i64>,
    #[serde(default)]
    key: Value,
    key_base64: Option<String>,
    #[serde(default)]
    value: Value,
    value_base64: Option<String>,
    #[serde(default)]
    headers: JsonInputHeaders,
    /// What `consume --output json` prints may be sent on; where it came from does not matter then.
    #[serde(rename = "topic")]
    _topic: Option<String>,
    #[serde(rename = "offset")]
    _offset: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonInputHeaders {
    List(Vec<JsonInputHeader>),
    Map(serde_json::Map<String, Value>),
}

impl Default for JsonInputHeaders {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Deserialize)]
struct JsonInputHeader {
    key: String,
    #[serde(default)]
    value: Value,
    value_base64: Option<String>,
}

impl InputRecord {
    /// Reads a JSON object. Values that are not text are sent as their JSON text.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn from_json(text: &[u8]) -> Result<Self, String> {
        let input: JsonInput = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let headers = match input.headers {
            JsonInputHeaders::List(list) => list
                .into_iter()
                .map(|header| Ok((header.key, bytes_of(header.value, header.value_base64)?)))
                .collect::<Result<_, String>>()?,
            JsonInputHeaders::Map(map) => map
                .into_iter()
                .map(|(key, value)| Ok((key, bytes_of(value, None)?)))
                .collect::<Result<_, String>>()?,
        };
        Ok(Self {
            partition: input.partition,
            timestamp_ms: input.timestamp,
            key: bytes_of(input.key, input.key_base64)?,
            value: bytes_of(input.value, input.value_base64)?,
            headers,
        })
    }
}

fn bytes_of(value: Value, base64: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (value, base64) {
        (Value::Null, None) => Ok(None),
        (Value::Null, Some(text)) => BASE64_STANDARD
            .decode(text)
            .map(Some)
            .map_err(|error| format!("not base64: {error}")),
        (_, Some(_)) => Err("both as text and as base64: give one of them".to_owned()),
        (Value::String(text), None) => Ok(Some(text.into_bytes())),
        (other, None) => Ok(Some(other.to_string().into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_sent_on() {
        let headers = vec![
            ("trace".to_owned(), Some(b"1".to_vec())),
            ("none".to_owned(), None),
            ("raw".to_owned(), Some(vec![0xff])),
        ];
        let view = RecordView {
            topic: "greetings",
            partition: 2,
            offset: 7,
            timestamp_ms: 1_767_225_600_000,
            leader_epoch: 0,
            key: Some(&[0xc3, 0x28]),
            value: Some(b"hello \"you\""),
            headers: &headers,
        };
        let json = view.to_json().expect("it is plain data");
        assert_eq!(
            json,
            r#"{"topic":"greetings","partition":2,"offset":7,"timestamp":1767225600000,"key_base64":"wyg=","value":"hello \"you\"","headers":[{"key":"trace","value":"1"},{"key":"none","value":null},{"key":"raw","value_base64":"/w=="}]}"#
        );
        let input = InputRecord::from_json(json.as_bytes()).expect("our own output");
        assert_eq!(input.key.as_deref(), view.key);
        assert_eq!(input.value.as_deref(), view.value);
        assert_eq!(input.headers, headers);
        assert_eq!(
            (input.partition, input.timestamp_ms),
            (Some(2), Some(1_767_225_600_000))
        );
    }

    fn check_value(json: &str, expected: Result<Option<&str>, &str>) {
        match (InputRecord::from_json(json.as_bytes()), expected) {
            (Ok(record), Ok(value)) => assert_eq!(record.value.as_deref(), value.map(str::as_bytes), "{json}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{json}: {error}"),
            (got, _) => panic!("{json}: {got:?}"),
        }
    }

    #[test]
    fn input_is_lenient_about_values_and_strict_about_names() {
        check_value(r#"{"value":"a"}"#, Ok(Some("a")));
        check_value(r#"{"value":{"n":1}}"#, Ok(Some(r#"{"n":1}"#)));
        check_value(r#"{"value":12}"#, Ok(Some("12")));
        check_value(r#"{"key":"k","value":null}"#, Ok(None));
        check_value(r#"{"key":"k"}"#, Ok(None));
        check_value(r#"{"value":"a","value_base64":"YQ=="}"#, Err("give one of them"));
        check_value(r#"{"value_base64":"?"}"#, Err("not base64"));
        check_value(r#"{"vlaue":"a"}"#, Err("vlaue"));
        check_value("hello", Err("expected"));
    }

    #[test]
    fn headers_may_be_a_map() {
        let record = InputRecord::from_json(br#"{"headers":{"a":"1","b":null}}"#).expect("a record");
        assert_eq!(
            record.headers,
            [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)]
        );
    }
}
