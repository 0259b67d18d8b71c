//! Kafka's names in Rust's spelling.

/// `MaxWaitMs` becomes `max_wait_ms`, `ZKVersion` `zk_version`.
pub(crate) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_ascii_uppercase();
        let before_lower = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && index > 0 && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The name of a struct's field; Rust's keywords get an underscore at their end.
pub(crate) fn field(name: &str) -> String {
    let snake = snake(name);
    match snake.as_str() {
        "type" | "match" => snake + "_",
        _ => snake,
    }
}

/// `OFFSET_OUT_OF_RANGE` becomes `OffsetOutOfRange`, `groupId` `GroupId`.
pub(crate) fn pascal(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rust() {
        for (name, expected) in [
            ("MaxWaitMs", "max_wait_ms"),
            ("ZKVersion", "zk_version"),
            ("Type", "type_"),
        ] {
            assert_eq!(field(name), expected);
        }
        assert_eq!(pascal("memberId"), "MemberId");
    }
}
