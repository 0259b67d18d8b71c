//! The syntax of Kafka's `.properties` files, as `java.util.Properties` reads them.
//!
//! Comments start with `#` or `!`; a line that ends in an odd number of backslashes goes on in the next one; the
//! name ends at the first unescaped `=`, `:` or blank; `\t`, `\n`, `\r`, `\f` and `\uXXXX` are escapes.
//! Different from Java: a name given twice is reported, since Java lets the last one win without a word.

use alloc::string::String;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

/// One property of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// The name, unescaped.
    pub name: String,
    /// The value, unescaped, without the blanks before it.
    pub value: String,
    /// The line on which it begins, counted from 1.
    pub line: usize,
}

/// A line that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// The line on which the property begins, counted from 1.
    pub line: usize,
    /// Why, as whole sentences.
    pub why: &'static str,
}

const BAD_UNICODE: &str =
    "`\\u` needs four hexadecimal digits of a character. Correct the escape, or write `\\\\u` for a backslash and a u.";

/// Reads all properties of a file, in order, each property or mistake for itself.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<Property, SyntaxError>> {
    // Editors on some systems begin a file with a byte order mark.
    logical_lines(text.trim_start_matches('\u{feff}'))
        .into_iter()
        .map(|(line, content)| match split(&content) {
            Some((name, value)) => Ok(Property { name, value, line }),
            None => Err(SyntaxError { line, why: BAD_UNICODE }),
        })
        .collect()
}

/// Lines without comments and empty ones, continuation lines joined, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, raw) in text.lines().enumerate() {
        let raw = raw.trim_start_matches([' ', '\t', '\x0c']);
        if open.is_none() && (raw.is_empty() || raw.starts_with(['#', '!'])) {
            continue;
        }
        let (start, mut content) = open.take().unwrap_or((index + 1, String::new()));
        let backslashes = raw.len() - raw.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            content.push_str(&raw[..raw.len() - 1]);
            open = Some((start, content));
        } else {
            content.push_str(raw);
            lines.push((start, content));
        }
    }
    lines.extend(open);
    lines
}

/// The name and the value of a line; `None` when an escape is broken.
fn split(line: &str) -> Option<(String, String)> {
    let mut letters = line.chars().peekable();
    let mut name = String::new();
    while let Some(&letter) = letters.peek() {
        if is_separator(letter) {
            break;
        }
        name.push(unescape(&mut letters)?);
    }
    while letters.next_if(|c| is_blank(*c)).is_some() {}
    if letters.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while letters.next_if(|c| is_blank(*c)).is_some() {}
    }
    let mut value = String::new();
    while letters.peek().is_some() {
        value.push(unescape(&mut letters)?);
    }
    Some((name, value))
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\x0c')
}

fn is_separator(letter: char) -> bool {
    matches!(letter, '=' | ':') || is_blank(letter)
}

/// Takes one letter, or one escape and the letter it stands for.
fn unescape(letters: &mut Peekable<Chars<'_>>) -> Option<char> {
    match letters.next()? {
        '\\' => match letters.next() {
            Some('t') => Some('\t'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('f') => Some('\x0c'),
            Some('u') => {
                let mut code = 0;
                for _ in 0..4 {
                    code = code * 16 + letters.next()?.to_digit(16)?;
                }
                char::from_u32(code)
            }
            Some(other) => Some(other),
            // A backslash at the very end of the file continues into nothing.
            None => Some('\\'),
        },
        letter => Some(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|&(name, value, line)| {
                Ok(Property {
                    name: name.to_string(),
                    value: value.to_string(),
                    line,
                })
            })
            .collect();
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn comments_and_empty_lines_are_passed_over() {
        check("\u{feff}# a\na=1\n", &[("a", "1", 2)]);
        check("# a\n  ! b\n\n   \na=1\n", &[("a", "1", 5)]);
        check(
            "a=1 # no comment\r\nb=2\r\n",
            &[("a", "1 # no comment", 1), ("b", "2", 2)],
        );
    }

    #[test]
    fn a_name_ends_at_the_first_separator() {
        check("a=b=c\n", &[("a", "b=c", 1)]);
        check(
            "a : b\na\tb\n  a   =   b\n",
            &[("a", "b", 1), ("a", "b", 2), ("a", "b", 3)],
        );
        check("alone\n=value\n", &[("alone", "", 1), ("", "value", 2)]);
        check("a\\=b\\:c\\ d=e\n", &[("a=b:c d", "e", 1)]);
    }

    #[test]
    fn escapes_stand_for_letters() {
        check("a=\\t\\n\\r\\f\\\\\\x\\u00e9\n", &[("a", "\t\n\r\x0c\\x\u{e9}", 1)]);
    }

    #[test]
    fn a_broken_escape_is_reported_with_its_line() {
        for text in ["\na=\\u12\nb=1\n", "\na=\\u12zz\nb=1\n", "\na=\\ud800\nb=1\n"] {
            let b = Property {
                name: "b".into(),
                value: "1".into(),
                line: 3,
            };
            assert_eq!(
                parse(text),
                [
                    Err(SyntaxError {
                        line: 2,
                        why: BAD_UNICODE
                    }),
                    Ok(b)
                ]
            );
        }
    }

    #[test]
    fn an_odd_number_of_backslashes_continues_the_line() {
        check("a=1,\\\n   2,\\\n#3\nb=4\\\\\n", &[("a", "1,2,#3", 1), ("b", "4\\", 4)]);
        check("a=1\\", &[("a", "1", 1)]);
    }
}
