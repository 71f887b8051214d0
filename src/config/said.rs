//! What serde says, without the values that it quotes.

use toml::de::DeValue;

/// Puts one of serde's messages into words of our own: the key that it is about beyond the place of the error, and the
/// problem.
///
/// `invalid type: string "s3cret", expected a boolean` quotes what may be a secret, and messages of other types' own
/// making may as well. So of serde's sentences only the expectation is used, which is written in the source, and of
/// any other sentence nothing.
pub(super) fn problem<'m>(message: &'m str, found: Option<&DeValue<'_>>) -> (Option<&'m str>, String) {
    let named = |prefix: &str| message.strip_prefix(prefix)?.split_once('`').map(|(name, _)| name);
    if let Some(key) = named("missing field `") {
        return (Some(key), "missing; it is required".to_owned());
    }
    if let Some(key) = named("duplicate field `") {
        return (Some(key), "stands twice".to_owned());
    }
    let expectation = message.rsplit_once(", expected ").map(|(_, expectation)| expectation);
    let Some(expectation) = expectation else {
        let problem = match message {
            "wanted string or table" => "expected a string".to_owned(),
            _ if message.starts_with("unknown field `") => "unknown key; none is known here".to_owned(),
            _ => "its value cannot be used".to_owned(),
        };
        return (None, problem);
    };
    let choice = expectation.strip_prefix("one of ").unwrap_or(expectation);
    let problem = match message.split([' ', '`']).take(2).collect::<Vec<_>>().as_slice() {
        ["unknown", "field"] => format!("unknown key; known here: {choice}"),
        ["unknown", "variant"] => format!("expected {expectation}"),
        ["invalid", "type:"] => match found {
            // Of the right kind, and too large or too small.
            Some(DeValue::Integer(_)) if in_toml(expectation).starts_with("a whole number") => {
                format!("expected {} that fits", in_toml(expectation))
            }
            Some(found) => format!("expected {}, got {}", in_toml(expectation), kind(found)),
            None => format!("expected {}", in_toml(expectation)),
        },
        ["invalid", "value:" | "length"] => format!("expected {}", in_toml(expectation)),
        _ => "its value cannot be used".to_owned(),
    };
    (None, problem)
}

/// What serde expects, in the words of TOML.
fn in_toml(expectation: &str) -> &str {
    match expectation {
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "path string" => "a string",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "u128" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expectation.starts_with("struct ") => "a table",
        _ => expectation,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
