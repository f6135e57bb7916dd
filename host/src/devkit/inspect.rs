//! `tidegate plugin inspect`: what can be said about a file without running it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use wasmparser::{Parser, Payload};

use crate::plugin::{Artifact, Manifest, Schema};

/// Prints manifest, contract version, imports and exports, digest, sizes, settings and cases. Nothing is compiled.
///
/// # Errors
/// The file is no artifact.
pub(crate) fn inspect(file: &Path) -> anyhow::Result<()> {
    let artifact = Artifact::read(file).with_context(|| file.display().to_string())?;
    print!("{}", describe(file, &artifact)?);
    Ok(())
}

fn describe(file: &Path, artifact: &Artifact) -> anyhow::Result<String> {
    let mut text = String::new();
    line(&mut text, "file", &file.display().to_string());
    line(&mut text, "SHA-256", &artifact.digest());
    if artifact.is_script() {
        line(&mut text, "kind", "script (JavaScript)");
    } else {
        let outside = Outside::read(artifact.bytes())?;
        line(&mut text, "kind", "component");
        let (all, code, data) = (artifact.bytes().len(), outside.code, outside.data);
        line(&mut text, "size", &format!("{all} bytes (code: {code}, data: {data})"));
        line(&mut text, "contract", outside.contract().unwrap_or("none: not a translator"));
        line(&mut text, "imports", &outside.imports.join(", "));
        line(&mut text, "exports", &outside.exports.join(", "));
    }
    match artifact.manifest() {
        Some(manifest) => about(&mut text, manifest),
        None => line(&mut text, "manifest", "none; `tidegate plugin embed` adds one"),
    }
    let cases: Vec<&str> = artifact.cases().iter().map(|case| case.name.as_str()).collect();
    line(&mut text, "cases", &cases.len().to_string());
    cases.iter().for_each(|case| line(&mut text, "", case));
    Ok(text)
}

/// What a component's outermost sections say, and how much code and data are in it.
#[derive(Default)]
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
    code: usize,
    data: usize,
}

impl Outside {
    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut outside = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(imports) if depth == 1 => {
                    for import in imports {
                        outside.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 1 => {
                    for export in exports {
                        outside.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CodeSectionStart { range, .. } => outside.code += range.len(),
                Payload::DataSection(section) => {
                    outside.data += section.range().len();
                }
                _ => {}
            }
        }
        Ok(outside)
    }

    /// The version of the contract that it was made for.
    fn contract(&self) -> Option<&str> {
        self.exports
            .iter()
            .find_map(|name| name.strip_prefix("tidegate:translator/")?.split_once('@'))
            .map(|of| of.1)
    }
}

fn about(text: &mut String, manifest: &Manifest) {
    line(text, "name", &manifest.name);
    line(text, "version", &manifest.version);
    line(text, "needs", &format!("version {} of the contract", manifest.contract));
    if !manifest.description.is_empty() {
        line(text, "about", &manifest.description);
    }
    match &manifest.claims {
        Some(claims) => {
            let objects: Vec<String> = claims.objects.iter().map(u16::to_string).collect();
            let with = if objects.is_empty() {
                String::new()
            } else {
                format!(" with one of the objects {}", objects.join(", "))
            };
            line(text, "claims", &format!("{}{with}", claims.endpoints.join(", ")));
        }
        None => line(text, "claims", "nothing; a [[route]] or [[translator]] names it"),
    }
    match &manifest.settings {
        Some(schema) => settings(text, schema),
        None => line(text, "settings", "any, handed over as they are"),
    }
}

fn settings(text: &mut String, schema: &Schema) {
    line(text, "settings", &schema.settings().len().to_string());
    for (key, setting) in schema.settings() {
        let mut about = format!("{key}: {}", setting.kind);
        // Writing to a `String` cannot fail.
        if !setting.values.is_empty() {
            let values: Vec<String> = setting.values.iter().map(ToString::to_string).collect();
            let _ = write!(about, ", one of {}", values.join(", "));
        }
        if let Some(minimum) = setting.minimum {
            let _ = write!(about, ", at least {minimum}");
        }
        if let Some(maximum) = setting.maximum {
            let _ = write!(about, ", at most {maximum}");
        }
        let _ = match &setting.default {
            Some(default) => write!(about, ", default {default}"),
            None => write!(about, ", required"),
        };
        if !setting.description.is_empty() {
            let _ = write!(about, ". {}", setting.description);
        }
        line(text, "", &about);
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{key:<9} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Artifact, Origin};

    const MANIFEST: &str = "name = \"a\"\nversion = \"1.2.3\"\ncontract = \"1.0\"\n[settings.qos]\ntype = \"integer\"\n\
                            default = 1\nmaximum = 2\ndescription = \"How sure\"\n";

    #[test]
    fn all_that_a_component_says_is_shown() {
        let emqx = Artifact::built_in("emqx").unwrap();
        let bytes = super::super::section::embed(emqx.bytes(), Some(MANIFEST), None).unwrap();
        let artifact = Artifact::new(bytes, Origin::Memory("a".to_owned())).unwrap();
        let text = describe(Path::new("a.wasm"), &artifact).unwrap();
        let has = |line: &str| assert!(text.lines().any(|is| is == line), "no {line:?} in:\n{text}");
        has("contract  1.1.0");
        has(&format!("SHA-256   {}", artifact.digest()));
        has("version   1.2.3");
        has("          qos: an integer, at most 2, default 1. How sure");
        has("cases     0");
        assert!(text.contains("tidegate:translator/log@1.1.0"), "{text}");
        assert!(text.contains("tidegate:translator/uplink@1.1.0"), "{text}");
    }
}
