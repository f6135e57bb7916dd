//! Pre-shared keys from the files of other servers.
//!
//! Two forms: CSV with `endpoint,identity,key` in a line (RFC 4180), and `identity:key` in a line, as EMQX has it. Empty lines and
//! those that begin with `#` are skipped. All of it is right, or nothing is taken.

use std::fmt;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use tidegate_dtls::credential::{Credentials, Key};
use zeroize::Zeroizing;

use super::material;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `endpoint,identity,key`; the first line may name the columns.
    Csv,
    /// `identity:key`. The endpoint is the identity.
    Psk,
}

/// A pre-shared key of such a file.
#[derive(Debug)]
pub struct Imported {
    /// PSK identity.
    pub identity: String,
    /// The key.
    pub key: Key,
    /// Endpoint name.
    pub endpoint: String,
}

/// What is wrong with which lines. Says no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    file: PathBuf,
    /// The first of them.
    wrong: Vec<(usize, String)>,
    count: usize,
}

impl fmt::Display for ImportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, wrong) in &self.wrong {
            writeln!(formatter, "{}:{line}: {wrong}", self.file.display())?;
        }
        if self.count > self.wrong.len() {
            writeln!(formatter, "and {} more", self.count - self.wrong.len())?;
        }
        formatter.write_str("nothing is imported")
    }
}

impl std::error::Error for ImportError {}

/// Reads the text of such a file; without a format, in that which its first line is in. Keys are hex digits, or text that is
/// the key itself.
///
/// # Errors
/// What is wrong with its lines.
pub fn import(
    text: &str,
    file: &Path,
    format: Option<Format>,
    is_text: bool,
) -> Result<Vec<Imported>, ImportError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !is_skipped(line));
    let mut error = ImportError { file: file.to_owned(), wrong: Vec::new(), count: 0 };
    let (mut found, mut seen) = (Vec::new(), Seen::default());
    let mut format = format;
    for (number, line) in lines {
        let is_first = found.is_empty() && error.count == 0;
        let format = *format.get_or_insert_with(|| format_of(line));
        let fields = match format {
            Format::Csv => csv(line),
            Format::Psk => psk(line),
        };
        match fields {
            Ok(fields) if is_first && format == Format::Csv && is_heading(&fields) => {}
            Ok(fields) => match seen.take(&fields, number, is_text) {
                Ok(imported) => found.push(imported),
                Err(wrong) => error.add(number, wrong),
            },
            Err(wrong) => error.add(number, wrong.to_owned()),
        }
    }
    if error.count == 0 { Ok(found) } else { Err(error) }
}

impl ImportError {
    fn add(&mut self, line: usize, wrong: String) {
        self.count += 1;
        if self.wrong.len() < MOST_SHOWN {
            self.wrong.push((line, wrong));
        }
    }
}

/// What earlier lines had.
#[derive(Default)]
struct Seen {
    /// Checks what the gateway would.
    credentials: Credentials,
    lines: FxHashMap<String, usize>,
}

impl Seen {
    fn take(&mut self, fields: &[Field; 3], line: usize, is_text: bool) -> Result<Imported, String> {
        let [endpoint, identity, key] = fields;
        if let Some(first) = self.lines.get(identity.as_str()) {
            let identity = identity.as_str();
            return Err(format!("the identity {identity:?} stands in line {first} already"));
        }
        let key = if is_text {
            Key::new(Box::<[u8]>::from(key.as_bytes()))
        } else {
            material::key(key).map_err(|wrong| format!("the key {wrong}"))?
        };
        self.credentials.add_psk(identity, key.clone(), endpoint).map_err(|error| error.to_string())?;
        self.lines.insert(identity.to_string(), line);
        Ok(Imported { identity: identity.to_string(), key, endpoint: endpoint.to_string() })
    }
}

/// A field may be a key.
type Field = Zeroizing<String>;

