//! How long a payload takes to be read and written, and how many allocations that makes: an object instance of 18
//! resources in each format that can hold it, and one value in text. `make bench-parts` runs it.
//!
//! The allocations are printed before the times. They are exact; the allocator that counts them costs a few
//! nanoseconds each, which the times contain. `tests/allocations.rs` holds them fixed.

mod device;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tidegate_proto::lwm2m::format::{self, LWM2M_JSON, SENML_JSON, TEXT, TLV};
use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::Sample;

fn main() {
    let models = Models::built_in();
    let mut criterion = Criterion::default().configure_from_args();
    let samples = device::samples(&models);
    for (name, format) in [("TLV", TLV), ("SenML JSON", SENML_JSON), ("LwM2M JSON", LWM2M_JSON)] {
        measure(&mut criterion, name, format, device::INSTANCE, &samples, &models);
    }
    let one: Vec<_> = samples.into_iter().filter(|sample| sample.path == device::BATTERY_LEVEL).collect();
    measure(&mut criterion, "text", TEXT, device::BATTERY_LEVEL, &one, &models);
    criterion.final_summary();
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    format: u16,
    path: Path,
    samples: &[Sample<'_>],
    models: &Models,
) {
    let payload = format::encode(format, path, samples, models).expect("the samples can be written");
    let decode = || format::decode(Some(format), black_box(path), black_box(&payload), models);
    let encode = || format::encode(format, black_box(path), black_box(samples), models);
    assert_eq!(decode().as_deref(), Ok(samples), "what is measured is right");
    let allocations = |work: &dyn Fn()| allocation_counter::measure(work).count_total;
    let decoding = allocations(&|| drop(black_box(decode())));
    let encoding = allocations(&|| drop(black_box(encode())));
    println!("{name}: {} bytes; allocations: decode {decoding}, encode {encoding}", payload.len());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("decode", |bencher| bencher.iter(decode));
    group.bench_function("encode", |bencher| bencher.iter(encode));
    group.finish();
}
