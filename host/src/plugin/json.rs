//! JSON as values of a component's types, and back. Used by `trial`, whose documentation has the rules.

use serde_json::{Map, Value};
use wasmtime::component::{Type, Val};

/// A value of a type.
///
/// # Errors
/// What does not fit, and where.
pub(super) fn to_val(value: &Value, kind: &Type) -> Result<Val, String> {
    let number = || format!("{value} does not fit {kind:?}");
    Ok(match kind {
        Type::Bool => Val::Bool(value.as_bool().ok_or_else(number)?),
        Type::U8 => Val::U8(integer(value).ok_or_else(number)?),
        Type::U16 => Val::U16(integer(value).ok_or_else(number)?),
        Type::U32 => Val::U32(integer(value).ok_or_else(number)?),
        Type::U64 => Val::U64(integer(value).ok_or_else(number)?),
        Type::S8 => Val::S8(integer(value).ok_or_else(number)?),
        Type::S16 => Val::S16(integer(value).ok_or_else(number)?),
        Type::S32 => Val::S32(integer(value).ok_or_else(number)?),
        Type::S64 => Val::S64(integer(value).ok_or_else(number)?),
        Type::Float64 => Val::Float64(value.as_f64().ok_or_else(number)?),
        Type::String => Val::String(value.as_str().ok_or_else(|| format!("{value} is no text"))?.to_owned()),
        Type::List(list) => {
            let kind = list.ty();
            let items = array(value)?.iter().enumerate();
            Val::List(
                items.map(|(at, item)| to_val(item, &kind).map_err(inside(at))).collect::<Result<_, _>>()?,
            )
        }
        Type::Tuple(tuple) => {
            let items = array(value)?;
            if items.len() != tuple.types().len() {
                return Err(format!("{} entries instead of {}", items.len(), tuple.types().len()));
            }
            let pairs = items.iter().zip(tuple.types()).enumerate();
            let items = pairs.map(|(at, (item, kind))| to_val(item, &kind).map_err(inside(at)));
            Val::Tuple(items.collect::<Result<_, _>>()?)
        }
        Type::Option(option) if !value.is_null() => Val::Option(Some(Box::new(to_val(value, &option.ty())?))),
        Type::Option(_) => Val::Option(None),
        Type::Record(record) => {
            let given = value.as_object().ok_or_else(|| format!("{value} is no object"))?;
            let field = |name: &str, kind: &Type| {
                let key = snake(name);
                let value = given.get(&key).ok_or_else(|| format!("{key} is missing"))?;
                let value = to_val(value, kind).map_err(inside(key))?;
                Ok::<_, String>((name.to_owned(), value))
            };
            let fields: Vec<_> =
                record.fields().map(|of| field(of.name, &of.ty)).collect::<Result<_, _>>()?;
            let unknown = given.keys().find(|key| !record.fields().any(|of| snake(of.name) == **key));
            match unknown {
                Some(key) => return Err(format!("there is no {key}")),
                None => Val::Record(fields),
            }
        }
        Type::Enum(kind) => {
            let name = value.as_str().unwrap_or_default();
            let found = kind.names().find(|of| camel(of) == name);
            Val::Enum(found.ok_or_else(|| one_of(value, kind.names()))?.to_owned())
        }
        Type::Variant(kind) => {
            let (name, content) = tagged(value)?;
            let case = kind.cases().find(|of| camel(of.name) == name);
            let case = case.ok_or_else(|| one_of(value, kind.cases().map(|of| of.name)))?;
            let content = match (case.ty, content) {
                (Some(kind), Some(content)) => Some(Box::new(to_val(content, &kind).map_err(inside(name))?)),
                (None, None) => None,
                (Some(_), None) => return Err(format!("{name} needs a value")),
                (None, Some(_)) => return Err(format!("{name} has no value")),
            };
            Val::Variant(case.name.to_owned(), content)
        }
        other => return Err(format!("the contract has no {other:?}")),
    })
}

/// The JSON of a value.
pub(super) fn from_val(value: Val) -> Value {
    match value {
        Val::Bool(value) => value.into(),
        Val::S8(value) => value.into(),
        Val::U8(value) => value.into(),
        Val::S16(value) => value.into(),
        Val::U16(value) => value.into(),
        Val::S32(value) => value.into(),
        Val::U32(value) => value.into(),
        Val::S64(value) => value.into(),
        Val::U64(value) => value.into(),
        Val::Float32(value) => value.into(),
        Val::Float64(value) => value.into(),
        Val::Char(value) => value.to_string().into(),
        Val::String(value) => value.into(),
        Val::List(list) | Val::Tuple(list) => list.into_iter().map(from_val).collect(),
        Val::Record(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (snake(&name), from_val(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Val::Variant(name, None) | Val::Enum(name) => camel(&name).into(),
        Val::Variant(name, Some(content)) => serde_json::json!({ camel(&name): from_val(*content) }),
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) => from_val(*value),
        // The contract has none of the others.
        other => format!("{other:?}").into(),
    }
}

fn integer<T: TryFrom<i128>>(value: &Value) -> Option<T> {
    let wide = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))?;
    T::try_from(wide).ok()
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{value} is no array"))
}

/// `"Name"` or `{"Name": value}`.
fn tagged(value: &Value) -> Result<(&str, Option<&Value>), String> {
    if let Some(name) = value.as_str() {
        return Ok((name, None));
    }
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((name, content)), None) => Ok((name, Some(content))),
        _ => Err(format!("{value} is neither \"Name\" nor {{\"Name\": value}}")),
    }
}

fn one_of<'a>(value: &Value, names: impl Iterator<Item = &'a str>) -> String {
    format!("{value} is none of {}", names.map(camel).collect::<Vec<_>>().join(", "))
}

fn inside(place: impl ToString) -> impl Fn(String) -> String {
    move |text| match text.split_once(": ") {
        // Places are joined, what is wrong stands once.
        Some((deeper, text)) if !deeper.contains(' ') => format!("{}.{deeper}: {text}", place.to_string()),
        _ => format!("{}: {text}", place.to_string()),
    }
}

fn snake(name: &str) -> String {
    name.replace('-', "_")
}

fn camel(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('-').map(capital).collect()
}