fn is_skipped(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn format_of(line: &str) -> Format {
    match csv(line) {
        Ok(_) => Format::Csv,
        Err(_) => Format::Psk,
    }
}

fn is_heading(fields: &[Field; 3]) -> bool {
    fields[0].eq_ignore_ascii_case("endpoint") && fields[1].eq_ignore_ascii_case("identity")
}

/// Endpoint, identity and key.
fn csv(line: &str) -> Result<[Field; 3], &'static str> {
    // With room for all, as growing would leave a copy of a key behind.
    let field = || Field::new(String::with_capacity(line.len()));
    let mut fields = vec![field()];
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    let mut is_quoted = false;
    while let Some(character) = characters.next() {
        let Some(last) = fields.last_mut() else { break };
        match character {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => last.push('"'),
            '"' if is_quoted => is_quoted = false,
            '"' if last.trim().is_empty() => {
                last.clear();
                is_quoted = true;
            }
            ',' if !is_quoted => fields.push(field()),
            _ => last.push(character),
        }
    }
    if is_quoted {
        return Err("has a quotation mark without its end");
    }
    let fields: Vec<Field> = fields.iter().map(|field| Field::new(field.trim().to_owned())).collect();
    fields.try_into().map_err(|_| "must be `endpoint,identity,key`")
}

/// Endpoint, identity and key. An identity may have colons, a key has none.
fn psk(line: &str) -> Result<[Field; 3], &'static str> {
    let (identity, key) = line.trim().rsplit_once(':').ok_or("must be `identity:key`")?;
    Ok([identity, identity, key].map(|field| Field::new(field.to_owned())))
}

/// Lines that an error shows.
const MOST_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String, Vec<u8>)>, String> {
        let imported = import(text, Path::new("keys"), None, false).map_err(|error| error.to_string())?;
        Ok(imported.into_iter().map(|of| (of.identity, of.endpoint, of.key.expose().to_vec())).collect())
    }

    fn one(identity: &str, endpoint: &str, key: &[u8]) -> (String, String, Vec<u8>) {
        (identity.to_owned(), endpoint.to_owned(), key.to_vec())
    }

    #[test]
    fn csv_is_read_with_and_without_a_heading() {
        let expected = [one("i1", "e1", &[0, 255]), one("i,2", "e \"2\"", &[1])];
        let text = "e1,i1,00ff\r\n# a comment\r\n\r\n\"e \"\"2\"\"\", \"i,2\" ,01\r\n";
        assert_eq!(read(text).unwrap()[0], expected[0]);
        let text = "Endpoint,Identity,Key\ne1,i1,00ff\n\"e \"\"2\"\"\",\"i,2\",01\n";
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn lines_of_identity_and_key_are_read() {
        let text = "# of the old server\nclient1:1234\nurn:imei:490154203237518:00ff\n";
        let expected = [
            one("client1", "client1", &[0x12, 0x34]),
            one("urn:imei:490154203237518", "urn:imei:490154203237518", &[0, 255]),
        ];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn keys_that_are_text_are_their_own_bytes() {
        let imported = import("a:secret\n", Path::new("keys"), Some(Format::Psk), true).unwrap();
        assert_eq!(imported[0].key.expose(), b"secret");
    }

    #[test]
    fn every_wrong_line_is_named_and_nothing_is_imported() {
        let error = read("a:00\nb\nc:0\na:11\n:22\nd:5ec7e7xx\n").unwrap_err();
        let expected = [
            "keys:2: must be `identity:key`",
            "keys:3: the key has 1 hex digits; two make a byte, so it must be an even number",
            "keys:4: the identity \"a\" stands in line 1 already",
            "keys:5: an identity has 1 to 128 bytes and no NUL",
            "keys:6: the key is not hex: character 7 is none of 0 to 9 and a to f",
            "nothing is imported",
        ];
        assert_eq!(error, expected.join("\n"));
        let many = "x\n".repeat(25);
        assert!(read(&many).unwrap_err().ends_with("and 15 more\nnothing is imported"));
        assert!(read("e,i,00\ne,\"i,00\n").unwrap_err().starts_with("keys:2: has a quotation mark"));
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_is_read_or_refused(text in "[a-f0-9:,\"\\n\\r# ä]{0,60}") {
            for format in [None, Some(Format::Csv), Some(Format::Psk)] {
                for imported in import(&text, Path::new("keys"), format, false).unwrap_or_default() {
                    prop_assert!(!imported.identity.is_empty() && !imported.endpoint.is_empty());
                }
            }
        }
    }
}
