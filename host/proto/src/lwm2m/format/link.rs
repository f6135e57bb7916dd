//! Link-format (RFC 6690): what registrations list and what Discover answers.
//!
//! # Guarantees
//! * What real clients write is read, as far as it can be meant in one way: white space, empty parts, attributes without
//!   a value or with one that should be quoted. Separators within quotes separate nothing. What is wrong names the byte.
//! * Attributes keep their order, and all of them are kept, known or not.
//! * What is written reads as the same links. Targets and values without escapes are not copied on reading.

use std::borrow::Cow;
use std::fmt;

use super::{Error, MAX_SAMPLES};

/// One link: `<target>;name=value;…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// What stands between `<` and `>`.
    pub target: &'a str,
    /// Attributes in order, unquoted; one without `=` has an empty value.
    pub attributes: Vec<(&'a str, Cow<'a, str>)>,
}

impl fmt::Display for Link<'_> {
    /// The link in link-format, with values quoted where they must be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.target)?;
        for (name, value) in &self.attributes {
            write!(f, ";{name}")?;
            if value.is_empty() {
                continue;
            }
            if value.bytes().all(is_token) {
                write!(f, "={value}")?;
            } else {
                write!(f, "=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

/// Read a list of links. White space around the separators and empty parts (`,,`, `;;`) are passed over, and a value
/// may hold spaces without being quoted: clients write such things.
///
/// # Errors
/// If the payload is not UTF-8 or breaks the grammar otherwise, naming the byte; or if there are more than
/// [`MAX_SAMPLES`] links and attributes together.
pub fn parse(payload: &[u8]) -> Result<Vec<Link<'_>>, Error> {
    let text = std::str::from_utf8(payload).map_err(|error| malformed(error.valid_up_to(), "not UTF-8"))?;
    let mut scanner = Scanner { text, at: 0, parts: 0 };
    let mut links = Vec::new();
    loop {
        scanner.skip(|byte| is_space(byte) || byte == b',');
        if scanner.peek().is_none() {
            return Ok(links);
        }
        links.push(scanner.link()?);
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Links and attributes so far.
    parts: usize,
}

impl<'a> Scanner<'a> {
    fn link(&mut self) -> Result<Link<'a>, Error> {
        self.count()?;
        if self.peek() != Some(b'<') {
            return Err(malformed(self.at, "expected `<`"));
        }
        let start = self.at + 1;
        let length = self.text[start..].find('>').ok_or_else(|| malformed(self.at, "`<` without `>`"))?;
        self.at = start + length + 1;
        let target = self.text[start..start + length].trim();
        let mut attributes = Vec::new();
        loop {
            self.skip(is_space);
            match self.peek() {
                None | Some(b',') => return Ok(Link { target, attributes }),
                Some(b';') => self.at += 1,
                Some(_) => return Err(malformed(self.at, "expected `;` or `,`")),
            }
            self.skip(is_space);
            if !matches!(self.peek(), None | Some(b';' | b',')) {
                attributes.push(self.attribute()?);
            }
        }
    }

    fn attribute(&mut self) -> Result<(&'a str, Cow<'a, str>), Error> {
        self.count()?;
        let start = self.at;
        let name = self.until(|byte| matches!(byte, b'=' | b';' | b','));
        if name.is_empty() {
            return Err(malformed(start, "attribute without a name"));
        }
        if self.peek() != Some(b'=') {
            return Ok((name, Cow::Borrowed("")));
        }
        self.at += 1;
        self.skip(is_space);
        if self.peek() == Some(b'"') {
            return Ok((name, self.quoted()?));
        }
        Ok((name, Cow::Borrowed(self.until(|byte| matches!(byte, b';' | b',')))))
    }

    /// A quoted-string: a backslash takes the next character as it is.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Error> {
        let open = self.at;
        self.at += 1;
        let mut start = self.at;
        let mut unescaped = String::new();
        loop {
            self.skip(|byte| byte != b'"' && byte != b'\\');
            let part = &self.text[start..self.at];
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(part));
                    }
                    unescaped.push_str(part);
                    return Ok(Cow::Owned(unescaped));
                }
                Some(_) => {
                    let next = self.text[self.at + 1..].chars().next();
                    let next = next.ok_or_else(|| malformed(open, "`\"` without an end"))?;
                    unescaped.push_str(part);
                    unescaped.push(next);
                    self.at += 1 + next.len_utf8();
                    start = self.at;
                }
                None => return Err(malformed(open, "`\"` without an end")),
            }
        }
    }

    /// What comes before one of those bytes or the end, without white space around it.
    fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        self.skip(|byte| !stop(byte));
        self.text[start..self.at].trim()
    }

    /// Passes over bytes as long as they are such. Stops at ASCII only, so never inside of a character.
    fn skip(&mut self, such: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&byte| !such(byte)).unwrap_or(rest.len());
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn count(&mut self) -> Result<(), Error> {
        self.parts += 1;
        if self.parts > MAX_SAMPLES {
            return Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES });
        }
        Ok(())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What a value may hold without quotes: a `ptoken` less what some parsers trip over.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/' | b'+' | b'*' | b'%')
}

