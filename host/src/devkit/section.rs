//! The custom sections in which an artifact carries its manifest and cases: written here, read by `plugin::Artifact`.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::plugin::{CASES_SECTION, MANIFEST_SECTION, SECTION};

/// A component (or a core module) with these sections at its end, in place of those that it had. What is `None` stays as
/// it was.
///
/// # Errors
/// The bytes are cut off in the middle of a section, or what is to be embedded is too large.
pub(super) fn embed(bytes: &[u8], manifest: Option<&str>, cases: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let new: Vec<(&str, &str)> =
        [(MANIFEST_SECTION, manifest), (CASES_SECTION, cases)].into_iter().filter_map(named).collect();
    for (name, text) in &new {
        ensure!(
            text.len() <= SECTION,
            "the section {name} would have {} bytes, at most {SECTION} are read",
            text.len()
        );
    }
    let mut embedded = bytes.get(..PREAMBLE).context("not WebAssembly: it has no preamble")?.to_vec();
    let mut rest = &bytes[PREAMBLE..];
    while !rest.is_empty() {
        let section = first(rest).context("not whole: it ends within a section")?;
        let is_replaced = custom_name(section).is_some_and(|name| new.iter().any(|(new, _)| *new == name));
        if !is_replaced {
            embedded.extend_from_slice(section);
        }
        rest = &rest[section.len()..];
    }
    for (name, text) in new {
        append(&mut embedded, name, text.as_bytes());
    }
    Ok(embedded)
}

/// Writes a file so that whoever watches its folder never sees half of it.
///
/// # Errors
/// It cannot be written or renamed; then nothing is left behind.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else { bail!("{} is no name of a file", path.display()) };
    // It begins with a dot: the gateway leaves such files alone.
    let beside = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&beside)?;
        file.write_all(bytes)?;
        if let Ok(before) = fs::metadata(path) {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn named<'a>((name, text): (&'static str, Option<&'a str>)) -> Option<(&'static str, &'a str)> {
    Some((name, text?))
}

/// The first section, with its id and size.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (size, taken) = leb128(bytes.get(1..)?)?;
    bytes.get(..1 + taken + size)
}

fn custom_name(section: &[u8]) -> Option<&str> {
    let (&CUSTOM, rest) = section.split_first()? else { return None };
    let (_, taken) = leb128(rest)?;
    let content = rest.get(taken..)?;
    let (length, taken) = leb128(content)?;
    std::str::from_utf8(content.get(taken..taken + length)?).ok()
}

fn append(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut content = to_leb128(name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data);
    bytes.push(CUSTOM);
    bytes.extend(to_leb128(content.len()));
    bytes.extend(content);
}

/// A number of at most 32 bits, and how many bytes it takes (WebAssembly core, 5.2.2).
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

fn to_leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

const PREAMBLE: usize = 8;
const CUSTOM: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Artifact, Origin};

    const MANIFEST: &str = "name = \"a\"\nversion = \"1.0.0\"\ncontract = \"1.0\"\n";

    fn emqx() -> Vec<u8> {
        Artifact::built_in("emqx").unwrap().bytes().to_vec()
    }

    #[test]
    fn what_is_embedded_is_read_again_and_replaced() {
        let once = embed(&emqx(), Some(MANIFEST), Some("[]")).unwrap();
        let read = Artifact::new(once.clone(), Origin::Memory("once".to_owned())).unwrap();
        assert_eq!(read.manifest().unwrap().name, "a");
        let other = MANIFEST.replace("\"a\"", "\"other\"");
        let twice = embed(&once, Some(&other), None).unwrap();
        let read = Artifact::new(twice.clone(), Origin::Memory("twice".to_owned())).unwrap();
        assert_eq!(read.manifest().unwrap().name, "other");
        assert_eq!(twice.len(), once.len() + "other".len() - "a".len(), "nothing is left of the old one");
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let emqx = emqx();
        for length in [0, 7, 9, 100, emqx.len() - 1] {
            embed(&emqx[..length], Some(MANIFEST), None).unwrap_err();
        }
    }

    #[test]
    fn what_nobody_would_read_is_refused() {
        let error = embed(&emqx(), Some(&"#".repeat(SECTION + 1)), None).unwrap_err();
        assert!(error.to_string().contains("tidegate-manifest would have 65537 bytes"), "{error}");
    }

    #[test]
    fn numbers_of_every_length_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 0xffff_ffff] {
            let bytes = to_leb128(value);
            assert_eq!(leb128(&bytes), Some((value, bytes.len())));
        }
    }

    #[test]
    fn a_file_is_replaced_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
