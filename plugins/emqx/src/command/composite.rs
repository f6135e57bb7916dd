//! Operations on several paths at once (LwM2M 1.1), which EMQX does not know: `read-composite`, `write-composite`,
//! `observe-composite` and `cancel-observe-composite`.

use tidegate_sdk::{
    Body, CancelMode, CancelObservationComposite, ObserveComposite, Operation, Path, ReadComposite, Sample,
    WriteComposite,
};

use super::Refusal;
use super::data::{Data, Target};
use super::write;
use crate::context::Command;
use crate::json;

/// The operation of a command, and its paths as a JSON array.
pub(super) fn operation(
    command: Command,
    data: &Data<'_>,
    is_hex: bool,
) -> Result<(Operation, String), Refusal> {
    if command == Command::WriteComposite {
        let (texts, samples) = samples(data, is_hex)?;
        return Ok((
            Operation::WriteComposite(WriteComposite { body: Body::Samples(samples) }),
            array(&texts),
        ));
    }
    let texts = paths(data)?;
    let paths = texts.iter().map(|text| path(text)).collect::<Result<Vec<_>, _>>()?;
    let operation = match command {
        Command::ReadComposite => Operation::ReadComposite(ReadComposite { paths, accept: None }),
        Command::ObserveComposite => Operation::ObserveComposite(ObserveComposite { paths, accept: None }),
        _ => Operation::CancelObservationComposite(CancelObservationComposite {
            paths,
            mode: CancelMode::Active,
        }),
    };
    Ok((operation, array(&texts)))
}

/// The paths to read: `paths`, or those of `content`.
fn paths(data: &Data<'_>) -> Result<Vec<String>, Refusal> {
    let base = data.text_or_null("basePath")?;
    let texts = match data.get("paths") {
        Some(paths) => serde_json::from_str::<Vec<String>>(paths)
            .map_err(|_| format!("data.paths is not a list of texts: {paths}"))?,
        None => {
            let content = data.content()?.ok_or("data.paths is missing, such as [\"/3/0/0\",\"/1\"]")?;
            content.iter().enumerate().map(element_path).collect::<Result<_, _>>()?
        }
    };
    if texts.is_empty() {
        return Err("data.paths is empty".into());
    }
    Ok(texts.iter().map(|text| joined(base.as_deref(), text)).collect())
}

/// The values to write, with their paths.
fn samples(data: &Data<'_>, is_hex: bool) -> Result<(Vec<String>, Vec<Sample>), Refusal> {
    let base = data.text_or_null("basePath")?;
    let content = data.content()?.ok_or("data.content is missing, with a path, type and value for each")?;
    if content.is_empty() {
        return Err("data.content is empty".into());
    }
    let (mut texts, mut samples) = (Vec::new(), Vec::new());
    for (at, element) in content.iter().enumerate() {
        let text = joined(base.as_deref(), &element_path((at, element))?);
        let path = path(&text)?;
        if path.resource.is_none() {
            return Err(format!("data.content[{at}].path {text:?} is no resource").into());
        }
        let kind =
            element.text_or_null("type").map_err(|_| format!("data.content[{at}].type is not a text"))?;
        let given = element.get("value").ok_or_else(|| format!("data.content[{at}].value is missing"))?;
        samples.push(write::sample(path, kind.as_deref(), given, is_hex)?);
        texts.push(text);
    }
    Ok((texts, samples))
}

fn element_path((at, element): (usize, &Data<'_>)) -> Result<String, Refusal> {
    element
        .text("path")
        .map_err(|_| format!("data.content[{at}].path is not a text"))?
        .ok_or_else(|| format!("data.content[{at}].path is missing").into())
}

fn joined(base: Option<&str>, path: &str) -> String {
    match base {
        Some(base) => format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')),
        None => path.to_owned(),
    }
}

fn path(text: &str) -> Result<Path, Refusal> {
    let target = Target::parse(text)?;
    if !target.queries.is_empty() {
        return Err(format!("a path of several has no query of its own: {text:?}").into());
    }
    Ok(target.path())
}

fn array(texts: &[String]) -> String {
    let mut out = vec![b'['];
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::string(&mut out, text);
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}
