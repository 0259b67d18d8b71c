//! The statements of `encode`.

use std::fmt::Write as _;

use anyhow::Result;

use super::definition::Field;
use super::names;
use super::rust::{Item, Module, field_shape};
use super::rust_types::{Ownership, Shape, element, is_set};

impl Module<'_> {
    /// The statements of `encode` between its check of the version and its `Ok`.
    pub(super) fn encode_body(&self, item: &Item<'_>) -> Result<String> {
        let mut body = String::new();
        let mut tagged: Vec<&Field> = Vec::new();
        for field in item.fields {
            if field.tag.is_some() {
                tagged.push(field);
                continue;
            }
            let code = self.encode_field(field, item)?;
            match self.guard(field.versions) {
                None => body += &code,
                Some(guard) => {
                    writeln!(body, "if {guard} {{\n{code}}}{}", self.refusal(field, item, "else ")?)?;
                }
            }
        }
        tagged.sort_by_key(|field| field.tag);
        let tags = self.encode_tags(&tagged, item)?;
        let mut refusals = String::new();
        for field in &tagged {
            let guard = self.guard(field.versions);
            let refusal = self.refusal(field, item, "")?;
            if let (Some(guard), false) = (guard, refusal.is_empty()) {
                refusals += &refusal.replacen("if ", &format!("if !({guard}) && "), 1);
            }
        }
        body += &refusals;
        body += &self.if_flexible(&tags);
        let line = self.flexible_line(&body);
        Ok(line + &body)
    }

    /// Code that refuses a value the version has no place for; nothing for ignorable fields.
    fn refusal(&self, field: &Field, item: &Item<'_>, prefix: &str) -> Result<String> {
        if field.ignorable {
            return Ok(String::new());
        }
        let name = names::field(&field.name);
        let condition = is_set(field, field_shape(field)?, &format!("self.{name}"))?;
        Ok(format!(
            "{prefix}if {condition} {{\nreturn Err(EncodeError::NoSuchField {{ structure: {:?}, field: {name:?}, version }});\n}}\n",
            item.name
        ))
    }

    fn encode_tags(&self, tagged: &[&Field], item: &Item<'_>) -> Result<String> {
        if tagged.is_empty() {
            return Ok("writer.tag_count(0);\n".to_owned());
        }
        let (mut counts, mut writes) = (String::new(), String::new());
        for field in tagged {
            let name = names::field(&field.name);
            let mut condition = is_set(field, field_shape(field)?, &format!("self.{name}"))?;
            if let Some(guard) = self.guard(field.versions) {
                condition = format!("{guard} && {condition}");
            }
            writeln!(counts, "let has_{name} = {condition};")?;
            let code = self.encode_field(field, item)?;
            writeln!(
                writes,
                "if has_{name} {{\nlet tag = writer.begin_tag({});\n{code}writer.end_tag(tag)?;\n}}",
                field.tag.unwrap_or_default()
            )?;
        }
        let sum: Vec<String> = tagged
            .iter()
            .map(|field| format!("u32::from(has_{})", names::field(&field.name)))
            .collect();
        Ok(format!("{counts}writer.tag_count({});\n{writes}", sum.join(" + ")))
    }

    fn encode_field(&self, field: &Field, item: &Item<'_>) -> Result<String> {
        let shape = field_shape(field)?;
        let flexible = self.flexible_at(field);
        let stem = match shape {
            Shape::Text => "str",
            Shape::Bytes => "bytes",
            other => other.read_stem(self.ownership),
        };
        let check = self.null_check(field, |name| {
            format!("if self.{name}.is_none() {{\nreturn Err(EncodeError::UnexpectedNull {{ structure: {:?}, field: {name:?}, version }});\n}}\n", item.name)
        });
        Ok(check + &self.write_value(field, shape, stem, &flexible))
    }

    /// The statement that writes a value, its versions and nullness already checked.
    fn write_value(&self, field: &Field, shape: Shape<'_>, stem: &str, flexible: &str) -> String {
        let place = format!("self.{}", names::field(&field.name));
        let nullable = field.nullable.is_some();
        let prefix = if nullable { "nullable_" } else { "" };
        let slice = if nullable {
            format!("{place}.as_deref()")
        } else {
            format!("&{place}")
        };
        match (element(&field.kind).is_some(), shape) {
            (true, Shape::Struct(name)) => {
                let name = names::pascal(name);
                format!("writer.{prefix}array({slice}, {flexible}, version, {name}::encode)?;\n")
            }
            (true, Shape::Text) if self.ownership == Ownership::Owned => {
                format!("writer.{prefix}string_array({slice}, {flexible})?;\n")
            }
            (true, _) => format!("writer.{prefix}{stem}_array({slice}, {flexible})?;\n"),
            (false, Shape::Struct(_)) if nullable => {
                let presence = if field.tag.is_some() {
                    "presence_in_tag"
                } else {
                    "presence"
                };
                format!(
                    "writer.{presence}({place}.is_some());\nif let Some(value) = &{place} {{\nvalue.encode(writer, version)?;\n}}\n"
                )
            }
            (false, Shape::Struct(_)) => format!("{place}.encode(writer, version)?;\n"),
            (false, Shape::Scalar(_)) => format!("writer.{stem}({place});\n"),
            (false, _) => {
                let value = if self.ownership == Ownership::Owned {
                    slice
                } else {
                    place
                };
                format!("writer.{prefix}{stem}({value}, {flexible})?;\n")
            }
        }
    }
}
