//! Operations on several paths.

use anyhow::{Result, ensure};
use tidegate_proto::lwm2m::format::{SENML_CBOR, SENML_JSON};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::Value;

use crate::matrix::Matrix;
use crate::stage::{Stage, refusal};
use crate::value::{INSTANCE, Values, initial_values, other_values, samples};

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_read_by_composites_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("read-composite");
    for (paths, expected) in composites() {
        for format in [SENML_JSON, SENML_CBOR] {
            let answer =
                stage.ask(Operation::ReadComposite { paths: paths.clone(), accept: Some(format) })?;
            matrix.check(Path::root(), format, stage.values(&answer, "2.05", format), &expected);
        }
    }
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_written_by_composites_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("write-composite");
    let written = other_values(&initial_values());
    for format in [SENML_JSON, SENML_CBOR] {
        let body = match stage.encoded(format, Path::root(), &written) {
            Ok(body) => body,
            Err(error) => {
                matrix.fail(Path::root(), format, &error);
                continue;
            }
        };
        let answer = stage.ask(Operation::WriteComposite { body })?;
        let outcome = if answer.code == "2.04" { stage.read(INSTANCE) } else { Err(refusal(&answer)) };
        matrix.check(Path::root(), format, outcome, &written);
        stage.reset()?;
    }
    let answer = stage.ask(Operation::WriteComposite { body: Body::Samples(samples(&written)) })?;
    ensure!(answer.code == "2.04" && stage.read(INSTANCE)? == written, "{answer:?}");
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_observed_by_composites_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("observe-composite");
    for (paths, expected) in composites() {
        for format in [SENML_JSON, SENML_CBOR] {
            let observe = Operation::ObserveComposite { paths: paths.clone(), accept: Some(format) };
            let answer = stage.ask(observe)?;
            matrix.check(Path::root(), format, stage.values(&answer, "2.05", format), &expected);

            let changed = stage.change(Path::root(), &expected)?;
            let notified = stage.server.notified(&answer.context)?;
            matrix.check(Path::root(), format, stage.values(&notified, "2.05", format), &changed);

            let mode = CancelMode::Active;
            let cancel = Operation::CancelObservationComposite { paths: paths.clone(), mode };
            let cancelled = stage.ask(cancel)?;
            matrix.check(Path::root(), format, stage.values(&cancelled, "2.05", format), &changed);
            stage.reset()?;
        }
    }
    matrix.finish()
}

/// Paths for a composite, and the values there are below them.
fn composites() -> Vec<(Vec<Path>, Values)> {
    let all = initial_values();
    let several =
        vec![all[0].0, Path::new([3442, 0, 130]), Path::new([3442, 0, 1125]), Path::new([3442, 0, 1150, 0])];
    [vec![INSTANCE], vec![all[3].0], several]
        .into_iter()
        .map(|paths: Vec<Path>| {
            let is_asked = |(value, _): &&(Path, Value<'_>)| paths.iter().any(|path| value.starts_with(path));
            let expected = all.iter().filter(is_asked).cloned().collect();
            (paths, expected)
        })
        .collect()
}
