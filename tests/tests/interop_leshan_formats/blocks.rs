//! Values that need several blocks, which on the device's side Californium puts together and takes apart.

use anyhow::{Result, ensure};
use tidegate_proto::lwm2m::format::{OPAQUE, SENML_JSON, TEXT, TLV};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::Value;

use crate::stage::Stage;
use crate::value::Values;

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_large_value_is_written_to_a_leshan_device_and_read_in_blocks() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    for format in [TEXT, OPAQUE, TLV, SENML_JSON] {
        // Ending with a block, one byte after it, somewhere.
        for length in [4096, 4097, 5000] {
            let written = large(length, format);
            stage.write(format, &written)?;
            for accept in [TEXT, OPAQUE, TLV, SENML_JSON] {
                let read =
                    stage.ask(Operation::Read { path: BYTES, queries: vec![], accept: Some(accept) })?;
                ensure!(stage.values(&read, "2.05", accept)? == written, "{length} bytes in {accept}");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn what_a_leshan_device_refuses_for_its_size_is_said() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let body = stage.encoded(OPAQUE, BYTES, &large(20_000, OPAQUE))?;
    let mode = WriteMode::Replace;
    let answer = stage.ask(Operation::Write { path: BYTES, queries: vec![], mode, body })?;
    ensure!(answer.code == "4.13", "{answer:?}");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn large_notifications_of_a_leshan_device_are_put_together() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mode = CancelMode::Active;
    let single = Operation::Observe { path: BYTES, queries: vec![], accept: Some(OPAQUE) };
    let composite = Operation::ObserveComposite { paths: vec![BYTES], accept: Some(SENML_JSON) };
    let cancel_single = Operation::CancelObservation { path: BYTES, queries: vec![], mode };
    let cancel_composite = Operation::CancelObservationComposite { paths: vec![BYTES], mode };
    for (observe, cancel, format) in
        [(single, cancel_single, OPAQUE), (composite, cancel_composite, SENML_JSON)]
    {
        let first = large(3000, 1);
        stage.write(OPAQUE, &first)?;
        let observed = stage.ask(observe)?;
        ensure!(stage.values(&observed, "2.05", format)? == first, "{observed:?}");
        for (length, seed) in [(4000, 2), (2000, 3), (100, 4), (5000, 5)] {
            let changed = large(length, seed);
            stage.write(OPAQUE, &changed)?;
            let notified = stage.server.notified(&observed.context)?;
            ensure!(stage.values(&notified, "2.05", format)? == changed, "{length} bytes in {format}");
        }
        let cancelled = stage.ask(cancel)?;
        ensure!(stage.values(&cancelled, "2.05", format)? == large(5000, 5), "{cancelled:?}");
    }
    Ok(())
}

impl Stage {
    fn write(&mut self, format: u16, values: &Values) -> Result<()> {
        let body: Body = self.encoded(format, BYTES, values)?;
        let mode = WriteMode::Replace;
        let answer = self.ask(Operation::Write { path: BYTES, queries: vec![], mode, body })?;
        ensure!(answer.code == "2.04", "{answer:?}");
        Ok(())
    }
}

/// No two of them, and no two blocks of them, are alike.
fn large(length: u32, seed: u16) -> Values {
    let bytes: Vec<u8> =
        (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed as u8).collect();
    vec![(BYTES, Value::Opaque(bytes.into()))]
}

const BYTES: Path = Path::new([3442, 0, 150]);
