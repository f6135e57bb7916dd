//! Reading CBOR items (RFC 8949) as the values of LwM2M; for plain CBOR, SenML CBOR and LwM2M CBOR.

use std::borrow::Cow;

use minicbor::data::Type;
use minicbor::{Decoder, decode};

use super::super::Error;
use super::super::scalar::{Number, Scalar};
use crate::lwm2m::value::{Kind, Value};

/// Items one after the other. Nothing is reserved for a length that is only announced.
pub(in super::super) struct Reader<'a> {
    decoder: Decoder<'a>,
    /// What errors call the format.
    format: &'static str,
}

/// One item.
pub(in super::super) struct Item<'a> {
    pub(in super::super) scalar: Scalar<'a>,
    /// Its bytes.
    pub(in super::super) bytes: &'a [u8],
}

impl<'a> Item<'a> {
    /// The value in the type that the definition asks for, if it fits. Else it stays as it is on the wire: a text is
    /// text, a byte string its bytes, and anything else the bytes of the whole item.
    pub(in super::super) fn value(self, kind: Option<Kind>) -> Value<'a> {
        let bytes = self.bytes;
        self.scalar.typed(kind).unwrap_or_else(|scalar| scalar.untyped(Some(Cow::Borrowed(bytes))))
    }
}

/// How many entries of an array or a map are still to come; none if a break ends it.
pub(in super::super) struct Level(Option<u64>);

impl<'a> Reader<'a> {
    pub(in super::super) fn new(format: &'static str, payload: &'a [u8]) -> Self {
        let mut decoder = Decoder::new(payload);
        if payload.starts_with(&SELF_DESCRIBED) {
            decoder.set_position(SELF_DESCRIBED.len());
        }
        Self { decoder, format }
    }

