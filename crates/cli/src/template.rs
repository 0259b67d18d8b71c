//! The template of `consume --format`, in the words of kcat and rpk.

use std::str::FromStr;

use crate::record::RecordView;
use crate::time;

/// What may stand in a template, for the help.
pub(crate) const HELP: &str = "\
Format:
  %t topic            %p partition        %o offset
  %k key              %v or %s value      %h headers, name=value separated by commas
  %K key length       %V or %S value length, in bytes; -1 for null
  %T timestamp, ms    %d timestamp as text        %e leader epoch
  %% percent sign     \\n \\r \\t \\\\ \\0 \\xNN";

/// A template that was understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
    Timestamp,
    TimestampText,
    LeaderEpoch,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let piece = match character {
                '%' => piece(rest.next())?,
                '\\' => Piece::Literal(vec![escape(&mut rest)?]),
                other => Piece::Literal(other.to_string().into_bytes()),
            };
            match piece {
                Piece::Literal(mut bytes) => literal.append(&mut bytes),
                piece => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(piece);
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }
}

fn piece(letter: Option<char>) -> Result<Piece, String> {
    Ok(match letter {
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyLength,
        Some('v' | 's') => Piece::Value,
        Some('V' | 'S') => Piece::ValueLength,
        Some('h') => Piece::Headers,
        Some('T') => Piece::Timestamp,
        Some('d') => Piece::TimestampText,
        Some('e') => Piece::LeaderEpoch,
        Some('%') => Piece::Literal(b"%".to_vec()),
        Some(other) => {
            return Err(format!(
                "%{other} means nothing; %t %p %o %k %v %h %T do, and %% is a percent sign"
            ));
        }
        None => return Err("the template ends with %; write %% for a percent sign".to_owned()),
    })
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match rest.next() {
        Some('n') => Ok(b'\n'),
        Some('r') => Ok(b'\r'),
        Some('t') => Ok(b'\t'),
        Some('\\') => Ok(b'\\'),
        Some('0') => Ok(0),
        Some('x') => {
            let digits: String = rest.take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2);
            byte.ok_or_else(|| format!("\\x{digits} is no byte: give two hexadecimal digits"))
        }
        other => Err(format!(
            "\\{} means nothing",
            other.map(String::from).unwrap_or_default()
        )),
    }
}

impl Template {
    /// Appends what the template says about a record.
    pub(crate) fn write(&self, record: &RecordView<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Piece::Partition => push(out, record.partition),
                Piece::Offset => push(out, record.offset),
                Piece::Key => out.extend_from_slice(record.key.unwrap_or_default()),
                Piece::KeyLength => push(out, length(record.key)),
                Piece::Value => out.extend_from_slice(record.value.unwrap_or_default()),
                Piece::ValueLength => push(out, length(record.value)),
                Piece::Headers => push_headers(out, record.headers),
                Piece::Timestamp => push(out, record.timestamp_ms),
                Piece::TimestampText => push(out, time::text_of(record.timestamp_ms)),
                Piece::LeaderEpoch => push(out, record.leader_epoch),
            }
        }
    }
}

fn push(out: &mut Vec<u8>, value: impl ToString) {
    out.extend_from_slice(value.to_string().as_bytes());
}

fn push_headers(out: &mut Vec<u8>, headers: &[(String, Option<Vec<u8>>)]) {
    for (index, (key, value)) in headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
}

/// The length of what may be null, which is -1 then, as kcat says it.
fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: Result<&str, &str>) {
        let headers = [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)];
        let record = RecordView {
            topic: "greetings",
            partition: 1,
            offset: 42,
            timestamp_ms: 1_767_225_600_000,
            leader_epoch: 3,
            key: None,
            value: Some(b"hello"),
            headers: &headers,
        };
        let mut out = Vec::new();
        match (template.parse::<Template>(), expected) {
            (Ok(template), Ok(expected)) => {
                template.write(&record, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), expected, "{template:?}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{template}: {error}"),
            (got, _) => panic!("{template}: {got:?}"),
        }
    }

    #[test]
    fn every_word_has_its_meaning() {
        check("%t/%p/%o: %v\\n", Ok("greetings/1/42: hello\n"));
        check("%k|%K|%s|%S|%V", Ok("|-1|hello|5|5"));
        check("%h %T %d %e", Ok("a=1,b= 1767225600000 2026-01-01T00:00:00.000Z 3"));
        check("100%%\\t\\x41\\\\", Ok("100%\tA\\"));
        check("", Ok(""));
    }

    #[test]
    fn mistakes_are_explained() {
        check("%z", Err("%z means nothing"));
        check("%", Err("write %%"));
        check("\\q", Err("\\q means nothing"));
        check("\\x4", Err("two hexadecimal digits"));
    }
}
