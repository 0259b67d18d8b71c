//! The statements of `decode`.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::definition::Field;
use super::names;
use super::rust::{Item, Module, field_shape};
use super::rust_types::{Shape, element};

impl Module<'_> {
    /// The statements of `decode` behind its check of the version.
    pub(super) fn decode_body(&self, item: &Item<'_>) -> Result<String> {
        let (mut body, mut tags) = (String::new(), String::new());
        for field in item.fields {
            let name = names::field(&field.name);
            let value = self.read(field)?;
            let mut code = format!("value.{name} = {value};\n");
            code += &self.null_check(field, |name| {
                format!("if value.{name}.is_none() {{\nreturn Err(reader.unexpected_null());\n}}\n")
            });
            let guard = self.guard(field.versions);
            match (field.tag, guard) {
                (Some(tag), None) => writeln!(tags, "{tag} => {{ {code} }}")?,
                (Some(tag), Some(guard)) => writeln!(tags, "{tag} if {guard} => {{ {code} }}")?,
                (None, None) => body += &code,
                (None, Some(guard)) => writeln!(body, "if {guard} {{\n{code}}}")?,
            }
        }
        body += &self.if_flexible(&tag_loop(&tags));
        let mutable = if body.contains("value.") { "mut " } else { "" };
        let line = self.flexible_line(&body);
        Ok(format!(
            "{line}let {mutable}value = Self::default();\n{body}Ok(value)\n"
        ))
    }

    fn read(&self, field: &Field) -> Result<String> {
        let shape = field_shape(field)?;
        let stem = shape.read_stem(self.ownership);
        let flexible = self.flexible_at(field);
        let nullable = if field.nullable.is_some() { "nullable_" } else { "" };
        Ok(match (element(&field.kind).is_some(), shape) {
            (true, Shape::Struct(name)) => {
                let name = names::pascal(name);
                format!("reader.{nullable}array({flexible}, version, {name}::SIZE_MIN, {name}::decode)?")
            }
            (true, _) => format!("reader.{nullable}{stem}_array({flexible})?"),
            (false, Shape::Struct(name)) => {
                let name = names::pascal(name);
                let decode = format!("{name}::decode(reader, version)?");
                if field.nullable.is_some() {
                    self.ensure_always_nullable(field)?;
                    let present = if field.tag.is_some() {
                        "is_present_in_tag"
                    } else {
                        "is_present"
                    };
                    format!("if reader.{present}()? {{ Some({decode}) }} else {{ None }}")
                } else {
                    decode
                }
            }
            (false, Shape::Scalar(_)) => format!("reader.{stem}()?"),
            (false, _) => format!("reader.{nullable}{stem}({flexible})?"),
        })
    }

    fn ensure_always_nullable(&self, field: &Field) -> Result<()> {
        let present = field
            .versions
            .intersect(self.message.versions)
            .unwrap_or(field.versions);
        let always = field.nullable.is_some_and(|range| range.covers(present));
        ensure!(always, "structure {} is nullable in some versions only", field.name);
        Ok(())
    }

    /// The fewest bytes of a structure in any version, at least one.
    pub(super) fn size_min(&self, fields: &[Field]) -> Result<usize> {
        let mut least = usize::MAX;
        for version in self.message.versions.first..=self.message.versions.last {
            least = least.min(self.size_at(fields, version)?);
        }
        Ok(least.max(1))
    }

    fn size_at(&self, fields: &[Field], version: i16) -> Result<usize> {
        let flexible = self.message.flexible.is_some_and(|range| range.contains(version));
        let mut size = usize::from(flexible);
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            if field.tag.is_some() {
                continue;
            }
            size += match (element(&field.kind), field_shape(field)?) {
                (Some(_), _) if flexible => 1,
                (Some(_), _) => 4,
                (None, Shape::Struct(_)) if field.nullable.is_some() => 1,
                (None, Shape::Struct(name)) => {
                    self.size_at(self.item(name).context("a known structure")?.fields, version)?
                }
                (None, scalar) => scalar.size_min(flexible, |_| 0),
            };
        }
        Ok(size)
    }
}

/// Reads tagged fields: those in `arms` by their number, and skips the rest.
fn tag_loop(arms: &str) -> String {
    if arms.is_empty() {
        return "reader.skip_tags()?;\n".to_owned();
    }
    format!(
        "for _ in 0..reader.tag_count()? {{\nlet tag = reader.tag()?;\nmatch tag.number {{\n{arms}\
         _ => reader.skip_tag(tag),\n}}\nreader.end_tag(tag)?;\n}}\n"
    )
}