fn malformed(offset: usize, reason: &str) -> Error {
    Error::Malformed { format: NAME, offset, reason: reason.to_owned() }
}

const NAME: &str = "link-format";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn links(text: &str) -> Vec<(&str, Vec<(&str, String)>)> {
        let links = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let plain = |(name, value): (_, Cow<'_, str>)| (name, value.into_owned());
        links
            .into_iter()
            .map(|link| (link.target, link.attributes.into_iter().map(plain).collect()))
            .collect()
    }

    fn pair<'a>(name: &'a str, value: &str) -> (&'a str, String) {
        (name, value.to_owned())
    }

    #[test]
    fn reads_a_registration_of_wakaama() {
        let text = r#"</>;rt="oma.lwm2m";ct=110,</1>;ver=1.1,</1/0>,</31024/10>"#;
        let root = vec![pair("rt", "oma.lwm2m"), pair("ct", "110")];
        assert_eq!(
            links(text),
            [("/", root), ("/1", vec![pair("ver", "1.1")]), ("/1/0", vec![]), ("/31024/10", vec![])]
        );
    }

    #[test]
    fn reads_the_example_of_rfc_6690() {
        let text = "</sensors>;ct=40;title=\"Sensor Index\",\
                    </sensors/temp>;rt=\"temperature-c\";if=\"sensor\",\
                    <http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\"";
        let links = links(text);
        assert_eq!(links.len(), 3);
        assert_eq!(links[0].1, [pair("ct", "40"), pair("title", "Sensor Index")]);
        assert_eq!(links[2].0, "http://www.example.com/sensors/t123");
    }

    #[test]
    fn separators_within_quotes_are_text() {
        let text = r#"</a>;title="a,b;c>\"d\\é",</b>"#;
        assert_eq!(links(text), [("/a", vec![pair("title", r#"a,b;c>"d\é"#)]), ("/b", vec![])]);
        let parsed = parse(br#"</a>;t="plain""#).expect("well formed");
        assert!(matches!(parsed[0].attributes[0].1, Cow::Borrowed("plain")));
    }

    #[test]
    fn an_attribute_may_lack_its_value() {
        let expected = vec![pair("obs", ""), pair("x", ""), pair("y", "1")];
        assert_eq!(links("</a>;obs;x=;y=1"), [("/a", expected)]);
    }

    #[test]
    fn spaces_and_empty_parts_are_passed_over() {
        let expected = [("/1", vec![pair("ver", "1.1"), pair("ct", "60 110")]), ("/2", vec![])];
        assert_eq!(links(" , </1> ; ver = \"1.1\" ;; ct = 60 110 ; ,, < /2 >\r\n,"), expected);
        assert_eq!(links(""), []);
        assert_eq!(links(" \r\n"), []);
    }

    #[test]
    fn errors_name_the_byte() {
        for (text, offset, reason) in [
            (&b"</1>,x"[..], 5, "expected `<`"),
            (b"</1>,</2", 5, "`<` without `>`"),
            (b"</1></2>", 4, "expected `;` or `,`"),
            (b"</1>;ver=\"1.1\"x", 14, "expected `;` or `,`"),
            (b"</1>;ver=\"1.1", 9, "`\"` without an end"),
            (b"</1>;ver=\"1.1\\", 9, "`\"` without an end"),
            (b"</1>;=1", 5, "attribute without a name"),
            (b"</1>\xff", 4, "not UTF-8"),
        ] {
            assert_eq!(parse(text), Err(malformed(offset, reason)), "{text:?}");
        }
    }

    #[test]
    fn the_number_of_parts_is_bounded() {
        let text = "<>,".repeat(MAX_SAMPLES);
        assert_eq!(parse(text.as_bytes()).map(|links| links.len()), Ok(MAX_SAMPLES));
        let error = Err(Error::TooMany { format: NAME, limit: MAX_SAMPLES });
        assert_eq!(parse((text + "<>").as_bytes()).map(|links| links.len()), error);
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(
            targets in proptest::collection::vec("/[a-z0-9/]{0,9}", 0..5),
            attributes in proptest::collection::vec(("[a-z]{1,6}", "\\PC{0,9}"), 0..5),
        ) {
            let attributes: Vec<_> =
                attributes.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str()))).collect();
            let links: Vec<_> =
                targets.iter().map(|target| Link { target, attributes: attributes.clone() }).collect();
            let text = links.iter().map(Link::to_string).collect::<Vec<_>>().join(",");
            prop_assert_eq!(parse(text.as_bytes()), Ok(links.clone()));
        }

        #[test]
        fn reading_never_panics(text in "([<>;=,\" \\\\a1é]|</1>;a=){0,40}", bytes: Vec<u8>) {
            let _ = parse(text.as_bytes());
            let _ = parse(&bytes);
        }
    }
}
