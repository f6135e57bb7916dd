use std::path::PathBuf;

use super::*;

fn xml(version: &str, items: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<LWM2M>\n<Object ObjectType=\"MODefinition\">\n<Name>Thing</Name>\
         <ObjectID>4000</ObjectID>{version}<MultipleInstances>Multiple</MultipleInstances>\
         <Mandatory>Optional</Mandatory>\n<Resources>\n{items}\n</Resources></Object></LWM2M>"
    )
}

fn item(id: &str, operations: &str, kind: &str) -> String {
    format!(
        "<Item ID=\"{id}\"><Name>Part</Name><Operations>{operations}</Operations>\
         <MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>{kind}</Type>\
         <Units>Cel</Units></Item>"
    )
}

fn of_version(version: &str, kind: &str) -> Definition {
    let version = format!("<ObjectVersion>{version}</ObjectVersion>");
    Definition::from_xml("thing.xml", &xml(&version, &item("1", "R", kind))).expect("a definition")
}

#[test]
fn the_box_knows_the_device_object() {
    let models = Models::built_in();
    let device = models.definition(3, None).expect("a core object");
    assert_eq!(
        (&*device.name, device.version, device.multiple, device.mandatory),
        ("Device", Version(1, 2), false, true)
    );
    for (resource, kind) in [(0, Kind::Text), (4, Kind::Executable), (6, Kind::Integer), (13, Kind::Time)] {
        assert_eq!(models.kind(3, Some("1.0"), resource), Some(kind), "{resource}");
    }
    assert_eq!(
        device.resource(6).map(|resource| (resource.multiple, resource.operations)),
        Some((true, Operations::R))
    );
    assert_eq!(models.kind(3, None, 99), None);
    assert_eq!(models.kind(5, None, 0), Some(Kind::Opaque));
    assert_eq!(models.kind(1, None, 10), Some(Kind::ObjectLink));
    assert_eq!(models.kind(3303, None, 5700), Some(Kind::Float));
    assert_eq!(models.kind(3342, None, 5500), Some(Kind::Boolean));
    assert_eq!(models.kind(31024, None, 0), None);
}

#[test]
fn a_definition_is_read() {
    let text =
        xml("", &(item("5", "RW", "Unsigned Integer") + &item("1", "E", "String") + &item("2", "", "")));
    let definition = Definition::from_xml("thing.xml", &text).expect("a definition");
    assert_eq!((definition.object, definition.version, &*definition.name), (4000, Version::INITIAL, "Thing"));
    assert!(definition.multiple && !definition.mandatory);
    let resources: Vec<_> = definition
        .resources()
        .iter()
        .map(|resource| (resource.id, resource.operations, resource.kind, &*resource.units))
        .collect();
    assert_eq!(
        resources,
        [
            (1, Operations::E, Some(Kind::Executable), "Cel"),
            (2, Operations::None, None, "Cel"),
            (5, Operations::RW, Some(Kind::Unsigned), "Cel"),
        ]
    );
}

#[test]
fn the_version_of_the_client_chooses() {
    let mut models = Models::default();
    models.insert(of_version("2.0", "Time"));
    models.insert(of_version("1.1", "String"));
    models.insert(of_version("1.3", "Integer"));
    for (version, kind) in [
        (Some("1.1"), Kind::Text),
        (Some("1.2"), Kind::Text),
        (Some("1.3"), Kind::Integer),
        (Some("1.10"), Kind::Integer),
        (Some("2.0"), Kind::Time),
        (Some("9.9"), Kind::Time),
        (Some("1.0"), Kind::Text),
        (Some("new"), Kind::Time),
        (None, Kind::Time),
    ] {
        assert_eq!(models.kind(4000, version, 1), Some(kind), "{version:?}");
    }
    models.insert(of_version("1.3", "Opaque"));
    assert_eq!(models.kind(4000, Some("1.3"), 1), Some(Kind::Opaque));
    assert_eq!(models.iter().count(), 3);
}

