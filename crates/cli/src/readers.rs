//! Readers of what people type and pipe in, for fuzzing.

use crate::produce::input::{InputFormat, LineParser};
use crate::record::RecordView;
use crate::template::Template;

/// Turns lines of standard input into records, as `produce` does, and sends each through `consume --output json` and
/// `produce --format json`, which must give the same record. Gives the number of records.
///
/// # Errors
/// What is wrong with the first line that is no record, in words.
///
/// # Panics
/// When a record is another one after it was printed and read.
pub fn read_records(json: bool, key_separator: Option<&str>, text: &[u8]) -> Result<usize, String> {
    let format = if json { InputFormat::Json } else { InputFormat::Lines };
    let mut parser = LineParser::new(format, key_separator.map(str::to_owned), false);
    let mut count = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let record = parser.parse(line)?;
        let view = RecordView {
            topic: "t",
            partition: record.partition.unwrap_or_default(),
            offset: 0,
            timestamp_ms: record.timestamp_ms.unwrap_or_default(),
            leader_epoch: 0,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        };
        let printed = view.to_json().map_err(|error| error.to_string())?;
        let again = LineParser::new(InputFormat::Json, None, false).parse(printed.as_bytes())?;
        assert_eq!(again.key, record.key, "{printed}");
        assert_eq!(again.value, record.value, "{printed}");
        assert_eq!(again.headers, record.headers, "{printed}");
        count += 1;
    }
    Ok(count)
}

/// What `consume --format` prints of a record.
///
/// # Errors
/// What is wrong with the template, in words.
pub fn format_record(template: &str, timestamp_ms: i64, key: Option<&[u8]>, value: &[u8]) -> Result<Vec<u8>, String> {
    let template: Template = template.parse()?;
    let mut out = Vec::new();
    let record = RecordView {
        topic: "t",
        partition: 1,
        offset: 2,
        timestamp_ms,
        leader_epoch: 3,
        key,
        value: Some(value),
        headers: &[("h".to_owned(), key.map(<[u8]>::to_vec))],
    };
    template.write(&record, &mut out);
    Ok(out)
}
