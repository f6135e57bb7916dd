//! What the device's test object holds, and what is written to it.

use std::borrow::Cow;

use tidegate_proto::lwm2m::format::{CBOR, LWM2M_JSON, OPAQUE, SENML_CBOR, SENML_JSON, TEXT, TLV};
use tidegate_proto::lwm2m::operation::WriteMode;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{ObjectLink, Sample, Value};

/// In the order of their paths.
pub(crate) type Values = Vec<(Path, Value<'static>)>;

pub(crate) fn values(samples: &[Sample<'_>]) -> Values {
    let mut values: Values =
        samples.iter().map(|sample| (sample.path, sample.value.clone().into_owned())).collect();
    values.sort_by_key(|(path, _)| *path);
    values
}

pub(crate) fn samples(values: &Values) -> Vec<Sample<'static>> {
    let sample = |(path, value): &(Path, Value<'static>)| Sample {
        path: *path,
        value: value.clone(),
        kind: None,
        taken: None,
    };
    values.iter().map(sample).collect()
}

/// Each path that can be read, with the values below it: the object, its instance, each resource, each resource instance.
pub(crate) fn everything() -> Vec<(Path, Values)> {
    let all = initial_values();
    let mut paths = vec![OBJECT, INSTANCE];
    paths.extend(all.iter().map(|(path, _)| *path));
    paths.extend(all.iter().filter(|(path, _)| path.depth() == 4).map(|(path, _)| path.truncated(3)));
    let below = |path: Path| all.iter().filter(|(value, _)| value.starts_with(&path)).cloned().collect();
    paths.into_iter().map(|path| (path, below(path))).collect()
}

/// What the device's test object holds at first: a single resource of each type, and a multiple one with one instance.
pub(crate) fn initial_values() -> Values {
    let single = [
        (110, Value::Text("initial value".into())),
        (120, Value::Integer(1024)),
        (125, Value::Unsigned(1 << 63)),
        (130, Value::Float(314_159.0 / 100_000.0)),
        (140, Value::Boolean(true)),
        (150, Value::Opaque(Cow::Borrowed(b"\x01\x23\x45\x67\x89\xab\xcd\xef"))),
        (160, Value::Time(946_684_800)),
        (170, Value::ObjectLink(ObjectLink { object: 3, instance: 0 })),
        (180, Value::CoreLink("</3442>".into())),
    ];
    let multiple = single.clone().map(|(id, value)| (Path::new([3442, 0, 1000 + id, 0]), value));
    single.map(|(id, value)| (Path::new([3442, 0, id]), value)).into_iter().chain(multiple).collect()
}

/// For each value another one of its type, with what is special about the type.
pub(crate) fn other_values(values: &Values) -> Values {
    let other = |value: &Value<'static>| match value {
        Value::Text(_) => Value::Text("Grüße, 世界 \"\\/\u{1}".into()),
        Value::Integer(_) => Value::Integer(i64::MIN),
        // Not greater: Leshan's TLV says u64::MAX in the one byte of -1.
        Value::Unsigned(_) => Value::Unsigned(u64::MAX / 4 * 3),
        Value::Float(_) => Value::Float(-1.0e-300),
        Value::Boolean(_) => Value::Boolean(false),
        Value::Opaque(_) => Value::Opaque((0..=255).collect::<Vec<u8>>().into()),
        Value::Time(_) => Value::Time(4_102_444_800),
        Value::ObjectLink(_) => Value::ObjectLink(ObjectLink { object: 65_534, instance: 256 }),
        Value::CoreLink(_) => Value::CoreLink("</3442/0>,</3>".into()),
        Value::Null => Value::Null,
    };
    values.iter().map(|(path, value)| (*path, other(value))).collect()
}

/// The formats in which Leshan can say this: those for one value, if it is one, and those for several.
pub(crate) fn formats_for(path: Path, values: &Values) -> Vec<u16> {
    let mut formats = vec![TLV, LWM2M_JSON, SENML_JSON, SENML_CBOR];
    if let [(only, value)] = &values[..]
        && *only == path
    {
        formats.extend([TEXT, CBOR]);
        formats.extend(matches!(value, Value::Opaque(_)).then_some(OPAQUE));
    }
    formats
}

/// How Leshan lets this be written: to a single value nothing can be added.
pub(crate) fn modes_for(path: Path) -> Vec<WriteMode> {
    let is_single = path.depth() == 4 || path.resource().is_some_and(|id| id < 1000);
    if is_single { vec![WriteMode::Replace] } else { vec![WriteMode::Replace, WriteMode::Update] }
}

pub(crate) const OBJECT: Path = Path::new([3442]);
pub(crate) const INSTANCE: Path = Path::new([3442, 0]);
