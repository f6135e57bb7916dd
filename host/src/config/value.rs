//! One value of the file: an address, a duration, a size, a number, a path.
//!
//! Used by `convert` alone. Each function returns the default for what was not typed, and names the key and the place of
//! what was typed wrong.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;

use super::error::{ConfigError, Source};
use super::filter::check_filter;
use super::raw::{At, ListAt};
use super::units;

pub(super) fn addresses(
    source: &Source<'_>,
    key: &str,
    raw: &ListAt<String>,
    default: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, ConfigError> {
    match raw {
        None => Ok(default),
        Some(typed) => typed.as_ref().iter().map(|entry| address(source, key, entry)).collect(),
    }
}

pub(super) fn address(
    source: &Source<'_>,
    key: &str,
    typed: &Spanned<String>,
) -> Result<SocketAddr, ConfigError> {
    typed.as_ref().parse().map_err(|_| {
        let message = format!(
            "`{}` is not an address and port; write it like \"0.0.0.0:5783\" or \"[::]:5783\"",
            typed.as_ref()
        );
        source.error(&typed.span(), key, message)
    })
}

pub(super) fn filters(
    source: &Source<'_>,
    key: &str,
    raw: &[Spanned<String>],
) -> Result<Vec<String>, ConfigError> {
    let filter = |typed: &Spanned<String>| match check_filter(typed.as_ref()) {
        Ok(()) => Ok(typed.as_ref().clone()),
        Err(message) => Err(source.error(&typed.span(), key, message)),
    };
    raw.iter().map(filter).collect()
}

pub(super) fn duration(
    source: &Source<'_>,
    key: &str,
    raw: &At<String>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    let duration = duration_or_zero(source, key, raw, default)?;
    match raw {
        Some(typed) if duration.is_zero() => Err(source.error(&typed.span(), key, "must be above zero")),
        _ => Ok(duration),
    }
}

pub(super) fn duration_or_zero(
    source: &Source<'_>,
    key: &str,
    raw: &At<String>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    let Some(typed) = raw else { return Ok(default) };
    units::duration(typed.as_ref()).map_err(|message| source.error(&typed.span(), key, message))
}

pub(super) fn size(
    source: &Source<'_>,
    key: &str,
    raw: &At<String>,
    default: usize,
) -> Result<usize, ConfigError> {
    let Some(typed) = raw else { return Ok(default) };
    let size = units::size(typed.as_ref()).map_err(|message| source.error(&typed.span(), key, message))?;
    if size == 0 {
        return Err(source.error(&typed.span(), key, "must be above zero"));
    }
    Ok(size)
}

pub(super) fn count(
    source: &Source<'_>,
    key: &str,
    raw: &At<i64>,
    range: RangeInclusive<usize>,
    default: usize,
) -> Result<usize, ConfigError> {
    let Some(typed) = raw else { return Ok(default) };
    usize::try_from(*typed.as_ref()).ok().filter(|count| range.contains(count)).ok_or_else(|| {
        let message = format!("must be a number from {} to {}", range.start(), range.end());
        source.error(&typed.span(), key, message)
    })
}

pub(super) fn fuel(source: &Source<'_>, key: &str, raw: &At<i64>, default: u64) -> Result<u64, ConfigError> {
    let Some(typed) = raw else { return Ok(default) };
    u64::try_from(*typed.as_ref())
        .ok()
        .filter(|fuel| *fuel > 0)
        .ok_or_else(|| source.error(&typed.span(), key, "must be a number above zero"))
}

pub(super) fn flag(raw: &At<bool>, default: bool) -> bool {
    raw.as_ref().map_or(default, |typed| *typed.as_ref())
}

pub(super) fn path(source: &Source<'_>, raw: &At<String>, default: &Path) -> PathBuf {
    match raw {
        None => source.file.parent().map_or_else(|| default.into(), |folder| folder.join(default)),
        Some(typed) => beside(source, typed.as_ref()),
    }
}

/// A path as the file means it: relative to the file's folder.
pub(super) fn beside(source: &Source<'_>, path: &str) -> PathBuf {
    source.file.parent().map_or_else(|| path.into(), |folder| folder.join(path))
}

/// Settings as JSON. What JSON has not, dates and non-finite numbers, becomes text.
pub(crate) fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
    }
}
