//! `--property` of kafka-console-consumer.sh, as a template.

use crate::template::Template;

/// What is printed of each record.
#[derive(Debug)]
pub(super) struct Properties {
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
}

impl Properties {
    /// Reads `NAME=VALUE` words; `None` where there are none.
    ///
    /// # Errors
    /// Which word means nothing, and which do.
    pub(super) fn parse(words: &[String]) -> Result<Option<Self>, String> {
        let mut properties = Self {
            timestamp: false,
            partition: false,
            offset: false,
            headers: false,
            key: false,
            value: true,
            key_separator: "\t".to_owned(),
            line_separator: "\n".to_owned(),
        };
        for word in words {
            properties.set(word)?;
        }
        Ok((!words.is_empty()).then_some(properties))
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("`{word}` has no value: give NAME=VALUE"))?;
        let flag = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{word}`: give true or false")),
        };
        match name {
            "print.timestamp" => self.timestamp = flag()?,
            "print.partition" => self.partition = flag()?,
            "print.offset" => self.offset = flag()?,
            "print.headers" => self.headers = flag()?,
            "print.key" => self.key = flag()?,
            "print.value" => self.value = flag()?,
            "key.separator" => value.clone_into(&mut self.key_separator),
            "line.separator" => value.clone_into(&mut self.line_separator),
            _ => {
                return Err(format!(
                    "`{name}` is no property here: print.timestamp, print.partition, print.offset, print.headers, \
                     print.key, print.value, key.separator and line.separator are; --format can do the rest"
                ));
            }
        }
        Ok(())
    }

    /// The same as a template, in the order in which Kafka prints.
    pub(super) fn template(&self) -> Template {
        let parts = [
            (self.timestamp, "CreateTime:%T"),
            (self.partition, "Partition:%p"),
            (self.offset, "Offset:%o"),
            (self.headers, "%h"),
            (self.key, "%k"),
            (self.value, "%v"),
        ];
        let shown = parts.into_iter().filter(|(wanted, _)| *wanted).map(|(_, part)| part);
        let separator = escaped(&self.key_separator);
        let text = shown.collect::<Vec<_>>().join(&separator) + &escaped(&self.line_separator);
        text.parse().expect("every part of it is well formed")
    }
}

/// Text as a template has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: &str) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let properties = Properties::parse(&words)
            .expect("they mean something")
            .expect("there are some");
        assert_eq!(
            properties.template(),
            expected.parse().expect("a template"),
            "{words:?}"
        );
    }

    #[test]
    fn properties_print_what_kafka_prints() {
        check(&["print.key=true"], "%k\\t%v\\n");
        check(&["print.key=true", "key.separator=%"], "%k%%%v\\n");
        check(
            &["print.offset=true", "print.partition=true", "print.value=false"],
            "Partition:%p\\tOffset:%o\\n",
        );
        assert!(Properties::parse(&[]).expect("nothing is fine").is_none());
        for wrong in ["print.key", "print.key=yes", "schema.registry.url=x"] {
            Properties::parse(&[wrong.to_owned()]).expect_err(wrong);
        }
    }
}
