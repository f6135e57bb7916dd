//! Values of commands in `fixed`: of the type that is named, or refused with the reason. The gateway encodes them.

use tidegate_sdk::{Kind, ObjectLink, Value};

use crate::json;
use crate::number;

/// A value given as JSON. Without a type, that of the JSON.
pub(crate) fn of_json(kind: Option<&str>, given: &str) -> Result<(Value, Kind), String> {
    let kind = match kind {
        Some(name) => named(name)?,
        None => natural(given)?,
    };
    let wrong = || format!("{given} is not a value of type {}", name(kind));
    let value = match serde_json::from_str::<String>(given) {
        Ok(text) => of_text(kind, &text).ok_or_else(wrong)?,
        Err(_) => match kind {
            Kind::Boolean if matches!(given, "true" | "false") => Value::Boolean(given == "true"),
            Kind::Integer | Kind::Unsigned | Kind::Time | Kind::Float if is_number(given) => {
                numeric(kind, given).ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        },
    };
    Ok((value, kind))
}

/// A value given as the bytes of its text.
pub(crate) fn of_bytes(kind: Option<&str>, bytes: &[u8]) -> Result<(Value, Kind), String> {
    let kind = kind.map_or(Ok(Kind::Text), named)?;
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => of_text(kind, text),
        // Written as it is.
        Err(_) if kind == Kind::Text => Some(Value::Opaque(bytes.to_vec())),
        Err(_) => None,
    };
    let wrong = || format!("the hexadecimal digits are not a value of type {}", name(kind));
    Ok((value.ok_or_else(wrong)?, kind))
}

fn named(name: &str) -> Result<Kind, String> {
    match TYPES.iter().find(|(other, _)| *other == name) {
        Some((_, kind)) => Ok(*kind),
        None => {
            let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            Err(format!("{name:?} is not one of the types {}", known.join(", ")))
        }
    }
}

fn name(kind: Kind) -> &'static str {
    TYPES.iter().find(|(_, other)| *other == kind).map_or("none", |(name, _)| name)
}

/// The type that JSON says itself.
fn natural(given: &str) -> Result<Kind, String> {
    match given.as_bytes() {
        [b'"', ..] => Ok(Kind::Text),
        b"true" | b"false" => Ok(Kind::Boolean),
        _ if number::is_integer(given) && given.parse::<i64>().is_err() => Ok(Kind::Unsigned),
        _ if number::is_integer(given) => Ok(Kind::Integer),
        _ if is_number(given) => Ok(Kind::Float),
        _ => Err(format!("{given} is neither a text nor a number nor true or false")),
    }
}

fn of_text(kind: Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Text => Some(Value::Text(text.to_owned())),
        Kind::CoreLink => Some(Value::CoreLink(text.to_owned())),
        Kind::Integer | Kind::Unsigned | Kind::Time | Kind::Float => numeric(kind, text),
        Kind::Boolean => match text {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            _ => None,
        },
        Kind::Opaque => json::from_base64(text).map(Value::Opaque),
        Kind::ObjectLink => {
            let (object, instance) = text.split_once(':')?;
            let link = ObjectLink { object: object.parse().ok()?, object_instance: instance.parse().ok()? };
            Some(Value::ObjectLink(link))
        }
        Kind::Executable => None,
    }
}

/// A number exactly: none if the type cannot hold it.
fn numeric(kind: Kind, text: &str) -> Option<Value> {
    if kind == Kind::Float {
        let is_decimal =
            text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let number = text.parse().ok().filter(|number: &f64| is_decimal && number.is_finite())?;
        return Some(Value::Float(number));
    }
    // 5.0 is an integer too, 5.5 is none.
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    if !number::is_integer(whole) {
        return None;
    }
    match kind {
        Kind::Unsigned => whole.parse().ok().map(Value::Unsigned),
        Kind::Time => whole.parse().ok().map(Value::Time),
        _ => whole.parse().ok().map(Value::Integer),
    }
}