    /// The next item. One with parts, or of a number that no type of LwM2M can hold, is [`Scalar::Other`]. Tags other
    /// than those of numbers and times change nothing.
    pub(in super::super) fn item(&mut self) -> Result<Item<'a>, Error> {
        let start = self.position();
        let scalar = self.scalar(MAX_DEPTH)?;
        Ok(Item { scalar, bytes: &self.decoder.input()[start..self.position()] })
    }

    fn scalar(&mut self, depth: usize) -> Result<Scalar<'a>, Error> {
        let start = self.position();
        Ok(match self.kind()? {
            Type::Null => self.taken(Decoder::null).map(|()| Scalar::Null)?,
            Type::Undefined => self.taken(Decoder::undefined).map(|()| Scalar::Null)?,
            Type::Bool => Scalar::Boolean(self.taken(Decoder::bool)?),
            Type::F16 | Type::F32 | Type::F64 => Scalar::Number(Number::Float(self.taken(Decoder::f64)?)),
            kind if is_integer(kind) => {
                let integer = self.taken(Decoder::int)?;
                Number::of(integer.into()).map_or(Scalar::Other, Scalar::Number)
            }
            Type::Bytes | Type::BytesIndef => Scalar::Bytes(self.string()?),
            Type::String | Type::StringIndef => match self.string()? {
                Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => Scalar::Text(Cow::Borrowed(text)),
                    Err(_) => Scalar::Bytes(Cow::Borrowed(bytes)),
                },
                Cow::Owned(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Scalar::Text(Cow::Owned(text)),
                    Err(error) => Scalar::Bytes(Cow::Owned(error.into_bytes())),
                },
            },
            Type::Tag => {
                let tag = self.taken(Decoder::tag)?.as_u64();
                let depth = self.deeper(depth, start)?;
                match tag {
                    DECIMAL_FRACTION => self.decimal_fraction(depth)?,
                    BIG_FLOAT => {
                        self.skip(depth)?;
                        Scalar::Other
                    }
                    _ => tagged(tag, self.scalar(depth)?),
                }
            }
            _ => {
                self.skip(depth)?;
                Scalar::Other
            }
        })
    }

    /// An array of a power of ten and what it multiplies (RFC 8949 3.4.4).
    fn decimal_fraction(&mut self, depth: usize) -> Result<Scalar<'a>, Error> {
        let start = self.position();
        if !matches!(self.kind()?, Type::Array | Type::ArrayIndef) {
            self.skip(depth)?;
            return Ok(Scalar::Other);
        }
        let depth = self.deeper(depth, start)?;
        let mut array = self.array()?;
        let mut parts = [None; 2];
        let mut count = 0;
        while self.next(&mut array)? {
            if let (Scalar::Number(number), Some(part)) = (self.scalar(depth)?, parts.get_mut(count)) {
                *part = number.wide();
            }
            count += 1;
        }
        Ok(match (parts, count) {
            ([Some(exponent), Some(mantissa)], 2) => decimal(exponent, mantissa),
            _ => Scalar::Other,
        })
    }

    /// A text, where nothing else can stand.
    pub(in super::super) fn text(&mut self) -> Result<Cow<'a, str>, Error> {
        let start = self.position();
        match self.item()?.scalar {
            Scalar::Text(text) => Ok(text),
            _ => Err(self.malformed(start, "expected a text")),
        }
    }

    /// A number, where nothing else can stand.
    pub(in super::super) fn number(&mut self) -> Result<Number, Error> {
        let start = self.position();
        match self.item()?.scalar {
            Scalar::Number(number) | Scalar::Time(number) => Ok(number),
            _ => Err(self.malformed(start, "expected a number")),
        }
    }

    /// Enters an array.
    pub(in super::super) fn array(&mut self) -> Result<Level, Error> {
        match self.kind()? {
            Type::Array | Type::ArrayIndef => self.taken(Decoder::array).map(Level),
            _ => Err(self.malformed(self.position(), "expected an array")),
        }
    }

    /// Enters a map.
    pub(in super::super) fn map(&mut self) -> Result<Level, Error> {
        match self.kind()? {
            Type::Map | Type::MapIndef => self.taken(Decoder::map).map(Level),
            _ => Err(self.malformed(self.position(), "expected a map")),
        }
    }

    /// Whether another entry follows: an item of an array, a key and a value of a map. It is to be read before this is
    /// asked again.
    pub(in super::super) fn next(&mut self, level: &mut Level) -> Result<bool, Error> {
        match &mut level.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if self.taken(|decoder| decoder.datatype())? == Type::Break => {
                self.decoder.set_position(self.position() + 1);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// What the next item is.
    pub(in super::super) fn kind(&mut self) -> Result<Type, Error> {
        match self.taken(|decoder| decoder.datatype())? {
            Type::Break => Err(self.malformed(self.position(), "a break where an item is expected")),
            Type::Unknown(byte) => {
                Err(self.malformed(self.position(), format!("no item begins with the byte {byte:#04x}")))
            }
            kind => Ok(kind),
        }
    }

    /// Leaves an item out, with all that is in it.
    pub(in super::super) fn skip_item(&mut self) -> Result<(), Error> {
        self.skip(MAX_DEPTH)
    }

    fn skip(&mut self, depth: usize) -> Result<(), Error> {
        let start = self.position();
        let (mut level, items) = match self.kind()? {
            Type::Array | Type::ArrayIndef => (self.array()?, 1),
            Type::Map | Type::MapIndef => (self.map()?, 2),
            Type::Tag => {
                self.taken(Decoder::tag)?;
                (Level(Some(1)), 1)
            }
            Type::Simple => return self.taken(Decoder::simple).map(|_| ()),
            _ => return self.scalar(depth).map(|_| ()),
        };
        let depth = self.deeper(depth, start)?;
        while self.next(&mut level)? {
            (0..items).try_for_each(|_| self.skip(depth))?;
        }
        Ok(())
    }

    fn deeper(&self, depth: usize, start: usize) -> Result<usize, Error> {
        depth.checked_sub(1).ok_or_else(|| self.malformed(start, "items within items, too deep"))
    }

    /// What is in a byte string or a text string, which may be in chunks.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        let kind = self.kind()?;
        let chunk = match kind {
            Type::BytesIndef => Type::Bytes,
            Type::StringIndef => Type::String,
            _ => return self.chunk().map(Cow::Borrowed),
        };
        self.decoder.set_position(self.position() + 1);
        let mut whole = Vec::new();
        let mut level = Level(None);
        while self.next(&mut level)? {
            if self.kind()? != chunk {
                return Err(self.malformed(self.position(), "a chunk of another type than its string"));
            }
            whole.extend_from_slice(self.chunk()?);
        }
        Ok(Cow::Owned(whole))
    }

    /// What is in a string of a given length. The crate would refuse the whole payload for a text that is not UTF-8.
    fn chunk(&mut self) -> Result<&'a [u8], Error> {
        let (start, input) = (self.position(), self.decoder.input());
        let cut = || self.malformed(start, CUT);
        let info = input.get(start).ok_or_else(cut)? & 0x1F;
        let width = if info < 24 { 0 } else { 1 << (info - 24) };
        let content = start + 1 + width;
        let announced = input.get(start + 1..content).ok_or_else(cut)?;
        let length = announced.iter().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
        let length = if width == 0 { u64::from(info) } else { length };
        let end =
            usize::try_from(length).ok().and_then(|length| content.checked_add(length)).ok_or_else(cut)?;
        let bytes = input.get(content..end).ok_or_else(cut)?;
        self.decoder.set_position(end);
        Ok(bytes)
    }

    /// To be asked when all is read.
    pub(in super::super) fn end(&self) -> Result<(), Error> {
        let at = self.position();
        match at == self.decoder.input().len() {
            true => Ok(()),
            false => Err(self.malformed(at, "the payload goes on after its end")),
        }
    }

    /// Where the next item begins, from 0.
    pub(in super::super) fn position(&self) -> usize {
        self.decoder.position()
    }

    pub(in super::super) fn malformed(&self, offset: usize, reason: impl Into<String>) -> Error {
        Error::Malformed { format: self.format, offset, reason: reason.into() }
    }

    fn taken<T>(
        &mut self,
        take: impl FnOnce(&mut Decoder<'a>) -> Result<T, decode::Error>,
    ) -> Result<T, Error> {
        let start = self.position();
        take(&mut self.decoder).map_err(|error| match error.is_end_of_input() {
            true => self.malformed(start, CUT),
            false => self.malformed(start, error.to_string()),
        })
    }
}

