//! The Device object of a real device, for the benchmark of the formats and the test of their allocations: 18
//! resources, of which four have instances.

use std::borrow::Cow;

use tidegate_proto::lwm2m::format::Definitions;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Sample, Value};

/// The object instance.
pub(crate) const INSTANCE: Path = Path::new([3, 0]);

/// One of its resources, an integer.
pub(crate) const BATTERY_LEVEL: Path = Path::new([3, 0, 9]);

/// Its values, as a client with these definitions sends them.
pub(crate) fn samples(definitions: &dyn Definitions) -> Vec<Sample<'static>> {
    let text = |id, text: &'static str| (vec![id], Value::Text(Cow::Borrowed(text)));
    let integer = |ids: &[u16], number| (ids.to_vec(), Value::Integer(number));
    let values = [
        text(0, "Open Mobile Alliance"),
        text(1, "Lightweight M2M Client"),
        text(2, "345000123"),
        text(3, "1.0"),
        integer(&[6, 0], 1),
        integer(&[6, 1], 5),
        integer(&[7, 0], 3800),
        integer(&[7, 1], 5000),
        integer(&[8, 0], 125),
        integer(&[8, 1], 900),
        integer(&[9], 100),
        integer(&[10], 15),
        integer(&[11, 0], 0),
        (vec![13], Value::Time(1_367_491_215)),
        text(14, "+02:00"),
        text(15, "Europe/Berlin"),
        text(16, "U"),
        text(17, "Sensor"),
        text(18, "B-2.1"),
        integer(&[20], 0),
        integer(&[21], 64),
    ];
    let sample = |(ids, value): (Vec<u16>, Value<'static>)| {
        let path = ids.iter().try_fold(INSTANCE, |path, &id| path.child(id)).expect("four levels at most");
        let kind = definitions.kind(3, ids[0]);
        assert!(kind.is_some(), "{path} is defined");
        Sample { path, value, kind, taken: None }
    };
    values.into_iter().map(sample).collect()
}
