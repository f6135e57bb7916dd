//! LwM2M values as metrics, and back.

use tidegate_sdk::{Kind, Path, Sample, Value as Lwm2m};

use crate::name::Names;
use crate::payload::{Metric, Value, datatype};

/// The metric of a path: its ids in the halves of an alias, the instance of a resource one higher, for there is mostly none.
/// So an alias says what it stands for: commands, which know nothing of births, need nothing else. Unique in an edge node, as
/// Sparkplug wants it (6.4.6).
pub(crate) fn alias(path: &Path) -> Option<u64> {
    let instance = path.resource_instance.map_or(0, |id| u64::from(id) + 1);
    let ids = [path.object?, path.object_instance?, path.resource?].map(u64::from);
    // The last instance of all has no place.
    (instance <= 0xFFFF).then_some(ids[0] << 48 | ids[1] << 32 | ids[2] << 16 | instance)
}

/// What an alias stands for.
pub(crate) fn path(alias: u64) -> Path {
    let [a, b, c, d, e, f, g, h] = alias.to_be_bytes();
    let ids = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
    let mut path = Path::new(&ids[..3]);
    path.resource_instance = ids[3].checked_sub(1);
    path
}

/// A sample with all that a birth tells of it; none for what is no resource.
pub(crate) fn of_sample(sample: &Sample, names: &Names, received: i64) -> Option<Metric> {
    let (datatype, value) = value(&sample.value, sample.kind);
    Some(Metric {
        name: Some(names.of(&sample.path)?),
        alias: Some(alias(&sample.path)?),
        timestamp: u64::try_from(sample.taken.unwrap_or(received)).ok(),
        datatype: Some(datatype),
        is_historical: None,
        is_null: value.is_none().then_some(true),
        value,
    })
}

/// The data type goes by the value as it is, so that what does not fit its definition is still told.
fn value(value: &Lwm2m, kind: Option<Kind>) -> (u32, Option<Value>) {
    match value {
        Lwm2m::Text(text) | Lwm2m::CoreLink(text) => (datatype::STRING, Some(Value::String(text.clone()))),
        // Two's complement (6.4.16).
        Lwm2m::Integer(number) => (datatype::INT64, Some(Value::Long(number.cast_unsigned()))),
        Lwm2m::Unsigned(number) => (datatype::UINT64, Some(Value::Long(*number))),
        Lwm2m::Float(number) => (datatype::DOUBLE, Some(Value::Double(*number))),
        Lwm2m::Boolean(value) => (datatype::BOOLEAN, Some(Value::Boolean(*value))),
        Lwm2m::Opaque(bytes) => (datatype::BYTES, Some(Value::Bytes(bytes.clone()))),
        Lwm2m::Time(seconds) => {
            (datatype::DATE_TIME, Some(Value::Long(seconds.saturating_mul(1_000).cast_unsigned())))
        }
        Lwm2m::ObjectLink(link) => {
            (datatype::STRING, Some(Value::String(format!("{}:{}", link.object, link.object_instance))))
        }
        Lwm2m::Null => (of_kind(kind), None),
    }
}

fn of_kind(kind: Option<Kind>) -> u32 {
    match kind {
        Some(Kind::Integer) => datatype::INT64,
        Some(Kind::Unsigned) => datatype::UINT64,
        Some(Kind::Float) => datatype::DOUBLE,
        Some(Kind::Boolean) => datatype::BOOLEAN,
        Some(Kind::Opaque) => datatype::BYTES,
        Some(Kind::Time) => datatype::DATE_TIME,
        Some(Kind::Text | Kind::ObjectLink | Kind::CoreLink | Kind::Executable) | None => datatype::STRING,
    }
}

/// The value of a command, and the kind that it is of; none if it has none.
pub(crate) fn written(metric: &Metric) -> Option<(Lwm2m, Kind)> {
    let datatype = metric.datatype.unwrap_or_default();
    Some(match metric.value.as_ref()? {
        Value::Int(bits) => {
            let number = match datatype {
                // Narrow numbers come sign-extended or not; the lowest bits are the number either way.
                datatype::INT8 => i64::from(bits.to_le_bytes()[0].cast_signed()),
                datatype::INT16 => {
                    let [low, high, ..] = bits.to_le_bytes();
                    i64::from(i16::from_le_bytes([low, high]))
                }
                datatype::INT32 => i64::from(bits.cast_signed()),
                _ => i64::from(*bits),
            };
            (Lwm2m::Integer(number), Kind::Integer)
        }
        Value::Long(bits) if datatype == datatype::DATE_TIME => {
            (Lwm2m::Time(bits.cast_signed().div_euclid(1_000)), Kind::Time)
        }
        Value::Long(bits) if datatype == datatype::UINT64 => (Lwm2m::Unsigned(*bits), Kind::Unsigned),
        Value::Long(bits) => (Lwm2m::Integer(bits.cast_signed()), Kind::Integer),
        Value::Float(number) => (Lwm2m::Float(f64::from(*number)), Kind::Float),
        Value::Double(number) => (Lwm2m::Float(*number), Kind::Float),
        Value::Boolean(value) => (Lwm2m::Boolean(*value), Kind::Boolean),
        Value::String(text) => (Lwm2m::Text(text.clone()), Kind::Text),
        Value::Bytes(bytes) => (Lwm2m::Opaque(bytes.clone()), Kind::Opaque),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_says_what_it_stands_for() {
        for ids in [&[3303, 0, 5700][..], &[3, 0, 11, 0], &[65535, 65535, 65535, 65534]] {
            assert_eq!(path(alias(&Path::new(ids)).unwrap()).ids().collect::<Vec<_>>(), ids);
        }
        assert_eq!(alias(&Path::new(&[3303, 0])), None);
        assert_eq!(alias(&Path::new(&[1, 1, 1, 65535])), None, "its alias would be that of another path");
    }

    #[test]
    fn numbers_of_all_widths_are_written_with_their_signs() {
        let metric =
            |datatype, value| Metric { datatype: Some(datatype), value: Some(value), ..Metric::default() };
        for (of, number) in [
            (metric(datatype::INT8, Value::Int(0xFF)), -1),
            (metric(datatype::INT8, Value::Int(0xFFFF_FFFE)), -2),
            (metric(datatype::INT16, Value::Int(0x8000)), -32_768),
            (metric(datatype::INT32, Value::Int(0xFFFF_FFFF)), -1),
            (metric(7, Value::Int(0xFFFF_FFFF)), 4_294_967_295),
            (metric(datatype::INT64, Value::Long(u64::MAX)), -1),
        ] {
            let (value, kind) = written(&of).unwrap();
            assert!(
                matches!(value, Lwm2m::Integer(found) if found == number) && kind == Kind::Integer,
                "{of:?} {value:?}"
            );
        }
        let time = metric(datatype::DATE_TIME, Value::Long(1_700_000_000_500));
        assert!(matches!(written(&time), Some((Lwm2m::Time(1_700_000_000), Kind::Time))));
        assert!(written(&Metric::default()).is_none());
    }
}
