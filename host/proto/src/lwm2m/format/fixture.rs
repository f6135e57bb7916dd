//! An object with a resource of each type, and values for it; for the tests of the codecs.

use std::borrow::Cow;
use std::ops::Range;

use proptest::prelude::*;

use super::Definitions;
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{Kind, ObjectLink, Sample, Value};

/// Objects 3, 65, 66 and 72 are those of examples, as far as they are needed; object 9 has a resource of each type.
pub(super) struct Device;

impl Definitions for Device {
    fn kind(&self, object: u16, resource: u16) -> Option<Kind> {
        match (object, resource) {
            (3, 0..=3 | 14..=16) => Some(Kind::Text),
            (3, 6..=11) => Some(Kind::Integer),
            (3, 13) => Some(Kind::Time),
            (65, 0) | (66, 2) => Some(Kind::ObjectLink),
            (72, 2) => Some(Kind::Float),
            (9, 0) => Some(Kind::Unsigned),
            (9, 1) => Some(Kind::Float),
            (9, 2) => Some(Kind::Boolean),
            (9, 3) => Some(Kind::Opaque),
            (9, 4) => Some(Kind::CoreLink),
            (9, 5) => Some(Kind::ObjectLink),
            (9, 6) => Some(Kind::Executable),
            (9, 9) => Some(Kind::Time),
            (9, 10) => Some(Kind::Integer),
            (9, 11) => Some(Kind::Text),
            _ => None,
        }
    }
}

pub(super) fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// Resources of object 9 with a value of their type, as far as JSON can hold it.
pub(super) fn json_values() -> impl Strategy<Value = (u16, Value<'static>)> {
    let integers = || prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -300_i64..300];
    let unsigned = prop_oneof![any::<u64>(), Just(u64::MAX), 0_u64..300];
    prop_oneof![
        // 7 and 8 have no definition: the format describes them.
        integers().prop_map(|number| (7, Value::Integer(number))),
        integers().prop_map(|number| (10, Value::Integer(number))),
        integers().prop_map(|number| (9, Value::Time(number))),
        unsigned.prop_map(|number| (0, Value::Unsigned(number))),
        (proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO)
            .prop_map(|number| (1, Value::Float(number))),
        any::<i8>().prop_map(|number| (1, Value::Float(f64::from(number) / 8.0))),
        any::<bool>().prop_map(|flag| (2, Value::Boolean(flag))),
        any::<Vec<u8>>().prop_map(|bytes| (3, Value::Opaque(Cow::Owned(bytes)))),
        any::<String>().prop_map(|text| (4, Value::CoreLink(Cow::Owned(text)))),
        any::<String>().prop_map(|text| (8, Value::Text(Cow::Owned(text)))),
        any::<String>().prop_map(|text| (11, Value::Text(Cow::Owned(text)))),
        any::<(u16, u16)>()
            .prop_map(|(object, instance)| (5, Value::ObjectLink(ObjectLink { object, instance }))),
        Just((6, Value::Null)),
    ]
}

/// As [`json_values`], and the floats that JSON does not have.
pub(super) fn values() -> impl Strategy<Value = (u16, Value<'static>)> {
    let floats = prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        any::<u64>().prop_map(f64::from_bits),
        any::<f32>().prop_map(f64::from),
    ];
    prop_oneof![4 => json_values(), 1 => floats.prop_map(|number| (1, Value::Float(number)))]
}

/// Samples of object instance `/9/65535`, some of resource instances, some with a time.
pub(super) fn samples(
    values: impl Strategy<Value = (u16, Value<'static>)>,
    times: Range<i64>,
) -> impl Strategy<Value = Vec<Sample<'static>>> {
    let sample = (values, proptest::option::of(any::<u16>()), proptest::option::of(times));
    let sample = sample.prop_map(|((resource, value), instance, taken)| {
        let path = Path::new([9, 65535, resource]);
        let path = instance.and_then(|id| path.child(id)).unwrap_or(path);
        Sample { path, value, kind: Device.kind(9, resource), taken }
    });
    proptest::collection::vec(sample, 0..6)
}

/// The debug text of samples, in which NaN equals itself.
pub(super) fn debug(samples: &[Sample<'_>]) -> Vec<String> {
    samples.iter().map(|sample| format!("{sample:?}")).collect()
}