#[test]
fn a_definition_of_the_folder_replaces_that_of_the_box() {
    let mut models = Models::built_in();
    let text = xml("<ObjectVersion>1.2</ObjectVersion>", &item("0", "R", "Float")).replace("4000", "3");
    models.load_xml("3.xml", &text).expect("a definition");
    assert_eq!(models.kind(3, Some("1.2"), 0), Some(Kind::Float));
}

#[test]
fn errors_name_the_file_the_line_and_what() {
    let part = item("1", "R", "String");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><LWM2M>&b;</LWM2M>";
    for (text, line, reason) in [
        (xml("", &item("1", "R", "Strin")), 6, "`Strin` is none of the types String, Integer"),
        (xml("", &item("1", "RX", "String")), 6, "`RX` is none of R, W, RW, E and nothing"),
        (xml("", &item("65536", "R", "String")), 6, "`ID` of this `Item` is not a number up to 65535"),
        (xml("", &part.replace(" ID=\"1\"", "")), 6, "`ID` of this `Item` is not a number"),
        (xml("", &format!("{part}\n{part}")), 7, "resource 1 is defined twice"),
        (xml("", &part.replace("Single", "Some")), 6, "`Some` is neither `Single` nor `Multiple`"),
        (xml("", &part.replace("<Type>String</Type>", "")), 6, "`Item` lacks `Type`"),
        (xml("<ObjectVersion>one</ObjectVersion>", &part), 4, "an object version is two numbers"),
        (xml("", &part).replace("4000", "-1"), 4, "`ObjectID` is not a number up to 65535"),
        (xml("", &part).replace("</Resources>", ""), 7, "expected 'Resources' tag, not 'Object'"),
        ("<LWM2M>\n</LWM2M>".to_owned(), 1, "`LWM2M` lacks `Object`"),
        ("<html/>".to_owned(), 1, "the outermost element is not `LWM2M`"),
        (String::new(), 1, ""),
        (bomb.to_owned(), 1, "DTD"),
        (" ".repeat((4 << 20) + 1), 1, "it is larger than 4 MiB"),
    ] {
        let error = Definition::from_xml("thing.xml", &text).expect_err(reason);
        assert!(error.reason.contains(reason), "{error} | {reason}");
        assert_eq!((error.file.as_str(), error.line), ("thing.xml", line), "{error}");
        assert!(error.to_string().starts_with(&format!("thing.xml, line {line}: ")), "{error}");
    }
}

/// Nesting is what a recursive reader would die of.
#[test]
fn deep_xml_is_no_harm() {
    let text = format!("<LWM2M>{}{}</LWM2M>", "<a>".repeat(100_000), "</a>".repeat(100_000));
    Definition::from_xml("deep.xml", &text).expect_err("no object");
}

/// The files of the registry, where they are at hand.
fn registry() -> Option<PathBuf> {
    let given = std::env::var_os("TIDEGATE_OMA_REGISTRY").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oma-registry");
    let directory = given.unwrap_or(beside);
    if !directory.is_dir() {
        eprintln!("skipped: OMA registry not found");
        return None;
    }
    Some(directory)
}

#[test]
fn the_whole_registry_is_read() {
    let Some(directory) = registry() else {
        return;
    };
    let mut models = Models::default();
    for entry in std::fs::read_dir(directory).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            models.load_xml(&path.display().to_string(), &text).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    assert!(models.iter().count() > 300, "{} definitions", models.iter().count());
    assert_eq!(models.kind(9, None, 2), Some(Kind::Opaque));
    assert_eq!(models.kind(9, None, 4), Some(Kind::Executable));
    assert_eq!(models.kind(19, None, 0), Some(Kind::Opaque));
}

#[test]
fn the_box_says_what_the_registry_says() {
    let Some(directory) = registry() else {
        return;
    };
    let models = Models::built_in();
    assert!(models.iter().count() > 50);
    for definition in models.iter() {
        let name = format!("{}.xml", definition.object);
        let text = std::fs::read_to_string(directory.join(&name)).expect("each has a file");
        let registered = Definition::from_xml(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        if registered.version == definition.version {
            assert_eq!(*definition, registered);
        }
    }
}
