//! Object definitions in the XML of the OMA registry.

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};
use rustc_hash::FxHashSet;

use super::{Definition, Operations, Resource, Version};
use crate::lwm2m::path::parse_id;
use crate::lwm2m::value::Kind;

/// Why a file is not an object definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, column {column}: {reason}")]
pub struct Error {
    /// What the caller calls it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// The definitions in the text of a file of that name: at least one, and each object in each version once.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Definition>, Error> {
    if text.len() > LARGEST_TEXT {
        return Err(Error {
            file: file.into(),
            line: 1,
            column: 1,
            reason: "it is larger than 4 MiB".into(),
        });
    }
    // Without document types there are no entities of the file's own, which could grow beyond all bounds.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let text = error.to_string();
        let reason = text.strip_suffix(&format!(" at {}", error.pos())).unwrap_or(&text).to_owned();
        Error { file: file.into(), line: error.pos().row, column: error.pos().col, reason }
    })?;
    Reader { file, document: &document }.definitions()
}

struct Reader<'a> {
    file: &'a str,
    document: &'a Document<'a>,
}

impl<'a> Reader<'a> {
    fn definitions(&self) -> Result<Vec<Definition>, Error> {
        let root = self.document.root_element();
        if root.tag_name().name() != "LWM2M" {
            return Err(self.error(root, "the outermost element is not `LWM2M`"));
        }
        self.child(root, "Object")?;
        let (mut definitions, mut seen) = (Vec::new(), FxHashSet::default());
        for object in children(root, "Object") {
            let definition = self.definition(object)?;
            let Definition { object: id, version, .. } = definition;
            if !seen.insert((id, version)) {
                return Err(self.error(object, format!("object {id} is defined twice in version {version}")));
            }
            definitions.push(definition);
        }
        Ok(definitions)
    }

    fn definition(&self, object: Node<'a, 'a>) -> Result<Definition, Error> {
        let id = self.child(object, "ObjectID")?;
        let version = match children(object, "ObjectVersion").next() {
            None => Version::INITIAL,
            Some(node) if text(node).is_empty() => Version::INITIAL,
            Some(node) => text(node).parse().map_err(|error| self.error(node, format!("{error}")))?,
        };
        Ok(Definition {
            object: parse_id(text(id))
                .ok_or_else(|| self.error(id, "`ObjectID` is not a number up to 65535"))?,
            version,
            name: self.name(object)?,
            multiple: self.multiple(object)?,
            mandatory: self.mandatory(object)?,
            resources: self.resources(self.child(object, "Resources")?)?,
        })
    }

    fn resources(&self, node: Node<'a, 'a>) -> Result<Vec<Resource>, Error> {
        let mut resources = Vec::new();
        for item in children(node, "Item") {
            resources.push((self.resource(item)?, item));
        }
        resources.sort_by_key(|(resource, _)| resource.id);
        for pair in resources.windows(2) {
            if let [(one, _), (other, item)] = pair
                && one.id == other.id
            {
                return Err(self.error(*item, format!("resource {} is defined twice", one.id)));
            }
        }
        Ok(resources.into_iter().map(|(resource, _)| resource).collect())
    }

    fn resource(&self, item: Node<'a, 'a>) -> Result<Resource, Error> {
        let id = item.attribute("ID").map(str::trim).and_then(parse_id);
        let operations = self.operations(item)?;
        Ok(Resource {
            id: id.ok_or_else(|| self.error(item, "`ID` of this `Item` is not a number up to 65535"))?,
            name: self.name(item)?,
            operations,
            multiple: self.multiple(item)?,
            mandatory: self.mandatory(item)?,
            kind: match operations {
                Operations::E => Some(Kind::Executable),
                Operations::RE | Operations::WE | Operations::RWE => {
                    self.kind(item)?.or(Some(Kind::Executable))
                }
                Operations::None | Operations::R | Operations::RW | Operations::W => self.kind(item)?,
            },
            units: children(item, "Units")
                .next()
                .map(|node| text(node).to_owned().into())
                .unwrap_or_default(),
        })
    }

    fn name(&self, node: Node<'a, 'a>) -> Result<Cow<'static, str>, Error> {
        Ok(Cow::Owned(text(self.child(node, "Name")?).to_owned()))
    }

    fn operations(&self, item: Node<'a, 'a>) -> Result<Operations, Error> {
        let node = self.child(item, "Operations")?;
        Ok(match text(node) {
            "" => Operations::None,
            "E" => Operations::E,
            "R" => Operations::R,
            "RE" => Operations::RE,
            "RW" => Operations::RW,
            "RWE" => Operations::RWE,
            "W" => Operations::W,
            "WE" => Operations::WE,
            other => {
                let reason = format!("`{other}` is none of R, W, RW, E, RE, WE, RWE and nothing");
                return Err(self.error(node, reason));
            }
        })
    }

    fn multiple(&self, node: Node<'a, 'a>) -> Result<bool, Error> {
        self.either(node, "MultipleInstances", "Single", "Multiple")
    }

    fn mandatory(&self, node: Node<'a, 'a>) -> Result<bool, Error> {
        self.either(node, "Mandatory", "Optional", "Mandatory")
    }

    fn kind(&self, item: Node<'a, 'a>) -> Result<Option<Kind>, Error> {
        let node = self.child(item, "Type")?;
        Ok(Some(match text(node) {
            "" => return Ok(None),
            "String" => Kind::Text,
            "Integer" => Kind::Integer,
            "Unsigned Integer" => Kind::Unsigned,
            "Float" => Kind::Float,
            "Boolean" => Kind::Boolean,
            "Opaque" => Kind::Opaque,
            "Time" => Kind::Time,
            "Objlnk" => Kind::ObjectLink,
            "Corelnk" => Kind::CoreLink,
            other => {
                let reason = format!(
                    "`{other}` is none of the types String, Integer, Unsigned Integer, Float, Boolean, Opaque, Time, \
                     Objlnk and Corelnk"
                );
                return Err(self.error(node, reason));
            }
        }))
    }

    fn either(&self, node: Node<'a, 'a>, name: &str, no: &str, yes: &str) -> Result<bool, Error> {
        let node = self.child(node, name)?;
        match text(node) {
            text if text == no => Ok(false),
            text if text == yes => Ok(true),
            other => Err(self.error(node, format!("`{other}` is neither `{no}` nor `{yes}`"))),
        }
    }

    fn child(&self, node: Node<'a, 'a>, name: &str) -> Result<Node<'a, 'a>, Error> {
        let missing = || self.error(node, format!("`{}` lacks `{name}`", node.tag_name().name()));
        children(node, name).next().ok_or_else(missing)
    }

    fn error(&self, node: Node<'a, 'a>, reason: impl Into<String>) -> Error {
        let place = self.document.text_pos_at(node.range().start);
        Error { file: self.file.into(), line: place.row, column: place.col, reason: reason.into() }
    }
}

fn children<'a>(node: Node<'a, 'a>, name: &str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn text<'a>(node: Node<'a, 'a>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

/// Bytes of a text with definitions. The largest of the registry has less than a hundredth of it.
pub const LARGEST_TEXT: usize = 4 << 20;

const MOST_NODES: u32 = 1 << 18;
