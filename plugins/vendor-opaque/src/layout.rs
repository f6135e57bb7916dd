//! What the bytes of a resource mean.

use std::fmt;

use serde_json::{Map, Value as Json};
use tidegate_sdk::Path;

/// The meaning of the bytes at a path.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Part of the topics.
    pub(crate) name: String,
    pub(crate) path: Pattern,
    /// In order: what has no offset follows what came before.
    pub(crate) fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Where it begins; none: where all fields before it have ended.
    pub(crate) offset: Option<usize>,
    pub(crate) form: Form,
    pub(crate) scale: Option<Scale>,
    pub(crate) unit: Option<String>,
    /// What a number stands for.
    pub(crate) values: Vec<(i128, Json)>,
    pub(crate) when: Option<Condition>,
    /// What is written if a command does not say.
    pub(crate) default: Option<Json>,
}

/// How a field lies in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An integer, or some bits of one.
    Integer { size: usize, is_signed: bool, order: Order, bits: Option<Bits> },
    /// IEEE 754, of 4 or 8 bytes.
    Float { size: usize, order: Order },
    /// UTF-8, padded with zero bytes to its length; without one up to the end.
    Text { length: Option<usize> },
    /// Told as hexadecimal digits; without a length up to the end.
    Bytes { length: Option<usize> },
}

/// Which byte comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The least significant.
    Little,
    /// The most significant.
    Big,
}

/// Bits of an unsigned integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    /// Bit 0 is the least significant.
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// `value = raw * factor + add`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    factor: f64,
    add: f64,
    /// Digits after the point that a value can have.
    decimals: usize,
}

/// When a field is there.
#[derive(Debug)]
pub(crate) struct Condition {
    /// An earlier field.
    pub(crate) field: String,
    pub(crate) is: Vec<Json>,
}

/// Which resources: `/19/*/0`.
#[derive(Debug)]
pub(crate) struct Pattern([Option<u16>; 3]);

impl Layout {
    /// The units of those fields that are there and have one.
    pub(crate) fn units(&self, fields: &Map<String, Json>) -> Map<String, Json> {
        let there = self.fields.iter().filter(|field| fields.contains_key(&field.name));
        there.filter_map(|field| Some((field.name.clone(), Json::from(field.unit.clone()?)))).collect()
    }
}

impl Condition {
    /// Whether it holds, by the fields so far. Numbers are equal if they are the same number: 2 is 2.0.
    pub(crate) fn holds(&self, fields: &Map<String, Json>) -> bool {
        let Some(found) = fields.get(&self.field) else { return false };
        self.is.iter().any(|wanted| is_same(wanted, found))
    }
}

/// Whether two JSON values say the same.
pub(crate) fn is_same(a: &Json, b: &Json) -> bool {
    a == b || (a.is_number() && a.as_f64() == b.as_f64())
}

impl Scale {
    pub(crate) fn new(factor: f64, add: f64) -> Self {
        // The display of a float has no exponent: 1e-7 is 0.0000001.
        let digits = |number: f64| number.to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
        Self { factor, add, decimals: digits(factor).max(digits(add)) }
    }

    /// The value, rounded to the digits it can have: 3 tenths are 0.3, and not 0.30000000000000004.
    pub(crate) fn apply(&self, raw: f64) -> f64 {
        let exact = raw * self.factor + self.add;
        format!("{exact:.*}", self.decimals).parse().unwrap_or(exact)
    }

    /// The number that stands for a value, which may have a fraction.
    pub(crate) fn undo(&self, value: f64) -> f64 {
        (value - self.add) / self.factor
    }
}

impl Form {
    /// Bytes, if that does not depend on the value.
    pub(crate) fn size(&self) -> Option<usize> {
        match *self {
            Self::Integer { size, .. } | Self::Float { size, .. } => Some(size),
            Self::Text { length } | Self::Bytes { length } => length,
        }
    }

    /// The smallest and the largest number that it holds; none if it holds no integers.
    pub(crate) fn range(&self) -> Option<(i128, i128)> {
        let Self::Integer { size, is_signed, bits, .. } = *self else { return None };
        let width = bits.map_or(8 * size, |bits| bits.count as usize);
        Some(match is_signed {
            true => (-(1 << (width - 1)), (1 << (width - 1)) - 1),
            false => (0, (1 << width) - 1),
        })
    }
}

/// As in the settings: `u16le`, `bits`.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = |size, order| match order {
            _ if size == 1 => "",
            Order::Little => "le",
            Order::Big => "be",
        };
        match *self {
            Self::Integer { size, is_signed, order, .. } => {
                let sign = if is_signed { "i" } else { "u" };
                write!(f, "{sign}{}{}", 8 * size, suffix(size, order))
            }
            Self::Float { size, order } => write!(f, "f{}{}", 8 * size, suffix(size, order)),
            Self::Text { .. } => f.write_str("text"),
            Self::Bytes { .. } => f.write_str("bytes"),
        }
    }
}

