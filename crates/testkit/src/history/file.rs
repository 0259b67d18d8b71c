//! Histories as JSON lines.

use std::io::{BufRead, Write};

use anyhow::{Context, Result};

use super::Operation;

/// Writes one operation a line.
///
/// # Errors
/// When the writer fails.
pub fn write(operations: &[Operation], out: &mut impl Write) -> Result<()> {
    for operation in operations {
        serde_json::to_writer(&mut *out, operation)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the reader fails, or a line is no operation; the message says which line.
pub fn read(input: impl BufRead) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let read = serde_json::from_str(&line?);
        operations.push(read.with_context(|| format!("line {} is no operation", number + 1))?);
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Outcome, Value};
    use super::*;

    fn operations() -> Vec<Operation> {
        let value = Value { sender: 1, number: 7 };
        let actions = [
            Action::Producer { idempotent: true },
            Action::Send {
                value,
                outcome: Outcome::Acked((2, 5)),
            },
            Action::Send {
                value,
                outcome: Outcome::Unknown,
            },
            Action::Assigned { keys: vec![1, 2] },
            Action::Revoked { keys: vec![] },
            Action::Poll {
                key: 2,
                offset: 5,
                value: Some(value),
            },
            Action::Poll {
                key: 2,
                offset: 6,
                value: None,
            },
            Action::Commit {
                group: 1,
                key: 2,
                offset: 6,
                outcome: Outcome::Acked(()),
            },
            Action::Commit {
                group: 1,
                key: 2,
                offset: 6,
                outcome: Outcome::Failed,
            },
            Action::Committed {
                group: 1,
                key: 2,
                offset: 6,
            },
            Action::Bounds {
                key: 2,
                start: 0,
                end: 7,
            },
        ];
        let operation = |action| Operation {
            process: 1,
            invoked_ns: 10,
            completed_ns: u64::MAX,
            action,
        };
        actions.map(operation).into()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        write(&operations(), &mut bytes).expect("memory takes everything");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), operations().len());
        assert_eq!(read(bytes.as_slice()).expect("it was written so"), operations());
    }

    #[test]
    fn a_line_that_is_no_operation_is_named() {
        let mut bytes = Vec::new();
        write(&operations()[..2], &mut bytes).expect("memory takes everything");
        bytes.extend(b"{\"process\":1}\n");
        let error = read(bytes.as_slice()).expect_err("the third line lacks everything");
        assert_eq!(error.to_string(), "line 3 is no operation");
    }
}
