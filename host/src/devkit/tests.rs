use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::plugin::{Origin, Step};

const HOSTILE: &[u8] = include_bytes!("../../tests/fixtures/hostile.wasm");
const MANIFEST: &str = "name = \"hostile\"\nversion = \"1.0.0\"\ncontract = \"1.0\"\n";

/// A folder with the hostile translator, a manifest, and one case by this text.
fn folder(case: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.wasm");
    fs::write(&file, HOSTILE).unwrap();
    fs::write(folder.path().join("translator.toml"), MANIFEST).unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/one.toml"), case).unwrap();
    (folder, file)
}

fn embed_in(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let (manifest, cases) = (folder.join("translator.toml"), folder.join("cases"));
    embed(&Embed { file, manifest: Some(&manifest), cases: Some(&cases) })
}

fn proved(file: &Path) -> Result<String, Rejection> {
    let limits = Limits::default();
    let engine = Engine::new(&limits).unwrap();
    let artifact = Artifact::read(file)?;
    Generation::prove(&engine, &artifact, &json!({ "mode": "g" }), &limits)?;
    Ok(artifact.cases()[0].name.clone())
}

fn case(topic: &str) -> String {
    format!(
        "name = \"good\"\nsettings = {{ mode = \"g\" }}\n[uplink]\nendpoint = \"urn:dev:1\"\ncause = \"failed\"\n\
         operation = \"read\"\npath = \"/3\"\nfailure = \"timeout\"\n[[publish]]\ntopic = \"{topic}\"\ntext = \"urn:dev:1\"\n"
    )
}

#[test]
fn a_translator_whose_cases_come_out_would_serve() {
    let (folder, file) = folder(&case("good"));
    embed_in(folder.path(), &file).unwrap();
    assert_eq!(proved(&file).unwrap(), "good");
}

#[test]
fn a_translator_one_of_whose_cases_comes_out_otherwise_is_rejected_with_the_difference() {
    let (folder, file) = folder(&case("better"));
    embed_in(folder.path(), &file).unwrap();
    let rejection = proved(&file).unwrap_err();
    assert_eq!(rejection.step, Step::Tried);
    let text = rejection.to_string();
    assert!(text.starts_with("rejected when tried: its case \"good\" comes out otherwise:"), "{text}");
    assert!(text.contains("better") && text.contains("good"), "{text}");
}

#[test]
fn a_crash_and_a_refusal_of_settings_are_outcomes_that_a_case_can_expect() {
    let crash = case("x").replace("mode = \"g\"", "mode = \"t\"");
    let crash = crash.split("[[publish]]").next().unwrap().to_owned() + "[expect]\nfault = \"trap\"\n";
    let (folder, file) = folder(&crash);
    embed_in(folder.path(), &file).unwrap();
    proved(&file).unwrap();
}

#[test]
fn what_cannot_be_embedded_leaves_the_file_as_it_was() {
    let (folder, file) = folder("name = 1");
    let error = embed_in(folder.path(), &file).unwrap_err().to_string();
    assert!(error.contains("one.toml:1"), "{error}");
    fs::write(folder.path().join("cases/one.toml"), case("good")).unwrap();
    fs::write(folder.path().join("translator.toml"), "name = \"Not A Name\"").unwrap();
    let error = embed_in(folder.path(), &file).unwrap_err().to_string();
    assert!(error.contains("translator.toml"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), HOSTILE);
    let error = embed(&Embed { file: &file, manifest: None, cases: None }).unwrap_err().to_string();
    assert!(error.contains("nothing to embed"), "{error}");
}

#[test]
fn a_wrong_section_is_named() {
    let wrong = section::embed(HOSTILE, None, Some("[1]")).unwrap();
    let rejection = Artifact::new(wrong, Origin::Memory("wrong".to_owned())).unwrap_err();
    assert!(rejection.reason.contains("its section tidegate-cases is wrong"), "{rejection}");
    let wrong = section::embed(HOSTILE, None, Some(r#"[{"file":"a.toml","text":"x = 1"}]"#)).unwrap();
    let rejection = Artifact::new(wrong, Origin::Memory("wrong".to_owned())).unwrap_err();
    assert!(rejection.reason.contains("a case in it is wrong: a.toml:1"), "{rejection}");
}