impl Pattern {
    /// Reads `/19/*/0`. The object is never `*`: a layout for any object would be one for every value there is.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let levels: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
        let [object, instance, resource] = levels[..] else { return None };
        let level = |text: &str| match text {
            "*" => Some(None),
            text => id(text).map(Some),
        };
        Some(Self([Some(id(object)?), level(instance)?, level(resource)?]))
    }

    /// Whether a path is one of these: a resource, or an instance of one.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let levels = [path.object, path.object_instance, path.resource];
        self.0.iter().zip(levels).all(|(wanted, id)| id.is_some() && (wanted.is_none() || *wanted == id))
    }

    /// The path, if it is one.
    pub(crate) fn only(&self) -> Option<Path> {
        let [object, instance, resource] = self.0;
        Some(Path::new(&[object?, instance?, resource?]))
    }

    /// What of it is below an object instance of a client.
    pub(crate) fn below(&self, instance: &Path) -> Option<Path> {
        let [object, wanted, resource] = self.0;
        let is_here = instance.object == object
            && instance.object_instance.is_some()
            && (wanted.is_none() || wanted == instance.object_instance);
        if !is_here {
            return None;
        }
        Some(Path { resource, resource_instance: None, ..*instance })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|level| match level {
            Some(id) => write!(f, "/{id}"),
            None => f.write_str("/*"),
        })
    }
}

/// The path of a resource, or of an instance of one, as it is written.
pub(crate) fn path_of(text: &str) -> Option<Path> {
    let ids: Option<Vec<u16>> = text.strip_prefix('/')?.split('/').map(id).collect();
    let ids = ids.filter(|ids| matches!(ids.len(), 3 | 4))?;
    Some(Path::new(&ids))
}

/// 65535 is reserved (core 1.2.1, 7.3), and a sign is none of a path's.
fn id(text: &str) -> Option<u16> {
    let id = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    id.filter(|id| *id != u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_three_levels_of_which_the_later_two_may_be_any() {
        for text in ["/19/0/0", "/19/*/0", "/19/*/*", "/33000/7/*"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "/", "19/0/0", "/19/0", "/*/0/0", "/19/0/0/0", "/19/+1/0", "/19/65535/0", "/19//0"] {
            assert!(Pattern::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_resources_and_their_instances() {
        let pattern = Pattern::parse("/19/*/0").unwrap();
        for (ids, is_match) in [
            (&[19, 0, 0][..], true),
            (&[19, 3, 0], true),
            (&[19, 3, 0, 5], true),
            (&[19, 0, 1], false),
            (&[20, 0, 0], false),
            (&[19, 0], false),
            (&[], false),
        ] {
            assert_eq!(pattern.matches(&Path::new(ids)), is_match, "{ids:?}");
        }
    }

    #[test]
    fn below_an_instance_is_its_resource_or_itself_where_any_is_meant() {
        let below = |pattern: &str, ids: &[u16]| {
            Pattern::parse(pattern).unwrap().below(&Path::new(ids)).map(|path| path.to_string())
        };
        assert_eq!(below("/19/*/0", &[19, 4]).as_deref(), Some("/19/4/0"));
        assert_eq!(below("/19/*/*", &[19, 4]).as_deref(), Some("/19/4"));
        assert_eq!(below("/19/0/0", &[19, 4]), None);
        assert_eq!(below("/19/0/0", &[19]), None, "an object without instances");
    }

    #[test]
    fn a_scaled_value_has_the_digits_of_its_scale() {
        let scale = Scale::new(0.1, 0.0);
        assert_eq!(scale.apply(3.0).to_string(), "0.3");
        assert_eq!(scale.apply(-215.0).to_string(), "-21.5");
        assert_eq!(Scale::new(1e-7, 0.0).apply(511_234_567.0).to_string(), "51.1234567");
        assert_eq!(Scale::new(0.5, -40.0).apply(83.0).to_string(), "1.5");
    }

    #[test]
    fn the_range_of_a_form() {
        let integer = |size, is_signed, bits| Form::Integer { size, is_signed, order: Order::Big, bits };
        assert_eq!(integer(1, false, None).range(), Some((0, 255)));
        assert_eq!(integer(3, true, None).range(), Some((-8_388_608, 8_388_607)));
        assert_eq!(integer(8, false, None).range(), Some((0, i128::from(u64::MAX))));
        assert_eq!(integer(8, true, None).range(), Some((i64::MIN.into(), i64::MAX.into())));
        assert_eq!(integer(2, false, Some(Bits { first: 3, count: 2 })).range(), Some((0, 3)));
        assert_eq!(Form::Float { size: 4, order: Order::Big }.range(), None);
    }
}
