//! Which EMQX a configuration is of.

use std::fmt;
use std::str::FromStr;

/// A version of EMQX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// The first that heeds `update_msg_publish_condition`, and has `blockwise` and lists for `auto_observe`.
    pub(super) const SELECTABLE: Self = Self([6, 1, 1]);
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a version of EMQX, such as \"5.8.4\"");
        let number = text.strip_prefix(['v', 'e']).unwrap_or(text);
        let numbers = number.split(['-', '+']).next().unwrap_or_default().split('.');
        let numbers =
            numbers.map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>().ok_or_else(wrong)?;
        match numbers[..] {
            [major, minor] => Ok(Self([major, minor, 0])),
            [major, minor, patch] => Ok(Self([major, minor, patch])),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let read = |text: &str| text.parse::<Version>();
        assert_eq!(read("5.8.4").unwrap().to_string(), "5.8.4");
        assert_eq!(read("v5.10").unwrap(), read("5.10.0").unwrap());
        assert!(read("5.10.0").unwrap() > read("5.8.11").unwrap());
        assert!(read("6.3.0-beta.2").unwrap() > Version::SELECTABLE);
        for wrong in ["", "five", "5", "5.8.4.1", "5..4"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
