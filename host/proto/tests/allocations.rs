//! How many allocations the formats make for an object instance of 18 resources. They are counted exactly and held
//! fixed, so that growth is seen; `benches/format.rs` has the times.

#[path = "../benches/device/mod.rs"]
mod device;

use std::hint::black_box;

use tidegate_proto::lwm2m::format::{self, LWM2M_JSON, OPAQUE, SENML_JSON, TEXT, TLV};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Sample, Value};

/// Allocations, also those that make an earlier one larger, of reading and of writing.
fn counts(format: u16, path: Path, samples: &[Sample<'_>], models: &Models) -> (u64, u64) {
    let payload = format::encode(format, path, samples, models).expect("the samples can be written");
    let read = || format::decode(Some(format), path, &payload, models);
    assert_eq!(read().as_deref(), Ok(samples));
    let decode = allocation_counter::measure(|| drop(black_box(read())));
    let encode =
        allocation_counter::measure(|| drop(black_box(format::encode(format, path, samples, models))));
    (decode.count_total, encode.count_total)
}

#[test]
fn the_samples_of_tlv_are_one_allocation() {
    let models = Models::built_in();
    let samples = device::samples(&models);
    // Writing: the payload, the order of the samples, and where each resource begins in it.
    assert_eq!(counts(TLV, device::INSTANCE, &samples, &models), (1, 3));
}

#[test]
fn the_samples_and_the_name_of_senml_json_are_two_allocations() {
    let models = Models::built_in();
    let samples = device::samples(&models);
    // Writing: the payload and the name.
    assert_eq!(counts(SENML_JSON, device::INSTANCE, &samples, &models), (2, 2));
}

#[test]
fn the_entries_and_the_samples_of_lwm2m_json_are_two_allocations() {
    let models = Models::built_in();
    let samples = device::samples(&models);
    assert_eq!(counts(LWM2M_JSON, device::INSTANCE, &samples, &models), (2, 1));
}

#[test]
fn one_value_in_text_is_one_allocation() {
    let models = Models::built_in();
    let samples: Vec<_> = device::samples(&models);
    let level: Vec<_> =
        samples.iter().filter(|sample| sample.path == device::BATTERY_LEVEL).cloned().collect();
    assert_eq!(level[0].value, Value::Integer(100));
    assert_eq!(counts(TEXT, device::BATTERY_LEVEL, &level, &models), (1, 1));
}

#[test]
fn texts_and_bytes_are_not_copied_on_reading() {
    let models = Models::built_in();
    let path = Path::new([5, 0, 0]);
    let value = Value::Opaque(vec![7; 100_000].into());
    let samples = [Sample { path, value, kind: models.kind(5, None, 0), taken: None }];
    for format in [OPAQUE, TLV] {
        let payload = format::encode(format, path, &samples, &models).expect("the sample can be written");
        let info = allocation_counter::measure(|| {
            drop(black_box(format::decode(Some(format), path, &payload, &models)));
        });
        assert!(info.bytes_total < 10_000, "{format}: {} bytes", info.bytes_total);
    }
}
