//! A table of figures: one row per figure, one column per size.

use std::fmt;

use crate::report::figure;

/// One section's figures.
pub(super) struct Table {
    /// What was measured, settings included.
    title: String,
    columns: Vec<String>,
    rows: Vec<(&'static str, Vec<Option<f64>>)>,
    /// Sentences below the table.
    notes: Vec<String>,
}

impl Table {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            columns: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a column; figures with the same name share a row, and a row without one in this column stays empty there.
    pub(super) fn column(&mut self, head: impl Into<String>, figures: &[(&'static str, f64)]) {
        self.columns.push(head.into());
        for &(name, value) in figures {
            let index = self.rows.iter().position(|row| row.0 == name).unwrap_or_else(|| {
                self.rows.push((name, Vec::new()));
                self.rows.len() - 1
            });
            self.rows[index].1.resize(self.columns.len() - 1, None);
            self.rows[index].1.push(Some(value));
        }
    }

    pub(super) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "**{}**\n\n| | {} |", self.title, self.columns.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(self.columns.len()))?;
        for (name, values) in &self.rows {
            let cells = (0..self.columns.len()).map(|column| values.get(column).copied().flatten());
            let cells: Vec<String> = cells.map(|value| value.map_or_else(String::new, figure)).collect();
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_their_rows_and_columns() {
        let mut table = Table::new("title");
        table.column("1", &[("memory", 10.0)]);
        table.column("2", &[("CPU", 3.0), ("memory", 20.5)]);
        table.note("note");
        assert_eq!(
            table.to_string(),
            "**title**\n\n| | 1 | 2 |\n|---|---|---|\n| memory | 10.0 | 20.5 |\n| CPU |  | 3.00 |\n\nnote\n"
        );
    }
}