fn is_integer(kind: Type) -> bool {
    matches!(
        kind,
        Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int
    )
}

/// What a tag makes of the item that it stands before (RFC 8949 3.4).
fn tagged(tag: u64, scalar: Scalar<'_>) -> Scalar<'_> {
    match (tag, scalar) {
        (EPOCH_TIME, Scalar::Number(number)) => Scalar::Time(number),
        (BIG_NUMBER | NEGATIVE_BIG_NUMBER, Scalar::Bytes(bytes)) => {
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            let digits = &bytes[zeros..];
            if digits.len() > 8 {
                return Scalar::Other;
            }
            let number = digits.iter().fold(0_i128, |number, &byte| number << 8 | i128::from(byte));
            let number = if tag == BIG_NUMBER { number } else { -1 - number };
            Number::of(number).map_or(Scalar::Other, Scalar::Number)
        }
        (EPOCH_TIME | BIG_NUMBER | NEGATIVE_BIG_NUMBER, _) => Scalar::Other,
        (_, scalar) => scalar,
    }
}

/// `mantissa` times ten to the power of `exponent`: an integer if it is one and fits, else the nearest float.
fn decimal(exponent: i128, mantissa: i128) -> Scalar<'static> {
    let integer = u32::try_from(exponent)
        .ok()
        .and_then(|exponent| 10_i128.checked_pow(exponent))
        .and_then(|power| mantissa.checked_mul(power))
        .and_then(Number::of);
    let number = integer.or_else(|| format!("{mantissa}e{exponent}").parse().ok().map(Number::Float));
    number.map_or(Scalar::Other, Scalar::Number)
}

const CUT: &str = "the payload ends within an item";
/// How deep items within items may be: tags, and what is left out.
const MAX_DEPTH: usize = 16;
/// The tag that says that this is CBOR (RFC 8949 3.4.6).
const SELF_DESCRIBED: [u8; 3] = [0xD9, 0xD9, 0xF7];
const EPOCH_TIME: u64 = 1;
const BIG_NUMBER: u64 = 2;
const NEGATIVE_BIG_NUMBER: u64 = 3;
const DECIMAL_FRACTION: u64 = 4;
const BIG_FLOAT: u64 = 5;
