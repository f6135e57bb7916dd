//! Samples to SenML records.

use serde_json::{Number, Value as Json, json};
use tidegate_sdk::{Sample, Value};

use crate::settings::Form;
use crate::{base64, name, unit};

/// The records of samples, in the order of time (RFC 8428, 4.6). A sample without a value is none.
pub(crate) fn pack(endpoint: &str, samples: &[Sample], received: i64, form: Form) -> Vec<Json> {
    let time = |sample: &Sample| sample.taken.filter(|taken| *taken >= EARLIEST).unwrap_or(received);
    let mut timed: Vec<(i64, &Sample)> = samples.iter().map(|sample| (time(sample), sample)).collect();
    timed.sort_by_key(|(time, _)| *time);
    let endpoint = name::of_endpoint(endpoint);
    let mut base = None;
    let mut records = Vec::with_capacity(timed.len());
    for (time, sample) in timed {
        let Some((key, value)) = value(&sample.value) else { continue };
        let mut record = json!({ key: value });
        let path = sample.path.to_string();
        match (form, base) {
            (Form::Resolved, _) => {
                record["n"] = format!("{endpoint}{path}").into();
                record["t"] = seconds(time);
            }
            (Form::Based, None) => {
                base = Some(time);
                record["bn"] = (&*endpoint).into();
                record["bt"] = seconds(time);
                record["n"] = path.into();
            }
            (Form::Based, Some(base)) => {
                record["n"] = path.into();
                if time != base {
                    record["t"] = seconds(time.saturating_sub(base));
                }
            }
        }
        if let Some(unit) = unit::of(&sample.path, samples) {
            record["u"] = unit.into();
        }
        records.push(record);
    }
    records
}

/// The field of a value.
fn value(value: &Value) -> Option<(&'static str, Json)> {
    Some(match value {
        Value::Text(text) | Value::CoreLink(text) => ("vs", text.as_str().into()),
        Value::Integer(number) | Value::Time(number) => ("v", (*number).into()),
        Value::Unsigned(number) => ("v", (*number).into()),
        // SenML has neither infinity nor "not a number".
        Value::Float(number) => ("v", Json::Number(Number::from_f64(*number)?)),
        Value::Boolean(flag) => ("vb", (*flag).into()),
        Value::Opaque(bytes) => ("vd", base64::encode(bytes).into()),
        // LwM2M has a field of its own for links, which others would have to understand.
        Value::ObjectLink(link) => ("vs", format!("{}:{}", link.object, link.object_instance).into()),
        Value::Null => return None,
    })
}

/// Milliseconds as seconds, without a fraction where there is none.
fn seconds(milliseconds: i64) -> Json {
    if milliseconds % 1000 == 0 {
        return (milliseconds / 1000).into();
    }
    #[allow(clippy::cast_precision_loss)] // exact for 285,000 years
    Json::from(milliseconds as f64 / 1000.0)
}

/// A time before this counts from now in SenML (2^28 seconds; RFC 8428, 4.5.3): a device that says so does not know the time.
const EARLIEST: i64 = (1 << 28) * 1000;

#[cfg(test)]
mod tests {
    use tidegate_sdk::Path;

    use super::*;

    fn sample(ids: &[u16], value: Value, taken: Option<i64>) -> Sample {
        Sample { path: Path::new(ids), value, kind: None, taken }
    }

    #[test]
    fn a_resolved_record_stands_alone() {
        let samples = [
            sample(&[3303, 0, 5700], Value::Float(21.5), None),
            sample(&[3303, 0, 5701], Value::Text("C".into()), Some(1_700_000_000_500)),
        ];
        let records = pack("dev1", &samples, 1_767_225_600_000, Form::Resolved);
        assert_eq!(
            Json::from(records),
            json!([
                { "n": "dev1/3303/0/5701", "t": 1_700_000_000.5, "vs": "C" },
                { "n": "dev1/3303/0/5700", "t": 1_767_225_600, "u": "Cel", "v": 21.5 },
            ])
        );
    }

    #[test]
    fn the_first_of_based_records_speaks_for_all() {
        let samples = [
            sample(&[3, 0, 9], Value::Integer(90), Some(1_700_000_001_000)),
            sample(&[3, 0, 13], Value::Time(5), Some(1_700_000_000_000)),
            sample(&[3, 0, 16], Value::Text("U".into()), Some(1_700_000_000_000)),
        ];
        let records = pack("dev1", &samples, 0, Form::Based);
        assert_eq!(
            Json::from(records),
            json!([
                { "bn": "dev1", "bt": 1_700_000_000, "n": "/3/0/13", "v": 5 },
                { "n": "/3/0/16", "vs": "U" },
                { "n": "/3/0/9", "t": 1, "u": "/100", "v": 90 },
            ])
        );
    }

    #[test]
    fn each_value_has_its_field_and_what_is_none_is_left_out() {
        let link = tidegate_sdk::ObjectLink { object: 3, object_instance: 0 };
        for (value, field) in [
            (Value::Unsigned(u64::MAX), json!({ "v": u64::MAX })),
            (Value::Boolean(false), json!({ "vb": false })),
            (Value::Opaque(vec![0xfb, 0xff]), json!({ "vd": "-_8" })),
            (Value::ObjectLink(link), json!({ "vs": "3:0" })),
            (Value::CoreLink("</3>".into()), json!({ "vs": "</3>" })),
        ] {
            let records = pack("a", &[sample(&[9, 0, 0], value, None)], 1_767_225_600_000, Form::Resolved);
            let mut expected = field;
            expected["n"] = "a/9/0/0".into();
            expected["t"] = 1_767_225_600.into();
            assert_eq!(records, [expected]);
        }
        let none = [Value::Null, Value::Float(f64::NAN), Value::Float(f64::INFINITY)];
        let none = none.map(|value| sample(&[9, 0, 0], value, None));
        assert_eq!(pack("a", &none, 0, Form::Resolved), [Json::Null; 0]);
    }

    #[test]
    fn a_device_that_does_not_know_the_time_has_the_gateway_s() {
        let early = sample(&[3, 0, 9], Value::Integer(1), Some(86_400_000));
        assert_eq!(pack("a", &[early], 1_767_225_600_000, Form::Resolved)[0]["t"], 1_767_225_600);
    }

    #[test]
    fn the_unit_is_that_of_the_same_instance() {
        let samples = [
            sample(&[3303, 0, 5700], Value::Float(1.0), None),
            sample(&[3303, 1, 5700], Value::Float(2.0), None),
            sample(&[3303, 1, 5701], Value::Text("K".into()), None),
            sample(&[3305, 0, 5805], Value::Float(3.0), None),
        ];
        let units: Vec<Json> =
            pack("a", &samples, 0, Form::Resolved).iter().map(|record| record["u"].clone()).collect();
        assert_eq!(units, [Json::Null, "K".into(), Json::Null, "Wh".into()]);
    }
}