fn is_number(given: &str) -> bool {
    given.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The types by the names that EMQX gives them, and those that it does not know.
const TYPES: [(&str, Kind); 9] = [
    ("String", Kind::Text),
    ("Integer", Kind::Integer),
    ("Float", Kind::Float),
    ("Boolean", Kind::Boolean),
    ("Opaque", Kind::Opaque),
    ("Time", Kind::Time),
    ("Objlnk", Kind::ObjectLink),
    ("Unsigned Integer", Kind::Unsigned),
    ("Corelnk", Kind::CoreLink),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_of_the_type_that_is_named() {
        for (kind, given, expected) in [
            ("String", r#""5""#, Value::Text("5".into())),
            ("Integer", "5", Value::Integer(5)),
            ("Integer", r#""-5""#, Value::Integer(-5)),
            ("Integer", "5.0", Value::Integer(5)),
            ("Integer", "-9223372036854775808", Value::Integer(i64::MIN)),
            ("Unsigned Integer", "18446744073709551615", Value::Unsigned(u64::MAX)),
            ("Time", "1700000000", Value::Time(1_700_000_000)),
            ("Float", "1e3", Value::Float(1000.0)),
            ("Float", r#""2""#, Value::Float(2.0)),
            ("Boolean", "true", Value::Boolean(true)),
            ("Boolean", r#""false""#, Value::Boolean(false)),
            ("Opaque", r#""AQI=""#, Value::Opaque(vec![1, 2])),
            ("Objlnk", r#""1:65535""#, Value::ObjectLink(ObjectLink { object: 1, object_instance: 65535 })),
            ("Corelnk", r#""</3>""#, Value::CoreLink("</3>".into())),
        ] {
            let (value, named) = of_json(Some(kind), given).unwrap();
            assert_eq!((format!("{value:?}"), name(named)), (format!("{expected:?}"), kind), "{given}");
        }
    }

    #[test]
    fn what_is_no_value_of_its_type_is_refused_with_the_reason() {
        for (kind, given) in [
            ("String", "5"),
            ("String", "null"),
            ("Integer", r#""1.5""#),
            ("Integer", "1.5"),
            ("Integer", "1e3"),
            ("Integer", "9223372036854775808"),
            ("Integer", "true"),
            ("Unsigned Integer", "-1"),
            ("Float", r#""inf""#),
            ("Float", "1e999"),
            ("Boolean", "1"),
            ("Boolean", r#""True""#),
            ("Opaque", r#""*""#),
            ("Objlnk", r#""1:65536""#),
            ("Objlnk", r#""1""#),
        ] {
            let expected = format!("{given} is not a value of type {kind}");
            assert_eq!(of_json(Some(kind), given).unwrap_err(), expected);
        }
        let why = of_json(Some("integer"), "5").unwrap_err();
        assert!(why.starts_with("\"integer\" is not one of the types String, Integer,"), "{why}");
    }

    #[test]
    fn without_a_type_json_says_it() {
        for (given, expected) in [
            (r#""a""#, "String"),
            ("true", "Boolean"),
            ("5", "Integer"),
            ("9223372036854775808", "Unsigned Integer"),
            ("5.0", "Float"),
            ("-1e3", "Float"),
        ] {
            assert_eq!(name(of_json(None, given).unwrap().1), expected, "{given}");
        }
        for given in ["null", "[]", "{}"] {
            assert!(of_json(None, given).is_err(), "{given}");
        }
    }

    #[test]
    fn bytes_are_the_text_of_a_value() {
        assert!(matches!(of_bytes(Some("Integer"), b"12").unwrap().0, Value::Integer(12)));
        assert!(
            matches!(of_bytes(Some("String"), b"\xff").unwrap().0, Value::Opaque(bytes) if bytes == [0xff])
        );
        assert!(of_bytes(Some("Integer"), b"\xff").is_err());
    }
}
