//! The message that the gateway makes of a request: what a case can be compared with.

use tidegate_sdk::{Body, Operation, Path, WriteMode};

use super::case::{self, bytes};

/// What is compared of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wire {
    code: String,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Wire {
    /// As the case has it. Numbers are compared as numbers: EMQX writes zero as a byte.
    pub(super) fn expected(message: &case::Message) -> Self {
        let options = message.options.iter().flatten().map(|option| {
            let value = bytes(&option.hex);
            let is_number = matches!(option.number, OBSERVE | CONTENT_FORMAT | ACCEPT);
            (
                option.number,
                if is_number { value.into_iter().skip_while(|byte| *byte == 0).collect() } else { value },
            )
        });
        Self {
            code: message.code.clone(),
            options: options.collect(),
            payload: bytes(message.payload_hex.as_deref().unwrap_or_default()),
        }
    }

    /// As the gateway makes it. EMQX sends an empty segment for the root.
    pub(super) fn of(operation: &Operation, alternate_path: &str) -> Self {
        let wire = |code: &str, path: &Path, queries: &[String]| {
            let mut options = Vec::new();
            let prefix = alternate_path.trim_matches('/');
            if !prefix.is_empty() {
                options.push((URI_PATH, prefix.as_bytes().to_vec()));
            }
            options.extend(path.ids().map(|id| (URI_PATH, id.to_string().into_bytes())));
            if options.is_empty() {
                options.push((URI_PATH, vec![]));
            }
            options.extend(queries.iter().map(|query| (URI_QUERY, query.clone().into_bytes())));
            Self { code: code.to_owned(), options, payload: vec![] }
        };
        match operation {
            Operation::Read(of) => wire("0.01", &of.path, &of.queries),
            Operation::Discover(of) => wire("0.01", &of.path, &of.queries).with(ACCEPT, &[40]),
            Operation::Observe(of) => wire("0.01", &of.path, &of.queries).with(OBSERVE, &[]),
            Operation::CancelObservation(of) => wire("0.01", &of.path, &of.queries).with(OBSERVE, &[1]),
            Operation::Delete(of) => wire("0.04", &of.path, &of.queries),
            Operation::Execute(of) => {
                let arguments = of.arguments.clone().unwrap_or_default();
                let wire = wire("0.02", &of.path, &of.queries).with(CONTENT_FORMAT, &[]);
                Self { payload: arguments.into_bytes(), ..wire }
            }
            Operation::WriteAttributes(of) => {
                let query = |(name, value): &(String, Option<String>)| {
                    value.as_ref().map_or(name.clone(), |value| format!("{name}={value}"))
                };
                wire("0.03", &of.path, &of.values.iter().map(query).collect::<Vec<_>>())
            }
            Operation::Write(of) => {
                let code = if matches!(of.mode, WriteMode::Replace) { "0.03" } else { "0.02" };
                wire(code, &of.path, &of.queries).with_body(&of.body)
            }
            Operation::Create(of) => wire("0.02", &of.path, &of.queries).with_body(&of.body),
            other => panic!("EMQX has no {other:?}"),
        }
    }

    fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self.options.sort_by_key(|(number, _)| *number);
        self
    }

    fn with_body(self, body: &Body) -> Self {
        let Body::Encoded(encoded) = body else { panic!("strict encodes itself: {body:?}") };
        let format = encoded.format.expect("a format").to_be_bytes();
        Self { payload: encoded.payload.clone(), ..self.with(CONTENT_FORMAT, &format) }
    }
}

const OBSERVE: u16 = 6;
const URI_PATH: u16 = 11;
const CONTENT_FORMAT: u16 = 12;
const URI_QUERY: u16 = 15;
const ACCEPT: u16 = 17;
