//! Finding and reading samples.
//!
//! ```
//! use tidegate_sdk::{Path, Sample, Value, sample};
//!
//! let samples = [
//!     Sample { path: Path::new(&[3303, 0, 5700]), value: Value::Float(21.5), kind: None, taken: None },
//!     Sample { path: Path::new(&[3303, 0, 5701]), value: Value::Text("Cel".into()), kind: None, taken: None },
//! ];
//! let temperature = sample::at(&samples, &[3303, 0, 5700]).unwrap();
//! assert_eq!(temperature.value.as_f64(), Some(21.5));
//! assert_eq!(sample::unit(&samples, temperature), Some("Cel"));
//! ```

use crate::{Path, Sample, Value};

/// The first sample at a path.
///
/// ```
/// # use tidegate_sdk::{Path, Sample, Value, sample};
/// let samples = [Sample { path: Path::new(&[3, 0, 9]), value: Value::Integer(90), kind: None, taken: None }];
/// assert!(sample::at(&samples, &[3, 0, 9]).is_some() && sample::at(&samples, &[3, 0]).is_none());
/// ```
pub fn at<'a>(samples: &'a [Sample], ids: &[u16]) -> Option<&'a Sample> {
    samples.iter().find(|sample| sample.path.ids().eq(ids.iter().copied()))
}

/// The samples at a path and below it.
///
/// ```
/// # use tidegate_sdk::{Path, Sample, Value, sample};
/// let sample = |ids: &[u16]| Sample { path: Path::new(ids), value: Value::Null, kind: None, taken: None };
/// let samples = [sample(&[3303, 0, 5700]), sample(&[3303, 1, 5700]), sample(&[3304, 0, 5700])];
/// assert_eq!(sample::below(&samples, &[3303]).count(), 2);
/// ```
pub fn below<'a>(samples: &'a [Sample], ids: &[u16]) -> impl Iterator<Item = &'a Sample> {
    let path = Path::new(ids);
    samples.iter().filter(move |sample| path.contains(&sample.path))
}

/// The unit of an IPSO sensor's value: the text of resource 5701 of the same instance, if it is among the samples.
///
/// ```
/// # use tidegate_sdk::{Path, Sample, Value, sample};
/// let sample = |ids: &[u16], value| Sample { path: Path::new(ids), value, kind: None, taken: None };
/// let samples = [sample(&[3303, 1, 5700], Value::Float(70.0)), sample(&[3303, 1, 5701], Value::Text("[degF]".into()))];
/// assert_eq!(sample::unit(&samples, &samples[0]), Some("[degF]"));
/// ```
pub fn unit<'a>(samples: &'a [Sample], of: &Sample) -> Option<&'a str> {
    let (object, instance) = (of.path.object?, of.path.object_instance?);
    at(samples, &[object, instance, 5701])?.value.as_str()
}

/// Values as types of Rust, where nothing is lost.
impl Value {
    /// A number; an integer beyond 2^53 is none.
    ///
    /// ```
    /// use tidegate_sdk::Value;
    /// assert_eq!((Value::Integer(-5).as_f64(), Value::Float(0.5).as_f64()), (Some(-5.0), Some(0.5)));
    /// assert_eq!((Value::Unsigned(u64::MAX).as_f64(), Value::Text("5".into()).as_f64()), (None, None));
    /// ```
    pub fn as_f64(&self) -> Option<f64> {
        const EXACT: u64 = 1 << 53;
        #[allow(clippy::cast_precision_loss)] // it is exact
        match self {
            Self::Float(number) => Some(*number),
            Self::Integer(number) | Self::Time(number) if number.unsigned_abs() <= EXACT => {
                Some(*number as f64)
            }
            Self::Unsigned(number) if *number <= EXACT => Some(*number as f64),
            _ => None,
        }
    }

    /// An integer, also one that came as a float without a fraction.
    ///
    /// ```
    /// use tidegate_sdk::Value;
    /// assert_eq!((Value::Unsigned(7).as_i64(), Value::Float(7.0).as_i64()), (Some(7), Some(7)));
    /// assert_eq!((Value::Unsigned(u64::MAX).as_i64(), Value::Float(7.5).as_i64()), (None, None));
    /// ```
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) | Self::Time(number) => Some(*number),
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            #[allow(clippy::cast_possible_truncation)] // within 2^53 and whole
            Self::Float(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                Some(*number as i64)
            }
            _ => None,
        }
    }

    /// A text.
    ///
    /// ```
    /// assert_eq!(tidegate_sdk::Value::Text("on".into()).as_str(), Some("on"));
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::CoreLink(text) => Some(text),
            _ => None,
        }
    }

    /// True or false, also as 1 or 0.
    ///
    /// ```
    /// use tidegate_sdk::Value;
    /// assert_eq!((Value::Boolean(true).as_bool(), Value::Integer(0).as_bool()), (Some(true), Some(false)));
    /// assert_eq!(Value::Integer(2).as_bool(), None);
    /// ```
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Integer(0) | Self::Unsigned(0) => Some(false),
            Self::Integer(1) | Self::Unsigned(1) => Some(true),
            _ => None,
        }
    }

    /// The bytes of an opaque value.
    ///
    /// ```
    /// assert_eq!(tidegate_sdk::Value::Opaque(vec![1, 2]).as_bytes(), Some(&[1, 2][..]));
    /// ```
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Opaque(bytes) => Some(bytes),
            _ => None,
        }
    }
}
