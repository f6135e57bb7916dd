//! What was typed: the tables of `credentials.toml` as serde sees them, with the place of each value.
//!
//! A key that is not a field here is refused by serde with the list of those that are.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as DeriveDeserialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;
use zeroize::Zeroize as _;

/// A value and where it stands.
pub(super) type At<T> = Option<Spanned<T>>;

#[derive(Default, DeriveDeserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct File<'a> {
    #[serde(borrow)]
    pub(super) psk: Vec<Spanned<Psk<'a>>>,
    pub(super) raw_public_key: Vec<Spanned<RawPublicKey>>,
    pub(super) x509: At<X509>,
    pub(super) server: At<Server>,
}

#[derive(DeriveDeserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Psk<'a> {
    pub(super) identity: Spanned<String>,
    #[serde(borrow)]
    pub(super) key: At<Secret<'a>>,
    pub(super) key_file: At<String>,
    pub(super) endpoint: At<String>,
}

#[derive(DeriveDeserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPublicKey {
    pub(super) public_key: At<String>,
    pub(super) public_key_file: At<String>,
    pub(super) endpoint: Spanned<String>,
}

#[derive(DeriveDeserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct X509 {
    pub(super) trusted: Spanned<Vec<Spanned<String>>>,
    pub(super) endpoint: At<String>,
    pub(super) private_key: At<String>,
    pub(super) certificate: At<String>,
}

#[derive(DeriveDeserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Server {
    pub(super) private_key: Spanned<String>,
    pub(super) certificate: At<String>,
}

/// A string that is a key: not copied out of the text if it can be helped, wiped if not.
pub(super) struct Secret<'a>(Cow<'a, str>);

impl Secret<'_> {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Secret<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Secret<'de>, E> {
        Ok(Secret(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret<'de>, E> {
        Ok(Secret(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Secret<'de>, E> {
        Ok(Secret(Cow::Owned(text)))
    }
}
