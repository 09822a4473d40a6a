//! As much of BSON (<https://bsonspec.org/spec.html>) as a log-in needs.
//!
//! Contract: reads hostile documents: bounded in depth and in number of fields, without panics; what is not used here is
//! stepped over.

use super::wire::Reader;

/// Most fields of all levels.
const MOST_FIELDS: usize = 4096;
/// Deepest level.
const DEEPEST: usize = 8;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Bson {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Any number, as a whole.
    Number(i64),
    /// True or false.
    Bool(bool),
    /// A document or array: fields in order.
    Document(Vec<(String, Bson)>),
    /// Something else.
    Other,
}

impl Bson {
    /// A field of a document.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Document(fields) => fields.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Values of an array.
    pub fn items(&self) -> impl Iterator<Item = &Self> {
        let fields: &[(String, Self)] = if let Self::Document(fields) = self { fields } else { &[] };
        fields.iter().map(|(_, value)| value)
    }

    /// Text of a field.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Number of a field.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Self::Number(n)) => Some(*n),
            Some(Self::Bool(b)) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// As bytes; only what is ever sent.
    pub fn write(fields: &[(&str, Self)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in fields {
            let (kind, bytes) = match value {
                Self::Text(text) => {
                    let length = (text.len() as u32 + 1).to_le_bytes();
                    (2, [&length[..], text.as_bytes(), &[0]].concat())
                }
                Self::Bytes(bytes) => (5, [&(bytes.len() as u32).to_le_bytes()[..], &[0], bytes].concat()),
                Self::Number(n) => (16, (*n as i32).to_le_bytes().to_vec()),
                Self::Bool(b) => (8, vec![u8::from(*b)]),
                Self::Document(inner) => {
                    let inner: Vec<(&str, Self)> = inner.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
                    (3, Self::write(&inner))
                }
                Self::Other => continue,
            };
            body.extend([&[kind], name.as_bytes(), &[0], &bytes].concat());
        }
        let length = (body.len() as u32 + 5).to_le_bytes();
        [&length[..], &body, &[0]].concat()
    }

    /// Reads a document.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut left = MOST_FIELDS;
        document(&mut Reader(bytes), 0, &mut left)
    }
}

fn document(reader: &mut Reader<'_>, depth: usize, left: &mut usize) -> Option<Bson> {
    let length = reader.little(4)?;
    let body = reader.take((length as usize).checked_sub(4)?)?;
    if depth > DEEPEST {
        return Some(Bson::Other);
    }
    let mut inside = Reader(body);
    let mut fields = Vec::new();
    loop {
        let kind = inside.u8()?;
        if kind == 0 {
            return Some(Bson::Document(fields));
        }
        *left = left.checked_sub(1)?;
        let name = String::from_utf8_lossy(inside.zero_ended()?).into_owned();
        fields.push((name, value(kind, &mut inside, depth, left)?));
    }
}

fn value(kind: u8, reader: &mut Reader<'_>, depth: usize, left: &mut usize) -> Option<Bson> {
    Some(match kind {
        1 => Bson::Number(f64::from_bits(reader.little(8)?) as i64),
        2 => {
            let length = reader.little(4)? as usize;
            let text = reader.take(length)?;
            Bson::Text(String::from_utf8_lossy(text.strip_suffix(&[0])?).into_owned())
        }
        3 | 4 => document(reader, depth + 1, left)?,
        5 => {
            let length = reader.little(4)? as usize;
            reader.take(1)?;
            Bson::Bytes(reader.take(length)?.to_vec())
        }
        7 => reader.take(12).map(|_| Bson::Other)?,
        8 => Bson::Bool(reader.u8()? != 0),
        9 | 17 => reader.take(8).map(|_| Bson::Other)?,
        10 => Bson::Other,
        16 => Bson::Number(i64::from(reader.little(4)? as u32 as i32)),
        18 => Bson::Number(reader.little(8)? as i64),
        19 => reader.take(16).map(|_| Bson::Other)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As pymongo's `bson.encode({"a": "b", "n": 1, "t": True, "d": {"x": b"yz"}})` writes it.
    #[test]
    fn like_the_issuers_own_library() {
        let inner = Bson::Document(vec![("x".into(), Bson::Bytes(b"yz".to_vec()))]);
        let fields =
            [("a", Bson::Text("b".into())), ("n", Bson::Number(1)), ("t", Bson::Bool(true)), ("d", inner.clone())];
        let bytes = Bson::write(&fields);
        assert_eq!(
            crate::secret::hex(&bytes),
            "2b000000026100020000006200106e0001000000087400010364000f0000000578000200000000797a0000"
        );
        let read = Bson::read(&bytes).unwrap();
        assert_eq!((read.text("a"), read.number("n"), read.number("t")), (Some("b"), Some(1), Some(1)));
        assert_eq!(read.get("d"), Some(&inner));
        for end in 0..bytes.len() {
            assert!(Bson::read(&bytes[..end]).is_none());
        }
    }

    #[test]
    fn deep_documents_end() {
        let mut bytes = vec![5, 0, 0, 0, 0];
        for _ in 0..1000 {
            let length = (bytes.len() as u32 + 8).to_le_bytes();
            bytes = [&length[..], &[3, b'a', 0], &bytes, &[0]].concat();
        }
        assert!(Bson::read(&bytes).is_some());
    }
}
